"""The column contract in SQL: how a CSV file's text cells become values, and what is wrong where they cannot.

It gives exactly what `columns.number` and `columns.category` give; a property test compares them. Every column has a
quick test for the cells that are plainly sound, which nearly all are; the rest go through the exact ones.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from churn.columns import BLANKS, LARGEST_WHOLE, NUMBER, Columns
from churn.content import LONGEST
from churn.errors import ConfigError

# Columns of the tables made here; a product's columns cannot be named so.
RESERVED = ("fault", "row_hash", "key_hash", "drop_number", "file_row_number", "rowid")
OWN = "__churn_"  # so start the names of what is needed on the way

# DuckDB 2.0 guesses nothing when told everything; with parallel=true quoted line breaks multiplied the rows.
OPTIONS = (
    "auto_detect=false, header=true, delim=',', quote='\"', escape='\"', strict_mode=true, parallel=false, "
    f"store_rejects=true, rejects_limit=0, max_line_size={LONGEST}"
)

# The faults of a cell, by number.
BLANK, BROKEN, NO_DATE, NO_NUMBER, NOT_FINITE, NOT_WHOLE, NO_LABEL = range(1, 8)
REASONS = {
    BLANK: "blank",
    BROKEN: "a line break in it: is a quote not closed?",
    NO_DATE: "not a date such as 2026-01-31",
    NO_NUMBER: "not a number",
    NOT_FINITE: "not a finite number",
    NOT_WHOLE: "not a whole number",
}


@dataclass(frozen=True)
class Cell:
    """One column in SQL: its value, a quick test that it is sound (None: always), and (test, fault) pairs in order.

    `fast` and `slow` are what a value may be made from, one after the other: a regular expression is compiled
    wherever it stands, which costs more than a small file does, so that each has to stand in one place.
    """

    value: str
    sound: str | None = None
    faults: tuple[tuple[str, int], ...] = ()
    fast: str | None = None
    slow: str | None = None


def quoted(column: str) -> str:
    """A column's name as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def hashes(columns: Columns) -> dict[str, str]:
    """The SQL of the stored 64-bit hashes: of the whole row and, with as_of, of its key."""
    whole = {"row_hash": f"hash({', '.join(map(quoted, columns.stored))})"}
    return whole | ({"key_hash": f"hash({', '.join(map(quoted, columns.keys))})"} if columns.as_of else {})


def sql_type(column: str, columns: Columns) -> str:
    """The type in which a column is stored."""
    if column == columns.as_of:
        return "DATE"
    return "DOUBLE" if column in columns.numeric else "BIGINT" if column in columns.integer else "VARCHAR"


def check_names(columns: Columns) -> None:
    """Make sure that the contract's columns can be told apart in SQL.

    Raises:
        ConfigError: two differ in case alone, or one has a name that this system needs.
    """
    seen: dict[str, str] = {}
    for column in columns.stored:
        if column.lower() in RESERVED or column.lower().startswith(OWN):
            raise ConfigError(f"the column name {column!r} is taken by this system; rename it in the data and config")
        if column.lower() in seen:
            raise ConfigError(f"the columns {seen[column.lower()]!r} and {column!r} differ in case alone; rename one")
        seen[column.lower()] = column


def load_statement(
    path: str, width: int, places: dict[str, int], columns: Columns, table: str, *, labelled: bool
) -> str:
    """The statement that reads a CSV into a temporary table: the contract's columns, `fault` and the hashes.

    Args:
        width: the number of fields in the header.
        places: the field at which each column stands; one that is not there is missing throughout.
        labelled: a row without a known label is at fault.
    """
    values, fast, slow, sound, faults = [], [], [], [], []
    for number, column in enumerate(columns.stored):
        if column not in places:
            values.append(f"NULL::{sql_type(column, columns)} AS {quoted(column)}")
            continue
        cell = _cell(column, places[column], columns, labelled)
        values.append(f"{cell.value} AS {quoted(column)}")
        fast += [f"{cell.fast} AS {OWN}fast{places[column]}"] if cell.fast else []
        slow += [f"{cell.slow} AS {OWN}slow{places[column]}"] if cell.slow else []
        sound += [cell.sound] if cell.sound else []
        faults += [f"WHEN {test} THEN {number * 8 + fault}" for test, fault in cell.faults]
    fault = f"CASE WHEN {' AND '.join(sound) or 'true'} THEN 0 {' '.join(faults)} ELSE 0 END::INTEGER AS fault"
    cells = ", ".join(f"'{OWN}cell{i}': 'VARCHAR'" for i in range(width))
    hashed = [f"{expression} AS {name}" for name, expression in hashes(columns).items()]
    return (
        f"CREATE TEMP TABLE {table} AS WITH "
        f"cells AS (SELECT {', '.join(f'{OWN}cell{i}' for i in sorted(places.values()))} "
        f"FROM read_csv({text(path)}, columns={{{cells}}}, {OPTIONS})), "
        f"fast AS (SELECT {', '.join(['*', *fast])} FROM cells), "
        f"slow AS (SELECT {', '.join(['*', *slow])} FROM fast), "
        f"typed AS (SELECT {', '.join(['*', *values])} FROM slow) "
        f"SELECT {', '.join([*map(quoted, columns.stored), fault, *hashed])} FROM typed"
    )


