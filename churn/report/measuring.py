"""What the call list is worth, measured on labelled rows that the version has not been trained on.

Best are the drops that came since: they are as the clients are now, and after a drift the rows from before it promise
too much. Where these are too few, the held-out rows of the version have to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn import dataset, estimators, heldout
from churn.calls import calllist, capacity
from churn.config import Product
from churn.fitting import learning
from churn.heldout import HeldOut
from churn.releases import Release
from churn.report.facts import CallList, Clients, Worth
from churn.report.figures import several

NEWEST = 4  # units of drops


@dataclass(frozen=True)
class Rows:
    """Labelled rows: who left, the risk, which rows are flagged, what keeping each client is worth, and which rows."""

    left: np.ndarray
    risk: np.ndarray
    flagged: np.ndarray
    value: np.ndarray
    where: str


def worth(
    product: Product,
    release: Release,
    held: HeldOut | None,
    *,
    judged: Sequence[dict[str, Any]],
    suspects: frozenset[int],
    clients: Clients | None,
    calls: CallList | None,
) -> Worth | None:
    """What the list is worth; None where the rows are too few, or nobody would be called.

    Args:
        judged: the judgements on the release, oldest first.
        suspects: the numbers of the drops that may be wrong.
    """
    rows = _newest(product, release, judged, suspects)
    if rows is None and held is not None:
        rows = _held_out(product, release, held)
    if rows is None or not _enough(product, rows.left):
        return None
    settings, risk, score = product.settings, rows.risk, rows.risk * rows.value
    if settings.capacity is None:
        risk = np.where(rows.flagged, risk, 0.0)  # nobody else is called
        called = settings.success_rate * risk * rows.value > settings.contact_cost
        share, score = float(called.mean()), score + called * (1 + score.max())
        places = calls.listed if calls else round(share * len(risk))
    else:
        among = clients.here if clients else len(risk)
        share = capacity.depth(settings.capacity, among, settings.holdout if settings.id else 0.0)
        places = min(settings.capacity, among)
    if not places or not share:
        return None
    costs = {"contact_cost": settings.contact_cost, "success_rate": settings.success_rate}
    found = capacity.at_capacity(rows.left, risk, share, rows.value, **costs)
    return Worth(found, places, rows.left, score, rows.where)


def _enough(product: Product, left: np.ndarray) -> bool:
    return min(left.sum(), (~left).sum()) >= product.settings.promotion.min_class_rows


def _newest(
    product: Product, release: Release, judged: Sequence[dict[str, Any]], suspects: frozenset[int]
) -> Rows | None:
    """The labelled rows of the newest drops that the release was judged on, since the onset where it has drifted."""
    onset = (judged[-1]["onset"] or 0) if judged else 0
    lines = [line for line in judged if line["scores"] and line["drops"][-1] >= onset]
    numbers = [number for line in lines[-NEWEST:] for number in line["drops"] if number not in suspects]
    if not numbers:
        return None
    frame = dataset.frame(product, since=min(numbers) - 1)
    frame = frame[frame["drop_number"].isin(numbers) & heldout.labelled(frame, product)].reset_index(drop=True)
    left, risk = heldout.labels(frame, product), estimators.risks(release.model, frame)
    if not _enough(product, left):
        return None
    where = f"{len(left):,} rows of {several('drop', numbers)}, which came after the model was trained"
    return Rows(left, risk, risk >= release.threshold, calllist.values(frame, product.settings), where)


def _held_out(product: Product, release: Release, held: HeldOut) -> Rows:
    where = f"the {len(held.left):,} rows of the next section, which the model did not know"
    return Rows(held.left, held.risk, held.risk >= held.threshold, _values(product, release, held), where)


def _values(product: Product, release: Release, held: HeldOut) -> np.ndarray:
    """What keeping the client of each held-out row is worth; 1 where the rows are no longer those that are stored."""
    if not isinstance(product.settings.value, str):
        return np.full(len(held.left), float(product.settings.value))
    if held.origin == heldout.TEST_ROWS:
        frame, _ = dataset.read_folder(product, product.test)
    else:
        rows = learning.rows(product)
        weights = [int(number) for number in release.manifest["data"]["weights"]]
        frame = rows.of(np.isin(rows.drop, weights)).frame
    if not np.array_equal(heldout.labels(frame, product), held.left):
        return np.ones(len(held.left))
    return calllist.values(frame, product.settings)
