"""The whole program against full disks, foreign models and hostile names; what it leaves behind."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
from pathlib import Path

import pytest

from avsync_cli.media.ffmpeg import find_ffmpeg
from tests.cli.conftest import Run

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "-v"])
def test_a_full_disk_under_the_output(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path, form: str
) -> None:
    target = tmp_path / "answer"
    target.write_text("before")
    args = ["score", form, "-o", target, "--model", toy, clips / "sync.mp4", "gone.mp4"]
    done = avsync(*args, preexec_fn=_limit_files)
    assert done.returncode == 2, done.stderr
    assert b"cannot write" in done.stderr
    assert b"hint: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["answer"]


def test_a_full_disk_under_a_journal_keeps_what_is_done(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "qc.jsonl"
    args = ["score", "-q", "--resume", journal, "--model", toy]
    assert avsync(*args, clips / "sync.mp4").returncode == 0
    before = journal.read_bytes()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, len(before) + 20))

    done = avsync(*args, clips / "sync.mp4", clips / "late.mp4", preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    assert b"cannot write" in done.stderr and b"Traceback" not in done.stderr
    assert journal.read_bytes() == before
    assert avsync(*args, clips / "sync.mp4", clips / "late.mp4").returncode == 1
    assert journal.read_bytes().startswith(before)


@needs_full
@pytest.mark.parametrize("form", ["--json", "-v"])
def test_a_full_disk_under_stdout(
    clips: Path, toy: Path, avsync: Run, tmp_path: Path, form: str
) -> None:
    script = f'exec "$@" >{os.devnull.replace("null", "full")}'
    done = avsync("--version")  # that the program works at all
    assert done.returncode == 0
    command = [*done.args, "score", form, "--model", str(toy), str(clips / "sync.mp4")]
    command.remove(b"--version")
    full = subprocess.run(
        ["sh", "-c", script, "sh", *command],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
        check=False,
    )
    assert full.returncode == 2, full.stderr
    assert b"cannot write the standard output: No space left on device" in full.stderr
    assert b"Exception ignored" not in full.stderr


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch unpickled",)


def test_a_pickle_is_no_model_and_is_not_opened(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    data = pickle.dumps(_Payload())
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "weights.pt", "weights.safetensors", "visual.onnx"):
        (folder / name).write_bytes(data)
    for model in (folder, folder / "weights.pt"):
        done = avsync("score", "--model", model, clips / "sync.mp4")
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(b"error: ")
    (folder / "model.json").write_bytes((toy / "model.json").read_bytes())
    done = avsync("score", "--model", folder, clips / "sync.mp4")
    assert done.returncode == 2
    assert b"visual.onnx is damaged" in done.stderr
    assert not (tmp_path / "unpickled").exists()


def _two_of_each(path: Path, clips: Path) -> None:
    """A film with the tracks of sync.mp4 and then those of late.mp4."""
    sources = ["-i", clips / "sync.mp4", "-i", clips / "late.mp4"]
    maps = ["-map", "0", "-map", "1", "-c", "copy"]
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", *sources, *maps, path]
    subprocess.run([str(word) for word in command], check=True, timeout=60)


def test_every_sound_track_has_an_answer_that_names_it(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    path = tmp_path / "two.mkv"
    _two_of_each(path, clips)
    args = ["score", "--all-audio", "--model", toy, path, clips / "sync.mp4", "gone.mp4"]
    done = avsync(*args, "--json")
    assert done.returncode == 1
    found = [
        (Path(file["path"]).name, file["media"]["audio_track"], round(file["offset_ms"], -2))
        for file in json.loads(done.stdout)["files"]
    ]
    assert found == [("two.mkv", 0, 0), ("two.mkv", 1, 200), ("sync.mp4", 0, 0)]
    done = avsync(*args, "-j", "2")
    sentences = [line for line in done.stdout.decode().splitlines() if ".mkv: " in line]
    for number, sentence in enumerate(sentences, 1):
        assert f"audio track {number} of 2" in sentence
    assert len(sentences) == 2
    # Files are counted, not tracks; the command repairs the track that it stands below.
    assert b"3 files: 1 in sync, 1 out of sync, 1 could not be judged" in done.stderr
    assert b"fix --model " in done.stdout and b" --audio-track 1 " in done.stdout
    journal = tmp_path / "qc.jsonl"
    for asked in (3, 0):
        done = avsync(*args, "--resume", journal)
        assert done.returncode == 1
        assert (b"3 files already in" in done.stderr) == (asked == 0)
    assert len(journal.read_text().splitlines()) == 4
    assert avsync(*args, "--audio-track", "0").returncode == 2


def test_tracks_are_chosen_by_number(avsync: Run, clips: Path, toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    _two_of_each(path, clips)
    for video, audio, late_ms in ((0, 1, 200), (1, 0, 0)):
        tracks = ["--video-track", str(video), "--audio-track", str(audio)]
        done = avsync("score", "--json", "--model", toy, *tracks, path)
        (file,) = json.loads(done.stdout)["files"]
        assert file["offset_ms"] == pytest.approx(late_ms, abs=20)
        assert file["media"]["audio_track"] == audio
    done = avsync("score", "--model", toy, "--audio-track", "2", path)
    assert done.returncode == 3
    assert b"no audio track 2, the file has 2" in done.stderr


def test_nothing_is_written_beside_the_answer(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    around = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(temporary)}
    done = avsync("score", "-q", "--model", toy, clips / "sync.mp4", env=around)
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())
    assert not list(temporary.iterdir())
