"""The designs that selection compares, simplest first, and how each of them does in cross-validation."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from churn import estimators, measures, splits
from churn.estimators import Calibrated, Design
from churn.fitting.calibration import sigmoid

logger = logging.getLogger(__name__)

# With up to so many rows there are so many folds, dealt so often: few rows cost little, and are what luck rules.
DEALS = {5_000: (10, 2), 10_000: (5, 2)}
FOLDS, REPEATS = 5, 1  # with more
WINDOWS = 5
FEWEST_WINDOWS = 3  # in time; with fewer, their differences say nothing of the error
METRICS = ("log_loss", "roc_auc", "average_precision", "brier")
Split = tuple[np.ndarray, np.ndarray]  # which rows to train on and which to test on, bool of shape (rows,)


@dataclass(frozen=True)
class Candidate:
    """A kind and settings to try; numbers of trees in `rounds` are read from one fit, and the best one is meant."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    rounds: tuple[int, ...] = ()

    def designs(self) -> list[Design]:
        """The designs that the candidate stands for: one, or one for each number of trees."""
        if not self.rounds:
            return [Design(self.kind, dict(self.settings))]
        return [Design(self.kind, {**self.settings, "n_estimators": count}) for count in self.rounds]


def _trees(leaves: int, rounds: tuple[int, ...], rate: float = 0.05) -> Candidate:
    """Slow learning; each tree sees its own four fifths of the rows, and bins may hold a single one."""
    drawn = {"subsample": 0.8, "subsample_freq": 1, "min_data_in_bin": 1}
    return Candidate("lightgbm", {"learning_rate": rate, "num_leaves": leaves, **drawn}, rounds)


# The closed table, simplest first: a stronger penalty before a weaker one, fewer leaves before more. Those without
# settings are the defaults of their kind.
TABLE: tuple[Candidate, ...] = (
    Candidate("logistic", {"C": 0.01}),
    Candidate("logistic", {"C": 0.1}),
    Candidate("logistic"),
    _trees(3, (60, 90, 130, 180, 250, 350)),
    _trees(8, (60, 90, 130, 180, 250)),
    _trees(16, (60, 90, 130, 180, 250)),
    _trees(31, (60, 90, 130, 180, 250)),
    Candidate("lightgbm"),
    _trees(48, (150, 200, 250, 300, 350), rate=0.03),
)


def client_splits(groups: np.ndarray, left: np.ndarray, count: int, seed: int) -> list[Split] | None:
    """Folds in which clients stay together; None where a part of one would hold one label only."""
    fold = splits.folds(groups, left, count, seed)
    return _usable([(fold != number, fold == number) for number in range(count)], left)


def time_splits(as_of: np.ndarray, left: np.ndarray) -> list[Split] | None:
    """Expanding windows over the dates: train on all earlier ones, test on the next; None with too few of them.

    A client's earlier rows may be trained on and a later one tested: that is how the model will be used.
    """
    codes, dates = pd.factorize(np.asarray(as_of), sort=True)
    windows = min(WINDOWS, len(dates) - 1)
    if windows < FEWEST_WINDOWS:
        return None
    blocks = np.array_split(np.arange(len(dates)), windows + 1)
    return _usable([(codes < b[0], np.isin(codes, b)) for b in blocks[1:]], left)


def _usable(found: list[Split], left: np.ndarray) -> list[Split] | None:
    both = all(left[rows].any() and not left[rows].all() for split in found for rows in split)
    return found if both else None


