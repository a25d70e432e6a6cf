"""The files that score and offset-scan write beside their answer: page, curve, film, markers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.cli.checks import check_folder
from avsync_cli.cli.output import say, say_error
from avsync_cli.errors import AvsyncError, MediaError, UsageError
from avsync_cli.files import write_whole
from avsync_cli.judging import Excerpt

if TYPE_CHECKING:
    import numpy as np

    from avsync_cli.drawing.over_time import OverTime
    from avsync_cli.media.probe import MediaInfo
    from avsync_cli.report.html import HtmlReport
    from avsync_cli.report.html_parts import Pictures, Still
    from avsync_cli.report.machine import Failure, Tool
    from avsync_cli.verdict.answer import Judgement

STILLS = 6
"""Pictures of a file on the page."""

ENDINGS = {
    "--plot": (".png", ".svg"),
    "--overlay": (".mp4", ".m4v", ".mov", ".mkv"),
    "--markers": (".csv", ".edl"),
}
"""What each flag can write; the first is what it writes into a folder."""

_TAGS = {"--plot": "curve", "--overlay": "overlay", "--markers": "markers"}


@dataclass(frozen=True)
class Wanted:
    """What was asked for, checked; None is not wanted. `html` is a file, the others are a file
    for one film, or a folder."""

    html: Path | None = None
    plot: Path | None = None
    overlay: Path | None = None
    markers: Path | None = None

    def by_flag(self) -> dict[str, Path]:
        """Everything wanted that is written film by film."""
        pairs = {"--plot": self.plot, "--overlay": self.overlay, "--markers": self.markers}
        return {flag: path for flag, path in pairs.items() if path is not None}


def check_wanted(wanted: Wanted, output: Path | None, files: list[str]) -> None:
    """Refuse what cannot be written.

    Raises:
        UsageError: an unknown ending, no such folder, one that cannot be written into, one file for
            several films, two outputs with one name, or an input's name.
    """
    for flag, path in wanted.by_flag().items():
        if path.is_dir():
            check_folder(flag, path)
            continue
        if len(files) > 1:
            what = f"{flag} writes one file a film, and there are {len(files)} films"
            raise UsageError(what, "name a folder that exists, and each film gets a file in it")
        if path.suffix.lower() not in ENDINGS[flag]:
            known = " or ".join(ENDINGS[flag])
            what = f"{flag} cannot write {path.name!r}"
            raise UsageError(what, f"name it with {known}, or name a folder that exists")
    if wanted.html is not None and wanted.html.is_dir():
        raise UsageError(f"--html {wanted.html} is a folder", "name a file in it")
    named = {"--output": output, "--html": wanted.html, **wanted.by_flag()}
    taken: dict[Path, str] = {}
    for flag, place in named.items():
        if place is None or place.is_dir():
            continue
        check_folder(flag, place.parent)
        other = taken.setdefault(place.resolve(), flag)
        if other != flag:
            raise UsageError(f"{other} and {flag} name the same file", "name two files")
        for file in files:
            with suppress(OSError):  # one of them does not exist: they are not the same
                if place.samefile(file):
                    what = f"{flag} {place} would overwrite an input"
                    raise UsageError(what, "name another file")


class PictureWriter:
    """Writes what is wanted, file after file, and the page at the end.

    Attributes:
        failed: whether something wanted could not be written.
    """

    def __init__(
        self, wanted: Wanted, excerpt: Excerpt, tool: Tool, command: str, *, quiet: bool
    ) -> None:
        self._wanted, self._excerpt, self._quiet = wanted, excerpt, quiet
        self._used: set[str] = set()
        self.failed = False
        self._page: HtmlReport | None = None
        if wanted.html is not None:
            from avsync_cli.report.html import HtmlReport

            self._page = HtmlReport(wanted.html, tool, command)

    def take(self, report: Judgement) -> None:
        """Write what there is to write of one film; what cannot be is told and does not stop."""
        writers: dict[str, Callable[[Judgement, Path], None]] = {
            "--plot": _write_plot,
            "--markers": _write_markers,
            "--overlay": self._write_overlay,
        }
        for flag, path in self._wanted.by_flag().items():
            target = path
            if path.is_dir():
                target = self._in_folder(path, report.path, _TAGS[flag], ENDINGS[flag][0])
            self._try(partial(writers[flag], report, target), target)
        if self._page is not None:
            page = self._page
            self._try(lambda: page.add(report, gather(report, self._excerpt)), None)

    def fail(self, failure: Failure) -> None:
        """Take a film that could not be judged."""
        if self._page is not None:
            self._page.fail(failure)

    def finish(self) -> None:
        """Write the page."""
        if self._page is not None:
            self._try(self._page.finish, self._wanted.html)

    def _in_folder(self, folder: Path, film: str, tag: str, suffix: str) -> Path:
        """A name in a folder that no other film of this run has."""
        stem = f"{Path(film).stem}.{tag}"
        name, number = f"{stem}{suffix}", 2
        while name in self._used:
            name, number = f"{stem}-{number}{suffix}", number + 1
        self._used.add(name)
        return folder / name

    def _write_overlay(self, report: Judgement, target: Path) -> None:
        from avsync_cli.drawing.overlay import write_overlay

        excerpt = self._excerpt
        write_overlay(
            report,
            target,
            video_track=excerpt.video_track,
            audio_track=excerpt.audio_track,
            start_s=excerpt.start_s,
            duration_s=excerpt.duration_s,
        )

    def _try(self, write: Callable[[], None], target: Path | None) -> None:
        try:
            write()
        except AvsyncError as error:
            self.failed = True
            say_error(error.message, error.hint)
            return
        except OSError as error:
            self.failed = True
            say_error(f"cannot write {target}: {error.strerror or error}")
            return
        if target is not None and not self._quiet:
            say(f"wrote {target}")


def _write_plot(report: Judgement, target: Path) -> None:
    from avsync_cli.drawing.curve import FORMATS

    write_whole(target, FORMATS[target.suffix.lower()](report))


def _write_markers(report: Judgement, target: Path) -> None:
    from avsync_cli.report.markers import marker_file

    write_whole(target, marker_file(report, target.suffix.lower()))


# --- What a page shows besides the answer ---------------------------------------------------------


def gather(report: Judgement, excerpt: Excerpt) -> Pictures:
    """Votes of the windows, loudness and stills of one film; whatever cannot be had is left out.

    The film is opened again for the last two.
    """
    from avsync_cli.drawing.over_time import OverTime
    from avsync_cli.media.probe import probe
    from avsync_cli.report.html_parts import Pictures

    shown = OverTime(votes=votes(report))
    try:
        info = probe(report.path)
    except MediaError:
        return Pictures(shown)
    with suppress(MediaError):
        shown = _with_loudness(report, shown, excerpt, info)
    stills: tuple[Still, ...] = ()
    with suppress(MediaError):
        stills = _stills(report, excerpt, info)
    return Pictures(shown, stills)


def votes(report: Judgement) -> np.ndarray | None:
    """(W, O) probabilities of every window's offsets, as the verdict counts them; even where a
    window says nothing. None without windows."""
    import numpy as np

    from avsync_cli.verdict.posterior import Constants, window_votes

    evidence = report.evidence
    if not evidence.windows:
        return None
    shares = np.full((len(evidence.windows), len(evidence.offsets_ms)), 1.0)
    shares /= shares.shape[1]
    sound = [w.blocks > 0 and bool(np.isfinite(w.logits).all()) for w in evidence.windows]
    if any(sound):
        usable = [w for w, good in zip(evidence.windows, sound, strict=True) if good]
        logs, _ = window_votes(usable, Constants.of(evidence.calibration))
        shares[np.array(sound)] = np.exp(logs)
    return shares


def _with_loudness(
    report: Judgement, shown: OverTime, excerpt: Excerpt, info: MediaInfo
) -> OverTime:
    from dataclasses import replace

    from avsync_cli.drawing.over_time import time_span
    from avsync_cli.media.decode import pick_audio, pick_video
    from avsync_cli.media.stills import loudness

    video = pick_video(info, excerpt.video_track or 0)
    audio = pick_audio(info, excerpt.audio_track or 0)
    start, end = time_span(report)
    levels = loudness(info, video, audio, start, end)
    return replace(shown, levels_db=levels, levels_start_s=start)


def _stills(report: Judgement, excerpt: Excerpt, info: MediaInfo) -> tuple[Still, ...]:
    from avsync_cli.drawing.attention import strongest
    from avsync_cli.media.decode import pick_video
    from avsync_cli.media.stills import still
    from avsync_cli.report.html_parts import Still

    video = pick_video(info, excerpt.video_track or 0)
    found = []
    for block in strongest(report.evidence.blocks, STILLS):
        jpeg = still(info, video, (block.start_s + block.end_s) / 2)
        if jpeg is not None:
            found.append(Still(block, jpeg))
    return tuple(found)
