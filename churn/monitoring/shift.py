"""How far two samples differ, from their counts in common bins: how much (PSI), and whether it can be chance.

Counts are int arrays of shape (bins,), `before` of the reference and `now` of the rows in question. Nothing here
depends on the order of the two.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import chdtrc, kolmogorov

from churn.words import fit, percent

EXPECTED = 5  # rows that a bin must lead one to expect in the smaller sample, for the chi-square to hold (Cochran 1954)
SMALLEST_SHARE = 1e-4  # to the PSI smaller shares are all the same
MISSING_POINTS = 0.01  # a missing rate that moved by less is not worth a word


def psi(before: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two samples of any sizes, without what chance alone adds to it; 0 or more.

    The index is the sum over bins of (q - p) ln(q / p), p and q being the bin's shares before and now (Siddiqi, Credit
    Risk Scorecards, 2006; up to 0.1 little has moved, from 0.25 much). Two samples of n and m rows of one population
    do not give 0 but, on average, (bins - 1) (1/n + 1/m): 1/n + 1/m times a chi-square with bins - 1 degrees of
    freedom (Yurdakul and Naranjo, Statistical properties of the population stability index, J. Risk Model Validation
    14, 2020). That is .018 for 10 bins of 1,000 rows each, and .18 for 100, which would pass for a shift. It is
    subtracted, so that a threshold means the same at every sample size.

    No share counts as less than half a row of the smaller sample, nor than SMALLEST_SHARE: an empty bin would give
    infinity otherwise, and a bin with a handful of a million rows more than it can bear.
    """
    n, m = int(before.sum()), int(now.sum())
    if not n or not m:
        return 0.0
    least = max(0.5 / min(n, m), SMALLEST_SHARE)
    p, q = np.maximum(before / n, least), np.maximum(now / m, least)
    used = np.count_nonzero(before + now)
    by_chance = (used - 1) * (1 / n + 1 / m)
    return max(0.0, float(((q - p) * np.log(q / p)).sum() - by_chance))


def kolmogorov_smirnov(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """The largest distance between the cumulated shares of ordered bins, and the two-sample p-value.

    The p-value is Kolmogorov's limit, P(K > sqrt(n m / (n + m)) D) (Smirnov, Ann. Math. Statist. 19, 1948). It is too
    large rather than too small: the distance is looked at between the bins only, and values may repeat.
    """
    n, m = int(before.sum()), int(now.sum())
    if not n or not m:
        return 0.0, 1.0
    distance = float(np.abs(before.cumsum() / n - now.cumsum() / m).max())
    return distance, float(kolmogorov(np.sqrt(n * m / (n + m)) * distance))


def share(before: int, rows_before: int, now: int, rows_now: int) -> float:
    """The p-value of two shares, `before` of `rows_before` and `now` of `rows_now`: Fisher's exact test.

    Two-sided by doubling the smaller tail, which is exact for few rows and never too small.
    """
    if before + now in (0, rows_before + rows_now):
        return 1.0
    from scipy.stats import hypergeom

    drawn = rows_before + rows_now, before + now, rows_now
    return min(1.0, 2 * float(min(hypergeom.cdf(now, *drawn), hypergeom.sf(now - 1, *drawn))))


def chi_square(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """Pearson's statistic of the two-sample contingency table, and its p-value.

    The last bin may hold pooled rare values, see `pooled`. Where even that is too small for the chi-square, it is left
    out of it and its share is tested exactly; the p-value is then twice the smaller of the two (Bonferroni): fifty
    rows of a thousand with a level never seen before are found, however few one would have expected.
    """
    n, m = int(before.sum()), int(now.sum())
    if not n or not m:
        return 0.0, 1.0
    if _is_common(before, now)[-1] or not before[-1] + now[-1]:
        return _pearson(before, now)
    statistic, p_value = _pearson(before[:-1], now[:-1])
    return statistic, min(1.0, 2 * min(p_value, share(int(before[-1]), n, int(now[-1]), m)))


def pooled(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same counts with all bins too small for the chi-square poured into the last one (which may be 0).

    The last bin is of the levels that were not seen before. It is never a bin of its own: of many rare levels some are
    not seen by chance.
    """
    common = np.append(_is_common(before, now)[:-1], False)
    return np.append(before[common], before[~common].sum()), np.append(now[common], now[~common].sum())


def _is_common(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    n, m = before.sum(), now.sum()
    return (before + now) * min(n, m) >= EXPECTED * (n + m)


def _pearson(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    used = before + now > 0
    before, now = before[used], now[used]
    n, m = int(before.sum()), int(now.sum())
    if len(before) < 2 or not n or not m:
        return 0.0, 1.0
    # Both rows of the table at once: (O - E)^2 / E of a bin, summed over the two, is n m (p - q)^2 / (its total).
    statistic = float((n * m * (before / n - now / m) ** 2 / (before + now)).sum())
    return statistic, float(chdtrc(len(before) - 1, statistic))


# ---- in words --------------------------------------------------------------------------------------------------------


def words(name: str, missing_before: float, missing_now: float, said: str, psi: float) -> str:
    """A column's shift: `activity: 31% missing, was 0%; typical 12, was 20; PSI 0.21`."""
    parts = [said, f"PSI {psi:.2f}"]
    if abs(missing_now - missing_before) >= MISSING_POINTS:
        parts.insert(0, f"{percent(missing_now)} missing, was {percent(missing_before)}")
    return f"{fit(name)}: {'; '.join(part for part in parts if part)}"


def most_moved(name: Callable[[int], str], before: np.ndarray, now: np.ndarray, among: int | None = None) -> str:
    """The bin whose share moved most: `62% "basic", was 41%`; nothing where none did.

    Args:
        name: the number of a bin -> what it is called.
        among: only the first so many bins are looked at.
    """
    if not before.sum() or not now.sum():
        return ""
    then, there = before / before.sum(), now / now.sum()
    most = int(np.argmax(np.abs(there - then)[:among]))
    was, are = percent(then[most]), percent(there[most])
    return f"{are} {name(most)}, was {was}" if are != was else ""


def values_in(edges: np.ndarray, i: int, say: Callable[[float], str]) -> str:
    """What bin i between these edges holds; equal edges enclose a bin of that one value."""
    first = "below" if len(edges) > 1 and edges[0] == edges[1] else "up to"
    if i == 0:
        where = f"{first} {say(edges[0])}"
    elif i == len(edges):
        where = f"above {say(edges[-1])}"
    else:
        low, high = edges[i - 1 : i + 1]
        where = f"at {say(low)}" if low == high else f"from {say(low)} to {say(high)}"
    return f"of the values {where}"
