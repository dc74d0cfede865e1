"""What a replay came to: a table, a sentence, and the picture of what each policy scored on each drop."""

import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from churn import words
from churn.report import charts, timeline
from demo.policies import NAMES, gained
from demo.replay_lines import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCORES = {"roc_auc": "ROC AUC", "f1": "F1"}
ESTIMATES = [f"{score}{end}" for score in SCORES for end in ("", "_lower", "_upper")]
COLUMNS = [
    *("file", "drops", "judged", "rows", "left", "verdict", "suspect", "raw_rule"),
    *(f"{name}_{score}" for score in SCORES for name in NAMES),
    *(f"policy_{score}_error" for score in SCORES),
    *(f"f1_over_{name}_error" for name in NAMES[1:]),
    *("best_roc_auc", *(f"estimated_{name}" for name in ESTIMATES), "action", "version", "reason"),
]
LOOKS: dict[str, dict[str, Any]] = {
    "policy": {"color": charts.BLUE, "linestyle": "-", "marker": "o", "linewidth": 2.6, "markersize": 6, "zorder": 2},
    "always": {"color": charts.ORANGE, "linestyle": "--", "marker": "s", "linewidth": 1.3, "markersize": 3.5},
    "never": {"color": charts.INK, "linestyle": ":", "marker": "v", "linewidth": 1.3, "markersize": 3.5},
}
SIZE, HEIGHTS = (8.8, 6.2), (0.8, 2, 2)
MOST_WORDS = 24  # more drops than that, and the words under the marks run into each other
ROOM = 0.12  # of the width, for "back to version 1"
TITLE_WIDTH, LONGEST = 112, 24  # characters of a line of the title, and of a file's name
ROTATED = 80  # more characters than that of all file names together do not fit side by side
NOISE = 1.96


# ---- the table and the sentence --------------------------------------------------------------------------------------


def table(steps: Sequence[Step], best: Mapping[str, float], suspects: set[int]) -> pd.DataFrame:
    """A row a drop, with COLUMNS: what each policy scored, the estimate, the verdict and what was done.

    Args:
        best: the best possible ROC AUC by file, where it is known.
        suspects: the numbers of the drops that are suspect in the end.
    """
    rows = []
    for step in steps:
        judgement, drops = step.judgement or {}, (step.judgement or {}).get("drops", [])
        row: dict[str, Any] = {"file": step.label, "drops": "+".join(map(str, drops)), **step.scores}
        row |= {"judged": judgement.get("champion"), "verdict": judgement.get("verdict")}
        row |= {"suspect": bool(suspects & set(drops)), "raw_rule": judgement.get("raw_rule")}
        row |= {f"estimated_{name}": step.estimate[name] for name in ESTIMATES if step.estimate}
        if len(drops) == 1:  # of several that are judged together it is not known
            row["best_roc_auc"] = best.get(step.label)
        rows.append(row | {"action": step.action, "version": step.version, "reason": step.reason})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"rows": "Int64"})


def headline(found: pd.DataFrame, policy: str) -> str:
    """What came of it, in one sentence."""
    scored = found[found["policy_f1"].notna()]
    after = found.loc[found["judged"].notna(), "action"]  # and not the first model
    counts = {what: int((after == what).sum()) for what in ("deployed", "rolled back")}
    models = f"{counts['deployed'] or 'no'} model{'s' * (counts['deployed'] != 1)}"
    back = f" and took {counts['rolled back']} back" if counts["rolled back"] else ""
    said = f"the {policy} policy promoted {models}{back} in {len(scored)} labelled drop{'s' * (len(scored) != 1)}: F1 "
    said += f"{scored['policy_f1'].mean():.3f} on average"
    beside = [f"{_beside(scored, name)} {name} retraining" for name in ("never", "always")]
    return f"{said}, {' and '.join(beside)}"


def _beside(scored: pd.DataFrame, other: str) -> str:
    differences = (scored["policy_f1"] - scored[f"{other}_f1"]).to_numpy()
    mean, error = gained(differences, scored[f"f1_over_{other}_error"].to_numpy())
    if not differences.any():
        return "the same as"
    chance = "beyond chance" if abs(mean) > NOISE * error else "within chance"
    return f"{abs(mean):.3f} {'more' if mean > 0 else 'less'} ({chance}) than"


