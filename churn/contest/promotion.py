"""Whether a challenger replaces the champion, and whether a promotion is taken back: comparisons in, verdict out.

A challenger is a recipe, a way of training: on all rows, with the newest weighing most, or on those since the drift
began. It is judged prequentially: for each drop it is trained on the drops before and predicts this one, and so is
compared with the champion on rows that neither has trained on. The winner is trained once more, with the newest drop.

The test is one-sided and has three ways, each divided by the number of recipes: average precision at `1 - confidence`,
ROC AUC (DeLong) at AUC_ALPHA, or the log loss at LOSS_ALPHA together with the product's own metric: when the unit of a
column changes, the order may survive while the risks, and with them the threshold, are wrong. F1, precision at capacity
and profit have too little power to be the test; they, the log loss, and the groups of clients are guards.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from churn.contest.comparison import Comparison, Paired
from churn.drift import Verdict
from churn.settings import Promotion

AUC_ALPHA = 0.01
LOSS_ALPHA = 0.0005
GUARD_Z = -1.645  # a guard that is worse by more standard errors than this stops a promotion
ROLLBACK_CONFIDENCE = 0.9975  # a promotion is tested again after every drop, so each test is stricter


@dataclass(frozen=True)
class Trial:
    """One recipe's comparison with the champion, and those of the groups of clients that are guarded."""

    comparison: Comparison
    groups: Mapping[str, Comparison] = field(default_factory=dict)


def chosen(trials: Mapping[str, Trial], rules: Promotion, *, rival: str) -> tuple[str | None, Verdict]:
    """The recipe that replaces the champion, or None; and the verdict with the numbers of every recipe.

    Of several that earn it, the one with the best average precision.
    """
    numbers: dict[str, Any] = {
        "rival": rival,
        "recipes": {
            name: trial.comparison.as_dict() | {"groups": {g: c.as_dict() for g, c in trial.groups.items()}}
            for name, trial in trials.items()
        },
    }
    if not trials:
        return None, Verdict(False, "no rows on which a challenger could meet the champion", numbers)
    found = {name: _earned(trial, rules, len(trials)) for name, trial in trials.items()}
    order = sorted(trials, key=lambda name: -trials[name].comparison.average_precision.difference)
    winner = next((name for name in order if found[name][0]), None)
    shown = winner or order[0]
    reason = f"trained on {RECIPES[shown]}: {_words(trials[shown].comparison, rival)}: {found[shown][1]}"
    return winner, Verdict(winner is not None, reason, numbers | {"recipe": shown})


RECIPES = {
    "all": "all rows",
    "recent": "all rows, those of two drops ago weighing half",
    "since onset": "the rows since the drift began",
}


def rolled_back(comparison: Comparison, *, before: str, min_class_rows: int) -> Verdict:
    """Whether the release before (in the comparison: the challenger) is so much better that it returns."""
    numbers = {"rival": before, **comparison.as_dict()}
    if _too_few_labels(comparison, min_class_rows):
        return Verdict(False, "too few rows since the promotion to tell", numbers)
    # By average precision alone: two models that are as good in that differ in AUC for reasons of no use.
    yes = comparison.average_precision.z > NormalDist().inv_cdf(ROLLBACK_CONFIDENCE)
    yes = yes and comparison.log_loss.z < -GUARD_Z
    return Verdict(yes, f"the release before, {_words(comparison, 'the one in production')}", numbers)


def _earned(trial: Trial, rules: Promotion, recipes: int) -> tuple[bool, str]:
    against = next(_objections(trial, rules, recipes), None)
    return against is None, against or f"better{_by(trial.comparison)}"


def _objections(trial: Trial, rules: Promotion, recipes: int) -> Iterator[str]:
    """Why the challenger does not replace the champion, the gravest first."""
    c = trial.comparison
    if _too_few_labels(c, rules.min_class_rows):
        yield f"so few rows decide nothing, at least {rules.min_class_rows} of each label are needed"
    if not _better(c, rules.confidence, recipes):
        able = c.average_precision.difference + 1.96 * c.average_precision.error > 0
        yield "too few rows to tell" if c.rows < rules.min_rows and able else "not better beyond chance"
    if c.average_precision.z < GUARD_Z:
        yield f"better by ROC AUC, but its average precision is worse ({_pair(c.average_precision)})"
    if c.log_loss.z > -GUARD_Z:
        yield f"better in rank, but its log loss is worse ({c.log_loss.z:.1f} standard errors)"
    if c.guard.z < GUARD_Z:
        yield f"better in rank, but its {c.guard_name.replace('_', ' ')} is worse ({_pair(c.guard)})"
    for group, its in trial.groups.items():
        if its.average_precision.z < GUARD_Z:
            yield f"better as a whole, but worse for {group} ({_pair(its.average_precision)})"


def _better(c: Comparison, confidence: float, recipes: int) -> bool:
    def limit(alpha: float) -> float:
        return NormalDist().inv_cdf(1 - alpha / recipes)

    by_auc, by_loss = min(AUC_ALPHA, 1 - confidence), min(LOSS_ALPHA, 1 - confidence)
    in_order = c.average_precision.z > limit(1 - confidence) or c.roc_auc.z > limit(by_auc)
    return in_order or (-c.log_loss.z > limit(by_loss) and c.guard.z > -GUARD_Z and c.roc_auc.z > GUARD_Z)


def _by(c: Comparison) -> str:
    """In what a better challenger is better, where it is not the average precision."""
    if c.average_precision.z > 1.96:
        return ""
    if c.roc_auc.z > 1.96:
        return f", by ROC AUC ({_pair(c.roc_auc)})"
    return f", by log loss ({_pair(c.log_loss)}) and {c.guard_name.replace('_', ' ')} ({_pair(c.guard)})"


def _too_few_labels(c: Comparison, least: int) -> bool:
    return min(c.positives, c.rows - c.positives) < least


def _words(c: Comparison, rival: str) -> str:
    ap = c.average_precision
    return (
        f"average precision {ap.challenger:.3f} against {ap.champion:.3f} of {rival} on {c.rows:,} rows "
        f"({ap.difference:+.3f}, 95% interval {ap.difference - 1.96 * ap.error:+.3f} to "
        f"{ap.difference + 1.96 * ap.error:+.3f})"
    )


def _pair(paired: Paired) -> str:
    return f"{paired.challenger:.3f} against {paired.champion:.3f}"
