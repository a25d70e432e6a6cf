"""Talks that cut to who listens: is the lag told, and never one that another's sound has?

    python -m tests.benchmarks.scenes --data clips.csv --cache DIR [--split test] [--count 60]
        [--off-screen]

Prints a Markdown table. The same seed makes the same scenes. Each is clips of talkers one after the
other, 12 to 40 s in all, laid to one lag; for a share of the time their faces give way to those of
talkers of other clips, 1 to 9 s at a time, while the sound goes on. The same pictures are judged
with the sound of other clips, where every answer is wrong, with a lag that steps where one of the
clips ends, and with one clip between two others at a lag of its own: a reply that was laid in
wrongly. Clips whose own lag is not sure take no part. Crops and sound come from the
evaluation's cache and take the road that `score` takes from there.

With `--off-screen` the pictures stay, and it is their sound that gives way to that of other clips:
somebody beside the camera speaks.

Wrong is a lag that is told and off by more than 60 ms. A step can be seen where the talkers
themselves are shown for 3 s and more on either side, a reply where they are for 3 s of it, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.trials import clip_pieces, move_sound
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.loading import load_model
from avsync_cli.model.engine import Engine
from avsync_cli.regions.stream import RegionPiece
from avsync_cli.timebase import FPS, HOP_MS, SAMPLES_PER_FRAME
from avsync_cli.verdict.answer import ITU, Verdict
from avsync_cli.verdict.decision import decide_verdict
from tests.benchmarks.bench import cached_clips_parser, cached_talkers, head, note, row
from tests.benchmarks.films import SURE
from tests.benchmarks.splices import WRONG_MS, Told, Truth, drawn_step

LEAST_S, MOST_S = 3.0, 20.0
"""Of a clip: its length, and what is judged to know its own lag."""

SHARES = (0.0, 0.25, 0.4, 0.55, 0.7)
SCENE_S, CLIP_S, SHOT_S = (12.0, 40.0), (3.0, 12.0), (1.5, 5.0)
SEEN_S = 3.0

Sure = tuple[CachedClip, float]
"""A clip, and its own lag in ms."""


@dataclass
class Scene:
    """Pictures of several clips, and what is heard with them.

    Attributes:
        pieces: of the faces, in order.
        voices: (clip, own lag, first frame, frames) of who speaks, one after the other.
        strangers: the same of whose sound is laid there instead.
        shown: (first frame, frames) in which a face is seen to speak.
        spoken: (first frame, samples) of what others say off screen.
    """

    share: float
    off_screen: bool = False
    pieces: list[RegionPiece] = field(default_factory=list)
    voices: list[tuple[CachedClip, float, int, int]] = field(default_factory=list)
    strangers: list[CachedClip] = field(default_factory=list)
    shown: list[tuple[int, int]] = field(default_factory=list)
    spoken: list[tuple[int, np.ndarray]] = field(default_factory=list)
    tracks: int = 0

    @property
    def frames(self) -> int:
        return sum(frames for *_, frames in self.voices)

    def show(self, clip: CachedClip, first: int, frames: int, at: int) -> None:
        """Faces of a clip from a frame of the scene on."""
        for piece in clip_pieces(clip, clip.crops(), first, frames):
            track = self.tracks + piece.track
            self.pieces.append(replace(piece, first_frame=piece.first_frame + at, track=track))
        self.tracks += 1000

    def sound(self, lags_ms: Sequence[float]) -> np.ndarray:
        """Each voice's sound at a lag."""
        parts = []
        for (clip, own_ms, first, frames), lag_ms in zip(self.voices, lags_ms, strict=True):
            moved = move_sound(clip.wave(), round((lag_ms - own_ms) / HOP_MS))
            parts.append(moved[first * SAMPLES_PER_FRAME : (first + frames) * SAMPLES_PER_FRAME])
        return self._with_others(np.concatenate(parts))

    def _with_others(self, sound: np.ndarray) -> np.ndarray:
        for at, said in self.spoken:
            sound[at * SAMPLES_PER_FRAME :][: len(said)] = said
        return sound

    def strange_sound(self) -> np.ndarray:
        """As long, of other clips."""
        lengths = [frames * SAMPLES_PER_FRAME for *_, frames in self.voices]
        waves = [clip.wave() for clip in self.strangers]
        parts = [np.resize(w, n) for w, n in zip(waves, lengths, strict=True)]
        return self._with_others(np.concatenate(parts))

    def seen(self, low: int, high: int) -> bool:
        """Whether those who are heard are seen long enough between two frames."""
        shown = sum(max(0, min(a + n, high) - max(a, low)) for a, n in self.shown)
        return shown >= SEEN_S * FPS


