"""Measure making the call list beside scoring the clients, both as a tick does them, and the parts that are their own.

A whole step reads the rows and the release and writes to the history too; its own part begins with the rows in memory:
the risks and clients.csv on one side, whom to call with reasons and both files of the list on the other. This is a
part of demo/bench.py.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

import deployment
import ingestion
import reporting
import scoring
import training
from churn import clients, config, estimators, releases, sheet
from churn.calls import calllist, changes, reasons
from churn.config import Product
from churn.fitting import contributions
from churn.monitoring import profile
from demo import fabricate
from demo.bench_ingestion import CORPORATE, PATHS

KINDS = {"logistic": "logistic", "lightgbm": "LightGBM"}
POLICY = {"value": "number_of_employees", "contact_cost": 1.0}
WANTED = "<= 3"
Step = Callable[[], object]


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def called(self) -> int:
        """How many clients are scored."""

    @property
    def call_rounds(self) -> int:
        """How often both sides are measured; the best time counts."""


def calls(scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """Time both sides for each kind of model."""
    for kind, name in KINDS.items():
        product = deployed(scratch / kind, kind, size.called)
        listed = f"{product.settings.capacity:,} of {size.called:,} clients to call, {name}"
        whole = lambda p=product: (lambda: scoring.score_clients(p), lambda: reporting.call_list(p))  # noqa: E731
        for what, sides in (("the whole steps", whole()), ("without reading and history", own_parts(product))):
            score, call = in_turn(size.call_rounds, *sides)
            ratio = f"{call / score:.1f} x as long"
            yield (f"{listed}, beside scoring them: {what}", f"{score:.3f} s", f"{call:.3f} s", ratio, WANTED)


def deployed(folder: Path, kind: str, rows: int) -> Product:
    """A product with a model in production and the month that came after it."""
    block = CORPORATE | POLICY | {"model": kind, "capacity": rows * 3 // 100}
    folder.mkdir(parents=True)
    path = folder / "config.json"
    path.write_text(json.dumps(PATHS | {"products": {"corporate": block}}))
    product = config.load(path)["corporate"]
    product.test.mkdir(parents=True)

    def month(number: int) -> None:
        frame = fabricate.world(rows, number, 0, fabricate.Drift())
        fabricate.save(frame, product.source / fabricate.file_name("corporate", number))
        ingestion.ingest(product)

    month(1)
    training.train(product)
    scoring.score_version(product)
    deployment.deploy(product, releases.versions(product)[-1], why="for the benchmark")
    scoring.score_clients(product)
    reporting.call_list(product)
    month(2)
    return product


def own_parts(product: Product) -> tuple[Step, Step]:
    """Scoring and listing with everything they read in memory."""
    folder, columns = releases.current(product), product.columns
    release, now = releases.load(folder), clients.current(product)
    typical = profile.typical(releases.read_profile(folder))
    before = now[["corporation"]].rename(columns={"corporation": "client"})
    risk = estimators.risks(release.model, now)
    memory = before.assign(risk=risk[::-1], gain=risk[::-1], rank=np.nan, aside=False)
    memory.loc[: product.settings.capacity, "rank"] = np.arange(1.0, product.settings.capacity + 2)

    def score() -> None:
        found = now.assign(risk=estimators.risks(release.model, now))
        sheet.write(found.sort_values("risk", ascending=False, kind="stable"), product.reports / "clients.csv")

    def call() -> None:
        choice = calllist.choose(now, risk, product.settings, columns, release.threshold)
        rows = now.iloc[choice.listed]
        why = reasons.reasons(contributions.contributions(release.model, rows)[0], rows, typical, columns)
        status = changes.status(choice, columns, memory)
        sheet.csv(calllist.table(choice, columns, why, status, release.version))
        sheet.csv(changes.changes(choice, columns, status, memory))

    return score, call


def in_turn(rounds: int, *sides: Step) -> list[float]:
    """The least time of each side, run one after the other again and again."""
    took: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, times in zip(sides, took, strict=True):
            began = time.perf_counter()
            side()
            times.append(time.perf_counter() - began)
    return [min(times) for times in took]
