"""The access log: a line of JSON a request, without anything that a client sent."""

import contextlib
import fcntl
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from churn import storage
from churn.web.serving import places
from churn.web.serving.edge import METHODS, NOTED, NOWHERE

FILE = "access.jsonl"
LOOK_SECONDS = 1.0


class Lines:
    """A file that several processes append lines to; whichever finds it too long moves it to `<name>.1`.

    It stays open, for opening it costs more than writing to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._next_look = 0.0
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: it cannot be written.
        """
        if time.monotonic() >= self._next_look:
            with self._lock:
                self._follow()
        os.write(self._descriptor, f"{line}\n".encode())

    def _follow(self) -> None:
        """Look whether the file is still the one of that name, and whether it is too long."""
        if time.monotonic() < self._next_look:
            return  # another thread has just looked
        if self._descriptor < 0 or not self._is_there():
            self._open()
        if os.fstat(self._descriptor).st_size > storage.LOG_BYTES:
            with contextlib.suppress(BlockingIOError):  # another process is moving it
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_there():
                    os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
            self._open()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if self._descriptor < 0:
            self._descriptor = opened
        else:  # under the same number: another thread may be about to write
            os.dup2(opened, self._descriptor, inheritable=False)
            os.close(opened)


class Logger(GunicornLogger):
    """gunicorn's logger with an access log of our own: logs/access.jsonl, or stdout where CHURN_ACCESS_LOG is `-`."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self._lines = None if os.environ.get("CHURN_ACCESS_LOG") == "-" else Lines(places.log_folder() / FILE)
        self._failed_at = float("-inf")

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """Log an answer. A log that cannot be written is told of once a minute, and fails no request."""
        text = line(environ, int(resp.status[:3]), request_time.total_seconds(), resp.sent)
        try:
            if self._lines is None:
                os.write(1, f"{text}\n".encode())
            else:
                self._lines.write(text)
        except OSError as error:
            if time.monotonic() > self._failed_at + 60:
                self._failed_at = time.monotonic()
                self.error("the access log cannot be written: %s", error.strerror)


def line(environ: dict[str, Any], status: int, seconds: float, sent: int) -> str:
    """One answer as a line of JSON."""
    noted = environ.get(NOTED)
    found = vars(noted) if noted else {}
    method = environ.get("REQUEST_METHOD")
    at = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6]
    # Put together by hand, in a fifth of the time of a JSON encoder: none of these can hold a quote or a control sign.
    return (
        f'{{"at": "{at}Z", "request_id": "{found.get("request_id", "")}", '
        f'"method": "{method if method in METHODS else "other"}", "route": "{found.get("route", NOWHERE)}", '
        f'"status": {status}, "ms": {1000 * seconds:.3f}, "bytes": {sent}, "who": "{found.get("who", "")}", '
        f'"product": "{found.get("product", "")}", "version": "{found.get("model_version", "")}"}}'
    )
