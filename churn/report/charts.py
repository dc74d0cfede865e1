"""The pictures of a report: how they look, and those of a model on held-out rows.

Pictures hold no text of the data, only our own words and numbers: names of columns and clients may be in any
script, and matplotlib's font has not all of them. The same numbers give the same bytes. Colours are those of Okabe
and Ito, which the colour-blind can tell apart; nothing is told by colour alone.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.calls import capacity
from churn.calls.interval import Interval, proportion
from churn.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, PALE = "#1f2933", "#5f6b7a", "#d5dbe1", "#f4f6f8"
BLUE, ORANGE, GREEN, AMBER, PURPLE = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7"
LIGHT_BLUE = "#7db8da"  # light enough for words on it
HALF, WIDE = (3.35, 2.85), 6.9  # inches: half a page, and the whole width of an A4 text column
THIRD = (2.15, 1.35)
DPI = 200
BIN_ROWS = 20  # fewer rows in a calibration bin say next to nothing
MAX_BINS = 10
MAX_POINTS = 300  # more than the eye can tell on a curve

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
    """One picture, as a PNG for the PDF and as an SVG for the page; `alt` says what is in it, `name` tells it apart."""

    name: str
    png: bytes
    svg: bytes
    alt: str
    size: tuple[float, float]  # inches

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width of a page."""
        return self.size[0] == WIDE

    @property
    def small(self) -> bool:
        """Whether three stand in a row."""
        return self.size == THIRD


@dataclass(frozen=True)
class Bin:
    """Rows of similar risk: how many, their mean risk, and the share that left."""

    rows: int
    risk: float
    left: Interval


def calibration_bins(left: np.ndarray, risk: np.ndarray) -> list[Bin]:
    """Up to ten groups of equally many rows by risk; rows of equal risk stay together."""
    count = int(np.clip(len(risk) // BIN_ROWS, 1, MAX_BINS))
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, count + 1)[1:-1])) if len(risk) else np.empty(0)
    number = np.searchsorted(edges, risk, side="right")
    bins = []
    for i in np.unique(number):
        inside = number == i
        n, share = int(inside.sum()), float(left[inside].mean())
        error = float(np.sqrt(share * (1 - share) / n))
        bins.append(Bin(n, float(risk[inside].mean()), proportion(share, error, n)))
    return bins


def confusion(counts: dict[str, int], title: str | None = None) -> Picture:
    """The confusion matrix: what the model said against what happened, with the share of each row of it."""
    table = np.array([[counts["tp"], counts["fn"]], [counts["fp"], counts["tn"]]])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    def draw(axes: "Axes") -> None:
        from matplotlib.colors import LinearSegmentedColormap

        scale = LinearSegmentedColormap.from_list("share", [PALE, LIGHT_BLUE])
        axes.imshow(shares, cmap=scale, vmin=0, vmax=1, aspect="auto")
        for (row, column), n in np.ndenumerate(table):
            axes.text(column, row - 0.06, f"{n:,}", ha="center", va="center", size=15, weight="bold")
            of = f"{shares[row, column]:.0%} of those who {('left', 'stayed')[row]}"
            axes.text(column, row + 0.2, of, ha="center", va="center", size=6.5)
        axes.set_xticks([0, 1], ["flagged", "not flagged"])
        axes.set_yticks([0, 1], ["left", "stayed"], rotation=90, va="center")
        axes.axhline(0.5, color="white", linewidth=3)
        axes.axvline(0.5, color="white", linewidth=3)
        axes.tick_params(length=0, labelsize=8, labelcolor=INK)
        axes.tick_params(axis="x", top=False, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        if title:
            axes.set_title(title, size=8, color=MUTED, pad=12)

    cells = ", ".join(f"{n} {name}" for name, n in _in_words(counts).items())
    return picture("confusion", draw, (4.2, 3.5) if title else HALF, f"Confusion matrix: {cells}")


def _in_words(counts: dict[str, int]) -> dict[str, int]:
    return {
        "left and were flagged": counts["tp"],
        "left and were not flagged": counts["fn"],
        "stayed but were flagged": counts["fp"],
        "stayed and were not flagged": counts["tn"],
    }


def calibration(bins: Sequence[Bin]) -> Picture:
    """Predicted risk against what happened, a dot for each group of rows."""
    risk, left = np.array([b.risk for b in bins]), np.array([b.left.value for b in bins])
    below, above = left - np.array([b.left.lower for b in bins]), np.array([b.left.upper for b in bins]) - left
    top = min(1.0, 1.08 * max(*(b.left.upper for b in bins), risk.max(), 0.05))

    def draw(axes: "Axes") -> None:
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="exactly right")
        axes.legend(loc="upper left", frameon=False, labelcolor=MUTED)
        # A share on the edge of its interval gives a length of -1e-17.
        whiskers = np.maximum([below, above], 0)
        axes.errorbar(risk, left, whiskers, color=BLUE, fmt="o-", markersize=4, linewidth=1.4, elinewidth=0.8)
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="risk that the model gave", ylabel="share that left")
        _percent(axes.xaxis, axes.yaxis)
        axes.grid(visible=True)

    points = "; ".join(f"risk {b.risk:.0%}: {b.left.value:.0%} of {b.rows:,} left" for b in bins)
    return picture("calibration", draw, HALF, f"Calibration: {points}")


