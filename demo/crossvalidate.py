"""Cross-validate the model that would be chosen today beside the usual ones: repeated 5-fold, clients kept together.

Ingest first (python ingestion.py), then: python demo/crossvalidate.py --product telco [--seeds 0 1 2]
Without any data: python demo/crossvalidate.py --fabricated

`auto` chooses its design anew within each training part, fits it and takes its threshold there. The others are
scikit-learn's LogisticRegression on standardised numbers and indicators, and LightGBM and HistGradientBoosting as
they come; their threshold is the best one of the other parts' risks. All figures are means over the parts of all
repeats, errors those of paired differences (Nadeau and Bengio, see churn/fitting/selection.py). No model is kept.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from prettytable import PrettyTable

from churn import dataset, estimators, heldout, measures, splits, stage
from churn.columns import Columns
from churn.config import Product
from churn.errors import DataError
from churn.fitting import selection
from demo import fabricate

FOLDS = 5
METRICS = {"ROC AUC": 1, "avg. precision": 1, "Brier": -1, "F1": 1}  # 1: more is better
AUTO = "auto"
CLIENTS, MONTHS = 10_000, (1, 2)
CORPORATE = Columns(
    target="exited",
    positive="1",
    negative="0",
    id="corporation",
    integer=("lastmonth_activity", "lastyear_activity", "number_of_employees"),
)


@dataclass
class Chosen:
    """What `auto` chose, and how long that took."""

    designs: Counter = field(default_factory=Counter)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    cut: int = 0

    def __str__(self) -> str:
        lines = [f"  {count} x {name}" for name, count in self.designs.most_common()]
        took = f"chosen in {np.mean(self.wall):.1f} s, {max(self.wall):.1f} s at most"
        took += f" (on the processor {np.mean(self.cpu):.1f} s, {max(self.cpu):.1f} s at most)"
        took += f"; the time was up in {self.cut} of {len(self.wall)}" if self.cut else ""
        return "\n".join([f"{AUTO} was {took}:", *lines])


@dataclass(frozen=True)
class Task:
    """Labelled rows of a product, and what choosing a model for them may cost."""

    frame: pd.DataFrame
    left: np.ndarray
    groups: np.ndarray
    columns: Columns
    threads: int
    seconds: float

    def part(self, rows: np.ndarray) -> "Task":
        """Some of the rows."""
        kept = (self.frame[rows].reset_index(drop=True), self.left[rows], self.groups[rows])
        return Task(*kept, self.columns, self.threads, self.seconds)


def cross_validate(product: Product, seeds: list[int] | None = None) -> str:
    """A table with a row a model: ROC AUC, average precision, Brier score and F1; then how `auto` compares.

    Raises:
        DataError: too little is ingested.
    """
    frame, settings = dataset.frame(product), product.settings
    left = heldout.labels(frame, product)
    if min(left.sum(), (~left).sum()) < FOLDS * FOLDS:
        raise DataError(f"too little data to cross-validate: {len(frame)} rows, {left.sum()} left; ingest more")
    groups = splits.groups(frame, product.columns)
    task = Task(frame, left, groups, product.columns, settings.threads, settings.tuning_seconds)
    seeds, chosen = seeds or [0, 1, 2], Chosen()
    scores: dict[str, list[list[float]]] = {}
    for seed in seeds:
        fold = splits.folds(groups, left, FOLDS, seed)
        for name, fit in {AUTO: _auto(chosen), **RIVALS}.items():
            scores.setdefault(name, []).extend(_scores(task, fold, fit, seed))
    said = f"{len(frame):,} rows, {FOLDS} parts, seeds {', '.join(map(str, seeds))}"
    return "\n".join([said, _table(scores), _verdict(scores), str(chosen)])


# ---- the models ------------------------------------------------------------------------------------------------------

# Fits on a task with a seed; gives the risk of other rows, and a threshold or None.
Fit = Callable[[Task, int], tuple[Callable[[pd.DataFrame], np.ndarray], float | None]]


def _auto(chosen: Chosen) -> Fit:
    def fit(task: Task, seed: int) -> tuple[Callable[[pd.DataFrame], np.ndarray], float | None]:
        given = {"groups": task.groups, "seed": seed, "threads": task.threads}
        as_of = task.frame[task.columns.as_of].to_numpy() if task.columns.as_of else None
        wall, cpu = time.perf_counter(), time.process_time()
        found = selection.select(task.frame, task.left, task.columns, seconds=task.seconds, as_of=as_of, **given)
        chosen.wall.append(time.perf_counter() - wall)
        chosen.cpu.append(time.process_time() - cpu)
        chosen.cut += not found.complete
        chosen.designs[selection.describe(found.design)] += 1
        fitted = selection.fit(task.frame, task.left, task.columns, found.design, **given)
        return lambda frame: estimators.risks(fitted.model, frame), fitted.threshold

    return fit


def _rival(make: Callable[[int, int], Any], *, scaled: bool) -> Fit:
    """A model of scikit-learn's kind on numbers and indicators; trees get missing numbers as they are."""

    def fit(task: Task, seed: int) -> tuple[Callable[[pd.DataFrame], np.ndarray], float | None]:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()) if scaled else "passthrough"
        indicators = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        steps = [("numbers", numbers, list(task.columns.numbers))]
        steps.append(("indicators", indicators, list(task.columns.categorical)))
        encoder, model = ColumnTransformer(steps), make(seed, task.threads)
        model.fit(_plain(encoder.fit_transform(task.frame)), task.left)
        return lambda frame: model.predict_proba(_plain(encoder.transform(frame)))[:, 1], None

    return fit


