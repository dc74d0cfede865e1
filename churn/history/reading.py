"""Reading the history as a whole: what late labels, the call list's memory, the effect of calling and a replay ask."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, FromClause, and_, or_, select

from churn.history.database import Base
from churn.history.tables import batches, contacts, labels, listed, scores
from churn.history.writing import CLIENTS, DROP, LIST, TERMS

Row = Mapping[str, Any]
FEW = 500  # names in one query
TO_CALL, HELD_OUT, SNOOZED = ("entered", "stayed"), "held out", "snoozed"  # who stands above a list's cutoff


class Reading(Base):
    """The half of a history that gives tables. Only whole batches are seen. Each method may raise HistoryError."""

    def batches(self, kind: str) -> list[Row]:
        """What is there of a kind (clients, drop, labels, list), oldest first: id, version, key, drop, at, rows."""
        columns = [batches.c[name] for name in ("id", "version", "key", "drop", "at", "rows")]
        whole = (batches.c.product == self.product, batches.c.kind == kind, batches.c.rows.is_not(None))
        with self.transaction() as connection:
            found = connection.execute(select(*columns).where(*whole).order_by(batches.c.at, batches.c.id))
            return [dict(row) for row in found.mappings()]

    def last(self, kind: str, before: str | None = None) -> Row | None:
        """The newest of a kind, as in `batches`; `before`: the newest that is older than what has this key."""
        found = self.batches(kind)
        known = [i for i, batch in enumerate(found) if batch["key"] == before]
        found = [batch for batch in found[: known[-1] if known else None] if batch["key"] != before]
        return found[-1] if found else None

    def scored(self, kind: str = DROP, *, labelled: bool | None = None, **of: Any) -> pd.DataFrame:
        """What was scored, with the labels that came later.

        With late labels, the label is that of the same client and date, the one that came last; otherwise it is the
        first one of the client that came after the scoring, in a later drop or sent.

        Args:
            kind: "drop" or "clients".
            labelled: only rows whose label has come (True), or has not (False).
            of: only batches of this `version`, `key` or `drop`.

        Returns:
            `version` and `key` (text), `drop` (int), `client` and `as_of` (text), `risk` and `gain` (float), `left`
            (boolean, missing where no label has come); by batch, client and date.
        """
        columns = ["client", "as_of", "risk", "gain", "left"]
        frames = []
        for batch in self.batches(kind):
            if any(batch[name] != wanted for name, wanted in of.items()):
                continue
            left = self._label(scores, batch).label("left")
            rows = select(scores.c.client, scores.c.as_of, scores.c.risk, scores.c.gain, left)
            rows = rows.where(scores.c.batch == batch["id"]).order_by(scores.c.client, scores.c.as_of)
            with self.transaction() as connection:
                frame = pd.DataFrame(connection.execute(rows).all(), columns=columns)
            if labelled is not None:
                frame = frame[frame["left"].notna() == labelled]
            for place, name in enumerate(("version", "key", "drop")):
                frame.insert(place, name, batch[name])
            frames.append(_typed(frame))
        empty = _typed(pd.DataFrame(columns=["version", "key", "drop", *columns]))
        return pd.concat(frames or [empty], ignore_index=True)

    def memory(self, clients: Iterable[str], *, before: str | None = None) -> pd.DataFrame | None:
        """What the last call list knew, for `changes.status`; None where there was none.

        Args:
            clients: those on the new list.
            before: the key of the new list, where it may be written already.

        Returns:
            `client`, `risk`, `gain`, `rank` (missing for who was not on the list) and `aside` (bool: ranked high
            enough, and was held out or snoozed): who was on the list, and of `clients` who was scored with it.
        """
        last = self.last(LIST, before)
        if last is None:
            return None
        aside = listed.c.status.in_([HELD_OUT, SNOOZED]).label("aside")
        on_list = select(listed.c.client, listed.c.risk, listed.c.gain, listed.c.rank, aside)
        above = listed.c.status.in_([*TO_CALL, HELD_OUT, SNOOZED])
        on_list = on_list.where(listed.c.batch == last["id"], above).order_by(listed.c.position)
        wanted = set(clients)
        with self.transaction() as connection:
            rows = [row for row in connection.execute(on_list) if not row.aside or row.client in wanted]
            batch = self._scores_of(connection, last)
            if batch is not None:
                known = {row.client for row in rows}
                found = select(scores.c.client, scores.c.risk, scores.c.gain).where(scores.c.batch == batch)
                for names in _few(sorted(wanted - known)):
                    rows += [(*row, None, False) for row in connection.execute(found.where(scores.c.client.in_(names)))]
        return _typed(pd.DataFrame(rows, columns=["client", "risk", "gain", "rank", "aside"]))

    def compared(self) -> pd.DataFrame:
        """Who stood above the cutoff of each list, and what became of them, for `effect.measure`.

        Of the lists issued on one day, the last counts. `left` is found as in `scored`.

        Returns:
            `period` (int, the list), `issued` (datetime64, its day), `client` (text), `held_out` (bool), `risk`,
            `value` (float) and `left` (boolean, missing where it is not known); by list and place.
        """
        columns = ["client", "status", "risk", "value", "left"]
        last_of_day = {batch["at"][:10]: batch for batch in self.batches(LIST)}
        frames = []
        for issued, batch in last_of_day.items():
            with self.transaction() as connection:
                scored = self._scores_of(connection, batch)
                # Without its scores, a list knows no dates: only the labels of rows without one can be found.
                dated = select(listed, scores.c.as_of).join_from(
                    listed, scores, and_(scores.c.batch == scored, scores.c.client == listed.c.client), isouter=True
                )
                above = listed.c.status.in_([*TO_CALL, HELD_OUT, SNOOZED])
                row = dated.where(listed.c.batch == batch["id"], above).subquery()
                rows = select(row.c.client, row.c.status, row.c.risk, row.c.value, self._label(row, batch))
                frame = pd.DataFrame(connection.execute(rows.order_by(row.c.position)).all(), columns=columns)
            frame.insert(0, "period", batch["id"])
            frame.insert(1, "issued", pd.Timestamp(issued).as_unit("us"))
            frame.insert(3, "held_out", frame.pop("status") == HELD_OUT)
            frames.append(_typed(frame))
        empty = _typed(pd.DataFrame(columns=["period", "issued", "client", "held_out", "risk", "value", "left"]))
        return pd.concat(frames or [empty], ignore_index=True)

    def known(self, clients: Iterable[str]) -> set[str]:
        """Which of these clients were ever scored."""
        found: set[str] = set()
        mine = select(batches.c.id).where(batches.c.product == self.product, batches.c.kind == CLIENTS)
        with self.transaction() as connection:
            for names in _few(clients):
                rows = select(scores.c.client).where(scores.c.batch.in_(mine), scores.c.client.in_(names))
                found.update(connection.execute(rows.distinct()).scalars())
        return found

    def snoozed(self, on: str) -> set[str]:
        """The clients who are not to be listed on a day (YYYY-MM-DD): snoozed until a later one, and nothing since."""
        later = contacts.alias()
        newer = select(later.c.at).where(
            *(later.c[name] == contacts.c[name] for name in ("product", "client", "kind")), later.c.at > contacts.c.at
        )
        rows = select(contacts.c.client).where(
            contacts.c.product == self.product,
            contacts.c.kind == "snoozed",
            contacts.c.until > on,
            ~newer.exists(),
        )
        with self.transaction() as connection:
            return set(connection.execute(rows).scalars())

    def _scores_of(self, connection: Any, issued: Row) -> int | None:
        """The batch of clients' scores that a list was made from."""
        of = {"product": self.product, "kind": CLIENTS, "version": issued["version"]}
        of["key"] = issued["key"].partition(TERMS)[0]
        return connection.execute(select(batches.c.id).filter_by(**of)).scalar()

    def _label(self, row: FromClause, batch: Row) -> ColumnElement[bool | None]:
        """The label that came for a row of a batch, see `scored`."""
        found = select(labels.c.left).where(labels.c.product == self.product, labels.c.client == row.c.client)
        if self.late_labels:
            found = found.where(labels.c.as_of == row.c.as_of)
            found = found.order_by(labels.c.at.desc(), labels.c.drop.desc().nulls_last(), labels.c.source)
        else:
            sent = labels.c.at > batch["at"]
            if batch["drop"] is not None:
                sent = or_(labels.c.drop > batch["drop"], and_(labels.c.drop.is_(None), sent))
            order = (labels.c.at, labels.c.drop.nulls_last(), labels.c.as_of.desc(), labels.c.source)
            found = found.where(sent).order_by(*order)
        return found.limit(1).correlate(row).scalar_subquery().label("left")


def _few(names: Iterable[str]) -> Iterable[list[str]]:
    """Names in portions that fit into a query."""
    names = list(names)
    return (names[start : start + FEW] for start in range(0, len(names), FEW))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The types that the columns have whatever stands in them."""
    types = {"version": "str", "key": "str", "drop": "Int64", "client": "str", "as_of": "str", "period": "int64"}
    types |= {"risk": "float64", "gain": "float64", "value": "float64", "rank": "Int64", "left": "boolean"}
    types |= {"held_out": "bool", "aside": "bool", "issued": "datetime64[us]"}
    return frame.astype({name: kind for name, kind in types.items() if name in frame})
