"""One product's release in production: loaded once, shared by all threads, followed when the link moves."""

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from churn import releases
from churn.config import Product
from churn.errors import ChurnError, ReleaseError
from churn.releases import Release
from churn.web.serving.scorer import Scorer

logger = logging.getLogger(__name__)

RETRY_SECONDS = 10.0  # how long a release that could not be loaded is left alone


@dataclass(frozen=True)
class Serving(Release):
    """A release that serves, with what scores rows as they come over HTTP: no request is to wait for that."""

    scorer: Scorer


@dataclass(frozen=True)
class Place:
    """Where the link pointed; inode and time tell a folder that was made anew under the same name."""

    folder: Path
    inode: int
    mtime_ns: int


@dataclass(frozen=True)
class Failure:
    """A release that could not be loaded, and until when (monotonic seconds) not to try again."""

    place: Place
    message: str
    until: float


class Production:
    """One product's release in production: loaded once, shared by all threads, followed when the link moves.

    While a new release loads, and when it cannot be loaded, the old one goes on serving. Where the link is watched
    (see churn/web/serving/watching.py) no request loads a new one; elsewhere the first that finds the link moved does.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self.watched = False
        self._held: tuple[Place, Serving] | None = None
        self._failure: Failure | None = None
        self._loading = threading.Lock()

    def release(self) -> Serving:
        """The release for one request, which keeps it to its end.

        Raises:
            NoRelease: nothing is in production.
            ReleaseError: what is there cannot be loaded, and there is no older one to go on with.
        """
        held = self._held
        if held and (self.watched or held[0] == self._look()):
            return held[1]
        if not self._loading.acquire(blocking=held is None):
            return held[1]  # another thread is loading the new one
        try:
            return self._follow()
        finally:
            self._loading.release()

    def follow(self) -> None:
        """Look where the link points now and load that, unless it serves already; what is wrong is told elsewhere."""
        with contextlib.suppress(ReleaseError), self._loading:
            if self._held is None or self._held[0] != self._look():
                self._follow()

    def problem(self) -> str | None:
        """Why what is in production now is not what serves; None when it does."""
        try:
            place, failure = self._look(), self._failure
        except ReleaseError as error:
            return str(error)
        return failure.message if failure and failure.place == place else None

    def _look(self) -> Place:
        try:
            folder = releases.current(self.product)
        except OSError as error:
            name, reason = self.product.name, error.strerror
            message = f"{name}: production has no readable link ({reason}); run: python deployment.py --product {name}"
            raise ReleaseError(message) from None
        try:
            facts = os.stat(folder)
        except OSError:
            return Place(folder, 0, 0)  # a link to nothing: loading it says so
        return Place(folder, facts.st_ino, facts.st_mtime_ns)

    def _follow(self) -> Serving:
        """Load what the link points at, under the lock; the old release when that fails."""
        for last_try in (False, True):
            place, failure = self._look(), self._failure
            if self._held and self._held[0] == place:  # by the thread that this one waited for
                return self._held[1]
            if failure and failure.place == place and time.monotonic() < failure.until:
                break
            try:
                release = _for_serving(releases.load(place.folder))
            except Exception as error:  # noqa: BLE001  whatever is wrong with the new one, the old one goes on
                if not last_try and self._look() != place:
                    continue  # it was replaced, and pruned, while it was being read
                self._failed(place, error)
                break
            self._held, self._failure = (place, release), None
            logger.info("%s: serving %s", self.product.name, release.version)
        if self._held is None:
            raise ReleaseError(self._failure.message)
        return self._held[1]

    def _failed(self, place: Place, error: Exception) -> None:
        serving = f"{self._held[1].version} goes on serving" if self._held else "there is no other to serve"
        message = (
            f"{self.product.name}: version {place.folder.name} is in production but cannot be loaded (the log says "
            f"why); {serving}; go back with: python deployment.py --product {self.product.name} --rollback"
        )
        if self._failure is None or self._failure.place != place:  # once, however often it is tried again
            logger.error("%s: %s", message, error, exc_info=not isinstance(error, ChurnError))
        self._failure = Failure(place, message, time.monotonic() + RETRY_SECONDS)


def _for_serving(release: Release) -> Serving:
    estimator = release.model.named_steps["estimator"].estimator_
    if hasattr(estimator, "booster_"):
        estimator.set_params(n_jobs=1)  # requests run side by side already: more threads inside one only cost
    return Serving(**vars(release), scorer=Scorer(release.model, release.columns))
