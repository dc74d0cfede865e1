"""Read a CSV file by the column contract: what fits, what does not, and why.

DuckDB reads the cells, within a bound of memory, and `cells` says what they must be. Its parser keeps quiet about what
an unclosed quote swallows, so the lines of the file are counted against the rows that came of them.
"""

import csv
import difflib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn.columns import Columns
from churn.errors import DropError
from churn.intake import cells, content
from churn.intake.content import Content

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

KEPT = 1000  # rejected rows that are listed one by one; all are counted
# Larger files are looked at in places first: the parser takes 20 microseconds for a line that does not fit.
SAMPLED_BYTES = 4_000_000
SAMPLE_BYTES = 64_000

PARSER_REASONS = {
    "UNQUOTED VALUE": "text after a closing quote",
    "TOO MANY COLUMNS": "more fields than the header has",
    "MISSING COLUMNS": "fewer fields than the header has",
    "LINE SIZE OVER MAXIMUM": "longer than 2 MB: is a quote not closed?",
}


@dataclass(frozen=True)
class Reject:
    """A row that does not fit: its line in the file, the column (None: the whole line) and the reason, no values."""

    line: int
    column: str | None
    reason: str

    @property
    def what(self) -> str:
        """Column and reason in words."""
        return f"{self.column}: {self.reason}" if self.column else self.reason


