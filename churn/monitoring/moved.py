"""How much of the call list a shifted column moves: the list as it is, beside the one with that column put back.

A column is put back by giving it the reference's distribution again and changing as little else as possible. Numbers
keep their order: the client with the largest value gets the largest of the reference, and so on (a quantile mapping).
Categories, and what is missing, keep their value in as many rows as the reference's shares allow; rows of what has
become too frequent are taken at random, always the same ones, and given what has become too rare.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SEED = 0
ANOTHER = "(another level)"  # stands for the levels that the profile counts together; no model knows it


def list_moved(
    model_risks: "Callable[[pd.DataFrame], np.ndarray]",
    frame: "pd.DataFrame",
    profile: Mapping[str, Any],
    column: str,
    share: float,
    *,
    risk: np.ndarray | None = None,
) -> float:
    """The share of the list of the riskiest clients whom another client would replace with the column put back.

    Args:
        model_risks: a frame with the features -> its risks, shape (rows,).
        share: how much of the rows the list has, 0 to 1.
        risk: the risks of `frame` where they are known already.
    """
    if not len(frame):
        return 0.0
    count = max(1, round(share * len(frame)))
    now = _riskiest(model_risks(frame) if risk is None else risk, count)
    then = _riskiest(model_risks(put_back(frame, profile, column)), count)
    return 1 - len(np.intersect1d(now, then, assume_unique=True)) / count


def put_back(frame: "pd.DataFrame", profile: Mapping[str, Any], column: str) -> "pd.DataFrame":
    """The same rows with the profile's distribution in one of its columns; the other columns are not copied."""
    generator = np.random.default_rng(SEED)
    if column in profile["numbers"]:
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        back = _numbers_back(values, profile["numbers"][column], generator)
    else:
        back = _levels_back(frame[column], profile["categories"][column], generator)
    return frame.assign(**{column: back})


def _riskiest(risk: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-risk, kind="stable")[:count]


def _numbers_back(values: np.ndarray, known: Mapping[str, Any], generator: np.random.Generator) -> np.ndarray:
    counts = np.array(known["counts"])
    if not counts.sum():  # nothing is known to put back
        return np.full(len(values), np.nan)
    was_missing = np.isnan(values)
    missing = _with_shares(was_missing.astype(np.int64), np.array([counts.sum(), known["missing"]]), generator) == 1
    # Each row's place among the present ones, 0 to 1. Equal values take the places that they share at random, so that
    # a 0 that half the rows have becomes a 0 in as many rows as before; the newly filled take any place.
    place = generator.random(len(values))
    order = np.lexsort((place, values))[: len(values) - int(was_missing.sum())]
    place[order] = (np.arange(len(order)) + 0.5) / max(len(order), 1)
    # A bin of whole numbers has those above its lower edge: the lowest of all is above one less than itself.
    points = np.array([known["lowest"] - known["whole"], *known["edges"], known["highest"]])
    back = np.interp(place, np.append(0, counts.cumsum()) / counts.sum(), points)
    if known["whole"]:
        back = np.ceil(back.round(6))
    return np.where(missing, np.nan, back)


def _levels_back(values: "pd.Series", known: Mapping[str, Any], generator: np.random.Generator) -> "pd.Series":
    import pandas as pd

    levels = list(known["levels"])
    other, missing = len(levels), len(levels) + 1
    codes = pd.Index(levels).get_indexer(values) if levels else np.full(len(values), -1)
    codes = np.where(values.isna(), missing, np.where(codes < 0, other, codes))
    counts = np.array([*known["levels"].values(), known["other"], known["missing"]])
    back = _with_shares(codes, counts, generator)
    labels = np.array([*levels, ANOTHER, None], dtype=object)
    return values.where(back == codes, pd.Series(labels[back], index=values.index, dtype=values.dtype))


def _with_shares(codes: np.ndarray, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The codes 0, 1, ... with each code as frequent as `counts` has it, changed in as few rows as possible."""
    exact = counts * (len(codes) / counts.sum())
    wanted = np.floor(exact).astype(np.int64)
    nearest = np.argsort(wanted - exact, kind="stable")[: len(codes) - int(wanted.sum())]
    wanted[nearest] += 1
    have = np.bincount(codes, minlength=len(counts))
    shuffled = generator.permutation(len(codes))
    grouped = shuffled[np.argsort(codes[shuffled], kind="stable")]  # by code, and at random within it
    nth = np.arange(len(codes)) - np.repeat(have.cumsum() - have, have)
    freed = grouped[nth < np.repeat(np.maximum(have - wanted, 0), have)]
    back = codes.copy()
    back[freed] = generator.permutation(np.repeat(np.arange(len(counts)), np.maximum(wanted - have, 0)))
    return back
