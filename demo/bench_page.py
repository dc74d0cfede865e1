"""Measure the page of a product with very many clients: how long each view takes, and how much memory a worker.

The clients are scored and listed as every night; then the server, as `make serve` starts it, is asked for each view in
turn, one request at a time. This is a part of demo/bench.py.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

import deployment
import ingestion
import reporting
import scoring
import training
from churn import config
from churn.config import Product
from demo import bench_servers as servers
from demo import fabricate
from demo.bench_ingestion import CORPORATE, PATHS

HOME = Path(__file__).resolve().parent.parent
FILE, LISTED, TRAINED = "clients.csv", 2_000, 5_000
PORT = 18_900
VIEWS = {
    "Today, the first time": "",
    "Today": "",
    "Today, page 20": "?page=20",
    "Today, by client": "?sort=client.up",
    "Today, searched": "?q=ab",
    "all clients": "clients",
    "all clients, page 2": "clients?page=2",
    "all clients, page 10,000": "clients?page=10000",
    "all clients, of one band": "clients?band=medium",
    "all clients, searched": "clients?q=qzx",
    "a client": "clients/{client}",
    "the model": "model",
    "releases": "releases",
    "data": "data",
}
WANTED = "< 300 ms"


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def shown(self) -> int:
        """How many clients the product has."""

    @property
    def call_rounds(self) -> int:
        """How often each view is asked for; the median counts, and the worst is shown."""


def page(scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """A line a view, then one for the memory of the workers."""
    product = installed(scratch / "page", size.shown)
    variables = {"CHURN_CONFIG": str(product.config_path), "CHURN_TOKENS_FILE": str(scratch / "page" / "none")}
    command = [sys.executable, "-m", "gunicorn", "--workers", str(servers.WORKERS)]
    side = servers.Side("the page", command, HOME, variables=variables)
    with servers.started(scratch, side, PORT) as (address, process), servers.session() as session:
        session.get(f"{address}/readyz").raise_for_status()
        before, pages = memory(process), f"{address}/products/{product.name}/"
        client = session.get(f"{address}/clients?limit=1").json()["clients"][0]["client"]
        for name, path in VIEWS.items():
            rounds = 1 if name.endswith("first time") else size.call_rounds
            took = pd.Series([seconds(session, pages + path.format(client=client)) for _ in range(rounds)])
            ratio = f"{1000 * took.median():.0f} ms, {1000 * took.max():.0f} at most"
            yield (f"{size.shown:,} clients: {name}", "", ratio, "", WANTED)
        after = memory(process)
    grown = (f"{before} MB at first", f"{after} MB at the end", "", "bounded")
    yield (f"{size.shown:,} clients: memory of the largest worker", *grown)


def installed(folder: Path, count: int) -> Product:
    """A product with a release, and very many clients that have been scored and listed twice."""
    folder.mkdir()
    path = folder / "config.json"
    block = CORPORATE | {"model": "logistic", "clients_path": FILE, "capacity": min(LISTED, count // 10)}
    path.write_text(json.dumps(PATHS | {"products": {"corporate": block}}))
    product = config.load(path)["corporate"]
    fabricate.save(fabricate.world(TRAINED, 1, 0, fabricate.Drift()), product.source / "rows.csv")
    fabricate.save(many(count, 2), folder / FILE)
    ingestion.ingest(product)
    training.train(product)
    scoring.score_version(product)
    deployment.deploy(product, why="for the benchmark")
    scoring.score_clients(product)
    reporting.report(product)
    fabricate.save(many(count, 3), folder / FILE)
    scoring.score_clients(product)
    reporting.report(product)
    return product


def many(count: int, month: int) -> pd.DataFrame:
    """A month of any number of clients; the names of the world are given again with another number after them."""
    blocks = []
    for number, first in enumerate(range(0, count, fabricate.NAMES)):
        block = fabricate.world(min(fabricate.NAMES, count - first), month, number, fabricate.Drift())
        blocks.append(block.assign(corporation=block["corporation"] + f"-{number}"))
    return pd.concat(blocks, ignore_index=True)


def seconds(session: Any, address: str) -> float:
    """How long an answer takes, to its last byte."""
    began = time.perf_counter()
    session.get(address).raise_for_status()
    return time.perf_counter() - began


def memory(master: Any) -> int:
    """Megabytes that the largest worker of a server has in memory, shared ones included."""
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
    known = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{child}/status").read_text()) for child in children]
    return max(int(found[1]) for found in known if found) // 1024
