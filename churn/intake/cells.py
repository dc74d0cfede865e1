"""The column contract in SQL: how a CSV file's text cells become values, and what is wrong where they cannot.

It gives exactly what `columns.number` and `columns.category` give; a property test compares them. Every column has a
quick test for the cells that are plainly sound, which nearly all are; the rest go through the exact ones.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from churn.columns import BLANKS, LARGEST_WHOLE, NUMBER, Columns
from churn.errors import ConfigError
from churn.intake.content import LONGEST

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

    `first` is what the value is made from, worked out once: (name, expression).
    """

    value: str
    sound: str | None = None
    faults: tuple[tuple[str, int], ...] = ()
    first: tuple[str, str] | None = None


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
    path: str, width: int, places: dict[str, int], columns: Columns, table: str, *, labelled: bool, late_labels: bool
) -> str:
    """The statement that reads a CSV into a temporary table: the contract's columns, `fault` and the hashes.

    Args:
        width: the number of fields in the header.
        places: the field at which each column stands; one that is not there is missing throughout.
        labelled: a row without a known label is at fault,
        late_labels: but not one whose label is blank.
    """
    values, sound, faults, firsts = [], [], [], []
    for number, column in enumerate(columns.stored):
        if column not in places:
            values.append(f"NULL::{sql_type(column, columns)} AS {quoted(column)}")
            continue
        cell = _cell(column, f"{OWN}{places[column]}", columns, labelled, late_labels)
        values.append(f"{cell.value} AS {quoted(column)}")
        sound += [cell.sound] if cell.sound else []
        firsts += [f"{cell.first[1]} AS {cell.first[0]}"] if cell.first else []
        faults += [f"WHEN {test} THEN {number * 8 + fault}" for test, fault in cell.faults]
    fault = f"CASE WHEN {' AND '.join(sound) or 'true'} THEN 0 {' '.join(faults)} ELSE 0 END::INTEGER AS fault"
    cells = ", ".join(f"'{OWN}{i}': 'VARCHAR'" for i in range(width))
    used = [f"{OWN}{i}" for i in sorted(places.values())]
    hashed = [f"{expression} AS {name}" for name, expression in hashes(columns).items()]
    return (
        f"CREATE TEMP TABLE {table} AS WITH "
        f"cells AS (SELECT {', '.join(used + firsts)} FROM read_csv({text(path)}, columns={{{cells}}}, {OPTIONS})), "
        f"typed AS (SELECT {', '.join(used + values)} FROM cells) "
        f"SELECT {', '.join([*map(quoted, columns.stored), fault, *hashed])} FROM typed"
    )


def broken_ids(columns: Columns, table: str) -> str:
    """The statement that finds fault with ids of several lines, which only a file with such fields can have."""
    if not columns.id:
        return "SELECT 0"
    fault = columns.stored.index(columns.id) * 8 + BROKEN
    return f"UPDATE {table} SET fault = {fault} WHERE fault = 0 AND contains({quoted(columns.id)}, chr(10))"


def reason(fault: int, columns: Columns) -> tuple[str, str]:
    """The column and the words for a value of `fault`; no cell's content is in them."""
    number, kind = divmod(fault, 8)
    if kind == NO_LABEL:
        return columns.target, f"neither {columns.positive!r} nor {columns.negative!r}"
    return columns.stored[number], REASONS[kind]


def _cell(column: str, cell: str, columns: Columns, labelled: bool, late_labels: bool) -> Cell:
    name, trimmed = quoted(column), f"trim({cell}, {text(BLANKS)})"
    # Nearly every text sorts after '!', which no blank one does: a cheap look before the costly trim.
    blank = f"({cell} IS NULL OR ({cell} < '!' AND {trimmed} = ''))"
    if column in columns.numbers:
        return (_whole if column in columns.integer else _decimal)(cell, trimmed, blank, name)
    if column == columns.target:
        labels = text(columns.positive), text(columns.negative)
        known = " ".join(f"WHEN {form} = {label} THEN {label}" for form in (cell, trimmed) for label in labels)
        return Cell(f"CASE {known} END", *(_label_test(blank, name, late_labels) if labelled else ()))
    if column == columns.id:
        return Cell(cell, f"{cell} >= '!'", ((blank, BLANK),))
    if column == columns.as_of:
        date = f"regexp_full_match({trimmed}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
        value = f"CASE WHEN {date} THEN try_cast({trimmed} AS DATE) END"
        return Cell(value, f"{name} IS NOT NULL", ((blank, BLANK), (f"{name} IS NULL", NO_DATE)))
    return Cell(f"CASE WHEN {cell} < '!' AND {trimmed} = '' THEN NULL ELSE {cell} END")


def _label_test(blank: str, name: str, late_labels: bool) -> tuple[str, tuple[tuple[str, int], ...]]:
    if late_labels:
        return f"({name} IS NOT NULL OR {blank})", ((f"{name} IS NULL AND NOT {blank}", NO_LABEL),)
    return f"{name} IS NOT NULL", ((blank, BLANK), (f"{name} IS NULL", NO_LABEL))


def _decimal(cell: str, trimmed: str, blank: str, name: str) -> Cell:
    value = (
        f"CASE WHEN regexp_full_match({cell}, {text(NUMBER)}) THEN try_cast({cell} AS DOUBLE) "
        f"WHEN regexp_full_match({trimmed}, {text(NUMBER)}) THEN try_cast({trimmed} AS DOUBLE) END"
    )
    faults = ((f"{name} IS NULL AND NOT {blank}", NO_NUMBER), (f"NOT isfinite({name})", NOT_FINITE))
    return Cell(value, f"isfinite({name})", faults)


def _whole(cell: str, trimmed: str, blank: str, name: str) -> Cell:
    """A whole number. Nearly all are written as the database itself would write them, which is quick to tell."""
    is_number = f"regexp_full_match({trimmed}, {text(NUMBER)})"
    plain = f"{cell}_plain"
    value = (
        f"CASE WHEN strlen({cell}) < 16 AND {plain}::VARCHAR = {cell} THEN {plain} ELSE "
        # A list of one, so that the regular expression stands here once: each is compiled anew for every file.
        f"list_transform([CASE WHEN {is_number} THEN try_cast({trimmed} AS DOUBLE) END], "
        f"lambda x: CASE WHEN abs(x) <= {LARGEST_WHOLE} AND trunc(x) = x THEN x::BIGINT END)[1] END"
    )
    wrong = f"{name} IS NULL AND NOT {blank}"
    faults = (
        (f"{wrong} AND NOT {is_number}", NO_NUMBER),
        (f"{wrong} AND NOT isfinite(try_cast({trimmed} AS DOUBLE))", NOT_FINITE),
        (wrong, NOT_WHOLE),
    )
    return Cell(value, f"{name} IS NOT NULL", faults, (plain, f"try_cast({cell} AS BIGINT)"))


def parquet(paths: list[Path]) -> str:
    """SQL that reads Parquet files in order, whatever their paths hold: DuckDB takes `*`, `?` and `[` for patterns."""
    plain = [text(re.sub(r"([*?\[])", r"[\1]", str(path))) for path in paths]
    return f"read_parquet([{', '.join(plain)}])"
