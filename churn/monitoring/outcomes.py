"""How right the estimates were: estimated and realised score of each drop, in numbers and in words.

Once the labels of a drop come, the realised score replaces the estimate, and the pair goes into the error history of
the version. An estimate from risks cannot notice that the relation between columns and leaving has changed; this can.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from churn import words
from churn.monitoring.estimate import Estimate

METRICS = {"f1": "F1", "roc_auc": "ROC AUC"}
SIGMAS = 1.96  # half of a 95% interval in standard errors
BEYOND_CHANCE = 1.5  # an error of so many half intervals (2.9 standard errors) comes by chance in 1 drop of 300
LATEST = 4  # the next interval takes its widening from so many outcomes
NARROWEST = 0.001  # what half an interval at least counts for when an error is measured in it


@dataclass(frozen=True)
class Outcome:
    """What was estimated of one drop, and what came: a row of a version's error history.

    Args:
        metric: "f1" or "roc_auc".
        estimated, lower, upper: the estimate with its interval as it was shown.
        realised: the metric with the labels, of the same rows.
        widened: how many times as wide as calculated the interval was shown.
    """

    metric: str
    estimated: float
    lower: float
    upper: float
    realised: float
    widened: float = 1.0

    @property
    def error(self) -> float:
        """Estimated less realised: above zero, the estimate was too high."""
        return self.estimated - self.realised

    @property
    def covered(self) -> bool:
        """Whether the realised value lies in the interval."""
        return self.lower <= self.realised <= self.upper

    @property
    def reach(self) -> float:
        """The error in halves of the interval on its side, with its sign; outside the interval beyond -1 and 1."""
        half = self.estimated - self.lower if self.error > 0 else self.upper - self.estimated
        return self.error / max(half, NARROWEST)

    def as_dict(self) -> dict[str, Any]:
        """For the history; `Outcome(**stored)` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class Finding:
    """Whether an estimate was wrong beyond chance, in words, and the outcomes to keep."""

    wrong: bool
    sentence: str
    outcomes: tuple[Outcome, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the log and the page."""
        return asdict(self)


def judged(
    estimate: Estimate,
    realised_f1: float,
    realised_auc: float | None,
    *,
    drop: str,
    positives: int | None = None,
    past: Sequence[Outcome] = (),
) -> Finding:
    """Compare an estimate, as it was shown, with what was realised on the same rows.

    Wrong beyond chance: an error of more than 1.5 half intervals, or outside the interval on the same side twice
    running. With labels of only some of the rows, estimate those again and compare that.

    Args:
        drop: its name, for the sentence.
        positives: how many rows left; with it the sentence can tell a changed rate from a changed relation.
        past: the version's earlier outcomes, oldest first.
    """
    outcomes = [_outcome(estimate, "f1", realised_f1)]
    if estimate.roc_auc is not None and realised_auc is not None:
        outcomes.append(_outcome(estimate, "roc_auc", realised_auc))
    wrong = [outcome for outcome in outcomes if _beyond_chance(outcome, past)]
    outside = [outcome for outcome in outcomes if not outcome.covered]
    head = f"the estimate for drop {words.fit(drop)} was {shown(estimate)}; realised {_listed(outcomes, '{realised}')}"
    if wrong:
        ends = f"{_cause(estimate, wrong, positives)}; trust estimates less until a new model is in production"
        sentence = f"{head}: it was wrong by {_listed(wrong, '{size} ({name})')}, more than chance: {ends}"
    elif outside:
        names = _listed(outside, "{name}")
        sentence = f"{head}: outside the interval for {names}, as chance brings in about one drop of twenty"
    else:
        sentence = f"{head}: inside the interval"
    return Finding(bool(wrong), sentence, tuple(outcomes))


def shown(estimate: Estimate) -> str:
    """An estimate in words: `F1 0.52 (0.49 to 0.55) and ROC AUC 0.80 (0.78 to 0.82)`."""
    metrics = [metric for metric in METRICS if getattr(estimate, metric) is not None]
    return _listed([_outcome(estimate, metric, math.nan) for metric in metrics], "{name} {estimated} ({interval})")


def _outcome(estimate: Estimate, metric: str, realised: float) -> Outcome:
    point, lower, upper = (getattr(estimate, metric + end) for end in ("", "_lower", "_upper"))
    return Outcome(metric, point, lower, upper, float(realised), getattr(estimate, f"{metric}_widened", 1.0))


def _beyond_chance(outcome: Outcome, past: Sequence[Outcome]) -> bool:
    before = [earlier for earlier in past if earlier.metric == outcome.metric]
    again = bool(before) and not before[-1].covered and not outcome.covered and before[-1].error * outcome.error > 0
    return again or abs(outcome.reach) > BEYOND_CHANCE


def _cause(estimate: Estimate, wrong: Sequence[Outcome], positives: int | None) -> str:
    """A changed rate leaves the order of the clients, and so the ROC AUC, as it was; a changed relation harms it."""
    if positives is not None and all(outcome.metric != "roc_auc" for outcome in wrong):
        rate = _outcome(estimate, "positives", positives)
        if _beyond_chance(rate, ()):
            interval = f"{rate.estimated:,.0f} ({rate.lower:,.0f} to {rate.upper:,.0f})"
            left = f"{positives:,} of {estimate.rows:,} left where {interval} were estimated"
            return f"{left}, so the share that leaves has changed for reasons that are not in the columns"
    if all(outcome.error < 0 for outcome in wrong):
        return "the model did better than its calibration knew, which does not hold for these clients"
    return "the relation between the columns and leaving has changed"


def _listed(outcomes: Sequence[Outcome], form: str) -> str:
    parts = []
    for o in outcomes:
        widened = f", widened {o.widened:.1f} times after earlier errors" if o.widened > 1 else ""
        numbers = {"estimated": o.estimated, "realised": o.realised, "size": abs(o.error)}
        texts = {key: f"{number:.2f}" for key, number in numbers.items()}
        parts.append(form.format(name=METRICS[o.metric], interval=f"{o.lower:.2f} to {o.upper:.2f}{widened}", **texts))
    return " and ".join(parts)


def widened(estimate: Estimate, past: Sequence[Outcome]) -> Estimate:
    """The estimate with intervals as wide as the version's latest errors call for, and never narrower than calculated.

    The factor is the root mean square of the latest errors in standard errors, where that is above 1. Source: Birge,
    Phys. Rev. 40, 1932; the scale factor of the Particle Data Group. The estimate itself stays: which way the next
    error goes is not known.

    Args:
        past: outcomes of the same version, oldest first; a new version starts anew.
    """
    changes: dict[str, float] = {}
    for metric in METRICS:
        latest = [outcome for outcome in past if outcome.metric == metric][-LATEST:]
        if getattr(estimate, metric) is None or not latest:
            continue
        squares = [(outcome.reach * outcome.widened * SIGMAS) ** 2 for outcome in latest]
        factor = math.sqrt(sum(squares) / len(squares))
        if factor > 1:
            point, lower, upper = (getattr(estimate, metric + end) for end in ("", "_lower", "_upper"))
            changes[f"{metric}_lower"] = max(0.0, point - factor * max(point - lower, NARROWEST))
            changes[f"{metric}_upper"] = min(1.0, point + factor * max(upper - point, NARROWEST))
            changes[f"{metric}_widened"] = factor
    return replace(estimate, **changes)


@dataclass(frozen=True)
class ErrorHistory:
    """How right a version's estimates of one metric were."""

    metric: str
    drops: int
    mean_error: float  # estimated less realised
    mean_size: float  # of the error, whatever its sign
    covered: float  # the share of the drops

    @property
    def sentence(self) -> str:
        """For the page and the log."""
        name = METRICS[self.metric]
        if not self.drops:
            return f"no estimate of {name} has been compared with labels yet"
        side = "high" if self.mean_error >= 0 else "low"
        drops = f"{self.drops} drop{'s' if self.drops > 1 else ''}"
        return (
            f"over {drops} with labels {name} was estimated {abs(self.mean_error):.2f} too {side} on average, off by "
            f"{self.mean_size:.2f} either way, and came inside the interval in {round(self.covered * self.drops)}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For the report and the page."""
        return {**asdict(self), "sentence": self.sentence}


def error_history(past: Sequence[Outcome], metric: str) -> ErrorHistory:
    """Sum up a version's outcomes of one metric, "f1" or "roc_auc"."""
    outcomes = [outcome for outcome in past if outcome.metric == metric]
    count = len(outcomes) or 1
    return ErrorHistory(
        metric,
        len(outcomes),
        sum(outcome.error for outcome in outcomes) / count,
        sum(abs(outcome.error) for outcome in outcomes) / count,
        sum(outcome.covered for outcome in outcomes) / count,
    )
