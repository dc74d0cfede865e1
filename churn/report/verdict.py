"""Whether the model is still right, in a sentence and a few figures."""

from collections.abc import Mapping
from typing import Any

from churn import drift, health
from churn.report.blocks import Tiles
from churn.report.drops import marked, numbers_of, point, unjudged
from churn.report.facts import Facts
from churn.report.figures import between, score
from churn.words import percent


def headline(facts: Facts) -> str:
    """Whether the model is still right, in one sentence."""
    last = facts.latest
    if last is None:
        since = "it came to production" if facts.release else "it was trained"
        why = f"what came since {since} has too few labels" if unjudged(facts) else f"no drop has come since {since}"
        return f"How the model does on new clients is not known yet: {why}."
    suspect = not facts.suspects.isdisjoint(last["drops"])
    return health.in_words(last, suspect=suspect, auc_z=facts.settings.drift.auc_z)


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