def gain(left: np.ndarray, score: np.ndarray, share: float, name: str) -> Picture:
    """Who is found when those of the highest score are called, against random order and perfect foresight.

    Args:
        share: of the rows that are called.
        name: what calling so many is called.
    """
    called, found = capacity.gain_curve(left, score)
    rate, reached = float(left.mean()), float(np.interp(share, called, found))
    if len(called) > MAX_POINTS:
        grid = np.linspace(0, 1, MAX_POINTS)
        called, found = grid, np.interp(grid, called, found)

    def draw(axes: "Axes") -> None:
        axes.plot([0, rate, 1], [0, 1, 1], color=GREEN, linewidth=1, linestyle=(0, (1, 1.5)))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(called, found, color=BLUE, linewidth=1.8)
        axes.plot([share, share, 0], [0, reached, reached], color=ORANGE, linewidth=0.8)
        axes.plot(share, reached, "o", color=ORANGE, markersize=4.5, clip_on=False)
        axes.annotate("perfect", (rate, 1), (5, -9), textcoords="offset points", color=GREEN)
        aside = 0.68 if share < 0.5 else 0.25  # away from the line of the list
        axes.annotate("random", (aside, aside), (6, -9), textcoords="offset points", color=MUTED)
        said = f"{name}: {percent(share)} called,\n{percent(reached)} of leavers found"
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(0.97, 0.06, said, ha="right", color=ORANGE, bbox=behind)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="share of clients called", ylabel="share of leavers found")
        _percent(axes.xaxis, axes.yaxis)
        axes.grid(visible=True)

    alt = f"Gain: calling {percent(share)} of the clients finds {percent(reached)} of leavers"
    return picture("gain", draw, HALF, alt)


def _percent(*sides: Any) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for side in sides:
        side.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        side.set_major_formatter(PercentFormatter(1, decimals=0))


def picture(name: str, draw: Callable[[Any], None], size: tuple[float, float], alt: str, **panels: Any) -> Picture:
    """Draw on the axes of a figure of its own (nothing global is touched or kept) and save it twice.

    Args:
        panels: as `matplotlib.figure.Figure.subplots` takes them; one without any.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    png, svg = io.BytesIO(), io.BytesIO()
    # After a reset: a matplotlibrc of whoever runs this changes nothing.
    with matplotlib.style.context(STYLE, after_reset=True):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots(**panels))
        _settle(figure)
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(name, png.getvalue(), svg.getvalue(), alt, size)


def _settle(figure: "Figure") -> None:
    """Lay out once, and round: the solver ends a hair off, each time elsewhere, and the names in an SVG show it."""
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)  # with any engine at all, each of the two would be drawn once more
    for axes in figure.axes:
        axes.set_position([round(part, 6) for part in axes.get_position().bounds])
