"""The columns of a model, one by one: as they were when it was trained, and in the drop that was judged last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn import dataset, drift, estimators, releases
from churn.config import Product
from churn.monitoring import profile
from churn.monitoring.histogram import Histogram, histograms
from churn.monitoring.profile import RISK, Shift
from churn.releases import Release
from churn.report import histograms as drawn
from churn.report.blocks import Block, Pictures, Text
from churn.report.figures import several
from churn.words import fit, percent

MOST = 12  # four rows of three
LITTLE, MUCH = 0.1, 0.25  # PSI, see `churn/monitoring/shift.py`
LONGEST_LEVEL = 24


@dataclass(frozen=True)
class Compared:
    """Each column's histogram, and its shift where newer rows were compared; the risks among them."""

    histograms: Mapping[str, Histogram]
    shifts: Mapping[str, Shift]
    drops: Sequence[int]  # whose rows these are
    rows: int


def compare(product: Product, folder: Path, release: Release, judged: Sequence[Mapping[str, Any]]) -> Compared:
    """The columns of a version beside the rows of the drops that it was judged on last.

    Raises:
        ReleaseError: the version has no reference profile, or not the one that its manifest lists.
    """
    reference = releases.read_profile(folder)
    drops = list(judged[-1]["drops"]) if judged else []
    frame = dataset.frame(product, since=min(drops) - 1) if drops else None
    rows = frame[frame["drop_number"].isin(drops)] if frame is not None else None
    # All of them may have been superseded since, and the config's columns be others than the version's.
    if rows is None or not len(rows) or not set(release.columns.features) <= set(rows):
        return Compared(histograms(reference), {}, [], 0)
    risk = estimators.risks(release.model, rows)
    shifts = {shift.column: shift for shift in profile.shifts(reference, rows, risk)}
    return Compared(histograms(reference, rows, risk), shifts, drops, len(rows))


def columns(compared: Compared | None, importance: Mapping[str, float], psi: float) -> list[Block]:
    """A small picture a column: those that have moved, the most important ones, and the risks.

    Args:
        importance: the columns' shares of the model, the largest first.
        psi: the product's setting from which a column's shift counts.
    """
    if compared is None:
        return [Text("Not known: the version does not say what its training rows looked like.")]
    limit = drift.SHIFT_P / max(len(compared.histograms) - (RISK in compared.histograms), 1)
    names = chosen(compared, importance, psi, limit)
    items = [
        (
            "The risks" if name == RISK else fit(name),
            drawn.column(f"column-{i}", compared.histograms[name]),
            _caption(compared.histograms[name], compared.shifts.get(name), limit),
        )
        for i, name in enumerate(names, 1)
    ]
    return [Text(_how_to_read(compared, len(names))), Pictures(items)]


def chosen(compared: Compared, importance: Mapping[str, float], psi: float, limit: float) -> list[str]:
    """The risks, then the columns that moved, the furthest first, then the most important of the others."""
    features = [name for name in compared.histograms if name != RISK]
    moved = [one for one in compared.shifts.values() if one.column != RISK and one.psi > psi and one.p_value < limit]
    first = [one.column for one in sorted(moved, key=lambda one: -one.psi)]
    others = sorted((name for name in features if name not in first), key=lambda name: -importance.get(name, 0.0))
    return ([RISK] if RISK in compared.histograms else []) + [*first, *others][: MOST - (RISK in compared.histograms)]


def _how_to_read(compared: Compared, shown: int) -> str:
    risks = RISK in compared.histograms
    total, shown = len(compared.histograms) - risks, shown - risks
    which = (
        f"{'every column' if shown == total else f'{shown} of the {total} columns'}{' and the risks' if risks else ''}"
    )
    if not compared.drops:
        return (
            f"The shares of the rows that the model was trained on: {which}. No drop has been judged since; the next "
            "one is drawn over them."
        )
    now = several("drop", list(compared.drops))
    return (
        f"Grey: the rows that the model was trained on. Blue: the {compared.rows:,} rows of {now}, judged last. Shown: "
        f"{which}; those that moved come first, then the most important. The outermost bars also hold what lies "
        f"beyond them. PSI, the population stability index, is how far the two are apart: up to {LITTLE} little, from "
        f"{MUCH} much."
    )


def _caption(found: Histogram, shift: Shift | None, limit: float) -> str:
    """How far the column moved, and what its levels are."""
    said = []
    if shift:
        told = shift.words.removeprefix(f"{fit(shift.column)}: ")
        changed = shift.p_value < limit  # else what is most different is so by chance
        said.append(f"{moved(shift, limit)}: {told if changed else f'PSI {shift.psi:.2f}'}.")
    elif found.before.sum() < 1 - 1e-3:
        said.append(f"{percent(1 - found.before.sum())} missing.")
    if found.edges is None:
        said.append(", ".join(f"{i} = {fit(level, LONGEST_LEVEL)}" for i, level in enumerate(found.levels, 1)))
    return "\n".join(said)


def moved(shift: Shift, limit: float) -> str:
    """How far a column moved, in a word."""
    if shift.p_value >= limit:
        return "As it was"
    return "Moved little" if shift.psi < LITTLE else "Moved" if shift.psi < MUCH else "Moved much"
