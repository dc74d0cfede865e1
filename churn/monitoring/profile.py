"""The reference profile of a version: what its training rows looked like, small enough to be saved beside the model.

Whether new rows look different is then a comparison of counts: no old row is needed, and the rows themselves are
only counted, not sorted. `build` makes the profile, a dict for JSON of about 2 kB a column, `shifts` compares:

    rows, label_rows, label_rate (None without labels)
    numbers, categories    by column, see `_number` and `_category`
    risk                   the risks, like a number; None where none were given

A number has 50 bins of about equally many rows for the Kolmogorov-Smirnov test (and finer ones at both ends, for
`churn/monitoring/moved.py`) and 10 for the PSI. A bin holds what is above its lower edge and not above its upper one.
An edge that is listed twice is a value that many rows have, such as 0, and gets a bin of its own: what falls just
beside it, a -1 where there was 0, is seen. So columns of few whole numbers, of one number, or half zeros need nothing
special.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from churn.calls.reasons import shown
from churn.columns import Columns
from churn.monitoring import shift
from churn.words import fit, percent

if TYPE_CHECKING:
    import pandas as pd

FINE = np.array([0.001, 0.005, 0.01, *np.arange(1, 50) / 50, 0.99, 0.995, 0.999])
COARSE = np.arange(1, 10) / 10
MOST_LEVELS = 100
BUCKETS = 50  # for the levels of a column that has more
RISK = "the risks"  # what the shift of the risks is called, in place of a column


@dataclass(frozen=True)
class Shift:
    """How one column differs from the reference; the column is RISK for the risks.

    `statistic` is that of Kolmogorov-Smirnov for numbers and risks, and chi-square for categories. `p_value` covers
    the missing rate too. `missing_*` are shares of the rows; `typical_*` the median or the most common level, None
    where every value is missing. `words` opens with the column's name and can follow in a sentence.
    """

    column: str
    kind: Literal["number", "category", "risk"]
    psi: float
    statistic: float
    p_value: float
    missing_before: float
    missing_now: float
    typical_before: float | str | None
    typical_now: float | str | None
    words: str


# ---- the profile -----------------------------------------------------------------------------------------------------


def build(
    frame: "pd.DataFrame", columns: Columns, risk: np.ndarray | None = None, left: np.ndarray | None = None
) -> dict[str, Any]:
    """The profile of the rows that a version was trained on, for JSON.

    Args:
        frame: at least the features of the contract.
        risk: each row's risk as the model would give it if it had not been trained on the row, shape (rows,).
        left: whether each row's client left, bool or 0/1, nan where it is not known; shape (rows,).
    """
    labels = np.empty(0) if left is None else np.asarray(left, dtype=np.float64)
    labels = labels[~np.isnan(labels)]
    return {
        "rows": len(frame),
        "label_rows": len(labels),
        "label_rate": float(labels.mean()) if len(labels) else None,
        "numbers": {name: _number(floats(frame[name]), name in columns.integer) for name in columns.numbers},
        "categories": {name: _category(frame[name]) for name in columns.categorical},
        "risk": None if risk is None else _number(np.asarray(risk, dtype=np.float64), whole=False),
    }


def typical(profile: Mapping[str, Any]) -> dict[str, float | str | None]:
    """For each feature what is usual: the median of the numbers, the most common level of the categories."""
    usual = {name: known["typical"] for name, known in profile["numbers"].items()}
    return usual | {name: _most_common(known) for name, known in profile["categories"].items()}


def _number(values: np.ndarray, whole: bool) -> dict[str, Any]:
    """{missing, typical, mean, lowest, highest, whole, edges, counts, psi_edges, psi_counts}; counts has one more."""
    values = np.sort(values)  # nan last
    present = len(values) - int(np.isnan(values).sum())
    known = values[:present]
    edges, psi_edges = _edges(known, FINE), _edges(known, COARSE)
    return {
        "missing": len(values) - present,
        "typical": _median(known, present),
        "mean": _mean(known),
        "lowest": float(known[0]) if present else None,
        "highest": float(known[-1]) if present else None,
        "whole": whole,
        "edges": edges.tolist(),
        "counts": _counts(known, edges, present).tolist(),
        "psi_edges": psi_edges.tolist(),
        "psi_counts": _counts(known, psi_edges, present).tolist(),
    }


def _category(values: "pd.Series") -> dict[str, Any]:
    """{missing, other, levels: {level: rows}, buckets}; the most common level first, equally common ones by name.

    `buckets` is None where all levels are listed. Where they are too many, the listed ones are those that happened to
    be frequent in these rows and will be less so in others of the same kind: no test can be made of them. So the
    levels are also thrown together into buckets that do not depend on how many rows they have.
    """
    counts, missing = level_counts(values)
    ordered = sorted(counts, key=lambda level: (-counts[level], level))
    levels = {level: counts[level] for level in ordered[:MOST_LEVELS]}
    other = sum(counts.values()) - sum(levels.values())
    return {"missing": missing, "other": other, "levels": levels, "buckets": _buckets(counts) if other else None}


def _buckets(counts: Mapping[str, int]) -> list[int]:
    """The rows in each bucket of levels."""
    places = [zlib.crc32(level.encode("utf-8", "surrogatepass")) % BUCKETS for level in counts]
    return np.bincount(places, list(counts.values()), BUCKETS).astype(int).tolist()


def level_counts(values: "pd.Series") -> tuple[dict[str, int], int]:
    """The rows with each level, and those without one."""
    import pandas as pd

    codes, levels = pd.factorize(values.to_numpy(dtype=object))  # half the time that value_counts takes
    missing, *counts = np.bincount(codes + 1, minlength=1 + len(levels)).tolist()
    return dict(zip(levels, counts, strict=True)), missing


def floats(column: "pd.Series") -> np.ndarray:
    """A column's values, shape (rows,); missing ones are nan."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _edges(ordered: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The values that close these shares of the rows, each at most twice; twice is a value of its own."""
    if not len(ordered):
        return np.empty(0)
    places = np.ceil(np.round(shares * len(ordered), 9)).astype(int) - 1
    edges = ordered[np.maximum(places, 0)] + 0.0  # -0.0 is 0
    return edges[np.append([True, True], edges[2:] != edges[:-2])]


