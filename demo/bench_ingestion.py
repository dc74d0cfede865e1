"""Measure ingestion and the idle tick beside what plain pandas code takes, as ratios within one run.

Every figure is of a whole process, from its start to its end, with both sides in turn. The pandas code is what
public pipelines of this kind do at every tick: read every file, concatenate, drop duplicates, write all of it.
These are parts of demo/bench.py.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from demo import fabricate

HOME = Path(__file__).resolve().parent.parent

PANDAS = """
import os, sys
import pandas as pd
folder, out = sys.argv[1:]
frames = [pd.read_csv(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
pd.concat(frames).drop_duplicates().to_csv(out, index=False)
"""
MEMORY_LIMIT_MB = 512
PATHS = {
    "input_folder_path": "source",
    "output_folder_path": "ingested",
    "test_data_path": "test",
    "output_model_path": "models",
    "prod_deployment_path": "production",
}
CORPORATE = {
    "id": "corporation",
    "target": "exited",
    "positive": "1",
    "integer": ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
    "settle_seconds": 0,
    "package_check_days": 0,
    "memory_limit_mb": MEMORY_LIMIT_MB,
    "model": "logistic",
    "tuning_seconds": 0.0,
}


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def months(self) -> int:
        """How many files are ingested."""

    @property
    def clients(self) -> int:
        """Rows in each of them."""

    @property
    def stores(self) -> tuple[int, ...]:
        """How many of them are stored when the small drop comes, time after time."""

    @property
    def merged(self) -> int:
        """The one of `stores` at which pandas does the same."""

    @property
    def drop(self) -> int:
        """Rows in the small drop."""

    @property
    def repeats(self) -> int:
        """How often the sides take their turn."""

    @property
    def files(self) -> int:
        """Files in the folder of the idle tick."""


@dataclass(frozen=True)
class Run:
    """What a process took."""

    seconds: float
    peak_mb: float


def run(*command: str | Path) -> Run:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([str(part) for part in command], stdout=said, stderr=said, cwd=HOME)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command}: exit code {process.returncode}\n{said.read().decode()}")
    return Run(seconds, usage.ru_maxrss / 1024)


def in_turn(repeats: int, *sides: Callable[[], Run]) -> list[list[Run]]:
    """Run the sides one after the other, again and again; the runs of each. A round before that is not counted."""
    rounds = [[side() for side in sides] for _ in range(repeats + 1)][1:]
    return [list(runs) for runs in zip(*rounds, strict=True)]


def median(runs: list[Run]) -> float:
    """The median of the seconds."""
    return statistics.median(run.seconds for run in runs)


def months(folder: Path, size: Sized) -> list[Path]:
    """Monthly files in which about three rows of a hundred also stand in the month before."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths, before = [], None
    for month in range(1, size.months + 1):
        frame = fabricate.world(size.clients, month, 0, fabricate.Drift())
        if before is not None:
            again = generator.choice(size.clients, size.clients * 3 // 100, replace=False)
            frame.iloc[again] = before.iloc[again]
        before = frame
        paths.append(folder / fabricate.file_name("corporate", month))
        fabricate.save(frame, paths[-1])
    return paths


class Site:
    """A scratch installation with one product."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, folder / "source" / "corporate"
        self.source.mkdir(parents=True)
        (folder / "test").mkdir()
        config = PATHS | {"logs_folder_path": "logs", "reports_folder_path": "reports"}
        (folder / "config.json").write_text(json.dumps(config | {"products": {"corporate": CORPORATE}}))

    def run(self, script: str) -> Run:
        """Run one of the scripts on it."""
        return run(sys.executable, HOME / script, "--config", self.folder / "config.json")

    def pandas(self) -> Run:
        """Do with pandas what ingestion does."""
        return run(sys.executable, "-c", PANDAS, self.source, self.folder / "pandas.csv")

    def forget(self) -> None:
        """Make all files of the source new again."""
        shutil.rmtree(self.folder / "ingested", ignore_errors=True)

    @property
    def rows(self) -> int:
        """The rows in finaldata.csv."""
        return _lines(self.folder / "ingested" / "corporate" / "finaldata.csv") - 1


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))


# ---- what is measured ------------------------------------------------------------------------------------------------


def full(scratch: Path, files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """Ingest everything, with the CSV export, beside pandas; and within which memory."""
    site = Site(scratch / "full")
    for path in files:
        os.link(path, site.source / path.name)

    def ours() -> Run:
        site.forget()
        return site.run("ingestion.py")

    theirs, own = in_turn(max(1, size.repeats // 2), site.pandas, ours)
    # pandas takes a client called "null" for no name at all, so its rows are not quite ours; their number is.
    same = "the same rows" if _lines(site.folder / "pandas.csv") - 1 == site.rows else "OTHER ROWS"
    rows = size.months * size.clients
    yield _line(f"ingest {rows:,} rows anew ({same}: {site.rows:,})", median(theirs), median(own), ">= 2, aim 3")
    peak, their_peak = (max(run.peak_mb for run in runs) for runs in (own, theirs))
    limit = f"<= {MEMORY_LIMIT_MB + 150} MB"
    yield ("peak memory of that", f"{their_peak:,.0f} MB", f"{peak:,.0f} MB", f"{their_peak / peak:.1f}", limit)


def drop(scratch: Path, files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """Ingest a small drop as the store grows, and beside pandas at one size."""
    site = Site(scratch / "drop")
    waiting = list(files)
    seeds = iter(range(1, 1000))

    def arrive() -> None:
        seed = next(seeds)
        frame = fabricate.world(size.drop, 1, seed, fabricate.Drift(), first_client=size.clients // 2)
        fabricate.save(frame, site.source / f"drop-{seed}.csv")

    def ours() -> Run:
        arrive()
        return site.run("ingestion.py")

    for stored in size.stores:
        for path in waiting[: stored - (len(files) - len(waiting))]:
            os.link(path, site.source / path.name)
            waiting.remove(path)
        site.run("ingestion.py")
        what = f"{size.drop:,} rows onto {site.rows:,}"
        if stored == size.merged:
            theirs, own = in_turn(size.repeats, ours, site.pandas)[::-1]
            yield _line(what, median(theirs), median(own), ">= 30, aim 60")
        else:
            (own,) = in_turn(size.repeats, ours)
            yield (what, "", f"{median(own):.2f} s", "", "")


def tick(scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """A tick that finds nothing new, beside the start of Python itself."""
    site = Site(scratch / "tick")
    frame = fabricate.world(40 * size.files, 1, 0, fabricate.Drift())
    for i, part in enumerate(np.array_split(np.arange(len(frame)), size.files)):
        fabricate.save(frame.iloc[part], site.source / f"part-{i:04}.csv")
    for _ in range(3):  # until nothing is pending
        site.run("fullprocess.py")
    start, idle = in_turn(
        8 * size.repeats, lambda: run(sys.executable, "-c", "pass"), lambda: site.run("fullprocess.py")
    )
    ratio = median(idle) / median(start)
    what = f"a tick with nothing new, {size.files} files there, beside python -c pass"
    yield (what, f"{median(start):.4f} s", f"{median(idle):.4f} s", f"{ratio:.2f} x as long", "<= 4, aim 2")


def _line(what: str, theirs: float, ours: float, wanted: str) -> tuple[str, ...]:
    return (what, f"{theirs:.2f} s", f"{ours:.2f} s", f"{theirs / ours:.1f} x as fast", wanted)
