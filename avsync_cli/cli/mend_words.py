"""What `avsync fix` says of what it found and did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.cli.output import Sink, say, say_error
from avsync_cli.repair.plan import GOOD_ENOUGH_MS, FixPlan
from avsync_cli.report.sentences import is_at_border, limits_words, sure_words
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import (
    drift_words,
    interval_words,
    offset_words,
    percent,
    safe_text,
    shell_quote,
)

if TYPE_CHECKING:
    from avsync_cli.repair.run import Order, Repair


class Teller:
    """Tells of one run of `fix`.

    Args:
        order: what was asked for.
        sink: where the answer goes.
        quiet: whether one line is enough.
    """

    def __init__(self, order: Order, sink: Sink, *, quiet: bool) -> None:
        self.order, self.sink, self.quiet = order, sink, quiet
        self.source = order.source.shown
        self.target = order.source.shown if order.in_place else safe_text(str(order.target))

    def tell(self, done: Repair) -> None:
        """Say what was done."""
        tellers = {
            "nothing": self._nothing_to_do,
            "planned": self._command,
            "written": self._written,
            "refused": self._refused,
        }
        tellers[done.outcome](done)

    def _nothing_to_do(self, done: Repair) -> None:
        before = done.before
        assert before is not None and before.verdict.offset_ms is not None
        verdict, offset = before.verdict, before.verdict.offset_ms
        sure = sure_words(verdict)
        lags = [piece.offset_ms for piece in verdict.segments if piece.offset_ms is not None]
        drift = verdict.drift_ms_per_min
        if not drift and all(abs(lag) <= GOOD_ENOUGH_MS for lag in [offset, *lags]):
            self._line(f"{self.source}: in sync ({round(offset):+d} ms, {sure}); nothing to fix")
            return
        how = offset_words(offset)
        if drift or len(lags) > 1:
            sure = f"{percent(verdict.confidence)} sure"
        if drift:
            how = f"audio comes {drift_words(drift)}"
        elif len(lags) > 1:  # the file's own is that of one of them
            low, high = min(lags), max(lags)
            how = f"audio is off by {low:+.0f} to {high:+.0f} ms in {len(lags)} stretches"
        where = "at the border of" if is_at_border(before) else "inside"
        limits = limits_words(before.tolerance)
        found = f"{self.source}: {how} ({sure}), {where} {limits}"
        self._line(f"{found}; nothing to fix (--force moves it all the same)")

    def _command(self, done: Repair) -> None:
        assert done.recipe is not None
        self._line(f"# {self.source}: {_was(done.plan, done.before)}")
        for words in done.recipe.shown(self.order.source.path, self.order.target):
            self._line(" ".join(shell_quote(word) for word in words))

    def _written(self, done: Repair) -> None:
        assert done.recipe is not None
        measured = _measured(done.after)
        was = _was(done.plan, done.before)
        if done.doubt:
            self._line(f"{self.target}: written, but not confirmed: {done.doubt}{measured}; {was}")
        else:
            self._line(f"{self.target}: audio is in sync now{measured}, {was}")
        if self.quiet:
            return
        if done.plan.level_ms:
            self._line("  what was in sync stayed as it was; --force brings all of it to 0 ms")
        recipe = done.recipe
        way = "copied" if recipe.way == "drop" else f"encoded again as {recipe.codec}"
        self._line(f"  picture and all other tracks copied; the sound that moved was {way}")
        for what in done.lost:
            say(f"note: {what} does not fit this kind of file and was left out")

    def _refused(self, done: Repair) -> None:
        fate = "left as it was" if self.order.in_place else "removed"
        hint = "the file may be damaged: repair it first"
        if self.order.target.suffix.lower() != Path(self.order.source.path).suffix.lower():
            hint = "a track may not fit this kind of file: keep the input's extension, or take .mkv"
        if done.after is not None:  # the copy is what was planned; it is the plan that is in doubt
            hint = "--keep-unverified keeps it, to look at"
            if self.order.in_place:
                hint = "write a copy with -o and --keep-unverified to look at it"
        say_error(f"{self.target}: not confirmed, so {fate}: {done.doubt}", hint)

    def _line(self, text: str) -> None:
        self.sink.write(f"{text}\n")


def _measured(after: Judgement | None) -> str:
    """The copy's offset as it was measured, or ""."""
    if after is None or after.verdict.offset_ms is None:
        return ""
    offset = after.verdict.offset_ms
    around = interval_words(offset, after.verdict.offset_ci_ms)
    return f" ({round(offset):+d} ms {around})".replace(" )", ")")


def _was(plan: FixPlan, before: Judgement | None) -> str:
    """What was wrong: "was 120 ms late"."""
    said = "by hand:" if before is None else "was"
    first = plan.pieces[0]
    if plan.kind == "constant":
        words = offset_words(first.offset_ms).removeprefix("audio is ")
        return f"{said} {words}"
    if plan.kind == "drift":
        return f"came {drift_words(first.drift_ms_per_min)}"
    lags = [piece.offset_ms + plan.level_ms for piece in plan.pieces]
    return f"was {min(lags):+.0f} to {max(lags):+.0f} ms in {len(lags)} stretches"
