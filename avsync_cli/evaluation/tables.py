"""From single judgements to rows: placement and classes, of every group, with intervals.

Intervals are bootstrapped over sources where a group has several, else over its clips: clips of a
source, and windows of a clip, are right or wrong together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from avsync_cli.evaluation.metrics import area_under_roc, bootstrap_interval
from avsync_cli.evaluation.records import (
    NEAR_FRAMES,
    ClassRow,
    Group,
    Histogram,
    Interval,
    Origin,
    PlacementRow,
    WindowRecord,
)

ALL = "all"

BINS = 30
"""Bins of a histogram."""


class _Judged(Protocol):
    @property
    def origin(self) -> Origin: ...


Item = TypeVar("Item", bound=_Judged)
Groups = Callable[[Sequence[Item]], list[tuple[Group, list[Item]]]]
"""A way of dividing judgements."""


def overall(items: Sequence[Item]) -> list[tuple[Group, list[Item]]]:
    """Everything: under rule "0" those sources that are taken to be in sync, else all."""
    return _grouped(items, lambda _: (ALL, "", ""))


def by_source(items: Sequence[Item]) -> list[tuple[Group, list[Item]]]:
    """One group a source."""
    return _grouped(items, lambda o: (o.source, "", ""))


def by_speaker(items: Sequence[Item]) -> list[tuple[Group, list[Item]]]:
    """One group a speaker of a source; those whose speaker is unknown are left out."""
    return _grouped([i for i in items if i.origin.speaker], lambda o: (o.source, o.speaker, ""))


def by_kind(items: Sequence[Item]) -> list[tuple[Group, list[Item]]]:
    """One group a kind ("talking", "impact", ...), over all sources."""
    return _grouped([i for i in items if i.origin.kind], lambda o: (ALL, "", o.kind))


EVERY = (overall, by_kind, by_source, by_speaker)
"""All ways, in the order in which tables have them."""


def _grouped(
    items: Sequence[Item], key: Callable[[Origin], tuple[str, str, str]]
) -> list[tuple[Group, list[Item]]]:
    groups: dict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item.origin)].append(item)
    return [
        (Group(*name, "0" if any(i.origin.rule == "0" for i in members) else "own"), members)
        for name, members in sorted(groups.items())
    ]


def clusters(items: Sequence[Item]) -> list[list[Item]]:
    """The items, together by source, or by clip where there is one source only."""
    several = len({i.origin.source for i in items}) > 1
    parts: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        parts[item.origin.source if several else item.origin.clip].append(item)
    return list(parts.values())


def rate(
    items: Sequence[Item], value: Callable[[Item], float], seed: int
) -> tuple[float, Interval]:
    """Mean of a value, NaN of nothing, and its 95 % interval."""
    values = [[value(item) for item in group] for group in clusters(items)]
    return mean([v for group in values for v in group]), bootstrap_interval(values, seed)


def mean(values: Sequence[float]) -> float:
    """Mean, NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def placement_rows(
    records: Sequence[WindowRecord], groups: Groups[WindowRecord], seed: int = 0
) -> list[PlacementRow]:
    """Placement by group and window length."""
    rows = []
    for group, members in groups(records):
        for frames in sorted({r.frames for r in members}):
            of_length = [r for r in members if r.frames == frames]
            exact = of_length
            if group.source == ALL and group.rule == "0":
                exact = [r for r in of_length if r.origin.rule == "0"]
            related = [r for r in of_length if r.own is not None]
            counts, right = (exact, _within) if group.rule == "0" else (related, _own_within)
            heard = [r for r in counts if r.heard]
            within, within_ci = rate(exact, _within, seed)
            own_within, own_ci = rate(related, _own_within, seed)
            heard_within, heard_ci = rate(heard, right, seed)
            rows.append(
                PlacementRow(
                    **vars(group),
                    frames=frames,
                    by=of_length[0].by,
                    windows=len(exact),
                    within=within,
                    within_ci=within_ci,
                    median_frames=float(np.median([float(r.best) for r in exact] or [np.nan])),
                    own_windows=len(related),
                    own_within=own_within,
                    own_ci=own_ci,
                    heard_windows=len(heard),
                    heard_within=heard_within,
                    heard_ci=heard_ci,
                )
            )
    return rows


def _within(record: WindowRecord) -> float:
    return float(abs(record.best) <= NEAR_FRAMES)


