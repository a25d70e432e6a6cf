"""Channels and tracks that tell another story than the mix: found by a look, decoded alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avsync_cli.media.channels import other_sounds
from avsync_cli.media.decode import Timeline
from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.probe import probe
from tests.clips import SOURCE_RATE_HZ, Clips

SECONDS = 3.0
HERTZ = (500.0, 900.0, 1400.0)


def talk(seed: int) -> np.ndarray:
    """(n,) a tone that comes and goes as syllables do."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(SECONDS * SOURCE_RATE_HZ)) / SOURCE_RATE_HZ
    loud = np.repeat(rng.random(30) > 0.5, len(t) // 30)
    return 0.5 * np.sin(2 * np.pi * HERTZ[seed] * t[: len(loud)]) * loud


def noise(level: float) -> np.ndarray:
    """(n,) white noise."""
    return level * np.random.default_rng(9).normal(size=len(talk(0)))


def film(clips: Clips, name: str, tracks: list[list[np.ndarray]]) -> MediaInfo:
    """A clip with sound tracks of these channels."""
    inputs, maps = [], ["-map", "0:v"]
    for number, channels in enumerate(tracks):
        path = clips.folder / f"{name}-{number}.wav"
        clips.write_wave(path, np.stack(channels, axis=1))
        inputs += ["-i", str(path)]
        maps += ["-map", f"{number + 1}:a"]
    made = clips.folder / f"{name}.mkv"
    picture = clips.picture("25", SECONDS)
    clips.run(*picture, *inputs, *maps, *clips.picture_out("25"), "-c:a", "pcm_s16le", str(made))
    return probe(made)


@pytest.mark.parametrize("place", [0, 2, 5])
def test_the_channel_that_speaks_is_found_among_noise(clips: Clips, place: int) -> None:
    channels = [noise(0.0)] * 6
    channels[(place + 1) % 6], channels[place] = noise(0.3), 0.05 * talk(0)
    info = film(clips, f"surround{place}", [channels])
    (found,) = other_sounds(info, info.audio[0])
    assert found.name == f"channel {place + 1} of 6"
    with Timeline(found.info) as timeline:
        heard = np.concatenate([chunk.sound for chunk in timeline])
    expected = talk(0)[::3][: len(heard)]  # 48 kHz to 16
    assert np.corrcoef(heard[: len(expected)], expected)[0, 1] > 0.98


def test_two_microphones_are_two_sounds(clips: Clips) -> None:
    info = film(clips, "microphones", [[talk(0), 0.3 * talk(1)]])
    assert "channel 2 of 2" in [other.name for other in other_sounds(info, info.audio[0])]
    info = film(clips, "tracks", [[talk(0)], [talk(1)], [talk(0)], [noise(0.2)]])
    assert [other.track for other in other_sounds(info, info.audio[0])] == [1]


def test_sides_of_one_sound_are_not_tried(clips: Clips, tmp_path: Path) -> None:
    info = film(clips, "stereo", [[talk(0), 0.5 * talk(0)]])
    assert other_sounds(info, info.audio[0]) == []
    quiet = film(clips, "hum", [[noise(0.3), noise(0.0)]])
    assert other_sounds(quiet, quiet.audio[0]) == []
