"""Today: is the product healthy, and whom to call."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn import sheet
from churn.calls import calllist
from churn.config import Product
from churn.history import today as lists
from churn.web.guard.access import READ, scope
from churn.web.pages import asking, health, shading, wording
from churn.web.pages.asking import Asked, Head
from churn.web.pages.linking import client_url
from churn.web.pages.shell import pages, served
from churn.words import BANDS

FILTERS = {
    "": "All to call",
    lists.WAITING: "Not called yet",
    lists.NEW: "New on the list",
    lists.CALLED: "Called",
    lists.SNOOZED: "Snoozed",
}
COLUMNS = (
    Head("Rank", "rank", kind="number"),
    Head("Client", "client"),
    Head("Risk", "risk", down=True),
    Head("Since last time", "trend", down=True),
    Head("Value", "value", down=True, kind="number"),
    Head("Reasons: ▲ raises, ▼ lowers the risk", "reasons"),
    Head("Last contact", "contact", down=True),
    Head("Status", "status"),
)
LIST = "calllist.csv"  # as reporting.py writes it
CHUNK = 64 * 2**10  # characters of it that are sent at a time


@pages.get("/products/<product>/")
@scope(READ)
def today(product: str) -> ResponseReturnValue:
    """Is it healthy, and whom to call."""
    found = served(product)
    day = wording.today()
    path = url_for("pages.today", product=product)
    by_value = isinstance(found.product.settings.value, str)  # else all clients are worth the same
    shown = tuple(head for head in COLUMNS if head.sort != "value" or by_value)
    sorts = {head.sort: head.down for head in shown}
    asked = asking.read(request.args, path, sorts=sorts, only=tuple(FILTERS), bands=BANDS)
    threshold = health.threshold_of(found.product)
    view: dict[str, Any] = {"tiles": health.tiles(found.product), "has_id": found.product.columns.id is not None}
    if view["has_id"]:
        listed = lists.page(found.book, wanted(asked, threshold), day)
        if not listed.rows and asked.page > 1:  # as when the last one of a page was snoozed
            asked = asking.within(asked, listed.total)
            listed = lists.page(found.book, wanted(asked, threshold), day)
        view |= {
            "batch": listed.batch,
            "rows": [row_view(product, row, threshold) for row in listed.rows],
            "counts": lists.counts(found.book, day),
            "paging": asking.paging(asked, listed.total),
        }
    view |= {"asked": asked, "heads": asking.heads(asked, shown), "orders": asking.orders(asked, shown)}
    view |= {"by_value": by_value, "filters": FILTERS, "bands": BANDS, "legend": shading.LEGEND, "day": day}
    return render_template("today.html", **view, has_file=(found.product.reports / LIST).is_file())


def wanted(asked: Asked, threshold: float) -> lists.Wanted:
    """What an address asks of the list, for the database."""
    lowest, highest = wording.bounds(asked.band, threshold)
    return lists.Wanted(
        limit=asking.PAGE,
        offset=asked.offset,
        sort=asked.sort,
        down=asked.down,
        search=asked.search,
        lowest=lowest,
        highest=highest,
        only=asked.only,
    )


def row_view(product: str, row: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """A client of the list as the page shows it."""
    return {
        "rank": row["rank"],
        "client": row["client"],
        "href": client_url(product, row["client"]),
        "risk": wording.risk_of(row["risk"], threshold),
        "trend": wording.trend(row["risk"], row["before"]),
        "before": row["before"],
        "value": row["value"],
        "reasons": [shading.reason_view(reason) for reason in row["reasons"] or []],
        "last": row["last"],
        "why": row["why"],
        "status": status(row),
    }


def status(row: Mapping[str, Any]) -> dict[str, str]:
    """What became of a listed client so far, in words and by the name of its look."""
    if row["until"]:
        return {"words": f"snoozed until {wording.day(row['until'])}", "key": "snoozed"}
    if row["called"]:
        return {"words": "called", "key": "called"}
    return {"words": "new", "key": "new"} if row["status"] == "entered" else {"words": "still on it", "key": "stayed"}


# ---- the download ----------------------------------------------------------------------------------------------------


@pages.get("/products/<product>/calllist.csv")
@scope(READ)
def call_list(product: str) -> ResponseReturnValue:
    """The call list as a file for a spreadsheet, without who is snoozed by now."""
    found = served(product)
    path, day = found.product.reports / LIST, wording.today()
    if not path.is_file():
        abort(404, "there is no call list yet; the next run writes one: python fullprocess.py")
    off = found.book.snoozed(day) if found.product.columns.id else set()
    response = Response(_lines(path, found.product, off), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=f"calllist-{product}-{day}.csv")
    return response


def _lines(path: Path, product: Product, off: set[str]) -> Iterator[bytes]:
    """The file as it stands (it is safe in a spreadsheet already), but for the rows of these clients."""
    hidden, name = {sheet.cell(one) for one in off}, sheet.cell(calllist.key(product.columns))
    buffer = io.StringIO(newline="")
    out = csv.writer(buffer, lineterminator="\r\n")
    yield b"\xef\xbb\xbf"  # by which Excel knows UTF-8
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        head = next(rows, [])
        place = head.index(name) if name in head else None
        out.writerow(head)
        for row in rows:
            if place is None or len(row) <= place or row[place] not in hidden:
                out.writerow(row)
            if buffer.tell() > CHUNK:
                yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    """What was written, which is then forgotten."""
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
