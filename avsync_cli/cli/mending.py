"""The work of `avsync fix`: judge, plan, write beside, judge the copy, and only then name it.

At no moment is there a half-written or unchecked file under the name that was asked for, and the
original is never opened for writing: `--in-place` renames the finished copy over it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.cli.mend_words import Teller
from avsync_cli.cli.output import Sink
from avsync_cli.cli.progress import FileProgress
from avsync_cli.errors import EXIT_IN_SYNC, EXIT_OUT_OF_SYNC, MediaError, UsageError
from avsync_cli.files import file_beside
from avsync_cli.judging import analyse_file

if TYPE_CHECKING:
    from avsync_cli.cli.mend import FixJob
    from avsync_cli.fix.copy import Recipe
    from avsync_cli.fix.plan import FixPlan
    from avsync_cli.media.facts import MediaInfo
    from avsync_cli.model.engine import Engine
    from avsync_cli.verdict.answer import Judgement


class _GivenUp(Exception):
    """The copy was not confirmed, for the reason that it is raised with."""


class Mending:
    """One run of `fix`."""

    def __init__(self, job: FixJob, engine: Engine | None, sink: Sink) -> None:
        self.job, self.engine = job, engine
        self.tell = Teller(job, sink)
        self.before: Judgement | None = None

    def run(self) -> int:
        """Do it, and say what was done."""
        from avsync_cli.fix.plan import constant_plan, plan_fix

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
            self.tell.nothing_to_do(self.before)
            return EXIT_IN_SYNC
        info, recipes = self._recipes(plan)
        if job.dry_run:
            self.tell.command(plan, recipes[0], judged=self.before is not None)
            return EXIT_IN_SYNC
        return self._write(plan, info, recipes, stood)

    def _judge(self, path: str | Path, doing: str) -> Judgement:
        assert self.engine is not None
        with self._progress(doing) as progress:
            return analyse_file(path, self.job.settings, self.engine, self.job.excerpt, progress)

    def _progress(self, doing: str) -> FileProgress:
        return FileProgress(doing, shown=not self.job.quiet, color=self.job.color)

    def _refuse_undecided(self, report: Judgement) -> None:
        verdict = report.verdict
        if verdict.status != "undecided" and verdict.offset_ms is not None:
            return
        why = f" ({verdict.reasons[0]})" if verdict.reasons else ""
        raise MediaError(
            f"undecided{why}, so nothing was changed: {self.tell.source}",
            "if you know the lag, give it: --offset 120ms",
            self.job.source,
        )

    def _recipes(self, plan: FixPlan) -> tuple[MediaInfo, list[Recipe]]:
        from avsync_cli.fix.copy import plan_copies
        from avsync_cli.media.facts import pick_audio, pick_video
        from avsync_cli.media.probe import probe

        excerpt = self.job.excerpt
        info = probe(self.job.source)
        video = pick_video(info, excerpt.video_track)
        audio = pick_audio(info, excerpt.audio_track)
        suffix = self.job.target.suffix
        recipes = plan_copies(info, video, audio, plan.pieces, suffix, pitch=self.job.pitch)
        return info, recipes

    def _write(
        self, plan: FixPlan, info: MediaInfo, recipes: list[Recipe], stood: tuple[int, int]
    ) -> int:
        from avsync_cli.fix.copy import write_copy

        job = self.job
        try:
            with file_beside(job.target, overwrite=job.in_place) as partial:
                with self._progress("writing") as progress:
                    recipe = write_copy(info, recipes, partial, job.target, progress)
                doubt, after = self._check(partial)
                if doubt and not self._may_stay(after):
                    raise _GivenUp(doubt)
                if job.in_place:
                    self._check_unchanged(stood)
        except _GivenUp as given_up:
            self.tell.given_up(str(given_up))
            return EXIT_OUT_OF_SYNC
        self.tell.done(plan, recipe, after, doubt, judged=self.before is not None)
        unconfirmed = doubt and (after is None or after.verdict.status != "undecided")
        return (
            EXIT_OUT_OF_SYNC if unconfirmed or (doubt and job.offset_ms is None) else EXIT_IN_SYNC
        )

    def _check(self, partial: Path) -> tuple[str, Judgement | None]:
        """Why the copy is in doubt, or "", and the report on it if it could be judged."""
        from avsync_cli.fix.plan import confirms

        try:
            after = self._judge(partial, "checking")
        except MediaError as error:
            return f"the copy cannot be read ({type(error).__name__})", None
        before = None if self.before is None else self.before.verdict
        return confirms(before, after.verdict, after.tolerance), after

    def _check_unchanged(self, stood: tuple[int, int]) -> None:
        if _stamp(Path(self.job.source)) != stood:
            raise MediaError(
                f"changed by somebody else in the meantime, so left alone: {self.tell.source}",
                "run again",
                self.job.source,
            )

    def _may_stay(self, after: Judgement | None) -> bool:
        """Whether a copy in doubt is kept all the same."""
        if self.job.keep_unverified:
            return True
        # Who gives the lag by hand often does so because nothing can be judged.
        by_hand = self.job.offset_ms is not None and not self.job.in_place
        return by_hand and after is not None and after.verdict.status == "undecided"


# --- Files ----------------------------------------------------------------------------------------


def _stamp(path: Path) -> tuple[int, int]:
    """What tells whether a file was changed: its time and size."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
