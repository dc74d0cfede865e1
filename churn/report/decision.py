"""What was decided and why: the decisions, the comparison of each recipe with the champion, the choice of the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from churn.calls.interval import normal
from churn.contest import promotion
from churn.estimators import Design
from churn.fitting import selection
from churn.report.blocks import Block, Table, Text
from churn.report.facts import Facts
from churn.report.figures import between, signed
from churn.words import fit

TOP_DECISIONS = 5
LONGEST_REASON = 400
ACTIONS = {"deployed": "deployed", "kept": "production kept", "rolled back": "rolled back", "none": "nothing deployed"}
MEASURES = {"average_precision": "average precision", "roc_auc": "ROC AUC", "log_loss": "log loss (less is better)"}
GUARDS = {"f1": "F1", "precision_at_capacity": "precision at capacity", "expected_profit": "expected profit"}


def decision(facts: Facts) -> list[Block]:
    """The last decisions, the last comparison and the one that brought this version in, and why this kind of model."""
    manifest, release = facts.manifest, facts.release
    blocks: list[Block] = []
    if release:
        blocks.append(Text(f"{facts.version} is in production since {when(release['from'])} UTC."))
        if not any(release["why"] in one["reason"] for one in facts.decisions[-TOP_DECISIONS:]):
            blocks.append(Text(f"Why: {fit(release['why'], LONGEST_REASON)}."))
    if facts.decisions:
        blocks.append(_decisions(facts.decisions))
    else:
        blocks.append(Text("No decision was recorded: the steps were run by hand.", "note"))
    return [*blocks, *_comparisons(facts), *chosen(manifest["selection"])]


def _decisions(decisions: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (when(one["at"]), str(one["drops"]), ACTIONS.get(one["action"], one["action"]), _why(one))
        for one in reversed(decisions[-TOP_DECISIONS:])
    ]
    head = ("time (UTC)", "drop", "decision", "why")
    return Table(head, rows, (1.5, 0.6, 1.5, 6.4), frozenset({1}), title="The last decisions")


def _why(one: Mapping[str, Any]) -> str:
    """The reason, less what was seen of the drop, which stands among the judgements."""
    said = one["reason"]
    seen = (one["drift"] or {}).get("reason", "")
    if one["promotion"] and seen and said.startswith(f"{seen}; "):
        said = said.removeprefix(f"{seen}; ")
    return fit(said, LONGEST_REASON)


def when(moment: str) -> str:
    """A time of our records, to the minute."""
    return moment[:16].replace("T", " ")


# ---- champion and challengers ----------------------------------------------------------------------------------------


def _comparisons(facts: Facts) -> list[Block]:
    """The last comparison, and that of this version with its rival where it is another one."""
    last = next((one for one in reversed(facts.decisions) if _has_numbers(one["promotion"])), None)
    own = facts.manifest["verdict"]
    found: list[Block] = []
    if last:
        found += comparison(last["promotion"], f"The last comparison, after drop {last['drops']}")
    if _has_numbers(own) and (last is None or own["numbers"] != last["promotion"]["numbers"]):
        found += comparison(own, f"The comparison that decided on {facts.version}")
    return [Text(HOW_COMPARED), *found] if found else found


HOW_COMPARED = (
    "A challenger is a way of training. It meets the version in production on rows that neither has trained on. Below "
    "each pair of scores stands the challenger's less that of production, with the 95% interval; where that holds 0, "
    "it can be chance. To win, average precision or ROC AUC must be better beyond chance, and neither log loss nor the "
    "guard, the product's own metric, worse."
)


def _has_numbers(verdict: Mapping[str, Any] | None) -> bool:
    numbers = (verdict or {}).get("numbers") or {}
    return bool(numbers.get("recipes") or "average_precision" in numbers)


def comparison(verdict: Mapping[str, Any], title: str) -> list[Block]:
    """A verdict's numbers, a row for each recipe (or for the release before, where a promotion was taken back)."""
    numbers = verdict["numbers"]
    named = {promotion.RECIPES[name]: one for name, one in (numbers.get("recipes") or {}).items()}
    named = named or {f"the release before, {numbers['rival']}": numbers}
    winner = promotion.RECIPES.get(numbers.get("recipe"), "") if verdict["yes"] else ""
    guards = [one["guard_name"] for one in named.values()]
    guard = GUARDS.get(guards[0], guards[0])
    rows = [
        (fit(name, 120) + ("\nwon" if name == winner else ""), f"{one['rows']:,}")
        + tuple(_pair(one[measure]) for measure in (*MEASURES, "guard"))
        for name, one in named.items()
    ]
    head = ("trained on", "rows", *MEASURES.values(), f"guard: {guard}")
    rival = numbers.get("rival", "production")
    table = Table(head, rows, (1.9, 0.7, 1.9, 1.9, 1.9, 1.9), frozenset({1}), title=f"{title}: against {rival}")
    return [table, *_groups(named)]


def _pair(pair: Mapping[str, float]) -> str:
    difference = normal(pair["challenger"] - pair["champion"], pair["error"])
    return (
        f"{pair['challenger']:.3f} against {pair['champion']:.3f}\n"
        f"{signed(difference.value)}\n({between(difference, signed)})"
    )


def _groups(named: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """The groups of clients for which a challenger's average precision was looked at too."""
    rows = [
        (fit(name, 120), fit(group), f"{its['rows']:,}", _pair(its["average_precision"]))
        for name, one in named.items()
        for group, its in (one.get("groups") or {}).items()
    ]
    if not rows:
        return []
    head = ("trained on", "group", "rows", "average precision")
    return [Table(head, rows, (3, 3, 0.8, 3), frozenset({2}), title="The same in groups of clients")]


# ---- the choice of the model -----------------------------------------------------------------------------------------


def chosen(selected: Mapping[str, Any]) -> list[Block]:
    """Why this kind of model with these settings, and the scores of all that were tried."""
    reason = fit(selected["reason"], LONGEST_REASON)
    blocks: list[Block] = [Text("How the model was chosen", "heading"), Text(f"Chosen: {reason}.")]
    if not selected["table"]:
        return blocks
    rows = [
        (selection.describe(Design(row["kind"], row["settings"])) + ("\nchosen" if row["chosen"] else ""),)
        + (_scored(row, "log_loss", 4), "" if row["behind"] == 0 else _scored(row, "behind", 4))
        + tuple(_scored(row, measure, 3) for measure in ("roc_auc", "average_precision", "brier"))
        for row in selected["table"]
    ]
    words = (
        f"Compared by cross-validation on {selected['rows']:,} rows. Log loss and Brier score say how far the risks "
        "are from what happened, less is better. Behind is the log loss less that of the best. A simpler model, "
        "further up, is chosen if it is behind by no more than one standard error, the number after \u00b1."
    )
    head = ("candidate", "log loss", "behind", "ROC AUC", "average precision", "Brier score")
    title = "The candidates, simplest first"
    return [*blocks, Text(words), Table(head, rows, (4, 1.2, 1.2, 1.2, 1.4, 1.2), title=title)]


def _scored(row: Mapping[str, Any], measure: str, digits: int) -> str:
    return f"{row[measure]:.{digits}f}\n\u00b1 {row[measure + '_se']:.{digits}f}"