def _plain(matrix: Any) -> pd.DataFrame:
    """A table with plain names: LightGBM warns of a matrix without names, and refuses some names."""
    return pd.DataFrame(np.asarray(matrix, dtype=float)).rename(columns=lambda number: f"x{number}")


def _logistic(_seed: int, _threads: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=5000)


def _lightgbm(seed: int, threads: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=seed, n_jobs=threads, verbosity=-1)


def _histogram(seed: int, _threads: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


RIVALS: dict[str, Fit] = {
    "plain logistic": _rival(_logistic, scaled=True),
    "default LightGBM": _rival(_lightgbm, scaled=False),
    "default HistGradientBoosting": _rival(_histogram, scaled=False),
}


# ---- the scores ------------------------------------------------------------------------------------------------------


def _scores(task: Task, fold: np.ndarray, fit: Fit, seed: int) -> list[list[float]]:
    """The METRICS of a model in each part."""
    risk, thresholds = np.empty(len(fold)), []
    for number in range(FOLDS):
        test = fold == number
        predict, threshold = fit(task.part(~test), seed)
        risk[test] = predict(task.frame[test])
        thresholds.append(threshold)
    found = []
    for number, own in enumerate(thresholds):
        test = fold == number
        threshold = measures.best_f1_threshold(task.left[~test], risk[~test]) if own is None else own
        found.append(_of(task.left[test], risk[test], threshold))
    return found


def _of(left: np.ndarray, risk: np.ndarray, threshold: float) -> list[float]:
    one = measures.scores(left, risk, threshold)
    return [one["roc_auc"], one["average_precision"], float(((risk - left) ** 2).mean()), one["f1"]]


def _table(scores: dict[str, list[list[float]]]) -> str:
    table = PrettyTable(["model", *METRICS])
    for name, found in scores.items():
        table.add_row([name, *(f"{value:.4f}" for value in np.mean(found, axis=0))])
    return str(table)


def _verdict(scores: dict[str, list[list[float]]]) -> str:
    """For each metric: how far `auto` is ahead of the best of the others, and the error of that."""
    lines = []
    for place, (metric, sign) in enumerate(METRICS.items()):
        of = {name: sign * np.array(found)[:, place] for name, found in scores.items()}
        best = max(RIVALS, key=lambda name: of[name].mean())
        ahead = of[AUTO] - of[best]
        error = ahead.std(ddof=1) * np.sqrt(1 / len(ahead) + 1 / (FOLDS - 1))
        gap = f"{abs(ahead.mean()):.4f} {'ahead of' if ahead.mean() >= 0 else 'behind'} {best}"
        within = "" if ahead.mean() >= 0 else ", within one" if -ahead.mean() <= error else ", more than one"
        lines.append(f"{metric}: {AUTO} is {gap} (standard error {error:.4f}){within}")
    return "\n".join(lines)


# ---- fabricated data -------------------------------------------------------------------------------------------------


def fabricated(options: argparse.Namespace) -> str:
    """On fabricated clients with known probabilities: what is lost to the best possible, and the calibration.

    Trained on two months of 10,000 clients; tested on the month after, of these and of 10,000 other clients.
    """
    table, chosen = PrettyTable(["seed", "AP", "best possible", "lost", "calibration error"]), Chosen()
    rows = []
    for seed in options.seeds or [0, 1, 2]:
        frame = pd.concat([_month(CLIENTS, month, seed) for month in MONTHS], ignore_index=True)
        groups = splits.groups(frame, CORPORATE)
        predict, _ = _auto(chosen)(Task(frame, _left(frame), groups, CORPORATE, 1, 20.0), seed)
        test = _month(2 * CLIENTS, MONTHS[-1] + 1, seed)
        left, risk, whole = _left(test), predict(test), np.ones(len(test))
        truth = fabricate.true_probability(test, fabricate.Drift(), MONTHS[-1] + 1)
        reached, best = (measures.Ranking(left, one).average_precision(whole) for one in (risk, truth))
        rows.append([reached, best, 1 - reached / best, measures.calibration_error(left, risk)])
        table.add_row([seed, *_shown(rows[-1])])
    table.add_row(["mean", *_shown(np.mean(rows, axis=0))])
    trained = f"{len(MONTHS)} months of {CLIENTS:,} clients to train on, the month after of {2 * CLIENTS:,} to test on"
    return f"{trained}\n{table}\n{chosen}"


def _shown(row: Any) -> list[str]:
    return [f"{row[0]:.4f}", f"{row[1]:.4f}", f"{row[2]:.2%}", f"{row[3]:.4f}"]


def _month(clients: int, month: int, seed: int) -> pd.DataFrame:
    frame = fabricate.world(clients, month, seed, fabricate.Drift())
    return frame.astype({CORPORATE.id: "str", **dict.fromkeys(CORPORATE.numbers, "float64")})


def _left(frame: pd.DataFrame) -> np.ndarray:
    return frame[CORPORATE.target].to_numpy() == 1


if __name__ == "__main__":
    sys.exit(
        stage.main(
            cross_validate,
            stage.argument("--seeds", type=int, nargs="+", metavar="N", help="one repeat each (default: 0 1 2)"),
            stage.command("--fabricated", fabricated, action="store_true", help="on fabricated data; needs no config"),
        )
    )