# ---- the picture -----------------------------------------------------------------------------------------------------


def picture(found: pd.DataFrame, product: str, policy: str, change: tuple[str, str] | None = None) -> bytes:
    """Verdicts, ROC AUC and F1 of the judged drops, a line a policy; a PNG.

    Args:
        found: as `table` gives it.
        change: the file from which on the data were made otherwise, and how, in words.
    """
    judged = found[found["verdict"].notna()].reset_index(drop=True)

    def draw(axes: Sequence["Axes"]) -> None:
        strip, upper, lower = axes
        _verdicts(strip, judged)
        for panel, score in ((upper, "roc_auc"), (lower, "f1")):
            _scores(panel, judged, score, policy)
        _versions(axes, judged)
        if change and change[0] in set(judged["file"]):
            _changed(axes, int(judged.index[judged["file"] == change[0]][0]), change[1])
        _ticks(lower, judged["file"].tolist())
        many = strip.get_legend_handles_labels() if len(judged) > MOST_WORDS else ([], [])
        handles, labels = (one + other for one, other in zip(upper.get_legend_handles_labels(), many, strict=True))
        looks = {"loc": "outside lower center", "ncols": 3, "frameon": False}
        strip.figure.legend(handles, labels, **looks)
        title = textwrap.fill(f"{product}: {headline(found, policy)}", TITLE_WIDTH)
        strip.figure.suptitle(title, x=0.012, ha="left", size=9, weight="bold")
        strip.set_title(_how(found, judged), loc="left", size=7.5, color=charts.MUTED)

    alt = f"{product}: {headline(found, policy)}"
    return charts.picture("replay", draw, SIZE, alt, nrows=3, sharex=True, height_ratios=HEIGHTS).png


def _how(found: pd.DataFrame, judged: pd.DataFrame) -> str:
    """What one has to know to read the picture."""
    said = "Each drop is scored by the models that were there when it came, before anything was trained on it."
    if judged["suspect"].any():
        said += f" The policy is not trained on a suspect drop{'' if len(judged) <= MOST_WORDS else ' (?)'}."
    aside = int((found["action"] == "set aside").sum())
    return f"{said} {aside} file{'s were' if aside > 1 else ' was'} set aside." if aside else said


def _verdicts(axes: "Axes", judged: pd.DataFrame) -> None:
    """A row of marks, each with its word; of many drops the words are in the legend."""
    few = len(judged) <= MOST_WORDS
    for verdict, looks in timeline.MARKS.items():
        places = judged.index[judged["verdict"] == verdict]
        axes.plot(places, [0] * len(places), linestyle="", markersize=7 if few else 4, label=verdict, **looks)
    for row in judged.itertuples():
        word = (row.verdict if few else "") + (("\nsuspect" if few else "?") if row.suspect else "")
        looks = {"ha": "center", "va": "top", "size": 6.5, "color": charts.INK, "textcoords": "offset points"}
        axes.annotate(word, (row.Index, 0), (0, -7), **looks)
    axes.set(ylim=(-1.7, 1.8), yticks=[], ylabel="verdict")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _scores(axes: "Axes", judged: pd.DataFrame, score: str, policy: str) -> None:
    """One score: a line a policy, the interval of the one that is replayed, and what else is known."""
    places, middle = judged.index.to_numpy(), judged[f"policy_{score}"].to_numpy(float)
    names = {"policy": f"this policy ({policy})", "always": "always retraining: on all rows, after every drop"}
    names["never"] = "never retraining: the first model, kept"
    for name, looks in LOOKS.items():
        axes.plot(places, judged[f"{name}_{score}"].to_numpy(float), label=names[name], **{"zorder": 3, **looks})
    reach = NOISE * judged[f"policy_{score}_error"].to_numpy(float)
    shade = {"color": charts.BLUE, "alpha": 0.2, "linewidth": 6, "zorder": 1}
    axes.vlines(places, middle - reach, middle + reach, label="95% interval of this policy", **shade)
    best = judged["best_roc_auc"].to_numpy(float)
    if score == "roc_auc" and np.isfinite(best).any():
        axes.plot(places, best, color=charts.GREEN, linewidth=1, linestyle="-.", label="best possible: the true risks")
    _estimates(axes, judged[judged[f"policy_{score}"].isna()], score)
    axes.set_ylabel(f"{SCORES[score]} on the new rows")
    axes.margins(y=0.1)
    axes.grid(visible=True, axis="y")


