"""Open, hash and read the files that arrived, one group ahead of whoever stores them.

Reading keeps one core busy and storing the other. A group is compared with the stored rows at once, so that hundreds
of small files cost a few looks at the stored hashes, not hundreds.
"""

import concurrent.futures
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.config import Product
from churn.errors import ChangingError, DropError, shown
from churn.intake import content
from churn.sources import Candidate, Folder

if TYPE_CHECKING:
    import duckdb

    from churn.intake.reading import Reading

# A group is read into memory at once: so small a share of the limit, because there it takes several times as much as
# on disk, and two groups are at work.
GROUP_SHARE = 32
MOST_IN_GROUP = 100


@dataclass(frozen=True)
class Arrival:
    """What came of opening a file: its content and the table that holds its rows, or why it cannot be used.

    Without reading and error its content is known.
    """

    candidate: Candidate
    table: str
    sha256: str | None = None
    reading: "Reading | None" = None
    error: DropError | None = None
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether the table holds its rows."""
        return self.reading is not None and self.error is None


def read(
    connection: "duckdb.DuckDBPyConnection",
    product: Product,
    source: Folder,
    candidates: list[Candidate],
    known: Callable[[], frozenset[str | None]],
) -> "Iterator[tuple[duckdb.DuckDBPyConnection, list[Arrival]]]":
    """Read candidates in order; each group of them with the cursor whose temporary tables hold its rows.

    Args:
        known: the hashes of the contents that need not be read, as far as that is known at the moment.
    """
    groups = list(_groups(candidates, product.settings.memory_limit_mb * 1_000_000 // GROUP_SHARE))
    cursors = [connection.cursor(), connection.cursor()]
    progress = _Progress(len(candidates), cursors)

    def group_of(index: int, known_now: frozenset[str | None]) -> list[Arrival]:
        arrivals = []
        for number, candidate in enumerate(groups[index]):
            progress.now(candidate.name)
            cursor = cursors[index % 2]
            arrivals.append(_open(cursor, product, source, Arrival(candidate, f"incoming_{number}"), known_now))
        return arrivals

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(group_of, 0, known())
        for index in range(len(groups)):
            arrivals = progress.wait(ahead, cursors[index % 2])
            if index + 1 < len(groups):
                ahead = pool.submit(group_of, index + 1, known())
            yield cursors[index % 2], arrivals
    for cursor in cursors:
        cursor.close()


def _groups(candidates: list[Candidate], size: int) -> Iterator[list[Candidate]]:
    """Split candidates into runs of at most `size` bytes together; a larger one is a group by itself."""
    group: list[Candidate] = []
    for candidate in candidates:
        if group and (sum(each.size for each in group) + candidate.size > size or len(group) == MOST_IN_GROUP):
            yield group
            group = []
        group.append(candidate)
    if group:
        yield group


def _open(
    cursor: "duckdb.DuckDBPyConnection",
    product: Product,
    source: Folder,
    arrival: Arrival,
    known: frozenset[str | None],
) -> Arrival:
    """Open a file, hash it and, when its content is not known, read it into its table."""
    from churn.intake import reading

    began = time.perf_counter()
    candidate, table, sha256 = arrival.candidate, arrival.table, None
    try:
        descriptor = source.open(candidate.name)
        try:
            found = content.examine(descriptor, candidate.name)
            sha256 = found.sha256
            if found.look != candidate:
                raise ChangingError(candidate.name, "it changed since it was listed")
            if sha256 in known:
                return Arrival(candidate, table, sha256)
            options = {"max_rejected": product.settings.max_rejected, "late_labels": product.settings.late_labels}
            result = reading.read(cursor, found, product.columns, table, **options)
        finally:
            os.close(descriptor)
    except DropError as error:
        return Arrival(candidate, table, sha256, getattr(error, "reading", None), error)
    return Arrival(candidate, table, sha256, result, seconds=time.perf_counter() - began)


class _Progress:
    """Tells a person who watches how far the reading is; tells a log nothing."""

    def __init__(self, total: int, cursors: "list[duckdb.DuckDBPyConnection]") -> None:
        self.total, self.done, self.name = total, 0, ""
        if sys.stderr.isatty():
            for cursor in cursors:  # it keeps count of its progress only so, and need not print it
                cursor.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")

    def now(self, name: str) -> None:
        """The next file is being opened."""
        self.done, self.name = self.done + 1, name

    def wait(
        self, future: "concurrent.futures.Future[list[Arrival]]", cursor: "duckdb.DuckDBPyConnection"
    ) -> list[Arrival]:
        """Wait for a group of files, which a cursor reads."""
        while sys.stderr.isatty():
            try:
                return future.result(timeout=0.5)
            except concurrent.futures.TimeoutError:
                share = cursor.query_progress()
                percent = f", {share:.0f}%" if share > 0 else ""
                sys.stderr.write(f"\r{self.done:,} of {self.total:,}: {shown(self.name)}{percent}\x1b[K\r")
                sys.stderr.flush()
        return future.result()
