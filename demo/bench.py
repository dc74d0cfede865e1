"""Measure what is promised: speed beside other ways of doing the same, and how often the decisions are right.

Speed is given as ratios within one run, with both sides in turn; the decisions are simulated, on seeds that were not
used while the rules were chosen, beside simpler rules. Everything is made in a scratch folder and removed afterwards.
A line is shown as soon as it is known, all of them in a table at the end. On two processors that do nothing else, the
parts take about:

    full, drop, tick   5 minutes   ingestion and the idle tick, beside pandas
    drift              7 minutes   the drift check, beside Evidently (installed in an environment of its own)
    calls              1 minute    the call list, beside scoring the clients
    serving            8 minutes   predictions over HTTP, beside other servers (needs wrk; installs MLflow by itself)
    page               2 minutes   the page of a product with a million clients
    promotion          3 minutes   equal models, and better ones: how often they are promoted
    estimate          10 minutes   the estimated scores of rows without labels
    streams           70 minutes   1,550 streams of 24 monthly drops: false verdicts, true ones, F1, promotions

    python demo/bench.py [--quick] [--only PART ...]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import pandas as pd
from prettytable import PrettyTable

from demo import (
    bench_calls,
    bench_drift,
    bench_ingestion,
    bench_page,
    bench_serving,
    estimate_simulation,
    promotion_simulation,
    streams,
)

WIDEST = 44  # characters of a column


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    months: int  # files to ingest
    clients: int  # rows in each
    stores: tuple[int, ...]  # months stored when the small drop comes
    merged: int  # the one of them at which pandas does the same
    drop: int
    repeats: int
    files: int  # in the folder of the idle tick
    drift_rows: int
    drift_rounds: int
    peers: bool  # whether other systems are installed to measure beside them
    called: int  # clients to score and list
    call_rounds: int
    http_seconds: int  # that each server is asked in a round
    http_rounds: int
    shown: int  # clients on the page
    promotion_pairs: int  # comparisons of each setting
    estimate_rounds: int  # models of each kind
    designs: tuple[str, ...]  # kinds of model to serve, and to estimate scores with
    streams: Mapping[str, int] = field(repr=False)  # of each kind
    stream_drops: int
    workers: int


FULL = Size(
    months=25,
    clients=400_000,
    stores=(3, 8, 18, 25),
    merged=18,
    drop=10_000,
    repeats=5,
    files=500,
    drift_rows=1_000_000,
    drift_rounds=2,
    peers=True,
    called=10_000,
    call_rounds=7,
    http_seconds=8,
    http_rounds=2,
    shown=1_000_000,
    promotion_pairs=1000,
    estimate_rounds=50,
    designs=("logistic", "LightGBM"),
    streams={kind: 50 if kind == "flipped" else 300 for kind in streams.KINDS},
    stream_drops=streams.DROPS,
    workers=2,
)
QUICK = Size(
    months=4,
    clients=20_000,
    stores=(2, 4),
    merged=4,
    drop=1_000,
    repeats=1,
    files=20,
    drift_rows=20_000,
    drift_rounds=1,
    peers=False,
    called=1_000,
    call_rounds=2,
    http_seconds=1,
    http_rounds=1,
    shown=3_000,
    promotion_pairs=5,
    estimate_rounds=1,
    designs=("logistic",),
    streams={"none": 1, "relation": 1, "flipped": 1},
    stream_drops=5,
    workers=1,
)


def estimates(_scratch: Path, _files: list[Path], size: Size) -> Iterator[tuple[str, ...]]:
    """How far estimated scores are from what the labels then say."""
    first = estimate_simulation.FIRST_SEED
    return estimate_simulation.lines(range(first, first + size.estimate_rounds), size.designs)


@dataclass(frozen=True)
class Part:
    """One of the things that can be measured: what measures it, and the titles of its columns in the table."""

    lines: Callable[[Path, list[Path], Any], Iterator[tuple[str, ...]]]
    title: tuple[str, ...]
    monthly_files: bool = False  # whether it needs them


SPEED = ("work", "pandas, or other", "ours", "ratio", "wanted")
PARTS = {
    "full": Part(bench_ingestion.full, SPEED, monthly_files=True),
    "drop": Part(bench_ingestion.drop, SPEED, monthly_files=True),
    "tick": Part(bench_ingestion.tick, SPEED),
    "drift": Part(bench_drift.drift, ("drift", "Evidently", "ours", "ratio", "wanted")),
    "calls": Part(bench_calls.calls, ("call list", "scoring", "listing", "ratio", "wanted")),
    "serving": Part(bench_serving.serving, ("serving", "", "answers", "ratio", "wanted")),
    "page": Part(bench_page.page, ("page", "", "time", "", "wanted")),
    "promotion": Part(promotion_simulation.promotions, ("promotion", *promotion_simulation.TITLE[1:])),
    "estimate": Part(estimates, ("estimate", *estimate_simulation.TITLE[1:])),
    "streams": Part(streams.rules, ("streams", "other rules", "ours", "", "wanted")),
}


def measured(only: list[str], size: Size, scratch: Path, table: PrettyTable) -> list[str]:
    """Measure part after part into the table; the parts that failed. One that does costs none of the others."""
    wanted = any(PARTS[name].monthly_files for name in only)
    files = bench_ingestion.months(scratch / "months", size) if wanted else []
    failed = []
    for name in only:
        table.add_divider()
        table.add_row([PARTS[name].title[0].upper(), *PARTS[name].title[1:]], divider=True)
        try:
            for line in PARTS[name].lines(scratch, files, size):
                table.add_row(line)
                print("; ".join(text for text in line if text), file=sys.stderr, flush=True)
        except RuntimeError as error:
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
            table.add_row([f"failed: {str(error).splitlines()[-1]}", *[""] * 4])
            failed.append(name)
    return failed


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it works, not how fast or how well")
    choice = {"choices": list(PARTS), "default": list(PARTS), "metavar": "PART"}
    parser.add_argument("--only", nargs="+", **choice, help=f"what to measure, of: {', '.join(PARTS)}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Measure, and print a table; 1 when a part failed, 130 when it was interrupted."""
    options = arguments().parse_args(argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as churn/stage.py does, and for the same reason
    size = QUICK if options.quick else FULL
    table, code = PrettyTable(header=False, align="l", max_width=WIDEST), 0
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as scratch:
        try:
            code = 1 if measured(options.only, size, Path(scratch), table) else 0
        except KeyboardInterrupt:
            print("interrupted; what is known so far:", file=sys.stderr)
            code = 130
    print(f"pandas {pd.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores; seconds are of the clock")
    print(table)
    return code


if __name__ == "__main__":
    sys.exit(main())
