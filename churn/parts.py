"""Add a drop to the stored parts: what of it is new, what is there already, what it supersedes.

A part is an immutable Parquet file of the contract's columns, the drop's number and a 64-bit hash a row. A drop is
compared with the hashes alone, so that its cost follows its own size. With as_of, (id, as_of) is the key and the
newest drop wins: the rows it supersedes are listed in a file beside its part, and old parts stay as they are.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from churn import cells, dataset, storage
from churn.config import Product
from churn.dataset import Drop, Record

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

WRITTEN = "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"


@dataclass(frozen=True)
class Added:
    """What became of a table's rows: the part that holds the accepted ones (None without any) and the counts."""

    part: str | None
    accepted: int
    duplicate: int
    superseded: int


def folder(product: Product) -> Path:
    """Where the parts lie."""
    return product.ingested / dataset.PARTS


def add(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, drop: Drop, table: str) -> Added:
    """Write the rows of a table as the part of a drop, less those that are stored already.

    Nothing of it exists until the caller commits a record that lists it.
    """
    folder(product).mkdir(parents=True, exist_ok=True)
    columns = product.columns
    if columns.as_of:
        duplicate, superseded = _supersede(connection, product, record, drop, table)
    else:
        duplicate, superseded = _drop_duplicates(connection, product, record, table), 0
    accepted = _one(connection, f"SELECT count(*) FROM {table}")
    part = f"{drop.stem}.parquet" if accepted else None
    if part:
        kept = [*map(cells.quoted, columns.stored), f"{drop.number}::INTEGER AS drop_number", *cells.hashes(columns)]
        _write(connection, f"SELECT {', '.join(kept)} FROM {table}", folder(product) / part)
    storage.sync_folder(folder(product))
    return Added(part, accepted, duplicate, superseded)


def _drop_duplicates(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, table: str) -> int:
    """Delete from a table what is stored and, of equal rows in it, all but the first; how many it deleted."""
    stored = dataset.rows(product, record)
    known = _make(
        connection,
        "known",
        f"SELECT DISTINCT row_hash FROM {stored} WHERE row_hash IN (SELECT row_hash FROM {table})",
    )
    repeated = _make(
        connection,
        "repeated",
        f"SELECT row_hash, min(rowid) AS first FROM {table} GROUP BY row_hash HAVING count(*) > 1",
    )
    deleted = 0
    if known:
        deleted += _one(connection, f"DELETE FROM {table} WHERE row_hash IN (SELECT row_hash FROM known)")
    if repeated:
        deleted += _one(
            connection,
            f"DELETE FROM {table} WHERE rowid IN (SELECT t.rowid FROM {table} AS t JOIN repeated USING (row_hash) "
            "WHERE t.rowid <> first)",
        )
    return deleted


def _supersede(
    connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, drop: Drop, table: str
) -> tuple[int, int]:
    """Delete duplicates from a table and list what its rows supersede; how many rows that were, each.

    Only live rows count as stored: a value that comes back after it was superseded is a new row. Of equal rows in
    the drop the last stays, because of rows with one key the last wins.
    """
    _make(
        connection,
        "stored",
        "SELECT drop_number, file_row_number AS position, row_hash, key_hash "
        f"FROM {dataset.rows(product, record)} WHERE key_hash IN (SELECT key_hash FROM {table})",
    )
    _make(
        connection, "winners", f"SELECT key_hash, arg_max(row_hash, rowid) AS row_hash FROM {table} GROUP BY key_hash"
    )
    _make(connection, "lasts", f"SELECT max(rowid) AS last FROM {table} GROUP BY row_hash")
    duplicate = _one(
        connection,
        f"DELETE FROM {table} WHERE row_hash IN (SELECT row_hash FROM stored) OR rowid NOT IN (SELECT last FROM lasts)",
    )
    own = f"SELECT row_hash, key_hash, row_number() OVER (ORDER BY rowid) - 1 AS position FROM {table}"
    superseded = _make(
        connection,
        "dead",
        "SELECT drop_number, position FROM stored JOIN winners USING (key_hash) "
        f"WHERE winners.row_hash <> stored.row_hash UNION ALL SELECT {drop.number}, position "
        f"FROM ({own}) AS own JOIN winners USING (key_hash) WHERE winners.row_hash <> own.row_hash",
    )
    if superseded:
        rows = "SELECT drop_number::INTEGER AS drop_number, position FROM dead ORDER BY ALL"
        _write(connection, rows, folder(product) / f"{drop.stem}.dead.parquet")
    return duplicate, superseded


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
    listed = {name for drop in record.drops for name in (drop.part, drop.dead)}
    if folder(product).is_dir():
        for path in folder(product).iterdir():
            if path.name not in listed:
                path.unlink()


def _write(connection: "duckdb.DuckDBPyConnection", query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {cells.text(str(path))} {WRITTEN}")
    storage.sync_file(path)


def _make(connection: "duckdb.DuckDBPyConnection", table: str, query: str) -> int:
    """Make a temporary table of a query's rows; how many there are."""
    return _one(connection, f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")


def _one(connection: "duckdb.DuckDBPyConnection", statement: str) -> int:
    return connection.execute(statement).fetchone()[0]
