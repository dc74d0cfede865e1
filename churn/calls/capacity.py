"""What calling as many clients as the team can is worth: precision, lift and value at capacity.

All take plain arrays: `left` is bool or 0/1 of shape (rows,), `risk` a probability of the same shape, `share` the part
of the rows that is called. Rows that tie at the cut count by the part of them that is called: the mean over all orders
in which they could stand.

The standard errors are those of the infinitesimal jackknife, as in `churn/contest/comparison.py`. A row more above the
cut pushes another below it; what that one brings is taken from the rows near the cut, as one alone says too little.
"""

from dataclasses import dataclass

import numpy as np

from churn.calls.interval import Interval, normal, proportion
from churn.contest.comparison import Influence, error_of

NEAR = 0.25  # of the rows above or below the cut, whichever are fewer, so many are near it, on either side


@dataclass(frozen=True)
class Called:
    """What calling that part of the rows brings."""

    precision: Interval  # of those called, the share that left
    lift: Interval  # that over the share of all that left
    found: Interval  # of all who left, the share called
    profit: Interval  # by place on the list: what a call keeps less what it costs, in the unit of the value


@dataclass(frozen=True)
class AtCapacity:
    """The model's list beside a random one and that of the constant guess, on the same rows."""

    rows: int
    leavers: int
    share: float
    model: Called
    random: Called
    constant: Called  # the same risk for all: those of most value, at random where all are worth the same
    more_than_constant: Interval  # the model's profit less that of the constant guess


def depth(capacity: int, clients: int, holdout: float) -> float:
    """The share of the clients down to which the list goes: whom it leaves uncalled is made up for from below."""
    return min(1.0, capacity / ((1 - holdout) * clients)) if clients else 1.0


def precision_at(left: np.ndarray, risk: np.ndarray, share: float) -> Influence:
    """Of the part of the rows with the highest risks, the share that left; and its derivative by each row's weight."""
    return _Cut(risk, share).mean(np.asarray(left, dtype=np.float64))


def expected_profit(
    left: np.ndarray,
    risk: np.ndarray,
    share: float,
    value: np.ndarray | float = 1.0,
    *,
    contact_cost: float = 0.0,
    success_rate: float = 1.0,
) -> Influence:
    """What a place on the list brings: success_rate x value of each leaver called, less contact_cost of each call.

    Called is by expected gain, and only where that is positive, as on the list itself; an empty place brings nothing.
    With the derivative by each row's weight.
    """
    gain = success_rate * risk * value - contact_cost
    return _Cut(gain, share).mean(np.where(gain > 0, success_rate * left * value - contact_cost, 0.0))


def at_capacity(
    left: np.ndarray,
    risk: np.ndarray,
    share: float,
    value: np.ndarray | float = 1.0,
    *,
    contact_cost: float = 0.0,
    success_rate: float = 1.0,
) -> AtCapacity:
    """What the model's list is worth, with 95% intervals, beside lists made without the model.

    Args:
        value: what keeping a row's client is worth, shape (rows,) or one number.
        contact_cost: of a call, in the same unit.
        success_rate: the share of leavers that a call keeps.
    """
    left = np.asarray(left, dtype=np.float64)
    value = np.broadcast_to(np.asarray(value, dtype=np.float64), left.shape)
    brings = success_rate * left * value - contact_cost
    guess = success_rate * left.mean() * value - contact_cost if len(left) else value
    model, profit = _called(left, brings, success_rate * risk * value - contact_cost, share)
    constant, constant_profit = _called(left, brings, guess, share)
    random, _ = _called(left, brings, np.ones(len(left)), share)
    difference = normal(profit[0] - constant_profit[0], error_of(profit[1] - constant_profit[1]))
    return AtCapacity(len(left), int(left.sum()), share, model, random, constant, difference)


def gain_curve(left: np.ndarray, score: np.ndarray, value: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The share of all leavers, or of their value, found (y) among the share of rows called (x), best score first.

    Both run from 0 to 1. Rows of equal score are joined by a straight line: they come in any order.
    """
    order = np.argsort(-score, kind="stable")
    ends = _ends(score[order])
    found = np.cumsum((left * value)[order])
    return np.append(0.0, (ends + 1) / len(score)), np.append(0.0, found[ends] / (found[-1] or 1.0))


def _called(left: np.ndarray, brings: np.ndarray, gain: np.ndarray, share: float) -> tuple[Called, Influence]:
    """The measures of calling by gain, where it is positive; the profit also with its derivatives."""
    pays, rows, cut = gain > 0, len(left), _Cut(gain, share)
    called, hits, profit = cut.mean(pays.astype(np.float64)), cut.mean(left * pays), cut.mean(brings * pays)
    rate = float(left.mean()) if rows else 0.0
    all_left = (rate, (left - rate) / max(rows, 1))
    precision, by_precision = _ratio(hits, called)
    _, by_lift = _ratio((precision, by_precision), all_left)
    found, by_found = _ratio((share * hits[0], share * hits[1]), all_left)
    calls = called[0] * share * rows
    return Called(
        precision=proportion(precision, error_of(by_precision), calls),
        lift=proportion(precision, error_of(by_lift) * rate, calls).times(1 / rate if rate else 0.0),
        found=proportion(found, error_of(by_found), left.sum()),
        profit=normal(profit[0], error_of(profit[1])),
    ), profit


def _ratio(top: Influence, bottom: Influence) -> Influence:
    if bottom[0] == 0:
        return 0.0, np.zeros(len(top[1]))
    value = top[0] / bottom[0]
    return value, (top[1] - value * bottom[1]) / bottom[0]


class _Cut:
    """Where calling stops, going down from the highest score: sorted once for all that is measured there."""

    def __init__(self, score: np.ndarray, share: float) -> None:
        self.rows, self.share, self.places = len(score), share, share * len(score)
        self.order = np.argsort(-score, kind="stable")
        ends = _ends(score[self.order])
        at = min(int(np.searchsorted(ends + 1, self.places - 1e-9)), len(ends) - 1) if self.rows else 0
        self.start, self.stop = (int(ends[at - 1]) + 1 if at else 0, int(ends[at]) + 1) if self.rows else (0, 0)
        tied = self.stop - self.start
        self.part = min((self.places - self.start) / tied, 1.0) if tied else 0.0  # of those that tie at the cut

    def mean(self, brings: np.ndarray) -> Influence:
        """The mean of what each place brings, given what each row would, and its derivative by each row's weight."""
        if not self.places:
            return 0.0, np.zeros(self.rows)
        ordered, start, stop = brings[self.order], self.start, self.stop
        taken = np.zeros(self.rows)
        taken[:start], taken[start:stop] = 1.0, self.part
        value = float(taken @ ordered) / self.places
        near = max(NEAR * min(self.places, self.rows - self.places), 5.0)
        first, last = min(start, self.places - near), max(stop, self.places + near)
        at_cut = ordered[max(int(first), 0) : int(last)].mean()
        derivative = np.empty(self.rows)
        derivative[self.order] = (taken * (ordered - at_cut) + self.share * (at_cut - value)) / self.places
        return value, derivative


def _ends(ordered: np.ndarray) -> np.ndarray:
    """The last place of each group of equal scores."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, int)
