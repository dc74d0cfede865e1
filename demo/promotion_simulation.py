"""Simulate champions and challengers of known worth: how often one is promoted that should be, or should not be.

The true log-odds of a client are normal, 20% leave, and the best possible ROC AUC is .77. A model sees the log-odds
through noise and knows how much, so that its risks are calibrated. Part of the noise is common to all models: the risks
of two models correlate by about .9, as those of logistic regression and LightGBM do, or of logistic regression on
different months, in the streams of streams.py. The models are compared and the winner is chosen by the very functions
that a tick calls. Beside ours stands the rule: promote if one of them has the higher F1.
It takes two to five minutes.

    python demo/promotion_simulation.py [--pairs 1000] [--first-seed 100000]
"""

import argparse
import functools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import numpy as np
from prettytable import PrettyTable
from scipy.special import expit

from churn import measures
from churn.contest import comparison, promotion
from churn.contest.comparison import Scored
from churn.contest.promotion import Trial
from churn.settings import Promotion

STRENGTH, MEAN = 1.15, -1.720  # of the true log-odds: standard deviation and mean
COMMON = 0.3  # the share of the noise that all models have in common
NOISE = 0.2  # the variance of what an equal model adds to the true log-odds
WORSE, BETTER = 0.333, 0.1  # of a champion, and of a challenger whose average precision is .03 higher
POPULATION = 100_000
FIRST_SEED = 100_000  # smaller ones were used while the noise was chosen
TITLE = ("work", "the higher F1", "ours", "mean difference", "wanted")


@dataclass(frozen=True)
class Setting:
    """What is simulated: rows to compare on, the champion's noise and that of each challenger, and what is wanted."""

    rows: int
    champion: float
    challengers: tuple[float, ...]
    wanted: str = ""

    @property
    def words(self) -> str:
        """What it is, for the table."""
        kind = "equal models" if self.champion == self.challengers[0] else "better by .03 average precision"
        recipes = len(self.challengers)
        return f"{kind}, {self.rows:,} rows, {recipes} recipe{'s' if recipes > 1 else ''}"


SETTINGS = (
    *(Setting(rows, NOISE, (NOISE,) * recipes, "<= 5%") for rows in (500, 2000, 5000) for recipes in (1, 3)),
    *(
        Setting(rows, WORSE, (BETTER,) * recipes, ">= 90%" if rows == 5000 else "")
        for rows in (1000, 2000, 5000)
        for recipes in (1, 3)
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What a comparison came to: by our rule, by the higher F1, in words, and by how much the first one was better."""

    promoted: bool
    higher_f1: bool
    reason: str
    difference: float  # in average precision


def calibrated(seen: np.ndarray, noise: float) -> np.ndarray:
    """The chance of leaving given the log-odds as they are seen through noise of a variance, shape (rows,).

    By Gauss-Hermite quadrature over the true log-odds, which are normal given what is seen.
    """
    kept = STRENGTH**2 / (STRENGTH**2 + noise)
    points, weights = np.polynomial.hermite_e.hermegauss(15)
    mean, spread = MEAN + kept * (seen - MEAN), STRENGTH * np.sqrt(1 - kept)
    return sum(w * expit(mean + spread * x) for x, w in zip(points, weights / weights.sum(), strict=True))


def drawn(rows: int, noises: Sequence[float], seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Clients: their true probabilities, who left, and the risks by a model of each noise."""
    generator = np.random.default_rng(seed)
    odds = MEAN + STRENGTH * generator.standard_normal(rows)
    probability = expit(odds)
    left = generator.random(rows) < probability
    common = generator.standard_normal(rows)
    risks = []
    for noise in noises:
        own = generator.standard_normal(rows)
        error = np.sqrt(noise) * (np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own)
        risks.append(calibrated(odds + error, noise))
    return probability, left, risks


@functools.cache
def threshold(noise: float) -> float:
    """The threshold with the best F1 of a model, from many other clients."""
    _, left, (risk,) = drawn(POPULATION, [noise], [0])
    return measures.best_f1_threshold(left, risk)


def decide(setting: Setting, seed: int) -> Outcome:
    """One champion and its challengers on the same rows."""
    noises = (setting.champion, *setting.challengers)
    _, left, risks = drawn(setting.rows, noises, [seed, setting.rows, len(noises)])
    champion, *challengers = (Scored(risk, threshold(noise)) for risk, noise in zip(risks, noises, strict=True))
    trials = {
        recipe: Trial(comparison.compare(left, champion, challenger))
        for recipe, challenger in zip(promotion.RECIPES, challengers, strict=False)
    }
    winner, verdict = promotion.chosen(trials, Promotion(), rival="the champion")
    found = [trial.comparison for trial in trials.values()]
    higher = any(c.guard.difference > 0 for c in found)
    return Outcome(winner is not None, higher, verdict.reason, found[0].average_precision.difference)


def simulate(setting: Setting, seeds: Sequence[int]) -> list[Outcome]:
    """Many champions, each with its challengers."""
    return [decide(setting, seed) for seed in seeds]


def line(setting: Setting, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """A line of the table."""
    promoted, higher = (np.mean([getattr(o, name) for o in outcomes]) for name in ("promoted", "higher_f1"))
    few = np.mean([o.reason.endswith("too few rows to tell") for o in outcomes])
    ours = f"{promoted:.1%} promoted" + (f", {few:.1%} too few rows to tell" if few else "")
    difference = f"{np.mean([o.difference for o in outcomes]):+.4f}"
    return (f"{setting.words}: {len(outcomes):,} times", f"{higher:.1%}", ours, difference, setting.wanted)


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def promotion_pairs(self) -> int:
        """How many comparisons of each setting."""


def promotions(_scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """A part of demo/bench.py."""
    yield from lines(range(FIRST_SEED, FIRST_SEED + size.promotion_pairs))


def lines(seeds: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """The lines of the table, setting by setting."""
    for setting in SETTINGS:
        yield line(setting, simulate(setting, seeds))


def main(argv: list[str] | None = None) -> int:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="comparisons of each setting (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of the pairs (default: %(default)s)")
    options = parser.parse_args(argv)
    seeds = range(options.first_seed, options.first_seed + options.pairs)
    began = time.perf_counter()
    table = PrettyTable(TITLE, align="l")
    for shown in lines(seeds):
        table.add_row(shown)
        print("; ".join(text for text in shown if text), file=sys.stderr, flush=True)
    print(f"{options.pairs:,} comparisons a line, seeds from {seeds[0]}; {time.perf_counter() - began:.0f} s")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
