"""Releases: what was in production when and why, what was decided, and the way back."""

from collections.abc import Mapping
from typing import Any

from flask import abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn import decisions
from churn import releases as versions
from churn.config import Product
from churn.errors import LockedError, ReleaseError
from churn.web.guard.access import READ, WRITE, scope
from churn.web.pages.health import manifest_of
from churn.web.pages.shell import pages, served
from churn.web.pages.wording import sentence
from churn.web.served import site
from churn.words import fit

MOST = 50  # rows of each table; the files have them all
LONGEST_WHY = 300
ACTIONS = {
    "deployed": "Deployed",
    "kept": "Kept what was there",
    "rolled back": "Rolled back",
    "none": "Deployed nothing",
}


@pages.get("/products/<product>/releases")
@scope(READ)
def releases(product: str) -> ResponseReturnValue:
    """What was in production when and why, and what was decided."""
    found = served(product).product
    entries = versions.history(found)
    made = decisions.read(found)
    return render_template(
        "releases.html",
        entries=[entry_view(found, entry, until) for entry, until in versions.with_ends(entries)[:MOST]],
        all_entries=len(entries),
        decisions=[decision_view(one) for one in reversed(made[-MOST:])],
        all_decisions=len(made),
        manifest=manifest_of(found),
        back=way_back(found),
    )


@pages.get("/products/<product>/rollback")
@scope(READ)
def confirm_rollback(product: str) -> ResponseReturnValue:
    """Ask whether to go back to the release before, and why."""
    return _confirm(served(product).product)


@pages.post("/products/<product>/rollback")
@scope(WRITE)
def rollback(product: str) -> ResponseReturnValue:
    """Go back to the release before, if what was confirmed is still so."""
    found = served(product).product
    g.here = url_for("pages.confirm_rollback", product=product)
    why = " ".join(request.form.get("why", "").split())
    if not why or len(why) > LONGEST_WHY:
        return _confirm(found, f"Say why, in up to {LONGEST_WHY} characters: it stands in the history.", why, 422)
    who = f" ({g.who})" if g.get("who") else ""
    try:
        # Rolling back twice goes forth again: a form that was sent twice must not.
        if not site().commands.roll_back(found, request.form.get("instead_of", ""), f"by hand: {why}{who}"):
            fault = "Production has changed since this page was made; nothing was done. Look again."
            return _confirm(found, fault, why, 409)
    except LockedError:
        fault = "A run is at work on this product right now; nothing was done. Try again in a few minutes."
        return _confirm(found, fault, why, 409)
    return redirect(url_for("pages.releases", product=product, done="rolled-back"), 303)


def _confirm(product: Product, fault: str = "", why: str = "", status: int = 200) -> ResponseReturnValue:
    back = way_back(product)
    if back is None and not fault:
        abort(409, "there is nothing to go back to: no earlier release is kept")
    shown = {"back": back, "fault": fault, "why": why, "longest": LONGEST_WHY}
    return render_template("rollback.html", manifest=manifest_of(product), **shown), status


def entry_view(product: Product, entry: Mapping[str, Any], until: str | None) -> dict[str, Any]:
    """A time in production as the page shows it; the facts of versions that are no longer kept are gone."""
    manifest = _kept(product, entry["version"])
    scores = (manifest or {}).get("scores") or {}
    return {
        "version": entry["version"],
        "since": entry["from"],
        "until": until,
        "why": sentence(entry["why"]),
        "model": (manifest or {}).get("model"),
        "trained_at": (manifest or {}).get("trained_at"),
        "rows": (manifest or {}).get("data", {}).get("train_rows"),
        "f1": scores.get("f1"),
        "roc_auc": scores.get("roc_auc"),
        "kept": manifest is not None,
    }


def decision_view(made: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as the page shows it: what was done, and the verdicts in words."""
    return {
        "at": made["at"],
        "drops": made["drops"],
        "action": ACTIONS.get(made["action"], made["action"]),
        "key": made["action"].replace(" ", "-"),
        "champion": made["champion"],
        "challenger": made["challenger"],
        "drift": sentence(fit((made["drift"] or {}).get("reason", ""), 600)),
        "reason": sentence(fit((made["promotion"] or {}).get("reason") or made["reason"], 600)),
    }


def way_back(product: Product) -> dict[str, Any] | None:
    """The release that a rollback returns to; None where there is none."""
    try:
        return entry_view(product, versions.previous(product), None)
    except ReleaseError:
        return None


def _kept(product: Product, version: str) -> dict[str, Any] | None:
    try:
        return versions.read_manifest(product.production / version)
    except ReleaseError:
        return None
