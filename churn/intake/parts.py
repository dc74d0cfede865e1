"""Add a drop to the stored parts: what of it is new, what is there already, what it supersedes.

A part is an immutable Parquet file of the contract's columns, the drop's number and a 64-bit hash a row. A drop is
compared with the hashes alone, so that its cost follows its own size. With as_of, (id, as_of) is the key and the
newest drop wins: the rows it supersedes are listed in a file beside its part, and old parts stay as they are.

A label once known is not lost: a row without a label that comes after one of its key with it, in an earlier drop or
further up in its own, brings nothing new and counts as a duplicate. A label that comes later supersedes as ever.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from churn import dataset, storage
from churn.config import Product
from churn.dataset import Drop, Record
from churn.errors import shown
from churn.intake import cells

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

REJECTS = "rejects"
# A dictionary of many values costs time and saves nothing on hashes and numbers.
WRITTEN = "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1000)"


def rejects_of(product: Product, drop: Drop) -> Path:
    """The file that lists the rows of a drop that were rejected: line, column and reason, and no values."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", shown(drop.name).removesuffix(".csv"))[:100]
    if f"{safe}.csv" != drop.name:
        safe += f"-{(drop.sha256 or '')[:8]}"
    return product.ingested / REJECTS / f"{safe}.csv"


@dataclass(frozen=True)
class Added:
    """What became of a table's rows: the part that holds the accepted ones (None without any), and a drop's counts."""

    part: str | None
    accepted: int
    duplicate: int
    superseded: int = 0
    unlabelled: int = 0
    superseded_unlabelled: int = 0


def folder(product: Product) -> Path:
    """Where the parts lie."""
    return product.ingested / dataset.PARTS


