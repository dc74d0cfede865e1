"""What the record says, in the files of the brief: finaldata.csv and ingestedfiles.txt.

New rows are appended to finaldata.csv as long as it is what was written last, so that an export costs what the new
rows cost; otherwise, and after a crash in the middle of an append, it is written anew.
"""

import json
import os
import shutil
from typing import TYPE_CHECKING

from churn import dataset, storage
from churn.config import Product
from churn.dataset import Record
from churn.intake import cells

if TYPE_CHECKING:
    import duckdb

FINAL, NAMES, STATE = "finaldata.csv", "ingestedfiles.txt", "export.json"
WRITTEN = "(FORMAT csv, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR '', HEADER {header})"


def behind(product: Product, record: Record) -> bool:
    """Whether the exports are not what the record says, or are gone."""
    if not record.ingested:
        return False
    names = product.ingested / NAMES
    return (
        _through(product, record) != record.last_number
        or not names.is_file()
        or names.read_text(encoding="utf-8") != _names(record)
    )


def export(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record) -> None:
    """Bring finaldata.csv and ingestedfiles.txt up to the record."""
    path = product.ingested / FINAL
    through = _through(product, record)
    if through is None:
        with storage.replacing(path) as temporary:
            _copy(connection, product, record, 0, str(temporary))
    elif through < record.last_number:
        rows = path.with_name(f"{storage.TEMPORARY}{FINAL}.rows")
        _copy(connection, product, record, through, str(rows))
        with rows.open("rb") as new, path.open("ab") as final:
            shutil.copyfileobj(new, final, 1 << 20)
            final.flush()
            os.fsync(final.fileno())
        rows.unlink()
    facts = path.stat()
    state = {"through": record.last_number, "data_hash": record.data_hash, "superseded": record.superseded}
    state |= {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns}
    storage.write_if_changed(product.ingested / STATE, storage.to_json(state))
    storage.write_if_changed(product.ingested / NAMES, _names(record))


def _through(product: Product, record: Record) -> int | None:
    """The number of the drop through which finaldata.csv holds every row, None if it has to be written anew."""
    try:
        state = json.loads((product.ingested / STATE).read_bytes())
        facts = (product.ingested / FINAL).stat()
    except (FileNotFoundError, ValueError):
        return None
    then = record.up_to(state["through"])
    if {**state, "size": facts.st_size, "mtime_ns": facts.st_mtime_ns} != state:
        return None
    if (state["data_hash"], state["superseded"]) != (then.data_hash, record.superseded):
        return None
    return state["through"]


def _names(record: Record) -> str:
    return "".join(f"{name}\n" for name in record.names)


def _copy(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, since: int, path: str) -> None:
    stored = ", ".join(map(cells.quoted, product.columns.stored))
    query = f"SELECT {stored} FROM {dataset.rows(product, record, since)}"
    connection.execute(f"COPY ({query}) TO {cells.text(path)} {WRITTEN.format(header=str(since == 0).lower())}")


def count(connection: "duckdb.DuckDBPyConnection", product: Product) -> int:
    """The number of rows that finaldata.csv holds."""
    names = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(product.columns.stored)))
    path = cells.text(str(product.ingested / FINAL))
    return connection.execute(
        f"SELECT count(*) FROM read_csv({path}, columns={{{names}}}, {cells.OPTIONS})"
    ).fetchone()[0]