@dataclass(frozen=True)
class Reading:
    """What became of a file's rows; the first KEPT rejects, and the columns that were ignored."""

    sha256: str
    size: int
    rows: int
    accepted: int
    rejects: tuple[Reject, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """The number of rows that do not fit."""
        return self.rows - self.accepted


class TooManyRejectedError(DropError):
    """More rows than allowed do not fit; `reading` has them."""

    def __init__(self, name: str, reason: str, line: int | None, reading: Reading) -> None:
        super().__init__(name, reason, line)
        self.reading = reading


def connect(memory_limit_mb: int, threads: int, spill: Path) -> "duckdb.DuckDBPyConnection":
    """A database in memory that keeps to a limit, spills to a folder past it, and loads nothing from outside."""
    import duckdb

    return duckdb.connect(
        config={
            "memory_limit": f"{memory_limit_mb}MB",
            "threads": threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            # It could take a file for an earlier one that had the same descriptor.
            "enable_external_file_cache": False,
        }
    )


def read(
    connection: "duckdb.DuckDBPyConnection",
    found: Content,
    columns: Columns,
    table: str,
    *,
    labelled: bool = True,
    late_labels: bool = False,
    max_rejected: float = 0.1,
) -> Reading:
    """Read an examined CSV file into a temporary table of the contract's columns, in file order.

    The table also has `fault` (0 throughout), `row_hash` and, with as_of, `key_hash`.

    Args:
        labelled: a row without a known label is rejected; else target and as_of may be absent, and are then missing.
        late_labels: with `labelled`, a blank label is no fault but a missing value, for it may come later.
        max_rejected: the largest share of rejected rows.

    Raises:
        DropError: the file cannot be used as a whole; with its line where there is one.
    """
    import duckdb

    if found.fault:
        raise DropError(found.name, *found.fault)
    places = _places(found, columns, labelled)
    if found.size > SAMPLED_BYTES and max_rejected < 0.5:
        _refuse_garbage(found)
    for leftover in (table, "reject_errors", "reject_scans"):
        connection.execute(f"DROP TABLE IF EXISTS {leftover}")
    try:
        width, options = len(found.header), {"labelled": labelled, "late_labels": late_labels}
        connection.execute(cells.load_statement(found.path, width, places, columns, table, **options))
    except duckdb.InvalidInputException:
        found.check_unchanged()
        line = content.first_odd_line(found)
        reason = "lines end in several ways (LF, CR LF, CR)" if line else "its quotes or lines are not those of a CSV"
        raise DropError(found.name, f"cannot be read: {reason}; save it again as CSV", line) from None
    found.check_unchanged()
    reading = _account(connection, found, columns, table)
    found.check_unchanged()
    if reading.rejected > max_rejected * reading.rows:
        raise _too_many(found.name, reading, max_rejected)
    return reading


def frame(connection: "duckdb.DuckDBPyConnection", source: str, columns: Columns, *also: str) -> "pd.DataFrame":
    """The rows of a table or subquery in order: numbers float64, text str, as_of datetime64; missing is NaN or NaT."""
    names = [(cells.quoted(column), column in columns.numbers) for column in columns.stored]
    chosen = [f"{name}::DOUBLE AS {name}" if number else name for name, number in names]
    rows = connection.execute(f"SELECT {', '.join([*chosen, *also])} FROM {source}").df()
    texts = [column for column in columns.stored if rows[column].dtype == object]  # without a single value in it
    return rows.astype(dict.fromkeys(texts, "str"))


def _too_many(name: str, reading: Reading, max_rejected: float) -> TooManyRejectedError:
    first = reading.rejects[0]
    reason = (
        f"{reading.rejected:,} of {reading.rows:,} rows do not fit, more than the {max_rejected:.0%} of max_rejected; "
        f"the first: {first.what}"
    )
    return TooManyRejectedError(name, reason, first.line, reading)


# ---- the header, and a look at large files ---------------------------------------------------------------------------


def check_header(found: Content, expected: Sequence[str] = ()) -> None:
    """Make sure that a file's first line is a header and gives every column one name of its own.

    Args:
        expected: names of which a header has at least one; a line of data is not to be quoted in a reason.

    Raises:
        DropError: it does not.
    """
    header, name = found.header, found.name
    if len(header) == 1:
        for mark, what in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in header[0]:
                raise DropError(name, f"its fields are separated by {what}; save it with commas", 1)
    folded = {column.strip().casefold() for column in header}
    if expected and not any(column.strip().casefold() in folded for column in expected):
        wanted = ", ".join(map(repr, expected))
        raise DropError(name, f"the first line is no header of this product: it has none of {wanted}", 1)
    twice = sorted({column for column in header if header.count(column) > 1 and column.strip()})
    if twice:
        raise DropError(name, f"the header has {', '.join(map(repr, twice))} twice; name every column once", 1)
    if not all(column.strip() for column in header):
        number = next(i for i, column in enumerate(header, 1) if not column.strip())
        reason = f"column {number} of the header has no name (a row index saved along, or a comma too many?); name it"
        raise DropError(name, reason, 1)


def _places(found: Content, columns: Columns, labelled: bool) -> dict[str, int]:
    """At which field each column of the contract stands."""
    cells.check_names(columns)
    check_header(found, columns.stored)
    optional = () if labelled else (columns.target, columns.as_of)
    missing = [column for column in columns.stored if column not in found.header and column not in optional]
    if missing:
        raise DropError(found.name, "; ".join(_absent(column, found.header) for column in missing), 1)
    return {column: found.header.index(column) for column in columns.stored if column in found.header}


def _absent(column: str, header: tuple[str, ...]) -> str:
    folded = {other.strip().casefold(): other for other in header}
    near = difflib.get_close_matches(column.strip().casefold(), folded, n=1)
    return f"the header has no column {column!r}" + (f" (but {folded[near[0]]!r})" if near else "")


def _refuse_garbage(found: Content) -> None:
    """Look at five places of a large file: where most lines misfit in all of them, it is not worth parsing."""
    first = None
    for part in range(5):
        start = (found.size - SAMPLE_BYTES) * part // 4
        block = os.pread(found.descriptor, SAMPLE_BYTES, start).decode("utf-8", "replace").removeprefix("\ufeff")
        lines = io.StringIO(block[: block.rfind("\n") + 1], newline="\n")
        for _ in range(found.header_lines if part == 0 else 1):
            lines.readline()
        lengths = [len(row) for row in csv.reader(lines) if row]
        wrong = [i for i, length in enumerate(lengths) if length != len(found.header)]
        if len(lengths) < 20 or len(wrong) <= len(lengths) / 2:
            return
        first = first or found.header_lines + 1 + wrong[0]
    reason = f"most of its lines do not have the {len(found.header)} fields of the header (looked at in five places)"
    raise DropError(found.name, reason, first)


# ---- the account -----------------------------------------------------------------------------------------------------


def _account(connection: "duckdb.DuckDBPyConnection", found: Content, columns: Columns, table: str) -> Reading:
    """Count what was read, list the rejected rows with their lines, and take them out of the table."""
    loaded = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    # A record can have several errors. `line` is the record's number: the header's is 1, blank lines are counted.
    refused = dict(
        connection.execute(
            "SELECT line, max(error_type::VARCHAR) FROM reject_errors GROUP BY line ORDER BY line"
        ).fetchall()
    )
    plain = found.lines == found.header_lines + loaded + len(refused)
    if not plain:
        connection.execute(cells.broken_ids(columns, table))
    faults = dict(
        connection.execute(f"SELECT rowid, fault FROM {table} WHERE fault > 0 ORDER BY rowid LIMIT {KEPT}").fetchall()
    )
    lines = _plain_lines(found, refused, faults) if plain else _traced_lines(found, loaded, refused, faults)
    rejects = [
        Reject(lines[0][number], None, PARSER_REASONS.get(refused[number], refused[number].lower()))
        for number in list(refused)[:KEPT]
    ]
    rejects += [Reject(lines[1][row], *cells.reason(fault, columns)) for row, fault in faults.items()]
    faulty = connection.execute(f"DELETE FROM {table} WHERE fault > 0").fetchone()[0] if faults else 0
    return Reading(
        sha256=found.sha256,
        size=found.size,
        rows=loaded + len(refused),
        accepted=loaded - faulty,
        rejects=tuple(sorted(rejects, key=lambda reject: reject.line)[:KEPT]),
        extra=tuple(column for column in found.header if column not in columns.stored),
    )


Lines = tuple[dict[int, int], dict[int, int]]  # of the refused records by number, of the faulty rows by rowid


def _plain_lines(found: Content, refused: dict[int, str], faults: dict[int, int]) -> Lines:
    """Where every record is one line: only the refused ones stand between the rows."""
    fault_lines, passed, numbers = {}, 0, list(refused)
    for row in faults:
        while passed < len(numbers) and numbers[passed] <= row + 2 + passed:
            passed += 1
        fault_lines[row] = found.header_lines + row + 1 + passed
    return {number: number + found.header_lines - 1 for number in refused}, fault_lines


def _traced_lines(found: Content, loaded: int, refused: dict[int, str], faults: dict[int, int]) -> Lines:
    """Where blank lines, or line breaks in quotes, stand between: a walk over the records.

    It is also the check that no line was swallowed: a quote that is not closed takes those after it into its field.

    Raises:
        DropError: the walk does not find the records that the parser found.
    """
    refused_lines: dict[int, int] = {}
    fault_lines: dict[int, int] = {}
    row, last = -1, found.header_lines
    for number, (start, end, blank) in enumerate(content.records(found), 2):
        last = start
        if number in refused:
            refused_lines[number] = start
            if end > start:
                break  # a record of several lines that does not fit
        elif not blank or len(found.header) == 1:
            row += 1
            if row in faults:
                fault_lines[row] = start
    else:
        if row + 1 == loaded and len(refused_lines) == len(refused):
            return refused_lines, fault_lines
    raise DropError(found.name, "a quote is not closed as it should be; the lines after it cannot be trusted", last)
