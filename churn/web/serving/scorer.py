"""A release's model made ready to score rows as they come over HTTP, one or thousands, in as little time as it takes.

The numbers are those of `estimators.risks`, to the bit: only the way to the matrix is another. One row costs a few
steps of plain Python where arrays of one element would cost as many calls; many rows are gathered column by column.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from churn import estimators
from churn.columns import LARGEST_WHOLE, Columns, category, features_of, number
from churn.errors import DataError
from churn.web.serving.rowreader import Read, RowReader
from churn.web.serving.trees import SingleRow

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FEW = 4  # rows up to which one by one is quicker
MAX_ROWS = 10_000  # in one request

Row = Mapping[str, Any]


class Scorer:
    """One release's; threads may share it."""

    def __init__(self, model: "Pipeline", columns: Columns) -> None:
        self.columns = columns
        self.encoder = encoder = model.named_steps["encoder"]
        self.estimator = model.named_steps["estimator"]
        self._lookups: list[dict[str | None, int]] = [
            {None: 0} | {level: code for code, level in enumerate(levels, 2)} for levels in encoder.levels_
        ]
        # For each number how it is encoded: whether by its logarithm, mean, scale, and what stands for a missing one.
        filled = ((encoder.medians_ - encoder.means_) / encoder.scales_).tolist()
        tables = encoder.logs_.tolist(), encoder.means_.tolist(), encoder.scales_.tolist(), filled
        self._numbers = list(zip(*tables, strict=True))
        *self._starts, width = encoder.starts()
        self._blank = [0.0] * width
        fitted = self.estimator.estimator_
        self._log_odds = SingleRow(fitted.booster_).log_odds if hasattr(fitted, "booster_") else _linear(fitted)
        self._slope, self._offset = estimators.calibration(model)
        self._reader = RowReader(columns, MAX_ROWS)

    def risks(self, rows: Sequence[Row]) -> list[float]:
        """Each row's calibrated probability to leave.

        Raises:
            DataError: a row breaks the column contract; the message names the column.
        """
        if len(rows) <= FEW:
            return [self._risk(*features_of(row, self.columns)) for row in rows]
        return self.estimator.risk(self.matrix(rows)).tolist()

    def read(self, content: bytes) -> tuple[list[float], list[str | None]] | None:
        """The risks and the ids of the rows in a JSON body; None where it needs a closer look, see rowreader.py."""
        found = self._reader.read(content)
        if found is None:
            return None
        try:
            ids = [category(value, self.columns.id or "") for value in found.ids]
            risks = (self._risks_of_few if len(ids) <= FEW else self._risks_of_many)(found)
        except DataError:
            return None
        return None if risks is None else (risks, ids)

    def _risks_of_few(self, found: Read) -> list[float]:
        plain = len(self.columns.numeric)
        whole = [[number(cell, "", whole=True) for cell in column] for column in found.numbers[plain:]]
        numbers = [*found.numbers[:plain], *whole]
        categories = [[category(cell, "") for cell in column] for column in found.categories]
        rows = range(len(found.ids))
        return [self._risk([c[i] for c in numbers], [c[i] for c in categories]) for i in rows]

    def _risks_of_many(self, found: Read) -> list[float] | None:
        rows = len(found.ids)
        numbers = np.array(found.numbers, dtype=np.float64).reshape(-1, rows).T  # None is nan
        codes = self._coded(found.categories, rows)
        if codes is None or not _are_whole(numbers[:, len(self.columns.numeric) :]):
            return None
        return self.estimator.risk(self.encoder.matrix(numbers, codes)).tolist()

    def matrix(self, rows: Sequence[Row]) -> np.ndarray:
        """The encoded rows, as the estimator takes them.

        Raises:
            DataError: as in `risks`.
        """
        gathered = self._gathered(rows)
        if gathered is None:
            return np.array([self._encoded(*features_of(row, self.columns)) for row in rows])
        return self.encoder.matrix(*gathered)

    def _risk(self, numbers: Sequence[float | None], categories: Sequence[str | None]) -> float:
        """What `Calibrated.risk` gives a row, with as little as possible done by arrays of one element."""
        return float(expit(self._slope * self._log_odds(self._encoded(numbers, categories)) + self._offset))

    def _encoded(self, numbers: Sequence[float | None], categories: Sequence[str | None]) -> list[float]:
        count, encoded = len(self._numbers), self._blank.copy()
        for i, (value, (log, mean, scale, filled)) in enumerate(zip(numbers, self._numbers, strict=True)):
            if value is None or value != value:  # noqa: PLR0124  not a number: missing
                encoded[i], encoded[count + i] = filled, 1.0
                continue
            bounded = min(max(value, 0.0 if log else -estimators.LARGEST), estimators.LARGEST)
            # By numpy, as arrays are: the last bit may differ from that of Python's own.
            encoded[i] = ((float(np.log1p(bounded)) if log else bounded) - mean) / scale
        for start, lookup, text in zip(self._starts, self._lookups, categories, strict=True):
            encoded[start + lookup.get(text, 1)] = 1.0
        return encoded

    def _gathered(self, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray] | None:
        """The numbers (nan: missing) and the levels' codes; None where a value needs a closer look."""
        values = np.empty((len(rows), len(self._numbers)))
        try:
            for i, name in enumerate(self.columns.numbers):
                found = _numbers([row[name] for row in rows], whole=i >= len(self.columns.numeric))
                if found is None:
                    return None
                values[:, i] = found
            codes = self._coded(([row[name] for row in rows] for name in self.columns.categorical), len(rows))
        except KeyError:  # a column is missing from a row
            return None
        return None if codes is None else (values, codes)

    def _coded(self, categories: Iterable[Sequence[Any]], rows: int) -> np.ndarray | None:
        """The codes of the levels; None where a value needs a closer look."""
        codes = np.empty((rows, len(self._lookups)), dtype=np.int64)
        for i, (cells, lookup) in enumerate(zip(categories, self._lookups, strict=True)):
            found = _codes(cells, lookup)
            if found is None:
                return None
            codes[:, i] = found
        return codes


