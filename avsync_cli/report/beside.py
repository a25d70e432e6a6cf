"""The files that score and offset-scan write beside their answer: page, curve, film, markers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avsync_cli.errors import AvsyncError
from avsync_cli.files import write_whole
from avsync_cli.judging import Excerpt
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.report.places import Names, spare
from avsync_cli.report.sentences import capital, curve_words, verdict_words
from avsync_cli.verdict.answer import Judgement

ENDINGS = {
    "--plot": (".png", ".svg"),
    "--overlay": (".mp4", ".m4v", ".mov", ".mkv"),
    "--markers": (".csv", ".edl", ".otio", ".fcpxml"),
    "--boxes": (".csv",),
}
"""What each flag can write; the first is what it writes into a folder."""

_TAGS = {flag: flag.removeprefix("--") for flag in ENDINGS} | {"--plot": "curve"}


@dataclass(frozen=True)
class Wanted:
    """What was asked for; None is not wanted. A file for one film, or a folder; `html` is a page
    for all films, or a folder with a page for each, `tracks` a file for all, `crops` a folder, and
    `align` moves the sound of crops to zero."""

    html: Path | None = None
    plot: Path | None = None
    overlay: Path | None = None
    markers: Path | None = None
    boxes: Path | None = None
    tracks: Path | None = None
    crops: Path | None = None
    align: bool = False

    def by_flag(self) -> dict[str, Path]:
        """Everything wanted that is written film by film."""
        paths = {flag: getattr(self, flag.removeprefix("--")) for flag in ENDINGS}
        return {flag: path for flag, path in paths.items() if path is not None}


class FilesBeside:
    """Writes what is wanted, film after film, and the page at the end.

    What cannot be written is told and does not stop the rest.

    Args:
        wanted: checked.
        excerpt: what of every film is judged.
        films: real paths of all films, none of which is overwritten.
        tool: who judges.
        command: "score" or "offset-scan".
        say: takes the name of every file that was written.
        complain: takes a message and a hint for every one that could not be.

    Attributes:
        failed: whether there was such a one.
    """

    def __init__(
        self,
        wanted: Wanted,
        excerpt: Excerpt,
        tool: Tool,
        command: str,
        *,
        films: Collection[str],
        say: Callable[[str], None],
        complain: Callable[[str, str], None],
    ) -> None:
        self._wanted, self._excerpt = wanted, excerpt
        self._say, self._complain = say, complain
        self._names, self._films = Names(), films
        self.failed = False
        self._gathered: list[tuple[Callable[[Judgement], None], Callable[[], None], Path]] = []
        self._fail: Callable[[Failure], None] = lambda _: None
        if wanted.html is not None:
            from avsync_cli.report.html import HtmlReport
            from avsync_cli.report.illustrations import illustrate

            page = HtmlReport(wanted.html, tool, command)

            def add(judgement: Judgement) -> None:
                page.add(judgement, illustrate(judgement, excerpt))

            self._gathered.append((add, page.finish, wanted.html))
            self._fail = page.fail
        if wanted.tracks is not None:
            from avsync_cli.report.tracks import TrackTable

            table = TrackTable(wanted.tracks)
            self._gathered.append((table.take, table.finish, wanted.tracks))
        if wanted.crops is not None:
            from avsync_cli.report.tracks import FaceClips

            clips = FaceClips(wanted.crops, wanted.align, excerpt, films)
            self._gathered.append((clips.take, clips.finish, wanted.crops))

    def take(self, judgement: Judgement) -> None:
        """Write what there is to write of one film."""
        writers: dict[str, Callable[[Judgement, Path], None]] = {
            "--plot": _write_plot,
            "--markers": _write_markers,
            "--overlay": self._write_overlay,
            "--boxes": _write_boxes,
        }
        for flag, path in self._wanted.by_flag().items():
            target = path
            if path.is_dir():
                between = f".{_TAGS[flag]}"
                target = path / self._names.take(judgement.path, ENDINGS[flag][0], between)
            self._try(partial(self._write, flag, target, partial(writers[flag], judgement)), target)
        for take, _, _ in self._gathered:
            self._try(partial(take, judgement), None)

    def fail(self, failure: Failure) -> None:
        """Take a film that could not be judged."""
        self._fail(failure)

    def finish(self) -> None:
        """Write the page, the table of faces and the manifest of their clips."""
        for _, finish, place in self._gathered:
            self._try(finish, place)

    def _write(self, flag: str, target: Path, write: Callable[[Path], None]) -> None:
        write(spare(target, self._films, flag))

    def _write_overlay(self, judgement: Judgement, target: Path) -> None:
        from avsync_cli.drawing.overlay import write_overlay

        says = capital(verdict_words(judgement))
        write_overlay(judgement, target, self._excerpt, says=says)

    def _try(self, write: Callable[[], None], target: Path | None) -> None:
        try:
            write()
        except AvsyncError as error:
            self.failed = True
            self._complain(error.message, error.hint)
        except OSError as error:
            self.failed = True
            place = error.filename if target is None else target
            self._complain(f"cannot write {place}: {error.strerror or error}", "")
        else:
            if target is not None:
                self._say(f"wrote {target}")


def _write_plot(judgement: Judgement, target: Path) -> None:
    from avsync_cli.drawing.offset_curve import offset_curve_file

    suffix, shows = target.suffix.lower(), curve_words(judgement)
    says = capital(verdict_words(judgement))
    write_whole(target, offset_curve_file(judgement, suffix, says=says, shows=shows))


def _write_markers(judgement: Judgement, target: Path) -> None:
    from avsync_cli.report.markers import marker_file

    write_whole(target, marker_file(judgement, target.suffix.lower()))


def _write_boxes(judgement: Judgement, target: Path) -> None:
    from avsync_cli.report.tracks import write_boxes

    write_boxes(judgement, target)
