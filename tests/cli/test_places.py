"""Where answers go: a file for each film, a table beside a journal, annotations."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from avsync_cli.__main__ import main
from avsync_cli.errors import DecodeError
from tests.cli.test_beside import fake

__all__ = ["fake"]

Capture = pytest.CaptureFixture[str]
Fake = Any

FINE = {"status": "in_sync", "offset_ms": 0.0, "ci_ms": (-10.0, 10.0)}
HOSTILE = "::error::\n../..\\%0A,{status}:\x1b.mp4"


def _names() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_each_film_has_a_file_of_its_own(fake: Fake, capsys: Capture) -> None:
    broken = DecodeError("b.mov: broken", "")
    fake(**{"x/a.mp4": {}, "y/a.mp4": {}, "in.mp4": FINE, "b.mov": broken})
    files = ["x/a.mp4", "y/a.mp4", "in.mp4", "b.mov"]
    assert main(["score", "-q", "--json", "-o", "{stem}_{status}.json", *files]) == 1
    assert capsys.readouterr().out == ""
    assert _names() == {
        "a_out_of_sync.json", "a_out_of_sync-2.json", "in_in_sync.json", "b_error.json",
    }  # fmt: skip
    (entry,) = json.loads(Path("a_out_of_sync-2.json").read_text())["files"]
    assert entry["path"] == "y/a.mp4"
    assert json.loads(Path("b_error.json").read_text())["errors"][0]["message"] == "b.mov: broken"
    assert main(["score", "-q", "--csv", "-o", "{stem}.csv", *files]) == 1
    for name in ("a.csv", "b.csv"):
        assert len(list(csv.DictReader(io.StringIO(Path(name).read_text())))) == 1
    assert main(["score", "-o", "{stem}.txt", *files]) == 1
    assert "confidence" in Path("a.txt").read_text()  # the table, as for one film
    assert Path("b.txt").read_text() == "b.mov: broken\n"


def test_a_device_is_written_to_where_nothing_may_be_put_beside_it(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(**{"a.mp4": FINE})
    monkeypatch.setattr("os.access", lambda path, _: str(path) != "/dev")
    for flag in ("-o", "--tracks"):
        assert main(["score", "-q", flag, os.devnull, "a.mp4"]) == 0
    assert main(["score", "-q", "-o", "/dev/answer", "a.mp4"]) == 2


def test_no_name_leaves_the_folder_or_grows_too_long(fake: Fake, tmp_path: Path) -> None:
    films = [HOSTILE, "...mp4", ".hidden.mp4", "é" * 120 + ".mp4"]
    fake(**{film: {} for film in films})
    (tmp_path / "out").mkdir()
    assert main(["score", "-q", "--csv", "-o", "out/{stem}_{status}.csv", *films]) == 1
    assert _names() == {"out"}
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert len(names) == len(films)
    assert any("{status}" in name for name in names)  # a film's own braces are no fields
    assert all(name.isprintable() and name[0] != "." and "\\" not in name for name in names)
    assert max(len(name.encode()) for name in names) <= 255


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{stem}_{stauts}.json", "unknown field {stauts}"),
        ("{status}.json", "cannot name a file for each film"),
        ("{stem}/a.json", "cannot name a file for each film"),
        ("none/{stem}.json", "there is no folder none"),
        ("{stem}.mp4", "names no text"),
        ("a.{stem}", "cannot name a file for each film"),
        ("{stem}" + "x" * 200 + ".csv", "is too long"),
        ("{stem}.name", "would overwrite an input"),
    ],
)
def test_names_that_cannot_be_meant(fake: Fake, capsys: Capture, output: str, message: str) -> None:
    fake(**{"a.name": {}, "b.name": {}})
    Path("a.name").write_bytes(b"precious")
    assert main(["score", "-q", "-o", output, "a.name", "b.name"]) == 2
    assert message in capsys.readouterr().err
    assert _names() == {"a.name"}
    assert Path("a.name").read_bytes() == b"precious"


def test_a_table_of_all_beside_a_journal(fake: Fake, capsys: Capture) -> None:
    fake(a={}, b=FINE, c=DecodeError("c: broken", ""))
    assert main(["score", "-q", "--tolerance", "ebu", "--resume", "j.jsonl", "b"]) == 0
    score = ["score", "-q", "--tolerance", "ebu"]
    assert main([*score, "--resume", "j.jsonl", "--csv", "a", "b", "c"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["path"], row["status"]) for row in rows] == [
        ("a", "out_of_sync"), ("b", "in_sync"), ("c", "error"),
    ]  # fmt: skip
    assert len(Path("j.jsonl").read_text().splitlines()) == 3
    assert main([*score, "--csv", "a", "b", "c"]) == 1
    straight = capsys.readouterr().out
    assert main([*score, "--resume", "j.jsonl", "--csv", "-o", "t.csv", "a", "b", "c"]) == 1
    assert Path("t.csv").read_text() == straight
    for other in (["--json"], ["-o", "x.jsonl"], ["--csv", "-o", "{stem}.csv"]):
        assert main(["score", "--resume", "j.jsonl", *other, "a"]) == 2
        assert "--resume and --" in capsys.readouterr().err


def test_annotations_are_lines_that_nothing_gets_out_of(fake: Fake, capsys: Capture) -> None:
    fake(**{HOSTILE: {}, "in.mp4": FINE, "gone": DecodeError("gone: 100%\n::set-env::", "")})
    silent = {"status": "undecided", "offset_ms": None, "ci_ms": None, "reasons": ["silence"]}
    fake(odd=silent)
    files = [HOSTILE, "in.mp4", "odd", "gone"]
    assert main(["score", "--json", "-q", "--github", "--resume", "j.jsonl", *files]) == 2
    assert main(["score", "-q", "--github", "--resume", "j.jsonl", *files]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::")]
    assert len(lines) == 3
    assert lines[0].startswith("::error title=Audio sync,file=%3A%3Aerror%3A%3A\\n../..\\%250A%2C")
    assert lines[1].startswith("::warning title=Audio sync,file=odd::Undecided: silence")
    assert lines[2] == "::error title=Audio sync,file=gone::Gone: 100%25\\n::set-env::"
    assert main(["report", "-q", "--github", "j.jsonl"]) == 1  # the same from the journal
    again = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::")]
    assert again == lines
