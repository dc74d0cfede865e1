"""POST /outcomes: labels that came later, and what was done about clients, as another system tells them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify

from churn.columns import Columns
from churn.web.api import asking
from churn.web.api.answer_schemas import OutcomesAnswer
from churn.web.api.document import operation
from churn.web.api.schemas import Contact, Of, Outcome, OutcomesRequest
from churn.web.guard.access import WRITE, scope
from churn.web.served import product

api = Blueprint("outcomes", __name__)

AHEAD = timedelta(minutes=5)  # as far as another system's clock may be


@api.post("/outcomes")
@scope(WRITE)
@operation(json=OutcomesRequest, answer=OutcomesAnswer, refusals=(503,), tag="clients")
def outcomes() -> Response:
    """Keep who left and who stayed, and what was done about clients.

    What is sent again changes nothing: an outcome is known by client and as_of, a contact by client, at and kind; the
    answer says how many were new or changed. One unknown client, or anything else that does not fit, and nothing is
    kept.
    """
    served = product(asking.query(Of).product)
    g.product = served.product.name
    wanted = asking.body(OutcomesRequest)
    now = datetime.now(UTC)
    fault = _fault_of_dates(wanted, served.product.columns, now) or _stranger(
        wanted, served.book.known(_clients(wanted)) if wanted.outcomes or wanted.contacts else set()
    )
    if fault:
        abort(422, fault)
    labels = {(one.client, one.as_of): one for one in wanted.outcomes}  # the later one of two
    contacts = {(one.client, one.at, one.kind): one for one in wanted.contacts}
    new = {
        "outcomes": served.book.write_outcomes([_label(one, _text(now)) for one in labels.values()]),
        "contacts": served.book.write_contacts([_contact(one, g.who) for one in contacts.values()]),
    }
    sent = {"outcomes": len(wanted.outcomes), "contacts": len(wanted.contacts)}
    return jsonify(
        {"product": served.product.name}
        | {name: {"sent": sent[name], "new": new[name]} for name in ("outcomes", "contacts")}
    )


def _clients(wanted: OutcomesRequest) -> set[str]:
    return {one.client for one in (*wanted.outcomes, *wanted.contacts)}


def _numbered(wanted: OutcomesRequest) -> Iterable[tuple[str, Outcome | Contact]]:
    for name, items in (("outcome", wanted.outcomes), ("contact", wanted.contacts)):
        yield from ((f"{name} {number}", item) for number, item in enumerate(items, start=1))


def _fault_of_dates(wanted: OutcomesRequest, columns: Columns, now: datetime) -> str | None:
    """What is wrong with the dates, whoever the clients are; None when nothing is."""
    for name, item in _numbered(wanted):
        if isinstance(item, Contact) and item.at > now + AHEAD:
            return f"{name}: at: lies in the future"
        if isinstance(item, Outcome) and (item.as_of is None) != (columns.as_of is None):
            rows = f"rows have a date, {columns.as_of}" if columns.as_of else "rows have no date"
            return f"{name}: as_of: the product's {rows}, so it {'is needed' if columns.as_of else 'must be left out'}"
    return None


def _stranger(wanted: OutcomesRequest, known: set[str]) -> str | None:
    """The first whose client nobody ever scored; None when all are known."""
    return next(
        (
            f"{name}: client: was never scored, so it is none of this product's"
            for name, item in _numbered(wanted)
            if item.client not in known
        ),
        None,
    )


def _label(one: Outcome, now: str) -> dict[str, Any]:
    return {"client": one.client, "as_of": one.as_of.isoformat() if one.as_of else "", "left": one.left, "at": now}


def _contact(one: Contact, who: str) -> dict[str, Any]:
    return one.model_dump(mode="python", exclude={"at", "until"}) | {
        "at": _text(one.at),
        "until": one.until.isoformat() if one.until else None,
        "by": who or None,
    }


def _text(moment: datetime) -> str:
    """A moment in UTC as the history has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
