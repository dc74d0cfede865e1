"""What out-of-fold log-odds are turned into: a calibrated risk, by a sigmoid, and the threshold of a capacity."""

import numpy as np
from scipy.special import expit

LARGEST_LOG_ODDS = 30.0  # beyond it a risk is 0 or 1 for all purposes, and one row would decide on the slope


def sigmoid(log_odds: np.ndarray, left: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and intercept with the least log loss of expit(slope * log_odds + intercept); (1, 0) if it would fall.

    Labels are pulled in by one row of each class, so that few rows cannot make a certainty. Sources: Platt,
    Probabilistic outputs for support vector machines, 1999; Newton's method with step halving after Lin, Lin and
    Weng, A note on Platt's probabilistic outputs, Machine Learning 68, 2007.
    """
    z = np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
    leavers = weights[left].sum()
    stayers = weights.sum() - leavers
    target = np.where(left, (leavers + 1) / (leavers + 2), 1 / (stayers + 2))

    def loss(at: np.ndarray) -> float:
        x = at[0] * z + at[1]
        return float((weights * (np.logaddexp(0.0, x) - target * x)).sum())

    at, best = np.array([1.0, 0.0]), np.inf
    for _ in range(100):
        p = expit(at[0] * z + at[1])
        off, curve = weights * (p - target), weights * p * (1 - p)
        # Sums and no matrix products, whose last bits depend on the number of threads.
        gradient = np.array([(off * z).sum(), off.sum()])
        mixed = (curve * z).sum()
        hessian = np.array([[(curve * z * z).sum() + 1e-9, mixed], [mixed, curve.sum() + 1e-9]])
        step, best, size = np.linalg.solve(hessian, gradient), loss(at), 1.0
        while loss(at - size * step) > best and size > 1e-10:
            size /= 2
        at = at - size * step
        if best - loss(at) < 1e-10 * (1 + best):
            break
    return (float(at[0]), float(at[1])) if at[0] > 0 else (1.0, 0.0)


def share_threshold(risk: np.ndarray, share: float, weights: np.ndarray) -> float:
    """The lowest threshold that at most this share of the rows, by weight, reaches."""
    order = np.argsort(-risk, kind="stable")
    ordered, called = risk[order], np.cumsum(weights[order])
    fits = np.append(ordered[1:] != ordered[:-1], True) & (called <= share * called[-1] * (1 + 1e-12))
    if not fits.any():
        return float(np.nextafter(ordered[0], 2.0))
    last = int(np.flatnonzero(fits)[-1])
    below = ordered[last + 1] if last + 1 < len(ordered) else 0.0
    halfway = (ordered[last] + below) / 2
    return float(halfway if halfway > below else ordered[last])
