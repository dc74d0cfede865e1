"""Data: what came in, what became of its rows, and what is missing in them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from flask import Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn import dataset, sheet
from churn.calls.reasons import title
from churn.config import Product
from churn.dataset import Drop, Record
from churn.errors import shown
from churn.intake.parts import rejects_of
from churn.web.guard.access import READ, scope
from churn.web.pages import asking
from churn.web.pages.shell import pages, served
from churn.words import fit

DIAGNOSTICS = "diagnostics.json"  # as diagnostics.py writes it


@pages.get("/products/<product>/data")
@scope(READ)
def data(product: str) -> ResponseReturnValue:
    """What came in, what became of its rows, and what is missing in them."""
    found = served(product).product
    record = dataset.load_record(found)
    path = url_for("pages.data", product=product)
    asked = asking.read(request.args, path, sorts={"number": True}, only=(), bands=())
    newest_first = record.ingested[::-1]
    return render_template(
        "data.html",
        drops=[drop_view(found, drop) for drop in newest_first[asked.offset :][: asking.PAGE]],
        paging=asking.paging(asked, len(newest_first)),
        aside=[drop_view(found, drop) for drop in record.quarantined[: -asking.PAGE - 1 : -1]],
        totals=totals(record),
        missing=missing(found),
        late=found.settings.late_labels,
        waiting=record.waiting,
    )


@pages.get("/products/<product>/rejects/<name>")
@scope(READ)
def rejects(product: str, name: str) -> ResponseReturnValue:
    """The rows of a file that were rejected, with line, column and reason."""
    found = served(product).product
    files = {path.name: path for path in (rejects_of(found, drop) for drop in dataset.load_record(found).drops)}
    path = files.get(name)
    if path is None or not path.is_file() or path.is_symlink():
        abort(404, "no rejected rows of a file of this name")
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    with path.open(encoding="utf-8", errors="backslashreplace", newline="") as file:
        out.writerows([sheet.cell(cell) for cell in row] for row in csv.reader(file))
    response = Response(text.getvalue().encode("utf-8-sig"), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=f"rejected-{name}")
    return response


def drop_view(product: Product, drop: Drop) -> dict[str, Any]:
    """A drop as the page shows it."""
    rejects = rejects_of(product, drop)
    return {
        "number": drop.number,
        "name": fit(shown(drop.name), 80),
        "at": drop.ingested_at,
        "rows": drop.rows,
        "accepted": drop.accepted,
        "duplicate": drop.duplicate,
        "rejected": drop.rejected,
        "superseded": drop.superseded,
        "unlabelled": drop.unlabelled,
        "extra": [fit(column) for column in drop.extra],
        "reason": fit(drop.reason or "", 400),
        "line": drop.line,
        "rejects": url_for("pages.rejects", product=product.name, name=rejects.name) if rejects.is_file() else None,
    }


def totals(record: Record) -> dict[str, int]:
    """What all drops come to."""
    ingested = record.ingested
    return {
        "stored": record.rows,
        "drops": len(ingested),
        "read": sum(drop.rows for drop in ingested),
        "accepted": sum(drop.accepted for drop in ingested),
        "duplicate": sum(drop.duplicate for drop in ingested),
        "rejected": sum(drop.rejected for drop in ingested),
        "aside": len(record.quarantined),
    }


def missing(product: Product) -> dict[str, Any] | None:
    """The share of missing cells of the columns that have some, as diagnostics.py last found it, the largest first."""
    try:
        found = json.loads(Path(product.reports / DIAGNOSTICS).read_text(encoding="utf-8"))
        shares = sorted(found["missing_percent"].items(), key=lambda item: -item[1])
        columns = [{"name": title(name), "percent": share} for name, share in shares if share]
        complete = len(shares) - len(columns)
        return {"at": found["made_at"], "rows": found["rows"], "columns": columns, "complete": complete}
    except (OSError, ValueError, KeyError):
        return None