def _counts(values: np.ndarray, edges: np.ndarray, present: int) -> np.ndarray:
    """How many of the values lie in each bin; shape (edges + 1,). Missing ones lie in none.

    A comparison with every edge in turn takes a quarter of the time that searching or sorting the values would.
    """
    apart = np.append(edges[1:] == edges[:-1], False)[: len(edges)]
    pairs = zip(edges, apart, strict=True)
    upto = [np.count_nonzero(values < edge if first else values <= edge) for edge, first in pairs]
    return np.diff([0, *upto, present])


def _median(values: np.ndarray, present: int) -> float | None:
    """The median; of two in the middle the lower, so that it is a value that occurs."""
    if not present:
        return None
    middle = (present - 1) // 2
    return float(np.partition(values, middle)[middle])  # nan comes last


def _mean(values: np.ndarray) -> float | None:
    if not len(values):
        return None
    with np.errstate(over="ignore"):
        mean = values.mean()
    return float(mean if np.isfinite(mean) else (values / len(values)).sum())


# ---- the comparison --------------------------------------------------------------------------------------------------


def shifts(profile: Mapping[str, Any], frame: "pd.DataFrame", risk: np.ndarray | None = None) -> list[Shift]:
    """How each column of the profile differs in these rows; the risks come last, where both sides have them."""
    rows = profile["rows"]
    found = [_number_shift(name, known, rows, floats(frame[name])) for name, known in profile["numbers"].items()]
    found += [_category_shift(name, known, rows, frame[name]) for name, known in profile["categories"].items()]
    if risk is not None and profile["risk"] is not None:
        found.append(_number_shift(RISK, profile["risk"], rows, np.asarray(risk, dtype=np.float64), kind="risk"))
    return found


def _number_shift(
    name: str, known: Mapping[str, Any], rows: int, values: np.ndarray, kind: Literal["number", "risk"] = "number"
) -> Shift:
    missing = int(np.count_nonzero(np.isnan(values)))
    present = len(values) - missing
    before, now = np.array(known["counts"]), _counts(values, np.array(known["edges"]), present)
    statistic, p_value = shift.kolmogorov_smirnov(before, now)
    if known["missing"] or missing:
        p_value = min(1.0, 2 * min(p_value, shift.share(known["missing"], rows, missing, len(values))))
    edges = np.array(known["psi_edges"])
    before = np.array([*known["psi_counts"], known["missing"]])
    now = np.append(_counts(values, edges, present), missing)
    psi = shift.psi(before, now)
    median, usual = _median(values, present), known["typical"]
    say = percent if kind == "risk" else shown
    if median is not None and usual is not None and say(median) != say(usual):
        said = f"typical {say(median)}, was {say(usual)}"
    else:
        said = shift.most_moved(lambda i: shift.values_in(edges, i, say), before[:-1], now[:-1])
    shares = _share(known["missing"], rows), _share(missing, len(values))
    words = shift.words(name, *shares, said, psi)
    return Shift(name, kind, psi, statistic, p_value, *shares, usual, median, words)


def _category_shift(name: str, known: Mapping[str, Any], rows: int, values: "pd.Series") -> Shift:
    counts, missing = level_counts(values)
    names = list(known["levels"])
    listed = [counts.get(level, 0) for level in names]
    before = np.array([*known["levels"].values(), known["other"]])
    now = np.array([*listed, len(values) - missing - sum(listed)])
    among = (
        len(listed) if known["buckets"] else None
    )  # that the others look more frequent now is no news, see `_category`
    said = shift.most_moved(lambda i: f'"{fit(names[i])}"' if i < len(names) else "other levels", before, now, among)
    if known["buckets"]:
        before, now = np.array([*known["buckets"], 0]), np.array([*_buckets(counts), 0])
    cells = shift.pooled(np.append(known["missing"], before), np.append(missing, now))
    psi, (statistic, p_value) = shift.psi(*cells), shift.chi_square(*cells)
    shares = _share(known["missing"], rows), _share(missing, len(values))
    usual, common = _most_common(known), min(counts, key=lambda level: (-counts[level], level), default=None)
    words = shift.words(name, *shares, said, psi)
    return Shift(name, "category", psi, statistic, p_value, *shares, usual, common, words)


def _most_common(known: Mapping[str, Any]) -> str | None:
    return next(iter(known["levels"]), None)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
