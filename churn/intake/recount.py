"""Recount what is ingested from the files and the parts themselves, and compare it with the record."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from churn import dataset
from churn.config import Product
from churn.dataset import Drop, Record
from churn.errors import ChangingError, DataError, DropError, shown
from churn.intake import cells, content, exports, parts, reading
from churn.sources import SOURCES

if TYPE_CHECKING:
    import duckdb

TABLE = "recounted"
COUNTED = ("rows", "accepted", "duplicate", "rejected")


def verify(product: Product) -> str:
    """Recount every drop whose file is still there, every part and finaldata.csv; what was found, in a line.

    Raises:
        DataError: something differs from the record; the message names each.
    """
    import duckdb

    record = dataset.load_record(product)
    dataset.rows(product, record)  # no part is missing
    differences, read = [], 0
    with dataset.connect(product) as connection:
        try:
            for drop in record.ingested:
                found = [] if not drop.part else list(_part(connection, product, record, drop))
                with _Opened(product, drop) as content_of:
                    if content_of:
                        read += 1
                        found += _file(connection, product, record, drop, content_of)
                differences += [f"{shown(drop.name)}: {text}" for text in found]
            differences += _stored(connection, product, record)
        except duckdb.Error as error:
            differences.append(f"a part cannot be read: {str(error).splitlines()[0]}")
    if differences:
        raise DataError("the data differs from its record:\n" + "\n".join(f"  {text}" for text in differences))
    total = {name: sum(getattr(drop, name) for drop in record.ingested) for name in COUNTED}
    gone = len(record.ingested) - read
    aside = "".join(f"\n  set aside: {DropError(d.name, d.reason or '', d.line)}" for d in record.quarantined)
    return (
        f"{len(record.ingested):,} drops, {total['rows']:,} rows = {total['accepted']:,} accepted + "
        f"{total['duplicate']:,} duplicate + {total['rejected']:,} rejected, recounted from {read:,} files"
        f"{f' ({gone:,} are no longer there)' if gone else ''}; {record.rows:,} rows stored and in {exports.FINAL}"
        f"{aside}"
    )


class _Opened:
    """The examined file of a drop, under any of its names, while the block lasts; None if it is no longer there."""

    def __init__(self, product: Product, drop: Drop) -> None:
        self.source = SOURCES[product.settings.source](product.source)
        self.drop = drop
        self.descriptor: int | None = None

    def __enter__(self) -> content.Content | None:
        for name in dict.fromkeys([self.drop.name, *(look.name for look in self.drop.also)]):
            try:
                self.descriptor = self.source.open(name)
                found = content.examine(self.descriptor, name)
            except DropError:
                self.__exit__()
                continue
            if found.sha256 == self.drop.sha256:
                return found
            self.__exit__()
        return None

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _part(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, drop: Drop) -> Iterator[str]:
    """What is wrong with a drop's part."""
    import duckdb

    part = _path(product, drop)
    rows, strange = _row(connection, f"SELECT count(*), count_if(drop_number <> {drop.number}) FROM {part}")
    if rows != drop.accepted:
        yield f"its part holds {rows:,} rows, not the {drop.accepted:,} accepted"
    if strange:
        yield f"{strange:,} rows of its part are of another drop"
    for name, expression in cells.hashes(product.columns).items():
        if record.duckdb == duckdb.__version__:
            (changed,) = _row(connection, f"SELECT count_if({name} <> {expression}) FROM {part}")
            if changed:
                yield f"{changed:,} rows of its part are not those whose {name} was stored"


def _file(
    connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, drop: Drop, found: content.Content
) -> Iterator[str]:
    """What of a drop's file is not accepted, duplicate or rejected exactly once."""
    try:
        result = reading.read(connection, found, product.columns, TABLE, max_rejected=1)
    except ChangingError:
        return
    except DropError as error:
        yield f"it cannot be read any more: {error.reason}"
        return
    if (result.rows, result.rejected) != (drop.rows, drop.rejected):
        yield (
            f"it has {result.rows:,} rows, {result.rejected:,} of them rejected; "
            f"the record says {drop.rows:,} and {drop.rejected:,}"
        )
    if drop.accepted + drop.duplicate != result.accepted:
        yield f"{drop.accepted:,} accepted and {drop.duplicate:,} duplicate are not {result.accepted:,} rows"
    whole = _row_hash(product, record)
    own = f"SELECT {whole} AS row_hash FROM {_path(product, drop)}" if drop.part else "SELECT 0 AS row_hash WHERE false"
    (elsewhere,) = _row(
        connection,
        f"CREATE OR REPLACE TEMP TABLE elsewhere AS SELECT row_hash FROM {TABLE} WHERE row_hash NOT IN ({own})",
    )
    if elsewhere:
        earlier = [parts.folder(product) / d.part for d in record.ingested if d.part and d.number < drop.number]
        stored = f"SELECT {whole} FROM {cells.parquet(earlier)}" if earlier else "SELECT 0 WHERE false"
        (lost,) = _row(connection, f"SELECT count(*) FROM elsewhere WHERE row_hash NOT IN ({stored})")
        if lost:
            yield f"{lost:,} of its rows are not stored"
    twice, foreign = _row(
        connection,
        "SELECT count(*) - count(DISTINCT row_hash), "
        f"count_if(row_hash NOT IN (SELECT row_hash FROM {TABLE})) FROM ({own})",
    )
    if twice:
        yield f"{twice:,} rows stand twice in its part"
    if foreign:
        yield f"{foreign:,} rows of its part are not in the file"


def _row_hash(product: Product, record: Record) -> str:
    """SQL for a stored row's hash as the DuckDB at hand makes it; `_part` says whether the stored ones are right."""
    import duckdb

    return "row_hash" if record.duckdb == duckdb.__version__ else cells.hashes(product.columns)["row_hash"]


def _stored(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record) -> Iterator[str]:
    """What is wrong with the stored rows as a whole and with finaldata.csv."""
    whole = _row_hash(product, record)
    rows = dataset.rows(product, record, ordered=False)
    live, different = _row(connection, f"SELECT count(*), count(DISTINCT {whole}) FROM {rows}")
    if live != record.rows:
        yield f"{live:,} rows are stored, not {record.rows:,}"
    if live != different:
        yield f"{live - different:,} stored rows are exact duplicates of others"
    if record.ingested:
        if exports.behind(product, record):
            yield f"{exports.FINAL} or {exports.NAMES} is not what was written last; python ingestion.py mends that"
        else:
            final = exports.count(connection, product)
            if final != record.rows:
                yield f"{exports.FINAL} has {final:,} rows, not {record.rows:,}"


def _path(product: Product, drop: Drop) -> str:
    return cells.parquet([parts.folder(product) / (drop.part or "")])


def _row(connection: "duckdb.DuckDBPyConnection", query: str) -> tuple[int, ...]:
    return connection.execute(query).fetchone() or ()
