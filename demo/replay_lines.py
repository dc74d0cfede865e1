"""The lines of a replay: what a drop showed, what was done and why, in the width of a terminal."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from churn import words
from churn.contest.comparison import Paired
from churn.contest.promotion import RECIPES
from churn.drift import OK

WIDTH = 160
LINE = (
    "{drop:<20} {rows:>7} {left:>6} {auc:>6} {f1:>6}  {estimate:<12}  {verdict:<8} {raw:<5}  {action:<11} {version:<5}"
)
HEAD = {
    "drop": "drop",
    "rows": "rows",
    "left": "left",
    "auc": "AUC",
    "f1": "F1",
    "estimate": "F1 estimated",
    "verdict": "verdict",
    "raw": "raw",
    "action": "done",
    "version": "model",
}
LEGEND = (
    "AUC and F1: of the model in production on the drop's labelled rows, before anything has trained on them. "
    "F1 estimated: from the risks alone, 95% interval. raw: the brief's rule, F1 below the deployed score. "
    "done, model: what was done after the drop, and the version in production from then on. AP: average precision. "
    "A suspect drop is not trained on unless the next one shows the same."
)
RAW = {True: "drift", False: "ok", None: "-"}


@dataclass(frozen=True)
class Step:
    """One drop of a replay.

    `judgement` is None where the model in production could not be judged on it, `decision` where nothing was decided;
    `aside` says why its rows are not stored, if they are not. `version` is in production afterwards. `scores` has
    what each policy scored, see `policies.Policies.scores`.
    """

    label: str
    judgement: Mapping[str, Any] | None = None
    decision: Mapping[str, Any] | None = None
    aside: str = ""
    version: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """What was done."""
        if self.aside:
            return "set aside"
        return self.decision["action"] if self.decision else "nothing"

    @property
    def reason(self) -> str:
        """Why, in full."""
        if self.aside:
            return self.aside
        return self.decision["reason"] if self.decision else "no new rows"

    @property
    def estimate(self) -> Mapping[str, Any]:
        """The estimated scores: of the rows whose labels came, else of those that wait for theirs."""
        judgement = self.judgement or {}
        return judgement.get("estimate") or judgement.get("waiting") or {}


def head() -> str:
    """What stands above the lines."""
    return f"{textwrap.fill(LEGEND, WIDTH)}\n\n{LINE.format(**HEAD)}  why"


def line(step: Step) -> str:
    """A drop in one line."""
    judgement, known, estimate = step.judgement or {}, step.scores, step.estimate
    rows = judgement["seen"]["rows"] if judgement else None
    shown = {
        "drop": words.fit(step.label.removesuffix(".csv"), 20),
        "rows": "-" if rows is None else f"{rows:,}",
        "left": f"{known['left']:.1%}" if known else "-",
        "auc": f"{known['policy_roc_auc']:.3f}" if known else "-",
        "f1": f"{known['policy_f1']:.3f}" if known else "-",
        "estimate": f"{estimate['f1_lower']:.2f} to {estimate['f1_upper']:.2f}" if estimate else "-",
        "verdict": judgement.get("verdict", "-"),
        "raw": RAW[judgement.get("raw_rule")],
        "action": step.action,
        "version": step.version.split("-")[0] if step.version else "none",
    }
    start = LINE.format(**shown)
    told = re.sub(r"\b([0-9]{4,})-[0-9a-f]{8}\b", r"\1", why(step)).replace("ROC AUC", "AUC")
    return f"{start}  {textwrap.shorten(told, WIDTH - len(start) - 2, placeholder=' ...')}"


def why(step: Step) -> str:
    """The reason in few words, the most telling first."""
    decision, judgement = step.decision, step.judgement
    if step.aside or decision is None:
        return step.reason
    promotion = decision["promotion"]
    compared = _compared(promotion) if promotion else ""
    if decision["action"] in ("deployed", "rolled back", "none") and compared:
        return compared
    if judgement and judgement["verdict"] != OK:
        suspect = "suspect: " if " suspect" in decision["reason"] else ""
        return f"{suspect}{judgement['said']}"
    return compared or decision["reason"]


def _compared(promotion: Mapping[str, Any]) -> str:
    """How the comparison of models ended, and what it rests on."""
    numbers, end = promotion["numbers"], promotion["reason"].rpartition(": ")[2]
    trials, recipe, rival = numbers.get("recipes"), numbers.get("recipe"), numbers.get("rival", "")
    if trials and recipe:
        if not rival[:1].isdigit():  # the first model, beside the constant guess
            return f"{end} than {rival}: {_pair(trials[recipe], 'AP')}"
        return f"{end}: {_pair(trials[recipe])}, trained on {RECIPES[recipe]}"
    if "average_precision" in numbers:  # with the release before
        return f"back to {rival.split('-')[0]}: {_pair(numbers)} of the one after it"
    return promotion["reason"]


def _pair(comparison: Mapping[str, Any], name: str | None = None) -> str:
    """The challenger's average precision (AP) beside the champion's, or their ROC AUC where that says more."""
    paired = {name: Paired(**comparison[key]) for name, key in (("AP", "average_precision"), ("AUC", "roc_auc"))}
    name = name or max(paired, key=lambda name: paired[name].z)
    return f"{name} {paired[name].challenger:.3f} against {paired[name].champion:.3f}"
