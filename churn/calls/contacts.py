"""The calls that were made: the file that lists them, and which list each was made from."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import sheet
from churn.columns import BLANKS, Columns
from churn.errors import DataError, shown

CALLED = "called"  # a kind of contact
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read(path: Path, columns: Columns) -> pd.DataFrame:
    """The calls listed in a CSV file: `client` and `outcome` (text), `date` (datetime64) and `line`, a row a call.

    The file has a column of clients (by the name of the product's id column, or `client`), one of dates (`date`,
    YYYY-MM-DD), and perhaps `outcome`; others are ignored. It may be separated by commas or semicolons, as
    spreadsheets save it, and ids may have the apostrophe with which call lists are exported.

    Raises:
        DataError: it cannot be read, or a line breaks this; the message names file, line and remedy.
    """
    name = shown(str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}; give a CSV file with the columns client and date") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {line}: not UTF-8; save it as 'CSV UTF-8'") from None
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    rows = []
    try:
        places = _places(next(reader, []), columns, name)
        for cells in reader:
            if any(cell.strip(BLANKS) for cell in cells):
                rows.append(_row(cells, places, f"{name}, line {reader.line_num}") | {"line": reader.line_num})
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}; look for an odd quotation mark") from None
    return _typed(rows)


def recorded(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The calls among the contacts that the history holds (`History.contacts`), as `read` gives those of a file."""
    calls = [
        {"client": row["client"], "date": date.fromisoformat(row["at"][:10]), "outcome": row["outcome"] or ""}
        for row in rows
        if row["kind"] == CALLED
    ]
    return _typed([call | {"line": 0} for call in calls])


def _places(header: list[str], columns: Columns, name: str) -> dict[str, int]:
    """Where the header has the client, the date and the outcome, and how many columns there are."""
    titles = [title.strip(BLANKS).lower() for title in header]
    own = [columns.id] if columns.id else []
    names = {"client": [*own, *map(sheet.cell, own), "client"], "date": ["date"], "outcome": ["outcome"]}
    places = {"width": len(titles)}
    for role, options in names.items():
        found = next((title.lower() for title in options if title.lower() in titles), None)
        if found is not None:
            places[role] = titles.index(found)
        elif role != "outcome":
            client = " or ".join(dict.fromkeys([*own, "client"]))
            missing = client if role == "client" else role
            raise DataError(
                f"{name}, line 1: no column {missing}; the header needs {client} and date, and may have outcome"
            )
    return places


def _row(cells: list[str], places: dict[str, int], place: str) -> dict[str, object]:
    if len(cells) != places["width"]:
        raise DataError(f"{place}: {len(cells)} cells under a header of {places['width']}; write one call a line")
    client, day = cells[places["client"]], cells[places["date"]].strip(BLANKS)
    if not client.strip(BLANKS):
        raise DataError(f"{place}: no client; fill it in, or remove the line")
    try:
        if not DATE.fullmatch(day):
            raise ValueError
        when = date.fromisoformat(day)
    except ValueError:
        raise DataError(f"{place}: {day[:40]!r} is no date; write it as YYYY-MM-DD") from None
    outcome = cells[places["outcome"]].strip(BLANKS) if "outcome" in places else ""
    return {"client": client, "date": when, "outcome": outcome}


def _typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=["client", "date", "outcome", "line"])
    return found.astype({"client": "str", "date": "datetime64[us]", "outcome": "str", "line": "int64"})


@dataclass(frozen=True)
class Matched:
    """Calls beside the lists they were made from."""

    called: np.ndarray  # bool of shape (rows of the lists,): whether the client was called in that list's period
    unknown: int  # calls of clients that nobody knows
    unknown_line: int | None  # the first of them
    early: int  # calls before the first list
    elsewhere: int  # calls of known clients who were not among the compared of their period


def names(contacts: pd.DataFrame) -> set[str]:
    """The ids that these calls may mean: as they stand there, and without a spreadsheet's apostrophe."""
    written = set(contacts["client"])
    return written | {sheet.plain(client) for client in written}


def match(contacts: pd.DataFrame, lists: pd.DataFrame, known: Collection[str]) -> Matched:
    """Find out who was called in which period: from the day a list was issued until the day before the next.

    Args:
        contacts: as `read` gives them.
        lists: a row a client and list, with `client` and `issued` (datetime64, the day; one list a period).
        known: the ids of all clients ever scored.
    """
    known = set(known)
    clients = np.array([c if c in known else sheet.plain(c) for c in contacts["client"]], dtype=object)
    is_known = np.array([name in known for name in clients], dtype=bool)
    issued, period = np.unique(lists["issued"].to_numpy("datetime64[D]"), return_inverse=True)
    of = np.searchsorted(issued, contacts["date"].to_numpy("datetime64[D]"), side="right") - 1
    early = is_known & (of < 0)
    made = pd.MultiIndex.from_arrays([clients[is_known & ~early], of[is_known & ~early]])
    compared = pd.MultiIndex.from_arrays([lists["client"].to_numpy(object), period])
    lines = contacts["line"].to_numpy()[~is_known]
    return Matched(
        called=compared.isin(made),
        unknown=int((~is_known).sum()),
        unknown_line=int(lines[0]) if len(lines) else None,
        early=int(early.sum()),
        elsewhere=int((~made.isin(compared)).sum()),
    )
