"""Writing the history: whatever is written twice, or again after a kill, is there once."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Table, or_, select, update

from churn.errors import DataError
from churn.history.database import UNKEPT, Base, insert
from churn.history.tables import batches, contacts, day, labels, listed, metrics, scores, verdicts

Row = Mapping[str, Any]
CHUNK = 20_000  # rows of a transaction: few enough that readers of an SQLite file never wait long
CLIENTS, DROP, LABELS, LIST = "clients", "drop", "labels", "list"  # the kinds of batches
TERMS = ":"  # in the key of a list: what comes before it is the key of its scores
ODD = re.compile("[\0\ud800-\udfff]")  # NUL, for which PostgreSQL has no place, and halves of characters


class Writing(Base):
    """The half of a history that writes. Times (`at`) are text, UTC, as `stage.utc_now` gives them.

    Batches (scores, the labels of a drop, lists) are seen by readers once they are whole: what a failed or killed
    call left behind is completed when it is made again. Each method returns the number of rows that it added or
    changed, and raises HistoryError when the database cannot be used, DataError when text holds what none can keep.
    """

    def write_scores(
        self, version: str, key: str, frame: pd.DataFrame, *, at: str, drop: int | None = None, kind: str = CLIENTS
    ) -> int:
        """Keep the risks that a version gave; 0 where this version's for this key are there.

        Args:
            version: whose risks.
            key: what the rows are: equal keys mean equal rows, as the hash of the data does.
            frame: `client` (text), `risk` (float in [0, 1]), and perhaps `as_of` (dates or text) and `gain` (float).
            at: when they were given.
            drop: the newest drop that was known then.
            kind: "clients": all current clients, one row each, who are ranked by risk, equal risks in the frame's
                order; "drop": the rows of that drop; of a client's rows of one date the last counts.
        """
        risk = frame["risk"].to_numpy(np.float64)
        if not ((risk >= 0) & (risk <= 1)).all():
            raise DataError(f"{self.product}: risks of {version} are not numbers from 0 to 1; train another version")
        names, dates = _keys(frame)
        order = _order(names, dates)
        kept = np.sort(
            np.array(order, dtype=np.int64)
        )  # of a client that comes twice the last counts: ranks have no gaps
        ranks = np.empty(len(risk), dtype=np.int64)
        ranks[kept[np.argsort(-risk[kept], kind="stable")]] = np.arange(1, len(kept) + 1)
        gains = frame["gain"].to_numpy(np.float64) if "gain" in frame else np.full(len(risk), math.nan)

        def row(i: int) -> Row:
            rank = int(ranks[i]) if kind == CLIENTS else None
            known = {"risk": float(risk[i]), "gain": _number(gains[i]), "rank": rank}
            return {"client": names[i], "as_of": dates[i], **known}

        header = {"kind": kind, "version": version, "key": key, "at": at, "drop": drop}
        return self._write_batch(header, scores, order, row)

    def write_labels(self, key: str, frame: pd.DataFrame, *, at: str, drop: int) -> int:
        """Keep the labels that a drop brought; 0 where they are there.

        Args:
            key: the drop, by its content.
            frame: `client` (text), `left` (bool) and perhaps `as_of`; of a client's rows of one date the last counts.
            at: when the drop was ingested.
            drop: its number.
        """
        names, dates = _keys(frame)
        left = frame["left"].to_numpy(bool)
        shared = {"product": self.product, "source": key, "drop": drop, "at": at}

        def row(i: int) -> Row:
            return shared | {"client": names[i], "as_of": dates[i], "left": bool(left[i])}

        header = {"kind": LABELS, "version": "", "key": key, "at": at, "drop": drop}
        return self._write_batch(header, labels, _order(names, dates), row)

    def write_list(self, version: str, key: str, rows: Sequence[Row], *, at: str, drop: int | None = None) -> int:
        """Keep a call list as it was issued; 0 where this version's for this key is there.

        Args:
            version, key, at, drop: those of `write_scores`, by which the list finds its scores; the key may be followed
                by TERMS and what else made the list, so that another list of the same scores is kept beside it.
            rows: in order, a client once: `client`, `status` (entered or stayed, which both mean to call; held out or
                snoozed, for who would have been called; removed, for who came off the list), and perhaps `rank`,
                `risk`, `value`, `gain`, `why` and `reasons` (a list of column, words and part).
        """
        empty = {column.name: None for column in listed.c if column.name not in ("batch", "position")}

        def row(i: int) -> Row:
            return {**empty, **_plain(rows[i]), "position": i + 1}

        header = {"kind": LIST, "version": version, "key": key, "at": at, "drop": drop}
        return self._write_batch(header, listed, range(len(rows)), row)

    def write_outcomes(self, rows: Iterable[Row], *, source: str = "sent") -> int:
        """Keep labels that came otherwise than in a drop, a later one of a client and date in place of an earlier.

        Args:
            rows: `client`, `as_of` (the date it is about; "" for none), `left` (bool) and `at`.
            source: who sent them.
        """
        shared = {"product": self.product, "source": source, "drop": None}
        return self._upsert(labels, [shared | dict(row) for row in rows], kept={"at"})

    def write_contacts(self, rows: Iterable[Row]) -> int:
        """Keep what was done about clients; a client, time and kind is one contact, later words in place of earlier.

        Args:
            rows: `client`, `at`, `kind` (called, noted or snoozed), and perhaps `outcome`, `note`, `by` and `until`
                (for snoozed: the day, YYYY-MM-DD, from which the client may be listed again).
        """
        empty = dict.fromkeys(("outcome", "note", "by", "until"))
        return self._upsert(contacts, [{"product": self.product, **empty, **row} for row in rows])

    def write_metrics(self, rows: Iterable[Row]) -> int:
        """Keep scores of versions on drops; another value takes the place of the one before.

        Args:
            rows: `drop` (number), `version`, `kind` (realised or estimated), `name` (f1, roc_auc, ...), `value`
                (float; None where it is undefined), `at`, and perhaps `lower` and `upper` (of the 95% interval) and
                `rows` (on how many).
        """
        empty = dict.fromkeys(("lower", "upper", "rows"))
        return self._upsert(metrics, [{"product": self.product, **empty, **row} for row in rows], kept={"at"})

    def write_verdicts(self, rows: Iterable[Row]) -> int:
        """Keep what was decided; another verdict on the same drop and version takes the place of the one before.

        Args:
            rows: `drop` (number), `version` (of which it is), `kind` (drift, promotion or rollback), `verdict`,
                `reason`, `at`, and perhaps `numbers` (what JSON can hold).
        """
        return self._upsert(verdicts, [{"product": self.product, "numbers": None, **row} for row in rows], kept={"at"})

    def _write_batch(self, header: Row, table: Table, order: Sequence[int], row: Callable[[int], Row]) -> int:
        """Write the rows of a batch in chunks, each a transaction, and its count with the last."""
        header = {"product": self.product, **header}
        _check([header])
        with self.transaction(writes=True) as connection:
            connection.execute(insert(connection, batches).on_conflict_do_nothing(), header)
            of = {name: header[name] for name in ("product", "kind", "version", "key")}
            batch, whole = connection.execute(select(batches.c.id, batches.c.rows).filter_by(**of)).one()
        if whole is not None:
            return 0
        link = {"batch": batch} if "batch" in table.c else {}
        for start in range(0, len(order) or 1, CHUNK):
            rows = [link | dict(row(i)) for i in order[start : start + CHUNK]]
            _check(rows)
            with self.transaction(writes=True) as connection:
                if rows:
                    connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)
                if start + CHUNK >= len(order):
                    connection.execute(update(batches).where(batches.c.id == batch).values(rows=len(order)))
        return len(order)

    def _upsert(self, table: Table, rows: Sequence[Row], kept: Iterable[str] = ()) -> int:
        """Add rows, or change those of the same primary key.

        Args:
            kept: columns that change only together with others.
        """
        if not rows:
            return 0
        rows = [_plain(row) for row in rows]
        _check(rows)
        names = [column.name for column in table.primary_key]
        # In the order of the key: two writers that wait for each other in PostgreSQL would wait forever.
        rows = sorted(rows, key=lambda row: [row[name] for name in names])
        with self.transaction(writes=True) as connection:
            statement = insert(connection, table)
            changing = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
            differs = [table.c[name].is_distinct_from(new) for name, new in changing.items() if name not in kept]
            statement = statement.on_conflict_do_update(index_elements=names, set_=changing, where=or_(*differs))
            return connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount


def _keys(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The clients of a frame, and the dates of its rows ("" for none), as text."""
    dates = [day(value) for value in frame["as_of"].tolist()] if "as_of" in frame else [""] * len(frame)
    return frame["client"].to_numpy(object), np.array(dates, dtype=object)


def _order(names: np.ndarray, dates: np.ndarray) -> list[int]:
    """The rows in the order of the primary key, in which a database takes them in faster; of equal keys the last."""
    order = np.argsort(dates, kind="stable")
    order = order[np.argsort(names[order], kind="stable")]
    same = (names[order][1:] == names[order][:-1]) & (dates[order][1:] == dates[order][:-1])
    return order[np.append(~same, True)[: len(order)].astype(bool)].tolist()


def _plain(row: Row) -> dict[str, Any]:
    """A row without numpy's types and NaN."""
    return {name: _number(value) if isinstance(value, float | np.generic) else value for name, value in row.items()}


def _number(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _check(rows: Iterable[Row]) -> None:
    """Refuse text that no database keeps: with NUL, which PostgreSQL has no place for, or that is not Unicode.

    Raises:
        DataError: there is some.
    """
    text = "\n".join(value for row in rows for value in row.values() if isinstance(value, str))
    if ODD.search(text):
        raise DataError(UNKEPT)
