"""The rules of the decision: numbers in, verdict out; nothing here reads or writes a file."""

from dataclasses import asdict, dataclass, field
from typing import Any

from churn.measures import Comparison

LOG_LOSS_Z = -1.645  # a challenger whose log loss is worse than this many standard errors is not promoted


@dataclass(frozen=True)
class Verdict:
    """What was decided, why in words, and with which numbers."""

    yes: bool
    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For the manifest and the decision log."""
        return asdict(self)


def drifted(policy: str, new: dict[str, Any] | None, deployed_f1: float) -> Verdict:
    """Whether the deployed model calls for a challenger, from its scores on the new labelled rows.

    The brief's rule (`raw`): yes when the F1 of the new rows is below the deployed score. It does not ask how many rows
    there are and is often wrong; what it calls for, the comparison of champion and challenger, does ask.
    """
    if new is None:
        return Verdict(False, "no new labelled rows")
    numbers = {"new": new, "deployed_f1": deployed_f1, "raw_rule": new["f1"] < deployed_f1}
    compared = f"F1 {new['f1']:.3f} on {new['rows']:,} new rows, deployed score {deployed_f1:.3f}"
    below = "below: the brief's rule says drift" if numbers["raw_rule"] else "not below: no drift by the brief's rule"
    if policy == "raw":
        return Verdict(numbers["raw_rule"], f"{compared}, {below}", numbers)
    trains = policy == "always"
    return Verdict(trains, f"{compared}, {below}; the policy is to train {policy}", numbers)


def promoted(
    comparison: Comparison, *, rival: str, confidence: float, min_rows: int, min_class_rows: int, force: bool = False
) -> Verdict:
    """Whether a challenger replaces its rival (a version, or the constant guess) on rows neither trained on.

    Yes when it is better in at least `confidence` of the paired resamples and its log loss is not worse. With
    fewer than `min_class_rows` of a label the rows decide nothing, whatever they say. `force` makes it a yes that
    still says what the rule would have been.
    """
    c = comparison
    numbers = {**asdict(c), "difference": c.difference, "rival": rival, "forced": force}
    promote, found = _earned(c, confidence, min_rows, min_class_rows)
    reason = (
        f"{c.metric.replace('_', ' ')} {c.challenger:.3f} against {c.champion:.3f} of {rival} on {c.rows:,} held-out "
        f"rows (difference {c.difference:+.3f}, {2 * confidence - 1:.0%} interval {c.lower:+.3f} to {c.upper:+.3f}): "
        f"{found}"
    )
    if force and not promote:
        return Verdict(True, f"forced, although: {reason}", numbers)
    return Verdict(promote, reason, numbers)


def _earned(c: Comparison, confidence: float, min_rows: int, min_class_rows: int) -> tuple[bool, str]:
    stayed = c.rows - c.positives
    if min(c.positives, stayed) < min_class_rows:
        return False, (
            f"so few rows ({c.positives:,} left, {stayed:,} stayed) decide nothing, at least {min_class_rows} of each "
            f"are needed; F1 {c.challenger_f1:.3f} where always answering 'leaves' scores {c.constant_f1:.3f}"
        )
    if c.log_loss_z < LOG_LOSS_Z:
        return False, f"not promoted, its log loss is worse (z {c.log_loss_z:.1f})"
    if c.share_better >= confidence and c.lower > 0:
        return True, "better"
    if c.rows < min_rows and c.upper > 0:
        return False, "too few rows to tell"
    return False, "not better beyond chance"
