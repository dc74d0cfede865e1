"""A thread that follows the link of every product, so that no request waits for a new release to load."""

import logging
import threading
from collections.abc import Iterable

from churn.web.serving.production import Production

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25


class Watcher:
    """Follows the links until it is told to stop; one a worker process, begun after the fork."""

    def __init__(self, watched: Iterable[Production]) -> None:
        self._watched = list(watched)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin; from now on no request loads a release, unless there is none at all."""
        self._thread.start()
        for production in self._watched:
            production.watched = True

    def stop(self) -> None:
        """End it; requests look for themselves again."""
        for production in self._watched:
            production.watched = False
        self._stop.set()
        self._thread.join(5)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for production in self._watched:
                try:
                    production.follow()
                except Exception:  # noqa: BLE001  whatever it is, the next look may find it mended
                    logger.exception("%s: the release in production cannot be followed", production.product.name)
