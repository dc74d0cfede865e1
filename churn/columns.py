"""The column contract: what every column of a product is, so that nothing is guessed from the data.

A product's columns are its id and its `as_of` date (both optional), its features (numbers, whole numbers and
categories) and its target. Ids and categories are text: a client named `null`, an id `007` and a `Yes` stay
what they are. The same contract reads CSV cells (`churn/intake/reading.py`, in SQL) and JSON values (here).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from churn.errors import DataError

# A decimal number as people and programs write it; no `1_000`, `0x1F`, `inf` or `nan`.
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
BLANKS = " \t"
LARGEST_WHOLE = 2**53  # beyond it a 64-bit float, which every model computes with, skips whole numbers

_NUMBER = re.compile(NUMBER)


@dataclass(frozen=True)
class Columns:
    """A product's columns by role; names are matched exactly, inner spaces included."""

    target: str
    positive: str
    negative: str
    id: str | None = None
    as_of: str | None = None
    numeric: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """The features held as numbers, whole or not."""
        return self.numeric + self.integer

    @property
    def features(self) -> tuple[str, ...]:
        """What the model sees, in the order in which it sees it."""
        return self.numbers + self.categorical

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that say whose row it is and when."""
        return tuple(name for name in (self.id, self.as_of) if name)

    @property
    def stored(self) -> tuple[str, ...]:
        """Every column that is kept, in the order of the stored parts and of finaldata.csv."""
        return self.keys + self.features + (self.target,)


def number(value: Any, column: str, *, whole: bool = False) -> float:
    """Turn one cell or JSON value into a float; blank and None are nan, a missing value.

    Raises:
        DataError: it is not a plain finite decimal number, or not whole where it must be.
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if not text:
            return math.nan
        if not _NUMBER.fullmatch(text):
            raise DataError(f"{column}: {_shown(value)} is not a number")
        exact: int | float = float(text)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{column}: {_shown(value)} is not a number")
    else:
        exact = value
    try:
        result = float(exact)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise DataError(f"{column}: {_shown(value)} is not a finite number")
    if whole and (not result.is_integer() or abs(result) > LARGEST_WHOLE):
        raise DataError(f"{column}: {_shown(value)} is not a whole number")
    return result


def category(value: Any, column: str) -> str | None:
    """Turn one cell or JSON value into a category; blank and None are None, a missing value.

    A JSON whole number is taken as its digits, so that `0` and `"0"` are one category.

    Raises:
        DataError: it is neither text nor a whole number.
    """
    if value is None or (isinstance(value, str) and not value.strip(BLANKS)):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{column}: {_shown(value)} is not a category: send text")


def features_of(row: Mapping[str, Any], columns: Columns) -> tuple[Sequence[float], Sequence[str | None]]:
    """Check one plain row; its numbers and its categories in the order of `columns`.

    Keys that the contract does not name are ignored; a missing feature is an error, a blank one is not.

    Raises:
        DataError: a feature is absent or breaks the contract; the message names the column.
    """
    absent = [name for name in columns.features if name not in row]
    if absent:
        raise DataError(f"missing: {', '.join(absent)}; every row needs {', '.join(columns.features)}")
    numbers = [number(row[name], name) for name in columns.numeric]
    numbers += [number(row[name], name, whole=True) for name in columns.integer]
    return numbers, [category(row[name], name) for name in columns.categorical]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
