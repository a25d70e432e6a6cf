"""The work of `avsync fix`: judge, plan, write beside, judge the copy, and only then name it.

At no moment is there a half-written or unchecked file under the name that was asked for, and the
original is never opened for writing: `--in-place` renames the finished copy over it.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.api import Excerpt, analyse_file, load_model
from avsync_cli.cli.output import Sink, say, say_error
from avsync_cli.cli.progress import FileProgress
from avsync_cli.config import (
    Settings,
    check_attention,
    check_range_ms,
    check_step_ms,
    load_settings,
    parse_duration_ms,
    tolerance_profile,
)
from avsync_cli.errors import EXIT_IN_SYNC, EXIT_OUT_OF_SYNC, MediaError, UsageError

if TYPE_CHECKING:
    from avsync_cli.inference.engine import Engine
    from avsync_cli.inference.evidence import FileReport
    from avsync_cli.inference.fixplan import FixPlan
    from avsync_cli.media.probe import MediaInfo
    from avsync_cli.media.resound import Recipe

PITCHES = ("auto", "keep", "shift")


@dataclass(frozen=True)
class FixFlags:
    """Everything typed after `fix`, not yet checked."""

    file: str
    output: Path | None
    in_place: bool
    offset: str | None
    pitch: str
    force: bool
    dry_run: bool
    keep_unverified: bool
    range: str | None
    step: str | None
    tolerance: str | None
    model: str | None
    attention: str | None
    video_track: int | None
    audio_track: int | None
    start: str | None
    duration: str | None
    quiet: bool
    verbose: int
    no_color: bool
    threads: int | None
    config: Path | None


@dataclass(frozen=True)
class FixJob:
    """A run whose flags have been found usable.

    Attributes:
        source: the file as it was named.
        target: where the copy goes; the source itself, links followed, for `in_place`.
        offset_ms: the lag given by hand, or None.
    """

    source: str
    target: Path
    in_place: bool
    offset_ms: float | None
    pitch: str
    force: bool
    dry_run: bool
    keep_unverified: bool
    settings: Settings
    excerpt: Excerpt
    quiet: bool
    color: bool


def mend(flags: FixFlags) -> int:
    """Run `fix` and return the exit code.

    Raises:
        UsageError, ConfigError, ModelError: before any work.
        MediaError: the file cannot be read, judged or written; nothing is left behind.
    """
    job = check(flags)
    if flags.verbose:
        import logging
        import sys

        level = logging.DEBUG if flags.verbose >= 2 else logging.INFO
        logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
    engine = None
    if job.offset_ms is None or not job.dry_run:
        settings = job.settings
        engine = load_model(settings.model, settings.attention, settings.threads)
    with Sink(None, machine=False, color=job.color) as sink:
        return _Mending(job, engine, sink).run()


def check(flags: FixFlags) -> FixJob:
    """The job that `flags` describe.

    Raises:
        UsageError, ConfigError, MediaError: something cannot be used or does not go together.
    """
    from avsync_cli.media.probe import check_file

    if flags.pitch not in PITCHES:
        raise UsageError(f"unknown --pitch {flags.pitch!r}", f"use one of {', '.join(PITCHES)}")
    typed: dict[str, object] = {
        "range_ms": None if flags.range is None else check_range_ms(parse_duration_ms(flags.range)),
        "step_ms": None
        if flags.step is None
        else check_step_ms(parse_duration_ms(flags.step, "ms")),
        "tolerance": flags.tolerance,
        "attention": None if flags.attention is None else check_attention(flags.attention),
        "model": flags.model,
        "threads": flags.threads,
    }
    if flags.tolerance is not None:
        tolerance_profile(flags.tolerance)
    settings = load_settings("score", typed, flags.config)
    if settings.step_ms > settings.range_ms:
        raise UsageError("the step is wider than the range", "narrow --step or widen --range")
    excerpt = Excerpt(
        flags.video_track,
        flags.audio_track,
        0.0 if flags.start is None else parse_duration_ms(flags.start) / 1000.0,
        None if flags.duration is None else parse_duration_ms(flags.duration) / 1000.0,
    )
    if excerpt.duration_s == 0.0:
        raise UsageError("a duration of 0 leaves nothing to judge", "leave --duration out")
    offset_ms = None if flags.offset is None else parse_offset_ms(flags.offset)
    check_file(flags.file)
    target = _target(flags)
    return FixJob(
        source=flags.file,
        target=target,
        in_place=flags.in_place,
        offset_ms=offset_ms,
        pitch=flags.pitch,
        force=flags.force,
        dry_run=flags.dry_run,
        keep_unverified=flags.keep_unverified,
        settings=settings,
        excerpt=excerpt,
        quiet=flags.quiet,
        color=not flags.no_color,
    )


def parse_offset_ms(text: str) -> float:
    """A lag in ms from `120ms`, `-80ms`, `+0.12s` or a plain number of ms.

    Raises:
        UsageError: when it is none of these.

    >>> parse_offset_ms("120ms"), parse_offset_ms("-0.08s"), parse_offset_ms("+40")
    (120.0, -80.0, 40.0)
    """
    match = re.fullmatch(r"\s*([+-]?)(.*)", text, flags=re.DOTALL)
    assert match is not None
    try:
        size = parse_duration_ms(match[2], unit="ms")
    except UsageError:
        raise UsageError(
            f"--offset {text!r} is no lag", "write 120ms for late, -80ms for early sound"
        ) from None
    return -size if match[1] == "-" else size


def _target(flags: FixFlags) -> Path:
    from avsync_cli.media.carriers import carrier

    if flags.in_place:
        if flags.output is not None:
            raise UsageError("--in-place and --output exclude each other", "choose one")
        if flags.keep_unverified:
            raise UsageError(
                "--in-place and --keep-unverified exclude each other",
                "only a checked copy takes a file's place",
            )
        target = Path(flags.file).resolve()
        carrier(target)
        return target
    if flags.output is None:
        raise UsageError("where to? no output named", "name it with -o, or use --in-place")
    target = flags.output
    if target.is_dir():
        raise UsageError(f"--output {target} is a folder", "name a file in it")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"--output: there is no folder {target.parent}", "make it first")
    if os.path.lexists(target):
        same = target.exists() and target.samefile(flags.file)
        hint = "use --in-place to change the file itself" if same else "name another file"
        raise UsageError(f"--output {target} exists already; nothing is overwritten", hint)
    carrier(target)
    return target


class _Mending:
    """One run of `fix`."""

    def __init__(self, job: FixJob, engine: Engine | None, sink: Sink) -> None:
        from avsync_cli.report.words import safe_text

        self.job, self.engine, self.sink = job, engine, sink
        self.source = safe_text(job.source)
        self.target = safe_text(job.source if job.in_place else str(job.target))
        self.before: FileReport | None = None

    def run(self) -> int:
        """Do it, and say what was done."""
        from avsync_cli.inference.fixplan import constant_plan, plan_fix

        job = self.job
        stood = _stamp(Path(job.source))
        if job.offset_ms is not None:
            if job.offset_ms == 0:
                raise UsageError("an offset of 0 ms moves nothing", "give the lag, such as 120ms")
            plan = constant_plan(job.offset_ms)
        else:
            self.before = self._judge(job.source, "judging")
            self._refuse_undecided(self.before)
            plan = plan_fix(self.before.verdict, force=job.force)
        if plan.kind == "nothing":
            self._say_nothing_to_do()
            return EXIT_IN_SYNC
        info, recipes = self._recipes(plan)
        if job.dry_run:
            return self._print_commands(plan, recipes)
        return self._write(plan, info, recipes, stood)

    def _judge(self, path: str | Path, doing: str) -> FileReport:
        assert self.engine is not None
        with self._progress(doing) as progress:
            return analyse_file(path, self.job.settings, self.engine, self.job.excerpt, progress)

    def _progress(self, doing: str) -> FileProgress:
        return FileProgress(doing, shown=not self.job.quiet, color=self.job.color)

    def _refuse_undecided(self, report: FileReport) -> None:
        verdict = report.verdict
        if verdict.status != "undecided" and verdict.offset_ms is not None:
            return
        why = f" ({verdict.reasons[0]})" if verdict.reasons else ""
        raise MediaError(
            f"undecided{why}, so nothing was changed: {self.source}",
            "if you know the lag, give it: --offset 120ms",
            self.job.source,
        )

    def _recipes(self, plan: FixPlan) -> tuple[MediaInfo, list[Recipe]]:
        from avsync_cli.media.decode import pick_audio, pick_video
        from avsync_cli.media.probe import probe
        from avsync_cli.media.resound import plan_copies

        excerpt = self.job.excerpt
        info = probe(self.job.source)
        video = pick_video(info, excerpt.video_track or 0)
        audio = pick_audio(info, excerpt.audio_track or 0)
        suffix = self.job.target.suffix
        recipes = plan_copies(info, video, audio, plan.pieces, suffix, pitch=self.job.pitch)
        return info, recipes

    def _write(
        self, plan: FixPlan, info: MediaInfo, recipes: list[Recipe], stood: tuple[int, int]
    ) -> int:
        from avsync_cli.media.resound import temporary_copy, write_copy

        job = self.job
        with temporary_copy(job.target) as partial:
            with self._progress("writing") as progress:
                recipe = write_copy(info, recipes, partial, job.target, progress)
            doubt, after = self._check(partial)
            if doubt and not self._may_stay(after):
                return self._give_up(doubt)
            if job.in_place:
                if _stamp(Path(job.source)) != stood:
                    raise MediaError(
                        f"changed by somebody else in the meantime, so left alone: {self.source}",
                        "run again",
                        job.source,
                    )
                _replace(partial, job.target)
            else:
                _publish(partial, job.target)
        self._say_done(plan, recipe, after, doubt)
        unconfirmed = doubt and (after is None or after.verdict.status != "undecided")
        return (
            EXIT_OUT_OF_SYNC if unconfirmed or (doubt and job.offset_ms is None) else EXIT_IN_SYNC
        )

    def _check(self, partial: Path) -> tuple[str, FileReport | None]:
        """Why the copy is in doubt, or "", and the report on it if it could be judged."""
        from avsync_cli.inference.fixplan import confirms

        try:
            after = self._judge(partial, "checking")
        except MediaError as error:
            return f"the copy cannot be read ({type(error).__name__})", None
        before = None if self.before is None else self.before.verdict
        return confirms(before, after.verdict, after.tolerance), after

    def _may_stay(self, after: FileReport | None) -> bool:
        """Whether a copy in doubt is kept all the same."""
        if self.job.keep_unverified:
            return True
        # Who gives the lag by hand often does so because nothing can be judged.
        by_hand = self.job.offset_ms is not None and not self.job.in_place
        return by_hand and after is not None and after.verdict.status == "undecided"

    def _give_up(self, doubt: str) -> int:
        if self.job.in_place:
            say_error(
                f"{self.source}: not confirmed, so left as it was: {doubt}",
                "write a copy with -o and --keep-unverified to look at it",
            )
        else:
            say_error(
                f"{self.target}: not confirmed, so removed: {doubt}",
                "--keep-unverified keeps it, to look at",
            )
        return EXIT_OUT_OF_SYNC

    # --- Words ------------------------------------------------------------------------------------

    def _say_nothing_to_do(self) -> None:
        from avsync_cli.inference.fixplan import GOOD_ENOUGH_MS
        from avsync_cli.report.words import offset_words, sure_words, tolerance_name

        assert self.before is not None and self.before.verdict.offset_ms is not None
        verdict = self.before.verdict
        offset = self.before.verdict.offset_ms
        sure = sure_words(verdict)
        if abs(offset) <= GOOD_ENOUGH_MS:
            self._line(f"{self.source}: in sync ({round(offset):+d} ms, {sure}); nothing to fix")
            return
        name = tolerance_name(self.before.tolerance)
        self._line(
            f"{self.source}: {offset_words(offset)} ({sure}), inside {name}; nothing to fix "
            "(--force moves it all the same)"
        )

    def _print_commands(self, plan: FixPlan, recipes: list[Recipe]) -> int:
        from avsync_cli.report.words import shell_quote

        self._line(f"# {self.source}: {self._was(plan)}")
        words = recipes[0].shown(self.job.source, self.job.target)
        self._line(" ".join(shell_quote(word) for word in words))
        return EXIT_IN_SYNC

    def _say_done(
        self, plan: FixPlan, recipe: Recipe, after: FileReport | None, doubt: str
    ) -> None:
        from avsync_cli.report.words import interval_words

        offset = None if after is None else after.verdict.offset_ms
        if offset is None or after is None:
            self._line(f"{self.target}: written, but not confirmed: {doubt}; {self._was(plan)}")
        else:
            around = interval_words(offset, after.verdict.offset_ci_ms)
            measured = f"({round(offset):+d} ms {around})".replace(" )", ")")
            if doubt:
                self._line(
                    f"{self.target}: written, but not confirmed: {doubt} {measured}; "
                    f"{self._was(plan)}"
                )
            else:
                self._line(f"{self.target}: audio is in sync now {measured}, {self._was(plan)}")
        if self.job.quiet:
            return
        way = "copied" if recipe.way == "drop" else f"encoded again as {recipe.codec}"
        self._line(f"  picture and all other tracks copied; the sound that moved was {way}")
        for track in recipe.left_out:
            say(f"note: {track} does not fit this kind of file and was left out")

    def _was(self, plan: FixPlan) -> str:
        """What was wrong: "was 120 ms late"."""
        from avsync_cli.report.words import drift_words, offset_words

        said = "was" if self.before is not None else "by hand:"
        first = plan.pieces[0]
        if plan.kind == "constant":
            words = offset_words(first.offset_ms).removeprefix("audio is ")
            return f"{said} {words}"
        if plan.kind == "drift":
            return f"came {drift_words(first.drift_ms_per_min)}"
        lags = [piece.offset_ms for piece in plan.pieces]
        return f"was {min(lags):+.0f} to {max(lags):+.0f} ms in {len(lags)} stretches"

    def _line(self, text: str) -> None:
        self.sink.write(f"{text}\n")


# --- Files ----------------------------------------------------------------------------------------


def _stamp(path: Path) -> tuple[int, int]:
    """What tells whether a file was changed: its time and size."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _publish(partial: Path, target: Path) -> None:
    """Give the copy its name, unless somebody took it in the meantime."""
    try:
        os.link(partial, target)  # unlike a rename, it never replaces anything
    except FileExistsError:
        raise UsageError(
            f"--output {target} exists already; nothing is overwritten", "name another file"
        ) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise UsageError(
                f"--output {target} exists already; nothing is overwritten", "name another file"
            ) from None
        partial.rename(target)


def _replace(partial: Path, target: Path) -> None:
    """Put the copy in the original's place, with the original's rights, at once and for good."""
    stat = target.stat()
    with contextlib.suppress(OSError):
        os.chown(partial, stat.st_uid, stat.st_gid)
    partial.chmod(stat.st_mode & 0o7777)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
