"""Fit a model with its calibration and its threshold, and choose which model to fit.

Both come from out-of-fold log-odds: each row is judged by a model that saw none of its client's rows. Calibration
is a sigmoid on the log-odds, which keeps the order of the clients.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.pipeline import Pipeline

from churn import estimators, measures, splits
from churn.columns import Columns
from churn.errors import DataError
from churn.estimators import Calibrated, Design
from churn.fitting import calibration, candidates
from churn.fitting.candidates import METRICS, TABLE, Candidate

FEWEST_FOR_TREES = 40  # two leaves of LightGBM's; with fewer rows no tree has two, and all settings say the same
MOST_ROWS = 30_000  # selection looks at no more rows, a sample of whole clients, so that it ends in time


@dataclass(frozen=True)
class OutOfFold:
    """What each training row's client is told by a model that saw none of its rows; arrays of shape (rows,)."""

    log_odds: np.ndarray  # before calibration
    risk: np.ndarray  # calibrated by the sigmoid of the final model
    fold: np.ndarray
    left: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A model fitted on all rows, the threshold from which it says "leaves", and what both were judged by."""

    model: Pipeline
    threshold: float
    out_of_fold: OutOfFold | None  # None: too few clients or labels for folds; not calibrated, threshold 0.5


def fit(
    frame: pd.DataFrame,
    left: np.ndarray,
    columns: Columns,
    design: Design,
    *,
    groups: np.ndarray,
    seed: int,
    threads: int,
    weights: np.ndarray | None = None,
    folds: int = 5,
    share: float | None = None,
) -> Fitted:
    """Fit a design on all rows, calibrated and with a threshold from out-of-fold risks.

    Args:
        frame: the rows, with the feature columns of the contract.
        left: bool of shape (rows,).
        groups: a number a row, equal for rows that must not stand on both sides of a fold; uint64.
        seed: of the folds and the estimator.
        threads: how many fits side by side.
        weights: how much each row counts, above 0; all alike by default.
        folds: how many.
        share: the share of clients that can be called, which the threshold then marks; None: best F1.

    Raises:
        DataError: one label only.
    """
    left = np.asarray(left, dtype=bool)
    if left.all() or not left.any():
        raise DataError(f"no model: all {len(left):,} rows have the same label; both are needed")
    # Fitted once and not fold by fold: it looks at no label.
    encoder = estimators.Encoder(columns.numbers, columns.categorical).fit(frame)
    matrix = encoder.transform(frame)
    fold = splits.folds(groups, left, folds, seed)
    estimator, found = _fitted(design, matrix, left, weights, fold=fold, folds=folds, seed=seed, threads=threads)
    model = Pipeline([("encoder", encoder), ("estimator", estimator)])
    if found is None:
        return Fitted(model, 0.5, None)
    counted = np.ones(len(left)) if weights is None else weights
    slope, intercept = calibration.sigmoid(found, left, counted)
    estimator.calibrate(slope, intercept)
    known = OutOfFold(found, expit(slope * found + intercept), fold, left, counted)
    return Fitted(model, _threshold(known, share), known)


def _threshold(known: OutOfFold, share: float | None) -> float:
    if share is None:
        return measures.best_f1_threshold(known.left, known.risk, known.weights)
    return calibration.share_threshold(known.risk, share, known.weights)


def _fitted(
    design: Design,
    matrix: np.ndarray,
    left: np.ndarray,
    weights: np.ndarray | None,
    *,
    fold: np.ndarray,
    folds: int,
    seed: int,
    threads: int,
) -> tuple[Calibrated, np.ndarray | None]:
    """The estimator fitted on all rows, and each row's log-odds from one that saw none of its fold.

    None for these where a fold is empty, or is all that there is of a label.
    """
    blank = estimators.ESTIMATORS[design.kind](seed, threads, design.settings)
    parts = [fold == number for number in range(folds)]
    judged = all(part.any() and left[~part].any() and not left[~part].all() for part in parts)

    def fit_on(rows: np.ndarray | slice) -> Calibrated:
        return Calibrated(blank).fit(matrix[rows], left[rows], None if weights is None else weights[rows])

    fitted_on = [slice(None), *(~part for part in parts if judged)]
    whole, *others = estimators.side_by_side(fit_on, fitted_on, design.kind, threads)
    if not judged:
        return whole, None
    found = np.empty(len(left))
    for part, other in zip(parts, others, strict=True):
        found[part] = other.log_odds(matrix[part])
    return whole, found


@dataclass(frozen=True)
class Selection:
    """The design to fit, and why: how every candidate did."""

    design: Design
    table: list[dict[str, Any]]  # a row a candidate, simplest first; JSON-able
    reason: str  # one sentence
    complete: bool  # False: the time was up before every candidate was through


def select(
    frame: pd.DataFrame,
    left: np.ndarray,
    columns: Columns,
    *,
    groups: np.ndarray,
    seed: int,
    threads: int,
    seconds: float,
    kinds: Sequence[str] = ("logistic", "lightgbm"),
    as_of: np.ndarray | None = None,
    repeats: int | None = None,
) -> Selection:
    """The simplest design whose log loss, after a sigmoid, is within one standard error of the least.

    Compared by repeated cross-validation in which clients stay together; with at least four dates in `as_of`, by
    training on earlier dates and testing on later ones, where a client's earlier rows may be trained on.

    Args:
        frame: the rows, with the feature columns; of more than MOST_ROWS, some of the clients are looked at.
        left: bool of shape (rows,).
        columns: the column contract.
        groups: a number a row, equal for rows of one client; uint64.
        seed: of the folds and the estimators.
        threads: how many fits side by side.
        seconds: after so long no fit is begun, but for the defaults of each kind; 0: the defaults alone.
        kinds: of the closed table.
        as_of: each row's date, or None.
        repeats: how often folds are dealt; None: the more often the fewer rows there are, see candidates.DEALS.
    """
    left = np.asarray(left, dtype=bool)
    tuned = [kind for kind in kinds if seconds > 0 and (kind != "lightgbm" or len(left) >= FEWEST_FOR_TREES)]
    offered = [c for c in TABLE if c.kind in kinds and (c.kind in tuned or not c.settings)]
    default = next(c for c in offered if not c.settings).designs()[0]
    if len(offered) == 1:
        return Selection(default, [], f"{describe(default)}, without a comparison", complete=True)
    rows = splits.folds(groups, left, -(-len(left) // MOST_ROWS), seed) == 0
    left, groups = left[rows], groups[rows]
    plan = candidates.plan(left, groups, None if as_of is None else np.asarray(as_of)[rows], seed, repeats)
    if plan is None:
        return Selection(default, [], f"{describe(default)}: too few clients or labels to compare", complete=True)
    matrix = estimators.Encoder(columns.numbers, columns.categorical).fit_transform(frame[rows])
    found, spent = candidates.race(offered, matrix, left, plan, seconds or np.inf, seed=seed, threads=threads)
    return _decide(offered, found, spent, len(plan), seconds)


def describe(design: Design) -> str:
    """A design in words."""
    said = ", ".join(f"{name} {value}" for name, value in design.settings.items())
    return f"{design.kind} ({said or 'defaults'})"


def _decide(
    offered: list[Candidate],
    found: dict[int, list[np.ndarray]],
    spent: dict[int, float],
    planned: int,
    seconds: float,
) -> Selection:
    """The simplest within one standard error of the best, over the repeats that all went through.

    The error is that of the paired differences to the best, part by part. The rule is that of Breiman, Friedman,
    Olshen and Stone, Classification and Regression Trees, 1984, 3.4.3. That parts share training rows is left out of
    account: with the correction of Nadeau and Bengio, Inference for the generalization error, Machine Learning 52,
    2003, the error is about twice as large, and what is merely simpler would be given too much.
    """
    repeats = min(len(scores) for scores in found.values())
    designs, scores = [], []
    for i in sorted(found):
        every = np.concatenate(found[i][:repeats], axis=1)
        fewest = int(every[:, :, 0].mean(axis=1).argmin())
        designs.append(offered[i].designs()[fewest])
        scores.append(every[fewest])
    losses = np.array(scores)[:, :, 0]
    best = int(losses.mean(axis=1).argmin())
    behind, error = _mean_and_error(losses - losses[best])
    chosen = int(np.flatnonzero(behind <= error)[0])
    table = []
    for place, i in enumerate(sorted(found)):
        row: dict[str, Any] = asdict(designs[place])
        for metric, *of in zip(METRICS, *_mean_and_error(scores[place].T), strict=True):
            row |= {metric: float(of[0]), f"{metric}_se": float(of[1])}
        row |= {"behind": float(behind[place]), "behind_se": float(error[place])}
        table.append(row | {"seconds": round(spent[i], 3), "chosen": place == chosen})
    complete = all(len(found.get(i, [])) == planned for i in range(len(offered)))
    reason = _reason(table, chosen, best)
    if not complete:
        reason += f"; after {seconds:g} s the rest was cut off"
    return Selection(designs[chosen], table, reason, complete)


def _reason(table: list[dict[str, Any]], chosen: int, best: int) -> str:
    """Why the chosen candidate is the chosen one, in a sentence."""
    first, winner = (Design(row["kind"], row["settings"]) for row in (table[chosen], table[best]))
    if chosen == best:
        return f"{describe(first)}: the least log loss, {table[best]['log_loss']:.4f}, of {len(table)} candidates"
    behind = f"{table[chosen]['behind']:.4f} behind, error {table[chosen]['behind_se']:.4f}"
    whose = f"{describe(winner)}, {table[best]['log_loss']:.4f}"
    return f"{describe(first)}: the simplest within one standard error ({behind}) of the least log loss, of {whose}"


def _mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the parts, in the last axis, and its standard error."""
    return values.mean(axis=-1), values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
