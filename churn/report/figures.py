"""Numbers of a report as it writes them, with their intervals."""

from collections.abc import Callable, Sequence

from churn.calls.interval import Interval
from churn.calls.reasons import shown
from churn.words import percent

NONE = 1e-9  # the width of an interval that is none


def score(value: float | None) -> str:
    """A score between 0 and 1: `0.784`."""
    return "undefined" if value is None else f"{value:.3f}"


def amount(value: float) -> str:
    """An amount with the three digits that an estimate has: `1,040`."""
    return shown(float(f"{value:.3g}"))


def times(value: float) -> str:
    """A factor: `2.7`."""
    return f"{value:.1f}"


def signed(value: float) -> str:
    """A difference of two scores: `+0.047`."""
    said = f"{value:+.3f}"
    return "0.000" if said in ("+0.000", "-0.000") else said


def between(interval: Interval, say: Callable[[float], str]) -> str:
    """The ends of an interval: `0.74 to 0.82`."""
    return f"{say(interval.lower)} to {say(interval.upper)}"


def with_interval(interval: Interval, say: Callable[[float], str]) -> str:
    """An estimate and its interval: `57% (47% to 66%)`; alone where the two are one."""
    if interval.upper - interval.lower < NONE:
        return say(interval.value)
    return f"{say(interval.value)} ({between(interval, say)})"


def hundred(share: float) -> str:
    """A share as so many of 100."""
    return percent(share).removesuffix("%")


def within_one(interval: Interval) -> Interval:
    """The same, its ends not outside 0 and 1."""
    return Interval(interval.value, max(interval.lower, 0.0), min(interval.upper, 1.0))


def several(name: str, numbers: Sequence[int]) -> str:
    """Things by their numbers: `drop 4`, `drops 4 to 6`, `drops 4 and 6`."""
    if len(numbers) == 1:
        return f"{name} {numbers[0]}"
    runs = len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    said = f"{numbers[0]} to {numbers[-1]}" if runs else ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    return f"{name}s {said}"


def count(many: int, one: str) -> str:
    """So many things: `1 call`, `60 calls`."""
    return f"{many:,} {one if many == 1 else one + 's'}"
