"""Whether the model is still right, in a sentence and a few figures."""

from collections.abc import Mapping
from typing import Any

from churn import drift
from churn.report.blocks import Tiles
from churn.report.drops import marked, numbers_of, point, unjudged
from churn.report.facts import Facts
from churn.report.figures import between, score
from churn.words import fit, percent

TOP_COLUMNS = 3


def headline(facts: Facts) -> str:
    """Whether the model is still right, in one sentence."""
    last = facts.latest
    if last is None:
        since = "it came to production" if facts.release else "it was trained"
        why = f"what came since {since} has too few labels" if unjudged(facts) else f"no drop has come since {since}"
        return f"How the model does on new clients is not known yet: {why}."
    if not facts.suspects.isdisjoint(last["drops"]):
        return "The last drop is suspect: the model ranks its clients far worse than those before."
    if last["verdict"] == drift.DRIFTED:
        return f"The model has drifted: {_in_short(last, facts.settings.drift.auc_z)}."
    if last["verdict"] == drift.WARNING:
        return f"The model is still right, with a warning: {_in_short(last, facts.settings.drift.auc_z)}."
    if last["scores"] is None:
        return "The model looks right, as far as can be told before labels come: the inputs look as they did."
    return "The model is still right: the last drop is within what was to be expected."


def _in_short(line: Mapping[str, Any], auc_z: float) -> str:
    """What stands behind a verdict, without the numbers."""
    shifted, moved = list(line["seen"]["shifted"]), line["label_moved"]
    if line["auc_z"] is not None and line["auc_z"] > auc_z:
        return "it ranks the clients worse than it did before"
    if shifted:
        names = ", ".join(fit(name) for name in shifted[:TOP_COLUMNS])
        more = f" and {len(shifted) - TOP_COLUMNS} more" if len(shifted) > TOP_COLUMNS else ""
        return f"the clients are not as they were when it was trained ({names}{more})"
    return f"{'more' if moved and moved > 0 else 'fewer'} clients leave than when it was trained"


def what_follows(facts: Facts) -> list[str]:
    """What is done about it, where the last drop is not as expected; of a new version, how the one before it ended."""
    last = facts.latest
    if last is None:
        ended = [(line["champion"], line["verdict"]) for line in facts.judgements[-1:]]
        return [f"The version before it, {version}, was judged {verdict} at last." for version, verdict in ended]
    if not facts.suspects.isdisjoint(last["drops"]):
        return ["It may be its data that are wrong. Nothing is trained on it unless the next drop shows the same."]
    if last["verdict"] == drift.DRIFTED and facts.release:
        return ["It stays in production until a challenger does better beyond chance: see The decision."]
    return []


def tiles(last: Mapping[str, Any], manifest: Mapping[str, Any]) -> Tiles:
    """The last drop's verdict and scores, beside what was expected of it."""
    shown, seen = point(last, frozenset()), last["seen"]
    rows = f"drop {numbers_of(last['drops'])}: {seen['rows']:,} rows"
    rows += f", {seen['labelled']:,} with labels" if seen["labelled"] < seen["rows"] else ""
    items = [(marked(last["verdict"]), "the verdict on the last drop", rows)]
    for name, realised, estimated in (
        ("ROC AUC", shown.auc, shown.estimated_auc),
        ("F1", shown.f1, shown.estimated_f1),
    ):
        if realised:
            expected = f"expected {between(estimated, score)}" if estimated else ""
            beside = expected or f"95% interval {between(realised, score)}"
            items.append((score(realised.value), f"{name} on its rows", beside))
        elif estimated:
            items.append((score(estimated.value), f"{name}, estimated", f"{between(estimated, score)}; labels to come"))
    if seen["labelled"]:
        then = percent(manifest["reference"]["label_rate"])
        items.append((percent(seen["positives"] / seen["labelled"]), "of them left", f"{then} when it was trained"))
    return Tiles(items)
