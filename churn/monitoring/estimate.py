"""The scores that rows without labels will get, estimated from what their log-odds were worth out of fold.

Confidence-based performance estimation: where a risk of 0.3 means that three in ten leave, the expected counts of the
confusion matrix are sums of risks, and no label is needed. Sources: Guillory et al., Predicting with Confidence on
Unseen Distributions, ICCV 2021; Garg et al., Leveraging Unlabeled Data to Predict Out-of-Distribution Performance,
ICLR 2022; NannyML's documentation, How it works, Estimation of Performance of the Monitored Model (CBPE).

It holds while the relation between columns and leaving holds; for another mix of clients it holds as far as the model
has that relation right. When the relation or the share that leaves changes, the estimate is wrong and cannot know it:
churn/monitoring/outcomes.py says so once labels come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from churn.errors import DataError
from churn.fitting.calibration import LARGEST_LOG_ODDS, sigmoid

CONFIDENCE = 0.95
KNOTS = (0.05, 0.275, 0.5, 0.725, 0.95)  # Harrell's quantiles for five
PRIOR = 10.0  # the standard deviation of a coefficient per standard deviation of its column: it binds none in earnest
BINS = 2_000  # for the interval, neighbouring log-odds share a bin, so that a million rows cost what thousands do


@dataclass(frozen=True)
class Calibrator:
    """How a version's log-odds become a probability of leaving, and how sure that is: all that a manifest needs.

    Args:
        slope, intercept: the version's own sigmoid; its risk is expit(slope * log-odds + intercept), slope >= 0.
        knots: of the spline through the log-odds, ascending; none: a straight line.
        coefficients: of 1 and of each column of the spline; the probability is expit of their sum.
        covariance: of the coefficients.
    """

    slope: float
    intercept: float
    knots: tuple[float, ...]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def risks(self, log_odds: np.ndarray) -> np.ndarray:
        """The risk that the version shows, of the shape of `log_odds`; the threshold is compared with it."""
        return expit(self.slope * log_odds + self.intercept)

    def probabilities(self, log_odds: np.ndarray, coefficients: np.ndarray | None = None) -> np.ndarray:
        """The probability of leaving, shape (rows,); for other coefficients, (n, len(coefficients)), (n, rows)."""
        coefficients = np.array(self.coefficients) if coefficients is None else coefficients
        return expit(np.einsum("...k,rk->...r", coefficients, _spline(log_odds, self.knots)))

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Calibrator":
        """What `as_dict` gave, read back from JSON."""
        covariance = tuple(tuple(row) for row in stored["covariance"])
        lists = {"knots": tuple(stored["knots"]), "coefficients": tuple(stored["coefficients"])}
        return cls(**{**stored, **lists, "covariance": covariance})


def calibrator(out_of_fold_log_odds: np.ndarray, left: np.ndarray, weights: np.ndarray | None = None) -> Calibrator:
    """Learn from a version's out-of-fold log-odds, shape (rows,), which probabilities they stand for.

    Out of fold, because on rows that a model trained on it is too sure of itself. Beside the version's sigmoid there
    is a restricted cubic spline, because a model that misses part of the relation is not put right by a sigmoid: for a
    logistic model in `demo/fabricate.py`'s world the sigmoid alone estimated the F1 .021 too low, the spline within
    .005. Its coefficients' covariance is that of a weighted fit with a wide prior, which keeps them finite where
    a few rows can be separated.

    Two things it does not know. Rows count as independent: where a client's rows repeat and its luck lasts, the
    covariance is somewhat too small. And the final model learned from more rows than those that judged the folds: on
    20,000 rows LightGBM's scores are estimated .005 too low, on 3,000 rows .015.

    Sources: Harrell, Regression Modeling Strategies, 2nd ed. 2015, 2.4.5 (spline and knots) and 10.11 (calibration);
    Huber, Proc. 5th Berkeley Symposium 1, 1967 (covariance).

    Raises:
        DataError: one label only, or log-odds that are not finite.
    """
    from churn.estimators import Logistic

    log_odds, left = _finite(out_of_fold_log_odds), np.asarray(left, dtype=bool)
    if left.all() or not left.any():
        raise DataError("no calibration: all rows have the same label; both are needed")
    weights = np.ones(len(log_odds)) if weights is None else np.asarray(weights, dtype=float)
    knots = np.unique(np.quantile(np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS), KNOTS))
    design = _spline(log_odds, knots)
    scales = np.where(np.ptp(design, axis=0) > 0, design.std(axis=0), 1.0)
    design = design / scales
    fitted = Logistic(C=PRIOR**2, solver="newton-cholesky", max_iter=1000).fit(design[:, 1:], left, weights)
    coefficients = np.concatenate([fitted.intercept_, fitted.coef_[0]])
    risk = expit(np.einsum("k,rk->r", coefficients, design))

    def information(row_weights: np.ndarray) -> np.ndarray:
        prior = np.diag([0.0] + [PRIOR**-2] * (len(scales) - 1))
        return prior + np.einsum("ri,rj,r->ij", design, design, row_weights * risk * (1 - risk))

    inverse = np.linalg.inv(information(weights))
    covariance = inverse @ information(weights**2) @ inverse / np.outer(scales, scales)
    return Calibrator(
        *sigmoid(log_odds, left, weights),
        tuple(knots.tolist()),
        tuple((coefficients / scales).tolist()),
        tuple(tuple(row) for row in ((covariance + covariance.T) / 2).tolist()),
    )


def _spline(log_odds: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """1, the log-odds, and for more than two knots the columns of the restricted cubic spline; (rows, columns).

    A cubic between the knots, a straight line beyond the outer ones; in Harrell's normalisation.
    """
    x = np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
    columns = [np.ones(len(x)), x]
    if len(knots) > 2:
        *inner, last_but_one, last = knots
        cubes = {knot: np.maximum(x - knot, 0.0) ** 3 for knot in knots}
        for knot in inner:
            share = (last - knot) / (last - last_but_one)
            bent = cubes[knot] - share * cubes[last_but_one] + (share - 1) * cubes[last]
            columns.append(bent / (last - knots[0]) ** 2)
    return np.stack(columns, axis=1)


def _finite(log_odds: np.ndarray) -> np.ndarray:
    log_odds = np.asarray(log_odds, dtype=float)
    if len(log_odds) == 0 or not np.isfinite(log_odds).all():
        raise DataError("there must be log-odds, and all of them finite: score the rows again")
    return log_odds


@dataclass(frozen=True)
class Estimate:
    """Scores that unlabelled rows are expected to get, each with a 95% interval for what will be realised.

    ROC AUC is None where certainly only one label will come. `widened` counts: 1 is the interval as calculated.
    """

    rows: int
    positives: float
    positives_lower: float
    positives_upper: float
    f1: float
    f1_lower: float
    f1_upper: float
    roc_auc: float | None
    roc_auc_lower: float | None
    roc_auc_upper: float | None
    f1_widened: float = 1.0
    roc_auc_widened: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """For the history; `Estimate(**stored)` reads it back."""
        return asdict(self)


def estimate(
    log_odds: np.ndarray, threshold: float, calibration: Calibrator, *, draws: int = 500, seed: int
) -> Estimate:
    """Estimate F1 and ROC AUC of rows without labels from their log-odds, shape (rows,).

    F1 = 2 E[true positives] / (E[said] + E[positives]); ROC AUC = E[pairs in the right order, ties half] / E[pairs of
    one who leaves and one who stays]. The interval is that of `draws` worlds, each with a spline drawn from its normal
    distribution and labels drawn from its probabilities: the error of the calibration and the luck of these rows.

    Args:
        log_odds: of the version that `calibration` is of.
        threshold: the calibrated risk from which the version says "leaves".

    Raises:
        DataError: no rows, or log-odds that are not finite.
    """
    # Rows of equal log-odds are one group: they tie in every ranking, and the order of the rows cannot matter.
    values, counts = np.unique(_finite(log_odds), return_counts=True)
    said = calibration.risks(values) >= threshold
    risk = calibration.probabilities(values)
    positives, f1, roc_auc = _scores(counts * risk, counts, said, own_pairs=(counts * risk * (1 - risk)).sum())

    values, counts, said = _binned(values, counts, said)
    generator = np.random.default_rng(seed)
    coefficients = generator.multivariate_normal(calibration.coefficients, calibration.covariance, draws)
    left = generator.binomial(counts, calibration.probabilities(values, coefficients)).astype(float)
    drawn = _scores(left, counts, said)
    bounds = [
        _interval(float(point), all_drawn) for point, all_drawn in zip((positives, f1, roc_auc), drawn, strict=True)
    ]
    return Estimate(int(counts.sum()), *bounds[0], *bounds[1], *bounds[2])


def _scores(left: np.ndarray, counts: np.ndarray, said: np.ndarray, own_pairs: float = 0.0) -> tuple[np.ndarray, ...]:
    """Positives, F1 and ROC AUC (nan: undefined) of groups of rows ascending in risk; left is (..., groups).

    With expected instead of whole numbers in `left`, a row would pair with itself: own_pairs are these.
    """
    stayed = counts - left
    positives = left.sum(axis=-1)
    whole = (counts * said).sum() + positives
    f1 = np.divide(2 * (left * said).sum(axis=-1), whole, out=np.zeros_like(whole), where=whole > 0)
    below = np.cumsum(stayed, axis=-1) - stayed / 2
    pairs = positives * stayed.sum(axis=-1) - own_pairs
    ordered = (left * below).sum(axis=-1) - own_pairs / 2
    roc_auc = np.divide(ordered, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0)
    return positives, f1, roc_auc


def _binned(values: np.ndarray, counts: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge neighbouring groups into about BINS of equally many rows, none of them across the threshold."""
    key = 2 * ((np.cumsum(counts) - counts) * BINS // counts.sum()) + (said != said[0])
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    rows = np.add.reduceat(counts, starts)
    return np.add.reduceat(values * counts, starts) / rows, rows, said[starts]


def _interval(point: float, drawn: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """The point with the quantiles of the draws; three times None where there is no point."""
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(point):
        return None, None, None
    if len(drawn) == 0:
        return point, point, point
    lower, upper = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return point, min(float(lower), point), max(float(upper), point)
