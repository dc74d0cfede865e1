"""How the model did drop by drop: verdicts, realised scores beside the estimates, and how wrong those were."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from churn import drift
from churn.calls.interval import Interval, normal
from churn.errors import shown
from churn.monitoring.outcomes import METRICS, Outcome, error_history
from churn.report import timeline
from churn.report.blocks import Block, Pictures, Table, Text
from churn.report.facts import Facts
from churn.report.figures import between, score, several, within_one
from churn.report.timeline import Point
from churn.words import fit

TOP_JUDGEMENTS, TOP_REASONS, TOP_WRONG = 8, 3, 3
LONGEST_REASON = 160
UNTIL = "; a warning, until the next drop shows it too"  # how a reason ends that its verdict repeats
COMPARED = "the estimate for drop"  # how the sentence starts that says that an estimate was wrong
MARKS = {drift.OK: "\u25cf", drift.WARNING: "\u25b2", drift.DRIFTED: "\u25a0"}  # the shapes of the picture


def marked(verdict: str) -> str:
    """A verdict as a shape and a word."""
    return f"{MARKS[verdict]}\u00a0{verdict}"


def over_the_drops(facts: Facts) -> list[Block]:
    """The picture and the table of the judgements, suspect drops, and the error history of the estimates."""
    if not facts.judgements:
        return [Text(EMPTY), *_waiting(facts)]
    by_drop = as_they_came(facts.judgements)
    points = [point(line, facts.suspects) for line in by_drop]
    words = (
        "Each drop is scored before anything is trained on it. The estimate is made without its labels; where the "
        "two part, the relation between the columns and leaving has changed."
    )
    if len(points) > timeline.MOST:
        words += f" Shown are the last {timeline.MOST} of {len(points)} drops."
    now = facts.version.split("-")[0] if facts.release else None
    blocks: list[Block] = [Text(words), Pictures([("", timeline.timeline(points, now), READS)])]
    names = {drop.number: drop.name for drop in facts.drops}
    if facts.suspects:
        blocks.append(Text(_suspect(sorted(facts.suspects), names), "alert"))
    blocks += [_table(by_drop, facts.suspects, names), Text(_raw_rule(facts), "note")]
    blocks += [Text(f"{words}.", "note") for words in by_drop[-1]["estimated"] if not words.startswith(COMPARED)]
    return [*blocks, *_waiting(facts), *_errors(facts)]


EMPTY = (
    "No drop has come since the first model was trained. The next one is judged before anything is trained on it, and "
    "then stands here: its scores, what was estimated of them without its labels, and a verdict."
)
READS = (
    "Dots: realised, with 95% interval. Diamonds: estimated without labels. Vertical lines: another version came to "
    "production."
)


def as_they_came(judgements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One judgement a drop, the first: a release that returns is shown the drops again that came while it was gone."""
    first = {line["seen"]["drop"]: line for line in reversed(judgements)}
    return [first[drop] for drop in sorted(first)]


def point(line: Mapping[str, Any], suspects: frozenset[int]) -> Point:
    """A judgement as the picture shows it."""
    scores, seen = line["scores"], line["seen"]
    known = scores is not None and seen["auc"] is not None
    estimate = line["waiting"] if scores is None else line["estimate"]
    return Point(
        label=numbers_of(line["drops"]),
        version=line["champion"].split("-")[0],
        verdict=line["verdict"],
        suspect=not suspects.isdisjoint(line["drops"]),
        auc=within_one(normal(seen["auc"], seen["auc_error"])) if known else None,
        f1=within_one(normal(scores["f1"], f1_error(scores["confusion"]))) if scores else None,
        estimated_auc=_estimated(estimate, "roc_auc"),
        estimated_f1=_estimated(estimate, "f1"),
    )


def _estimated(estimate: Mapping[str, Any] | None, metric: str) -> Interval | None:
    if estimate is None or estimate[metric] is None:
        return None
    return Interval(estimate[metric], estimate[f"{metric}_lower"], estimate[f"{metric}_upper"])


def f1_error(confusion: Mapping[str, int]) -> float:
    """The standard error of F1, from its derivatives by the weights of the rows (see `churn/contest/comparison.py`)."""
    hits, misses = confusion["tp"], confusion["fp"] + confusion["fn"]
    whole = 2 * hits + misses
    value = 2 * hits / whole if whole else 0.0
    return math.sqrt(4 * hits * (1 - value) ** 2 + misses * value**2) / whole if whole else 0.0