def reason(fault: int, columns: Columns) -> tuple[str, str]:
    """The column and the words for a value of `fault`; no cell's content is in them."""
    number, kind = divmod(fault, 8)
    if kind == NO_LABEL:
        return columns.target, f"neither {columns.positive!r} nor {columns.negative!r}"
    return columns.stored[number], REASONS[kind]


def _cell(column: str, place: int, columns: Columns, labelled: bool) -> Cell:
    cell, name = f"{OWN}cell{place}", quoted(column)
    trimmed = f"trim({cell}, {text(BLANKS)})"
    # Nearly every text sorts after '!', which no blank one does: a cheap look before the costly trim.
    blank = f"({cell} IS NULL OR ({cell} < '!' AND {trimmed} = ''))"
    kept = f"CASE WHEN {cell} < '!' AND {trimmed} = '' THEN NULL ELSE {cell} END"
    if column in columns.numbers:
        return _number(place, trimmed, blank, name, whole=column in columns.integer)
    if column == columns.target:
        labels = f"({text(columns.positive)}, {text(columns.negative)})"
        value = f"CASE WHEN {cell} IN {labels} THEN {cell} WHEN {trimmed} IN {labels} THEN {trimmed} END"
        if not labelled:
            return Cell(value)
        return Cell(value, f"{name} IS NOT NULL", ((blank, BLANK), (f"{name} IS NULL", NO_LABEL)))
    if column == columns.id:
        broken = f"contains({cell}, chr(10))"
        return Cell(kept, f"{cell} >= '!' AND NOT {broken}", ((blank, BLANK), (broken, BROKEN)))
    if column == columns.as_of:
        date = f"regexp_full_match({trimmed}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
        value = f"CASE WHEN {date} THEN try_cast({trimmed} AS DATE) END"
        return Cell(value, f"{name} IS NOT NULL", ((blank, BLANK), (f"{name} IS NULL", NO_DATE)))
    return Cell(kept)


def _number(place: int, trimmed: str, blank: str, name: str, *, whole: bool) -> Cell:
    cell, fast, slow = (f"{OWN}{kind}{place}" for kind in ("cell", "fast", "slow"))
    plain, kind = ("[+-]?[0-9]{1,15}", "BIGINT") if whole else (NUMBER, "DOUBLE")
    first = f"CASE WHEN regexp_full_match({cell}, {text(plain)}) THEN try_cast({cell} AS {kind}) END"
    # For what is padded, or whole and written as 1.0 or 1e3.
    second = (
        f"CASE WHEN {fast} IS NULL AND {cell} IS NOT NULL THEN "
        f"CASE WHEN regexp_full_match({trimmed}, {text(NUMBER)}) THEN try_cast({trimmed} AS DOUBLE) END END"
    )
    if not whole:
        value = f"coalesce({fast}, {slow})"
        faults = ((f"{name} IS NULL AND NOT {blank}", NO_NUMBER), (f"NOT isfinite({name})", NOT_FINITE))
        return Cell(value, f"isfinite({name})", faults, first, second)
    value = (
        f"coalesce({fast}, CASE WHEN abs({slow}) <= {LARGEST_WHOLE} AND trunc({slow}) = {slow} THEN {slow}::BIGINT END)"
    )
    faults = (
        (f"{name} IS NULL AND {slow} IS NULL AND NOT {blank}", NO_NUMBER),
        (f"{name} IS NULL AND NOT isfinite({slow})", NOT_FINITE),
        (f"{name} IS NULL AND NOT {blank}", NOT_WHOLE),
    )
    return Cell(value, f"{name} IS NOT NULL", faults, first, second)


def parquet(paths: list[Path]) -> str:
    """SQL that reads Parquet files in order, whatever their paths hold: DuckDB takes `*`, `?` and `[` for patterns."""
    plain = [text(re.sub(r"([*?\[])", r"[\1]", str(path))) for path in paths]
    return f"read_parquet([{', '.join(plain)}])"
