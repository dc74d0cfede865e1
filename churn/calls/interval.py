"""An estimate with its 95% interval."""

import math
from dataclasses import dataclass

Z = 1.959964


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% interval; the limits are infinite where the data set none."""

    value: float
    lower: float
    upper: float

    def times(self, factor: float) -> "Interval":
        """The interval in another unit."""
        lower, upper = sorted((factor * self.lower, factor * self.upper))
        return Interval(factor * self.value, lower, upper)


def normal(value: float, error: float) -> Interval:
    """The interval of an estimate with this standard error."""
    return Interval(value, value - Z * error, value + Z * error)


def proportion(value: float, error: float, count: float) -> Interval:
    """The interval of a share with this standard error, within 0 and 1.

    Source: Wilson, Probable inference, 1927, for as many independent cases as would have this error.

    Args:
        count: the cases there are; what 0 and 1, which seem to have no error, are judged by.
    """
    spread = value * (1 - value)
    top, extra = (spread, (Z * error) ** 2) if spread > 0 else (count, Z**2)
    weight = top / (top + extra) if top > 0 else 0.0  # of the estimate; the rest is that of one half
    middle = weight * value + (1 - weight) / 2
    reach = math.sqrt(weight * (1 - weight) * spread + ((1 - weight) / 2) ** 2)
    return Interval(value, max(min(middle - reach, value), 0.0), min(max(middle + reach, value), 1.0))
