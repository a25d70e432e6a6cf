"""One file in, one judgement out: the call behind the Python API and behind every command.

It turns settings (names, profiles) into what inference takes (an engine, limits in ms), has the
evidence decided, once, and adds nothing of its own to the answer.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from avsync_cli.config import (
    Profile,
    Settings,
    brief,
    further_ms,
    tolerance_profile,
)
from avsync_cli.errors import MediaError, UsageError
from avsync_cli.loading import timed
from avsync_cli.timebase import HOP_MS

if TYPE_CHECKING:
    from avsync_cli.inference.evidence import Evidence
    from avsync_cli.inference.pipeline import AnalyseOptions
    from avsync_cli.media.facts import MediaInfo
    from avsync_cli.model.engine import Engine
    from avsync_cli.verdict.answer import Judgement, Tolerance
    from avsync_cli.verdict.sampling import Sampled

log = logging.getLogger(__name__)

ProgressCall = Callable[[float, float], None]

LEAST_QUICK_S = 240.0
"""Shorter files are read whole, also where stretches are asked for: half of them would be read."""

LOOK_S = 60.0
"""How much of a file in which nothing fits is looked at further off, before all of it is. Of 31
talkers of 12 s and more 30 were told by less."""

TRACKS_LIMIT = 1_000_000
"""No container numbers more tracks."""


@dataclass(frozen=True)
class Excerpt:
    """Which tracks of a file to judge, and which part of it.

    Attributes:
        video_track, audio_track: number among the file's tracks of that kind, from 0; None takes
            the one a player would.
        start_s, duration_s: the part of the timeline; None runs to the end.
    """

    video_track: int | None = None
    audio_track: int | None = None
    start_s: float = 0.0
    duration_s: float | None = None

    def checked(self) -> Excerpt:
        """Itself, if every value can be meant.

        Raises:
            UsageError: naming the first that cannot.
        """
        for track in (self.video_track, self.audio_track):
            if track is not None and not 0 <= track < TRACKS_LIMIT:
                raise UsageError(f"there is no track {brief(track)}", "the first is 0")
        if not 0.0 <= self.start_s < math.inf:
            raise UsageError(f"nothing begins at {self.start_s} s", "name a second of the file")
        if self.duration_s is not None and not 0.0 < self.duration_s < math.inf:
            what = f"a duration of {self.duration_s:g} leaves nothing to judge"
            raise UsageError(what, "leave it out")
        return self


def tolerance_for(profile: Profile, fps: float) -> Tolerance:
    """The limits of `profile` in ms; "frame" is one frame of a file with `fps` frames a second."""
    from avsync_cli.verdict.answer import Tolerance

    if profile.early_ms is None or profile.late_ms is None:
        frame_ms = 1000.0 / fps if fps > 0 else 0.0
        return Tolerance(profile.name, frame_ms, frame_ms)
    return Tolerance(profile.name, profile.early_ms, profile.late_ms)


def analyse_file(
    path: str | os.PathLike[str],
    settings: Settings,
    engine: Engine,
    excerpt: Excerpt | None = None,
    progress: ProgressCall | None = None,
) -> Judgement:
    """Judge one file.

    Args:
        path: the file.
        settings: range, step, tolerance and threads.
        engine: from `load_model`.
        excerpt: tracks and part of the file; all of it by default.
        progress: called with (seconds done, seconds in all) now and then.

    Raises:
        MediaError: the file cannot be judged; the subclass says why.
        FfmpegMissingError: there is no ffmpeg.
    """
    from avsync_cli.inference.pipeline import AnalyseOptions, analyse
    from avsync_cli.media.facts import pick_video
    from avsync_cli.media.probe import probe
    from avsync_cli.verdict.missing import asks_further

    excerpt = excerpt or Excerpt()
    options = AnalyseOptions(
        range_ms=settings.range_ms,
        step_ms=settings.step_ms,
        threads=settings.threads,
        **vars(excerpt),
    )
    profile = tolerance_profile(settings.tolerance)
    with timed(log, "%s: probed", path):
        info = probe(path)

    def judge(info: MediaInfo, options: AnalyseOptions) -> Judgement:
        remark = ""
        if settings.quick:
            tolerance = tolerance_for(profile, float(pick_video(info, options.video_track).fps))
            sampled, remark = _by_stretches(info, options, engine, settings, tolerance, progress)
            if sampled is not None and sampled.evidence is not None:
                found = judged(path, sampled.evidence, tolerance, settings.min_confidence)
                found = replace(found, verdict=sampled.told(found.verdict))
                return _remarked(found, remark) if remark else found
        evidence = analyse(info, options, engine, progress)
        evidence.reasons += [remark] if remark else []
        tolerance = tolerance_for(profile, evidence.media.fps)
        return judged(path, evidence, tolerance, settings.min_confidence)

    mixed = judge(info, options)
    found = mixed
    if mixed.verdict.status == "undecided":
        found = _by_other_sounds(info, options, judge) or mixed
    if settings.further and settings.most_s is None and asks_further(found.verdict):
        found = _further_off(found, info, options, judge)
    if found.verdict.status == "undecided":
        found = _by_strikes(found, info, options)
    return _with_clap(found, info, options) if settings.slate else found


def _further_off(
    found: Judgement,
    info: MediaInfo,
    options: AnalyseOptions,
    judge: Callable[[MediaInfo, AnalyseOptions], Judgement],
) -> Judgement:
    """A second look at a file in which nothing fits, at lags that are larger; of a long one first
    at a part of it. As it was where nothing fits there either."""
    from avsync_cli.verdict.missing import busiest, not_further

    part = busiest(found.evidence.blocks, LOOK_S)
    if part is None:
        return found
    start_s, end_s = part
    wide = replace(options, range_ms=further_ms(options.range_ms))
    part_of_it = replace(wide, start_s=start_s, duration_s=end_s - start_s)
    vain = replace(found, verdict=not_further(found.verdict))
    looks = [part_of_it, wide] if found.evidence.judged_s > LOOK_S else [wide]
    again = found
    for look in looks:
        try:
            again = judge(info, look)
        except MediaError:  # a part of a file that cannot be read from its middle
            return found
        if again.verdict.status == "undecided":
            return vain
    return _remarked(again, _found_further_off(options))


def _found_further_off(options: AnalyseOptions) -> str:
    limit_s = options.range_ms / 1000.0
    return f"nothing fits within ±{limit_s:g} s: it was looked for further off"


def _by_strikes(found: Judgement, info: MediaInfo, options: AnalyseOptions) -> Judgement:
    """The judgement of an undecided file by the strikes at its head, where these tell a lag."""
    from avsync_cli.inference.slate import HEAD_S
    from avsync_cli.media.head import read_head
    from avsync_cli.regions.motion import contact_strength
    from avsync_cli.verdict.by_strikes import as_strikes, beside_faces, decide_by_strikes, is_open
    from avsync_cli.verdict.strikes import LINES, find_strikes

    if options.start_s > 0 or not found.evidence.media.tells_when:
        return found
    if not is_open(found.verdict, bool(found.tracks)):
        return found
    wanted_s = HEAD_S if options.duration_s is None else min(HEAD_S, options.duration_s)
    tracks = options.video_track, options.audio_track
    with timed(log, "%s: strikes looked for", found.path):
        try:
            head = read_head(info, *tracks, seconds=wanted_s, max_height=LINES)
        except MediaError:
            return found
        strength = contact_strength(head.pictures, head.times_s, 0.0)
        peak = find_strikes(strength, head.sound)
    if peak is None:
        return found
    end_s, (height, width) = len(strength) * HOP_MS / 1000, head.pictures.shape[1:]
    strikes = as_strikes(peak, end_s, (height, width))
    if found.tracks:
        strikes = beside_faces(strikes, found.verdict, found.evidence)
    verdict = decide_by_strikes(found.verdict, found.evidence, strikes, found.tolerance)
    if verdict is found.verdict:
        return found
    return replace(found, verdict=verdict, evidence=replace(found.evidence, strikes=strikes))


def _remarked(found: Judgement, remark: str) -> Judgement:
    """The judgement with one more reason."""
    reasons = [*found.verdict.reasons, remark]
    return replace(found, verdict=replace(found.verdict, reasons=reasons))


def _with_clap(found: Judgement, info: MediaInfo, options: AnalyseOptions) -> Judgement:
    """The judgement with the clap at the file's head, or the remark that there is none."""
    from avsync_cli.inference.slate import NO_CLAP, read_clap

    clap = read_clap(info, options.video_track, options.audio_track, options.range_ms)
    if clap is None:
        return _remarked(found, NO_CLAP)
    return replace(found, evidence=replace(found.evidence, clap=clap))


