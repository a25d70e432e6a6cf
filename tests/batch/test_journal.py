"""A file of JSON lines taken up again: what counts as held, what is cut off, what is refused, and
what is judged anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avsync_cli.batch.journal import Journal, read_back
from avsync_cli.batch.line import Asked, Ticket, Unreadable, fingerprint, read_line
from avsync_cli.config import Settings
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt
from avsync_cli.media.source import Source
from avsync_cli.report import machine
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Judgement
from tests.conftest import build_report

Make = Callable[..., Judgement]

TOOL = Tool("1.2.3", "default", "onnxruntime")
EBU = machine.tolerance_entry("ebu", 40, 60)
ASKED = Asked(model="default", tolerance="ebu", command="score", options="0123456789abcdef")
CAFE = os.fsdecode(b"caf\xe9.mp4")


def _open(path: Path, **asked: str) -> Journal:
    return Journal(path, replace(ASKED, **asked))


def _line(outcome: Judgement | Failure, lines: int = 1) -> str:
    """As a run writes it, of the file as it is now."""
    ticket = Ticket(ASKED.options, Source.of(outcome.path).stamp(), lines)
    return machine.json_line(outcome, TOOL, EBU, curve=False, resume=ticket.entry())


def _held(path: Path, *names: str) -> dict[str, str]:
    """What a journal opened now holds of the files: statuses by name."""
    with _open(path) as journal:
        taken = journal.take_up([Source.of(name) for name in names])
    return {line.path: line.status for lines in taken.held for line in lines}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lines(make_report: Make) -> list[str]:
    """Lines of two reports and a failure; the second has a name that is not UTF-8."""
    return [
        _line(make_report("a.mp4")),
        _line(make_report(CAFE, status="undecided", offset_ms=None, ci_ms=None)),
        _line(Failure("gone.mp4", "gone.mp4: no such file", "check the name")),
    ]


def test_lines_are_added_and_held(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    with _open(path) as journal:
        for line in lines:
            journal.append(line)
    assert path.read_text() == "".join(lines)
    files = [Source.of(name) for name in ("gone.mp4", "a.mp4", "new.mp4", CAFE)]
    with _open(path) as journal:
        taken = journal.take_up(files)
    assert [(line.path, line.status) for (line,) in taken.held] == [
        ("gone.mp4", "error"),
        ("a.mp4", "out_of_sync"),
        (CAFE, "undecided"),
    ]
    assert taken.held[0][0].failure == Failure(
        "gone.mp4", "gone.mp4: no such file", "check the name"
    )
    assert list(taken.left) == [files[2]]
    assert not taken.anew


# --- The last line --------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 5, 18, 40, 300])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, lines: list[str], cut: int) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines[0] + lines[1][:cut])
    with _open(path) as journal:
        assert journal.cut_off
        journal.append(lines[2])
    assert path.read_text() == lines[0] + lines[2]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_deep_last_line_is_cut_off(tmp_path: Path, lines: list[str], end: str) -> None:
    path = tmp_path / "out.jsonl"
    deep = '{"schema_version":1,"path":' + "[" * 200_000 + "]" * 200_000 + "}"
    path.write_text(lines[0] + deep + end)
    assert _held(path, "a.mp4") == {"a.mp4": "out_of_sync"}
    assert path.read_text() == lines[0]


def test_zeros_of_a_lost_machine_are_cut_off(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(lines[0].encode() + b"\0" * 4000)
    assert _held(path, "a.mp4") == {"a.mp4": "out_of_sync"}
    assert path.read_text() == lines[0]


def test_a_last_line_that_lacks_only_its_newline_is_held(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text((lines[0] + lines[1]).rstrip("\n"))
    with _open(path) as journal:
        assert not journal.cut_off
    assert path.read_text() == lines[0] + lines[1]


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"a film, by its name only",
        b"\x00\x00\x00\x20ftypisom",
        b"[1]\n",
        b'{"path": "a"}\n',
        b"x\n",
        b"[" * 200_000,
        b"9" * 5_000 + b"\n",
    ],
)
def test_any_other_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="line 1 is none that --jsonl wrote"):
        _open(path)
    assert path.read_bytes() == content


def _changed(line: str, place: str, value: object) -> str:
    """The line with another value at "key" or "key.key"."""
    entry = json.loads(line)
    *outer, key = place.split(".")
    table = entry
    for name in outer:
        table = table[name]
    table[key] = value
    return json.dumps(entry) + "\n"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("status", "in_sink", "status 'in_sink' is none"),
        ("status", None, "status None is no text"),
        ("path", 3, "path 3 is no text"),
        ("path", ["x"] * 1000, "path ['x', 'x'"),
        ("tool", [], r"tool \[\] is no table"),
        ("tool.model", 10**400, "model 1000"),
        ("tolerance", "ebu", "tolerance 'ebu' is no table"),
        ("tolerance.name", None, "name None"),
        ("resume", 1, "resume 1 is no table"),
        ("resume.lines", "1", "lines '1' is no whole number"),
        ("resume.lines", 0, "lines 0 is less than one"),
        ("resume.lines", -1, "lines -1 is less than one"),
        ("resume.size_bytes", 10**400, "size_bytes 1000"),
        ("resume.size_bytes", True, "size_bytes True"),
        ("resume.modified_us", 1.5, "modified_us 1.5"),
        ("resume.options", {}, "options {}"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    tmp_path: Path, make_report: Make, place: str, value: object, words: str
) -> None:
    path = tmp_path / "out.jsonl"
    (tmp_path / "a.mp4").touch()
    good = _line(make_report("a.mp4"))
    content = good + _changed(good, place, value) + good
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        _open(path)
    message = caught.value.message
    assert f"out.jsonl: line 2: {words}".replace("\\", "") in message
    assert "\n" not in message and len(message) < len(str(path)) + 120
    assert path.read_text() == content


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = ["path", "status", "tool", "tolerance", "error", "resume", "schema_version", "curve"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.booleans())
def test_whatever_stands_in_a_line_is_a_line_or_an_error(values: object, whole: bool) -> None:
    entry = json.loads(_line(build_report("a.mp4"))) if whole else {}
    entry.update(values)  # type: ignore[call-overload]
    try:
        line = read_line(json.dumps(entry).encode())
    except (Unreadable, UsageError):
        return
    assert isinstance(line.path, str)
    assert line.status in ("in_sync", "out_of_sync", "undecided", "error")


def test_lines_of_another_kind_of_run_are_refused(
    tmp_path: Path, lines: list[str], make_report: Make
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines[0])
    for asked, words in (
        ({"model": "other"}, "model default, this run has other"),
        ({"tolerance": "itu"}, "tolerance ebu"),
        ({"command": "offset-scan"}, "command score, this run has offset-scan"),
    ):
        with pytest.raises(UsageError, match=words):
            _open(path, **asked)
    # A failure says nothing of its command, and a newer avsync may go on.
    path.write_text(lines[2].replace("1.2.3", "9.9"))
    with _open(path, command="offset-scan") as journal:
        assert len(journal.take_up([Source.of("gone.mp4")]).held) == 1


def test_two_runs_cannot_write_to_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "out.jsonl"
    with _open(path), pytest.raises(UsageError, match="another run"):
        _open(path)
    with _open(path):
        pass


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        _open(tmp_path / "no" / "folder.jsonl")


def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="is a pipe"):
        _open(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(UsageError, match="is a pipe"):
            list(read_back([pipe], print))
    finally:
        os.close(writer)


# --- What is judged anew --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda film: film.write_bytes(b"another film"), "changed since"),
        (lambda film: os.utime(film, (1, 1)), "changed since"),
        (lambda film: film.unlink(), "changed since"),
        (lambda film: None, ""),
    ],
)
def test_a_file_that_was_replaced_is_judged_anew(
    tmp_path: Path, make_report: Make, change: Callable[[Path], object], why: str
) -> None:
    path, film = tmp_path / "out.jsonl", tmp_path / "film.mp4"
    film.write_bytes(b"a film")
    others = [_line(make_report(name)) for name in ("a.mp4", "z.mp4")]
    path.write_text(others[0] + _line(make_report("film.mp4")) + others[1])
    change(film)
    with _open(path) as journal:
        taken = journal.take_up([Source.of("film.mp4")])
        assert taken.anew == ({why: 1} if why else {})
        assert [source.path for source in taken.left] == (["film.mp4"] if why else [])
        journal.append(_line(make_report("film.mp4", status="in_sync", offset_ms=0.0)))
    if why:  # the old answer is gone, those of other files are not
        assert path.read_text().startswith("".join(others))
        assert _held(path, "film.mp4", "a.mp4") == {"film.mp4": "in_sync", "a.mp4": "out_of_sync"}


def test_a_file_that_failed_and_is_there_now_is_judged(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines[2])
    assert _held(path, "gone.mp4") == {"gone.mp4": "error"}
    (tmp_path / "gone.mp4").touch()
    assert _held(path, "gone.mp4") == {}


def test_other_options_judge_anew(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines[0])
    with _open(path, options="fedcba9876543210") as journal:
        taken = journal.take_up([Source.of("a.mp4")])
    assert taken.anew == {"judged with other options or another model": 1}


def test_lines_without_a_ticket_judge_anew(tmp_path: Path, make_report: Make) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(machine.json_line(make_report("a.mp4"), TOOL, EBU, curve=False))
    with _open(path) as journal:
        (why,) = journal.take_up([Source.of("a.mp4")]).anew
    assert "older avsync" in why


def test_a_file_of_which_tracks_are_missing_is_judged_anew(
    tmp_path: Path, make_report: Make
) -> None:
    path = tmp_path / "out.jsonl"
    line = _line(make_report("a.mp4"), lines=2)
    path.write_text(line)
    assert _held(path, "a.mp4") == {}
    path.write_text(line + line)
    assert _held(path, "a.mp4") == {"a.mp4": "out_of_sync"}


def test_of_journals_put_together_the_last_line_of_a_file_counts(
    tmp_path: Path, make_report: Make
) -> None:
    path = tmp_path / "out.jsonl"
    old = _line(make_report("a.mp4"))
    path.write_text(old + _line(make_report("a.mp4", status="in_sync", offset_ms=0.0)))
    assert _held(path, "a.mp4") == {"a.mp4": "in_sync"}
    with _open(path) as journal:
        assert [len(lines) for lines in journal.take_up([Source.of("a.mp4")]).held] == [1]


def test_the_journal_stays_locked_when_it_was_written_anew(
    tmp_path: Path, lines: list[str]
) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "out.jsonl"
    path.write_text(lines[0])
    with _open(path, options="fedcba9876543210") as journal:
        journal.take_up([Source.of("a.mp4")])
        with pytest.raises(UsageError, match="another run"):
            _open(path)
    assert path.read_text() == ""


def test_everything_that_changes_an_answer_changes_the_fingerprint() -> None:
    usual = fingerprint(Settings(), Excerpt(), "digest", all_audio=False)
    other: dict[str, object] = {
        "range_ms": 2000, "further": False, "step_ms": 20, "attention": "none",
        "tolerance": "ebu", "min_confidence": 0.9,
        "quick": True, "until": 0.9, "most_s": 60.0, "slate": True,
        "video_track": 1, "audio_track": 0, "start_s": 1.0, "duration_s": 9.0,
    }  # fmt: skip
    names = {field.name for field in [*fields(Settings), *fields(Excerpt)]} - {"threads", "model"}
    assert set(other) == names
    found = {usual}
    for name, value in other.items():
        how = replace(Settings(), **{name: value} if hasattr(Settings(), name) else {})
        part = replace(Excerpt(), **{name: value} if hasattr(Excerpt(), name) else {})
        found.add(fingerprint(how, part, "digest", all_audio=False))
    found.add(fingerprint(Settings(), Excerpt(), "another", all_audio=False))
    found.add(fingerprint(Settings(), Excerpt(), "digest", all_audio=True))
    assert len(found) == len(other) + 3
    assert fingerprint(Settings(threads=7), Excerpt(), "digest", all_audio=False) == usual
