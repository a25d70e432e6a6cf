"""A copy that is not what was planned does not pass, whatever is wrong with it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.errors import MediaError, WriteError
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from avsync_cli.repair.check import Finding, check_copy
from avsync_cli.repair.containers import carrier
from avsync_cli.repair.contents import list_contents
from avsync_cli.repair.copy import Move, Recipe, plan_copies, write_copy
from avsync_cli.repair.run import write_checked
from avsync_cli.repair.sound_graph import Piece
from avsync_cli.repair.sound_shift import windows_of

SECONDS = 6.0
LAG_MS = 130.0


def run(*words: str | Path) -> None:
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, timeout=120)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with B-frames, and noise; late by LAG_MS as far as anybody is told."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    picture = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={SECONDS}")
    sound = ("-f", "lavfi", "-i", f"anoisesrc=r=48000:a=0.4:d={SECONDS}:seed=4")
    other = ("-f", "lavfi", "-i", f"anoisesrc=r=48000:a=0.4:d={SECONDS}:seed=5")
    codecs = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-c:a", "flac")
    run(*picture, *sound, *other, "-map", "0", "-map", "1", "-map", "2", *codecs, path)
    return path


def the_move(source: Path, copy: Path, *pieces: Piece) -> Move:
    info = probe(source)
    return Move(
        info=info,
        video=pick_video(info, None),
        audio=pick_audio(info, 0),
        pieces=pieces or (Piece(0.0, None, LAG_MS),),
        into=carrier(copy),
    )


def copied(move: Move, copy: Path) -> Recipe:
    recipes = plan_copies(move, list_contents(move.info, move.into))
    return write_copy(move.info, recipes, copy, copy)


def test_what_was_planned_passes(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    for lag_ms in (LAG_MS, -LAG_MS, 1234.5):
        move = the_move(source, copy, Piece(0.0, None, lag_ms))
        assert check_copy(move, copied(move, copy), copy) == Finding()


Harm = tuple[str, list[str], str]

HARMS: list[Harm] = [
    ("the last pictures are missing", ["-frames:v", "148"], "148 of 150"),
    ("a picture is missing in the middle", ["-bsf:v", "noise=drop=eq(n\\,70)"], "149 of 150"),
    ("a picture is damaged", ["-bsf:v", "noise=amount=if(eq(n\\,70)\\,5\\,0)"], "picture|not what"),
    ("the sound is late", ["-bsf:a:0", "setts=ts=TS+40"], "40.0 ms too late"),
    ("the sound is early", ["-bsf:a:0", "setts=ts=max(0\\,TS-30)"], "jump by"),
    (
        "only its tail is late",
        ["-bsf:a:0", "setts=ts=if(gt(TS\\,4000)\\,TS+50\\,TS)"],
        "jump by 50",
    ),
    (
        "only its head is early",
        ["-bsf:a:0", "setts=ts=if(gt(TS\\,900)\\,TS+50\\,TS)"],
        "jump by 50",
    ),
    ("the sound ends early", ["-bsf:a:0", "noise=drop=gt(pts\\,4000)"], "the sound ends at 0:04"),
    ("the other track is late", ["-bsf:a:1", "setts=ts=TS+20"], "track 2 .flac. is moved by 20"),
    ("the other track is damaged", ["-bsf:a:1", "noise=amount=if(eq(n\\,9)\\,7\\,0)"], "track 2"),
    ("a track is missing", ["-map", "-0:a:1"], "cannot be read|track"),
]


@pytest.mark.parametrize(("what", "words", "says"), HARMS, ids=[harm[0] for harm in HARMS])
def test_harm_is_seen(source: Path, tmp_path: Path, what: str, words: list[str], says: str) -> None:
    copy, harmed = tmp_path / "copy.mkv", tmp_path / "harmed.mkv"
    move = the_move(source, copy)
    recipe = copied(move, copy)
    run("-i", copy, "-map", "0", "-c", "copy", *words, harmed)
    try:
        against = check_copy(move, recipe, harmed).against
    except MediaError as error:
        against = f"cannot be read: {error}"
    assert against
    import re

    assert re.search(says, against), against


def test_the_sound_of_another_track_is_not_taken_for_it(source: Path, tmp_path: Path) -> None:
    copy, swapped = tmp_path / "copy.mkv", tmp_path / "swapped.mkv"
    move = the_move(source, copy)
    recipe = copied(move, copy)
    run(
        "-i",
        copy,
        "-i",
        copy,
        "-map",
        "0:v",
        "-map",
        "0:a:1",
        "-map",
        "1:a:1",
        "-c",
        "copy",
        swapped,
    )
    assert "the sound is another" in check_copy(move, recipe, swapped).against


def test_every_piece_is_looked_at(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    told = (Piece(0.0, 2.0, 100.0), Piece(2.0, 4.0, -60.0), Piece(4.0, None, 20.0))
    move = the_move(source, copy, *told)
    recipe = copied(move, copy)
    assert check_copy(move, recipe, copy) == Finding()
    for wrong in range(3):
        pieces = list(told)
        pieces[wrong] = replace(told[wrong], offset_ms=told[wrong].offset_ms + 25.0)
        finding = check_copy(replace(move, pieces=tuple(pieces)), recipe, copy)
        assert "the sound is 25" in finding.against, wrong


def test_pictures_that_share_a_block_of_a_program_stream(source: Path, tmp_path: Path) -> None:
    film, copy = tmp_path / "film.mpg", tmp_path / "copy.mpg"
    run("-i", source, "-map", "0:v", "-map", "0:a:0", "-c:v", "mpeg2video", "-c:a", "mp2", film)
    # Only the first picture that begins in a block has a time to be shown at there.
    for lag_ms in (237.0, -320.0):
        move = the_move(film, copy, Piece(0.0, None, lag_ms))
        assert check_copy(move, copied(move, copy), copy) == Finding()


def test_early_sound_that_is_cut_at_the_last_picture(source: Path, tmp_path: Path) -> None:
    film, copy = tmp_path / "film.mxf", tmp_path / "copy.mxf"
    codecs = ("-c:v", "mpeg2video", "-c:a", "pcm_s16le")
    run("-i", source, "-map", "0:v", "-map", "0:a:0", *codecs, film)
    for lag_ms in (-320.0, -1200.0):
        move = the_move(film, copy, Piece(0.0, None, lag_ms))
        assert check_copy(move, copied(move, copy), copy) == Finding()


def test_windows_cover_head_middle_and_tail() -> None:
    found = windows_of([Piece(0.0, None, -500.0)], 0.0, 100.0)
    assert found[0].at_s == 0.5 and found[0].from_s == 0.0
    assert found[-1].at_s + found[-1].length_s == pytest.approx(100.5)
    assert max(np.diff([window.at_s for window in found])) < 5.0
    cut = windows_of([Piece(0.0, None, -500.0)], 0.0, 100.0, 100.0)
    assert cut[-1].at_s + cut[-1].length_s == pytest.approx(100.0)


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have ffmpeg's output lose its last bytes, as where the last flush meets a full disk and
    ffmpeg ends with 0 all the same."""
    from avsync_cli.repair import copy as copying

    carry_out = copying._carry_out

    def lose(count: int) -> None:
        def harmed(recipe: Recipe, info: object, partial: Path, progress: object) -> object:
            done = carry_out(recipe, info, partial, progress)  # type: ignore[arg-type]
            with partial.open("r+b") as file:
                file.truncate(max(0, partial.stat().st_size - count))
            return done

        monkeypatch.setattr(copying, "_carry_out", harmed)

    return lose