def _by_stretches(
    info: MediaInfo,
    options: AnalyseOptions,
    engine: Engine,
    settings: Settings,
    tolerance: Tolerance,
    progress: ProgressCall | None,
) -> tuple[Sampled | None, str]:
    """What some stretches of a file say, and what is to be said of that; or None, and why all of it
    must be read in order.

    A file of a few minutes is read whole without a word.
    """
    from avsync_cli.inference.stretches import Film, OutOfOrder, pooled
    from avsync_cli.media.clock import why_in_order
    from avsync_cli.media.facts import pick_video
    from avsync_cli.verdict.decision import decide_verdict
    from avsync_cli.verdict.missing import asks_further
    from avsync_cli.verdict.sampling import Search

    in_order = why_in_order(info, pick_video(info, options.video_track))
    if in_order:
        return None, f"read in order: {in_order}"
    film = Film(info, options, engine)
    if film.duration_s < LEAST_QUICK_S:
        return None, ""

    def pool(parts: Sequence[Evidence], read_s: float) -> Evidence:
        return _with_bar(pooled(parts, read_s), settings.min_confidence)

    search = Search(film, pool, tolerance, settings.until, settings.most_s)
    most_s = film.duration_s / 4 if settings.most_s is None else settings.most_s

    def tell(read_s: float) -> None:
        if progress is not None:
            progress(min(read_s, most_s), most_s)

    try:
        sampled = search.run(tell)
    except OutOfOrder:
        return None, "read in order: its time stamps jump"
    if sampled.is_broken:
        return None, "read in order: nothing is there at some of its times"
    if sampled.settled or (settings.most_s is not None and sampled.evidence is not None):
        return sampled, ""
    if sampled.evidence is None:
        return None, "read in order: 0 stretches did not settle it"
    if settings.further and asks_further(decide_verdict(sampled.evidence, tolerance)):
        wide = replace(options, range_ms=further_ms(options.range_ms))
        once = replace(settings, further=False)
        sampled_again, _ = _by_stretches(info, wide, engine, once, tolerance, progress)
        if sampled_again is not None and sampled_again.settled:
            return sampled_again, _found_further_off(options)
    return None, f"read in order: {sampled.evidence.stretches} stretches did not settle it"


