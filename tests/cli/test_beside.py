"""--html, --plot, --overlay and --markers: what is written, what is refused, what it costs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avsync_cli.__main__ import main
from avsync_cli.batch import task
from avsync_cli.cli import run
from avsync_cli.config import models_dir
from avsync_cli.errors import DecodeError
from avsync_cli.media.source import Source
from avsync_cli.report.illustrations import votes
from avsync_cli.verdict.answer import Judgement
from tests.cli.conftest import Run

Make = Callable[..., Judgement]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, make_report: Make, tmp_path: Path) -> Callable[..., None]:
    """Pretend that files were judged; they are never opened, so nothing can be decoded."""
    outcomes: dict[str, Any] = {}

    def analyse_file(source: Source, *_: object) -> Judgement:
        outcome = outcomes[source.path]
        if isinstance(outcome, BaseException):
            raise outcome
        return make_report(source.path, **outcome)

    engine = SimpleNamespace(name="fake", backend="none", folder=models_dir() / "default")
    monkeypatch.setattr(run, "load_model", lambda *_: engine)
    monkeypatch.setattr(task, "analyse_file", analyse_file)
    monkeypatch.chdir(tmp_path)
    return lambda **files: outcomes.update(files)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_file_and_everything_there_is(
    fake: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(a={})
    args = ["--html", "r.html", "--plot", "c.png", "--markers", "m.edl"]
    assert main(["score", *args, "a"]) == 1
    out, err = capsys.readouterr()
    assert "audio is 120 ms late" in out
    assert err.splitlines() == ["wrote c.png", "wrote m.edl", "wrote r.html"]
    assert _names(tmp_path) == ["c.png", "m.edl", "r.html"]
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "|D:" in (tmp_path / "m.edl").read_text()
    assert main(["offset-scan", "-q", "--plot", "c.svg", "a"]) == 1
    assert "<svg" in (tmp_path / "c.svg").read_text()
    assert capsys.readouterr().err == ""


def test_several_files_go_into_a_folder(
    fake: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(**{"x/a.mp4": {}, "y/a.mp4": {}, "b.mov": DecodeError("b.mov: broken", "")})
    folder = tmp_path / "out"
    folder.mkdir()
    files = ["x/a.mp4", "y/a.mp4", "b.mov"]
    args = ["--plot", "out", "--markers", "out", "--html", "all.html", "-q"]
    assert main(["score", *args, *files]) == 1
    assert _names(folder) == [
        "a.curve-2.png", "a.curve.png", "a.markers-2.csv", "a.markers.csv",
    ]  # fmt: skip
    page = (tmp_path / "all.html").read_text()
    assert page.count('<section class="file"') == 3
    assert "b.mov: broken" in page
    capsys.readouterr()


@pytest.mark.parametrize(
    "args", [["--html", "r.html"], ["--plot", "c.png"], ["--markers", "."], ["--output", "a.txt"]]
)
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    fake: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
) -> None:
    fake(a=AssertionError("judged"))
    # Root may write anywhere.
    monkeypatch.setattr("os.access", lambda _, mode, **__: not mode & os.W_OK)
    assert main(["score", *args, "a"]) == 2
    err = capsys.readouterr().err
    assert f"{args[0]}: cannot write into" in err
    assert "name another folder" in err


def test_a_journal_that_is_there_needs_no_room_beside_it(
    fake: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake(a={})
    monkeypatch.setattr("os.access", lambda _, mode, **__: not mode & os.W_OK)
    assert main(["score", "--resume", "new.jsonl", "a"]) == 2
    assert "--resume: cannot write into" in capsys.readouterr().err
    (tmp_path / "old.jsonl").touch()
    assert main(["score", "--resume", "old.jsonl", "a"]) in (0, 1, 3)
    assert len((tmp_path / "old.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--plot", "c.png", "a", "b"], "--plot writes one file a film, and there are 2 films"),
        (["--overlay", "o.mp4", "a", "b"], "--overlay writes one file a film"),
        (["--markers", "m.csv", "a", "b"], "--markers writes one file a film"),
        (["--plot", "c.jpg", "a"], "--plot cannot write 'c.jpg'"),
        (["--overlay", "o.webm", "a"], "--overlay cannot write 'o.webm'"),
        (["--markers", "m.txt", "a"], "--markers cannot write 'm.txt'"),
        (["--html", "none/r.html", "a"], "--html: there is no folder none"),
        (["--plot", "none/c.png", "a"], "--plot: there is no folder none"),
        (["--html", "x.csv", "--markers", "x.csv", "a"], "--html and --markers name the same"),
        (["--html", "x.csv", "--csv", "-o", "./x.csv", "a"], "--output and --html name the same"),
        (["--resume", "j.jsonl", "--html", "r.html", "a"], "--resume and --html exclude"),
        (["--resume", "j.csv", "--csv", "-o", "j.csv", "a"], "--resume and --output name the same"),
        (["--resume", "j.csv", "--boxes", "./j.csv", "a"], "--resume and --boxes name the same"),
        (["--html", "b.mp4", "a"], "--html b.mp4 would be no film"),
        (["--csv", "-o", "b.MOV", "a"], "--output b.MOV would be no film"),
        (["--tracks", "b.mkv", "a"], "--tracks b.mkv would be no film"),
        (["--resume", "b.ts", "a"], "--resume b.ts would be no film"),
        (["--csv", "-o", "-", "a"], "--output - names no file"),
        (["--most", "3m", "a"], "--most is for --quick"),
        (["--until", "0.9", "a"], "--until is for --quick"),
        (["--html", "pages/", "a"], "--html: there is no folder pages"),
        (["--json", "-o", "pages/", "a"], "there is no folder pages/"),
        (["--tracks", "pages/", "a"], "there is no folder pages/"),
        (["--html", "-", "a"], "--html - names no file"),
        (["--tracks", "-", "a"], "--tracks - names no file"),
        (["--resume", "-", "a"], "--resume - names no file"),
        (["--tracks", "--exit-zero", "a"], "--tracks was given the flag --exit-zero, no file"),
        (["--html", "-q", "a"], "--html was given the flag -q, no file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    fake: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
) -> None:
    fake(a=AssertionError("judged"), b=AssertionError("judged"))
    assert main(["score", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.splitlines()[0]
    assert "hint: " in err
    assert _names(tmp_path) == []


def test_an_input_is_never_overwritten(
    fake: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"precious")
    fake(**{"film.mp4": {}})
    for flag in ("--html", "--overlay"):
        assert main(["score", flag, "film.mp4", "film.mp4"]) == 2
        assert "would overwrite an input" in capsys.readouterr().err
    assert film.read_bytes() == b"precious"


def test_no_film_is_overwritten_by_what_a_folder_gets(
    fake: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "film.curve.png").write_bytes(b"precious")
    fake(**{"film.mp4": {}, "film.curve.png": {}})
    assert main(["score", "-q", "--plot", ".", "film.mp4", "film.curve.png"]) == 2
    assert "--plot: film.curve.png would overwrite an input" in capsys.readouterr().err
    assert (tmp_path / "film.curve.png").read_bytes() == b"precious"
    assert _names(tmp_path) == ["film.curve.curve.png", "film.curve.png"]


def test_what_could_not_be_written_is_told_and_the_rest_goes_on(
    fake: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(a={})
    # The film is not there any more when it is to be drawn on.
    assert main(["score", "--overlay", "o.mp4", "--plot", "c.png", "--exit-zero", "a"]) == 2
    out, err = capsys.readouterr()
    assert "audio is 120 ms late" in out
    assert "error: no such file: a" in err
    assert _names(tmp_path) == ["c.png"]


def test_what_gathers_all_films_names_the_place_it_cannot_write(
    fake: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "faces")

    monkeypatch.setattr("avsync_cli.report.tracks.FaceClips.take", refuse)
    fake(a={})
    assert main(["score", "-q", "--crops", "faces", "a"]) == 2
    assert "cannot write faces: No such file" in capsys.readouterr().err


def test_votes_are_those_of_the_verdict(make_report: Make) -> None:
    import dataclasses

    report = make_report()
    (window,) = report.evidence.windows
    broken = dataclasses.replace(window, logits=np.full_like(window.logits, np.nan))
    evidence = dataclasses.replace(report.evidence, windows=[window, broken])
    shares = votes(dataclasses.replace(report, evidence=evidence))
    assert shares is not None
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert report.evidence.offsets_ms[shares[0].argmax()] == 120
    assert np.ptp(shares[1]) == 0.0
    nothing = dataclasses.replace(report.evidence, windows=[])
    assert votes(dataclasses.replace(report, evidence=nothing)) is None


def test_a_real_film_has_stills_loudness_and_an_overlay(
    avsync: Run, toy: Path, clips: Path, tmp_path: Path
) -> None:
    done = avsync(
        "score", "--model", toy, clips / "late.mp4", "--html", "r.html", "--overlay", "o.mp4",
        "--start", "1s", "--duration", "3s", "--quiet",
    )  # fmt: skip
    # Three seconds may be too little for an answer, but not for pictures.
    assert done.returncode in (0, 1, 3), done.stderr
    assert done.stderr == b""
    page = (tmp_path / "r.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "Loudness" in page
    assert 'class="cells"' in page
    assert (tmp_path / "o.mp4").stat().st_size > 10_000
    assert _names(tmp_path) == ["o.mp4", "r.html"]