def numbers_of(drops: Sequence[int]) -> str:
    """The drops that were judged together: `4`, `4 to 6`."""
    return str(drops[0]) if len(drops) == 1 else f"{drops[0]} to {drops[-1]}"


def _table(by_drop: Sequence[dict[str, Any]], suspects: frozenset[int], names: Mapping[int, str]) -> Table:
    rows = []
    for line in reversed(by_drop[-TOP_JUDGEMENTS:]):
        known, numbers = point(line, suspects), line["drops"]
        files = f"{len(numbers)} files" if len(numbers) > 1 else fit(shown(names.get(numbers[0], "")))
        cells = [
            f"{known.label}\n{files}\n{line['seen']['rows']:,} rows",
            marked(line["verdict"]) + "\nsuspect" * known.suspect,
            "\n".join(_reasons(line)),
            _beside(known.auc, known.estimated_auc),
            _beside(known.f1, known.estimated_f1),
            "" if line["raw_rule"] is None else "drifted" if line["raw_rule"] else "ok",
        ]
        rows.append(tuple(cells))
    head = ("drop", "verdict", "why", "ROC AUC", "F1", "raw rule")
    title = "The last judgements" if len(by_drop) > TOP_JUDGEMENTS else "The judgements"
    return Table(head, rows, (2.1, 1.2, 3.6, 1.7, 1.7, 0.9), title=title)


def _beside(realised: Interval | None, estimated: Interval | None) -> str:
    lines = [score(realised.value), between(realised, score)] if realised else ["no labels yet"]
    lines += [f"estimated {score(estimated.value)}"] if estimated else []
    return "\n".join(lines)


def _reasons(line: Mapping[str, Any]) -> list[str]:
    """Why the verdict is what it is: the first reasons, and how many more there are."""
    reasons = line["reasons"]
    if not reasons:
        return ["as expected" if line["scores"] else "inputs as they were"]
    found = [fit(reason.removesuffix(UNTIL), LONGEST_REASON) for reason in reasons[:TOP_REASONS]]
    more = len(reasons) - len(found)
    return [*found, f"and {more} more"] if more else found


def _raw_rule(facts: Facts) -> str:
    policy = facts.settings.drift.policy
    return (
        "The raw rule says drifted whenever F1 is below the score that the version was deployed with, whether by "
        f"chance or not. It decides {'' if policy == 'raw' else 'nothing '}here (policy {policy}). The verdict allows "
        "for chance: it looks at ROC AUC, which does not rise and fall with the share that leaves, at the columns, and "
        "at that share itself. A standard error is by how much chance moves a score. PSI, the population stability "
        "index, is how far a column has shifted: up to 0.1 little, from 0.25 much."
    )


def _suspect(suspects: Sequence[int], names: Mapping[int, str]) -> str:
    said = ", ".join(f"drop {number} ({fit(shown(names.get(number, '')))})" for number in suspects)
    return (
        f"Suspect: {said}. The model ranks its clients far worse than those of the drops around it: it may be the data "
        "that are wrong. Nothing is trained on it unless the next drop shows the same."
    )


def _waiting(facts: Facts) -> list[Block]:
    """The drops that came after the version was trained and are not judged yet."""
    numbers = unjudged(facts)
    if not numbers:
        return []
    few = f"It takes {facts.min_class_rows} rows of each label; until then it is put together with the next"
    return [Text(f"Not judged yet: {several('drop', numbers)}. {few}.", "note")]


def unjudged(facts: Facts) -> list[int]:
    """The numbers of the drops that came after the version was trained and are not judged yet."""
    if not facts.release:
        return []
    last = max([facts.manifest["data"]["drops"], *(number for line in facts.judged for number in line["drops"])])
    return [drop.number for drop in facts.drops if drop.accepted and drop.number > last]


def _errors(facts: Facts) -> list[Block]:
    """The error history of the estimates: of this version as a whole, and those that were wrong beyond chance."""
    past = [Outcome(**one) for line in facts.judged for one in line["outcomes"]]
    lines = as_they_came(facts.judgements)
    wrong = [sentence for line in lines for sentence in line["estimated"] if sentence.startswith(COMPARED)]
    said = [error_history(past, metric).sentence for metric in METRICS] if past else []
    if not said and not wrong:
        return []
    blocks: list[Block] = [Text("How right the estimates were", "heading")]
    blocks += [Text(f"Version {facts.version.split('-')[0]}: {sentence}.") for sentence in said]
    return [*blocks, *(Text(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in wrong[-TOP_WRONG:])]
