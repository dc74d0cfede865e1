"""All products at once: which of them is healthy, and how many clients wait for a call."""

from typing import Any

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from churn.errors import ChurnError, HistoryError
from churn.history import today as lists
from churn.web.guard.access import READ, scope
from churn.web.pages import health, wording
from churn.web.pages.shell import pages
from churn.web.served import Served, site


@pages.get("/")
@scope(READ)
def overview() -> ResponseReturnValue:
    """Every product's health and its calls of today; with one product, its page."""
    products = site().products
    if len(products) == 1:
        return redirect(url_for("pages.today", product=next(iter(products))), 302)
    return render_template("overview.html", cards=[card(name, served) for name, served in products.items()])


def card(name: str, served: Served) -> dict[str, Any]:
    """A product in short; what one of them lacks does not keep the others from being shown."""
    found: dict[str, Any] = {"name": name, "href": url_for("pages.today", product=name), "trouble": ""}
    found |= {"counts": None, "issued": None, "has_id": served.product.columns.id is not None}
    try:
        found["tiles"] = health.tiles(served.product)
    except (ChurnError, OSError, ValueError):
        found["tiles"], found["trouble"] = [], "Its files cannot be read; the log of the next run says why."
    try:
        if found["has_id"]:
            found["counts"] = lists.counts(served.book, wording.today())
            batch = served.book.last(lists.LIST)
            found["issued"] = batch["at"] if batch else None
    except HistoryError:
        found["trouble"] = "Its history cannot be reached, so the calls are not shown."
    return found | {"state": health.worst(found["tiles"])}
