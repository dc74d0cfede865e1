"""The ingested data: the record of what was ingested, and the rows behind it.

`record.json` is the commit point: a part that it does not list does not exist. Nothing heavy is imported here until
rows are read, because every run starts with a look at the record.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn import storage
from churn.errors import ConfigError, DataError, DropError
from churn.sources import Candidate, Folder

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from churn.config import Product
    from churn.reading import Reading

RECORD = "record.json"
PARTS = "parts"
INGESTED, QUARANTINED = "ingested", "quarantined"


@dataclass(frozen=True)
class Drop:
    """One file's content and what became of it; `rows == accepted + duplicate + rejected`.

    `number` grows from drop to drop and is never given twice. `look` is the file as it was last seen, `also` holds
    other files of the same content. `superseded` counts rows, of earlier drops or its own, that its rows replaced.
    """

    number: int
    name: str
    status: str
    sha256: str | None
    look: Candidate
    also: tuple[Candidate, ...] = ()
    reason: str | None = None
    line: int | None = None
    part: str | None = None
    rows: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    superseded: int = 0
    extra: tuple[str, ...] = ()
    ingested_at: str = ""
    seconds: float = 0.0

    @property
    def stem(self) -> str:
        """How the files of this drop among the parts start."""
        return f"{self.number:05d}-{(self.sha256 or '')[:8]}"

    @property
    def dead(self) -> str | None:
        """The file that lists the rows which this drop superseded: number of their drop, position in its part."""
        return f"{self.stem}.dead.parquet" if self.superseded else None


@dataclass(frozen=True)
class Record:
    """Every drop in order, with what the stored hashes and counts depend on.

    `seconds` is how long the last ingestion that found something took, `duckdb` the version that made the hashes.
    """

    columns: dict[str, Any]
    max_rejected: float
    duckdb: str = ""
    seconds: float | None = None
    ingested_at: str | None = None
    drops: tuple[Drop, ...] = ()

    @property
    def ingested(self) -> tuple[Drop, ...]:
        """The drops whose rows are stored."""
        return tuple(drop for drop in self.drops if drop.status == INGESTED)

    @property
    def quarantined(self) -> tuple[Drop, ...]:
        """The files that were set aside."""
        return tuple(drop for drop in self.drops if drop.status == QUARANTINED)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the ingested drops, in order, each once."""
        return tuple(dict.fromkeys(drop.name for drop in self.ingested))

    @property
    def last_number(self) -> int:
        """The number of the newest ingested drop, 0 without any: `frame(product, since=that)` gives what came later."""
        return max((drop.number for drop in self.ingested), default=0)

    @property
    def superseded(self) -> int:
        """Stored rows that newer ones replaced."""
        return sum(drop.superseded for drop in self.drops)

    @property
    def rows(self) -> int:
        """The rows that count: accepted and not superseded."""
        return sum(drop.accepted for drop in self.drops) - self.superseded

    @property
    def data_hash(self) -> str:
        """16 hex digits for the column contract and every drop that added rows, in order; "" while there are none."""
        contents = [drop.sha256 or "" for drop in self.ingested if drop.accepted]
        if not contents:
            return ""
        contract = json.dumps(self.columns, sort_keys=True)
        return hashlib.sha256("\n".join([contract, *contents]).encode()).hexdigest()[:16]

    def up_to(self, number: int) -> "Record":
        """The record as it was when the drop of that number was the last."""
        return replace(self, drops=tuple(drop for drop in self.drops if drop.number <= number))


# ---- the record ------------------------------------------------------------------------------------------------------


def load_record(product: "Product") -> Record:
    """Read the record of what is ingested; an empty one where nothing is.

    Raises:
        ConfigError: the product's columns are not those with which its data was ingested.
        DataError: the record is damaged.
    """
    path = product.ingested / RECORD
    empty = Record(_contract(product), product.settings.max_rejected)
    try:
        raw = json.loads(path.read_bytes())
        drops = tuple(_drop(entry) for entry in raw.pop("drops"))
        record = Record(**raw, drops=drops)
    except FileNotFoundError:
        return empty
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: damaged ({error}); restore it from a backup, or move {product.ingested} aside and ingest again"
        ) from None
    if _comparable(record.columns) != _comparable(empty.columns):
        if record.ingested:
            raise ConfigError(_changed_columns(product, record, empty))
        return empty
    if record.max_rejected != empty.max_rejected:  # what was set aside gets another chance
        record = replace(record, max_rejected=empty.max_rejected, drops=record.ingested)
    return replace(record, columns=empty.columns)


def save_record(product: "Product", record: Record) -> None:
    """Commit a record: whatever it lists is ingested from then on."""
    facts = {field.name: getattr(record, field.name) for field in fields(record) if field.name != "drops"}
    lines = [f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in facts.items()]
    drops = ",\n".join(json.dumps(asdict(drop)) for drop in record.drops)
    storage.write(product.ingested / RECORD, f'{{\n{"".join(lines)}"drops": [\n{drops}\n]\n}}\n')


