"""How good risks are: the scores of a model, its threshold, and its ranking.

All take plain arrays: `left` is bool or 0/1 of shape (rows,), `risk` float in [0, 1] of the same shape.
"""

from typing import Any

import numpy as np

EPSILON = float(np.finfo(float).eps)  # probabilities stay this far from 0 and 1 in the log loss, as in scikit-learn


def scores(left: np.ndarray, risk: np.ndarray, threshold: float | np.ndarray) -> dict[str, Any]:
    """The scores of one model on labelled rows, each None where one class is absent and it means nothing.

    The threshold is one for all rows, or one a row, of which the mean is told.

    Keys: rows, positives, threshold, f1, precision, recall, roc_auc, average_precision, log_loss, confusion
    ({tp, fp, fn, tn}) and constant_f1: what always answering "leaves" would score.
    """
    left = np.asarray(left, dtype=bool)
    said = risk >= threshold
    tp, fp = int((said & left).sum()), int((said & ~left).sum())
    fn, tn = int((~said & left).sum()), int((~said & ~left).sum())
    both = 0 < left.sum() < len(left)
    ranking = Ranking(left, risk)
    whole = np.ones(len(left))
    return {
        "rows": len(left),
        "positives": int(left.sum()),
        "threshold": float(np.mean(threshold)) if len(left) else None,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "roc_auc": ranking.roc_auc(whole) if both else None,
        "average_precision": ranking.average_precision(whole) if both else None,
        "log_loss": float(log_losses(left, risk).mean()) if len(left) else None,
        "confusion": {"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        "constant_f1": _ratio(2 * int(left.sum()), len(left) + int(left.sum())),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def log_losses(left: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """The log loss of each row, in nats."""
    return -np.log(np.clip(np.where(left, risk, 1 - risk), EPSILON, 1 - EPSILON))


def best_f1_threshold(left: np.ndarray, risk: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold with the highest F1; halfway between two neighbouring risks, 0.5 where nobody left.

    Args:
        left: who left.
        risk: in [0, 1].
        weights: how much each row counts, at least 0; all alike by default.
    """
    left = np.asarray(left, dtype=bool)
    weights = np.ones(len(left)) if weights is None else weights
    total = weights[left].sum()
    if not total > 0:
        return 0.5
    order = np.argsort(-risk, kind="stable")
    ordered = risk[order]
    said = np.cumsum(weights[order])
    tp = np.cumsum(np.where(left, weights, 0.0)[order])
    last = np.append(ordered[1:] != ordered[:-1], True)  # a threshold cannot split equal risks
    f1 = np.where(last, 2 * tp / (said + total), -1)
    best = int(np.argmax(f1))
    below = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    halfway = (ordered[best] + below) / 2
    return float(halfway if halfway > below else ordered[best])  # between neighbouring floats there is no room


class Ranking:
    """One model's ranking of labelled rows, sorted once, so that weighted scores of it cost one pass."""

    def __init__(self, left: np.ndarray, risk: np.ndarray, threshold: float = 0.5) -> None:
        self.order = np.argsort(-risk, kind="stable")
        self.left = np.asarray(left, dtype=float)[self.order]
        ordered = risk[self.order]
        self.ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(risk) else np.empty(0, int)
        self.said = int((ordered >= threshold).sum())

    def _counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cumulated weight of those who left and of those who stayed, at the end of each group of equal risks."""
        ordered = weights[self.order]
        return np.cumsum(ordered * self.left)[self.ends], np.cumsum(ordered * (1 - self.left))[self.ends]

    def average_precision(self, weights: np.ndarray) -> float:
        """Sum over thresholds of (gain in recall) x precision, as in scikit-learn."""
        tp, fp = self._counts(weights)
        precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
        return float((np.diff(tp, prepend=0.0) * precision).sum() / tp[-1]) if tp[-1] > 0 else 0.0

    def roc_auc(self, weights: np.ndarray) -> float:
        """The chance that one who left ranks above one who stayed, ties counting half."""
        tp, fp = self._counts(weights)
        if tp[-1] == 0 or fp[-1] == 0:
            return 0.5
        return float((np.diff(fp, prepend=0.0) * (tp - np.diff(tp, prepend=0.0) / 2)).sum() / (tp[-1] * fp[-1]))

    def f1(self, weights: np.ndarray) -> float:
        """F1 of the rows at or above the threshold."""
        ordered = weights[self.order]
        tp, said = (ordered * self.left)[: self.said].sum(), ordered[: self.said].sum()
        whole = said + (ordered * self.left).sum()
        return float(2 * tp / whole) if whole > 0 else 0.0


def calibration_error(left: np.ndarray, risk: np.ndarray, bins: int = 10) -> float:
    """The expected calibration error: how far the risk is from the share that left, a mean over bins of equal count.

    Where the true probabilities are known they may stand for `left`. Source: Naeini, Cooper and Hauskrecht,
    Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015, with bins of equal count.
    """
    off = np.asarray(left, dtype=float) - risk
    parts = np.array_split(off[np.argsort(risk, kind="stable")], bins)
    return float(sum(abs(part.sum()) for part in parts) / len(risk))
