"""The closed table of models, and the encoder that they share in training, scoring and serving.

The encoder follows the column contract. Plain rows (dicts, as they come over HTTP) get the same numbers to the bit, see
churn/web/serving/scorer.py.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController

from churn.columns import Columns

LARGEST = 1e100  # larger numbers count as this: their squares, and sums of those, still fit a 64-bit float
SKEWED = 1.0  # a column of counts or amounts with a larger skewness enters as log(1 + x)
UNLOCKED = frozenset({"lightgbm"})  # kinds whose fits run outside of the interpreter's lock
RARE = 10  # levels seen in fewer training rows share one indicator with the unseen ones

Item, Result = TypeVar("Item"), TypeVar("Result")


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
        return self.matrix(_number_matrix(frame, self.numbers), codes)

    def matrix(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Encode numbers (n, numbers), nan where missing, and codes of levels (n, categories): 0 missing, 1 other."""
        values = _log(_bounded(values), self.logs_)
        missing, count = np.isnan(values), len(self.numbers)
        *starts, width = self.starts()
        encoded = np.zeros((len(values), width))
        encoded[:, :count] = (np.where(missing, self.medians_, values) - self.means_) / self.scales_
        encoded[:, count : 2 * count] = missing
        rows = np.arange(len(values))
        for i, start in enumerate(starts):
            encoded[rows, start + codes[:, i]] = 1.0
        return encoded

    def starts(self) -> list[int]:
        """The encoded column with which the indicators of each category begin, and last the number of all columns."""
        return list(itertools.accumulate((2 + len(levels) for levels in self.levels_), initial=2 * len(self.numbers)))

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


def _codes(column: pd.Series, levels: Sequence[str]) -> np.ndarray:
    codes = pd.Index(levels, dtype="str").get_indexer(column) + 2  # an unknown level is found at -1
    return np.where(column.isna().to_numpy(dtype=bool), 0, codes)


class Logistic(LogisticRegression):
    """scikit-learn's, fitted on one thread: with more, the last bits depend on the machine's number of cores."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any = None) -> "Logistic":  # noqa: N803
        """Fit; scikit-learn's signature."""
        used = X.any(axis=0)  # the penalty keeps what is always 0 out of the model; left out, a fit costs half
        used = used if used.any() else ~used
        with _one_thread():
            super().fit(X[:, used], y, sample_weight)
        coefficients = np.zeros((1, X.shape[1]))
        coefficients[:, used] = self.coef_
        self.coef_, self.n_features_in_ = coefficients, X.shape[1]
        return self


@functools.cache
def _blas() -> ThreadpoolController:
    """The linear algebra libraries in this process; to look for them at every fit costs as much as a small fit."""
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[Any]:
    return _blas().limit(limits=1, user_api="blas")


def side_by_side(fit: Callable[[Item], Result], items: Iterable[Item], kind: str, threads: int) -> list[Result]:
    """What `fit` makes of each item, so many at a time where fits of that kind leave the interpreter to each other."""
    with _one_thread(), ThreadPoolExecutor(threads if kind in UNLOCKED else 1) as pool:  # the limit holds for them all
        return list(pool.map(fit, items))


