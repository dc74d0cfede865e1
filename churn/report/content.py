"""What a report says, from the facts of a version to titled blocks, which the page and the PDF lay out alike."""

from collections.abc import Callable
from typing import Any

from churn.calls.interval import Interval
from churn.report import background, columns, drops, listing, verdict, worth
from churn.report.blocks import Bars, Block, Document, Section, Text, Tiles
from churn.report.decision import decision
from churn.report.facts import Facts
from churn.report.figures import amount, between, hundred, score
from churn.report.quality import intervals, quality
from churn.words import fit, percent

TOP_COLUMNS = 12


def document(facts: Facts) -> Document:
    """The whole report, in the order in which a reader wants it."""
    return Document(
        title=f"Churn risk report: {facts.product}",
        subtitle=f"Version {facts.version}",
        badge=f"in production since {facts.release['from'][:10]}" if facts.release else "not in production",
        live=facts.release is not None,
        sections=[
            Section("", in_short(facts)),
            Section("Whom to call", listing.whom(facts)),
            Section("What calling is worth", worth.worth(facts)),
            Section("How good the model is", quality(facts)),
            Section("Over the drops", drops.over_the_drops(facts)),
            Section("What the model looks at", importance(facts.manifest["importance"])),
            Section("The columns", _columns(facts)),
            Section("The decision", decision(facts)),
            Section("The data", background.data(facts)),
            Section("Small print", background.small_print(facts.manifest)),
        ],
    )


# ---- in short --------------------------------------------------------------------------------------------------------


def headline(scores: dict[str, Any], min_class_rows: int) -> str:
    """The model in one sentence, for somebody who has only that much time.

    Args:
        min_class_rows: with fewer rows of those who left, or of those who stayed, nothing is claimed.
    """
    counts, rows, positives = scores["confusion"], scores["rows"], scores["positives"]
    if min(positives, rows - positives) < min_class_rows:
        return f"Tested on {rows:,} rows, of which {positives:,} left: too few to say what the model is worth."
    if not counts["tp"] + counts["fp"]:
        return f"The model flags none of the {rows:,} clients that it was tested on."
    found, random = scores["precision"], positives / rows
    beside = "picking at random finds" if found > random else "no better than picking at random, which finds"
    return f"Of 100 clients that the model flags, {hundred(found)} leave; {beside} {hundred(random)}."


def in_short(facts: Facts) -> list[Block]:
    """Whether the model is still right, whom to call, and what that is worth."""
    blocks: list[Block] = [] if facts.release else [Text(_not_in_production(facts.manifest["verdict"]), "alert")]
    blocks.append(Text(verdict.headline(facts), "lead"))
    blocks += [Text(words) for words in verdict.what_follows(facts)]
    if facts.latest:
        blocks.append(verdict.tiles(facts.latest, facts.manifest))
    else:
        blocks += [Text(headline(facts.manifest["scores"], facts.min_class_rows)), _tested(facts)]
    if facts.calls:
        words = f"{listing.headline(facts.calls, facts.clients)}."
        if facts.calls.listed and facts.clients and facts.worth:
            words += f" {worth.in_short(facts.calls, facts.clients)}"
        blocks.append(Text(words, "lead"))
        blocks += [_worth(facts)] if facts.worth and facts.calls.listed else []
    return [*blocks, Text(TERMS, "note")]


def _not_in_production(compared: dict[str, Any] | None) -> str:
    if compared is None:
        return "This version is not in production: it was not compared with anything yet (python fullprocess.py does)."
    # What it comes to: the numbers before it stand in the decision.
    return f"This version is not in production: {fit(compared['reason'].rpartition(': ')[2], 600)}."


TERMS = (
    "A drop is a file of new data. ROC AUC is how often a client who left had the higher risk than one who stayed: 0.5 "
    "is a coin toss, 1 is always. F1 sums up, from 0 to 1, how many of those whom the model flags leave, and how many "
    "of those who leave it flags. An interval holds the true value in 95 of 100 cases."
)


def _tested(facts: Facts) -> Tiles:
    """The scores with which the version starts."""
    scores = facts.manifest["scores"]
    rows, counts = max(scores["rows"], 1), scores["confusion"]
    known = intervals(facts.held) if facts.held and not facts.held_note else {}
    said = (
        ("roc_auc", score, "ROC AUC when tested", "coin toss 0.500"),
        ("f1", score, "F1 when tested", f"constant guess {scores['constant_f1']:.3f}"),
        ("precision", percent, "of the flagged leave", f"at random {percent(scores['positives'] / rows)}"),
        ("recall", percent, "of the leavers are flagged", f"flagging {percent((counts['tp'] + counts['fp']) / rows)}"),
    )
    return Tiles(
        [
            ("none" if scores[key] is None else say(scores[key]), name, _ends(known.get(key), say) + beside)
            for key, say, name, beside in said
        ]
    )


def _ends(interval: Interval | None, say: Callable[[float], str]) -> str:
    return f"{between(interval, say)}; " if interval and interval.upper > interval.lower else ""


def _worth(facts: Facts) -> Tiles:
    """What the list can be expected to bring, and how often such a list found who leaves, beside a random one."""
    model, calls, clients = facts.worth.found.model, facts.calls, facts.clients
    rate = percent(facts.settings.success_rate)
    unit = "clients" if listing.by_risk(facts.settings) else "value, less the cost,"
    return Tiles(
        [
            (f"{calls.listed:,}", "clients to call", f"of {clients.here:,}" if clients else ""),
            (
                percent(calls.risk),
                "of them leave, by their risks",
                f"of all {percent(clients.risk)}" if clients else "",
            ),
            _figure(model.lift, lambda lift: f"{lift:.1f} x", "the leavers of a random list, when measured"),
            (amount(calls.gain), f"{unit} kept if a call keeps {rate} of leavers", "by their risks"),
        ]
    )


def _figure(interval: Interval, say: Callable[[float], str], name: str) -> tuple[str, str, str]:
    return say(interval.value), name, _ends(interval, say).removesuffix("; ")


def importance(shares: dict[str, float]) -> list[Block]:
    """How much each column moves the model's answers."""
    top = list(shares.items())[:TOP_COLUMNS]
    rest = list(shares.values())[TOP_COLUMNS:]
    scale = max([share for _, share in top], default=0.0) or 1.0
    blocks: list[Block] = [
        Text(
            "How much each column moves the risk, up or down, on average over the clients. Together they make 100%. "
            "Which way it moves the risk of one client is said in the reasons on the call list."
        ),
        Bars([(fit(name), share / scale, percent(share)) for name, share in top]),
    ]
    if rest:
        others = "other column" if len(rest) == 1 else f"other {len(rest)} columns together"
        blocks.append(Text(f"The {others}: {percent(sum(rest))}.", "note"))
    return blocks


def _columns(facts: Facts) -> list[Block]:
    return columns.columns(facts.columns, facts.manifest["importance"], facts.settings.drift.psi)
