"""Report on the version in production and list the clients to call, and say why in both.

Writes report.html (one file, nothing else needed), report.pdf and confusionmatrix.png to reports/<product>/ and, to
stay there, to reports/<product>/<version>/; where nothing is in production, on the newest version. For the web page the
same stands in report.json, with the pictures beside it. Whom to call, with the reasons, goes to calllist.csv, and who
entered that list or came off it to calllist-changes.csv.
"""

import base64
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from churn import clients, dataset, estimators, releases, sheet, stage, storage
from churn.calls import calllist, changes, reasons
from churn.calls import contacts as calls
from churn.calls.reasons import Reason
from churn.config import Product
from churn.errors import ChurnError, HistoryError, NoRelease
from churn.fitting import contributions
from churn.history import archive
from churn.history.store import History, connect
from churn.history.writing import LIST as ISSUED
from churn.monitoring import profile
from churn.releases import Release
from churn.report import blocks, calling, charts, content, pdf
from churn.report.blocks import Document
from churn.report.gathering import gather

logger = logging.getLogger(__name__)

LISTS = LIST, CHANGES = "calllist.csv", "calllist-changes.csv"
PAGE, PICTURES = "report.json", "pictures"  # for the web page


def report(product: Product) -> str:
    """List whom to call, then write the report; what both gave.

    Raises:
        ReleaseError: there is no version, it has no score, or it is not the bytes that its manifest lists.
    """
    listed, trouble = "", None
    try:
        listed = call_list(product)
    except HistoryError as error:  # the list itself is written
        trouble = error
    facts = gather(product)
    document = content.document(facts)
    version, scores = facts.manifest["version"], facts.manifest["scores"]
    made = {
        "report.html": html(document).encode(),
        "report.pdf": pdf.pdf(document),
        "confusionmatrix.png": charts.confusion(scores["confusion"], f"{product.name}, version {version}").png,
    }
    for folder in (product.reports / version, product.reports):
        for name, written in made.items():
            storage.write_if_changed(folder / name, written)
    _for_the_web(product.reports, document)
    if trouble:
        raise trouble
    headline = content.headline(scores, facts.min_class_rows)
    return f"{version}: {headline} {product.reports / 'report.html'}; {listed}"


# ---- whom to call ----------------------------------------------------------------------------------------------------


def call_list(product: Product) -> str:
    """Write whom to call, in the order of the expected gain, and what changed since the last list.

    Raises:
        HistoryError: the list is written, but without what was on the last one.
    """
    try:
        folder = releases.current(product)
    except NoRelease:
        return "nobody is listed: nothing is in production"
    if product.columns.id is None:  # nobody is known again
        return _listed(product, folder, None)
    try:
        with connect(product) as book:
            return _listed(product, folder, book)
    except HistoryError:
        _listed(product, folder, None)
        raise


def _listed(product: Product, folder: Path, book: History | None) -> str:
    release, now = releases.load(folder), stage.utc_now()
    frame, snoozed = clients.current(product), book.snoozed(now[:10]) if book else ()
    choice = calllist.choose(
        frame,
        estimators.risks(release.model, frame),
        product.settings,
        product.columns,
        release.threshold,
        gone=clients.gone(frame, product).to_numpy(),
        snoozed=snoozed,
    )
    told = _reasons(release, frame.iloc[choice.listed], profile.typical(releases.read_profile(folder)))
    key = archive.list_key(product, snoozed)
    last = book.last(ISSUED, before=key) if book else None
    before = book.memory(choice.population.names[choice.listed], before=key) if book else None
    terms = {"other_terms": last is not None and not archive.same_terms(last["key"], key)}
    status = changes.status(choice, product.columns, before, **terms)
    changed = changes.changes(choice, product.columns, status, before, **terms)
    storage.write_if_changed(
        product.reports / LIST, sheet.csv(calllist.table(choice, product.columns, told, status, release.version))
    )
    storage.write_if_changed(product.reports / CHANGES, sheet.csv(changed))
    if book:
        drop = dataset.load_record(product).last_number
        book.write_list(release.version, key, archive.listed(choice, status, told, changed), at=now, drop=drop)
    return f"{calllist.words(choice, product.columns)}: {product.reports / LIST}"


def _reasons(release: Release, rows: pd.DataFrame, typical: Mapping[str, float | str | None]) -> list[list[Reason]]:
    parts, _ = contributions.contributions(release.model, rows)
    return reasons.reasons(parts, rows, typical, release.columns)


# ---- does calling help -----------------------------------------------------------------------------------------------


def keep_contacts(product: Product, contacts: str) -> str:
    """Keep the calls that a CSV file lists in the history; the same file again changes nothing.

    Raises:
        ChurnError: the file cannot be used, or the product has no id, so that nobody is known again.
    """
    made = _made(product, contacts)
    with connect(product) as book:
        known = book.known(calls.names(made))
        kept = archive.contacts(made, known)
        added = book.write_contacts(kept)
    unknown = len(made) - len(kept)
    said = f"{len(kept):,} calls are kept, {added:,} of them new"
    return f"{said}; {unknown:,} of clients whom nobody knows were left out" if unknown else said


def show_effect(product: Product, effect: str) -> str:
    """Say what calling has done so far, from the calls that a CSV file lists and those that were kept before.

    Raises:
        ChurnError: the file cannot be used, or the product has no id, so that nobody is known again.
    """
    made = _made(product, effect)
    with connect(product) as book:
        lists, known = book.compared(), book.known(calls.names(made))
        recorded = calls.recorded(book.contacts())
    everything = pd.concat([made, recorded], ignore_index=True)
    return "\n  ".join(calling.told(everything, lists, known | set(recorded["client"]), product.settings))


def _made(product: Product, path: str) -> pd.DataFrame:
    if product.columns.id is None:
        raise ChurnError(f"{product.name} has no id column: who was called cannot be told from who was not")
    return calls.read(Path(path), product.columns)


# ---- the page --------------------------------------------------------------------------------------------------------


def html(document: Document) -> str:
    """The document as one page that needs nothing else."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(stage.HOME / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    colours = {name: getattr(charts, name) for name in ("INK", "MUTED", "LINE", "PALE", "BLUE", "ORANGE", "GREEN")}
    page = environment.get_template("report.html")
    return page.render(document=document, colours=colours, base64=lambda data: base64.b64encode(data).decode())


def _for_the_web(folder: Path, document: Document) -> None:
    """Write report.json and its pictures; those of an earlier report go once nothing names them any more."""
    drawn = blocks.pictures(document)
    for name, picture in drawn.items():
        storage.write_if_changed(folder / PICTURES / name, picture)
    storage.write_if_changed(folder / PAGE, storage.to_json(blocks.as_dict(document)))
    for path in (folder / PICTURES).iterdir():
        if path.name not in drawn:
            path.unlink()


if __name__ == "__main__":
    sys.exit(
        stage.main(
            report,
            stage.view(
                "--contacts", keep_contacts, metavar="CONTACTS", help="keep the calls that a CSV lists in the history"
            ),
            stage.view(
                "--effect", show_effect, metavar="CONTACTS", help="what calling did, given a CSV of the calls made"
            ),
        )
    )
