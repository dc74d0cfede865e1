"""The clients by risk, one of them, and why rows have the risks they have, as JSON."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort

from churn.errors import DataError
from churn.releases import Release
from churn.web.answers import answer
from churn.web.api import asking, explaining, predictions
from churn.web.api.answer_schemas import ClientAnswer, ClientsAnswer, ExplainAnswer
from churn.web.api.document import operation
from churn.web.api.schemas import ClientsQuery, ExplainRequest, Of
from churn.web.guard.access import READ, scope
from churn.web.served import Served, asked
from churn.words import band, bands

api = Blueprint("clients", __name__)


@api.get("/clients")
@scope(READ)
@operation(query=ClientsQuery, answer=ClientsAnswer, refusals=(503,), tag="clients")
def clients() -> Response:
    """The clients by risk, most at risk first, a page at a time.

    They have the risks of the last scoring: `scored_at` and `scored_by` say when and by which version that was. The
    rank is among all clients, whatever is searched for.
    """
    wanted = asking.query(ClientsQuery)
    served, release = asked()
    lowest, highest = _bounds(wanted, release.threshold)
    found = served.book.clients(
        limit=wanted.limit,
        offset=(wanted.page - 1) * wanted.limit,
        search=wanted.search,
        lowest=lowest,
        highest=highest,
    )
    shown = [_dated(row) | {"band": band(row["risk"], release.threshold)} for row in found.rows]
    batch = found.batch or {"at": None, "version": None}
    told = {"total": found.total, "more": found.capped, "page": wanted.page, "limit": wanted.limit}
    return answer(served, release, **told, scored_at=batch["at"], scored_by=batch["version"], clients=shown)


def _bounds(wanted: ClientsQuery, threshold: float) -> tuple[float, float]:
    """From which risk to which, a band's included; the band begins at a risk and ends just before the next one's."""
    lowest, highest = wanted.lowest, wanted.highest
    if wanted.band:
        first, last = bands(threshold)[wanted.band]
        lowest, highest = max(lowest, first), min(highest, last)
    return lowest, highest


@api.get("/clients/<path:client>")
@scope(READ)
@operation(answer=ClientAnswer, refusals=(503,), tag="clients", path={"client": "its id, percent-encoded"})
def client(client: str) -> Response:
    """A client: its risk now and why, its risks over time, labels and contacts.

    `now` is the answer of the version in production to the client's newest row; it is null for who is no client any
    more. A client whom nobody ever scored is not found.
    """
    asking.query(Of)
    served, release = asked()
    book = served.book
    row = _row_of(served, release, client)
    risks = [_dated(past) for past in book.risks_of(client)]
    if row is None and not risks:
        abort(404, "no such client")
    now = explaining.explain(served.product, release, row)[0] if row is not None else None
    labels = [_dated(label) for label in book.labels_of(client)]
    contacts = [{name: contact[name] for name in CONTACT} for contact in book.contacts(client)]
    return answer(
        served,
        release,
        client=client,
        threshold=release.threshold,
        now=now,
        as_of=_as_of(served, row),
        risks=[{name: past[name] for name in PAST} | {"of": past["rows"]} for past in risks],
        labels=[{name: label[name] for name in LABEL} for label in labels],
        contacts=contacts,
    )


def _row_of(served: Served, release: Release, client: str) -> Any:
    """The client's newest row, a table; None where there is none."""
    from churn import clients as current

    if served.product.columns.id is None:
        abort(404, f"{served.product.name} has no id column: no client is known by a name")
    try:
        row = current.row_of(served.product, client)
    except DataError as error:  # the rows are not there: that is nothing the request could mend
        abort(503, str(error))
    if row is not None and not set(release.columns.features) <= set(row):
        abort(503, f"the columns have changed; run: python fullprocess.py --product {served.product.name}")
    return row


PAST = ("at", "version", "risk", "rank", "gain", "as_of")
LABEL = ("at", "as_of", "left", "drop")
CONTACT = ("at", "kind", "outcome", "note", "by", "until")


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the history; rows of products without dates have none."""
    return {**row, "as_of": row["as_of"] or None}


def _as_of(served: Served, row: Any) -> str | None:
    from churn.history.tables import day

    column = served.product.columns.as_of
    return (day(row[column].iloc[0]) or None) if column and row is not None else None


@api.post("/explain")
@scope(READ)
@operation(json=ExplainRequest, answer=ExplainAnswer, refusals=(503,))
def explain() -> Response:
    """Why rows have the risks they have: what each column adds to the log-odds, and in words.

    The base and the parts add up to the log-odds before calibration. They say what the model looks at, not what would
    happen if a value were another.
    """
    asking.query(Of)
    served, release = asked()
    rows = asking.body(ExplainRequest).rows
    try:
        ids = predictions.ids_of(rows, release.columns)
        told = explaining.explain(served.product, release, explaining.frame_of(rows, release)) if rows else []
    except DataError:
        predictions.check(rows, release.columns)
        raise
    for one, name in zip(told, ids, strict=True):
        if name is not None:
            one["id"] = name
    return answer(served, release, threshold=release.threshold, explanations=told)