def drawn_scene(clips: Sequence[Sure], rng: np.random.Generator, off_screen: bool) -> Scene:
    """Talkers, and who listens to them or speaks off screen."""
    scene = Scene(float(rng.choice(SHARES)), off_screen)
    length = round(rng.uniform(*SCENE_S) * FPS)
    while True:
        clip, own_ms = clips[rng.integers(len(clips))]
        frames = min(clip.frames, round(rng.uniform(*CLIP_S) * FPS), length - scene.frames)
        if frames < 2 * FPS:
            return scene
        first = int(rng.integers(clip.frames - frames + 1))
        _cut_up(scene, clip, first, frames, clips, rng)
        scene.voices.append((clip, own_ms, first, frames))
        scene.strangers.append(_other(clips, clip, rng))


def _cut_up(
    scene: Scene,
    clip: CachedClip,
    first: int,
    frames: int,
    clips: Sequence[Sure],
    rng: np.random.Generator,
) -> None:
    """Show a talker, and for a share of the time others, or hear them."""
    if scene.off_screen:
        scene.show(clip, first, frames, scene.frames)
    at, done, talks = scene.frames, 0, bool(rng.random() >= scene.share)
    while done < frames:
        left = frames - done
        longer = 2 * (1 - scene.share if talks else scene.share)
        shot = left if scene.share == 0 else round(rng.uniform(*SHOT_S) * FPS * longer)
        shot = min(left, max(FPS, shot))
        shot = left if left - shot < FPS else shot
        if talks:
            scene.shown.append((at + done, shot))
            if not scene.off_screen:
                scene.show(clip, first + done, shot, at + done)
        else:
            other = _other(clips, clip, rng)
            shot = min(shot, other.frames)
            start = int(rng.integers(other.frames - shot + 1))
            if scene.off_screen:
                wave = other.wave()[start * SAMPLES_PER_FRAME :][: shot * SAMPLES_PER_FRAME]
                scene.spoken.append((at + done, wave))
            else:
                scene.show(other, start, shot, at + done)
        done, talks = done + shot, not talks


def _other(clips: Sequence[Sure], clip: CachedClip, rng: np.random.Generator) -> CachedClip:
    """A clip of another source."""
    others = [c for c, _ in clips if c.clip.source != clip.clip.source]
    return others[rng.integers(len(others))]


def judge(pieces: Sequence[RegionPiece], sound: np.ndarray, engine: Engine) -> Verdict:
    return decide_verdict(analyse_tracks(pieces, sound, AnalyseOptions(), engine), ITU)


def with_own_lags(clips: Sequence[CachedClip], engine: Engine) -> Iterator[Sure]:
    """Those whose own lag is sure, with it."""
    for clip in clips:
        frames = min(clip.frames, round(MOST_S * FPS))
        sound = clip.wave()[: frames * SAMPLES_PER_FRAME]
        told = judge(clip_pieces(clip, clip.crops(), 0, frames), sound, engine)
        known = [s.offset_ms for s in told.segments if s.offset_ms is not None]
        if told.offset_ms is not None and told.confidence >= SURE and len(known) == 1:
            yield clip, told.offset_ms


