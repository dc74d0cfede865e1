"""Histograms of a column in the rows that a version was trained on and in others, counted in the same bins.

The training rows are known by their profile alone. A number's fine bins (`churn/monitoring/profile.py`) hold about
equally many rows each, which shows nothing of a shape; they are counted again in bins of equal width, as if the rows
of a fine bin were spread evenly over it. The first and the last of these also hold whatever lies beyond.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.monitoring.profile import RISK, floats, level_counts

BINS = 16  # at most, of a number
LEVELS = 5  # at most, of a category; the other ones are one more bin
REACH = 0.005  # of the rows lie beyond the first and the last bin, on either side
LARGEST = 1e100  # beyond it nothing can be told apart, and widths could overflow


@dataclass(frozen=True)
class Histogram:
    """The shares of all rows in each bin, shape (bins,); what is missing lies in none.

    `edges` are those of a number's bins, shape (bins + 1,). `levels` are a category's; where the others are thrown
    together in a last bin there is one less of them than bins.
    """

    column: str
    before: np.ndarray
    now: np.ndarray | None  # None: there are no other rows
    edges: np.ndarray | None = None
    levels: tuple[str, ...] = ()


def histograms(profile: Mapping[str, Any], frame: Any = None, risk: np.ndarray | None = None) -> dict[str, Histogram]:
    """Each column of a profile, and the risks (as `profile.RISK`, where it has them), beside these rows.

    Args:
        frame: the rows; None where there are none.
        risk: the risks that they have, shape (rows,).
    """
    rows, found = profile["rows"], {}
    for name, known in profile["numbers"].items():
        found[name] = of_number(name, known, rows, None if frame is None else floats(frame[name]))
    for name, known in profile["categories"].items():
        counts = None if frame is None else level_counts(frame[name])
        found[name] = of_category(name, known, rows, counts)
    if profile["risk"]:
        found[RISK] = of_number(RISK, profile["risk"], rows, None if frame is None else risk)
    return found


def of_number(name: str, known: Mapping[str, Any], rows: int, values: np.ndarray | None) -> Histogram:
    """A number (`known` is what the profile has of it), beside other values."""
    places, upto = _cumulated(known)
    present = None if values is None else values[~np.isnan(values)]
    edges = _edges(places, upto, known["whole"], present)
    inner = edges[1:-1]
    before = np.diff([0.0, *np.interp(inner, places, upto, left=0.0, right=upto[-1]), upto[-1]])
    now = None
    if values is not None and present is not None:
        place = np.searchsorted(inner, present, side="left")  # a bin holds its upper edge
        now = np.bincount(place, minlength=len(edges) - 1) / max(len(values), 1)
    return Histogram(name, before / max(rows, 1), now, edges=edges)


def _cumulated(known: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The number of training rows up to a value, at the values where that bends; both of shape (points,), rising.

    A whole number stands for half a unit on either side of it, so that none lies on an edge.
    """
    if not known["edges"]:
        return np.array([0.0, 1.0]), np.zeros(2)
    edges, half = np.clip(known["edges"], -LARGEST, LARGEST), 0.5 if known["whole"] else 0.0
    alone = np.append(edges[1:] == edges[:-1], False)  # the first of two equal edges: what lies below that value
    below = edges - half if half else np.nextafter(edges, -np.inf)
    places = [known["lowest"] - half, *np.where(alone, below, edges + half), known["highest"] + half]
    return np.maximum.accumulate(np.clip(places, -LARGEST, LARGEST)), np.append(0, np.cumsum(known["counts"]))


def _edges(places: np.ndarray, upto: np.ndarray, whole: bool, values: np.ndarray | None) -> np.ndarray:
    """Bins that hold nearly all rows of both sides; other values stretch them to three times the width at most."""
    total = upto[-1]
    first, last = (int(np.searchsorted(upto, total * share)) for share in (REACH, 1 - REACH))
    low, high = float(places[max(first - 1, 0)]), float(places[min(last, len(places) - 1)])
    width = high - low
    if values is not None and len(values) and width:
        ends = np.quantile(np.clip(values, -LARGEST, LARGEST), [REACH, 1 - REACH])
        low = min(low, max(float(ends[0]), low - width))
        high = max(high, min(float(ends[1]), high + width))
    if whole:
        low, high = np.floor(low + 0.5), np.ceil(high - 0.5)  # the first and the last whole number
        step = max(1.0, np.ceil((high - low + 1) / BINS))
        count = max(1, int(np.ceil((high - low + 1) / step)))
        edges = low - 0.5 + step * np.arange(count + 1)
    else:
        edges = np.linspace(low, high, BINS + 1)
    edges = np.unique(edges)  # some are equal where 64 bits cannot tell them apart
    if len(edges) > 2:
        return edges
    middle = (edges[0] + edges[-1]) / 2  # one value: beside it, what lies below and above
    aside = max(1.0, 8 * np.spacing(abs(middle))) if whole else max(abs(middle), 1.0)
    return middle + aside * np.array([-1.5, -0.5, 0.5, 1.5])


def of_category(
    name: str, known: Mapping[str, Any], rows: int, counted: tuple[Mapping[str, int], int] | None
) -> Histogram:
    """A category (`known` is what the profile has of it), beside the rows with each level and those without one.

    Shown are the levels that have most rows on either side; a level that is new only where the profile has them all.
    """
    counts, missing = counted or ({}, 0)
    total = sum(counts.values()) + missing
    before = {level: count / max(rows, 1) for level, count in known["levels"].items()}
    now = {level: count / max(total, 1) for level, count in counts.items()}
    new = [] if known["other"] else sorted((level for level in now if level not in before), key=lambda n: (-now[n], n))
    candidates = [*before, *new]
    top = sorted(candidates, key=lambda level: -max(before.get(level, 0.0), now.get(level, 0.0)))[:LEVELS]
    levels = tuple(level for level in candidates if level in top)
    shares = [np.array([side.get(level, 0.0) for level in levels]) for side in (before, now)]
    rest = known["other"] / max(rows, 1) + sum(before.values()) - shares[0].sum(), sum(now.values()) - shares[1].sum()
    if max(rest) > 1e-9:
        shares = [np.append(share, max(other, 0.0)) for share, other in zip(shares, rest, strict=True)]
    return Histogram(name, shares[0], shares[1] if counted else None, levels=levels)
