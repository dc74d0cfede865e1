"""Report on the version in production: what it is worth, whom it lists, why it was chosen and what it was made from.

Writes report.html (one file, nothing else needed), report.pdf and confusionmatrix.png to reports/<product>/ and, to
stay there, to reports/<product>/<version>/. Where nothing is in production, the newest version is reported on.
"""

import base64
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import (
    dataset,
    decisions,
    estimators,
    heldout,
    measures,
    releases,
    stage,
    storage,
)
from churn import statistics as stored
from churn.columns import Columns
from churn.config import Product
from churn.errors import DataError, DropError, NoRelease, ReleaseError
from churn.report import charts, content, pdf
from churn.report.blocks import Document, Table
from churn.report.content import Clients, Facts
from churn.words import fit, percent

logger = logging.getLogger(__name__)

CLIENTS = "clients.csv"
TOP_CLIENTS = 10
TOP_COLUMNS = 3  # of the clients' columns, the ones that say most to the model


def report(product: Product) -> str:
    """Write the report of the version in production and return its headline.

    Raises:
        ReleaseError: there is no version, it has no score, or it is not the bytes that its manifest lists.
    """
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
    headline = content.headline(scores, facts.min_class_rows)
    return f"{version}: {headline} {product.reports / 'report.html'}"


def gather(product: Product) -> Facts:
    """Everything that the report says, from the records, the rows and the model."""
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
    left, risk, note = _curves(product, folder, manifest)
    return Facts(
        product=product.name,
        manifest=manifest,
        release=release,
        left=left,
        risk=risk,
        curves_note=note,
        releases=_releases(product),
        decisions=decisions.read(product),
        drops=record.drops,
        period=f", observed from {period[0]} to {period[1]}" if all(period) else "",
        stored_rows=rows,
        missing=missing,
        clients=_clients(product, manifest),
        min_class_rows=product.settings.promotion.min_class_rows,
    )


def _subject(product: Product) -> tuple[Path, dict[str, Any] | None]:
    """The version to report on, and its entry in the history of production; None when it is not there."""
    try:
        folder = releases.current(product)
    except NoRelease:
        return releases.folder_of(product, None), None
    return folder, releases.history(product)[-1]


def _curves(
    product: Product, folder: Path, manifest: dict[str, Any]
) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """Who of the held-out rows left, their risk by this version, and what has to be said about them."""
    release = releases.load(folder)
    try:
        frame, _ = heldout.held_out_rows(product)
    except (DataError, DropError) as error:
        return None, None, str(error)
    left, risk = heldout.labels(frame, product), estimators.risks(release.model, frame)
    scores = manifest["scores"]
    note = ""
    if measures.scores(left, risk, release.threshold)["confusion"] != scores["confusion"]:
        note = (
            f"The held-out rows changed after this version was scored on {scores['rows']:,} of them: "
            f"gain and calibration are of the {len(left):,} there are now."
        )
    return left, risk, note


def _releases(product: Product) -> list[dict[str, Any]]:
    """The scores of what was in production, oldest first, as far as the versions are kept."""
    points = []
    for entry in releases.history(product):
        version = entry["version"]
        kept = next((f for f in (product.production / version, product.models / version) if f.is_dir()), None)
        if kept is None:
            continue
        scores = releases.read_manifest(kept)["scores"]
        shown = {key: scores[key] for key in ("f1", "constant_f1", "roc_auc", "average_precision")}
        points.append({"number": version.split("-")[0], "date": entry["from"][:10], **shown})
    return points


def _clients(product: Product, manifest: dict[str, Any]) -> Clients | None:
    """The first of clients.csv, with the columns that say most to the model."""
    path = product.reports / CLIENTS
    if not path.is_file():
        return None
    risk = pd.read_csv(path, usecols=["risk"])["risk"]
    first = pd.read_csv(path, nrows=TOP_CLIENTS, dtype=str, keep_default_na=False)
    keys = [name for name in product.columns.keys if name in first.columns]
    told = [name for name in manifest["importance"] if name in first.columns][:TOP_COLUMNS]
    rows = [
        (row["rank"], *(fit(row[name]) for name in keys), percent(float(row["risk"])))
        + tuple(_value(row[name], name, product.columns) for name in told)
        for row in first.to_dict("records")
    ]
    numbers = {0, 1 + len(keys), *(2 + len(keys) + i for i, n in enumerate(told) if n in product.columns.numbers)}
    head = ("rank", *map(fit, keys), "risk", *map(fit, told))
    base = product.config_path.parent
    return Clients(
        path=str(path.relative_to(base) if path.is_relative_to(base) else path),
        version=first["model_version"].iloc[0] if len(first) else manifest["version"],
        table=Table(head, rows, (0.7, *[2.0] * len(keys), 0.8, *[1.6] * len(told)), frozenset(numbers)),
        total=len(risk),
        listed=int((risk >= manifest["threshold"]).sum()),
    )


def _value(text: str, name: str, columns: Columns) -> str:
    """A cell of clients.csv as one reads it: whole numbers without a decimal point, others with six digits."""
    if name in columns.integer and text:
        return f"{float(text):,.0f}"
    return f"{float(text):,.6g}" if name in columns.numeric and text else fit(text)


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


if __name__ == "__main__":
    sys.exit(stage.main(report))
