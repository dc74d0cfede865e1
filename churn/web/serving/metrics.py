"""GET /metrics: the counts of all workers, and what the files say of the products now, for Prometheus."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from churn import decisions, drift, health, record, releases, storage
from churn.errors import ChurnError
from churn.web.guard.access import READ, scope
from churn.web.served import Site, site

api = Blueprint("metrics", __name__)

OUTCOMES = ("done", "fixable", "bug", "stopped")  # as runs.jsonl has them
VERDICTS = {drift.OK: 0, drift.WARNING: 1, drift.DRIFTED: 2}


@api.get("/metrics")
@scope(READ)
def metrics() -> Response:
    """Requests, latencies, predictions, and each product's last run, drift, release and data, for Prometheus."""
    files = CollectorRegistry()
    files.register(Files(site()))
    return Response(site().counters.text() + generate_latest(files), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Files(Collector):
    """What the files of all products say at this moment; what a file does not say is left out."""

    def __init__(self, asked: Site) -> None:
        self._products = [served.product for served in asked.products.values()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        age = GaugeMetricFamily("churn_last_tick_age_seconds", "Since the last tick began.", labels=["product"])
        outcome = GaugeMetricFamily(
            "churn_last_tick_outcome", "1 for how the last tick ended.", labels=["product", "outcome"]
        )
        verdict = GaugeMetricFamily(
            "churn_drift", "The newest verdict: 0 fine, 1 a warning, 2 drifted.", labels=["product"]
        )
        release = GaugeMetricFamily("churn_release_info", "The release in production.", labels=["product", "version"])
        waiting = GaugeMetricFamily("churn_rows_waiting", "Rows without a label so far.", labels=["product"])
        aside = GaugeMetricFamily("churn_files_quarantined", "Files set aside as unfit.", labels=["product"])
        for product in self._products:
            name = product.name
            if run := health.last_run(product):
                age.add_metric([name], max(0.0, time.time() - datetime.fromisoformat(run["at"]).timestamp()))
                for known in OUTCOMES:
                    outcome.add_metric([name, known], float(run["outcome"] == known))
            judged = next(storage.last_lines(product.models / decisions.JUDGEMENTS), None)
            if judged and judged.get("verdict") in VERDICTS:
                verdict.add_metric([name], VERDICTS[judged["verdict"]])
            with contextlib.suppress(ChurnError, OSError):
                release.add_metric([name, releases.current(product).name], 1)
            with contextlib.suppress(ChurnError, OSError):
                known_drops = record.load_record(product)
                waiting.add_metric([name], known_drops.waiting)
                aside.add_metric([name], len(known_drops.quarantined))
        yield from (age, outcome, verdict, release, waiting, aside)
