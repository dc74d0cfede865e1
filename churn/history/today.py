"""The newest call list as a page shows it: a page of it, sorted, searched and filtered by the database."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, null, select

from churn.history.pages import Page, Pages
from churn.history.reading import TO_CALL
from churn.history.tables import contacts, listed, scores
from churn.history.writing import CLIENTS, LIST, TERMS

NEW, WAITING, SNOOZED, CALLED = "new", "waiting", "snoozed", "called"
FILTERS = (WAITING, NEW, CALLED, SNOOZED)
SORTS = ("rank", "client", "risk", "trend", "value", "reasons", "contact", "status")


@dataclass(frozen=True)
class Wanted:
    """Which part of the list: `only` is one of FILTERS or "" (all but who is snoozed), `sort` one of SORTS."""

    limit: int = 50
    offset: int = 0
    sort: str = "rank"
    down: bool = False
    search: str = ""
    lowest: float = 0.0
    highest: float = 1.0
    only: str = ""

    @property
    def everybody(self) -> bool:
        """Whether nothing is left out but who is snoozed."""
        return not self.search and not self.only and self.lowest <= 0 and self.highest >= 1


@dataclass(frozen=True)
class Counts:
    """How many are to be called (without the snoozed), of those how many were, and how many are snoozed by now."""

    to_call: int = 0
    called: int = 0
    snoozed: int = 0


def page(book: Pages, wanted: Wanted, day: str) -> Page:
    """The clients to call on a day (YYYY-MM-DD).

    Returns:
        Rows as `Pages.last_list` gives them, with `before` (the risk when the clients were last scored before, or
        None), `called` (whether since these risks are known), `until` (when snoozed by now: the day, else None) and
        `last` (the newest contact as in `Pages.contacts`, or None). `total` counts what `wanted` finds.
    """
    batch = book.last(LIST)
    if batch is None:
        return Page([], 0, None)
    now, then = _scorings(book, batch)
    since = (now or batch)["at"]  # a list that is issued again, with the same risks, forgets no calls
    before, where = _before(then), _where(book, batch, wanted, day, since)
    order = [(part.desc() if wanted.down else part).nulls_last() for part in _order(book, wanted.sort, before)]
    order.append(listed.c.position.desc() if wanted.down else listed.c.position)  # never null: the key's own order
    places = select(listed.c.position).where(*where).order_by(*order).limit(wanted.limit).offset(wanted.offset)
    columns = [column for column in listed.c if column.name != "batch"]
    columns += [before.label("before"), _called(book, since).label("called"), _until(book, day).label("until")]
    with book.transaction() as connection:
        # In two steps: what only a page of them needs is not looked up for all.
        order = connection.execute(places).scalars().all()
        rows = select(*columns).where(listed.c.batch == batch["id"], listed.c.position.in_(order))
        known = {row["position"]: dict(row) for row in connection.execute(rows).mappings()}
        found = [known[place] for place in order]
        if len(found) < wanted.limit and (found or not wanted.offset):  # the last one
            total = wanted.offset + len(found)
        elif wanted.everybody:
            total = _counts(connection, book, batch, day, since).to_call
        else:
            total = connection.execute(select(func.count()).select_from(listed).where(*where)).scalar_one()
    last = book.last_contacts(row["client"] for row in found)
    return Page([row | {"last": last.get(row["client"])} for row in found], total, batch)


def counts(book: Pages, day: str) -> Counts:
    """What became of the newest list by now."""
    batch = book.last(LIST)
    if batch is None:
        return Counts()
    since = (_scorings(book, batch)[0] or batch)["at"]
    with book.transaction() as connection:
        return _counts(connection, book, batch, day, since)


def _counts(connection: Connection, book: Pages, batch: Any, day: str, since: str) -> Counts:
    """The counts without a walk through the list, which may be long; contacts are few."""
    # Who is to be called stands first, by rank: the last of them knows how many they are.
    last = select(listed.c.rank).where(listed.c.batch == batch["id"], listed.c.status.in_(TO_CALL))
    on_list = connection.execute(last.order_by(listed.c.position.desc()).limit(1)).scalar() or 0

    def number(*where: ColumnElement[bool]) -> int:
        on = (listed.c.batch == batch["id"], listed.c.client == contacts.c.client, listed.c.status.in_(TO_CALL))
        people = select(func.count(contacts.c.client.distinct())).join_from(contacts, listed, and_(*on))
        return connection.execute(people.where(contacts.c.product == book.product, *where)).scalar_one()

    off = (contacts.c.kind == SNOOZED, contacts.c.until > day, ~_newer())
    snoozed = number(*off)
    called = number(contacts.c.kind == CALLED, contacts.c.at >= since, ~_snoozed(book, day))
    return Counts(on_list - snoozed, called, snoozed)


def _where(book: Pages, batch: Any, wanted: Wanted, day: str, since: str) -> list[ColumnElement[bool]]:
    off = _snoozed(book, day)
    where = [listed.c.batch == batch["id"], listed.c.status.in_(TO_CALL), off if wanted.only == SNOOZED else ~off]
    if wanted.lowest > 0 or wanted.highest < 1:
        where.append(listed.c.risk.between(wanted.lowest, wanted.highest))
    if wanted.search:
        where.append(listed.c.client.icontains(wanted.search, autoescape=True))
    if wanted.only == NEW:
        where.append(listed.c.status == TO_CALL[0])
    if wanted.only in (WAITING, CALLED):
        done = _called(book, since)
        where.append(done if wanted.only == CALLED else ~done)
    return where


def _order(book: Pages, sort: str, before: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    newest = select(func.max(contacts.c.at)).where(_theirs(book)).correlate(listed).scalar_subquery()
    columns: dict[str, Callable[[], list[ColumnElement[Any]]]] = {
        "rank": lambda: [],  # as the list stands
        "client": lambda: [func.lower(listed.c.client), listed.c.client],
        "risk": lambda: [listed.c.risk],
        "trend": lambda: [listed.c.risk - before],
        "value": lambda: [listed.c.value],
        "reasons": lambda: [func.substr(listed.c.reasons, 1, 200)],  # as text: by the strongest one's column
        "contact": lambda: [newest],
        "status": lambda: [listed.c.status],
    }
    return columns[sort]()


def _scorings(book: Pages, batch: Any) -> tuple[Any, Any]:
    """The scoring of the clients that a list was made from, and the one before it; None for what is not there."""
    key = (batch["version"], batch["key"].partition(TERMS)[0])
    found = [None, *book.batches(CLIENTS)]
    place = next((i for i, one in enumerate(found) if one and (one["version"], one["key"]) == key), None)
    return (None, None) if place is None else (found[place], found[place - 1])


def _before(scoring: Any) -> ColumnElement[Any]:
    """The risk that a listed client had in that scoring."""
    if scoring is None:
        return null()
    risk = select(scores.c.risk).where(scores.c.batch == scoring["id"], scores.c.client == listed.c.client)
    return risk.limit(1).correlate(listed).scalar_subquery()


def _theirs(book: Pages) -> ColumnElement[bool]:
    return and_(contacts.c.product == book.product, contacts.c.client == listed.c.client)


# These sets are found once for all rows, however long the list is: contacts are few.


def _called(book: Pages, since: str) -> ColumnElement[bool]:
    mine = (contacts.c.product == book.product, contacts.c.kind == CALLED, contacts.c.at >= since)
    return listed.c.client.in_(select(contacts.c.client).where(*mine).correlate(None))


def _snoozed(book: Pages, day: str) -> ColumnElement[bool]:
    """As `Reading.snoozed`: snoozed until a later day, and nothing newer of that kind."""
    return listed.c.client.in_(select(contacts.c.client).where(*_snooze(book, day)).correlate(None))


def _until(book: Pages, day: str) -> ColumnElement[Any]:
    mine = (contacts.c.client == listed.c.client, *_snooze(book, day))
    return select(contacts.c.until).where(*mine).limit(1).correlate(listed).scalar_subquery()


def _snooze(book: Pages, day: str) -> tuple[ColumnElement[bool], ...]:
    return (contacts.c.product == book.product, contacts.c.kind == SNOOZED, contacts.c.until > day, ~_newer())


def _newer() -> ColumnElement[bool]:
    """There is a later contact of the same client and kind."""
    later = contacts.alias()
    same = (later.c[name] == contacts.c[name] for name in ("product", "client", "kind"))
    return exists().where(*same, later.c.at > contacts.c.at).correlate(contacts)
