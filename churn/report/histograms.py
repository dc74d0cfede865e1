"""The picture of one column: its shares when the model was trained, and those of newer rows over them."""

from typing import TYPE_CHECKING

import numpy as np

from churn.monitoring.histogram import Histogram
from churn.report.charts import BLUE, INK, THIRD, Picture, picture
from churn.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AREA, EDGE, NOW = "#cbd3dc", "#8794a5", BLUE  # a grey area with its edge, and a line over it


def column(name: str, found: Histogram) -> Picture:
    """A small picture; a number's values stand below it, the levels of a category as 1, 2, 3 and others."""
    edges = found.edges if found.edges is not None else np.arange(len(found.before) + 1) + 0.5
    apart = found.edges is None

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

        if apart:
            places = np.arange(1, len(found.before) + 1)
            axes.bar(places, found.before, width=0.72, color=AREA, edgecolor=EDGE, linewidth=0.6)
            if found.now is not None:
                axes.bar(places, found.now, width=0.4, fill=False, edgecolor=NOW, linewidth=1.4)
            words = [str(i) for i in places[: len(found.levels)]]
            axes.set_xticks(places, [*words, "others"][: len(places)])
            axes.set_xlim(0.4, max(len(places), 3) + 0.6)
        else:
            axes.stairs(found.before, edges, fill=True, color=AREA)
            axes.stairs(found.before, edges, color=EDGE, linewidth=0.6)
            if found.now is not None:
                axes.stairs(found.now, edges, color=NOW, linewidth=1.4)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
            axes.set_xlim(edges[0], edges[-1])
        axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(0, 1.08 * max(found.before.max(initial=0.0), _highest(found), 0.01))
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=2, labelsize=6.5)
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(visible=True, axis="y")

    return picture(name, draw, THIRD, _alt(found, edges))


def tick(value: float) -> str:
    """A number below a picture, short: 12, 1.5, 20k, 3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):g}{unit}"
    return f"{value + 0.0:.4g}"


def _highest(found: Histogram) -> float:
    return 0.0 if found.now is None else float(found.now.max(initial=0.0))


def _alt(found: Histogram, edges: np.ndarray) -> str:
    """The largest shares in words, without a word of the data."""
    said = []
    for i in np.argsort(-np.maximum(found.before, 0 if found.now is None else found.now), kind="stable")[:3]:
        if found.edges is None:
            where = f"level {i + 1}" if i < len(found.levels) else "other levels"
        else:
            where = f"{tick(edges[i])} to {tick(edges[i + 1])}"
        now = "" if found.now is None else f"now {percent(found.now[i])}, "
        said.append(f"{where}: {now}{'' if found.now is None else 'was '}{percent(found.before[i])}")
    return f"Histogram; {'; '.join(said)}"
