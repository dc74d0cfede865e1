"""A client: its risk now and over time, what changed it, why it is what it is, and what was done about it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import abort, g, render_template, request, url_for
from flask.typing import ResponseReturnValue

from churn import clients as current_clients
from churn.earlier import row_before
from churn.errors import DataError, ReleaseError
from churn.releases import Release
from churn.web.guard.access import READ, scope
from churn.web.pages import chart, health, shading, whatif, wording
from churn.web.pages.shell import known, pages
from churn.web.served import Served, answering

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]


@pages.get("/products/<product>/clients/<path:client>")
@scope(READ)
def client(product: str, client: str) -> ResponseReturnValue:
    """A client's risk, why it is what it is, and what was done about it."""
    return page(known(product), client, None)


@pages.post("/products/<product>/clients/<path:client>/what-if")
@scope(READ)
def what_if(product: str, client: str) -> ResponseReturnValue:
    """The page of a client, with what the model would say of other values."""
    found = known(product)
    g.here = url_for("pages.client", product=product, client=client)
    return page(found, client, None if "reset" in request.form else request.form)


def page(found: Served, client: str, tried: Mapping[str, str] | None) -> str:
    """The page of a client.

    Args:
        tried: what a form says for each column, by name; None where nothing is tried out.
    """
    product = found.product
    history = found.book.risks_of(client)
    if not history and not found.book.known([client]):
        abort(404, "no such client: nobody of this name was ever scored")
    case, trouble, differs = None, "", None
    try:
        release = answering(found)
        row = current_clients.row_of(product, client)
        if row is not None:
            case = whatif.examine(release, product, row, tried)
            differs = since_last_time(found, release, client, row, history)
        else:
            trouble = "This client is not among the current ones, so there is nothing to try out."
    except (ReleaseError, DataError) as error:
        trouble = wording.sentence(str(error))
    threshold = health.threshold_of(product)
    contacts = found.book.contacts(client)
    return render_template(
        "client.html",
        client=client,
        now=now(history, threshold),
        changed=changed(history, differs),
        differs=differs,
        chart=chart.risks(history, threshold) if len(history) > 1 else None,
        case=case,
        scale=shading.SCALE,
        trouble=trouble,
        contacts=contacts,
        off_until=off_until(contacts, wording.today()),
        labels=found.book.labels_of(client),
        threshold=threshold,
        what_if_url=url_for("pages.what_if", product=product.name, client=client),
    )


def now(history: Sequence[Row], threshold: float) -> dict[str, Any] | None:
    """The newest risk of a client, with what it was before; None where there is none."""
    if not history:
        return None
    newest, before = history[-1], history[-2] if len(history) > 1 else None
    shown = wording.risk_of(newest["risk"], threshold)
    moved = wording.trend(newest["risk"], before["risk"] if before else None)
    return {**newest, "shown": shown, "trend": moved, "rank_before": before["rank"] if before else None}


def since_last_time(
    found: Served, release: Release, client: str, row: "pd.DataFrame", history: Sequence[Row]
) -> list[dict[str, Any]] | None:
    """The values that are others than when the client was scored before; None where those are not known."""
    if len(history) < 2:
        return None
    then = row_before(found.product, client, history[-2]["drop"])
    return None if then is None else whatif.moved(release, then, row)


def changed(history: Sequence[Row], differs: Sequence[Row] | None) -> list[str]:
    """What is different from the time before, in sentences; none where there was no time before."""
    if len(history) < 2:
        return []
    before, newest = history[-2], history[-1]
    said = []
    data, model = newest["key"] != before["key"], newest["version"] != before["version"]
    if model:
        said.append(f"Another model scored it: {newest['version']} instead of {before['version']}.")
    if differs == []:
        said.append("Its values are the same.")
    elif differs is None and data:
        said.append("There is newer data.")
    return said


def off_until(contacts: Sequence[Row], day: str) -> str | None:
    """The day until which a client is snoozed; None where it is not. Contacts come newest first."""
    snoozed = next((contact for contact in contacts if contact["kind"] == "snoozed"), None)
    return snoozed["until"] if snoozed and (snoozed["until"] or "") > day else None
