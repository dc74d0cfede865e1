"""Reading the history for a page: a few rows at a time, found through an index however many clients there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, null, select

from churn.history.reading import FEW, Reading
from churn.history.tables import batches, contacts, labels, listed, metrics, scores, verdicts
from churn.history.writing import CLIENTS, LIST

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """Some rows, how many there are in all, and the batch they are of (None: there is none yet)."""

    rows: list[Row]
    total: int
    batch: Row | None  # as in `Reading.batches`
    before: Row | None = None  # the batch that is compared with


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
            Rows of client, as_of, risk, gain, rank (among all clients) and before (the risk last time, or None).
        """
        found = self.batches(CLIENTS)[-2:]
        if not found:
            return Page([], 0, None)
        now, before = found[-1], found[0] if len(found) > 1 else None
        then = scores.alias()
        old = select(then.c.risk).where(then.c.batch == (before or now)["id"], then.c.client == scores.c.client)
        old_risk = old.limit(1).scalar_subquery() if before else null()
        wanted = [scores.c.batch == now["id"], scores.c.rank.is_not(None)]
        everyone = not search and lowest <= 0 and highest >= 1
        if everyone:
            wanted.append(scores.c.rank > offset)  # found at once; a search has to go through those before
        else:
            wanted += [scores.c.risk >= lowest, scores.c.risk <= highest]
        with self.transaction() as connection:
            if search:  # in SQLite, what looks case-sensitive is not, and the other one takes twice the time
                in_sqlite = connection.dialect.name == "sqlite"
                contains = scores.c.client.contains if in_sqlite else scores.c.client.icontains
                wanted.append(contains(search, autoescape=True))
            columns = [scores.c[name] for name in ("client", "as_of", "risk", "gain", "rank")]
            rows = select(*columns, old_risk.label("before")).where(*wanted)
            rows = rows.order_by(scores.c.rank).limit(limit).offset(None if everyone else offset)
            page = [dict(row) for row in connection.execute(rows).mappings()]
            if everyone:
                total = now["rows"]
            elif len(page) < limit and (page or not offset):  # the last one
                total = offset + len(page)
            else:
                total = connection.execute(select(func.count()).select_from(scores).where(*wanted)).scalar_one()
        return Page(page, total, now, before)

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
        return self._rows(rows.order_by(labels.c.at, labels.c.as_of, labels.c.source))

    def sent_outcomes(self) -> list[Row]:
        """The labels that came otherwise than in a drop, oldest first: client, as_of, left, source, at."""
        columns = [labels.c[name] for name in ("client", "as_of", "left", "source", "at")]
        rows = select(*columns).where(labels.c.product == self.product, labels.c.drop.is_(None))
        return self._rows(rows.order_by(labels.c.at, labels.c.client, labels.c.as_of, labels.c.source))

    def last_list(self, before: str | None = None, *, limit: int | None = None, offset: int = 0) -> Page:
        """The newest call list; `before`: the one before that of this key.

        Returns:
            Rows as they were written: client, status, rank, risk, value, gain, why, reasons and position.
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