def told_of(scene: Scene, rng: np.random.Generator, engine: Engine) -> Iterator[Told]:
    """A scene at one lag, with another's sound, and with a step if one can be seen."""
    own, seconds = RememberingEngine(engine), scene.frames / FPS
    lag, step = drawn_step(rng)
    lags = [float(lag)] * len(scene.voices)
    yield Told("own", ((0.0, lag),), seconds, judge(scene.pieces, scene.sound(lags), own))
    yield Told("another's", ((0.0, 0.0),), seconds, judge(scene.pieces, scene.strange_sound(), own))
    ends = [0, *np.cumsum([frames for *_, frames in scene.voices]).tolist()]
    if len(scene.voices) < 2 or abs(step) < 120:
        return
    cut = 1 + int(rng.integers(len(scene.voices) - 1))
    if scene.seen(0, ends[cut]) and scene.seen(ends[cut], ends[-1]):
        truth: Truth = ((0.0, lag), (ends[cut] / FPS, lag + step))
        stepping = lags[:cut] + [float(lag + step)] * (len(lags) - cut)
        yield Told("step", truth, seconds, judge(scene.pieces, scene.sound(stepping), own))
    if len(scene.voices) < 3:
        return
    reply = 1 + int(rng.integers(len(scene.voices) - 2))
    begin, end = ends[reply : reply + 2]
    if scene.seen(0, begin) and scene.seen(begin, end) and scene.seen(end, ends[-1]):
        truth = ((0.0, lag), (begin / FPS, lag + step), (end / FPS, lag))
        lags[reply] += step
        yield Told("reply", truth, seconds, judge(scene.pieces, scene.sound(lags), own))


def passed_over(told: Told) -> bool:
    """Whether one lag is told across a step, seconds beyond it (an end may be left out), or of all
    of a file with a reply at another."""
    step_s = told.truth[1][0]
    return told.one and any(
        s.offset_ms is not None and s.start_s < step_s - SEEN_S and s.end_s > step_s + SEEN_S
        for s in told.verdict.segments
    )


def table(found: Sequence[tuple[Scene, Told]]) -> None:
    """A row for each share of the time in which others are shown."""
    head(
        *("others", "scenes", "told", "wrong", "another's sound told"),
        *("steps", "both lags told", "one lag told across it"),
        *("replies", "both lags told", "one lag told across it"),
    )
    for share in (*SHARES, None):
        mine = [(s, t) for s, t in found if share is None or s.share == share]
        own, strange, *changing = (
            [t for _, t in mine if t.kind == kind] for kind in ("own", "another's", "step", "reply")
        )
        row(
            "all" if share is None else f"{share:.0%}",
            len(own),
            sum(t.verdict.status != "undecided" for t in own),
            sum(any(abs(ms - t.truth[0][1]) > WRONG_MS for _, ms in t.lags) for t in own),
            sum(t.verdict.status != "undecided" for t in strange),
            *(
                count
                for ones in changing
                for count in (len(ones), sum(t.found for t in ones), sum(map(passed_over, ones)))
            ),
        )


def main() -> None:
    """Make the scenes, judge them, print the table."""
    parser = cached_clips_parser(__doc__)
    parser.add_argument("--count", type=int, default=60, help="scenes")
    parser.add_argument("--off-screen", action="store_true", help="others are heard, not seen")
    given = parser.parse_args()
    engine = load_model(threads=1)
    clips = list(with_own_lags(cached_talkers(given, LEAST_S), engine))
    found = []
    for number in range(given.count):
        rng = np.random.default_rng([given.seed, number])
        scene = drawn_scene(clips, rng, given.off_screen)
        found += [(scene, told) for told in told_of(scene, rng, engine)]
    note(f"{given.count} scenes of {len(clips)} clips, seed {given.seed}")
    table(found)


if __name__ == "__main__":
    main()
