"""Is a model as sure as it should be, and does it keep silent when it should?

The confidence of every verdict on a trial (see `trials`) is held against whether its offset was
right: bins for a reliability diagram, the expected calibration error, and, as the bar for an answer
is raised, the share answered against the share of the answers that are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Stage
from avsync_cli.evaluation import metrics, tables
from avsync_cli.evaluation.records import Certainty, ConfidenceRow, Stretch
from avsync_cli.evaluation.sweep import RuleOf
from avsync_cli.evaluation.tables import Groups, mean
from avsync_cli.evaluation.trials import judged, known_zero, trials
from avsync_cli.model.engine import Engine
from avsync_cli.verdict.posterior import Constants


def stretches(
    engine: Engine,
    clips: Sequence[CachedClip],
    rule_of: RuleOf,
    *,
    seed: int = 0,
    swapped: bool = False,
    progress: Stage | None = None,
) -> list[Stretch]:
    """Judge stretches of every clip; see `trials` for the arguments, `known_zero` for the zero."""
    cut = trials(
        engine,
        clips,
        known_zero(engine, rule_of),
        rule_of,
        seed=seed,
        swapped=swapped,
        progress=progress,
    )
    return [judged(trial) for trial in cut]


def confidence_rows(
    found: Sequence[Stretch], groups: Groups[Stretch], seed: int
) -> list[ConfidenceRow]:
    """Calibration and answers by group."""
    rows = []
    for group, members in groups(found):
        answers = [s for s in members if s.decided]
        decided = mean([s.decided for s in members])
        wrong, wrong_ci = tables.rate(answers, lambda s: float(not s.right), seed)
        rows.append(
            ConfidenceRow(
                **vars(group),
                stretches=len(members),
                right=mean([s.right for s in members]),
                ece=_ece(members),
                ece_ci=metrics.bootstrap_statistic(tables.clusters(members), _ece, seed),
                decided=decided,
                undecided=1.0 - decided,
                wrong=wrong,
                wrong_ci=wrong_ci,
                covered=mean([s.covered for s in answers if s.covered is not None]),
            )
        )
    return rows


def _ece(members: list[Stretch]) -> float:
    return metrics.calibration_error([s.confidence for s in members], [s.right for s in members])


def summarise(
    found: Sequence[Stretch],
    strangers: Sequence[Stretch],
    calibration: dict[str, float],
    seed: int = 0,
) -> Certainty:
    """Everything that is said of a model's confidence."""
    confidence, right = [s.confidence for s in found], [s.right for s in found]
    return Certainty(
        rows=[row for groups in tables.EVERY for row in confidence_rows(found, groups, seed)],
        bins=metrics.reliability(confidence, right) if found else [],
        risk=metrics.risk_coverage(confidence, right),
        bar=Constants.of(calibration).undecided_below,
        strangers=len(strangers),
        strangers_decided=mean([s.decided for s in strangers]),
    )
