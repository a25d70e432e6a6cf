"""What a page shows of a film besides the answer: votes, loudness, stills.

The film is opened again for the last two; whatever cannot be had is left out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from avsync_cli.drawing.attention import strongest
from avsync_cli.drawing.lanes import Extras, time_span
from avsync_cli.errors import MediaError
from avsync_cli.judging import Excerpt
from avsync_cli.media.facts import MediaInfo, pick_audio, pick_video
from avsync_cli.media.probe import probe
from avsync_cli.media.stills import loudness, still
from avsync_cli.report.html_section import Illustrations, Still
from avsync_cli.verdict.answer import Judgement
from avsync_cli.verdict.posterior import Constants, window_votes

STILLS = 6
"""Pictures of a film on the page."""


def illustrate(judgement: Judgement, excerpt: Excerpt) -> Illustrations:
    """Everything of one film that can be had; `excerpt` is what of it was judged."""
    shown = Illustrations(Extras(votes=votes(judgement)))
    with suppress(MediaError):
        info = probe(judgement.path)
        with suppress(MediaError):
            shown = replace(shown, lanes=_with_loudness(judgement, shown.lanes, excerpt, info))
        shown = replace(shown, stills=_stills(judgement, excerpt, info))
    return shown


def votes(judgement: Judgement) -> np.ndarray | None:
    """(W, O) probabilities of every window's offsets, as the verdict counts them; even where a
    window says nothing. None without windows."""
    evidence = judgement.evidence
    if not evidence.windows:
        return None
    shares = np.full((len(evidence.windows), len(evidence.offsets_ms)), 1.0)
    shares /= shares.shape[1]
    sound = [w.blocks > 0 and bool(np.isfinite(w.logits).all()) for w in evidence.windows]
    if any(sound):
        usable = [w for w, good in zip(evidence.windows, sound, strict=True) if good]
        logs, _ = window_votes(usable, Constants.of(evidence.calibration))
        shares[np.array(sound)] = np.exp(logs)
    return shares


def _with_loudness(
    judgement: Judgement, extras: Extras, excerpt: Excerpt, info: MediaInfo
) -> Extras:
    video = pick_video(info, excerpt.video_track)
    audio = pick_audio(info, excerpt.audio_track)
    start_s, end_s = time_span(judgement)
    levels_db = loudness(info, video, audio, start_s, end_s)
    return replace(extras, levels_db=levels_db, levels_start_s=start_s)


def _stills(judgement: Judgement, excerpt: Excerpt, info: MediaInfo) -> tuple[Still, ...]:
    video = pick_video(info, excerpt.video_track)
    found = []
    for block in strongest(judgement.evidence.blocks, STILLS):
        jpeg = still(info, video, (block.start_s + block.end_s) / 2)
        if jpeg is not None:
            found.append(Still(block, jpeg))
    return tuple(found)