def _by_other_sounds(
    info: MediaInfo,
    options: AnalyseOptions,
    judge: Callable[[MediaInfo, AnalyseOptions], Judgement],
) -> Judgement | None:
    """The surest judgement by one of a file's channels or mono tracks alone, where they differ.

    A track that was asked for by its number is not exchanged for another.
    """
    from avsync_cli.media.channels import other_sounds
    from avsync_cli.media.facts import pick_audio

    track = pick_audio(info, options.audio_track)
    best: Judgement | None = None
    for other in other_sounds(info, track, options.start_s):
        if options.audio_track is not None and other.track != track.position:
            continue
        found = judge(other.info, replace(options, audio_track=other.track))
        if found.verdict.status == "undecided":
            continue
        if best is None or found.verdict.confidence > best.verdict.confidence:
            words = f"by the sound of {other.name} alone, which differs from the rest"
            best = _remarked(found, words)
    return best


def judged(
    path: str | os.PathLike[str],
    evidence: Evidence,
    tolerance: Tolerance,
    min_confidence: float | None = None,
) -> Judgement:
    """The judgement of a file whose evidence is complete; the one place where it is decided."""
    from avsync_cli.verdict.answer import Judgement
    from avsync_cli.verdict.blocks import shown_blocks
    from avsync_cli.verdict.decision import decide_verdict
    from avsync_cli.verdict.people import face_tracks

    evidence = _with_bar(evidence, min_confidence)
    with timed(log, "%s: decided", path):
        verdict = decide_verdict(evidence, tolerance)
        blocks = shown_blocks(evidence, verdict, tolerance)
    shown = replace(evidence, blocks=blocks, traces=[])
    return Judgement(
        path=os.fspath(path),
        evidence=shown,
        verdict=verdict,
        tolerance=tolerance,
        min_confidence=min_confidence,
        tracks=tuple(face_tracks(evidence, verdict)),
    )


def _with_bar(evidence: Evidence, min_confidence: float | None) -> Evidence:
    """The evidence, to be decided only if the answer is that sure; None keeps the model's bar."""
    if min_confidence is None:
        return evidence
    bar = {"undecided_below": min_confidence}
    return replace(evidence, calibration={**evidence.calibration, **bar})