class Calibrated(ClassifierMixin, BaseEstimator):
    """An estimator of the table with a sigmoid on its log-odds: risk = 1 / (1 + exp(-(slope * log_odds + intercept))).

    Fitted, it is not calibrated (slope 1, intercept 0) until `calibrate` says otherwise.
    Source: Platt, Probabilistic outputs for support vector machines, 1999.

    Args:
        estimator: a Logistic or an LGBMClassifier, unfitted; it is copied, as scikit-learn's own wrappers do.
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any = None) -> "Calibrated":  # noqa: N803
        """Fit the estimator to a matrix (rows, encoded columns), two classes and the rows' weights."""
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=sample_weight)
        self.classes_ = self.estimator_.classes_
        self.means_ = np.average(X, axis=0, weights=sample_weight)  # what contributions count from
        return self.calibrate(1.0, 0.0)

    def calibrate(self, slope: float, intercept: float) -> "Calibrated":
        """Set the sigmoid; itself."""
        self.slope_, self.intercept_ = float(slope), float(intercept)
        return self

    def log_odds(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """The log-odds before calibration, shape (rows,)."""
        if len(X) == 0:
            return np.empty(0)
        if hasattr(self.estimator_, "booster_"):  # the wrapper warns of a matrix without names, and checks at length
            return self.estimator_.booster_.predict(X, raw_score=True, num_threads=self.estimator_.n_jobs)
        # No matrix product: its last bits depend on the number of rows and threads. This way a client has one risk
        # to the bit, alone in a request or among a million.
        return np.einsum("ij,j->i", X, self.estimator_.coef_[0]) + self.estimator_.intercept_[0]

    def risk(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """The calibrated probability, shape (rows,)."""
        return self.calibrated(self.log_odds(X))

    def calibrated(self, log_odds: np.ndarray) -> np.ndarray:
        """The probabilities that log-odds stand for, shape (rows,)."""
        return expit(self.slope_ * log_odds + self.intercept_)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """scikit-learn's: the probability of each class, shape (rows, 2)."""
        risk = self.risk(X)
        return np.column_stack([1 - risk, risk])

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """scikit-learn's: the likelier class of each row."""
        return self.classes_[(self.risk(X) > 0.5).astype(int)]


def _logistic(seed: int, threads: int, settings: Mapping[str, Any]) -> Any:  # noqa: ARG001  one thread, see Logistic
    # Of the solvers this one reaches the optimum itself on collinear indicators, and in as little time as any.
    return Logistic(**{"C": 1.0, "solver": "newton-cholesky", "random_state": seed, **settings})


def _lightgbm(seed: int, threads: int, settings: Mapping[str, Any]) -> Any:
    from lightgbm import LGBMClassifier

    # Fitted on one thread, whatever n_jobs says, which is for predicting: up to some 100,000 rows two threads take
    # longer than one, several times as long on small data, and several fits side by side use the cores better.
    fixed = {"random_state": seed, "n_jobs": threads, "num_threads": 1, "verbosity": -1}
    return LGBMClassifier(**fixed, deterministic=True, force_row_wise=True, **settings)


# The closed table: a name in config.json -> the estimator, given a seed, a number of threads and its settings.
ESTIMATORS: dict[str, Callable[[int, int, Mapping[str, Any]], Any]] = {"logistic": _logistic, "lightgbm": _lightgbm}

# The types, beyond those skops knows, that a model file of this system may hold; anything else is refused.
TRUSTED = [
    "churn.estimators.Calibrated",
    "churn.estimators.Encoder",
    "churn.estimators.Logistic",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
]


@dataclass(frozen=True)
class Design:
    """What to fit: a name of the closed table, and settings of that estimator other than its defaults (JSON-able)."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def pipeline(design: Design, columns: Columns, *, seed: int, threads: int) -> Pipeline:
    """An unfitted model: the encoder, then the estimator with its calibration."""
    estimator = ESTIMATORS[design.kind](seed, threads, design.settings)
    return Pipeline([("encoder", Encoder(columns.numbers, columns.categorical)), ("estimator", Calibrated(estimator))])


def calibration(model: Pipeline) -> tuple[float, float]:
    """The slope and the intercept of a model's sigmoid; (1.0, 0.0) where it is not calibrated."""
    return model.named_steps["estimator"].slope_, model.named_steps["estimator"].intercept_


def log_odds(model: Pipeline, frame: pd.DataFrame) -> np.ndarray:
    """Each row's log-odds to leave before calibration, shape (rows,), for a DataFrame with the feature columns."""
    return model.named_steps["estimator"].log_odds(model.named_steps["encoder"].transform(frame))


def calibrated(model: Pipeline, log_odds: np.ndarray) -> np.ndarray:
    """The risks that `risks` would give the rows of these log-odds, to the bit, without encoding them again."""
    return model.named_steps["estimator"].calibrated(log_odds)


def risks(model: Pipeline, frame: pd.DataFrame) -> np.ndarray:
    """Each row's calibrated probability to leave, shape (rows,), for a DataFrame with the feature columns."""
    return model.named_steps["estimator"].risk(model.named_steps["encoder"].transform(frame))
