"""Whether the model in production has drifted: what a drop showed in, verdict out; nothing here touches a file.

Three rules, chosen by simulation for few false verdicts and quick true ones; drifted when any of them says so:

1. The ROC AUC of the newest 1, 2 or 4 drops lies `auc_z` standard errors below what it was before. (F1 and average
   precision rise with the label rate and so hide drift.) What it was before is the inverse-variance mean of the
   out-of-fold AUC and of the earlier drops: either alone would bring its own error into every verdict.
2. A column, or the risks themselves, have shifted in two successive drops: a population stability index above
   `psi`, and a p-value below .001 divided by the number of columns (Bonferroni's control of false discoveries).
3. The share that left moved by more than `label_points` and 3 standard errors in two successive drops.

What 2 and 3 see in one drop only is a warning.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

WINDOWS = (1, 2, 4)  # drops
SHIFT_P = 0.001  # divided by the number of columns
LABEL_Z = 3.0
OK, WARNING, DRIFTED = "ok", "warning", "drifted"


@dataclass(frozen=True)
class Verdict:
    """What was decided, why in words, and with which numbers."""

    yes: bool
    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For the manifest and the decision log."""
        return asdict(self)


@dataclass(frozen=True)
class Reference:
    """What the champion is held against: its out-of-fold ROC AUC with its error, and its training rows' labels."""

    auc: float | None
    auc_error: float | None
    label_rate: float
    label_rows: int


@dataclass(frozen=True)
class Seen:
    """What one drop showed of the champion. The measures of labels are None where too few rows have one.

    `shifted` has the columns that moved, most important first, each with what is to be said of it.
    """

    drop: int
    rows: int
    labelled: int = 0
    positives: int = 0
    auc: float | None = None
    auc_error: float | None = None
    shifted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """The verdict on the champion after a drop.

    `onset` is the drop from which on it has drifted; `alarm`: the drop's own AUC was too low by itself. If neither that
    of the drop before nor that of the one after was, it may be the data that are wrong: see `suspects`.
    """

    seen: Seen
    verdict: str
    reasons: tuple[str, ...] = ()
    onset: int | None = None
    alarm: bool = False
    auc_z: float | None = None
    label_moved: float | None = None

    @property
    def drop(self) -> int:
        """The drop's number."""
        return self.seen.drop

    def as_dict(self) -> dict[str, Any]:
        """For the log of judgements."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Judgement":
        """The reverse of `as_dict`; keys that it does not know are left alone."""
        known = {key: raw[key] for key in cls.__dataclass_fields__ if key in raw}
        return cls(**known | {"seen": Seen(**raw["seen"]), "reasons": tuple(raw["reasons"])})


def judge(
    reference: Reference,
    earlier: Sequence[Judgement],
    now: Seen,
    *,
    auc_z: float,
    label_points: float,
    latest: Judgement | None = None,
) -> Judgement:
    """The verdict on the champion after drop `now`.

    Args:
        earlier: the judgements on the same champion, oldest first.
        latest: where there is none yet, the newest judgement on the champion before it.
    """
    judged = _with_labels(earlier)
    alarm = (_auc_z(reference, judged, now, 1) or 0.0) > auc_z
    # A drop that alarmed by itself, and is not borne out by this one, says nothing about the drops after it.
    doubtful = suspects([*judged, Judgement(now, OK, alarm=alarm)]) - {now.drop}
    judged = [j for j in judged if j.drop not in doubtful]
    window, z = _lowest(reference, judged, now)
    moved = _label_moved(reference, now, label_points)
    before = earlier[-1] if earlier else latest
    labelled = next((j for j in reversed(earlier) if j.seen.labelled), None)
    fell = z is not None and z > auc_z
    reasons = [_auc_words(reference, judged, now, window, z)] if fell else []
    onsets = [[*(j.drop for j in judged), now.drop][-window]] if fell else []
    shown = [(words, before if before and c in before.seen.shifted else None) for c, words in now.shifted.items()]
    if moved is not None:
        words = f"{_rate(now):.1%} left, {reference.label_rate:.1%} when it was trained"
        shown.append((words, labelled if labelled and (labelled.label_moved or 0) * moved > 0 else None))
    reasons += [f"{words}, in two successive drops" for words, first in shown if first]
    onsets += [first.drop for _, first in shown if first]
    warnings = [f"{words}; a warning, until the next drop shows it too" for words, first in shown if not first]
    verdict = DRIFTED if reasons else WARNING if warnings else OK
    known = [j.onset for j in earlier if j.onset is not None and j.drop not in doubtful]
    return Judgement(
        seen=now,
        verdict=verdict,
        reasons=(*reasons, *warnings),
        onset=min([*onsets, *known[-1:]], default=None),
        alarm=alarm,
        auc_z=z,
        label_moved=moved,
    )


def suspects(judgements: Sequence[Judgement]) -> set[int]:
    """The drops whose own AUC alarmed while neither the drop before nor the one after did.

    After the newest drop nothing has come yet: it is suspect until the next one alarms too.
    """
    judged = _with_labels(judgements)
    alarms = [False, *(j.alarm for j in judged), False]
    return {j.drop for i, j in enumerate(judged, 1) if alarms[i] and not alarms[i - 1] and not alarms[i + 1]}


def alarmed_twice(judgements: Sequence[Judgement]) -> bool:
    """Whether the newest two drops with labels both alarmed by themselves: no chance, and no bad drop."""
    judged = _with_labels(judgements)
    return len(judged) > 1 and all(j.alarm for j in judged[-2:])


def raw_rule(new_f1: float, deployed_f1: float) -> bool:
    """The brief's rule: the new rows' F1 is below the deployed score. It does not ask how many rows there are."""
    return new_f1 < deployed_f1


def _lowest(reference: Reference, earlier: Sequence[Judgement], now: Seen) -> tuple[int, float | None]:
    """The window in which the AUC is furthest below what it was, and by how many standard errors."""
    found = [(w, _auc_z(reference, earlier, now, w)) for w in WINDOWS]
    known = [(w, z) for w, z in found if z is not None]
    return max(known, key=lambda item: item[1], default=(1, None))


def _auc_z(reference: Reference, earlier: Sequence[Judgement], now: Seen, window: int) -> float | None:
    """How many standard errors the mean AUC of the newest `window` drops is below what it was before."""
    if now.auc is None or now.auc_error is None or window > len(earlier) + 1:
        return None
    newest = [_auc_of(seen) for seen in [*(j.seen for j in earlier), now][-window:]]
    before = _before(reference, earlier[: len(earlier) + 1 - window])
    if before is None:
        return None
    mean = sum(auc for auc, _ in newest) / window
    variance = before[1] + sum(error**2 for _, error in newest) / window**2
    return (before[0] - mean) / math.sqrt(variance)


def _before(reference: Reference, earlier: Sequence[Judgement]) -> tuple[float, float] | None:
    """The inverse-variance mean of the out-of-fold AUC and of the drops that did not alarm, and its variance."""
    known = [_auc_of(j.seen) for j in earlier if not j.alarm]
    if reference.auc is not None:
        known.append((reference.auc, _error(reference.auc_error, reference.label_rate, reference.label_rows)))
    if not known:
        return None
    weights = [1 / error**2 for _, error in known]
    return sum(w * auc for w, (auc, _) in zip(weights, known, strict=True)) / sum(weights), 1 / sum(weights)


def _with_labels(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Those of drops with an AUC: in between may lie drops whose labels have not come."""
    return [j for j in judgements if j.seen.auc is not None and j.seen.auc_error is not None]


