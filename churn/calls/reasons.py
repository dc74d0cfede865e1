"""Why a client has the risk it has, in words: the columns that move it most, their values and their direction.

`activity last month 12, typical 240: raises the risk most` says that this value, in place of the typical one, moves
this client's log-odds up, and more than any other column moves them either way.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churn.columns import Columns
from churn.words import fit

COUNT = 3
NOTHING = 1e-9  # a smaller part of the log-odds is rounding


@dataclass(frozen=True)
class Reason:
    """One column that moves a client's risk."""

    column: str
    words: str  # its value beside the typical one, and which way it moves the risk
    part: float  # what it adds to the log-odds: positive raises the risk


def reasons(
    parts: pd.DataFrame,
    frame: pd.DataFrame,
    typical: Mapping[str, float | str | None],
    columns: Columns,
    count: int = COUNT,
) -> list[list[Reason]]:
    """For each row up to `count` reasons, the strongest first; fewer where fewer columns move its risk.

    Args:
        parts: the log-odds that each feature contributes, shape (rows, features) (`contributions.contributions`).
        frame: the same rows with their values.
        typical: for each feature the median (numbers) or the most common level (categories) of the training rows.
    """
    names = list(parts.columns)
    by = parts.to_numpy(dtype=np.float64)
    strongest = np.argsort(-np.abs(by), axis=1, kind="stable")[:, :count]
    values = {name: frame[name].tolist() for name in {names[i] for i in np.unique(strongest)}}
    found: list[list[Reason]] = [[] for _ in range(len(by))]
    for row, places in enumerate(strongest.tolist()):
        for i in places:
            part, name = by[row, i], names[i]
            if abs(part) > NOTHING:
                most = " most" if not found[row] else ""
                said = compared(name, values[name][row], typical.get(name), columns)
                words = f"{said}: {'raises' if part > 0 else 'lowers'} the risk{most}"
                found[row].append(Reason(name, words, float(part)))
    return found


def compared(name: str, value: Any, usual: Any, columns: Columns) -> str:
    """A feature's value beside the typical one, where it is another: `activity last month 12, typical 240`."""
    which = "typical" if name in columns.numbers else "most common"
    beside = "" if _is_missing(usual) or value == usual else f", {which} {shown(usual)}"
    return f"{title(name)} {'missing' if _is_missing(value) else shown(value)}{beside}"


def title(name: str) -> str:
    """A column's name as words."""
    return fit(name.replace("_", " "))


def shown(value: float | str) -> str:
    """A value as people write it: 12, 1,240, 79.85, 0.352; a text as it is, as far as it fits."""
    if isinstance(value, str):
        return fit(value)
    number, size = value + 0.0, abs(value)  # -0.0 is 0
    if size >= 1e15:
        return f"{number:.3g}"
    if size >= 1000 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:,.2f}".rstrip("0").rstrip(".") if size >= 1 else f"{number:.3g}"


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
