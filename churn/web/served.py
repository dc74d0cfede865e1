"""What the app holds for each product: its release in production and its history, shared by a worker's threads."""

import itertools
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from flask import abort, current_app, g, request

from churn.config import Product
from churn.history.store import History, connect
from churn.web.guard.tokens import Tokens
from churn.web.serving.counters import Counters
from churn.web.serving.production import Production, Serving

EXTENSION = "churn"


@dataclass(frozen=True)
class Commands:
    """What the app may do besides reading; app.py gives it, for rooms of churn/ import no script."""

    # Go back from a version of a product, and why; False where that is not in production any more.
    roll_back: Callable[[Product, str, str], bool]


@dataclass
class Served:
    """One product as it is served."""

    product: Product
    production: Production
    _book: History | None = field(default=None, init=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def book(self) -> History:
        """The product's history, opened on first use.

        Raises:
            HistoryError: the database cannot be used.
        """
        with self._opening:
            if self._book is None:
                self._book = connect(self.product)
            return self._book


@dataclass(frozen=True)
class Site:
    """All that a request may need of the app."""

    products: Mapping[str, Served]
    commands: Commands
    tokens: Tokens
    hosts: Collection[str]  # the names under which it answers
    counters: Counters
    large_work: threading.RLock = field(default_factory=threading.RLock)  # one at a time bounds a worker's memory
    long_work: threading.Lock = field(default_factory=threading.Lock)  # threads that take turns at it are slower
    _name: str = field(default_factory=lambda: secrets.token_hex(6))
    _requests: Iterator[int] = field(default_factory=itertools.count)

    def new_request_id(self) -> str:
        """A name for a request that no other has, of this app or of another worker's."""
        return f"{self._name}-{next(self._requests)}"


def site() -> Site:
    """The site of the app that answers this request."""
    return current_app.extensions[EXTENSION]


def product(name: str | None) -> Served:
    """The product of a name; the only one where none is named. 400 and 404 where that is not to be told."""
    known = site().products
    if name is None and len(known) > 1:
        abort(400, f"say which product: ?product=NAME with one of {', '.join(known)}")
    found = known.get(name) if name is not None else next(iter(known.values()))
    if found is None:
        abort(404, f"no such product; there is {', '.join(known)}")
    return found


def asked() -> tuple[Served, Serving]:
    """The product that the request asks about (?product=), and the release that answers it, once a request.

    Raises:
        ReleaseError: nothing can serve.
    """
    found = product(request.args.get("product") if request.query_string else None)
    return found, answering(found)


def answering(found: Served) -> Serving:
    """The release that answers this request; the answer's header names it."""
    g.product = found.product.name
    release = found.production.release()
    g.model_version = release.version
    return release
