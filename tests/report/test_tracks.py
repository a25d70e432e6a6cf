"""Faces as a table, as boxes, and as clips that training reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.__main__ import main
from avsync_cli.corpus.manifest import load_manifest
from avsync_cli.drawing.face_clip import CLIP_PX, face_squares
from avsync_cli.errors import UsageError
from avsync_cli.inference.evidence import TrackPath
from avsync_cli.judging import Excerpt
from avsync_cli.report.tracks import FaceClips, TrackTable, write_boxes
from avsync_cli.verdict.answer import Judgement, TrackResult
from tests.clips import Clips
from tests.conftest import make_track
from tests.read_all import read_all

Make = Callable[..., Judgement]


def face(number: int, first: int, frames: int, **more: object) -> tuple[TrackResult, TrackPath]:
    """A face in the middle of the picture."""
    boxes = np.tile(np.array([16384, 16384, 32768, 32768], np.uint16), (frames, 1))
    more = {"start_s": first / 25, "end_s": (first + frames) / 25, **more}
    return make_track(number, **more), TrackPath(first, boxes)


def film(make: Make, name: str, *faces: tuple[TrackResult, TrackPath]) -> Judgement:
    """A judgement on a file with these faces."""
    judgement = make(name)
    paths = {track.track: path for track, path in faces}
    return replace(
        judgement,
        tracks=tuple(track for track, _ in faces),
        evidence=replace(judgement.evidence, paths=paths),
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_a_line_a_face_with_all_that_is_known(make_report: Make, tmp_path: Path) -> None:
    table = TrackTable(tmp_path / "tracks.csv")
    nothing = {"offset_ms": None, "offset_ci_ms": None, "kept": False, "reason": "silence"}
    table.take(film(make_report, "a.mp4", face(0, 25, 50), face(1, 30, 5, **nothing)))
    table.take(film(make_report, "none.mp4"))
    table.take(film(make_report, "b.mp4", face(0, 0, 50)))
    assert not (tmp_path / "tracks.csv").exists()
    table.finish()
    one, silent, other = rows(tmp_path / "tracks.csv")
    assert (one["path"], one["track"], one["start_s"], one["end_s"]) == ("a.mp4", "0", "1.0", "3.0")
    assert (one["width_px"], one["height_px"]) == ("960", "540")
    assert one["way_px"] == " ".join(["960:540"] * 5)
    assert (one["offset_ms"], one["offset_ci_low_ms"], one["margin"]) == ("200.0", "180.0", "5.25")
    assert (one["kept"], silent["kept"], silent["reason"]) == ("true", "false", "silence")
    assert (silent["offset_ms"], silent["offset_ci_high_ms"]) == ("", "")
    assert (other["path"], other["track"]) == ("b.mp4", "0")


def test_boxes_are_a_line_a_frame(make_report: Make, tmp_path: Path) -> None:
    write_boxes(film(make_report, "a.mp4", face(0, 25, 3), face(4, 100, 2)), tmp_path / "b.csv")
    found = rows(tmp_path / "b.csv")
    assert [(r["track"], r["frame"], r["time_s"]) for r in found] == [
        ("0", "25", "1.0"), ("0", "26", "1.04"), ("0", "27", "1.08"), ("4", "100", "4.0"),
        ("4", "101", "4.04"),
    ]  # fmt: skip
    box = [float(found[0][side]) for side in ("left_px", "top_px", "width_px", "height_px")]
    assert box == pytest.approx([480.0, 270.0, 960.0, 540.0], abs=0.1)


@pytest.mark.parametrize("align", [False, True])
def test_a_kept_face_is_a_clip_that_training_takes(
    make_report: Make,
    clips: Clips,
    measure_clip: Callable[..., tuple[float, float]],
    tmp_path: Path,
    align: bool,
) -> None:
    """Also where the face comes later than the film begins; `align` moves the sound to zero."""
    late = clips.folder / f"late-{align}.mp4"
    sound = str(clips.sound(0.2))
    codecs = ["-c:a", "aac", "-c:v", "libx264"]
    Clips.run(*clips.picture("25"), "-i", sound, "-pix_fmt", "yuv420p", *codecs, str(late))
    lost = face(1, 0, 40, kept=False, reason="silence")
    folder = tmp_path / "faces"
    faces = FaceClips(folder, align, Excerpt())
    faces.take(film(make_report, str(late), face(0, 10, 60), lost))
    faces.finish()
    (clip,) = load_manifest(folder)
    assert sorted(p.name for p in folder.iterdir()) == [clip.path.name, "manifest.csv"]
    assert (clip.source, clip.kind) == (late.stem, "talking")
    assert clip.offset_ms == (0.0 if align else 200.0)
    assert (clip.start_s, clip.end_s) == (None, None)
    (row,) = rows(folder / "manifest.csv")
    assert (row["film"], row["track"], row["lag_ms"]) == (str(late), "0", "200.0")
    seen = read_all(clip.path)
    assert len(seen.frames) in (60, 61)  # the sound may end within a frame more
    assert seen.frames.shape[1:3] == (CLIP_PX, CLIP_PX)
    events = np.array(Clips.events_s[:3]) - 0.4
    flash_s, lag_s = measure_clip(seen, 0.0 if align else 0.2, events_s=events)
    assert flash_s == pytest.approx(0.0, abs=0.012)
    assert lag_s == pytest.approx(0.0 if align else 0.2, abs=0.012)


def test_two_films_of_one_name_have_clips_of_their_own(
    make_report: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from avsync_cli.report import tracks

    wrote: list[Path] = []
    monkeypatch.setattr(tracks, "write_face_clip", lambda target, *_: wrote.append(target))
    for name in ("probe", "pick_video", "pick_audio"):
        monkeypatch.setattr(tracks, name, lambda *_: None)
    faces = FaceClips(tmp_path / "faces", False, Excerpt())
    for name in ("a/x.mp4", "b/x.mov", "=y.mp4"):
        faces.take(film(make_report, name, face(0, 0, 50), face(1, 0, 50)))
    faces.finish()
    assert [path.name for path in wrote] == [
        "x.face-0000.mp4", "x.face-0001.mp4", "x-2.face-0000.mp4", "x-2.face-0001.mp4",
        "_=y.face-0000.mp4", "_=y.face-0001.mp4",
    ]  # fmt: skip
    listed = load_manifest(tmp_path / "faces" / "manifest.csv")
    assert [clip.path for clip in listed] == wrote
    assert [clip.source for clip in listed] == ["x", "x", "x-2", "x-2", "_=y", "_=y"]


def test_no_film_is_overwritten_by_a_clip_of_another(
    make_report: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from avsync_cli.report import tracks

    wrote: list[Path] = []
    monkeypatch.setattr(tracks, "write_face_clip", lambda target, *_: wrote.append(target))
    for name in ("probe", "pick_video", "pick_audio"):
        monkeypatch.setattr(tracks, name, lambda *_: None)
    films = frozenset({os.path.realpath(tmp_path / "x.face-0000.mp4")})
    faces = FaceClips(tmp_path, False, Excerpt(), films)
    with pytest.raises(UsageError, match="would overwrite an input"):
        faces.take(film(make_report, "x.mp4", face(0, 0, 50)))
    assert wrote == []


def test_the_square_keeps_its_size_and_follows_the_face() -> None:
    boxes = np.zeros((3, 4), np.uint16)
    boxes[:] = np.rint(np.array([0.2, 0.25, 0.1, 0.2]) * 65535)
    boxes[:, 0] += np.array([0, 655, 1311], np.uint16)
    boxes[1, 2] = 0.12 * 65535  # the detector's box breathes
    squares = face_squares(TrackPath(0, boxes), (360, 640))
    assert squares[:, 2] == pytest.approx([squares[0, 2]] * 3)
    assert squares[0, 2] == pytest.approx(1.8 * 0.2 * 360, abs=1.0)
    centres = squares[:, 0] + squares[:, 2] / 2
    assert centres[0] == pytest.approx(0.25 * 640, abs=0.1)
    assert centres[2] - centres[0] == pytest.approx(0.02 * 640, abs=0.1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--align"], "--align is for --crops"),
        (["--crops", "here/faces"], "there is no folder"),
        (["--crops", "file.txt"], "is no folder"),
        (["--crops", "old"], "holds the clips of another run"),
        (["--tracks", "old"], "is a folder"),
        (["--boxes", "a.txt"], "cannot write 'a.txt'"),
        (["--resume", "j.jsonl", "--tracks", "t.csv"], "exclude each other"),
        (["--resume", "j.jsonl", "--crops", "new"], "exclude each other"),
        (["--all-audio", "--crops", "new"], "exclude each other"),
        (["--watch", "old", "--tracks", "t.csv"], "exclude each other"),
        (["--tracks", "t.csv", "--output", "t.csv"], "name the same file"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.csv").touch()
    (tmp_path / "file.txt").touch()
    (tmp_path / "film.mp4").touch()
    assert main(["score", *words, *([] if "--watch" in words else ["film.mp4"])]) == 2
    assert said in capsys.readouterr().err
