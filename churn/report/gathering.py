"""The facts of a report, from the records, the rows, the model and the lists."""

from pathlib import Path
from typing import Any

import pandas as pd

from churn import dataset, decisions, heldout, releases, sheet
from churn import statistics as stored
from churn.calls import calllist, contacts
from churn.calls import changes as changed
from churn.config import Product
from churn.errors import DataError, DropError, HistoryError, NoRelease, ReleaseError
from churn.heldout import HeldOut
from churn.history.reading import HELD_OUT, SNOOZED
from churn.history.store import History, connect
from churn.releases import Release
from churn.report import calling, columns, measuring
from churn.report.facts import CallList, Clients, Facts

CLIENTS, LIST, CHANGES = "clients.csv", "calllist.csv", "calllist-changes.csv"
TOP_CLIENTS = 10
FIRST = "first list"  # why everybody entered it


def gather(product: Product) -> Facts:
    """Everything that the report says.

    Raises:
        ReleaseError: there is no version, it has no score, or it is not the bytes that its manifest lists.
    """
    folder, release = _subject(product)
    manifest = releases.verify(folder)
    if manifest["scores"] is None:
        raise ReleaseError(
            f"version {folder.name} has no score; run: "
            f"python scoring.py --product {product.name} --version {folder.name}"
        )
    record = dataset.load_record(product)
    source = dataset.rows(product, record)
    with dataset.connect(product) as connection:
        rows, missing = stored.missing(connection, source, product.columns)
        period = stored.period(connection, source, product.columns)
    model = releases.load(folder)
    held, note = _held_out(product, folder, model)
    clients, (spared, effect) = _clients(product), _remembered(product)
    calls = _calls(product, spared) if release else None
    judgements, suspects = decisions.judgements(product), frozenset(decisions.suspects(product))
    judged = [line for line in judgements if line["champion"] == folder.name]
    return Facts(
        product=product.name,
        settings=product.settings,
        manifest=manifest,
        release=release,
        held=held,
        held_note=note,
        drops=record.drops,
        period=f", observed from {period[0]} to {period[1]}" if all(period) else "",
        stored_rows=rows,
        waiting_rows=record.waiting,
        missing=missing,
        calls=calls,
        clients=clients,
        worth=measuring.worth(product, model, held, judged=judged, suspects=suspects, clients=clients, calls=calls),
        effect=effect,
        judgements=judgements,
        suspects=suspects,
        decisions=decisions.read(product),
        columns=columns.compare(product, folder, model, judged),
    )


def _subject(product: Product) -> tuple[Path, dict[str, Any] | None]:
    """The version to report on, and its entry in the history of production; None when it is not there."""
    try:
        folder = releases.current(product)
    except NoRelease:
        return releases.folder_of(product, None), None
    return folder, releases.history(product)[-1]


# ---- the held-out rows -----------------------------------------------------------------------------------------------


def _held_out(product: Product, folder: Path, release: Release) -> tuple[HeldOut | None, str]:
    """The rows that the version was not trained on, and what has to be said about them."""
    try:
        held = heldout.held_out(product, release, folder)
    except (DataError, DropError) as error:
        return None, str(error)
    scores = release.manifest["scores"]
    if held.scores()["confusion"] == scores["confusion"]:
        return held, ""
    return held, (
        f"The held-out rows changed after this version was scored on {scores['rows']:,} of them: the curves are "
        f"of the {len(held.left):,} there are now."
    )


# ---- the lists -------------------------------------------------------------------------------------------------------


def _clients(product: Product) -> Clients | None:
    """How many clients are in clients.csv, and how many of them have left."""
    path, columns = product.reports / CLIENTS, product.columns
    if not path.is_file():
        return None
    target = sheet.cell(columns.target)
    rows = pd.read_csv(path, usecols=["risk", target], dtype={"risk": float, target: str}, keep_default_na=False)
    gone = rows[target] == sheet.cell(columns.positive)
    return Clients(_shown(product, path), len(rows), int(gone.sum()), float(rows["risk"][~gone].mean()))


def _calls(product: Product, spared: dict[str, int] | None) -> CallList | None:
    """The call list as it was written; `spared` counts who would be on it, by why they are not."""
    path, key = product.reports / LIST, calllist.key(product.columns)
    if not path.is_file():
        return None
    rows, moved = _cells(path), _cells(product.reports / CHANGES)
    first, removed = rows.head(TOP_CLIENTS), moved[moved["change"] == changed.REMOVED]
    return CallList(
        path=_shown(product, path),
        key=key,
        version=rows["model_version"].iloc[0] if len(rows) else "",
        rows=_plain(first),
        listed=len(rows),
        risk=float(rows["risk"].astype(float).mean()),
        gain=float(rows["expected_gain"].astype(float).sum()),
        entered=int((rows["status"] == changed.ENTERED).sum()),
        is_first=bool(len(rows)) and set(rows["why"]) == {FIRST},
        removed=_plain(removed.head(TOP_CLIENTS)),
        removed_count=len(removed),
        held_out=None if spared is None else spared[HELD_OUT],
        snoozed=None if spared is None else spared[SNOOZED],
    )


def _cells(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def _plain(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Rows of an export as they were before they were made safe for a spreadsheet."""
    return [{sheet.plain(name): sheet.plain(cell) for name, cell in row.items()} for row in frame.to_dict("records")]


def _remembered(product: Product) -> tuple[dict[str, int] | None, list[str]]:
    """Who ranks high enough for the list and is not on it, and what calling did; nothing where no history is."""
    if product.columns.id is None:
        return None, []
    try:
        with connect(product) as book:
            page = book.last_list()
            status = [row["status"] for row in page.rows]
            spared = {what: status.count(what) for what in (HELD_OUT, SNOOZED)}
            return spared if page.batch else None, _effect(product, book)
    except HistoryError:
        return None, []


def _effect(product: Product, book: History) -> list[str]:
    """What the calls that are recorded did, in sentences."""
    calls = contacts.recorded(book.contacts())
    if not len(calls):
        return []
    try:
        return calling.told(calls, book.compared(), book.known(contacts.names(calls)), product.settings)
    except DataError as error:
        return [str(error)]


def _shown(product: Product, path: Path) -> str:
    base = product.config_path.parent
    return str(path.relative_to(base) if path.is_relative_to(base) else path)
