"""What the stored rows look like, column by column, computed where they lie: memory stays within the product's limit.

`source` is the SQL of the rows in question, as `dataset.rows` gives it.
"""

import math
from typing import TYPE_CHECKING, Any

from churn.columns import Columns
from churn.intake import cells

if TYPE_CHECKING:
    import duckdb

LARGE = 1e150  # the square of a larger number is no float any more


def missing(connection: "duckdb.DuckDBPyConnection", source: str, columns: Columns) -> tuple[int, dict[str, float]]:
    """The number of rows, and each stored column's share of missing values in percent."""
    counts = ", ".join(f"count({cells.quoted(column)})" for column in columns.stored)
    rows, *present = connection.execute(f"SELECT count(*), {counts} FROM {source}").fetchone() or (0,)
    return rows, {
        column: 100 * (rows - there) / rows if rows else 0.0
        for column, there in zip(columns.stored, present, strict=True)
    }


def period(connection: "duckdb.DuckDBPyConnection", source: str, columns: Columns) -> tuple[str | None, str | None]:
    """The first and the last observation date; None without rows, or without such a column."""
    if columns.as_of is None:
        return None, None
    name = cells.quoted(columns.as_of)
    first, last = _one(connection, f"SELECT min({name}), max({name}) FROM {source}")
    return first and first.isoformat(), last and last.isoformat()


def describe(connection: "duckdb.DuckDBPyConnection", source: str, columns: Columns) -> dict[str, dict[str, Any]]:
    """Statistics of every stored column; None where a column has no value that they could be of.

    Numbers: mean, median, mode, std (of a sample), min, max. Text: mode and levels. Both: missing_percent. Of several
    most frequent values, the mode is the smallest. Ids have no mode, dates have the first and the last for min and max.
    """
    _, absent = missing(connection, source, columns)
    found: dict[str, dict[str, Any]] = {}
    for column in columns.stored:
        if column in columns.numbers:
            values = _number(connection, source, cells.quoted(column))
        elif column == columns.as_of:
            values = dict(zip(("min", "max"), period(connection, source, columns), strict=True))
        else:
            values = _text(connection, source, cells.quoted(column), with_mode=column != columns.id)
        found[column] = values | {"missing_percent": absent[column]}
    return found


def _number(connection: "duckdb.DuckDBPyConnection", source: str, name: str) -> dict[str, Any]:
    low, high = _one(connection, f"SELECT min({name}), max({name}) FROM {source}")
    largest = max(abs(low or 0), abs(high or 0))
    # Large numbers are scaled down first: the sum of their squares would be no number.
    scale = float(largest) if largest > LARGE else 1
    scaled = f"{name} / {scale!r}" if scale != 1 else name
    # One column at a time: a median keeps a whole column in memory.
    sql = f"SELECT favg({scaled}::DOUBLE), stddev_samp({scaled}::DOUBLE), median({scaled}) FROM {source}"
    mean, deviation, median = (None if value is None else _finite(value * scale) for value in _one(connection, sql))
    mode = _mode(connection, source, name)
    return {"mean": mean, "median": median, "mode": mode, "std": deviation, "min": low, "max": high}


def _text(connection: "duckdb.DuckDBPyConnection", source: str, name: str, *, with_mode: bool) -> dict[str, Any]:
    (levels,) = _one(connection, f"SELECT count(DISTINCT {name}) FROM {source}")
    return ({"mode": _mode(connection, source, name)} if with_mode else {}) | {"levels": levels}


def _mode(connection: "duckdb.DuckDBPyConnection", source: str, name: str) -> Any:
    # Not mode(): of several it takes the one that a thread happened to see first, and it does not spill to disk.
    sql = f"SELECT {name} FROM {source} WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY count(*) DESC, {name} LIMIT 1"
    row = connection.execute(sql).fetchone()
    return row[0] if row else None


def _one(connection: "duckdb.DuckDBPyConnection", sql: str) -> tuple[Any, ...]:
    return connection.execute(sql).fetchone() or ()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
