"""The shipped model on real people, and on the project's own clip: does the tool tell the truth?

Real clips are not part of the project. They are looked for in AVSYNC_DATA, or beside the checkout;
without them these tests are skipped, and say so.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from avsync_cli import judging
from avsync_cli.config import DEFAULTS
from avsync_cli.errors import MediaError
from avsync_cli.evaluation.shifted_copy import shift_sound
from avsync_cli.inference import pipeline
from avsync_cli.inference.evidence import Evidence
from avsync_cli.inference.pipeline import AnalyseOptions, analyse
from avsync_cli.judging import judged
from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.model.engine import OnnxEngine, load_engine
from avsync_cli.verdict.answer import ITU, Judgement
from avsync_cli.verdict.missing import SPEECH
from tests.conftest import REPO
from tests.planes import as_planes

DATA = Path(os.environ.get("AVSYNC_DATA") or REPO.parent / "shared" / "data")
TALKING = DATA / "test" / "talking"
NEAR_MS = 40.0

real_clips = pytest.mark.skipif(
    not TALKING.is_dir(), reason=f"no real clips at {DATA}; set AVSYNC_DATA to have them tested"
)


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    return load_engine("default")


def judge(path: Path, engine: OnnxEngine, **options: float) -> Judgement:
    evidence = analyse(path, AnalyseOptions(**options), engine)  # type: ignore[arg-type]
    return judged(path, evidence, ITU)


def test_the_projects_own_clip_is_120_ms_late(engine: OnnxEngine) -> None:
    report = judge(REPO / "docs" / "sample" / "talker.mp4", engine)
    verdict = report.verdict
    assert verdict.offset_ms == pytest.approx(120.0, abs=NEAR_MS)
    assert verdict.direction == "audio_late"
    assert verdict.confidence > 0.9
    assert sum(b.weight for b in report.evidence.blocks) == pytest.approx(1.0)


@pytest.mark.parametrize("shift_ms", [-240, 80])
def test_the_projects_own_clip_moved_further(
    engine: OnnxEngine, tmp_path: Path, shift_ms: int
) -> None:
    sample = REPO / "docs" / "sample" / "talker.mp4"
    moved = tmp_path / "moved.mp4"
    shift_sound(sample, moved, shift_ms)
    first, second = judge(sample, engine).verdict, judge(moved, engine).verdict
    assert first.offset_ms is not None
    assert second.offset_ms is not None
    assert second.offset_ms - first.offset_ms == pytest.approx(shift_ms, abs=20.0)


@pytest.mark.parametrize("look_s", [60.0, 7.0])
def test_a_lag_beyond_the_range_is_found_by_a_second_look(
    engine: OnnxEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_s: float
) -> None:
    moved, read = tmp_path / "moved.mp4", []
    shift_sound(REPO / "docs" / "sample" / "talker.mp4", moved, 1500)

    def noted(info: MediaInfo, options: AnalyseOptions, *rest: object) -> Evidence:
        read.append((options.range_ms, options.duration_s is None))
        return analyse(info, options, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "analyse", noted)
    monkeypatch.setattr(judging, "LOOK_S", look_s)
    found = judging.analyse_file(moved, DEFAULTS["score"], engine).verdict
    assert found.offset_ms == pytest.approx(1620.0, abs=NEAR_MS)
    assert "nothing fits within ±1 s: it was looked for further off" in found.reasons
    first, *again = read
    assert first == (1000, True)
    # Of what is longer than a look, a part is looked at before all of it is.
    assert again == [(4000, False), (4000, True)] if look_s < 10 else [(4000, True)]
    asked = judging.analyse_file(moved, DEFAULTS["score"].but(range_ms=1000), engine).verdict
    assert asked.status == "undecided"


@pytest.mark.slow
def test_stretches_are_looked_at_further_off_too(engine: OnnxEngine, tmp_path: Path) -> None:
    late, film = tmp_path / "late.mp4", tmp_path / "film.mp4"
    shift_sound(REPO / "docs" / "sample" / "talker.mp4", late, 1500)
    again = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-stream_loop", "17", "-i", str(late)]
    subprocess.run([*again, "-c", "copy", "-t", "245", str(film)], check=True)
    settings = replace(DEFAULTS["score"], quick=True)
    found = judging.analyse_file(film, settings, engine)
    assert found.evidence.stretches is not None and found.evidence.read_s < 200.0
    assert found.verdict.offset_ms == pytest.approx(1620.0, abs=NEAR_MS)
    assert "nothing fits within ±1 s: it was looked for further off" in found.verdict.reasons


@pytest.mark.parametrize("status", ["vain", "broken"])
def test_a_second_look_in_vain_leaves_the_answer_of_the_first(
    engine: OnnxEngine, status: str
) -> None:
    sample = REPO / "docs" / "sample" / "talker.mp4"
    first = judge(sample, engine)
    told = replace(first.verdict, status="undecided", would_decide=f"{SPEECH}, or (--range 4s)")
    first = replace(first, verdict=told)

    def again(info: object, options: object) -> Judgement:
        if status == "broken":
            raise MediaError("damaged", "look at it", str(sample))
        return first

    found = judging._further_off(first, None, AnalyseOptions(), again)  # type: ignore[arg-type]
    assert found.evidence is first.evidence
    assert found.verdict.status == "undecided"


@real_clips
@pytest.mark.slow
def test_people_never_seen_are_placed_and_follow_known_shifts(
    engine: OnnxEngine, tmp_path: Path
) -> None:
    clips = sorted((TALKING / "rizkiarm__LipNet").glob("*.mp4"))[:4]
    assert clips
    placed, followed = [], []
    for clip in clips:
        own = judge(clip, engine).verdict.offset_ms
        placed.append(own is not None and abs(own) <= NEAR_MS)
        for shift_ms in (-120, 240):
            moved = tmp_path / f"{shift_ms}.mp4"
            shift_sound(clip, moved, shift_ms)
            found = judge(moved, engine).verdict.offset_ms
            near = own is not None and found is not None
            followed.append(near and abs(found - own - shift_ms) <= NEAR_MS)  # type: ignore[operator]
    assert sum(placed) >= len(placed) - 1
    assert sum(followed) >= len(followed) - 1


@real_clips
@pytest.mark.slow
def test_copies_moved_by_others_are_read_as_they_are_named(engine: OnnxEngine) -> None:
    folder = TALKING / "R-V-Abhishek__Syncnet_FCN"
    (start,) = folder.glob("test_offset_0_*.mp4")
    base = judge(start, engine).verdict.offset_ms
    assert base is not None
    for frames in (5, 12):
        (copy,) = folder.glob(f"test_offset_{frames}_*.mp4")
        found = judge(copy, engine).verdict.offset_ms
        assert found is not None
        assert abs(found - base) == pytest.approx(40.0 * frames, abs=NEAR_MS)


@real_clips
@pytest.mark.slow
def test_another_clips_sound_is_no_answer(engine: OnnxEngine) -> None:
    """A dub has no offset: hardly any may be given one with confidence.

    The hardest case there is: other speakers' sentences of the same length, words and rhythm.
    """
    from avsync_cli.inference.pipeline import analyse_tracks
    from avsync_cli.regions.stream import RegionStream
    from avsync_cli.verdict.answer import Verdict
    from avsync_cli.verdict.decision import decide_verdict
    from tests.read_all import read_all

    clips = sorted((TALKING / "rizkiarm__LipNet").glob("*.mp4"))[:6]
    streams = [read_all(c) for c in clips]
    verdicts: list[Verdict] = []
    options = AnalyseOptions()
    for one, other in zip(streams, streams[1:] + streams[:1], strict=True):
        stream = RegionStream(one.frames.shape[1:3])
        pieces = stream.push(0, as_planes(one.frames), one.frame_valid) + stream.finish()
        length = min(len(one.sound), len(other.sound))
        evidence = analyse_tracks(pieces, other.sound[:length], options, engine)
        verdicts.append(decide_verdict(evidence, ITU))
    decided = [v for v in verdicts if v.status != "undecided"]
    assert len(decided) <= 1
