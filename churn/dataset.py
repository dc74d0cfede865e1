"""The ingested rows, and those of other files that keep to the same column contract.

Nothing heavy is imported until rows are read.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from churn.errors import DataError, DropError
from churn.record import INGESTED, PARTS, QUARANTINED, RECORD, Drop, Record, load_record, save_record, unknown
from churn.sources import Folder

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from churn.config import Product
    from churn.intake.reading import Reading

__all__ = [
    "INGESTED", "PARTS", "QUARANTINED", "RECORD", "Drop", "Record", "connect", "frame", "load_record", "read_clients",
    "read_file", "read_folder", "rows", "save_record", "unknown",
]  # fmt: skip

logger = logging.getLogger(__name__)

Limits = tuple[int, int, Path]  # MB, threads, and where it may spill to
_open: "ContextVar[tuple[Limits, duckdb.DuckDBPyConnection] | None]" = ContextVar("open", default=None)


def rows(product: "Product", record: Record, since: int = 0, *, ordered: bool = True) -> str:
    """SQL for the live rows of the drops after number `since`, with drop_number and the stored hashes.

    Raises:
        DataError: a part is gone.
    """
    from churn.intake import cells

    columns = product.columns
    listed = [drop for drop in record.ingested if drop.part and drop.number > since]
    if not listed:
        types = {c: cells.sql_type(c, columns) for c in columns.stored} | {"drop_number": "INTEGER"}
        types |= dict.fromkeys(cells.hashes(columns), "UBIGINT") | {"file_row_number": "BIGINT"}
        return f"(SELECT {', '.join(f'NULL::{t} AS {cells.quoted(c)}' for c, t in types.items())} WHERE false)"
    paths = [product.ingested / PARTS / drop.part for drop in listed if drop.part]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is gone; restore it, or move {product.ingested} aside and ingest again")
    parts = cells.parquet(paths)
    dead = [product.ingested / PARTS / drop.dead for drop in record.ingested if drop.dead]
    if not dead:
        return f"(SELECT *, file_row_number FROM {parts})"
    order = "ORDER BY drop_number, file_row_number" if ordered else ""  # a join does not keep it
    return (
        f"(SELECT *, file_row_number FROM {parts} AS live WHERE NOT EXISTS (FROM {cells.parquet(dead)} AS dead "
        f"WHERE dead.drop_number = live.drop_number AND dead.position = live.file_row_number) {order})"
    )


@contextlib.contextmanager
def connect(product: "Product", spill: Path | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Give a database within the product's limits of memory and threads.

    Within another one that is open it has that one's engine, which takes longer to start than most questions to answer;
    their temporary tables are not shared.

    Raises:
        DataError: the memory or the disk was not enough, or a stored file cannot be read.
    """
    import duckdb

    from churn.intake import reading

    limit = product.settings.memory_limit_mb
    spill = spill or Path(tempfile.gettempdir()) / f"churn-{os.getpid()}"
    limits = limit, product.settings.threads, spill
    outer = _open.get()
    shared = outer is not None and outer[0] == limits
    try:
        with outer[1].cursor() if shared else reading.connect(*limits) as connection:
            entered = _open.set((limits, connection))
            try:
                yield connection
            finally:
                _open.reset(entered)
    except duckdb.OutOfMemoryException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"memory_limit_mb of {limit} is not enough, or {spill} is full: {reason}") from None
    except (duckdb.OperationalError, duckdb.InvalidInputException) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{product.ingested} cannot be used: {reason}; restore it, or move it aside and run python fullprocess.py: "
            f"every file that is still in {product.source} is then read anew"
        ) from None
    finally:
        if not shared:
            shutil.rmtree(spill, ignore_errors=True)


def frame(product: "Product", since: int = 0) -> "pd.DataFrame":
    """The live rows of the drops after number `since`, in order: the contract's columns and `drop_number`.

    Numbers are float64, text is str, as_of datetime64; missing is NaN or NaT.
    """
    from churn.intake import reading

    record = load_record(product)
    with connect(product) as connection:
        return reading.frame(connection, rows(product, record, since), product.columns, "drop_number")


def read_folder(product: "Product", folder: Path, labelled: bool = True) -> "tuple[pd.DataFrame, list[Reading]]":
    """The rows of every file of a folder, oldest file first, and what became of each file's rows.

    Raises:
        DropError: one of them cannot be used.
    """
    import pandas as pd

    from churn.intake import content, reading

    source, frames, readings = Folder(folder), [], []
    with connect(product) as connection:
        for candidate in source.list():
            descriptor = source.open(candidate.name)
            try:
                found = content.examine(descriptor, candidate.name)
                options = {"labelled": labelled, "max_rejected": product.settings.max_rejected}
                readings.append(reading.read(connection, found, product.columns, "incoming", **options))
                frames.append(reading.frame(connection, "incoming", product.columns))
            finally:
                os.close(descriptor)
        if not frames:
            frames.append(reading.frame(connection, rows(product, Record({}, 0)), product.columns))
    return pd.concat(frames, ignore_index=True), readings


def read_file(
    product: "Product", descriptor: int, name: str, labelled: bool = False, max_rejected: float = 0.0
) -> "pd.DataFrame":
    """The rows of one open file, by default without labels and refusing a file in which any row does not fit.

    Raises:
        DropError: it cannot be used; the reason names the line where there is one.
    """
    from churn.intake import content, reading

    with connect(product) as connection:
        found = content.examine(descriptor, name)
        options = {"labelled": labelled, "max_rejected": max_rejected}
        reading.read(connection, found, product.columns, "incoming", **options)
        return reading.frame(connection, "incoming", product.columns)


def read_clients(product: "Product") -> "pd.DataFrame":
    """The rows of the file of current clients that the product names (`clients_path`); what does not fit is logged.

    Raises:
        DropError: it cannot be used.
    """
    if product.clients is None:
        raise DropError(product.name, "names no clients_path in its config")
    from churn.intake import content, reading

    name = product.clients.name
    descriptor = Folder(product.clients.parent).open(name)
    try:
        with connect(product) as connection:
            found = content.examine(descriptor, name)
            options = {"labelled": False, "max_rejected": product.settings.max_rejected}
            result = reading.read(connection, found, product.columns, "incoming", **options)
            if result.rejected:
                first = result.rejects[0]
                what = f"{result.rejected:,} of {result.rows:,} clients are left out; the first"
                logger.warning("%s, line %d: %s: %s", name, first.line, what, first.what)
            return reading.frame(connection, "incoming", product.columns)
    finally:
        os.close(descriptor)
