"""Reading the history for a page: a few rows at a time, found through an index however many clients there are."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, null, select

from churn.history.reading import FEW, Reading
from churn.history.tables import batches, contacts, labels, listed, metrics, scores, verdicts
from churn.history.writing import CLIENTS, LIST

Row = Mapping[str, Any]
COUNTED = 1000  # of what a search finds; to count a million takes longer than to show the first of them


@dataclass(frozen=True)
class Page:
    """Some rows, how many there are in all, and the batch they are of (None: there is none yet)."""

    rows: list[Row]
    total: int
    batch: Row | None  # as in `Reading.batches`
    before: Row | None = None  # the batch that is compared with
    capped: bool = False  # there are more than `total`, which nobody has counted


class Pages(Reading):
    """The part of a history that pages read: rows as dicts, times as text, UTC. Each method may raise HistoryError."""

    def clients(
        self, *, limit: int = 50, offset: int = 0, search: str = "", lowest: float = 0.0, highest: float = 1.0
    ) -> Page:
        """The clients by risk, most at risk first.

        Args:
            search: only those in whose name this stands, whatever its case.
            lowest, highest: only those whose risk is from here to there.

        Returns:
            Rows of client, as_of, risk, gain, rank (among all clients) and before (the risk last time, or None). What
            a search finds is counted up to COUNTED; more than that is `capped`, and further pages have it still.
        """
        there = self.batches(CLIENTS)[-2:]
        if not there:
            return Page([], 0, None)
        now, before = there[-1], there[0] if len(there) > 1 else None
        with self.transaction() as connection:
            # Who is more at risk has the lower rank, so that risks from here to there are ranks from here to there.
            above = _ranked(connection, now, lambda risk: risk > highest) if highest < 1 else 0
            down_to = _ranked(connection, now, lambda risk: risk >= lowest) if lowest > 0 else now["rows"]
            total = max(down_to - above, 0)
            ranks = scores.c.rank > (above if search else above + offset), scores.c.rank <= down_to
            wanted = [scores.c.batch == now["id"], *ranks]
            capped = False
            if search:
                wanted.append(_contains(connection, search))
                # One walk through the index finds the page and counts; where there are many, it ends early.
                most = max(COUNTED, offset + limit) + 1
                query = select(scores.c.rank).where(*wanted).order_by(scores.c.rank).limit(most)
                found = connection.execute(query).scalars().all()
                capped, total = len(found) == most, min(len(found), most - 1)
                wanted = [scores.c.batch == now["id"], scores.c.rank.in_(found[offset : offset + limit])]
            page = connection.execute(_with_the_risk_before(now, before).where(*wanted).limit(limit))
            return Page([dict(row) for row in page.mappings()], total, now, before, capped)

    def risks_of(self, client: str) -> list[Row]:
        """A client's risk over time, oldest first: at, version, key, drop, as_of, risk, gain, rank, rows (in all)."""
        columns = [batches.c[name] for name in ("at", "version", "key", "drop", "rows")]
        columns += [scores.c[name] for name in ("as_of", "risk", "gain", "rank")]
        rows = select(*columns).join_from(batches, scores, scores.c.batch == batches.c.id)
        rows = rows.where(
            batches.c.product == self.product,
            batches.c.kind == CLIENTS,
            batches.c.rows.is_not(None),
            scores.c.client == client,
        )
        return self._rows(rows.order_by(batches.c.at, batches.c.id))

    def labels_of(self, client: str) -> list[Row]:
        """What is known of whether a client left, oldest first: as_of, left, source, drop, at."""
        columns = [labels.c[name] for name in ("as_of", "left", "source", "drop", "at")]
        rows = select(*columns).where(labels.c.product == self.product, labels.c.client == client)
        return self._rows(rows.order_by(labels.c.at, labels.c.drop.nulls_first(), labels.c.as_of, labels.c.source))

    def sent_outcomes(self) -> list[Row]:
        """The labels that came otherwise than in a drop, oldest first: client, as_of, left, source, at."""
        columns = [labels.c[name] for name in ("client", "as_of", "left", "source", "at")]
        rows = select(*columns).where(labels.c.product == self.product, labels.c.drop.is_(None))
        return self._rows(rows.order_by(labels.c.at, labels.c.client, labels.c.as_of, labels.c.source))

    def last_list(self, before: str | None = None, *, limit: int | None = None, offset: int = 0) -> Page:
        """The newest call list; `before`: the one before that of this key.

        Returns:
            Rows as they were written: client, status, rank, risk, value, gain, why, reasons (a list of
            column, words and part) and position.
        """
        batch = self.last(LIST, before)
        if batch is None:
            return Page([], 0, None)
        columns = [column for column in listed.c if column.name != "batch"]
        rows = select(*columns).where(listed.c.batch == batch["id"], listed.c.position > offset)
        return Page(self._rows(rows.order_by(listed.c.position).limit(limit)), batch["rows"], batch)

    def contacts(self, client: str | None = None, *, limit: int | None = None) -> list[Row]:
        """Contacts, newest first, of one client or of all: client, at, kind, outcome, note, by, until."""
        rows = select(*[column for column in contacts.c if column.name != "product"])
        rows = rows.where(contacts.c.product == self.product)
        rows = rows.where(contacts.c.client == client) if client is not None else rows
        return self._rows(rows.order_by(contacts.c.at.desc(), contacts.c.client, contacts.c.kind).limit(limit))

    def last_contacts(self, clients: Iterable[str]) -> dict[str, Row]:
        """The newest contact of each of these clients that has one, as in `contacts`."""
        names, found = list(clients), {}
        for start in range(0, len(names), FEW):
            rows = select(*[column for column in contacts.c if column.name != "product"])
            rows = rows.where(contacts.c.product == self.product, contacts.c.client.in_(names[start : start + FEW]))
            for row in self._rows(rows.order_by(contacts.c.client, contacts.c.at, contacts.c.kind)):
                found[row["client"]] = row
        return found

    def metrics(self, **of: Any) -> list[Row]:
        """Metrics by drop, version, kind and name; `of`: only this `drop`, `version`, `kind` or `name`."""
        rows = select(*[column for column in metrics.c if column.name != "product"])
        rows = rows.filter_by(product=self.product, **of)
        return self._rows(rows.order_by(*(metrics.c[name] for name in ("drop", "version", "kind", "name"))))

    def verdicts(self, *, limit: int | None = None, **of: Any) -> list[Row]:
        """Verdicts, newest first; `of`: only this `drop`, `version` or `kind`."""
        rows = select(*[column for column in verdicts.c if column.name != "product"])
        rows = rows.filter_by(product=self.product, **of)
        order = (verdicts.c.drop.desc(), verdicts.c.at.desc(), verdicts.c.kind, verdicts.c.version)
        return self._rows(rows.order_by(*order).limit(limit))

    def _rows(self, query: Select[Any]) -> list[Row]:
        with self.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _ranked(connection: Connection, batch: Row, reaches: Callable[[float], bool]) -> int:
    """How many clients of a batch have a risk that reaches something: a look at twenty ranks tells of a million."""
    none, every = 0, batch["rows"]
    while none < every:
        middle = (none + every + 1) // 2
        here = select(scores.c.risk).where(scores.c.batch == batch["id"], scores.c.rank >= middle)
        risk = connection.execute(here.order_by(scores.c.rank).limit(1)).scalar()
        none, every = (middle, every) if risk is not None and reaches(risk) else (none, middle - 1)
    return none


def _contains(connection: Connection, search: str) -> ColumnElement[bool]:
    """That this stands in a client's name, whatever its case."""
    # In SQLite, what looks case-sensitive is not, and the other one takes twice the time.
    contains = scores.c.client.contains if connection.dialect.name == "sqlite" else scores.c.client.icontains
    return contains(search, autoescape=True)


def _with_the_risk_before(now: Row, before: Row | None) -> Select[Any]:
    """The rows of scores by rank, each with the client's risk in the batch before (none where there was none)."""
    then = scores.alias()
    old = select(then.c.risk).where(then.c.batch == (before or now)["id"], then.c.client == scores.c.client)
    old_risk = old.limit(1).scalar_subquery() if before else null()
    columns = [scores.c[name] for name in ("client", "as_of", "risk", "gain", "rank")]
    return select(*columns, old_risk.label("before")).order_by(scores.c.rank)
