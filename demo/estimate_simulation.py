"""Simulate drops whose labels are late: how far their estimated scores are from what the labels then say.

In each round a model is fitted to 20,000 rows of a fabricated world, and drops that come after are estimated before
their labels are looked at: without drift, when the inputs drift, when more clients leave than the columns show, and
when the relation between columns and leaving changes with the fourth of six drops. There are two worlds: the corporate
clients of fabricate.py, which a logistic model does not do justice, and those of streams.py with twelve columns.
Beside ours stands the same estimate with probabilities learned from the rows that the model trained on, which is what
there is where nobody keeps out-of-fold scores. It takes about ten minutes.

    python demo/estimate_simulation.py [--rounds 50] [--first-seed 1000]
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import numpy as np
import pandas as pd
from prettytable import PrettyTable

from churn import estimators, measures, splits
from churn.columns import Columns
from churn.fitting import selection
from churn.monitoring import estimate, outcomes
from churn.monitoring.outcomes import Finding, Outcome
from demo import fabricate, streams

ROWS, DROP_ROWS = 20_000, 5_000
KINDS = {"none": "no drift", "inputs": "inputs drift", "rate": "more leave", "relation": "relation changes"}
DROPS = {"none": 3, "relation": 6}  # of the other kinds one
CHANGE = 4  # the drop with which the relation changes
FIRST_SEED = 1000  # smaller ones were used while the method was chosen
DESIGNS = {"logistic": estimators.Design("logistic"), "LightGBM": estimators.Design("lightgbm")}
TITLE = ("work", "learned in sample", "ours", "realised; said to be wrong", "wanted")
WANTED = {"none": "within 0.010, 90 to 99%", "relation": "said to be wrong"}


@dataclass(frozen=True)
class World:
    """Where rows come from: given kind of drift, seed and number of the drop (0: to train on), columns and label."""

    columns: Columns
    kinds: tuple[str, ...]
    rows: Callable[[str, int, int], tuple[pd.DataFrame, np.ndarray]]


def _since(kind: str) -> int:
    return CHANGE if kind == "relation" else 1


def _corporate(kind: str, seed: int, drop: int) -> tuple[pd.DataFrame, np.ndarray]:
    drift = fabricate.Drift(kind, since=1 + _since(kind)) if drop else fabricate.Drift()
    frame = fabricate.world(DROP_ROWS if drop else ROWS, 1 + drop, seed, drift)
    return frame, (frame["exited"] == 1).to_numpy()


def _twelve(kind: str, seed: int, drop: int) -> tuple[pd.DataFrame, np.ndarray]:
    before, size = ROWS // streams.ROWS, DROP_ROWS // streams.ROWS
    first = before + size * (drop - 1) if drop else 0
    world = dataclasses.replace(streams.world(kind, seed), since=before + size * (_since(kind) - 1))
    numbers = range(first, first + (size if drop else before))
    frame = pd.concat([world.drop(number) for number in numbers], ignore_index=True)
    return frame, frame["left"].to_numpy()


CORPORATE = Columns("exited", "1", "0", id="corporation", integer=fabricate.COLUMNS[1:4])
WORLDS = {
    "corporate": World(CORPORATE, ("none", "inputs", "rate", "relation"), _corporate),
    "twelve columns": World(streams.COLUMNS, ("none", "inputs", "relation"), _twelve),
}


def follow(world: World, design: estimators.Design, seed: int) -> Iterator[dict[str, Any]]:
    """Fit a model and estimate the drops of each kind: an entry a drop and metric."""
    frame, left = world.rows("none", seed, 0)
    groups = splits.groups(frame, world.columns)
    fitted = selection.fit(frame, left, world.columns, design, groups=groups, seed=seed, threads=1)
    log_odds = estimators.log_odds(fitted.model, frame)
    ours, in_sample = (estimate.calibrator(known, left) for known in (fitted.out_of_fold.log_odds, log_odds))
    for kind in world.kinds:
        past: list[Outcome] = []
        for drop in range(1, DROPS.get(kind, 1) + 1):
            frame, left = world.rows(kind, seed, drop)
            log_odds = estimators.log_odds(fitted.model, frame)
            known = {"log_odds": log_odds, "left": left, "threshold": fitted.threshold, "seed": seed, "drop": drop}
            finding, theirs = (_finding(calibrator, past, **known) for calibrator in (ours, in_sample))
            past += finding.outcomes if kind == "relation" else []  # elsewhere the interval is that of a new version
            for mine, other in zip(finding.outcomes, theirs.outcomes, strict=True):
                whole = {"kind": kind, "drop": drop, "wrong": finding.wrong, "sentence": finding.sentence}
                numbers = {"realised": mine.realised, "error": mine.error, "covered": mine.covered}
                beside = {"their_error": other.error, "their_covered": other.covered}
                yield {**whole, "metric": mine.metric, **numbers, **beside}


def _finding(
    calibrator: estimate.Calibrator,
    past: Sequence[Outcome],
    *,
    log_odds: np.ndarray,
    left: np.ndarray,
    threshold: float,
    seed: int,
    drop: int,
) -> Finding:
    """The estimate of a drop as it is shown, beside what its labels say."""
    shown = outcomes.widened(estimate.estimate(log_odds, threshold, calibrator, seed=seed), past)
    scores = measures.scores(left, calibrator.risks(log_odds), threshold)
    found = scores["f1"], scores["roc_auc"]
    return outcomes.judged(shown, *found, drop=str(drop), positives=scores["positives"], past=past)


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def estimate_rounds(self) -> int:
        """How many models of each kind."""


def estimates(_scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """A part of demo/bench.py."""
    yield from lines(range(FIRST_SEED, FIRST_SEED + size.estimate_rounds))


def lines(seeds: Sequence[int], designs: Sequence[str] = tuple(DESIGNS)) -> Iterator[tuple[str, ...]]:
    """Lines of the table, world by world and design by design; the last of each is what the log says."""
    for where, world in WORLDS.items():
        for name in designs:
            found = pd.DataFrame([line for seed in seeds for line in follow(world, DESIGNS[name], seed)])
            for kind in world.kinds:
                for metric in outcomes.METRICS:
                    drops = found[(found["kind"] == kind) & (found["metric"] == metric)]
                    yield _line(f"{outcomes.METRICS[metric]}, {KINDS[kind]} ({where}, {name})", kind, drops)
            said = found.loc[(found["kind"] == "relation") & (found["drop"] == CHANGE), "sentence"].iloc[0]
            yield ("", "", said, "", "")


def _line(what: str, kind: str, drops: pd.DataFrame) -> tuple[str, ...]:
    first = drops[drops["drop"] == CHANGE] if kind == "relation" else drops
    theirs = f"{first['their_error'].mean():+.3f}, covers {first['their_covered'].mean():.0%}"
    ours = f"{first['error'].mean():+.3f}, covers {first['covered'].mean():.0%}"
    if kind == "relation":
        after = drops[drops["drop"] > CHANGE].groupby("drop")["covered"].mean()
        ours += f", then {' and '.join(f'{share:.0%}' for share in after)}"
    said = f"{first['realised'].mean():.3f}; {first['wrong'].sum()} of {len(first)}"
    return (what, theirs, ours, said, WANTED.get(kind, ""))


def main(argv: list[str] | None = None) -> int:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="models of each kind (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of the rounds (default: %(default)s)")
    parser.add_argument("--designs", nargs="+", choices=list(DESIGNS), default=list(DESIGNS), help="what to fit")
    options = parser.parse_args(argv)
    seeds = range(options.first_seed, options.first_seed + options.rounds)
    began = time.perf_counter()
    table = PrettyTable(TITLE, align="l", max_width=56)
    for line in lines(seeds, options.designs):
        table.add_row(line)
        print("; ".join(text for text in line if text), file=sys.stderr, flush=True)
    print(
        f"{options.rounds} rounds, seeds {seeds[0]} to {seeds[-1]}, {ROWS:,} rows to train on, drops of {DROP_ROWS:,}; "
        f"mean of estimated less realised; {time.perf_counter() - began:.0f} s"
    )
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