def _auc_of(seen: Seen) -> tuple[float, float]:
    return seen.auc or 0.0, _error(seen.auc_error, _rate(seen), seen.labelled)


def _error(error: float | None, rate: float, rows: int) -> float:
    """An AUC's standard error, at least half a row of the rarer label: a perfect ranking of a few rows is no proof."""
    return max(error or 0.0, 0.5 / max(1.0, min(rate, 1 - rate) * rows))


def _label_moved(reference: Reference, now: Seen, points: float) -> float | None:
    """By how much the share that left moved since the training; None where it is within `points` or chance."""
    if not now.labelled or not reference.label_rows:
        return None
    moved = _rate(now) - reference.label_rate
    rows = now.labelled + reference.label_rows
    pooled = (now.positives + reference.label_rate * reference.label_rows) / rows
    error = math.sqrt(pooled * (1 - pooled) * (1 / now.labelled + 1 / reference.label_rows))
    return moved if abs(moved) > points and abs(moved) > LABEL_Z * error else None


def _rate(seen: Seen) -> float:
    return seen.positives / seen.labelled


def _auc_words(reference: Reference, earlier: Sequence[Judgement], now: Seen, window: int, z: float) -> str:
    newest = [*(j.seen for j in earlier), now][-window:]
    mean = sum(seen.auc or 0.0 for seen in newest) / window
    before = _before(reference, earlier[: len(earlier) + 1 - window])
    drops = "this drop" if window == 1 else f"the last {window} drops"
    return f"ROC AUC {mean:.3f} in {drops}, {before[0] if before else 0:.3f} before ({z:.1f} standard errors lower)"


def calls_for_challengers(policy: str, lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the policy lets challengers meet the champion after these new judgements (as the log has them)."""
    if policy == "raw":
        return any(line["raw_rule"] for line in lines)
    return policy != "never" and any(line["seen"]["labelled"] for line in lines)


def summary(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The worst of the new judgements and what was said of it, for the decision; None without any."""
    if not lines:
        return None
    worst = max(lines, key=lambda line: ([OK, WARNING, DRIFTED].index(line["verdict"]), line["seen"]["drop"]))
    return {
        "verdict": worst["verdict"],
        "reason": worst["said"],
        "drop": worst["seen"]["drop"],
        "raw_rule": any(line["raw_rule"] for line in lines),
        "numbers": {"new": worst["scores"], "deployed_f1": worst["deployed_f1"]},
    }
