"""The tables of the history, the same in SQLite and in PostgreSQL.

What comes in bulk (the scores of all clients, the labels of a drop, a call list) has one row in `churn_batches`,
which counts its rows once all of them are in; without that count it does not exist for a reader. Every table's
primary key is natural or leads to the batch's, so that writing twice adds nothing. That it does lead there is no
foreign key, which would double the time of a million scores. Names start with `churn_`, because a PostgreSQL database
may be shared.
"""

import json
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator

SCHEMA = 1  # the version of these tables; a database of a newer one is refused

# Compared by their bytes, so that equal rows come in an equal order from either database.
Name = Text().with_variant(Text(collation="C"), "postgresql")


class Time(TypeDecorator):
    """A moment in UTC, to the second; text as `2026-01-31T06:10:00Z`, as every record of this system has it."""

    impl = DateTime(timezone=True).with_variant(sqlite.DATETIME(truncate_microseconds=True), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> datetime | None:
        """Text to what the database stores; SQLite has no time zones."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Any) -> str | None:
        """What the database stored to text."""
        if value is None:
            return None
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Json(TypeDecorator):
    """Lists and objects, as the text that JSON has for them: the same bytes in either database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """A value to JSON."""
        return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        """JSON to a value."""
        return None if value is None else json.loads(value)


metadata = MetaData()

schema = Table("churn_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

batches = Table(
    "churn_batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("product", Name, nullable=False),
    Column("kind", Name, nullable=False),  # clients | drop (both: scores) | labels | list
    Column("version", Name, nullable=False),  # whose scores; "" for labels
    Column("key", Name, nullable=False),  # what data it is about
    Column("drop", Integer),  # the newest drop that was known then
    Column("at", Time, nullable=False),
    Column("rows", Integer),  # how many; none until all are in
    UniqueConstraint("product", "kind", "version", "key"),
)

scores = Table(
    "churn_scores",
    metadata,
    Column("batch", Integer, primary_key=True, autoincrement=False),
    Column("client", Name, primary_key=True),
    Column("as_of", Name, primary_key=True),  # the row's date; "" where the product has none
    Column("risk", Double, nullable=False),
    Column("gain", Double),  # expected, of a call; none for the rows of a drop
    Column("rank", Integer),  # by risk, 1 is most at risk; none for the rows of a drop
    sqlite_with_rowid=False,
)
# A page of the ranked clients is read, and a name among a million looked for, in the index alone.
Index(
    "churn_scores_ranked",
    scores.c.batch,
    scores.c.rank,
    scores.c.risk,
    scores.c.gain,
    sqlite_where=scores.c.rank.is_not(None),
    postgresql_where=scores.c.rank.is_not(None),
    postgresql_include=["client", "as_of"],
)

labels = Table(
    "churn_labels",
    metadata,
    Column("product", Name, primary_key=True),
    Column("client", Name, primary_key=True),
    Column("as_of", Name, primary_key=True),
    Column("source", Name, primary_key=True),  # the key of its batch, or who sent it
    Column("left", Boolean, nullable=False),
    Column("drop", Integer),  # which drop brought it; none when it was sent otherwise
    Column("at", Time, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "churn_labels_sent",
    labels.c.product,
    labels.c.at,
    sqlite_where=labels.c.drop.is_(None),
    postgresql_where=labels.c.drop.is_(None),
)

contacts = Table(
    "churn_contacts",
    metadata,
    Column("product", Name, primary_key=True),
    Column("client", Name, primary_key=True),
    Column("at", Time, primary_key=True),
    Column("kind", Name, primary_key=True),  # called | noted | snoozed
    Column("outcome", Text),
    Column("note", Text),
    Column("by", Text),
    Column("until", Name),  # the day (YYYY-MM-DD) from which a snoozed client may be listed again
    sqlite_with_rowid=False,
)
Index("churn_contacts_recent", contacts.c.product, contacts.c.at)
Index("churn_contacts_snoozed", contacts.c.product, contacts.c.kind, contacts.c.until)

metrics = Table(
    "churn_metrics",
    metadata,
    Column("product", Name, primary_key=True),
    Column("drop", Integer, primary_key=True, autoincrement=False),
    Column("version", Name, primary_key=True),
    Column("kind", Name, primary_key=True),  # realised | estimated
    Column("name", Name, primary_key=True),  # f1, roc_auc, ...
    Column("value", Double),
    Column("lower", Double),  # of its 95% interval
    Column("upper", Double),
    Column("rows", Integer),
    Column("at", Time, nullable=False),
    sqlite_with_rowid=False,
)

verdicts = Table(
    "churn_verdicts",
    metadata,
    Column("product", Name, primary_key=True),
    Column("drop", Integer, primary_key=True, autoincrement=False),
    Column("version", Name, primary_key=True),
    Column("kind", Name, primary_key=True),  # drift | promotion | rollback
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("numbers", Json),
    Column("at", Time, nullable=False),
    sqlite_with_rowid=False,
)

listed = Table(
    "churn_listed",
    metadata,
    Column("batch", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),  # from 1, as the list was written
    Column("client", Name, nullable=False),
    Column("status", Name, nullable=False),  # entered | stayed (both: to call) | held out | snoozed | removed
    Column("rank", Integer),  # on the list, from 1; none for who is not on it
    Column("risk", Double),  # none for who is no client any more
    Column("value", Double),
    Column("gain", Double),
    Column("why", Text),
    Column("reasons", Json),  # a list of {column, words, part}
    UniqueConstraint("batch", "client"),
    sqlite_with_rowid=False,
)


def day(value: Any) -> str:
    """A date or its text as these tables have it: YYYY-MM-DD, "" for none."""
    if isinstance(value, date):
        return value.isoformat()[:10] if value == value else ""  # noqa: PLR0124  a missing date is not itself
    return value if isinstance(value, str) else ""
