"""The labelled rows on which a version was not trained, with the risks it gives them: what scores and reports show.

They are the rows of the product's test files; where there are none, the training rows themselves, each judged by a
model that saw none of its client's rows (out of fold).
"""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churn import dataset, estimators, measures, sources
from churn.config import Product
from churn.errors import DataError
from churn.releases import Release

if TYPE_CHECKING:
    from churn.fitting.selection import OutOfFold

TEST_ROWS, OUT_OF_FOLD_ROWS = "test rows", "training rows, each judged out of fold"
FILE = "outoffold.npz"


@dataclass(frozen=True)
class HeldOut:
    """Who left, the risk, and the threshold (one, or one a row) of rows that the model behind it has not seen."""

    left: np.ndarray
    risk: np.ndarray
    threshold: float | np.ndarray
    origin: str

    def scores(self) -> dict:
        """As `measures.scores` gives them, and on what."""
        return measures.scores(self.left, self.risk, self.threshold) | {"on": self.origin}


def held_out(product: Product, release: Release, folder: Path) -> HeldOut:
    """The held-out rows of a version.

    Raises:
        DataError: there are none.
    """
    frame, _ = dataset.read_folder(product, product.test)
    if len(frame):
        risk = estimators.risks(release.model, frame)
        return HeldOut(labels(frame, product), risk, release.threshold, TEST_ROWS)
    kept = out_of_fold(folder)
    if kept is None:
        raise DataError(
            f"no held-out rows: put a labelled file into {product.test}, or more data into {product.source}"
        )
    return HeldOut(kept["left"], kept["risk"], kept["threshold"], OUT_OF_FOLD_ROWS)


def out_of_fold(folder: Path) -> dict[str, np.ndarray] | None:
    """A version's out-of-fold arrays: left, log_odds, risk, threshold; None where there were too few rows for folds."""
    path = folder / FILE
    if not path.is_file():
        return None
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        return dict(arrays)


def out_of_fold_bytes(found: "OutOfFold", threshold: float | None) -> bytes:
    """The file that `out_of_fold` reads, from a fit's out-of-fold results.

    Args:
        threshold: that of the model, where it was chosen without a look at labels; None where it has the best F1. Then
            that of a row is the best one on the other folds: the best one on all would have seen its label.
    """
    thresholds = np.full(len(found.left), np.nan if threshold is None else threshold)
    for number in np.unique(found.fold) if threshold is None else ():
        test = found.fold == number
        thresholds[test] = measures.best_f1_threshold(found.left[~test], found.risk[~test], found.weights[~test])
    buffer = io.BytesIO()
    np.savez(buffer, left=found.left, log_odds=found.log_odds, risk=found.risk, threshold=thresholds)
    return buffer.getvalue()


def labelled(frame: pd.DataFrame, product: Product) -> np.ndarray:
    """Which rows have their label; bool of shape (rows,)."""
    return frame[product.columns.target].notna().to_numpy()


def labels(frame: pd.DataFrame, product: Product) -> np.ndarray:
    """Whether each row's client is known to have left; bool of shape (rows,). False too without a label: `labelled`."""
    return (frame[product.columns.target] == product.columns.positive).to_numpy()


def test_hash(product: Product) -> str:
    """16 hex digits for the names and contents of the test files: whoever stands in them is not trained on."""
    digest = hashlib.sha256()
    source = sources.Folder(product.test)
    for candidate in sorted(source.list(), key=lambda candidate: candidate.name):
        with os.fdopen(source.open(candidate.name), "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{candidate.name!a} {content}\n".encode())
    return digest.hexdigest()[:16]
