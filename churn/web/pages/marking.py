"""What was done about a client, as somebody marks it: called with its outcome, noted, or snoozed until a day."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn.web.guard import access
from churn.web.guard.access import WRITE, scope
from churn.web.pages import wording
from churn.web.pages.shell import known, pages

KINDS = ("called", "noted", "snoozed")
# What a call can come to; another word can be written too.
OUTCOMES = ("will stay", "undecided", "will leave", "not reached", "asked to call back")
LONGEST_OUTCOME, LONGEST_NOTE = 100, 1000
FURTHEST = timedelta(days=730)


@pages.app_template_global()
def outcomes() -> tuple[str, ...]:
    """What a call can come to, for the form."""
    return OUTCOMES


@pages.app_template_global()
def tomorrow() -> str:
    """The first day that somebody can be snoozed until."""
    return (date.fromisoformat(wording.today()) + timedelta(days=1)).isoformat()


@pages.post("/products/<product>/clients/<path:client>/contacts")
@scope(WRITE)
def mark(product: str, client: str) -> ResponseReturnValue:
    """Keep what was done about a client, and go back to where that was said."""
    found = known(product)
    g.here = home = url_for("pages.client", product=product, client=client)
    if not found.book.known([client]):
        abort(404, "no such client: nobody of this name was ever scored")
    at = wording.utc_now()
    contact, fault = read(request.form, at[:10])
    back = access.safe_next(request.form.get("back") or home)
    if fault:
        return render_template("mark.html", client=client, fault=fault, form=request.form, back=back), 422
    by = g.get("who") or None
    found.book.write_contacts([{"client": client, "at": at, "by": by, **contact}])
    return redirect(done(back, contact["kind"]), 303)


def done(back: str, what: str) -> str:
    """The address to go back to, which now says what was done."""
    parts = urlsplit(back)
    asked = [(name, value) for name, value in parse_qsl(parts.query) if name != "done"]
    return urlunsplit(parts._replace(query=urlencode([*asked, ("done", what)])))


def read(form: Mapping[str, str], today: str) -> tuple[dict[str, Any], str]:
    """A contact as the form says it, and what is wrong with it ("": nothing)."""
    kind = form.get("kind", "")
    outcome, note = form.get("outcome", "").strip(), form.get("note", "").strip()
    contact = {"kind": kind, "outcome": outcome or None, "note": note or None, "until": None}
    if kind not in KINDS:
        return contact, "Say what was done: called, noted or snoozed."
    if kind != "called":
        contact["outcome"] = None
    if kind == "snoozed":
        contact["until"] = _day(form.get("until", ""), date.fromisoformat(today))
    too_long = len(outcome) > LONGEST_OUTCOME or len(note) > LONGEST_NOTE
    faults = {
        f"Keep the outcome within {LONGEST_OUTCOME} characters and the note within {LONGEST_NOTE:,}.": too_long,
        "Say what came of the call.": kind == "called" and not outcome,
        "Write the note.": kind == "noted" and not note,
        "Give a day from tomorrow on, within two years, until which the client is off the list.": (
            kind == "snoozed" and contact["until"] is None
        ),
        "Say why the client is off the list until then.": kind == "snoozed" and not note,
    }
    return contact, next((fault for fault, found in faults.items() if found), "")


def _day(text: str, today: date) -> str | None:
    """A day after today that is not too far off, as the history keeps it."""
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-01-31") else None
    except ValueError:
        return None
    return day.isoformat() if day and today < day <= today + FURTHEST else None
