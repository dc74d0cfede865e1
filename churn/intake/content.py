"""Look at a file's bytes before anybody parses them: its hash, its lines, and whether it is a CSV at all."""

import codecs
import csv
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass

from churn.errors import ChangingError
from churn.sources import Candidate

CHUNK = 1 << 20
# The longest record that DuckDB takes; Python's own reader, which traces the lines, gets the same limit.
LONGEST = 2_000_000

# First bytes of what is often named .csv and is not.
KINDS = {
    b"\x1f\x8b": "gzip; unpack it first",
    b"PK\x03\x04": "a zip or an Excel workbook; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"PAR1": "Parquet; save it as CSV",
    b"\x28\xb5\x2f\xfd": "zstd; unpack it first",
    b"\xfd7zXZ": "xz; unpack it first",
    b"BZh": "bzip2; unpack it first",
    b"%PDF": "a PDF; export the data itself as CSV",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    codecs.BOM_UTF16_LE: "UTF-16 text; save it as UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16 text; save it as UTF-8",
}


@dataclass(frozen=True)
class Content:
    """What one pass over the bytes of an open file tells.

    `lines` counts line feeds, and a last line without one. `fault` is the reason why it is no CSV, with its line.
    """

    descriptor: int
    look: Candidate
    sha256: str
    size: int
    lines: int
    header: tuple[str, ...] = ()
    header_lines: int = 0
    fault: tuple[str, int | None] | None = None

    @property
    def name(self) -> str:
        """The file's name as it lies in its folder."""
        return self.look.name

    @property
    def path(self) -> str:
        """By which the open file, and no other, can be opened again whatever its name and whoever replaces it."""
        return f"/dev/fd/{self.descriptor}"

    def check_unchanged(self) -> None:
        """Make sure that the file is still what was examined.

        Raises:
            ChangingError: it is not.
        """
        if Candidate.of(self.name, os.fstat(self.descriptor)) != self.look:
            raise ChangingError(self.name, "it changed while it was read; the next run looks at it again")


def examine(descriptor: int, name: str) -> Content:
    """Read all bytes of an open file once.

    Raises:
        ChangingError: it changed meanwhile.
    """
    look = Candidate.of(name, os.fstat(descriptor))
    digest, checks, size = hashlib.sha256(), _Checks(), 0
    head = b""
    while chunk := os.pread(descriptor, CHUNK, size):
        head = head or chunk
        size += len(chunk)
        digest.update(chunk)
        checks.add(chunk)
    fault = _kind(head) or checks.finish()
    header: list[str] = []
    header_lines = 0
    if not fault:
        try:
            records = csv.reader(io.StringIO(head[:LONGEST].decode("utf-8-sig", "replace"), newline="\n"))
            header, header_lines = next(records), records.line_num
        except (csv.Error, StopIteration):
            fault = ("the header cannot be read: is a quote not closed?", 1)
    found = Content(descriptor, look, digest.hexdigest(), size, checks.lines, tuple(header), header_lines, fault)
    found.check_unchanged()
    return found


class _Checks:
    """What is told from every chunk: lines, NUL bytes, bad UTF-8, line ends."""

    def __init__(self) -> None:
        self.fault: tuple[str, int | None] | None = None
        self.line_feeds = 0
        self.returns = False
        self.last = b""
        self._pending = b""

    @property
    def lines(self) -> int:
        return self.line_feeds + (self.last not in (b"", b"\n"))

    def add(self, chunk: bytes) -> None:
        if not self.fault:
            self._look_for_nul(chunk)
            self._look_for_bad_text(chunk, final=False)
        self.line_feeds += chunk.count(b"\n")
        self.returns = self.returns or b"\r" in chunk
        self.last = chunk[-1:]

    def finish(self) -> tuple[str, int | None] | None:
        if not self.fault:
            self._look_for_bad_text(b"", final=True)
        if not self.fault and self.returns and not self.line_feeds:
            self.fault = ("its lines end with a carriage return alone; save it with line feeds", None)
        return self.fault

    def _look_for_nul(self, chunk: bytes) -> None:
        place = chunk.find(b"\0")
        if place >= 0:
            line = self.line_feeds + chunk.count(b"\n", 0, place) + 1
            self.fault = ("holds NUL bytes: cut short, or UTF-16 rather than UTF-8?", line)

    def _look_for_bad_text(self, chunk: bytes, *, final: bool) -> None:
        if not final and not self._pending and chunk.isascii():
            return
        data = self._pending + chunk
        try:
            _, used = codecs.utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as error:
            line = self.line_feeds + data.count(b"\n", 0, error.start) + 1
            self.fault = ("not UTF-8 text (Windows-1252 or Latin-1?); save it as UTF-8", line)
            return
        self._pending = data[used:]


def _kind(head: bytes) -> tuple[str, int | None] | None:
    """Why a file that starts so is no CSV, if that can be told."""
    for start, what in KINDS.items():
        if head.startswith(start):
            return (f"not a CSV but {what}", None)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text:
        return ("empty: not even a header", None)
    if text[:1] == b"<":
        return ("not a CSV but HTML or XML, such as an error page saved in its place; fetch the data again", 1)
    return None


def records(found: Content) -> Iterator[tuple[int, int, bool]]:
    """Walk the records after the header: the lines where each starts and ends (1-based), and whether it is blank.

    Lines end with a line feed; quotes are followed as the parser does. A record that never ends is not given.
    """
    before = csv.field_size_limit(LONGEST)  # of the whole process: given back, for other readers have their own
    try:
        with open(found.path, encoding="utf-8-sig", newline="\n") as text:
            reader = csv.reader(text, skipinitialspace=True)
            line = 0
            for fields in reader:
                if line >= found.header_lines:
                    yield line + 1, reader.line_num, not fields
                line = reader.line_num
    except csv.Error:
        return
    finally:
        csv.field_size_limit(before)


def first_odd_line(found: Content) -> int | None:
    """The first line that does not end as the first line does, in a file whose lines end in several ways."""
    with open(found.path, "rb") as data:
        first = None
        for number, line in enumerate(data, 1):
            body = line.rstrip(b"\r\n")
            kind = (line[len(body) :], b"\r" in body)
            first = first or kind
            if kind != first and line[-1:] == b"\n":
                return number
            if b"\r" in body:
                return number
    return None
