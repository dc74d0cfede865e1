"""The closed table of models, and the encoder that they share in training, scoring and serving.

The encoder follows the column contract. A table (DataFrame) and plain rows (dicts, as they come over HTTP) go
through the same arithmetic, so that both give the same numbers to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from churn.columns import Columns, features_of

LARGEST = 1e100  # larger numbers count as this: their squares, and sums of those, still fit a 64-bit float
SKEWED = 1.0  # a column of counts or amounts with a larger skewness enters as log(1 + x)
RARE = 10  # levels seen in fewer training rows share one indicator with the unseen ones


class Encoder(TransformerMixin, BaseEstimator):
    """Turn a product's features into the float matrix that every estimator of the table takes.

    Each number gives two columns: its value (log1p when non-negative and skewed, median where missing, then
    standardised) and a missing flag. Each category gives one indicator a level; `missing` is a level of its own,
    and rare or unseen levels share the level `other`.

    Args:
        numbers: names of the numeric columns, in order.
        categories: names of the categorical columns, in order.
    """

    def __init__(self, numbers: Sequence[str] = (), categories: Sequence[str] = ()) -> None:
        self.numbers = numbers
        self.categories = categories

    def fit(self, frame: pd.DataFrame, y: Any = None) -> "Encoder":  # noqa: ARG002  scikit-learn's signature
        """Learn medians, scales and levels from a DataFrame with (at least) the named columns."""
        values = _bounded(_number_matrix(frame, self.numbers))
        self.logs_ = np.array([_is_skewed(column) for column in values.T], dtype=bool)
        values = _log(values, self.logs_)
        known = np.where(np.isnan(values).all(axis=0), 0.0, values)  # an empty column is as good as all zeros
        self.medians_ = np.nanmedian(known, axis=0) if len(self.numbers) else np.empty(0)
        filled = np.where(np.isnan(values), self.medians_, values)
        # The mean of equal numbers can differ from them in the last bit, and their deviation can come out as 1e-17,
        # by which another number must not be divided.
        varies = filled.max(axis=0) > filled.min(axis=0)
        self.means_ = np.where(varies, filled.mean(axis=0), filled[0])
        scales = filled.std(axis=0)
        self.scales_ = np.where(varies & (scales > 0), scales, 1.0)
        self.levels_ = [_common_levels(frame[name]) for name in self.categories]
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Encode a DataFrame; float64 of shape (rows, len(get_feature_names_out()))."""
        codes = np.empty((len(frame), len(self.categories)), dtype=np.int64)
        for i, name in enumerate(self.categories):
            codes[:, i] = _codes(frame[name], self.levels_[i])
        return self._matrix(_number_matrix(frame, self.numbers), codes)

    def transform_rows(self, rows: Sequence[Mapping[str, Any]], columns: Columns) -> np.ndarray:
        """Encode plain rows; the same matrix that `transform` gives for the same values.

        Raises:
            DataError: a value breaks the column contract.
        """
        values = np.empty((len(rows), len(self.numbers)))
        codes = np.empty((len(rows), len(self.categories)), dtype=np.int64)
        lookups = [_lookup(levels) for levels in self.levels_]
        for i, row in enumerate(rows):
            numbers, categories = features_of(row, columns)
            values[i] = numbers
            codes[i] = [
                0 if text is None else lookup.get(text, 1) for lookup, text in zip(lookups, categories, strict=True)
            ]
        return self._matrix(values, codes)

    def _matrix(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The arithmetic both ways in share: (n, numbers) with nan, (n, categories) level codes -> the matrix."""
        values = _log(_bounded(values), self.logs_)
        missing = np.isnan(values)
        scaled = (np.where(missing, self.medians_, values) - self.means_) / self.scales_
        parts = [scaled, missing.astype(float)]
        for i, levels in enumerate(self.levels_):
            parts.append((codes[:, i : i + 1] == np.arange(2 + len(levels))).astype(float))
        return np.ascontiguousarray(np.hstack(parts))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002
        """The encoded columns' names, in order."""
        names = [*self.numbers, *(f"{name} missing" for name in self.numbers)]
        for name, levels in zip(self.categories, self.levels_, strict=True):
            names += [f"{name} missing", f"{name} other", *(f"{name}={level}" for level in levels)]
        return np.array(names, dtype=object)

    def sources(self) -> list[str]:
        """For each encoded column, the column of the contract that it comes from."""
        sources = [*self.numbers, *self.numbers]
        for name, levels in zip(self.categories, self.levels_, strict=True):
            sources += [name] * (2 + len(levels))
        return sources


def _number_matrix(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    return frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan) if names else np.empty((len(frame), 0))


def _bounded(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -LARGEST, LARGEST)


def _is_skewed(column: np.ndarray) -> bool:
    known = column[~np.isnan(column)]
    if len(known) == 0 or known.min() < 0 or known.std() == 0:
        return False
    return float((((known - known.mean()) / known.std()) ** 3).mean()) > SKEWED


def _log(values: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """log(1 + x) in the columns that were skewed; at serving time a value below zero counts as zero there."""
    return np.where(logs, np.log1p(np.maximum(np.where(logs, values, 0.0), 0.0)), values)


def _common_levels(column: pd.Series) -> list[str]:
    counts = column.dropna().astype(str).value_counts()
    floor = min(RARE, max(1, len(column) // 100))
    return sorted(counts.index[counts >= floor])


def _lookup(levels: Sequence[str]) -> dict[str, int]:
    """Level -> code; 0 is missing and 1 is other."""
    return {level: code for code, level in enumerate(levels, start=2)}


def _codes(column: pd.Series, levels: Sequence[str]) -> np.ndarray:
    codes = column.map(_lookup(levels)).fillna(1).to_numpy(dtype=np.int64)
    return np.where(column.isna().to_numpy(dtype=bool), 0, codes)


class Logistic(LogisticRegression):
    """scikit-learn's, fitted on one thread: with more, the last bits depend on the machine's number of cores."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any = None) -> "Logistic":  # noqa: N803
        """Fit; scikit-learn's signature."""
        with threadpool_limits(1):
            return super().fit(X, y, sample_weight)


def _logistic(seed: int, threads: int) -> Any:  # noqa: ARG001  one thread, see Logistic
    return Logistic(C=1.0, max_iter=1000, random_state=seed)


def _lightgbm(seed: int, threads: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        random_state=seed, n_jobs=threads, deterministic=True, force_row_wise=True, verbosity=-1, importance_type="gain"
    )


# The closed table: a name in config.json -> the estimator, given a seed and a number of threads.
ESTIMATORS: dict[str, Callable[[int, int], Any]] = {"logistic": _logistic, "lightgbm": _lightgbm}

# The types, beyond those skops knows, that a model file of this system may hold; anything else is refused.
TRUSTED = [
    "churn.estimators.Encoder",
    "churn.estimators.Logistic",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
]


def pipeline(kind: str, columns: Columns, *, seed: int, threads: int) -> Pipeline:
    """An unfitted model of the table: the encoder, then the estimator."""
    encoder = Encoder(columns.numbers, columns.categorical)
    return Pipeline([("encoder", encoder), ("estimator", ESTIMATORS[kind](seed, threads))])


def risks(model: Pipeline, frame: pd.DataFrame) -> np.ndarray:
    """Each row's probability to leave, shape (rows,), for a DataFrame with the feature columns."""
    return _probabilities(model, model.named_steps["encoder"].transform(frame))


def risks_of_rows(model: Pipeline, rows: Sequence[Mapping[str, Any]], columns: Columns) -> np.ndarray:
    """The same for plain rows.

    Raises:
        DataError: a row breaks the column contract; the message names the column.
    """
    return _probabilities(model, model.named_steps["encoder"].transform_rows(rows, columns))


def _probabilities(model: Pipeline, matrix: np.ndarray) -> np.ndarray:
    if len(matrix) == 0:
        return np.empty(0)
    estimator = model.named_steps["estimator"]
    if hasattr(estimator, "booster_"):  # the wrapper warns of a matrix without names, and checks at length
        return estimator.booster_.predict(matrix, num_threads=estimator.n_jobs)
    # Not predict_proba: a matrix product's last bits depend on the number of rows and threads. This way a client has
    # one risk to the bit, alone in a request or among a million.
    return expit(np.einsum("ij,j->i", matrix, estimator.coef_[0]) + estimator.intercept_[0])


def importance(model: Pipeline) -> dict[str, float]:
    """Each feature's share of the model, summing to 1, most important first.

    Logistic: absolute coefficients of the standardised columns; LightGBM: total gain. Encoded columns are summed
    back to the column that they come from.
    """
    encoder, estimator = model.named_steps["encoder"], model.named_steps["estimator"]
    weights = estimator.feature_importances_ if hasattr(estimator, "booster_") else np.abs(estimator.coef_[0])
    totals: dict[str, float] = {}
    for source, weight in zip(encoder.sources(), weights, strict=True):
        totals[source] = totals.get(source, 0.0) + float(weight)
    whole = sum(totals.values()) or 1.0
    return {name: total / whole for name, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))}
