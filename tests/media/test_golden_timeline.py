"""Does the decode show sound and picture as far apart as the file has them?

Every container × lag × frame rate. The lag is in the time stamps, the harder case: the sound's
stream starts late, or, for sound that is early, the picture's does. Naive extraction (each stream
from its own first frame) reads 0 for all of these.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.read_all import read_all

LAGS_MS = (-200, -40, 0, 40, 200)
RATES = ("25", "30", "60000/1001", "24000/1001", "vfr")
CONTAINERS = ("mp4", "mov", "mkv", "webm", "ts")

TOLERANCE_MS = 10.0
"""Half of it is used up in webm by ffmpeg before 6, whose muxer writes Opus sound 6.5 ms early."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def matrix(clips):
    """Makes the five containers of one rate and lag in one go, on demand."""
    made: dict[tuple[str, int], dict[str, Path]] = {}

    def get(rate: str, lag_ms: int) -> dict[str, Path]:
        if (rate, lag_ms) not in made:
            stem = f"golden-{rate.replace('/', '-')}-{lag_ms:+d}"
            paths = {kind: clips.folder / f"{stem}.{kind}" for kind in CONTAINERS}
            outputs = []
            for kind, path in paths.items():
                video, audio = ("libvpx", "libopus") if kind == "webm" else ("libx264", "aac")
                maps = ["-map", "0:v", "-map", "1:a"]
                outputs += [*maps, *clips.picture_out(rate, video), "-c:a", audio, str(path)]
            lag = ["-itsoffset", f"{lag_ms / 1000:.3f}"]
            clips.run(*clips.picture(rate), *lag, "-i", str(clips.sound()), *outputs)
            made[rate, lag_ms] = paths
        return made[rate, lag_ms]

    return get


@pytest.mark.parametrize("lag_ms", LAGS_MS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_decoded_offset_is_the_files(matrix, measure_clip, container, rate, lag_ms):
    chunk = read_all(matrix(rate, lag_ms)[container])
    # With early sound the file begins with the sound, and the picture follows.
    zero_s = max(0.0, -lag_ms / 1000)
    _, offset_s = measure_clip(chunk, lag_ms / 1000, zero_s)
    assert offset_s * 1000 == pytest.approx(lag_ms, abs=TOLERANCE_MS)
