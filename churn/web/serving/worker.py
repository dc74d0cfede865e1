"""gunicorn's threaded worker, so that clients that send or read slowly hold up nobody but themselves.

A connection that says nothing waits in the poller and takes no thread. A request whose client is slow takes one of
many threads, and for a limited time. And a worker does not listen to a network without any token.
"""

import contextlib
import ipaddress
import json
import os
import secrets
import socket
import time
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import util
from gunicorn.errors import AppImportError
from gunicorn.http import errors
from gunicorn.workers import gthread

from churn.web.serving.edge import REQUEST_HEADER, UNSTORED

THREADS = 256  # nearly all of them idle; one costs some 100 KB once it was needed
LOOK_SECONDS = 0.5
REQUEST_SECONDS = 30.0  # from a request's first byte to the last byte of its answer
# What is said to a client whose request is none; all else that it sent wrong is 400.
STATUS: dict[type[Exception], tuple[int, str]] = {
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
    errors.UnsupportedTransferCoding: (501, "Not Implemented"),
}


class Worker(gthread.ThreadWorker):
    """One process with many threads; see the module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limit = float(os.environ.get("CHURN_REQUEST_SECONDS") or REQUEST_SECONDS)
        self._began: dict[gthread.TConn, float] = {}
        self._next_look = 0.0

    def load_wsgi(self) -> None:
        """Load the app, unless it would be open to a network without a token."""
        super().load_wsgi()
        reachable = [address for address in map(outside, self.sockets) if address]
        if reachable and self.wsgi.extensions["churn"].tokens.none_yet():
            raise AppImportError(
                f"{', '.join(reachable)} can be reached from other machines and there is no token: make one with "
                "python app.py --new-token, or bind to 127.0.0.1"
            )

    def handle(self, conn: gthread.TConn) -> Any:
        """Answer one request, or send the connection back to the poller where none has begun to come."""
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(0):
            return gthread._DEFER  # noqa: SLF001
        self._began[conn] = time.monotonic()
        try:
            going_on = super().handle(conn)
            if not going_on:
                conn.close(graceful=True)  # it may linger: not in the main thread, where all others would wait for it
            return going_on
        finally:
            del self._began[conn]

    def finish_request(self, conn: gthread.TConn, fs: "Future[Any]") -> None:
        """Keep or drop the connection, in the main thread."""
        outcome = None if fs.cancelled() or fs.exception() else fs.result()
        if not outcome:
            self.nr_conns -= 1
            conn.close()
        elif outcome is gthread._DEFER and not self.alive:  # noqa: SLF001
            # Accepted just before this worker was told to stop: its request may be on the way.
            conn.sock.setblocking(False)
            conn.timeout = time.monotonic() + gthread.STOP_KEEPALIVE_LINGER
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Close the connections on which nothing came, and those of requests that take too long."""
        super().murder_pending()
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for conn, began in list(self._began.items()):
            if now - began > self._limit:
                with contextlib.suppress(OSError):  # it is gone already
                    conn.sock.shutdown(socket.SHUT_RDWR)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a request that is none, or that failed before or after the app; the log repeats nothing of it."""
        request_id = secrets.token_hex(8)
        if isinstance(exc, errors.ParseException):
            status, reason = next((STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS), (400, "Bad Request"))
            self.log.info("a request that is none (%s): %s", request_id, type(exc).__name__)
        else:
            status, reason = 500, "Internal Server Error"
            self.log.error("a bug outside the app (request %s)", request_id, exc_info=exc)
        with contextlib.suppress(OSError):  # the client need not be there any more
            util.write_nonblock(client, _whole_answer(status, reason, request_id))


def _whole_answer(status: int, reason: str, request_id: str) -> bytes:
    body = json.dumps({"error": {"status": status, "message": reason, "request_id": request_id}})
    headers = [*UNSTORED, (REQUEST_HEADER, request_id), ("Content-Type", "application/json")]
    headers += [("Content-Length", str(len(body))), ("Connection", "close")]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n{body}".encode()


def outside(listener: Any) -> str | None:
    """The address of a listener that other machines can reach; None for loopback and Unix sockets."""
    name = listener.sock.getsockname()
    if listener.sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    address = ipaddress.ip_address(name[0].partition("%")[0])
    return None if address.is_loopback else f"{name[0]} port {name[1]}"
