"""Ingest new drops: check them against the column contract, drop duplicates, and store what is new.

A file that cannot be used is set aside with its reason and the others go on; rows that do not fit are listed in
<ingested>/rejects/. Files are only read, never moved or changed. To start a new product from a CSV, type

    python ingestion.py --describe FILE [--id COLUMN] [--target COLUMN] [--positive LABEL]
"""

import argparse
import csv
import io
import logging
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from churn import dataset, sources, stage, storage
from churn.config import Product
from churn.dataset import INGESTED, QUARANTINED, Drop, Record
from churn.errors import ChangingError, DropError, QuarantineError, shown
from churn.intake import arrivals, exports, parts
from churn.intake.arrivals import Arrival
from churn.sources import Candidate

if TYPE_CHECKING:
    import duckdb

    from churn.intake.reading import Reject

logger = logging.getLogger(__name__)


def ingest(product: Product) -> str:
    """Ingest what is new in the product's source folder and bring the exports up to date.

    Raises:
        QuarantineError: files were set aside in this run; everything else was done.
    """
    sources.check(product.source, product.name, "input_folder_path")
    before = record = dataset.load_record(product)
    source = sources.SOURCES[product.settings.source](product.source)
    candidates = dataset.unknown(record, source.list())
    complete, growing = sources.settled(source, candidates, product.settings.settle_seconds)
    began = time.perf_counter()  # waiting for files to settle is no work
    parts.sweep(product, record)
    if complete or exports.behind(product, record):
        with dataset.connect(product, product.ingested / f"{storage.TEMPORARY}spill") as connection:
            if complete:
                if not (product.ingested / dataset.RECORD).is_file():
                    dataset.save_record(product, record)  # from now on, parts without a record are a loss
                record = parts.with_current_hashes(connection, product, record)
                record, late = _ingest_all(connection, product, record, source, complete)
                growing += late
            if record.ingested:
                exports.export(connection, product, record)
        if _new(before, record):
            seconds = round(time.perf_counter() - began, 3)
            record = replace(record, seconds=seconds, ingested_at=stage.utc_now())
        if record != before:
            dataset.save_record(product, record)
    for name in growing:
        logger.info("%s: %s is still being written; the next run looks at it again", product.name, shown(name))
    return _result(before, record, growing)


def verify(product: Product) -> str:
    """Recount the files and the stored rows; what was found.

    Raises:
        DataError: something differs from the record.
    """
    from churn.intake import recount

    return recount.verify(product)


def describe(options: argparse.Namespace) -> str:
    """Print the product block for a CSV, as it stands in config.json's `products`; what to do with it."""
    from churn.intake import describe

    return describe.main(options)


def _ingest_all(
    connection: "duckdb.DuckDBPyConnection",
    product: Product,
    record: Record,
    source: sources.Folder,
    candidates: list[Candidate],
) -> tuple[Record, list[str]]:
    """Ingest candidates in order, each committed by itself; the record, and the names of those that changed since."""
    changing = []

    def known() -> frozenset[str | None]:
        return frozenset(drop.sha256 for drop in record.ingested)

    for cursor, group in arrivals.read(connection, product, source, candidates, known):
        incoming = parts.Incoming(cursor, product, record, [arrival.table for arrival in group if arrival.usable])
        for arrival in group:
            if isinstance(arrival.error, ChangingError):
                changing.append(arrival.candidate.name)
            else:
                record = _keep(incoming, product, record, arrival)
    return record, changing


def _keep(incoming: parts.Incoming, product: Product, record: Record, arrival: Arrival) -> Record:
    """Commit what became of a candidate: a new drop, another file of a known one, or one that is set aside."""
    candidate = arrival.candidate
    number = 1 + max((drop.number for drop in record.drops), default=0)
    # A file that was set aside and has come again is judged anew.
    others = [drop for drop in record.drops if drop.status == INGESTED or drop.name != candidate.name]
    twin = next((d for d in others if d.status == INGESTED and d.sha256 == arrival.sha256), None)
    if twin and arrival.sha256:
        logger.info("%s: %s holds what %s held", product.name, shown(candidate.name), shown(twin.name))
        return replace(record, drops=tuple(_seen_again(d, candidate) if d is twin else d for d in others))
    drop = Drop(number, candidate.name, QUARANTINED, arrival.sha256, candidate, ingested_at=stage.utc_now())
    rejects = arrival.reading.rejects if arrival.reading else ()
    if arrival.error:
        drop = replace(drop, reason=arrival.error.reason, line=arrival.error.line)
        logger.warning("%s: set aside: %s", product.name, arrival.error)
    else:
        drop = _store(incoming, product, drop, arrival)
    _save_rejects(product, drop, rejects, arrival.reading.rejected if arrival.reading else 0)
    record = replace(record, drops=(*others, drop))
    dataset.save_record(product, record)
    return record


def _store(incoming: parts.Incoming, product: Product, drop: Drop, arrival: Arrival) -> Drop:
    """Add what was read to the parts; the drop with its counts."""
    began = time.perf_counter()
    result = arrival.reading
    added = incoming.add(drop, arrival.table)
    drop = replace(
        drop,
        status=INGESTED,
        part=added.part,
        rows=result.rows,
        accepted=added.accepted,
        duplicate=added.duplicate,
        rejected=result.rejected,
        superseded=added.superseded,
        unlabelled=added.unlabelled,
        superseded_unlabelled=added.superseded_unlabelled,
        late_labels=product.settings.late_labels,
        extra=result.extra,
        seconds=round(arrival.seconds + time.perf_counter() - began, 3),
    )
    logger.info("%s: %s: %s", product.name, shown(drop.name), _counts([drop]))
    return drop


def _seen_again(drop: Drop, candidate: Candidate) -> Drop:
    if candidate.name == drop.name:
        return replace(drop, look=candidate)
    return replace(drop, also=(*(look for look in drop.also if look.name != candidate.name), candidate))


def _save_rejects(product: Product, drop: Drop, rejects: "tuple[Reject, ...]", count: int) -> None:
    """Write <ingested>/rejects/<name>.csv, or remove the one of an earlier try."""
    path = parts.rejects_of(product, drop)
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
    replaced = f", {_plural(superseded, 'earlier row')} superseded" if superseded else ""
    return f"{_plural(rows, 'row')} = {accepted:,} new + {duplicate:,} duplicate + {rejected:,} rejected{replaced}"


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
    text = f"{'; '.join(said) or 'nothing new'}; {_plural(record.rows, 'row')} stored"
    if record.waiting:
        text += f"; {record.waiting:,} {'row waits for its' if record.waiting == 1 else 'rows wait for their'} label"
    if aside:
        listed = "\n".join(f"  {DropError(drop.name, drop.reason or '', drop.line)}" for drop in aside)
        advice = "mend and save it, and the next run reads it again"
        raise QuarantineError(f"{_plural(len(aside), 'file')} set aside ({advice}); {text}\n{listed}")
    return text


def _looks(record: Record) -> set[Candidate]:
    return {look for drop in record.ingested for look in (drop.look, *drop.also)}


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(
        stage.main(
            ingest,
            stage.view("--verify", verify, action="store_true", help="recount the files and the stored rows"),
            stage.command("--describe", describe, metavar="FILE", help="print a product block for a CSV"),
            stage.command("--id", describe, metavar="COLUMN", help="with --describe: who a row is about"),
            stage.command("--target", describe, metavar="COLUMN", help="with --describe: whether they left"),
            stage.command("--positive", describe, metavar="LABEL", help="with --describe: the label for: left"),
        )
    )
