"""What `avsync eval` measured, as tables for a person and as JSON."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from avsync_cli.report.words import safe_text
from avsync_cli.timebase import FPS, FRAME_MS

if TYPE_CHECKING:
    from avsync_cli.evaluation.protocol import EvalReport, PlacementRow, ShiftRow

SOURCE_WIDTH = 30
"""Columns for a source's name; what is longer is cut."""

MAX_MISSES = 40
"""Missed known shifts listed before the rest is only counted."""


def evaluation_lines(report: EvalReport) -> list[Text]:
    """Tables by source and window length: placement, classes, known shifts; then failures."""
    lines = [Text(f"model {safe_text(report.model)}", style="bold")]
    if report.placement:
        lines += [Text(""), *_placement(report.placement)]
        lines += [Text(""), *_own(report.placement)]
        lines += [Text(""), *_classes(report.placement)]
    if report.shifts:
        lines += [Text(""), *_shifts(report.shifts)]
    if report.failed:
        # A clip can fail once a question.
        failed = dict(report.failed)
        lines += [Text(""), Text(f"clips that could not be used: {len(failed)}", style="yellow")]
        lines += [Text(f"  {safe_text(why)}") for why in failed.values()]
    return lines


def _placement(rows: list[PlacementRow]) -> list[Text]:
    lengths, table = _by_source(rows)
    title = f"placed within one frame of 0, by window length (chance {_chance():.0f} %)"
    lines = [Text(title, style="bold"), _head(lengths, "windows", "median")]
    for source, cells in table.items():
        widest = cells[max(cells)]
        shares = [cells.get(n) for n in lengths]
        most = max(row.windows for row in cells.values())
        median = f"{widest.median_frames * FRAME_MS:+.0f} ms"
        shown = "".join(f"{_share(None if row is None else row.within):>8}" for row in shares)
        lines.append(_line(source, f"{most:>9}{shown}{median:>10}"))
        if source == "all":
            ends = ", ".join(
                f"{_share(row.within_ci[0])} to {_share(row.within_ci[1])} at {_length(row.frames)}"
                for row in shares
                if row is not None
            )
            lines.append(Text(f"95 % interval over sources: {ends}", style="dim"))
    return lines


def _own(rows: list[PlacementRow]) -> list[Text]:
    title = "placed within one frame of what the rest of the clip says (its own zero)"
    return _share_table(rows, title, lambda row: row.own_within, lambda row: row.own_windows)


def _classes(rows: list[PlacementRow]) -> list[Text]:
    title = "in sync or shifted by 2 to 15 frames, balanced accuracy (chance 50 %)"
    return _share_table(rows, title, lambda row: row.classes, lambda row: row.windows)


def _share_table(
    rows: list[PlacementRow],
    title: str,
    share: Callable[[PlacementRow], float],
    count: Callable[[PlacementRow], int],
) -> list[Text]:
    """A title, a head, and a line a source with one share for every window length."""
    lengths, table = _by_source(rows)
    lines = [Text(title, style="bold"), _head(lengths, "windows", "")]
    for source, cells in table.items():
        values = (cells.get(n) for n in lengths)
        shown = "".join(f"{_share(None if row is None else share(row)):>8}" for row in values)
        lines.append(_line(source, f"{max(map(count, cells.values())):>9}{shown}"))
    return lines


def _shifts(rows: list[ShiftRow]) -> list[Text]:
    by_source: dict[str, list[ShiftRow]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    title = f"sound moved in the file by a known amount: estimate moved likewise ±{FRAME_MS} ms"
    head = Text(f"{'source':<{SOURCE_WIDTH}}{'files':>9}{'right':>8}{'decided':>10}", style="dim")
    lines = [Text(title, style="bold"), head]
    for source, group in [*sorted(by_source.items()), ("all", rows)]:
        right = _share(_mean(row.right for row in group))
        decided = _share(_mean(row.decided for row in group))
        lines.append(_line(source, f"{len(group):>9}{right:>8}{decided:>10}"))
    misses = [row for row in rows if not row.right]
    for row in misses[:MAX_MISSES]:
        moved = f"moved {row.moved_ms:+.0f} ms instead of {row.shift_ms:+d} ms"
        lines.append(Text(f"  missed: {safe_text(row.path)}: {moved}"))
    if len(misses) > MAX_MISSES:
        lines.append(Text(f"  and {len(misses) - MAX_MISSES} more; --json lists all"))
    return lines


def _by_source(
    rows: list[PlacementRow],
) -> tuple[list[int], dict[str, dict[int, PlacementRow]]]:
    """Window lengths in order, and every source's rows by length, "all" last."""
    table: dict[str, dict[int, PlacementRow]] = {}
    for row in sorted(rows, key=lambda r: (r.source == "all", r.source)):
        table.setdefault(row.source, {})[row.frames] = row
    return sorted({row.frames for row in rows}), table


def _head(lengths: list[int], count: str, last: str) -> Text:
    cells = "".join(f"{_length(n):>8}" for n in lengths)
    return Text(f"{'source':<{SOURCE_WIDTH}}{count:>9}{cells}{last:>10}".rstrip(), style="dim")


def _line(source: str, rest: str) -> Text:
    name = safe_text(source) or "(no source)"
    name = name if len(name) < SOURCE_WIDTH else name[: SOURCE_WIDTH - 2] + "~"
    return Text(f"{name:<{SOURCE_WIDTH}}{rest}", style="bold" if source == "all" else "")


def _length(frames: int) -> str:
    return f"{frames / FPS:g} s"


def _chance() -> float:
    """Share of guesses that are right by luck: 3 of the 31 offsets tried."""
    from avsync_cli.evaluation.protocol import NEAR_FRAMES, REACH_FRAMES

    return 100.0 * (2 * NEAR_FRAMES + 1) / (2 * REACH_FRAMES + 1)


def _share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100.0 * value:.1f} %"


def _mean(values: Iterable[bool]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else float("nan")


def evaluation_json(report: EvalReport) -> str:
    """The whole report as JSON, with null for what is not a number."""
    return json.dumps(_plain(report.to_json()), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
