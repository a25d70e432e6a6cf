"""Logistic regression on two numbers, all that calibration needs of it."""

from __future__ import annotations

import numpy as np


def line_in(x: np.ndarray) -> np.ndarray:
    """(N, 2) design of a line in x: scale and bias."""
    return np.stack([x, np.ones_like(x)], axis=1)


def logistic_fit(design: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The two coefficients of a weighted logistic regression, by Newton's method.

    A little weight decay keeps them finite where the data can be separated completely.

    Args:
        design: (N, 2); y: (N,) 0 or 1; weight: (N,).
    """
    beta = np.array([0.1, 0.0])
    ridge = np.diag([1e-4, 1e-4])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -40, 40)))
        gradient = design.T @ (weight * (p - y)) + ridge @ beta
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        beta = beta - np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return float(beta[0]), float(beta[1])
