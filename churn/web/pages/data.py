"""Data: what came in, what became of its rows, and what is missing in them."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from flask import Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn import dataset, sheet
from churn.calls.reasons import title
from churn.config import Product
from churn.dataset import Drop, Record
from churn.errors import shown
from churn.web.access import READ, scope
from churn.web.pages import asking
from churn.web.pages.shell import pages, served
from churn.words import fit

REJECTS, DIAGNOSTICS = "rejects", "diagnostics.json"  # as ingestion.py and diagnostics.py write them


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
        aside=[drop_view(found, drop) for drop in record.quarantined[::-1]],
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
    names = {rejects_name(drop) for drop in dataset.load_record(found).drops}
    path = found.ingested / REJECTS / name
    if name not in names or not path.is_file() or path.is_symlink():
        abort(404, "no rejected rows of a file of this name")
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    with path.open(encoding="utf-8", errors="backslashreplace", newline="") as file:
        out.writerows([sheet.cell(cell) for cell in row] for row in csv.reader(file))
    response = Response(text.getvalue().encode("utf-8-sig"), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=f"rejected-{name}")
    return response


def rejects_name(drop: Drop) -> str:
    """How ingestion.py calls the file of a drop's rejected rows."""
    name = shown(drop.name)
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name.removesuffix(".csv"))[:100]
    return f"{safe}.csv" if f"{safe}.csv" == drop.name else f"{safe}-{(drop.sha256 or '')[:8]}.csv"


def drop_view(product: Product, drop: Drop) -> dict[str, Any]:
    """A drop as the page shows it."""
    name = rejects_name(drop)
    has_rejects = (product.ingested / REJECTS / name).is_file()
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
        "rejects": url_for("pages.rejects", product=product.name, name=name) if has_rejects else None,
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
    """The share of missing cells of each column as diagnostics.py last found it, the largest first."""
    try:
        found = json.loads(Path(product.reports / DIAGNOSTICS).read_text(encoding="utf-8"))
        shares = sorted(found["missing_percent"].items(), key=lambda item: -item[1])
        columns = [{"name": title(name), "percent": share} for name, share in shares]
        return {"at": found["made_at"], "rows": found["rows"], "columns": columns}
    except (OSError, ValueError, KeyError):
        return None
