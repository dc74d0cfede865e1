"""The database of a history: how it is reached, its tables made on first use, and its errors in words.

What the driver says is shown without statement and parameters, which hold clients, and the URL without its password.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite

from churn.config import Product
from churn.errors import DataError, HistoryError
from churn.history import tables

BUSY_SECONDS = 30.0  # how long a writer waits for another one
CONNECT_SECONDS = 10
CACHE_KIB = 32_768  # SQLite's pages in memory while a million scores are sorted in
READING_KIB = 2_048  # for each connection that reads; the system keeps pages in memory too
PREFIXES = ("sqlite:///", "sqlite+pysqlite:///")
DRIVERS = ("postgresql", "postgresql+psycopg")
FORM = "postgresql+psycopg://user:password@host/name, with @ : / ? # and % in the password as %40 %3A %2F %3F %23 %25"
WHERE_TO_MEND = "history_url in the config file, or CHURN_HISTORY_URL"

UNKEPT = "a client's name or a note holds a NUL or half a character, which no database keeps; write it without"

# What a driver says, in part, and what mends it.
BUSY = "another program has been writing to it for long; what is missing is written by the next run"
REMEDIES = {
    "database is locked": BUSY,
    "lock timeout": BUSY,
    "readonly database": "let this user write to the file and to its folder",
    "unable to open": "let this user write to the file and to its folder",
    "read-only transaction": "let this user write to it",
    "permission denied": "grant this user what it asks for",
    "is not a database": "move the file away; the next run begins a new one",
    "is malformed": "restore a copy of the file, or move it away; the next run begins a new one",
    "disk is full": "make room on the disk",
    "no space left": "make room on the disk",
}


@dataclass(frozen=True)
class Base:
    """What reading and writing share: whose history it is and where it lies."""

    product: str
    late_labels: bool
    engine: Engine
    where: str  # for messages

    @contextlib.contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        """A connection for one transaction, its errors in words.

        Raises:
            HistoryError: the database cannot be used.
        """
        with explained(self.where), self.engine.execution_options(writes=writes).begin() as connection:
            yield connection


def open_engine(product: Product) -> tuple[Engine, str]:
    """The database of a product, with its tables, and its name for messages.

    Raises:
        HistoryError: it cannot be reached, is no such database, or was written by a newer version of this system.
    """
    engine, where = _engine(product)
    try:
        with explained(where):
            _make_tables(engine, where)
    except BaseException:
        engine.dispose()
        raise
    return engine, where


def _engine(product: Product) -> tuple[Engine, str]:
    prefix = next((prefix for prefix in PREFIXES if product.history.startswith(prefix)), None)
    if prefix:
        path = product.config_path.parent / product.history.removeprefix(prefix)
        engine = _sqlite(path)
        where = str(path)
    else:
        url = _postgresql_url(product.history)
        where = url.set(query={}).render_as_string(hide_password=True)
        engine = _postgresql(url)
    event.listen(engine, "begin", _begin)
    return engine, where


def _sqlite(path: Path) -> Engine:
    if path.is_dir() or path.name in ("", ":memory:"):
        raise HistoryError(f"{path}: is no file that could hold the history; mend {WHERE_TO_MEND}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # clients stand in it: for this user alone
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror}; let this user write to the folder") from None
    # Without an isolation level, transactions begin where `_begin` says, not at the first change.
    options = {"timeout": BUSY_SECONDS, "isolation_level": None}
    url = URL.create("sqlite", database=str(path))  # from its parts: a path may hold what means something in a URL
    return create_engine(url, connect_args=options, hide_parameters=True)


def _postgresql_url(given: str) -> URL:
    try:
        url = make_url(given)
    except (exc.ArgumentError, ValueError):
        url = None
    # A second @ belongs to a password; what stands before it must not be shown as the host that is not found.
    if url is None or not url.database or "@" in f"{url.host}{url.database}":
        raise HistoryError(f"the history's URL is not of the form {FORM}; mend {WHERE_TO_MEND}")
    if url.drivername not in DRIVERS:
        raise HistoryError(
            f"the history cannot be kept in {url.drivername!r}: give a URL of the form {FORM}, "
            f"or sqlite:///path/to/history.sqlite; mend {WHERE_TO_MEND}"
        )
    return url


def _postgresql(url: URL) -> Engine:
    options = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"), connect_args=options, hide_parameters=True, pool_pre_ping=True
        )
    except ImportError as error:
        raise HistoryError(f"PostgreSQL's driver is missing ({error}); run: make run") from None


def _begin(connection: Connection) -> None:
    """Begin a transaction: at once as a writer where it will write, and waiting for other writers only so long."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(BUSY_SECONDS * 1000)}")
    elif connection.get_execution_options().get("writes"):
        connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"PRAGMA cache_size = -{READING_KIB}")  # given back after a write
        connection.exec_driver_sql("BEGIN")


def _make_tables(engine: Engine, where: str) -> None:
    """Make the tables where there are none; refuse those of a newer version."""
    with engine.begin() as connection:
        stored = _stored_schema(connection)
    if stored is None:
        with engine.execution_options(writes=True).begin() as connection:
            if engine.dialect.name == "postgresql":  # two that begin at once: the second waits, and finds them made
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('churn_schema'))"))
            tables.metadata.create_all(connection)
            stored = _stored_schema(connection)
            if stored is None:
                connection.execute(tables.schema.insert().values(version=tables.SCHEMA))
                stored = tables.SCHEMA
    if stored > tables.SCHEMA:
        raise HistoryError(
            f"{where}: its tables are of version {stored}, and this program knows {tables.SCHEMA}: "
            "a newer one wrote them; update this one"
        )


def _stored_schema(connection: Connection) -> int | None:
    if not inspect(connection).has_table(tables.schema.name):
        return None
    return connection.execute(select(tables.schema.c.version)).scalar()


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what the database cannot do into an error that the user can fix; what only a bug causes stays as it is."""
    try:
        yield
    except UnicodeEncodeError:
        raise DataError(UNKEPT) from None
    except exc.DBAPIError as error:
        said = " ".join(str(error.orig).split())
        if "(0x00)" in said:
            raise DataError(UNKEPT) from None
        remedy = next((mends for part, mends in REMEDIES.items() if part in said.lower()), None)
        unreachable = error.statement is None or isinstance(error, exc.OperationalError | exc.InternalError)
        if not (remedy or unreachable):
            raise
        raise HistoryError(f"{where}: {said}; {remedy or f'start it, or mend {WHERE_TO_MEND}'}") from None


def insert(connection: Connection, table: tables.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert statement that can say what to do about rows which are there, in the words of the database at hand."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
