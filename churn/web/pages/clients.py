"""All clients of a product by risk, searched and filtered, a page at a time however many there are."""

from collections.abc import Mapping
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn.web.guard.access import READ, scope
from churn.web.pages import asking, health, wording
from churn.web.pages.linking import client_url
from churn.web.pages.shell import pages, served
from churn.words import BANDS

SORTS = {"rank": False}  # the one order that an index gives at once


@pages.get("/products/<product>/clients")
@scope(READ)
def clients(product: str) -> ResponseReturnValue:
    """All clients by risk, most at risk first."""
    found = served(product)
    path = url_for("pages.clients", product=product)
    asked = asking.read(request.args, path, sorts=SORTS, only=(), bands=BANDS)
    view: dict[str, Any] = {
        "asked": asked,
        "bands": BANDS,
        "has_id": found.product.columns.id is not None,
    }
    if view["has_id"]:
        threshold = health.threshold_of(found.product)
        lowest, highest = wording.bounds(asked.band, threshold)
        wanted = {"limit": asking.PAGE, "search": asked.search, "lowest": lowest, "highest": highest}
        listed = found.book.clients(offset=asked.offset, **wanted)
        if not listed.rows and asked.page > 1:
            asked = view["asked"] = asking.within(asked, listed.total)
            listed = found.book.clients(offset=asked.offset, **wanted)
        last = found.book.last_contacts(row["client"] for row in listed.rows)
        view |= {
            "batch": listed.batch,
            "rows": [row_view(product, row, last.get(row["client"]), threshold) for row in listed.rows],
            "paging": asking.paging(asked, listed.total, listed.capped),
            "threshold": threshold,
            "dated": bool(found.product.columns.as_of),
        }
    return render_template("clients.html", **view)


def row_view(product: str, row: Mapping[str, Any], last: Mapping[str, Any] | None, threshold: float) -> dict[str, Any]:
    """A client as the page shows it."""
    return {
        "rank": row["rank"],
        "client": row["client"],
        "href": client_url(product, row["client"]),
        "risk": wording.risk_of(row["risk"], threshold),
        "trend": wording.trend(row["risk"], row["before"]),
        "before": row["before"],
        "gain": row["gain"],
        "as_of": row["as_of"],
        "last": last,
    }
