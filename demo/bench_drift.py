"""Measure the drift check of a large drop beside Evidently's data drift preset, both in one run and in turns.

Ours compares the drop with a stored profile, Evidently with the rows that the profile is of. Each runs in a process
and an environment of its own (Evidently's is made in a scratch folder, which takes about a minute and 1 GB from PyPI),
on the same fabricated rows: 14 numbers and 6 categories, of which 3 and 1 have shifted. The rows are in memory
before the clock starts. It takes about seven minutes.

    python demo/bench_drift.py [--quick]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent

PEER = ("evidently>=0.7,<0.8", "pandas<3.1")
INSTALL_SECONDS = 600
CHECK_SECONDS = 1800
WANTED = ">= 40"

# What both sides run first; argument: the number of rows.
FRAMES = """
import json, sys, time
import numpy as np
import pandas as pd

rows = int(sys.argv[1])
numbers, categories = [f"number_{i}" for i in range(14)], [f"category_{i}" for i in range(6)]

def frame(seed, shift):
    generator = np.random.default_rng(seed)
    made = {}
    for i, name in enumerate(numbers):
        by = shift if i in (0, 4, 8) else 0.0
        value = generator.normal(by, 1, rows)
        made[name] = [value, np.exp(value), np.floor(np.exp(value + 1)), np.where(value < 0, np.nan, value)][i % 4]
    for i, name in enumerate(categories):
        levels = np.array([f"level {j}" for j in range(2 + 3 * i)])
        weights = 1.0 / np.arange(1, len(levels) + 1) ** (1 + shift * (i == 3))
        made[name] = levels[generator.choice(len(levels), rows, p=weights / weights.sum())].tolist()
    return pd.DataFrame(made).astype(dict.fromkeys(categories, "str"))

before, now = frame(1, 0.0), frame(2, 0.7)
"""
OURS = """
import scipy.stats
from churn.monitoring import profile
from churn.columns import Columns

columns = Columns("left", "1", "0", numeric=tuple(numbers), categorical=tuple(categories))
began = time.perf_counter()
stored = json.dumps(profile.build(before, columns))
built = time.perf_counter()
found = profile.shifts(json.loads(stored), now)
seconds = time.perf_counter() - built
shifted = [shift.column for shift in found if shift.psi > 0.1 and shift.p_value < 0.001 / len(found)]
print(json.dumps({"seconds": seconds, "build": built - began, "bytes": len(stored), "shifted": sorted(shifted)}))
"""
THEIRS = """
import evidently
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

columns = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
began = time.perf_counter()
sides = [Dataset.from_pandas(side, data_definition=columns) for side in (now, before)]
found = Report([DataDriftPreset()]).run(*sides).dict()
seconds = time.perf_counter() - began
drifts = [metric for metric in found["metrics"] if "column" in metric["config"]]
shifted = [drift["config"]["column"] for drift in drifts if drift["value"] > drift["config"]["threshold"]]
print(json.dumps({"seconds": seconds, "version": evidently.__version__, "shifted": sorted(shifted)}))
"""


@dataclass(frozen=True)
class Size:
    """How much is measured: the rows on each side, how often, and whether beside Evidently."""

    drift_rows: int
    drift_rounds: int
    peers: bool


def environment(folder: Path) -> Path:
    """Make an environment with Evidently; its Python.

    Raises:
        RuntimeError: it cannot be installed here; the last line that was said is in the message.
    """
    python = folder / "bin" / "python"
    for command in ([sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *PEER]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not installed within {INSTALL_SECONDS} seconds") from None
        if done.returncode:
            raise RuntimeError(_reason(done.stderr))
    return python


def check(python: Path | str, side: str, rows: int) -> dict[str, Any]:
    """Run one side once in a process of its own; what it measured.

    Raises:
        RuntimeError: it failed, or took too long.
    """
    command = [str(python), "-P", "-W", "ignore", "-c", FRAMES + side, str(rows)]
    path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")])) if side is OURS else ""
    variables = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=variables, timeout=CHECK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done within {CHECK_SECONDS} seconds") from None
    if done.returncode:
        raise RuntimeError(_reason(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def drift(scratch: Path, _files: list[Path], size: Size) -> Iterator[tuple[str, ...]]:
    """Check a drop of 20 columns against a stored profile, beside Evidently's preset against the rows themselves."""
    ours, theirs, trouble, python = [], [], "", None
    try:
        python = environment(scratch / "evidently") if size.peers else None
    except RuntimeError as error:
        trouble = f"Evidently cannot be installed: {error}"
    for _ in range(size.drift_rounds):
        ours.append(check(sys.executable, OURS, size.drift_rows))
        if python and not trouble:
            try:
                theirs.append(check(python, THEIRS, size.drift_rows))
            except RuntimeError as error:
                trouble = f"Evidently failed: {error}"
    yield from _lines(ours, theirs, trouble, size.drift_rows)


def _lines(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], trouble: str, rows: int
) -> Iterator[tuple[str, ...]]:
    own, build = (min(side[key] for side in ours) for key in ("seconds", "build"))
    found = ours[0]["shifted"]
    what = f"drift check of {rows:,} rows x 20 columns ({len(found)} have shifted"
    if theirs:
        peer = min(side["seconds"] for side in theirs)
        same = "the same ones" if found == theirs[0]["shifted"] else "OTHER ONES"
        what += f", {same}; Evidently {theirs[0]['version']})"
        yield (what, f"{peer:.2f} s", f"{own:.2f} s", f"{peer / own:.1f} x as fast", WANTED)
        both = own + build
        yield ("the same, making the profile included", f"{peer:.2f} s", f"{both:.2f} s", f"{peer / both:.1f} x", "")
    else:
        yield (f"{what})", trouble, f"{own:.2f} s", "", WANTED)
    yield ("size of that profile", "", f"{ours[0]['bytes'] / 1000:.0f} kB", "", "<= 50 kB")


def _reason(said: str) -> str:
    """The line of an error output that says what is wrong."""
    lines = said.strip().splitlines() or ["no reason given"]
    return next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])


def main(argv: list[str] | None = None) -> int:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows and without Evidently: whether it works")
    options = parser.parse_args(argv)
    size = Size(20_000, 1, peers=False) if options.quick else Size(1_000_000, 2, peers=True)
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as scratch:
        for line in drift(Path(scratch), [], size):
            print("; ".join(text for text in line if text), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