def _own_within(record: WindowRecord) -> float:
    assert record.own is not None
    return float(abs(record.best - record.own) <= NEAR_FRAMES)


def _pair(record: WindowRecord, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Of (2 R + 1,) values of a window, that in sync, and those shifted by 2..15 frames from it."""
    assert record.zero is not None
    reach = len(values) // 2
    at = reach + record.zero
    away = np.abs(np.arange(len(values)) - at)
    return float(values[at]), values[(away > NEAR_FRAMES) & (away <= reach)]


def _balanced(record: WindowRecord, negative: np.ndarray) -> float:
    assert record.threshold is not None
    positive, _ = _pair(record, record.score)
    refused = float(np.mean(negative <= record.threshold))
    return 0.5 * float(positive > record.threshold) + 0.5 * refused


def class_rows(
    records: Sequence[WindowRecord], groups: Groups[WindowRecord], seed: int = 0
) -> list[ClassRow]:
    """The paper's question by group and window length.

    Windows of sources with an offset of their own count from the clip's own zero, those for which
    it is not known are left out.
    """
    rows = []
    for group, members in groups(records):
        for frames in sorted({r.frames for r in members}):
            known = [r for r in members if r.frames == frames and r.zero is not None]
            if not known:
                continue
            moved = [r for r in known if len(r.elsewhere)]
            hard, hard_ci = _share(known, lambda r: _pair(r, r.score)[1], seed)
            easy, easy_ci = _share(moved, lambda r: r.elsewhere, seed)
            rows.append(
                ClassRow(
                    **vars(group),
                    frames=frames,
                    by=known[0].by,
                    windows=len(known),
                    hard=hard,
                    hard_ci=hard_ci,
                    hard_auc=_auc(known, lambda r: _pair(r, r.score)[1]),
                    easy=easy,
                    easy_ci=easy_ci,
                    easy_auc=_auc(moved, lambda r: r.elsewhere),
                )
            )
    return rows


Negatives = Callable[[WindowRecord], np.ndarray]
"""Scores of a window with sound that is not its own."""


def _share(records: list[WindowRecord], negatives: Negatives, seed: int) -> tuple[float, Interval]:
    judged = [r for r in records if r.threshold is not None]
    return rate(judged, lambda r: _balanced(r, negatives(r)), seed)


def _auc(records: list[WindowRecord], negatives: Negatives) -> float:
    if not records:
        return float("nan")
    positive = np.array([_pair(r, r.score)[0] for r in records])
    return area_under_roc(positive, np.concatenate([negatives(r) for r in records]))


def confidence_histogram(records: Sequence[WindowRecord], frames: int) -> Histogram | None:
    """The paper's figure: the attention's confidence for pairs in sync and not, at one length."""
    known = [r for r in records if r.frames == frames and r.zero is not None and len(r.confidence)]
    if not known:
        return None
    pairs = [_pair(r, r.confidence) for r in known]
    positive = np.array([p for p, _ in pairs], np.float32)
    hard = np.concatenate([n for _, n in pairs])
    if np.ptp(np.concatenate([positive, hard])) == 0:
        return None  # a model without attention is equally confident of everything
    return histogram(positive, hard, np.concatenate([r.elsewhere_confidence for r in known]))


def score_histogram(records: Sequence[WindowRecord], frames: int) -> Histogram | None:
    """The decision's log-odds for pairs in sync and not, at one window length."""
    known = [r for r in records if r.frames == frames and r.zero is not None]
    if not known:
        return None
    pairs = [_pair(r, r.score) for r in known]
    return histogram(
        np.array([p for p, _ in pairs]),
        np.concatenate([n for _, n in pairs]),
        np.concatenate([r.elsewhere for r in known]),
    )


def histogram(positive: np.ndarray, hard: np.ndarray, easy: np.ndarray) -> Histogram:
    """Shares of three sets of values in common bins over all but their outermost thousandths."""
    every = np.concatenate([positive, hard, easy])
    low, high = np.percentile(every, [0.1, 99.9])
    if not high > low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, BINS + 1)

    def shares(values: np.ndarray) -> list[float]:
        if len(values) == 0:
            return [0.0] * BINS
        counts, _ = np.histogram(np.clip(values, low, high), edges)
        return [float(c) / len(values) for c in counts]

    return Histogram([float(e) for e in edges], shares(positive), shares(hard), shares(easy))
