"""Do sound and picture belong together at all? What the height of a peak says of it.

Any two recordings have an offset at which they fit best. Here true pairs and exchanged ones teach
how high, for how much evidence, a peak must be to tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from avsync_cli.evaluation.logistic import logistic_fit
from avsync_cli.inference.evidence import Evidence
from avsync_cli.verdict.posterior import MATCH_BLOCKS, Constants, Peak, find_peak, read_windows

PRIOR_ODDS = 9.0
"""Odds that picture and sound of a file belong together, before anything is seen of it. Among
people's files they are higher; for those who check dubs they are not, and a wrong answer costs
more than none."""

DOUBT_ODDS = 1.0
"""The same for somebody who takes a dub to be as likely as not: an answer must convince them too,
or a dubbed film would get one now and then because films usually are not dubbed."""

LEVELS = tuple(float(x) for x in np.round(np.arange(-4.0, 6.05, 0.1), 1))
FALLS = (0.0, 0.2, 0.4, 0.6, 0.8)


def peaks(stretches: Sequence[Evidence], constants: dict[str, float]) -> list[Peak]:
    """The best common offset of every stretch that has windows."""
    own = Constants.of(constants)
    return [find_peak(read_windows(s.windows, own)) for s in stretches if s.windows]


def fit_match(
    matched: Sequence[Evidence], swapped: Sequence[Evidence], constants: dict[str, float]
) -> dict[str, float]:
    """What a peak's height says of whether sound and picture belong together at all.

    Of true pairs a peak wanders about its own height and of exchanged ones about a lower, the less
    the longer they are. So there is a level between the two, which falls with the evidence, and how
    clearly a peak's distance from it speaks grows with it.
    """
    right, wrong = peaks(matched, constants), peaks(swapped, constants)
    if not right or not wrong:
        return {}
    heights = np.array([p.height for p in right + wrong])
    sizes = np.log(np.clip([p.blocks for p in right + wrong], 1.0, MATCH_BLOCKS))
    labels = np.concatenate([np.ones(len(right)), np.zeros(len(wrong))])
    weight = np.where(labels > 0, 0.5 / len(right), 0.5 / len(wrong))
    best, chosen = -np.inf, (0.0, 0.0, 0.0, 0.0)
    for level, fall in product(LEVELS, FALLS):
        above = heights - level + fall * sizes
        scale, growth = logistic_fit(np.stack([above, above * sizes], axis=1), labels, weight)
        odds = (scale + growth * sizes) * above
        score = float((weight * np.where(labels > 0, _log_share(odds), _log_share(-odds))).sum())
        if score > best:
            best, chosen = score, (scale, growth, level, fall)
    names = ("match_scale", "match_growth", "match_level", "match_fall")
    beforehand = {"match_bias": math.log(PRIOR_ODDS), "match_doubt": math.log(DOUBT_ODDS)}
    return dict(zip(names, chosen, strict=True)) | beforehand


def _log_share(odds: np.ndarray) -> np.ndarray:
    """Logarithm of the probability behind log-odds."""
    return -np.logaddexp(0.0, -odds)
