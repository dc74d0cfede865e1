"""Ingest new drops: check them against the column contract, drop duplicates, and store what is new.

A file that cannot be used is set aside with its reason and the others go on; rows that do not fit are listed in
<ingested>/rejects/. Files are only read, never moved or changed. To start a new product from a CSV, type

    python ingestion.py --describe FILE [--id COLUMN] [--target COLUMN] [--positive LABEL]
"""

import concurrent.futures
import csv
import io
import logging
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from churn import content, dataset, describe, exports, parts, recount, sources, stage, storage
from churn.config import Product
from churn.dataset import INGESTED, QUARANTINED, Drop, Record
from churn.errors import ChangingError, DropError, QuarantineError, shown
from churn.sources import Candidate

if TYPE_CHECKING:
    import duckdb

    from churn.reading import Reading, Reject

logger = logging.getLogger(__name__)

TABLE = "incoming"


@dataclass(frozen=True)
class Looked:
    """What came of opening a candidate: its content and reading, or why it cannot be used."""

    candidate: Candidate
    sha256: str | None = None
    reading: "Reading | None" = None
    error: DropError | None = None
    seconds: float = 0.0


def ingest(product: Product) -> str:
    """Ingest what is new in the product's source folder and bring the exports up to date.

    Raises:
        QuarantineError: files were set aside in this run; everything else was done.
    """
    began = time.perf_counter()
    before = record = dataset.load_record(product)
    source = sources.SOURCES[product.settings.source](product.source)
    candidates = dataset.unknown(record, source.list())
    complete, growing = sources.settled(source, candidates, product.settings.settle_seconds)
    if complete or exports.behind(product, record):
        parts.sweep(product, record)
        with dataset.connect(product, product.ingested / f"{storage.TEMPORARY}spill") as connection:
            if complete:
                record = parts.with_current_hashes(connection, product, record)
                record, late = _ingest_all(connection, product, record, source, complete)
                growing += late
            exports.export(connection, product, record)
        if _new(before, record):
            seconds = round(time.perf_counter() - began, 3)
            record = replace(record, seconds=seconds, ingested_at=stage.utc_now())
        if record != before:
            dataset.save_record(product, record)
    for name in growing:
        logger.info("%s: %s is still being written; the next run looks at it again", product.name, shown(name))
    return _result(before, record, growing)


def _ingest_all(
    connection: "duckdb.DuckDBPyConnection",
    product: Product,
    record: Record,
    source: sources.Folder,
    candidates: list[Candidate],
) -> tuple[Record, list[str]]:
    """Ingest candidates in order, each committed by itself; the record, and the names of those that changed meanwhile.

    While one drop is compared and stored, the next one is read: reading keeps one core busy, and there are two.
    """
    cursors = [connection.cursor(), connection.cursor()]
    changing = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def look(index: int) -> "concurrent.futures.Future[Looked]":
            known = frozenset(drop.sha256 for drop in record.ingested)
            return pool.submit(_look, cursors[index % 2], product, source, candidates[index], known)

        ahead = look(0)
        for index, candidate in enumerate(candidates):
            looked = _wait(ahead, cursors[index % 2], f"{index + 1} of {len(candidates)}: {shown(candidate.name)}")
            if index + 1 < len(candidates):
                ahead = look(index + 1)
            if isinstance(looked.error, ChangingError):
                changing.append(candidate.name)
            else:
                record = _keep(cursors[index % 2], product, record, looked)
    return record, changing


def _look(
    cursor: "duckdb.DuckDBPyConnection",
    product: Product,
    source: sources.Folder,
    candidate: Candidate,
    known: frozenset[str | None],
) -> Looked:
    """Open a candidate, hash it and, when its content is not known, read it into the cursor's table."""
    from churn import reading

    began = time.perf_counter()
    sha256 = None
    try:
        descriptor = source.open(candidate.name)
        try:
            found = content.examine(descriptor, candidate.name)
            sha256 = found.sha256
            if found.look != candidate:
                raise ChangingError(candidate.name, "it changed since it was listed")
            if sha256 in known:
                return Looked(candidate, sha256)
            limit = product.settings.max_rejected
            result = reading.read(cursor, found, product.columns, TABLE, max_rejected=limit)
        finally:
            os.close(descriptor)
    except DropError as error:
        return Looked(candidate, sha256, getattr(error, "reading", None), error, time.perf_counter() - began)
    return Looked(candidate, sha256, result, None, time.perf_counter() - began)


def _keep(cursor: "duckdb.DuckDBPyConnection", product: Product, record: Record, looked: Looked) -> Record:
    """Commit what became of a candidate: a new drop, another file of a known one, or one that is set aside."""
    candidate = looked.candidate
    number = 1 + max((drop.number for drop in record.drops), default=0)
    # A file that was set aside and has come again is judged anew.
    others = [drop for drop in record.drops if drop.status == INGESTED or drop.name != candidate.name]
    twin = next((d for d in others if d.status == INGESTED and d.sha256 == looked.sha256), None)
    if twin and looked.sha256:
        logger.info("%s: %s holds what %s held", product.name, shown(candidate.name), shown(twin.name))
        return replace(record, drops=tuple(_seen_again(d, candidate) if d is twin else d for d in others))
    drop = Drop(number, candidate.name, QUARANTINED, looked.sha256, candidate, ingested_at=stage.utc_now())
    rejects = looked.reading.rejects if looked.reading else ()
    if looked.error:
        drop = replace(drop, reason=looked.error.reason, line=looked.error.line)
        logger.warning("%s: set aside: %s", product.name, looked.error)
    else:
        drop = _store(cursor, product, record, drop, looked)
    _save_rejects(product, drop, rejects, looked.reading.rejected if looked.reading else 0)
    record = replace(record, drops=(*others, drop))
    dataset.save_record(product, record)
    return record


