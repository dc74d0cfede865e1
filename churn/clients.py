"""The current clients of a product: those whose risk is asked for, a row each."""

import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from churn import dataset, storage
from churn.config import Product
from churn.errors import DataError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

ROWS = "clients.parquet"  # in reports: the rows that were scored, by client, so that one is found at once
# Row groups are what a look-up passes over; smaller ones make the file larger and slower to write.
WRITTEN = "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 32768)"
MEMORY_MB = 256  # more than a look-up needs
PLACE = "__churn_place"


def current(product: Product) -> "pd.DataFrame":
    """One row per current client: the file that the product names, else the newest stored row of each client."""
    if product.clients:
        return dataset.read_clients(product)
    frame = dataset.frame(product)
    columns = product.columns
    if columns.as_of:
        frame = frame.sort_values(columns.as_of, kind="stable")
    if columns.id:
        frame = frame.drop_duplicates(columns.id, keep="last")
    return frame.reset_index(drop=True)


def gone(clients: "pd.DataFrame", product: Product) -> "pd.Series":
    """Who of the clients is known to have left; bool of shape (clients,)."""
    import pandas as pd

    from churn import heldout

    return pd.Series(heldout.labels(clients, product), index=clients.index)


def key(product: Product) -> str:
    """16 hex digits for the rows that `current` gives: equal keys, equal rows."""
    digest = hashlib.sha256(dataset.load_record(product).data_hash.encode())
    if product.clients:
        digest.update(product.clients.read_bytes())
    return digest.hexdigest()[:16]


# ---- one of them -----------------------------------------------------------------------------------------------------


def write_rows(product: Product, clients: "pd.DataFrame") -> None:
    """Write the rows that `current` gave to reports/<product>/clients.parquet, sorted by client, for `row_of`.

    Raises:
        DataError: the memory or the disk was not enough.
    """
    import pandas as pd

    from churn.intake import cells

    columns = product.columns
    dates = {columns.as_of: "::DATE"} if columns.as_of else {}
    chosen = [f"{cells.quoted(name)}{dates.get(name, '')} AS {cells.quoted(name)}" for name in columns.stored]
    order = [*map(cells.quoted, columns.keys), PLACE]
    places = pd.DataFrame({PLACE: range(len(clients))}, index=clients.index)
    rows = pd.concat([clients[list(columns.stored)], places], axis=1)  # of a hundred columns it makes one block
    with dataset.connect(product) as connection, storage.replacing(product.reports / ROWS) as temporary:
        connection.register("clients", rows)
        query = f"SELECT {', '.join(chosen)} FROM clients ORDER BY {', '.join(order)}"
        connection.execute(f"COPY ({query}) TO {cells.text(str(temporary))} {WRITTEN}")


def row_of(product: Product, client: str) -> "pd.DataFrame | None":
    """The row of one current client as it was scored, with the columns and types of `dataset.frame`; None for nobody.

    However many clients there are, it takes some ten milliseconds. Threads may ask at once, while it is written anew.

    Raises:
        DataError: the product has no id column, or the rows are not written, or not for the columns of the config.
    """
    import duckdb

    from churn.intake import cells, reading

    columns, path = product.columns, product.reports / ROWS
    if columns.id is None:
        raise DataError(f"{product.name} has no id column, so that no client can be looked up")
    again = f"run: python scoring.py --product {product.name}"
    if not path.is_file():
        raise DataError(f"{ROWS} is not there: no clients of {product.name} are scored yet; {again}")
    if any("\ud800" <= character <= "\udfff" for character in client):  # half a character is in nobody's name
        return None
    with _database(os.getpid()).cursor() as connection:
        wanted = f"{cells.parquet([path])} WHERE {cells.quoted(columns.id)} = {cells.text(client)}"
        try:
            found = reading.frame(connection, f"(SELECT * FROM {wanted})", columns)
        except (duckdb.InvalidInputException, duckdb.BinderException, duckdb.ConversionException, duckdb.IOException):
            raise DataError(f"{ROWS} of {product.name} is damaged, or of other columns; {again}") from None
    # A file of clients may name one twice: as everywhere, the last counts.
    return found.tail(1).reset_index(drop=True) if len(found) else None


@functools.cache
def _database(process: int) -> "duckdb.DuckDBPyConnection":  # noqa: ARG001
    """An empty database to read files with: to open one takes longer than to look up a client.

    A forked process opens its own, and leaves that of its parent alone: to close it, it would wait for threads that
    only the parent has.
    """
    from churn.intake import reading

    return reading.connect(MEMORY_MB, 1, Path(tempfile.gettempdir()) / f"churn-clients-{os.getpid()}")
