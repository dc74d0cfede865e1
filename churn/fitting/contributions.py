"""Why a model says what it says: exact additive contributions of each column of the contract to the log-odds.

A row's contributions and the base add up to its log-odds before calibration. They count from the average client:
positive ones raise the risk. Sources: for logistic regression coefficient x (value - mean of the training rows);
for LightGBM TreeSHAP (Lundberg and others, From local explanations to global understanding with explainable AI for
trees, Nature Machine Intelligence 2, 2020), which LightGBM computes itself.
"""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from churn.estimators import Calibrated

ENOUGH_ROWS = 2_000  # for a mean; TreeSHAP costs up to half a millisecond a row


def contributions(model: Pipeline, frame: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """What each column adds to each row's log-odds, and the base that it is added to.

    Returns:
        A table with the rows (and the index) of the frame and a column a feature, in the order of the contract; and
        the base, the same for all rows. Encoded columns are summed back to the column that they come from.
    """
    encoder, estimator = model.named_steps["encoder"], model.named_steps["estimator"]
    encoded, base = _of_encoded(estimator, encoder.transform(frame))
    names = [*encoder.numbers, *encoder.categories]
    place = {name: i for i, name in enumerate(names)}
    totals = np.zeros((len(frame), len(names)))
    for column, source in zip(encoded.T, encoder.sources(), strict=True):
        totals[:, place[source]] += column
    return pd.DataFrame(totals, columns=names, index=frame.index), base


def _of_encoded(estimator: Calibrated, matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """The contributions of the encoded columns, of the shape of the matrix, and the base."""
    fitted = estimator.estimator_
    if hasattr(fitted, "booster_"):
        # With a row of zeros in front: LightGBM refuses a matrix without rows, and the base stands in every row.
        filled = np.vstack([np.zeros((1, matrix.shape[1])), matrix])
        found = fitted.booster_.predict(filled, pred_contrib=True, num_threads=fitted.n_jobs)
        return found[1:, :-1], float(found[0, -1])
    coefficients = fitted.coef_[0]
    return (matrix - estimator.means_) * coefficients, float(
        (estimator.means_ * coefficients).sum() + fitted.intercept_[0]
    )


def importance(model: Pipeline, frame: pd.DataFrame, seed: int = 0) -> dict[str, float]:
    """Each feature's share of the model on these rows, summing to 1 (all 0 if it found nothing), the largest first.

    The share is that of its mean absolute contribution; of more than ENOUGH_ROWS rows a sample is looked at.
    """
    if len(frame) > ENOUGH_ROWS:
        rows = np.random.default_rng(seed).choice(len(frame), ENOUGH_ROWS, replace=False)
        frame = frame.iloc[np.sort(rows)]
    sizes = contributions(model, frame)[0].abs().mean().fillna(0.0)
    shares = sizes / (sizes.sum() or 1.0)
    return dict(
        sorted(((str(name), float(share)) for name, share in shares.items()), key=lambda item: (-item[1], item[0]))
    )