def evaluate(
    candidate: Candidate,
    matrix: np.ndarray,
    left: np.ndarray,
    parts: Sequence[Split],
    *,
    seed: int,
    threads: int,
    deadline: float = np.inf,
) -> np.ndarray | None:
    """The scores of a candidate's designs, after a sigmoid on all tested rows; shape (designs, parts, METRICS).

    None where the deadline, in seconds of `time.monotonic`, was over before its last fit began.
    """
    settings = candidate.designs()[-1].settings  # the most trees
    blank = estimators.ESTIMATORS[candidate.kind](seed, 1, settings)

    def tested(part: Split) -> list[np.ndarray] | None:
        if time.monotonic() > deadline:
            return None
        train, test = part
        return _staged(Calibrated(blank).fit(matrix[train], left[train]), matrix[test], candidate.rounds)

    staged = estimators.side_by_side(tested, parts, candidate.kind, threads)
    found = [one for one in staged if one is not None]
    if len(found) < len(parts):
        return None
    truths = [left[test] for _, test in parts]
    result = np.empty((len(found[0]), len(parts), len(METRICS)))
    for i in range(len(found[0])):
        log_odds = [one[i] for one in found]
        everyone = np.concatenate(truths)
        slope, intercept = sigmoid(np.concatenate(log_odds), everyone, np.ones(len(everyone)))
        result[i] = [_scores(t, z, expit(slope * z + intercept)) for t, z in zip(truths, log_odds, strict=True)]
    return result


def _staged(model: Calibrated, matrix: np.ndarray, rounds: tuple[int, ...]) -> list[np.ndarray]:
    """The log-odds after each number of trees; one array where no numbers are given."""
    if not rounds:
        return [model.log_odds(matrix)]
    booster, threads = model.estimator_.booster_, model.estimator_.n_jobs
    found, total, done = [], np.zeros(len(matrix)), 0
    for count in rounds:
        more = {"start_iteration": done, "num_iteration": count - done}
        total = total + booster.predict(matrix, raw_score=True, num_threads=threads, **more)
        found.append(total)
        done = count
    return found


def _scores(left: np.ndarray, log_odds: np.ndarray, risk: np.ndarray) -> list[float]:
    ranking, whole = measures.Ranking(left, log_odds), np.ones(len(left))
    loss, brier = measures.log_losses(left, risk).mean(), ((risk - left) ** 2).mean()
    return [float(loss), ranking.roc_auc(whole), ranking.average_precision(whole), float(brier)]


def plan(
    left: np.ndarray, groups: np.ndarray, as_of: np.ndarray | None, seed: int, repeats: int | None
) -> list[list[Split]] | None:
    """Which rows are trained on and tested, a list a repeat; None where that cannot be done."""
    ordered = None if as_of is None else time_splits(as_of, left)
    if ordered:
        return [ordered]  # there is one order in time, and nothing to repeat
    count, times = next((deal for rows, deal in DEALS.items() if len(left) <= rows), (FOLDS, REPEATS))
    dealt = [client_splits(groups, left, count, seed + number) for number in range(repeats or times)]
    return [parts for parts in dealt if parts] or None


def race(
    offered: list[Candidate],
    matrix: np.ndarray,
    left: np.ndarray,
    dealt: list[list[Split]],
    seconds: float,
    **more: int,
) -> tuple[dict[int, list[np.ndarray]], dict[int, float]]:
    """The scores of each candidate, an array a repeat, and its seconds; no fit begins when the time is up.

    Each repeat goes through all candidates before the next one begins, and through the defaults first: what is cut
    off is the least of it, and those always stand.
    """
    began = time.monotonic()
    found: dict[int, list[np.ndarray]] = {}
    spent = dict.fromkeys(range(len(offered)), 0.0)
    order = sorted(spent, key=lambda i: bool(offered[i].settings))
    for number, parts in enumerate(dealt):
        for place, i in enumerate(order, start=1):
            start = time.monotonic()
            deadline = began + seconds if number or offered[i].settings else np.inf
            scores = evaluate(offered[i], matrix, left, parts, deadline=deadline, **more)
            if scores is None:
                return found, spent
            found.setdefault(i, []).append(scores)
            spent[i] += time.monotonic() - start
            nth = place + number * len(order)
            logger.info("selection: candidate %d of %d, %.1f s", nth, len(order) * len(dealt), time.monotonic() - began)
    return found, spent
