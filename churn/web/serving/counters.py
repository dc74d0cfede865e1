"""What is counted while requests are answered: how many, how fast, and what was predicted; for Prometheus.

Under gunicorn every worker counts into files of its own, in the folder that PROMETHEUS_MULTIPROC_DIR names, and
whichever is asked adds them up; elsewhere the counts are this process's. No label holds what a client sent.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from churn.web.serving.edge import METHODS

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
DECILES = tuple(f"{i / 10:.1f}-{(i + 1) / 10:.1f}" for i in range(10))


class Counters:
    """The counts of one app. To look a label up costs more than to count, so each is looked up once."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("churn_http_requests", "Requests answered.", ["route", "method", "status"], **made)
        self._seconds = Histogram(
            "churn_http_request_seconds", "Time to the answer.", ["route"], buckets=SECONDS, **made
        )
        self._predictions = Counter("churn_predictions", "Rows predicted.", ["product", "version"], **made)
        self._risks = Counter("churn_prediction_risk", "Rows predicted, by risk.", ["product", "decile"], **made)
        self._answered: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._predicted: dict[tuple[str, str], tuple[Any, list[Any]]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer."""
        try:
            requests, histogram = self._answered[route, method, status]
        except KeyError:
            known = method if method in METHODS else "other"
            requests, histogram = self._requests.labels(route, known, str(status)), self._seconds.labels(route)
            if known == method:
                self._answered[route, method, status] = requests, histogram
        requests.inc()
        histogram.observe(seconds)

    def predicted(self, product: str, version: str, risks: Sequence[float]) -> None:
        """Count predictions, by product and version and by risk."""
        try:
            rows, deciles = self._predicted[product, version]
        except KeyError:
            rows = self._predictions.labels(product, version)
            deciles = [self._risks.labels(product, decile) for decile in DECILES]
            self._predicted[product, version] = rows, deciles
        if len(risks) == 1:  # nearly always, and then plain Python is quicker
            deciles[min(int(risks[0] * 10), 9)].inc()
        else:
            counts = np.bincount(np.minimum(np.array(risks) * 10, 9).astype(int), minlength=10)
            for i in np.flatnonzero(counts):
                deciles[i].inc(int(counts[i]))
        rows.inc(len(risks))

    def text(self) -> bytes:
        """Everything counted, by all workers, as Prometheus reads it."""
        if not os.environ.get(FOLDER):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
