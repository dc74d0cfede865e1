"""CSV files that are safe, and right, in a spreadsheet.

Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers. Source: OWASP, CSV
Injection (cells that start with = + - @, tab, line feed or carriage return, full-width signs included), and ASVS 5.0,
requirement 1.2.10 (NUL). Blanks and quotation marks before the sign do not hide it. Nor does it only count at the
start: where people write 0,5 a spreadsheet splits lines at semicolons, and what follows one starts a cell.
"""

import re
from pathlib import Path

import pandas as pd

_FORMULA = "(?:[^\\S\\t\\r\\n]|[\"'])*[=+\\-@\uff1d\uff0b\uff0d\uff20]"
_CONTROL = "'*[\\t\\r\\n\\0]"
_UNSAFE = re.compile(f"^(?={_FORMULA}|{_CONTROL})|(?<=[;\\t\\r\\n])(?={_FORMULA})")
_MADE_SAFE = re.compile(f"^'(?={_FORMULA}|{_CONTROL})|(?<=[;\\t\\r\\n])'(?={_FORMULA})")
# Ends of line as RFC 4180 has them: with a bare line feed, pandas leaves a carriage return within a text unquoted.
_FILE = {"index": False, "lineterminator": "\r\n"}


def cell(text: str) -> str:
    """A text as it can stand in a cell; `plain` gives the text back."""
    return _UNSAFE.sub("'", text)


def plain(text: str) -> str:
    """The text that `cell` made a cell of, for files that come back from a spreadsheet."""
    return _MADE_SAFE.sub("", text)


def safe(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose text, names of columns included, is safe in a spreadsheet; numbers and dates are as they were."""
    shown = frame.set_axis([cell(str(name)) for name in frame.columns], axis=1)
    for i, dtype in enumerate(shown.dtypes):
        if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype):
            continue
        column = shown.iloc[:, i]
        # Most columns have nothing to mend, and few different texts in which to look for it.
        if any(isinstance(text, str) and _UNSAFE.search(text) for text in column.dropna().unique()):
            shown.isetitem(i, column.astype(object).map(lambda value: cell(value) if isinstance(value, str) else value))
    return shown


def csv(frame: pd.DataFrame) -> bytes:
    """A table as a CSV file for people: safe, and with the mark by which Excel knows UTF-8; missing cells are empty."""
    return safe(frame).to_csv(**_FILE).encode("utf-8-sig")


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the same to a file, a table of millions of rows in little memory."""
    safe(frame).to_csv(path, encoding="utf-8-sig", **_FILE)
