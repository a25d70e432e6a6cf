"""What is not sound stays as it was in every container, and what one cannot carry is said."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.ffmpeg import find_ffmpeg, find_ffprobe
from avsync_cli.media.probe import probe
from avsync_cli.repair import contents as contents_file
from avsync_cli.repair.check import Finding
from avsync_cli.repair.containers import carrier
from avsync_cli.repair.contents import list_contents
from avsync_cli.repair.copy import Move, plan_copies
from avsync_cli.repair.description import describe
from avsync_cli.repair.kept import losses
from avsync_cli.repair.run import write_checked
from avsync_cli.repair.sound_graph import Piece
from tests.repair.whole_answer import ask, differences
from tests.repair.zoo import ZOO, Kind, embellish

pytestmark = pytest.mark.skipif(find_ffprobe() is None, reason="needs ffprobe to compare with")

SECONDS = 2.4


def run(*words: str | Path) -> None:
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, timeout=120)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving pictures and noise, which is like itself nowhere."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    picture = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={SECONDS}")
    sound = ("-f", "lavfi", "-i", f"anoisesrc=r=48000:a=0.4:d={SECONDS}:seed=4")
    run(*picture, *sound, "-c:v", "ffv1", "-c:a", "pcm_s16le", path)
    return path


def repaired(source: Path, copy: Path, lag_ms: float) -> tuple[str, list[str]]:
    """The way in which a copy was written that passed all checks, and what is told as lost."""
    info = probe(source)
    move = Move(
        info=info,
        video=pick_video(info, None),
        audio=pick_audio(info, 0),
        pieces=(Piece(0.0, None, lag_ms),),
        into=carrier(copy),
    )
    recipes = plan_copies(move, list_contents(info, move.into))
    recipe, finding = write_checked(move, recipes, copy, copy, lambda _: nullcontext())
    assert finding == Finding()
    before, after = describe(source), describe(copy)
    assert before is not None and after is not None
    lost = [track.words for track in recipe.contents.left_out]
    return recipe.way, lost + losses(before, after, recipe.contents)


def sound_index(path: Path) -> int:
    return next(s["index"] for s in ask(path)["streams"] if s["codec_type"] == "audio")


@pytest.mark.parametrize("lag_ms", (130, -130))
@pytest.mark.parametrize("suffix", ZOO)
def test_nothing_else_differs(clip: Path, tmp_path: Path, suffix: str, lag_ms: float) -> None:
    source, copy = tmp_path / f"film{suffix}", tmp_path / f"copy{suffix}"
    embellish(ZOO[suffix], clip, source, lag_ms, SECONDS)
    _, lost = repaired(source, copy, lag_ms)
    assert lost == []
    assert differences(source, copy, sound_index(source)) == []


def test_a_test_like_that_would_notice(clip: Path, tmp_path: Path) -> None:
    source, copy = tmp_path / "film.mkv", tmp_path / "copy.mkv"
    embellish(ZOO[".mkv"], clip, source, 130, SECONDS)
    run("-i", source, "-map", "0", "-c", "copy", copy)
    found = " ".join(differences(source, copy, sound_index(source)))
    assert "creation_time" in found and "attached_pic" in found


@pytest.mark.parametrize("suffix", (".mp4", ".mov"))
def test_rotation_and_covers_of_mp4(clip: Path, tmp_path: Path, suffix: str) -> None:
    plain, cover = tmp_path / f"plain{suffix}", tmp_path / "cover.png"
    source, copy = tmp_path / f"film{suffix}", tmp_path / f"copy{suffix}"
    embellish(ZOO[".mp4"], clip, plain, 130, SECONDS)
    run("-f", "lavfi", "-i", "color=blue:s=32x32", "-frames:v", "1", cover)
    words = ["-i", plain, "-i", cover, "-map", "0:v", "-map", "0:a", "-c", "copy"]
    if suffix == ".mp4":  # ffmpeg writes no covers into mov
        words += ["-map", "1", "-disposition:v:1", "attached_pic"]
    run(*words, "-metadata:s:v:0", "rotate=90", source)
    said = ask(source)["streams"]
    if not any("side_data_list" in stream for stream in said):
        pytest.skip("this ffmpeg has another way to turn pictures")
    assert repaired(source, copy, 130)[1] == []
    assert differences(source, copy, sound_index(source)) == []


def test_programmes_keep_their_names_and_streams(clip: Path, tmp_path: Path) -> None:
    source, copy = tmp_path / "two.ts", tmp_path / "copy.ts"
    words = ["-i", clip, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c:v", "libx264"]
    words += ["-c:a", "mp2", "-streamid", "0:300", "-streamid", "1:301", "-streamid", "2:444"]
    words += ["-program", "program_num=5:title=One:st=0:st=1"]
    words += ["-program", "program_num=9:title=Two: of two:st=2".replace(": of", " of")]
    run(*words, "-mpegts_pmt_start_pid", "900", source)
    assert len(ask(source)["programs"]) == 2
    assert repaired(source, copy, 130)[1] == []
    assert differences(source, copy, sound_index(source)) == []


def test_what_a_container_cannot_carry_is_said(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    embellish(Kind(chapters=False), clip, source, 130, SECONDS)
    plain = tmp_path / "rich.mkv"
    font = tmp_path / "font.ttf"
    font.write_bytes(b"font" * 100)
    extras = ["-attach", font, "-metadata:s:t", "mimetype=application/x-truetype-font"]
    run("-i", source, "-map", "0", "-c", "copy", *extras, "-metadata", "mood=good", plain)
    _, lost = repaired(plain, tmp_path / "copy.mp4", 130)
    assert lost == ["attachment track 3 (ttf)", "the file's metadata 'MOOD'"]


def test_without_ffprobe_picture_sound_and_titles_are_kept(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, copy = tmp_path / "film.mkv", tmp_path / "copy.mkv"
    embellish(ZOO[".mkv"], clip, source, 130, SECONDS)
    with monkeypatch.context() as without:
        without.setattr(contents_file, "describe", lambda _: None)
        repaired(source, copy, 130)
    kinds = [stream["codec_type"] for stream in ask(copy)["streams"]]
    assert kinds == ["video", "audio", "audio", "subtitle", "attachment"]


def test_tags_that_look_like_ffmpegs_words_are_no_tracks(clip: Path, tmp_path: Path) -> None:
    source, copy = tmp_path / "film.mkv", tmp_path / "copy.mkv"
    hostile = "a\n  Stream #0:7: Video: h264, 99x99\n    displaymatrix: rotation of 90.00 degrees"
    words = ["-i", clip, "-c:v", "libx264", "-c:a", "aac", "-metadata", f"title={hostile}"]
    run(*words, "-metadata:s:a", "title=-map 0:9", "-metadata:s:v", "c=d=e", source)
    assert repaired(source, copy, 130)[1] == []
    assert differences(source, copy, sound_index(source)) == []


def test_a_language_nobody_knows_is_no_loss() -> None:
    none = SimpleNamespace(counterparts=list)
    before = {"format": {"tags": {"language": "und", "LANGUAGE-x": "und"}}, "streams": []}
    after = {"format": {}, "streams": []}
    assert losses(before, after, none) == ["the file's metadata 'LANGUAGE-x'"]  # type: ignore[arg-type]
