"""Streams of monthly drops from known laws: 8 numbers and 4 categories, 20% churn, a best possible ROC AUC of .77.

Every stream is a law of its own. What changes in it, and when, is known, so that it can be told whether it was found.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from churn.columns import Columns

KINDS = ("none", "wobble", "relation", "inputs", "gradual", "flipped")
NUMBERS, LEVELS = 8, (2, 3, 4, 6)
COLUMNS = Columns(
    target="left",
    positive="1",
    negative="0",
    id="client",
    numeric=tuple(f"number_{i}" for i in range(NUMBERS)),
    categorical=tuple(f"category_{i}" for i in range(len(LEVELS))),
)
DROPS, ROWS = 24, 1000
CHURN = 0.2
STRONG = 0  # the column that an input drift moves, by INPUT_SHIFT standard deviations
INPUT_SHIFT = 0.5
STRENGTH = 1.19  # the standard deviation of the log-odds with which the best ROC AUC is .77
LOST_AUC = 0.10  # by the true coefficients from before the change
GRADUAL_DROPS = 12
POPULATION = 20_000


@dataclass(frozen=True)
class World:
    """A stream's law: the coefficients before a change, those it turns towards, by how much, and from which drop on."""

    kind: str
    seed: int
    since: int
    before: np.ndarray
    other: np.ndarray
    turn: float  # radians
    intercepts: tuple[float, ...]  # by step of the change: the share that leaves stays what it was

    def coefficients(self, number: int) -> np.ndarray:
        """The coefficients that hold in a drop. Along the turn the best possible model stays as good as it was."""
        return _turned(self.before, self.other, self.turn * self._steps(number) / GRADUAL_DROPS)

    def _steps(self, number: int) -> int:
        """How far a change has come in a drop, in steps of a gradual one."""
        if number < self.since or self.kind not in ("relation", "gradual"):
            return 0
        return GRADUAL_DROPS if self.kind == "relation" else min(GRADUAL_DROPS, number - self.since + 1)

    def drop(self, number: int) -> pd.DataFrame:
        """One month of clients with their labels."""
        generator = np.random.default_rng([self.seed, number])
        numbers, codes = _inputs(generator, ROWS)
        if self.kind == "wobble":
            numbers += generator.normal(0, 0.05, NUMBERS)
        if self.kind == "inputs" and number >= self.since:
            numbers[:, STRONG] += INPUT_SHIFT
        left = generator.random(ROWS) < expit(
            _design(numbers, codes) @ self.coefficients(number) + self.intercepts[self._steps(number)]
        )
        if self.kind == "flipped" and number == self.since:
            left ^= generator.random(ROWS) < 0.5
        numbers[:, 1::2] = np.exp(numbers[:, 1::2])  # half of them are amounts, which are skewed
        frame = pd.DataFrame(numbers, columns=list(COLUMNS.numeric))
        for i, name in enumerate(COLUMNS.categorical):
            frame[name] = np.array([f"level {code}" for code in range(LEVELS[i])], dtype=object)[codes[:, i]]
        frame["client"] = np.arange(number * ROWS, (number + 1) * ROWS).astype(str)
        return frame.assign(left=left)


def world(kind: str, seed: int) -> World:
    """A stream's law, drawn at random with the strength, the churn and the loss that are asked for."""
    generator = np.random.default_rng([seed, 10_000])
    design = _design(*_inputs(generator, POPULATION))
    covariance = np.cov(design.T)
    before, other = (_coefficients(generator, covariance) for _ in range(2))
    other = other - before * (before @ covariance @ other) / STRENGTH**2
    other *= STRENGTH / np.sqrt(other @ covariance @ other)
    intercept = _intercept(design @ before)

    def lost(turn: float) -> float:
        odds = design @ _turned(before, other, turn) + intercept
        return _auc(design @ before, expit(design @ before + intercept)) - _auc(design @ before, expit(odds))

    turn = _bisect(lambda value: lost(value) - LOST_AUC, 0, np.pi / 2)
    steps = [design @ _turned(before, other, turn * step / GRADUAL_DROPS) for step in range(GRADUAL_DROPS + 1)]
    since = int(generator.integers(9, 16))
    return World(kind, seed, since, before, other, turn, tuple(_intercept(odds) for odds in steps))


def _turned(before: np.ndarray, other: np.ndarray, angle: float) -> np.ndarray:
    return np.cos(angle) * before + np.sin(angle) * other


def _intercept(odds: np.ndarray) -> float:
    return _bisect(lambda value: expit(odds + value).mean() - CHURN, -10, 10)


def _inputs(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    common = generator.standard_normal((rows, 1))
    numbers = 0.4 * common + np.sqrt(1 - 0.4**2) * generator.standard_normal((rows, NUMBERS))
    codes = np.stack([np.minimum(generator.geometric(1.2 / n, rows) - 1, n - 1) for n in LEVELS], axis=1)
    return numbers, codes


def _design(numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.hstack([numbers, *((codes[:, [i]] == np.arange(1, n)).astype(float) for i, n in enumerate(LEVELS))])


def _coefficients(generator: np.random.Generator, covariance: np.ndarray) -> np.ndarray:
    """Of random sign and size, a few of them strong, among them that of the column which an input drift moves."""
    sizes = np.r_[np.geomspace(1, 0.1, NUMBERS), np.full(len(covariance) - NUMBERS, 0.4)]
    found = sizes * generator.uniform(0.5, 1.5, len(sizes)) * generator.choice([-1, 1], len(sizes))
    return found * STRENGTH / np.sqrt(found @ covariance @ found)


def _auc(score: np.ndarray, probability: np.ndarray) -> float:
    """The expected ROC AUC of a score when the probability of every row is known."""
    order = np.argsort(-score)
    p = probability[order]
    above = np.cumsum(p)
    return float((above * (1 - p)).sum() / (p.sum() * (1 - p).sum()))


def _bisect(function, low: float, high: float) -> float:
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return middle
