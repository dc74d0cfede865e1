"""The picture of a model over the drops: verdicts, realised scores and estimates, and what was in production when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn.calls.interval import Interval
from churn.drift import DRIFTED, OK, WARNING
from churn.report.charts import AMBER, BLUE, GREEN, INK, LINE, MUTED, ORANGE, PURPLE, WIDE, Picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 18  # more drops than that, and the words under the marks run into each other
SIZE = (WIDE, 4.1)
HEIGHTS = (0.8, 2, 2)
MARKS: dict[str, dict[str, Any]] = {
    OK: {"marker": "o", "color": GREEN},
    WARNING: {"marker": "^", "color": AMBER},
    DRIFTED: {"marker": "s", "color": ORANGE},
}
ASIDE = 0.16  # an estimate stands so far right of what was realised


@dataclass(frozen=True)
class Point:
    """A drop, or several judged together: `version` was in production when it came; None is what is not known."""

    label: str
    version: str
    verdict: str
    suspect: bool
    auc: Interval | None
    f1: Interval | None
    estimated_auc: Interval | None
    estimated_f1: Interval | None


def timeline(points: Sequence[Point], now: str | None) -> Picture:
    """The last drops, oldest first.

    Args:
        now: the version in production after the last drop.
    """
    points = points[-MOST:]

    def draw(axes: Sequence["Axes"]) -> None:
        strip, upper, lower = axes
        _verdicts(strip, points)
        _scores(upper, "ROC AUC", [p.auc for p in points], [p.estimated_auc for p in points], points)
        _scores(lower, "F1", [p.f1 for p in points], [p.estimated_f1 for p in points], points)
        for place, words in changes(points, now):
            for panel in axes:
                panel.axvline(place, color=MUTED, linewidth=1)
            strip.annotate(words, (place, 1), (4, -7), textcoords="offset points", xycoords=("data", "axes fraction"))
        lower.set_xticks(range(len(points)), [p.label for p in points])
        lower.tick_params(axis="x", labelbottom=True)
        lower.set_xlabel("drop")
        lower.set_xlim(-0.55, len(points) - 0.45 + (0.6 if now and now != points[-1].version else 0))
        shown = upper.get_legend_handles_labels()
        looks = {"ncols": 2, "frameon": False, "borderpad": 0}
        upper.legend(*map(reversed, shown), loc="lower left", bbox_to_anchor=(0, 0.98), **looks)

    return picture("timeline", draw, SIZE, _alt(points, now), nrows=3, sharex=True, height_ratios=HEIGHTS)


def changes(points: Sequence[Point], now: str | None) -> list[tuple[float, str]]:
    """Where another version came to production: the place between two drops, and its number in words."""
    versions = [p.version for p in points] + [now or points[-1].version]
    found = [(-0.5, f"version {versions[0]}")]
    for i, (old, new) in enumerate(zip(versions[:-1], versions[1:], strict=True)):
        if new != old:
            found.append((i + 0.5, f"version {new}" if int(new) > int(old) else f"back to {new}"))
    return found


def _verdicts(axes: "Axes", points: Sequence[Point]) -> None:
    """A row of marks, each with its word."""
    for i, point in enumerate(points):
        axes.plot(i, 0, markersize=7, **MARKS[point.verdict])
        word = f"{point.verdict}\nsuspect" if point.suspect else point.verdict
        axes.annotate(word, (i, 0), (0, -7), textcoords="offset points", ha="center", va="top", size=6.5, color=INK)
    axes.set(ylim=(-1.6, 1.7), yticks=[], ylabel="verdict")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _scores(
    axes: "Axes",
    name: str,
    realised: Sequence[Interval | None],
    estimated: Sequence[Interval | None],
    points: Sequence[Point],
) -> None:
    """One score: realised dots joined by a line within a version, and the estimates beside them."""
    for version in dict.fromkeys(p.version for p in points):
        _joined(axes, [r if p.version == version else None for r, p in zip(realised, points, strict=True)])
    _whiskers(axes, estimated, ASIDE, "estimated without labels", fmt="D", color=PURPLE, markerfacecolor="white")
    _whiskers(axes, realised, 0, "realised", fmt="o", color=BLUE)
    axes.set_ylabel(name)
    axes.margins(y=0.12)
    axes.grid(visible=True, axis="y")
    axes.axhline(axes.get_ylim()[0], color=LINE, linewidth=0.8)


def _joined(axes: "Axes", realised: Sequence[Interval | None]) -> None:
    known = [(i, interval.value) for i, interval in enumerate(realised) if interval is not None]
    axes.plot([i for i, _ in known], [value for _, value in known], color=BLUE, linewidth=1.4)


def _whiskers(axes: "Axes", intervals: Sequence[Interval | None], aside: float, label: str, **looks: Any) -> None:
    known = [(i + aside, interval) for i, interval in enumerate(intervals) if interval is not None]
    if not known:
        return
    # A value on the edge of its interval gives a length of -1e-17.
    ends = [[max(r.value - r.lower, 0.0) for _, r in known], [max(r.upper - r.value, 0.0) for _, r in known]]
    places, values = [at for at, _ in known], [r.value for _, r in known]
    axes.errorbar(places, values, ends, label=label, markersize=4, elinewidth=0.8, linestyle="none", **looks)


def _alt(points: Sequence[Point], now: str | None) -> str:
    def said(point: Point) -> str:
        parts = [f"drop {point.label}: {point.verdict}" + (", suspect" if point.suspect else "")]
        for name, realised, estimated in (
            ("ROC AUC", point.auc, point.estimated_auc),
            ("F1", point.f1, point.estimated_f1),
        ):
            parts += [f"{name} {realised.value:.3f}"] if realised else []
            parts += [f"{name} estimated {estimated.value:.3f}"] if estimated else []
        return ", ".join(parts)

    came = [(round(place + 0.5), words) for place, words in changes(points, now)]
    at = [f"{words} after {drops} drops" if drops else words for drops, words in came]
    return f"In production {', '.join(at)}. " + "; ".join(said(point) for point in points)