def _estimates(axes: "Axes", waiting: pd.DataFrame, score: str) -> None:
    """Where labels have not come, what was estimated."""
    known = waiting[waiting[f"estimated_{score}"].notna()]
    if len(known):
        middle, lower, upper = (known[f"estimated_{score}{end}"].to_numpy(float) for end in ("", "_lower", "_upper"))
        ends = np.maximum([middle - lower, upper - middle], 0)
        looks = {"fmt": "D", "color": charts.PURPLE, "markerfacecolor": "white", "markersize": 4, "elinewidth": 0.8}
        axes.errorbar(known.index, middle, ends, label="estimated, for labels had not come", **looks)


def _versions(axes: Sequence["Axes"], judged: pd.DataFrame) -> None:
    """A line between two drops where another version came to production, with its number."""
    versions = [int(name.split("-")[0]) for name in [*judged["judged"], judged["version"].iloc[-1]]]
    changes = [(i - 0.5, old, new) for i, (old, new) in enumerate(zip(versions[:-1], versions[1:], strict=True), 1)]
    changes = [(-0.5, 0, versions[0]), *(change for change in changes if change[1] != change[2])]
    share = min(np.diff([place for place, *_ in changes]), default=len(judged)) / len(judged)
    for place, old, new in changes:
        for panel in axes:
            panel.axvline(place, color=charts.MUTED, linewidth=1)
        name = f"version {new}" if share > (ROOM if old else ROOM / 2) else f"{new}"
        looks = {"textcoords": "offset points", "xycoords": ("data", "axes fraction"), "size": 7}
        axes[0].annotate(name if new > old else f"back to {name}", (place, 1), (4, -8), **looks)
    last = ROOM if share > ROOM else ROOM / 3  # for the words of a change after the last drop
    axes[0].set_xlim(-0.55, len(judged) - 0.45 + len(judged) * last * (changes[-1][0] > len(judged) - 1))


def _changed(axes: Sequence["Axes"], place: int, how: str) -> None:
    """Shade the drops in which the data were made otherwise."""
    for panel in axes[1:]:
        panel.axvspan(place - 0.5, axes[0].get_xlim()[1], color=charts.LINE, alpha=0.45, linewidth=0, zorder=0)
    looks = {"textcoords": "offset points", "xycoords": ("data", "axes fraction"), "color": charts.MUTED, "size": 7}
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes[1].annotate(how, (place - 0.5, 0), (4, 4), bbox=behind, **looks)


def _ticks(axes: "Axes", files: Sequence[str]) -> None:
    """The files by what tells their names apart; by their place where the font may lack their letters."""
    prefix = re.sub(r"[^-_. ]*$", "", os.path.commonprefix(list(files))) if len(files) > 1 else ""
    names = [re.sub(r"\.csv$", "", name.removeprefix(prefix), flags=re.IGNORECASE) for name in files]
    if not all(name.isascii() for name in files):
        prefix, names = "", [str(i) for i in range(1, len(files) + 1)]
    every = -(-len(files) // MOST_WORDS)
    names = [words.fit(name, LONGEST) if i % every == 0 else "" for i, name in enumerate(names)]
    turned = {"rotation": 30, "ha": "right"} if sum(map(len, names)) > ROTATED else {}
    axes.set_xticks(range(len(files)), names, parse_math=False, **turned)
    label = f"drop ({prefix}*), in the order in which they came" if prefix else "drop, in the order in which they came"
    axes.set_xlabel(label, parse_math=False)
