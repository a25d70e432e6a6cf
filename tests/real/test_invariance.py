"""What must not change an answer: how bright the picture is, how loud the sound, what follows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from avsync_cli.inference.pipeline import AnalyseOptions, analyse
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.model.engine import OnnxEngine, load_engine
from avsync_cli.verdict.answer import ITU, Verdict
from avsync_cli.verdict.decision import decide_verdict
from tests.conftest import REPO

SAMPLE = REPO / "docs" / "sample" / "talker.mp4"
SAMPLE_S = 14.0


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    return load_engine("default")


def verdict_of(path: Path, engine: OnnxEngine) -> Verdict:
    return decide_verdict(analyse(path, AnalyseOptions(), engine), ITU)


@pytest.fixture(scope="module")
def plain(engine: OnnxEngine) -> Verdict:
    return verdict_of(SAMPLE, engine)


def made(folder: Path, *arguments: str) -> Path:
    """The sample put through ffmpeg."""
    out = folder / "made.mkv"
    command = [str(find_ffmpeg()), "-v", "error", "-nostdin", "-i", str(SAMPLE), *arguments]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-c:a", "pcm_s16le"]
    subprocess.run([*command, *codecs, str(out)], check=True, timeout=120)
    return out


@pytest.mark.parametrize(
    "filters",
    [
        ("-vf", "hflip"),
        ("-vf", "eq=brightness=0.1:contrast=1.1"),
        ("-vf", "eq=brightness=-0.1"),
        ("-af", "volume=-15dB"),
        ("-af", "volume=6dB"),
    ],
    ids=["mirrored", "brighter", "darker", "quieter", "louder"],
)
def test_how_it_is_shown_and_played_moves_nothing(
    engine: OnnxEngine, plain: Verdict, tmp_path: Path, filters: tuple[str, str]
) -> None:
    verdict = verdict_of(made(tmp_path, *filters), engine)
    assert plain.offset_ms is not None
    assert verdict.offset_ms == pytest.approx(plain.offset_ms, abs=10.0)


@pytest.mark.parametrize("what", ["black and silence", "a picture without sound", "other sound"])
def test_what_follows_does_not_change_the_answer(
    engine: OnnxEngine, plain: Verdict, tmp_path: Path, what: str
) -> None:
    picture = "color=black:s=64x48:r=25" if what != "a picture without sound" else "testsrc=r=25"
    music = "aevalsrc=0.2*sin(2*PI*t*(220+110*floor(mod(t*2\\,4))))*gt(sin(9*t)\\,-0.3)"
    sound = music if what == "other sound" else "anullsrc=r=16000"
    joined = (
        "[0:v]scale=320:240,fps=25,setsar=1[v0];[0:a]aresample=16000,aformat=channel_layouts=mono[a0];"
        f"{picture},scale=320:240,setsar=1,trim=duration=16[v1];"
        f"{sound},aresample=16000,aformat=channel_layouts=mono,atrim=duration=16[a1];"
        "[v0][a0][v1][a1]concat=n=2:v=1:a=1[v][a]"
    )
    path = made(tmp_path, "-filter_complex", joined, "-map", "[v]", "-map", "[a]")
    verdict = verdict_of(path, engine)
    assert plain.offset_ms is not None
    assert verdict.status == plain.status
    assert verdict.offset_ms == pytest.approx(plain.offset_ms, abs=15.0)


@pytest.mark.parametrize("what", ["silence", "music"])
def test_what_has_no_answer_gets_none_when_more_of_nothing_is_added(
    engine: OnnxEngine, tmp_path: Path, what: str
) -> None:
    # The sample's picture with sound that is not its own: no lag is right.
    music = "aevalsrc=0.2*sin(2*PI*t*(220+110*floor(mod(t*3\\,5))))*gt(sin(7*t)\\,-0.2)"
    sound = music if what == "music" else "anullsrc=r=16000"
    length = f"duration={2 * SAMPLE_S}"
    replaced = f"{sound},aresample=16000,atrim={length}[a];[0:v]loop=-1:350,trim={length}[v]"
    path = made(tmp_path, "-filter_complex", replaced, "-map", "[v]", "-map", "[a]")
    assert verdict_of(path, engine).status == "undecided"
