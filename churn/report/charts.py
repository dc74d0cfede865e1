"""The pictures of a report, and the curves that they show.

Pictures hold no text of the data, only our own words and numbers: names of columns and clients may be in any
script, and matplotlib's font has not all of them. The same numbers give the same bytes. Colours are those of Okabe
and Ito, which the colour-blind can tell apart; nothing is told by colour alone.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, LINE, PALE = "#1f2933", "#5f6b7a", "#d5dbe1", "#f4f6f8"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
DEEP_BLUE = "#005a8d"  # dark enough for white words on it
HALF, FULL = (3.35, 2.85), (6.9, 2.5)  # inches: half and the whole width of an A4 text column
DPI = 200
BIN_ROWS = 20  # fewer rows in a calibration bin say next to nothing
MAX_BINS = 10
MAX_POINTS = 300  # more than the eye can tell on a curve
MAX_RELEASES = 12

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "churn",  # else the ids in it are random
}


@dataclass(frozen=True)
class Picture:
    """One picture, as a PNG for the PDF and as an SVG for the page; `alt` says what is in it."""

    png: bytes
    svg: bytes
    alt: str
    size: tuple[float, float]  # inches

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width of a page."""
        return self.size == FULL


@dataclass(frozen=True)
class Bin:
    """Rows of similar risk: how many, their mean risk, the share that left and its 95% interval."""

    rows: int
    risk: float
    left: float
    lower: float
    upper: float


def calibration_bins(left: np.ndarray, risk: np.ndarray) -> list[Bin]:
    """Up to ten groups of equally many rows by risk; rows of equal risk stay together.

    Source of the interval: Wilson, Probable inference, 1927, eq. 7 (the score interval of a share).
    """
    count = int(np.clip(len(risk) // BIN_ROWS, 1, MAX_BINS))
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, count + 1)[1:-1])) if len(risk) else np.empty(0)
    number = np.searchsorted(edges, risk, side="right")
    bins = []
    for i in np.unique(number):
        inside = number == i
        n, share, z = int(inside.sum()), float(left[inside].mean()), 1.96
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        bins.append(Bin(n, float(risk[inside].mean()), share, max(0.0, middle - half), min(1.0, middle + half)))
    return bins