class Incoming:
    """The tables of a few drops that came together, and what is stored of their rows: one look at all the hashes.

    Nothing that `add` writes exists until the caller commits a record that lists it.
    """

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, tables: Sequence[str]
    ) -> None:
        self.connection, self.product, self.columns = connection, product, product.columns
        self.tables = list(tables)
        self.labelled = f"{cells.quoted(self.columns.target)} IS NOT NULL"
        folder(product).mkdir(parents=True, exist_ok=True)
        kept, by = ("row_hash", "row_hash")
        if self.columns.as_of:
            kept = f"drop_number, file_row_number AS position, row_hash, key_hash, {self.labelled} AS labelled"
            by = "key_hash"
        incoming = " UNION ALL ".join(f"SELECT {by} FROM {table}" for table in tables) or "SELECT 0::UBIGINT"
        rows = dataset.rows(product, record, ordered=False)
        self._make("stored", f"SELECT {kept} FROM {rows} WHERE {by} IN ({incoming})")

    def add(self, drop: Drop, table: str) -> Added:
        """Write the rows of a table as the part of a drop, less those that are stored already; the table is dropped."""
        dated = self.columns.as_of is not None
        counts = self._supersede(drop, table) if dated else {"duplicate": self._deduplicate(table)}
        accepted = self._one(f"SELECT count(*) FROM {table}")
        part = f"{drop.stem}.parquet" if accepted else None
        if part:
            own = [f"{drop.number}::INTEGER AS drop_number", *cells.hashes(self.columns)]
            query = f"SELECT {', '.join([*map(cells.quoted, self.columns.stored), *own])} FROM {table}"
            _write(self.connection, query, folder(self.product) / part)
            storage.sync_folder(folder(self.product))
        self.tables.remove(table)
        if self.tables and not dated:
            self._one(f"INSERT INTO stored SELECT row_hash FROM {table}")
        self.connection.execute(f"DROP TABLE {table}")
        return Added(part, accepted, **counts)

    def _deduplicate(self, table: str) -> int:
        """Delete from a table what is stored and, of equal rows in it, all but the first; how many it deleted."""
        deleted = self._one(f"DELETE FROM {table} WHERE row_hash IN (SELECT row_hash FROM stored)")
        if self._one(f"SELECT count(*) - count(DISTINCT row_hash) FROM {table}"):
            repeated = f"SELECT row_hash, min(rowid) AS first FROM {table} GROUP BY row_hash HAVING count(*) > 1"
            self._make("repeated", repeated)
            deleted += self._one(
                f"DELETE FROM {table} WHERE rowid IN (SELECT t.rowid FROM {table} AS t "
                "JOIN repeated USING (row_hash) WHERE t.rowid <> first)"
            )
        return deleted

    def _forget_unlabelled(self, table: str) -> int:
        """Delete the rows without a label that come after one of their key with it; how many it deleted."""
        labels = (
            "SELECT key_hash, -1 AS position FROM stored WHERE labelled "
            f"UNION ALL SELECT key_hash, rowid FROM {table} WHERE {self.labelled}"
        )
        self._make("known", f"SELECT key_hash, min(position) AS first FROM ({labels}) GROUP BY key_hash")
        waiting = f"SELECT key_hash, rowid AS position FROM {table} WHERE NOT {self.labelled}"
        return self._one(
            f"DELETE FROM {table} WHERE rowid IN "
            f"(SELECT position FROM ({waiting}) JOIN known USING (key_hash) WHERE position > first)"
        )

    def _supersede(self, drop: Drop, table: str) -> dict[str, int]:
        """Delete duplicates from a table and list what its rows supersede; the counts of `Added` by their names.

        Only live rows count as stored: a value that comes back after it was superseded is a new row. Of equal rows
        in the drop the last stays, because of rows with one key the last wins.
        """
        duplicate = self._forget_unlabelled(table) if self.product.settings.late_labels else 0
        self._make("winners", f"SELECT key_hash, arg_max(row_hash, rowid) AS row_hash FROM {table} GROUP BY key_hash")
        self._make("lasts", f"SELECT max(rowid) AS last FROM {table} GROUP BY row_hash")
        duplicate += self._one(
            f"DELETE FROM {table} WHERE row_hash IN (SELECT row_hash FROM stored) "
            "OR rowid NOT IN (SELECT last FROM lasts)"
        )
        self._one(
            f"INSERT INTO stored SELECT {drop.number}, row_number() OVER (ORDER BY rowid) - 1, row_hash, key_hash, "
            f"{self.labelled} FROM {table}"
        )
        superseded = self._make(
            "dead",
            "SELECT drop_number, position, labelled FROM stored JOIN winners USING (key_hash) "
            "WHERE winners.row_hash <> stored.row_hash",
        )
        unlabelled = self._one(f"SELECT count(*) FROM {table} WHERE NOT {self.labelled}")
        if superseded:
            self._one("DELETE FROM stored WHERE (drop_number, position) IN (SELECT (drop_number, position) FROM dead)")
            rows = "SELECT drop_number::INTEGER AS drop_number, position FROM dead ORDER BY ALL"
            _write(self.connection, rows, folder(self.product) / f"{drop.stem}.dead.parquet")
        return {
            "duplicate": duplicate,
            "superseded": superseded,
            "unlabelled": unlabelled,
            "superseded_unlabelled": self._one("SELECT count(*) FROM dead WHERE NOT labelled"),
        }

    def _make(self, table: str, query: str) -> int:
        """Make a temporary table of a query's rows; how many there are."""
        return self._one(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")

    def _one(self, statement: str) -> int:
        return _one(self.connection, statement)


def with_current_hashes(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record) -> Record:
    """The record with parts whose hashes are those of the DuckDB at hand; written anew where another made them."""
    import duckdb

    if record.duckdb == duckdb.__version__:
        return record
    columns, drops = product.columns, []
    hashes = cells.hashes(columns)
    differ = " OR ".join(f"{name} <> {expression}" for name, expression in hashes.items())
    renewed = ", ".join(f"{expression} AS {name}" for name, expression in hashes.items())
    for drop in record.drops:
        path = folder(product) / (drop.part or "")
        if drop.part and _one(connection, f"SELECT count(*) FROM {cells.parquet([path])} WHERE {differ}"):
            part = f"{drop.stem}.{duckdb.__version__}.parquet"
            logger.info("%s: %s is written anew for DuckDB %s", product.name, drop.part, duckdb.__version__)
            query = f"SELECT * REPLACE ({renewed}) FROM {cells.parquet([path])}"
            _write(connection, query, folder(product) / part)
            drops.append(replace(drop, part=part))
        else:
            drops.append(drop)
    record = replace(record, duckdb=duckdb.__version__, drops=tuple(drops))
    dataset.save_record(product, record)
    return record


def sweep(product: Product, record: Record) -> None:
    """Remove the files that no record lists: what a killed run left. Only under the lock."""
    storage.sweep(product.ingested)
    storage.sweep(product.ingested / REJECTS)
    listed = {name for drop in record.drops for name in (drop.part, drop.dead)}
    if folder(product).is_dir():
        for path in folder(product).iterdir():
            if path.name not in listed and path.is_file():
                path.unlink()


def _write(connection: "duckdb.DuckDBPyConnection", query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {cells.text(str(path))} {WRITTEN}")
    storage.sync_file(path)


def _one(connection: "duckdb.DuckDBPyConnection", statement: str) -> int:
    return connection.execute(statement).fetchone()[0]
