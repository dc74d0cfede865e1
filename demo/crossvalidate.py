"""Cross-validate each product's model on its ingested rows: 5 folds, clients (or identical rows) kept together.

Ingest first (python ingestion.py), then: python demo/crossvalidate.py --product telco [--seeds 0 1 2]
The F1 of a fold uses the threshold that is best on the other folds' out-of-fold risks, never on its own rows.
No model is kept. ROC AUC and average precision are means over the folds.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dataclasses

import numpy as np
from prettytable import PrettyTable

import training
from churn import dataset, heldout, measures, stage
from churn.config import Product
from churn.errors import DataError


def cross_validate(product: Product, seeds: list[int] | None = None, model: str | None = None) -> str:
    """A table with a row a seed: ROC AUC, average precision, Brier score, log loss and F1.

    Raises:
        DataError: nothing is ingested, or a fold would hold one class only.
    """
    table = PrettyTable(["model", "seed", "rows", "ROC AUC", "avg. precision", "Brier", "log loss", "F1"])
    frame = dataset.frame(product)
    left = heldout.labels(frame, product)
    for seed in seeds or [0, 1, 2]:
        said = {"seed": seed, "model": model or product.settings.model}
        trial = dataclasses.replace(product, settings=product.settings.model_copy(update=said))
        if not len(frame) or (found := training.out_of_fold_risks(trial, frame, left)) is None:
            raise DataError(f"too little data to cross-validate: {len(frame)} rows, {left.sum()} left")
        risk, fold = found
        shown = [*_means(left, risk, fold), _honest_f1(left, risk, fold)]
        table.add_row([said["model"], seed, f"{len(left):,}", *(f"{value:.4f}" for value in shown)])
    return f"{len(frame):,} rows in {training.FOLDS} folds, means over the folds\n{table}"


def _means(left: np.ndarray, risk: np.ndarray, fold: np.ndarray) -> list[float]:
    """ROC AUC, average precision, Brier score and log loss, each the mean over the folds."""
    found = []
    for number in np.unique(fold):
        rows = fold == number
        one = measures.scores(left[rows], risk[rows], 0.5)
        brier = float(((risk[rows] - left[rows]) ** 2).mean())
        found.append([one["roc_auc"], one["average_precision"], brier, one["log_loss"]])
    return list(np.mean(found, axis=0))


def _honest_f1(left: np.ndarray, risk: np.ndarray, fold: np.ndarray) -> float:
    """F1 over all rows, each judged by the threshold of the other folds."""
    said = np.empty(len(left), dtype=bool)
    for number in np.unique(fold):
        rows = fold == number
        said[rows] = risk[rows] >= measures.best_f1_threshold(left[~rows], risk[~rows])
    return float(2 * (said & left).sum() / (said.sum() + left.sum()))


if __name__ == "__main__":
    sys.exit(
        stage.main(
            cross_validate,
            stage.argument("--seeds", type=int, nargs="+", metavar="N", help="one row each (default: 0 1 2)"),
            stage.argument("--model", metavar="NAME", help="instead of the product's own"),
        )
    )
