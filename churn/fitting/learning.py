"""The rows that may be learned from, and models fitted on them: what training and the decision share."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from churn import dataset, heldout, splits
from churn.calls import capacity
from churn.config import Product
from churn.contest import comparison
from churn.drift import Reference
from churn.errors import DataError
from churn.estimators import ESTIMATORS, Design
from churn.fitting import selection

logger = logging.getLogger(__name__)

MIN_CLASS_ROWS = 5  # rows of each label, below which there is nothing to learn from
REFERENCE_ROWS = 5000
FOLDS = 5  # of a model for production


@dataclass(frozen=True)
class Rows:
    """Labelled rows that stand in no test file; `groups` are equal for rows that belong together, `drop` is a number.

    `left_out` counts what may not be learned from: rows without a label yet, and those of clients (or identical rows)
    that stand in the test files.
    """

    frame: pd.DataFrame
    left: np.ndarray
    groups: np.ndarray
    left_out: Mapping[str, int]

    @property
    def drop(self) -> np.ndarray:
        """The number of each row's drop."""
        return self.frame["drop_number"].to_numpy()

    def of(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows; `chosen` is bool of shape (rows,)."""
        frame = self.frame[chosen].reset_index(drop=True)
        return replace(self, frame=frame, left=self.left[chosen], groups=self.groups[chosen])


def rows(product: Product) -> Rows:
    """Every stored row that may be learned from, oldest drop first."""
    frame = dataset.frame(product)
    groups = splits.groups(frame, product.columns)
    tested, _ = dataset.read_folder(product, product.test)
    in_test = np.isin(groups, splits.groups(tested, product.columns))
    known = heldout.labelled(frame, product)
    left_out = {"in_test_files": int(in_test.sum()), "without_label": int((~known & ~in_test).sum())}
    kept = known & ~in_test
    frame = frame[kept].reset_index(drop=True)
    return Rows(frame, heldout.labels(frame, product), groups[kept], left_out)


def rows_of(product: Product, drops: Iterable[int]) -> Rows:
    """The same of the drops of these numbers."""
    found = rows(product)
    return found.of(np.isin(found.drop, list(drops)))


def check_labels(rows: Rows) -> None:
    """See that there is something to learn from.

    Raises:
        DataError: there are too few rows of a label.
    """
    counts = {"left": int(rows.left.sum()), "stayed": int((~rows.left).sum())}
    if min(counts.values()) < MIN_CLASS_ROWS:
        raise DataError(
            f"no model: {len(rows.left):,} rows to train on ({counts['left']:,} left, {counts['stayed']:,} stayed; "
            f"{rows.left_out['in_test_files']:,} left out as test rows, {rows.left_out['without_label']:,} without a "
            f"label yet), at least {MIN_CLASS_ROWS} of each label are needed; production stays as it is"
        )


def select(product: Product, rows: Rows) -> selection.Selection:
    """Choose what to fit on these rows, as the config says: any kind, or the settings of one."""
    settings, columns = product.settings, product.columns
    return selection.select(
        rows.frame,
        rows.left,
        columns,
        groups=rows.groups,
        seed=settings.seed,
        threads=settings.threads,
        seconds=settings.tuning_seconds,
        kinds=tuple(ESTIMATORS) if settings.model == "auto" else (settings.model,),
        as_of=rows.frame[columns.as_of].to_numpy() if columns.as_of else None,
    )


def selected(product: Product, rows: Rows, configuration: str) -> dict[str, Any]:
    """A selection as manifests and decisions keep it, with the number of rows and the configuration it was made for."""
    chosen = select(product, rows)
    logger.info("%s: %s", product.name, chosen.reason)
    return {
        "design": asdict(chosen.design),
        "reason": chosen.reason,
        "rows": len(rows.left),
        "configuration": configuration,
        "complete": chosen.complete,
        "table": chosen.table,
    }


def fit(
    product: Product, rows: Rows, design: Design, weights: Mapping[int, float], folds: int = FOLDS
) -> selection.Fitted:
    """Fit a design on the rows of the drops that are named, each row weighing what its drop does."""
    used = rows.of(np.isin(rows.drop, list(weights)))
    check_labels(used)
    logger.info("%s: fitting %s on %s rows", product.name, design.kind, f"{len(used.left):,}")
    return selection.fit(
        used.frame,
        used.left,
        product.columns,
        design,
        groups=used.groups,
        seed=product.settings.seed,
        threads=product.settings.threads,
        weights=np.array([weights[drop] for drop in used.drop.tolist()]),
        folds=folds,
        share=capacity_share(product, used.groups) if product.settings.threshold == "capacity" else None,
    )


def capacity_share(product: Product, groups: np.ndarray) -> float:
    """How deep the call list reaches into the clients, as a share of them; 1 where capacity is not set."""
    settings = product.settings
    if not settings.capacity or not len(groups):
        return 1.0
    return capacity.depth(settings.capacity, len(np.unique(groups)), settings.holdout if product.columns.id else 0.0)


def recent(drop: np.ndarray) -> np.ndarray:
    """The newest drops that together have REFERENCE_ROWS rows, or all; bool of shape (rows,).

    New drops are held against these and not against everything that was trained on: what changed before the model
    was made is no news.
    """
    numbers, counts = np.unique(drop, return_counts=True)
    newer = np.cumsum(counts[::-1])[::-1] - counts
    return np.isin(drop, numbers[newer < REFERENCE_ROWS])


def reference(left: np.ndarray, risk: np.ndarray) -> Reference:
    """What a champion is held against, from out-of-fold risks of recent rows."""
    auc, influence = comparison.roc_auc(left, risk)
    both = 0 < left.sum() < len(left)
    return Reference(
        auc=auc if both else None,
        auc_error=comparison.error_of(influence) if both else None,
        label_rate=float(left.mean()),
        label_rows=len(left),
    )