def unknown(record: Record, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that look like nothing that the record has seen; the cheap first look."""
    known = {look for drop in record.drops for look in (drop.look, *drop.also)}
    return [candidate for candidate in candidates if candidate not in known]


def _drop(entry: dict[str, Any]) -> Drop:
    also = tuple(Candidate(**look) for look in entry.pop("also"))
    return Drop(**(entry | {"look": Candidate(**entry["look"]), "also": also, "extra": tuple(entry["extra"])}))


def _contract(product: "Product") -> dict[str, Any]:
    return json.loads(json.dumps(asdict(product.columns)))


def _comparable(columns: dict[str, Any]) -> dict[str, Any]:
    """Which label is the positive one does not change what is stored."""
    return columns | {"positive": None, "negative": sorted([columns["positive"], columns["negative"]])}


def _changed_columns(product: "Product", record: Record, empty: Record) -> str:
    changed = ", ".join(key for key, value in empty.columns.items() if record.columns.get(key) != value)
    there = {candidate.name for candidate in Folder(product.source).list()}
    gone = [drop.name for drop in record.ingested if drop.name not in there]
    lost = f"; no longer in {product.source}, so lost by that: {', '.join(gone)}" if gone else ""
    return (
        f"{product.config_path}: product {product.name!r}: the columns ({changed}) are not those with which its data "
        f"was ingested; put them back, or move {product.ingested} aside and run python ingestion.py "
        f"--product {product.name}, which reads every file of {product.source} again{lost}"
    )


# ---- the rows --------------------------------------------------------------------------------------------------------


def rows(product: "Product", record: Record, since: int = 0) -> str:
    """SQL for the live rows of the drops after number `since`, in order, with drop_number and the stored hashes.

    Raises:
        DataError: a part is gone.
    """
    from churn import cells

    columns = product.columns
    listed = [drop for drop in record.ingested if drop.part and drop.number > since]
    if not listed:
        types = {c: cells.sql_type(c, columns) for c in columns.stored} | {"drop_number": "INTEGER"}
        types |= dict.fromkeys([*cells.hashes(columns), "file_row_number"], "BIGINT")
        return f"(SELECT {', '.join(f'NULL::{t} AS {cells.quoted(c)}' for c, t in types.items())} WHERE false)"
    paths = [product.ingested / PARTS / drop.part for drop in listed if drop.part]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is gone; restore it, or move {product.ingested} aside and ingest again")
    parts = cells.parquet(paths)
    dead = [product.ingested / PARTS / drop.dead for drop in record.ingested if drop.dead]
    if not dead:
        return f"(SELECT *, file_row_number FROM {parts})"
    # A join does not keep the order of the rows.
    return (
        f"(SELECT *, file_row_number FROM {parts} AS live WHERE NOT EXISTS (FROM {cells.parquet(dead)} AS dead "
        "WHERE dead.drop_number = live.drop_number AND dead.position = live.file_row_number) "
        "ORDER BY drop_number, file_row_number)"
    )


def connect(product: "Product", spill: Path | None = None) -> "duckdb.DuckDBPyConnection":
    """A database within the product's limits of memory and threads."""
    from churn import reading

    spill = spill or Path(tempfile.gettempdir()) / f"churn-{os.getpid()}"
    return reading.connect(product.settings.memory_limit_mb, product.settings.threads, spill)


def frame(product: "Product", since: int = 0) -> "pd.DataFrame":
    """The live rows of the drops after number `since`, in order: the contract's columns and `drop_number`.

    Numbers are float64, text is str, as_of datetime64; missing is NaN or NaT.
    """
    from churn import reading

    record = load_record(product)
    with connect(product) as connection:
        return reading.frame(connection, rows(product, record, since), product.columns, "drop_number")


def read_folder(product: "Product", folder: Path, labelled: bool = True) -> "tuple[pd.DataFrame, list[Reading]]":
    """The rows of every file of a folder, oldest file first, and what became of each file's rows.

    Raises:
        DropError: one of them cannot be used.
    """
    import pandas as pd

    from churn import content, reading

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
    from churn import content, reading

    with connect(product) as connection:
        found = content.examine(descriptor, name)
        options = {"labelled": labelled, "max_rejected": max_rejected}
        reading.read(connection, found, product.columns, "incoming", **options)
        return reading.frame(connection, "incoming", product.columns)


def read_clients(product: "Product") -> "pd.DataFrame":
    """The rows of the file of current clients that the product names (`clients_path`).

    Raises:
        DropError: it cannot be used.
    """
    if product.clients is None:
        raise DropError(product.name, "names no clients_path in its config")
    source = Folder(product.clients.parent)
    descriptor = source.open(product.clients.name)
    try:
        return read_file(product, descriptor, product.clients.name)
    finally:
        os.close(descriptor)