def _linear(fitted: Any) -> Callable[[list[float]], float]:
    """The log-odds of an encoded row by a linear model; the sum is numpy's, for its last bit."""
    weights, intercept = fitted.coef_[0], float(fitted.intercept_[0])
    return lambda encoded: np.einsum("ij,j->i", np.array([encoded]), weights).item() + intercept


def _numbers(cells: list[Any], *, whole: bool) -> np.ndarray | None:
    kinds = set(map(type, cells))
    if not kinds <= {int, float, type(None)}:
        return None
    try:
        found = np.array(cells, dtype=np.float64)  # None is nan
    except OverflowError:
        return None
    missing = cells.count(None) if type(None) in kinds else 0
    finite = np.isfinite(found)
    if int(finite.sum()) + missing != len(cells):
        return None
    return None if whole and not _are_whole(found) else found


def _are_whole(numbers: np.ndarray) -> bool:
    """Whether all that are known, and finite, are whole."""
    known = numbers[~np.isnan(numbers)]
    return bool((known == np.floor(known)).all() and np.abs(known).max(initial=0) <= LARGEST_WHOLE)


def _codes(cells: Sequence[Any], lookup: Mapping[str | None, int]) -> np.ndarray | None:
    try:
        return np.fromiter(map(lookup.__getitem__, cells), dtype=np.int64, count=len(cells))
    except (KeyError, TypeError):  # not every one is a known level, or missing
        return _codes_of_others(cells, lookup)


def _codes_of_others(cells: Sequence[Any], lookup: Mapping[str | None, int]) -> np.ndarray | None:
    try:
        found = [lookup.get(category(cell, ""), 1) for cell in cells]
    except DataError:
        return None
    return np.array(found, dtype=np.int64)
