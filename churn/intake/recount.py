"""Recount what is ingested from the files and the parts themselves, and compare it with the record."""

import os
from collections.abc import Iterable, Iterator
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
        f"{f', {record.waiting:,} of them without a label yet' if record.waiting else ''}{aside}"
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

    part = _parts(product, record, [drop])
    counts = f"count(*), count_if({_waits(product)}), count_if(drop_number <> {drop.number})"
    rows, unlabelled, strange = _row(connection, f"SELECT {counts} FROM {part}")
    if rows != drop.accepted:
        yield f"its part holds {rows:,} rows, not the {drop.accepted:,} accepted"
    if unlabelled != drop.unlabelled:
        yield f"{unlabelled:,} rows of its part have no label, not {drop.unlabelled:,}"
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
        options = {"max_rejected": 1, "late_labels": drop.late_labels}
        result = reading.read(connection, found, product.columns, TABLE, **options)
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
    own = _hashes(product, record, _parts(product, record, [drop]))
    lost = _lost(connection, product, record, drop)
    if lost:
        yield f"{lost:,} of its rows are not stored"
    twice, foreign = _row(
        connection,
        "SELECT count(*) - count(DISTINCT row_hash), "
        f"count_if(row_hash NOT IN (SELECT row_hash FROM {TABLE})) FROM {own}",
    )
    if twice:
        yield f"{twice:,} rows stand twice in its part"
    if foreign:
        yield f"{foreign:,} rows of its part are not in the file"


def _lost(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record, drop: Drop) -> int:
    """How many rows of a drop's file, read into TABLE, stand neither in its part nor in an earlier one.

    A row without a label is not lost where a row of its key with the label is stored.
    """
    own = _hashes(product, record, _parts(product, record, [drop]))
    names = [*cells.hashes(product.columns), f"{_waits(product)} AS waits"]
    (elsewhere,) = _row(
        connection,
        f"CREATE OR REPLACE TEMP TABLE elsewhere AS SELECT {', '.join(names)} FROM {TABLE} "
        f"WHERE row_hash NOT IN (SELECT row_hash FROM {own})",
    )
    if not elsewhere:
        return 0
    stored = _hashes(product, record, _parts(product, record, record.up_to(drop.number).ingested))
    known = f"waits AND key_hash IN (SELECT key_hash FROM {stored} WHERE NOT waits)" if drop.late_labels else "false"
    (lost,) = _row(
        connection,
        f"SELECT count(*) FROM elsewhere WHERE row_hash NOT IN (SELECT row_hash FROM {stored}) AND NOT ({known})",
    )
    return lost


def _parts(product: Product, record: Record, drops: Iterable[Drop]) -> str:
    """SQL for every row in the parts of some drops, superseded ones too."""
    paths = [parts.folder(product) / drop.part for drop in drops if drop.part]
    return cells.parquet(paths) if paths else dataset.rows(product, record.up_to(0))


def _hashes(product: Product, record: Record, source: str) -> str:
    """SQL for the hashes of stored rows as the DuckDB at hand makes them, and whether each row waits for its label.

    `_part` says whether the stored hashes are right.
    """
    import duckdb

    hashes, same = cells.hashes(product.columns), record.duckdb == duckdb.__version__
    named = [name if same else f"{expression} AS {name}" for name, expression in hashes.items()]
    return f"(SELECT {', '.join(named)}, {_waits(product)} AS waits FROM {source})"


def _waits(product: Product) -> str:
    return f"{cells.quoted(product.columns.target)} IS NULL"


def _stored(connection: "duckdb.DuckDBPyConnection", product: Product, record: Record) -> Iterator[str]:
    """What is wrong with the stored rows as a whole and with finaldata.csv."""
    live = _hashes(product, record, dataset.rows(product, record, ordered=False))
    counts = "count(*), count(DISTINCT row_hash), count(*) FILTER (waits)"
    rows, different, waiting = _row(connection, f"SELECT {counts} FROM {live}")
    if rows != record.rows:
        yield f"{rows:,} rows are stored, not {record.rows:,}"
    if rows != different:
        yield f"{rows - different:,} stored rows are exact duplicates of others"
    if waiting != record.waiting:
        yield f"{waiting:,} stored rows have no label, not {record.waiting:,}"
    if product.columns.as_of:
        labelled = "count(DISTINCT key_hash) FILTER (NOT waits)"
        keys, labels = _row(connection, f"SELECT count(DISTINCT key_hash), {labelled} FROM {live}")
        every = _hashes(product, record, _parts(product, record, record.ingested))
        (known,) = _row(connection, f"SELECT {labelled} FROM {every}")
        if rows != keys:
            yield f"{rows - keys:,} stored rows have the {' and '.join(product.columns.keys)} of others"
        if labels != known:
            yield f"{known - labels:,} labels that were known are lost"
    if record.ingested:
        if exports.behind(product, record):
            yield f"{exports.FINAL} or {exports.NAMES} is not what was written last; python ingestion.py mends that"
        else:
            final = exports.count(connection, product)
            if final != record.rows:
                yield f"{exports.FINAL} has {final:,} rows, not {record.rows:,}"


def _row(connection: "duckdb.DuckDBPyConnection", query: str) -> tuple[int, ...]:
    return connection.execute(query).fetchone() or ()