def gain_curve(left: np.ndarray, risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of all leavers found (y) among the share of rows called (x), the most at risk first.

    Both run from 0 to 1. Rows of equal risk are joined by a straight line: they come in any order.
    """
    order = np.argsort(-risk, kind="stable")
    ordered = risk[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    found = np.cumsum(left[order])[ends] / max(int(left.sum()), 1)
    return np.append(0.0, (ends + 1) / len(risk)), np.append(0.0, found)


def confusion(counts: dict[str, int], title: str | None = None) -> Picture:
    """The confusion matrix: what the model said against what happened, with the share of each row of it."""
    table = np.array([[counts["tp"], counts["fn"]], [counts["fp"], counts["tn"]]])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    def draw(axes: "Axes") -> None:
        from matplotlib.colors import LinearSegmentedColormap

        scale = LinearSegmentedColormap.from_list("share", ["#f3f8fb", DEEP_BLUE])
        axes.imshow(shares, cmap=scale, vmin=0, vmax=1, aspect="auto")
        for (row, column), n in np.ndenumerate(table):
            colour = "white" if shares[row, column] > 0.7 else INK
            axes.text(column, row - 0.06, f"{n:,}", ha="center", va="center", size=15, color=colour, weight="bold")
            of = f"{shares[row, column]:.0%} of those who {('left', 'stayed')[row]}"
            axes.text(column, row + 0.2, of, ha="center", va="center", size=6.5, color=colour)
        axes.set_xticks([0, 1], ["model says: leaves", "model says: stays"])
        axes.set_yticks([0, 1], ["left", "stayed"], rotation=90, va="center")
        axes.axhline(0.5, color="white", linewidth=3)
        axes.axvline(0.5, color="white", linewidth=3)
        axes.tick_params(length=0, labelsize=8, labelcolor=INK)
        axes.tick_params(axis="x", top=False, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        if title:
            axes.set_title(title, size=8, color=MUTED, pad=12)

    cells = ", ".join(f"{n} {name}" for name, n in _in_words(counts).items())
    return _picture(draw, (4.2, 3.5) if title else HALF, f"Confusion matrix: {cells}")


def _in_words(counts: dict[str, int]) -> dict[str, int]:
    return {
        "left and were listed": counts["tp"],
        "left and were not listed": counts["fn"],
        "stayed but were listed": counts["fp"],
        "stayed and were not listed": counts["tn"],
    }


def calibration(bins: Sequence[Bin]) -> Picture:
    """Predicted risk against what happened, a dot for each group of rows."""
    risk, left = np.array([b.risk for b in bins]), np.array([b.left for b in bins])
    below, above = left - np.array([b.lower for b in bins]), np.array([b.upper for b in bins]) - left
    top = min(1.0, 1.08 * max(*(b.upper for b in bins), risk.max(), 0.05))

    def draw(axes: "Axes") -> None:
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="exactly right")
        axes.legend(loc="upper left", frameon=False, labelcolor=MUTED)
        # A share on the edge of its interval gives a length of -1e-17.
        whiskers = np.maximum([below, above], 0)
        axes.errorbar(risk, left, whiskers, color=BLUE, fmt="o-", markersize=4, linewidth=1.4, elinewidth=0.8)
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="risk that the model gave", ylabel="share that left")
        _percent(axes.xaxis, axes.yaxis)
        axes.grid(visible=True)

    points = "; ".join(f"risk {b.risk:.0%}: {b.left:.0%} of {b.rows:,} left" for b in bins)
    return _picture(draw, HALF, f"Calibration: {points}")


def gain(left: np.ndarray, risk: np.ndarray, threshold: float) -> Picture:
    """Who is found when the most at risk are called first, against random order and perfect foresight."""
    called, found = gain_curve(left, risk)
    rate, listed = float(left.mean()), float((risk >= threshold).mean())
    reached = float(np.interp(listed, called, found))
    grid = np.linspace(0, 1, MAX_POINTS)
    if len(called) > MAX_POINTS:
        called, found = grid, np.interp(grid, called, found)

    def draw(axes: "Axes") -> None:
        axes.plot([0, rate, 1], [0, 1, 1], color=GREEN, linewidth=1, linestyle=(0, (1, 1.5)))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(called, found, color=BLUE, linewidth=1.8)
        axes.plot([listed, listed, 0], [0, reached, reached], color=ORANGE, linewidth=0.8)
        axes.plot(listed, reached, "o", color=ORANGE, markersize=4.5, clip_on=False)
        axes.annotate("perfect", (rate, 1), (5, -9), textcoords="offset points", color=GREEN)
        aside = 0.68 if listed < 0.5 else 0.25  # away from the line of the list
        axes.annotate("random", (aside, aside), (6, -9), textcoords="offset points", color=MUTED)
        said = f"the list: {listed:.0%} called,\n{reached:.0%} of leavers found"
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(0.97, 0.06, said, ha="right", color=ORANGE, bbox=behind)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="share of clients called", ylabel="share of leavers found")
        _percent(axes.xaxis, axes.yaxis)
        axes.grid(visible=True)

    return _picture(draw, HALF, f"Cumulative gain: calling {listed:.0%} of the clients finds {reached:.0%} of leavers")


def history(points: Sequence[dict[str, Any]]) -> Picture:
    """The scores of the releases, in the order in which they were in production.

    Args:
        points: {number, date, f1, constant_f1, roc_auc, average_precision} a release; None where undefined.
    """
    points = points[-MAX_RELEASES:]
    known = [p[key] for p in points for _, key, *_ in HISTORY if p[key] is not None]

    def draw(axes: "Axes") -> None:
        at = np.arange(len(points))
        ends = []
        for name, key, colour, line in HISTORY:
            values = np.array([np.nan if p[key] is None else p[key] for p in points])
            axes.plot(at, values, color=colour, markersize=4.5, **line)
            if np.isfinite(values[-1]):
                ends.append((values[-1], f"{name} {values[-1]:.3f}", colour))
        for place, (_, text, colour) in zip(_apart([end[0] for end in ends], 0.07), ends, strict=True):
            axes.annotate(text, (at[-1], place), (9, 0), textcoords="offset points", color=colour, va="center")
        axes.set(ylim=(max(0.0, np.floor(min(known) * 10 - 0.5) / 10), 1.02), xlim=(-0.3, max(at[-1], 1) + 0.1))
        every = -(-len(points) // 6)  # more dates than six run into each other
        dates = [p["date"] if i % every == 0 else "" for i, p in enumerate(points)]
        axes.set_xticks(at, [f"{p['number']}\n{date}" for p, date in zip(points, dates, strict=True)])
        axes.grid(visible=True, axis="y")

    said = "; ".join(f"{p['number']} ({p['date']}) F1 {p['f1']:.3f}" for p in points)
    return _picture(draw, FULL, f"Scores of the releases: {said}")


# What the history shows: words, key, colour, and how the line is drawn.
HISTORY = (
    ("ROC AUC", "roc_auc", GREEN, {"marker": "s", "linewidth": 1.5}),
    ("F1", "f1", BLUE, {"marker": "o", "linewidth": 1.5}),
    ("average precision", "average_precision", ORANGE, {"marker": "D", "linewidth": 1.5}),
    ("F1 of the constant guess", "constant_f1", MUTED, {"marker": "_", "linewidth": 1, "linestyle": (0, (4, 3))}),
)


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels near their values, at least `gap` from each other."""
    places = [0.0] * len(values)
    last = -np.inf
    for i in np.argsort(values, kind="stable"):
        last = places[i] = max(values[i], last + gap)
    return places


def _percent(*sides: Any) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for side in sides:
        side.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        side.set_major_formatter(PercentFormatter(1, decimals=0))


def _picture(draw: Callable[["Axes"], None], size: tuple[float, float], alt: str) -> Picture:
    """Draw on a figure of its own (nothing global is touched or kept) and save it twice."""
    import matplotlib.style
    from matplotlib.figure import Figure

    png, svg = io.BytesIO(), io.BytesIO()
    # After a reset: a matplotlibrc of whoever runs this changes nothing.
    with matplotlib.style.context(STYLE, after_reset=True):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(png.getvalue(), svg.getvalue(), alt, size)