@pytest.mark.parametrize("suffix", (".mkv", ".ts", ".m2ts", ".mpg", ".mp4", ".avi", ".mxf"))
@pytest.mark.parametrize("count", (7, 2_000, 30_000))
def test_a_copy_cut_short_never_passes(
    source: Path, tmp_path: Path, cut_short: Callable[[int], None], suffix: str, count: int
) -> None:
    film, copy = tmp_path / f"film{suffix}", tmp_path / f"copy{suffix}"
    codec = {".mpg": ("mpeg2video", "mp2"), ".avi": ("mpeg4", "pcm_s16le")}
    codec |= {".mxf": ("mpeg2video", "pcm_s16le"), ".m2ts": ("libx264", "ac3")}
    video, audio = codec.get(suffix, ("libx264", "aac"))
    run("-i", source, "-map", "0:v", "-map", "0:a:0", "-c:v", video, "-c:a", audio, film)
    move = the_move(film, copy)
    recipes = plan_copies(move, list_contents(move.info, move.into))
    cut_short(count)
    try:
        _, finding = write_checked(move, recipes, copy, copy, lambda _: nullcontext())
    except MediaError:
        return
    assert finding.against


def test_a_full_disk_is_called_that(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    try:
        copy = place / "copy.mkv"
        move = the_move(source, copy)
        recipes = plan_copies(move, list_contents(move.info, move.into))
        with pytest.raises(WriteError, match=r"cannot write .*copy\.mkv: No space left"):
            write_checked(move, recipes, copy, copy, lambda _: nullcontext())
    finally:
        subprocess.run(["umount", str(place)], check=True)
