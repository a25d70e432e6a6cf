"""A person whose sound lost a piece: what repairing such a file does to either part of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import avsync_cli
from avsync_cli.inference.pipeline import AnalyseOptions, analyse
from avsync_cli.judging import judged
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.model.engine import load_engine
from avsync_cli.verdict.answer import ITU
from tests.real.test_shipped_model import TALKING, real_clips

LOST_MS = 320.0
CUT_S, WHOLE_S = 11, 16
CLIP = TALKING / "ShreyJ1729__clip-translator" / "betterhelpgirl-english_7f8e43.mp4"


def cut(path: Path) -> Path:
    """Sixteen seconds of the clip, of whose sound a third of a second is missing from 0:11 on."""
    lost = f"atrim=0:{CUT_S},asetpts=N/SR/TB[head]"
    rest = f"atrim={CUT_S + LOST_MS / 1000},asetpts=N/SR/TB[tail]"
    graph = (
        f"[0:a]aresample=48000,asplit[a][b];[a]{lost};[b]{rest};"
        f"[head][tail]concat=n=2:v=0:a=1,apad=whole_dur={WHOLE_S}[sound]"
    )
    start = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-stream_loop", "-1", "-i", str(CLIP)]
    made = ["-filter_complex", graph, "-map", "0:v", "-map", "[sound]", "-t", str(WHOLE_S)]
    coded = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-c:a", "aac", str(path)]
    subprocess.run([*start, *made, *coded], check=True, stdin=subprocess.DEVNULL)
    return path


@real_clips
@pytest.mark.slow
def test_a_repaired_cut_leaves_what_was_in_sync_and_brings_the_rest_there(tmp_path: Path) -> None:
    engine, made = load_engine("default"), tmp_path / "repaired.mp4"

    def lag_ms(path: Path, start_s: float, duration_s: float) -> float:
        options = AnalyseOptions(start_s=start_s, duration_s=duration_s)
        verdict = judged(path, analyse(path, options, engine), ITU).verdict
        assert verdict.offset_ms is not None, verdict.reasons
        return verdict.offset_ms

    source = cut(tmp_path / "cut.mp4")
    before = lag_ms(source, 0, CUT_S - 0.5), lag_ms(source, CUT_S, WHOLE_S - CUT_S)
    assert before[1] - before[0] == pytest.approx(-LOST_MS, abs=40.0)
    avsync_cli.fix(source, made)
    after = lag_ms(made, 0, CUT_S - 0.5), lag_ms(made, CUT_S + 0.5, WHOLE_S - CUT_S - 0.5)
    assert after[0] == pytest.approx(before[0], abs=10.0)
    assert after[1] == pytest.approx(after[0], abs=60.0)
