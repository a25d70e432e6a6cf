"""Logistic regression on a few numbers, all that calibration needs of it."""

from __future__ import annotations

import numpy as np


def logistic_fit(design: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, ...]:
    """The F coefficients of a weighted logistic regression, by Newton's method.

    A little weight decay keeps them finite where the data can be separated completely.

    Args:
        design: (N, F); y: (N,) 0 or 1; weight: (N,).
    """
    beta = np.zeros(design.shape[1])
    beta[0] = 0.1
    ridge = 1e-4 * np.eye(len(beta))
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -40, 40)))
        gradient = design.T @ (weight * (p - y)) + ridge @ beta
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        beta = beta - step / max(1.0, np.abs(step).max() / 2.0)  # the same way, less far
        if np.abs(step).max() < 1e-8:
            break
    return tuple(map(float, beta))
