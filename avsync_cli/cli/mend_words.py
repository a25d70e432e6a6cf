"""What `avsync fix` says of what it found and did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avsync_cli.cli.output import Sink, say, say_error

if TYPE_CHECKING:
    from avsync_cli.cli.mend import FixJob
    from avsync_cli.fix.copy import Recipe
    from avsync_cli.fix.plan import FixPlan
    from avsync_cli.verdict.answer import Judgement


class Teller:
    """Tells of one run of `fix`.

    Attributes:
        source, target: the two files, safe to print.
    """

    def __init__(self, job: FixJob, sink: Sink) -> None:
        from avsync_cli.wording import safe_text

        self.job, self.sink = job, sink
        self.source = safe_text(job.source)
        self.target = safe_text(job.source if job.in_place else str(job.target))

    def nothing_to_do(self, before: Judgement | None) -> None:
        """The file is left as it is."""
        from avsync_cli.fix.plan import GOOD_ENOUGH_MS
        from avsync_cli.report.sentences import sure_words, tolerance_name
        from avsync_cli.wording import offset_words

        assert before is not None and before.verdict.offset_ms is not None
        verdict, offset = before.verdict, before.verdict.offset_ms
        sure = sure_words(verdict)
        if abs(offset) <= GOOD_ENOUGH_MS:
            self._line(f"{self.source}: in sync ({round(offset):+d} ms, {sure}); nothing to fix")
            return
        name = tolerance_name(before.tolerance)
        self._line(
            f"{self.source}: {offset_words(offset)} ({sure}), inside {name}; nothing to fix "
            "(--force moves it all the same)"
        )

    def command(self, plan: FixPlan, recipe: Recipe, *, judged: bool) -> None:
        """What would be run."""
        from avsync_cli.wording import shell_quote

        self._line(f"# {self.source}: {_was(plan, judged)}")
        words = recipe.shown(self.job.source, self.job.target)
        self._line(" ".join(shell_quote(word) for word in words))

    def done(
        self,
        plan: FixPlan,
        recipe: Recipe,
        after: Judgement | None,
        doubt: str,
        *,
        judged: bool,
    ) -> None:
        """The copy has its name."""
        from avsync_cli.wording import interval_words

        offset = None if after is None else after.verdict.offset_ms
        if offset is None or after is None:
            self._line(f"{self.target}: written, but not confirmed: {doubt}; {_was(plan, judged)}")
        else:
            around = interval_words(offset, after.verdict.offset_ci_ms)
            measured = f"({round(offset):+d} ms {around})".replace(" )", ")")
            if doubt:
                self._line(
                    f"{self.target}: written, but not confirmed: {doubt} {measured}; "
                    f"{_was(plan, judged)}"
                )
            else:
                self._line(f"{self.target}: audio is in sync now {measured}, {_was(plan, judged)}")
        if self.job.quiet:
            return
        way = "copied" if recipe.way == "drop" else f"encoded again as {recipe.codec}"
        self._line(f"  picture and all other tracks copied; the sound that moved was {way}")
        for track in recipe.left_out:
            say(f"note: {track} does not fit this kind of file and was left out")

    def given_up(self, doubt: str) -> None:
        """The copy was not confirmed and is gone."""
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

    def _line(self, text: str) -> None:
        self.sink.write(f"{text}\n")


def _was(plan: FixPlan, judged: bool) -> str:
    """What was wrong: "was 120 ms late"."""
    from avsync_cli.wording import drift_words, offset_words

    said = "was" if judged else "by hand:"
    first = plan.pieces[0]
    if plan.kind == "constant":
        words = offset_words(first.offset_ms).removeprefix("audio is ")
        return f"{said} {words}"
    if plan.kind == "drift":
        return f"came {drift_words(first.drift_ms_per_min)}"
    lags = [piece.offset_ms for piece in plan.pieces]
    return f"was {min(lags):+.0f} to {max(lags):+.0f} ms in {len(lags)} stretches"