def _store(cursor: "duckdb.DuckDBPyConnection", product: Product, record: Record, drop: Drop, looked: Looked) -> Drop:
    """Add what was read to the parts; the drop with its counts."""
    began = time.perf_counter()
    result = looked.reading
    added = parts.add(cursor, product, record, drop, TABLE)
    drop = replace(
        drop,
        status=INGESTED,
        part=added.part,
        rows=result.rows,
        accepted=added.accepted,
        duplicate=added.duplicate,
        rejected=result.rejected,
        superseded=added.superseded,
        extra=result.extra,
        seconds=round(looked.seconds + time.perf_counter() - began, 3),
    )
    logger.info("%s: %s: %s", product.name, shown(drop.name), _counts([drop]))
    return drop


def _seen_again(drop: Drop, candidate: Candidate) -> Drop:
    if candidate.name == drop.name:
        return replace(drop, look=candidate)
    return replace(drop, also=(*(look for look in drop.also if look.name != candidate.name), candidate))


def _save_rejects(product: Product, drop: Drop, rejects: "tuple[Reject, ...]", count: int) -> None:
    """Write <ingested>/rejects/<name>.csv, or remove the one of an earlier try."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", shown(drop.name).removesuffix(".csv"))[:100]
    if f"{safe}.csv" != drop.name:
        safe += f"-{(drop.sha256 or '')[:8]}"
    path = product.ingested / "rejects" / f"{safe}.csv"
    if not rejects:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("line", "column", "reason"))
    table.writerows((reject.line, reject.column or "", reject.reason) for reject in rejects)
    if count > len(rejects):
        table.writerow(("", "", f"and {count - len(rejects):,} more"))
    storage.write(path, text.getvalue())


# ---- what is said ----------------------------------------------------------------------------------------------------


def _new(before: Record, record: Record) -> list[Drop]:
    numbers = {drop.number for drop in before.drops}
    return [drop for drop in record.drops if drop.number not in numbers]


def _counts(drops: list[Drop]) -> str:
    rows, accepted, duplicate, rejected, superseded = (
        sum(getattr(drop, name) for drop in drops)
        for name in ("rows", "accepted", "duplicate", "rejected", "superseded")
    )
    replaced = f", {superseded:,} earlier rows superseded" if superseded else ""
    return f"{rows:,} rows = {accepted:,} new + {duplicate:,} duplicate + {rejected:,} rejected{replaced}"


def _result(before: Record, record: Record, growing: list[str]) -> str:
    new = _new(before, record)
    ingested = [drop for drop in new if drop.status == INGESTED]
    aside = [drop for drop in new if drop.status == QUARANTINED]
    said = []
    if ingested:
        said.append(f"{_plural(len(ingested), 'drop')} ingested: {_counts(ingested)}")
    again = len({look for drop in record.ingested for look in (drop.look, *drop.also)} - _looks(before)) - len(ingested)
    if again > 0:
        said.append(f"{_plural(again, 'file')} of known content")
    if growing:
        said.append(f"{_plural(len(growing), 'file')} still being written")
    text = f"{'; '.join(said) or 'nothing new'}; {record.rows:,} rows stored"
    if aside:
        listed = "\n".join(f"  {DropError(drop.name, drop.reason or '', drop.line)}" for drop in aside)
        advice = "mend and save it, and the next run reads it again"
        raise QuarantineError(f"{_plural(len(aside), 'file')} set aside ({advice}); {text}\n{listed}")
    return text


def _looks(record: Record) -> set[Candidate]:
    return {look for drop in record.ingested for look in (drop.look, *drop.also)}


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _wait(future: "concurrent.futures.Future[Looked]", cursor: "duckdb.DuckDBPyConnection", what: str) -> Looked:
    """Wait for a reading; a person who watches sees how far it is."""
    while sys.stderr.isatty():
        try:
            return future.result(timeout=0.5)
        except concurrent.futures.TimeoutError:
            share = cursor.query_progress()
            sys.stderr.write(f"\r{what} {f'{share:.0f}%' if share >= 0 else ''}\x1b[K\r")
            sys.stderr.flush()
    return future.result()


if __name__ == "__main__":
    sys.exit(
        stage.main(
            ingest,
            stage.view("--verify", recount.verify, action="store_true", help="recount the files and the stored rows"),
            stage.command("--describe", describe.main, metavar="FILE", help="print a product block for a CSV"),
            stage.command("--id", describe.main, metavar="COLUMN", help="with --describe: who a row is about"),
            stage.command("--target", describe.main, metavar="COLUMN", help="with --describe: whether they left"),
            stage.command("--positive", describe.main, metavar="LABEL", help="with --describe: the label for: left"),
        )
    )
