"""What the app asks of a request, and reads for it: the release in production, and files in the data folders."""

import contextlib
import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from churn import releases
from churn.config import Product
from churn.errors import ChurnError, ReleaseError
from churn.releases import Release

logger = logging.getLogger(__name__)

MAX_ROWS = 10_000  # in one request
RETRY_SECONDS = 10.0  # how long a release that could not be loaded is left alone
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


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


class PredictionRequest(BaseModel):
    """The body of POST /prediction: a file's path, or the rows themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset_path: str | None = Field(None, max_length=1024)
    rows: list[dict[str, Any]] | None = Field(None, max_length=MAX_ROWS, fail_fast=True)

    @model_validator(mode="after")
    def _one_of_two(self) -> "PredictionRequest":
        if (self.dataset_path is None) == (self.rows is None):
            raise ValueError("send either dataset_path or rows")
        return self


class Production:
    """One product's release in production: loaded once, shared by all threads, followed when the link moves.

    While a new release loads, and when it cannot be loaded, the old one goes on serving.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._held: tuple[Place, Release] | None = None
        self._failure: Failure | None = None
        self._loading = threading.Lock()

    def release(self) -> Release:
        """The release for one request, which keeps it to its end.

        Raises:
            NoRelease: nothing is in production.
            ReleaseError: what is there cannot be loaded, and there is no older one to go on with.
        """
        place, held = self._look(), self._held
        if held and held[0] == place:
            return held[1]
        if not self._loading.acquire(blocking=held is None):
            return held[1]  # another thread is loading the new one
        try:
            return self._follow()
        finally:
            self._loading.release()

    def problem(self) -> str | None:
        """Why what is in production now is not what serves; None when it does."""
        failure = self._failure
        return failure.message if failure and failure.place == self._look() else None

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

    def _follow(self) -> Release:
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
        logger.error("%s: %s", message, error, exc_info=not isinstance(error, ChurnError))
        self._failure = Failure(place, message, time.monotonic() + RETRY_SECONDS)


def _for_serving(release: Release) -> Release:
    """Requests run side by side already: more threads inside one of them only cost."""
    estimator = release.model.named_steps["estimator"].estimator_
    if hasattr(estimator, "booster_"):
        estimator.set_params(n_jobs=1)
    return release


def open_data(product: Product, path: str) -> int | None:
    """Open a CSV inside the product's data folders for reading; None when there is none, whatever the reason.

    Args:
        path: relative to the config's folder, or to one of the product's data folders. Below those the way is opened
            component by component and no link is followed, so that nothing outside is ever touched.

    Returns:
        The descriptor, which the caller closes.
    """
    parts = path.split("/")
    if not parts[-1].lower().endswith(".csv") or any(not part or part.startswith(".") for part in parts):
        return None
    for folder, way in _ways(product, parts):
        try:
            return _open_below(folder, way)
        except ValueError:  # a name that no file system takes, as one with a NUL
            return None
        except OSError as error:
            if error.errno not in ABSENT:  # the client is not told, the operator is
                logger.warning("%s: a data file could not be opened: %s", product.name, error.strerror)
    return None


def _ways(product: Product, parts: Sequence[str]) -> Iterator[tuple[Path, Sequence[str]]]:
    """The data folders that a path may start from, each with what is left of the path below it."""
    home = product.config_path.parent
    for folder in (product.test, product.source, product.ingested):
        named = folder.relative_to(home).parts if folder.is_relative_to(home) else ()
        if named and tuple(parts[: len(named)]) == named and len(parts) > len(named):
            yield folder, parts[len(named) :]
        yield folder, parts


def _open_below(folder: Path, way: Sequence[str]) -> int:
    # O_NONBLOCK: opening a pipe that nobody writes to must not hang the request.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.ExitStack() as opened:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in way[:-1]:
            opened.callback(os.close, here)
            here = os.open(name, flags | os.O_DIRECTORY, dir_fd=here)
        opened.callback(os.close, here)
        descriptor = os.open(way[-1], flags, dir_fd=here)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return descriptor
