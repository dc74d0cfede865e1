"""What many simulated streams come to: how often the rules were right, and what they earned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from prettytable import PrettyTable

from churn import drift

QUIET = ("none", "wobble")  # the kinds in which nothing changes
WORDS = {
    "none": "without a change",
    "wobble": "months that wobble",
    "relation": "a relation that changes (-.10 ROC AUC)",
    "inputs": "a strong column that moves by .5 sd",
    "gradual": "a relation that changes over 12 drops",
    "flipped": "a drop with half its labels flipped",
}
FOUND = {"relation": ">= 95% by the 2nd", "inputs": ">= 99% by the 2nd"}
LEAST_GAIN = {**dict.fromkeys((*QUIET, "inputs"), ">= -0.005"), **dict.fromkeys(("relation", "gradual"), "> 0")}
MOST_PROMOTIONS = "<= 4"
RIVALS = {"raw": "F1 below the deployed", "half": "half of columns p < .05"}


@dataclass(frozen=True)
class Tick:
    """What a drop showed and what was done; F1 on the drop's rows by three policies."""

    drop: int
    verdict: str
    raw: bool
    half: bool  # the rule: more than half of the columns with p < .05
    action: str
    f1: float
    always: float
    never: float
    flipped_used: bool


@dataclass(frozen=True)
class Outcome:
    """What a stream came to, by the drops since its change (before it: below 0)."""

    kind: str
    since: int
    ticks: Sequence[Tick]

    @property
    def quiet(self) -> list[Tick]:
        """The ticks without a change."""
        return [t for t in self.ticks if self.kind in QUIET or t.drop < self.since]

    @property
    def changed(self) -> list[Tick]:
        """The ticks from the change on."""
        return [t for t in self.ticks if t not in self.quiet]


def found_by(outcomes: Sequence[Outcome], drops: int, rule: str = "verdict") -> float:
    """The share of streams whose change was called a drift within so many drops."""
    return float(np.mean([any(_says(t, rule) for t in o.changed[:drops]) for o in outcomes]))


def false_verdicts(outcomes: Sequence[Outcome], rule: str = "verdict") -> float:
    """The share of ticks without a change that were called a drift."""
    return float(np.mean([_says(t, rule) for o in outcomes for t in o.quiet]))


def _says(tick: Tick, rule: str) -> bool:
    return tick.verdict == drift.DRIFTED if rule == "verdict" else bool(getattr(tick, rule))


def gained(outcomes: Sequence[Outcome], over: str, *, changed: bool) -> float:
    """The mean F1 less that of another policy (`always` or `never`), a tick."""
    ticks = [t for o in outcomes for t in (o.changed if changed else o.ticks)]
    return float(np.mean([t.f1 - getattr(t, over) for t in ticks]))


def promotions(outcomes: Sequence[Outcome]) -> list[int]:
    """How many promotions each stream had."""
    return [sum(t.action == "promote" for t in o.ticks) for o in outcomes]


def _rolled_back(outcomes: Sequence[Outcome]) -> int:
    return sum(t.action == "roll back" for o in outcomes for t in o.ticks)


def _misled(outcomes: Sequence[Outcome]) -> int:
    """In how many streams a model with the bad drop in its training came to production."""
    return sum(any(t.flipped_used for t in o.ticks) for o in outcomes)


def lines(kind: str, outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    """The lines of demo/bench.py: what is asked of the rules, beside other rules and policies."""
    what = f"{len(outcomes)} stream{'s' * (len(outcomes) > 1)}, {WORDS[kind]}"
    if kind in QUIET:
        beside = "; ".join(f"{name} {false_verdicts(outcomes, rule):.1%}" for rule, name in RIVALS.items())
        yield (f"{what}: drops falsely called drifted", beside, f"{false_verdicts(outcomes):.2%}", "", "<= 1%")
    elif kind != "flipped":
        beside = "; ".join(f"{name} {_found(outcomes, rule)}" for rule, name in RIVALS.items())
        yield (f"{what}: found by the 1st / 2nd drop", beside, _found(outcomes), "", FOUND.get(kind, ""))
    if kind == "flipped":
        yield (f"{what}: trained on for production", "", f"in {_misled(outcomes)} of {len(outcomes)}", "", "none")
    else:
        ours, never = (gained(outcomes, over, changed=kind not in QUIET) for over in ("always", "never"))
        beside = f"never retraining {ours - never:+.4f}"
        yield (f"{what}: F1 a drop less that of always retraining", beside, f"{ours:+.4f}", "", LEAST_GAIN[kind])
    counts, backs = promotions(outcomes), _rolled_back(outcomes)
    ours = f"{np.mean(counts):.1f} / {max(counts)}" + (f"; {backs} rolled back" if backs else "")
    yield (f"{what}: promotions in a stream, mean / most", "", ours, "", MOST_PROMOTIONS)


def _found(outcomes: Sequence[Outcome], rule: str = "verdict") -> str:
    return " / ".join(f"{found_by(outcomes, drops, rule):.1%}" for drops in (1, 2))


def table(found: Mapping[str, Sequence[Outcome]]) -> PrettyTable:
    """What the streams of each kind came to."""
    rules = {"verdict": "ours", "raw": "new F1 below deployed", "half": "over half of columns p < .05"}
    head = ["change", "streams", *(f"false, % of ticks: {name}" for name in rules.values())]
    head += [*(f"found by 1st / 2nd drop, %: {name}" for name in rules.values()), "F1 less always", "F1 less never"]
    shown = PrettyTable([*head, "promotions mean / most", "rolled back", "bad drop trained on"])
    for kind, outcomes in found.items():
        has_change = kind not in QUIET
        line = [kind, len(outcomes), *(f"{false_verdicts(outcomes, rule):.2%}" for rule in rules)]
        line += [_found(outcomes, rule) if has_change else "" for rule in rules]
        line += [f"{gained(outcomes, over, changed=has_change):+.4f}" for over in ("always", "never")]
        counts = promotions(outcomes)
        said = f"{np.mean(counts):.2f} / {max(counts)}"
        shown.add_row([*line, said, _rolled_back(outcomes), _misled(outcomes)])
    return shown
