"""What a report says: from the facts of a version to titled blocks, which the page and the PDF lay out alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from churn.measures import log_losses
from churn.report import background, charts
from churn.report.blocks import Bars, Block, Document, Pictures, Section, Table, Text, Tiles
from churn.words import fit, percent

TOP_COLUMNS = 12
CALLED = (0.01, 0.05, 0.1, 0.2)  # shares of the clients for which the table of calls says what they bring
FEWEST_ROWS = 200  # below it a hundredth of them is a row or two


@dataclass(frozen=True)
class Clients:
    """The head of the client list, as text, and what it holds."""

    path: str
    version: str
    table: Table
    total: int
    listed: int


@dataclass(frozen=True)
class Facts:
    """What a report is made from; times and values as the records hold them."""

    product: str
    manifest: dict[str, Any]
    release: dict[str, Any] | None  # its entry in the history of production; None: it is not in production
    left: np.ndarray | None  # of the held-out rows: who left ...
    risk: np.ndarray | None  # ... and the risk that this version gives them
    curves_note: str  # why there are none, or what has to be said about them
    releases: Sequence[dict[str, Any]]  # as charts.history takes them
    decisions: Sequence[dict[str, Any]]
    drops: Sequence[Any]
    period: str
    stored_rows: int
    missing: dict[str, float]  # percent by column
    clients: Clients | None
    min_class_rows: int


def document(facts: Facts) -> Document:
    """The whole report."""
    manifest, live = facts.manifest, facts.release is not None
    made_from = background.data(manifest, facts.drops, facts.period, facts.stored_rows, facts.missing)
    return Document(
        title=f"Churn risk report: {facts.product}",
        subtitle=f"Version {manifest['version']}",
        badge=f"in production since {facts.release['from'][:10]}" if facts.release else "not in production",
        live=live,
        sections=[
            Section("", _summary(facts)),
            Section("Clients most at risk", _clients(facts.clients, manifest["version"])),
            Section("How good the model is", _quality(facts)),
            Section("Score history", _history(facts.releases)),
            Section("What the model looks at", _importance(manifest["importance"])),
            Section("The decision", background.decision(manifest, facts.release, facts.decisions)),
            Section("The data", made_from),
            Section("Small print", background.small_print(manifest)),
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
        return f"The model lists none of the {rows:,} clients that it was tested on."
    found, random = scores["precision"], positives / rows
    beside = "picking at random finds" if found > random else "no better than picking at random, which finds"
    return f"Of 100 clients that the model lists, {_of_hundred(found)} leave; {beside} {_of_hundred(random)}."


def _of_hundred(share: float) -> str:
    return percent(share).removesuffix("%")


def _summary(facts: Facts) -> list[Block]:
    scores = facts.manifest["scores"]
    blocks: list[Block] = [Text(headline(scores, facts.min_class_rows), "lead")]
    if facts.release is None:
        verdict = facts.manifest["verdict"]
        reason = verdict["reason"] if verdict else "it was not compared with anything yet (python fullprocess.py does)"
        blocks.append(Text(f"This version is not in production: {fit(reason, 600)}.", "alert"))
    auc = "undefined" if scores["roc_auc"] is None else f"{scores['roc_auc']:.3f}"
    rate = percent(scores["positives"] / max(scores["rows"], 1))
    items = [
        (percent(scores["precision"]), "of the listed clients leave", f"at random: {rate}"),
        (percent(scores["recall"]), "of those who leave are listed", f"listing {percent(_listed(scores))} of all"),
        (f"{scores['f1']:.3f}", "F1 score", f"constant guess: {scores['constant_f1']:.3f}"),
        (auc, "ROC AUC", "coin toss: 0.500"),
    ]
    return [*blocks, Tiles(items)]


def _listed(scores: dict[str, Any]) -> float:
    return (scores["confusion"]["tp"] + scores["confusion"]["fp"]) / max(scores["rows"], 1)


def _clients(clients: Clients | None, version: str) -> list[Block]:
    if clients is None:
        return [Text("No clients are scored yet: that is done by the version in production.")]
    words = (
        f"{clients.listed:,} of {clients.total:,} current clients are on the list: their risk reaches the threshold. "
        f"All, most at risk first, are in {fit(clients.path, 200)}; these are the first {len(clients.table.rows)}."
    )
    blocks: list[Block] = [Text(words), clients.table]
    if clients.version != version:
        blocks.insert(0, Text(f"These are the risks that version {clients.version} gave.", "alert"))
    return blocks


# ---- how good --------------------------------------------------------------------------------------------------------


def _quality(facts: Facts) -> list[Block]:
    scores, threshold = facts.manifest["scores"], facts.manifest["threshold"]
    blocks: list[Block] = [
        Text(
            f"Measured on {scores['rows']:,} {scores['on']} that this version was not trained on. The constant guess, "
            f"which a model has to beat to be worth anything, says of everyone that they leave, with a risk of "
            f"{percent(facts.manifest['data']['positive_rate'])} (the share that left in the training data). "
            f"A client is listed from a risk of {percent(threshold)} on."
        ),
        _measures(scores, facts.manifest["data"]["positive_rate"]),
    ]
    pictures = [
        (
            "Confusion matrix",
            charts.confusion(scores["confusion"]),
            f"Each of the {scores['rows']:,} rows: what happened, and what the model said.",
        )
    ]
    if facts.left is None or facts.risk is None:
        return [*blocks, Pictures(pictures), Text(f"No curves: {facts.curves_note}.", "note")]
    if 0 < facts.left.sum() < len(facts.left):
        pictures.append(
            (
                "Cumulative gain",
                charts.gain(facts.left, facts.risk, threshold),
                "How many of those who leave are found when the most at risk are called first.",
            )
        )
    bins = charts.calibration_bins(facts.left, facts.risk)
    if len(bins) > 1:
        pictures.append(("Calibration", charts.calibration(bins), _how_calibrated(bins)))
    blocks += [Pictures(pictures), *_calls(facts.left, facts.risk, threshold)]
    if facts.curves_note:
        blocks.append(Text(facts.curves_note, "note"))
    return blocks


def _calls(left: np.ndarray, risk: np.ndarray, threshold: float) -> list[Block]:
    """What calling so and so many of the most at risk brings."""
    rows, leavers = len(left), int(left.sum())
    if not 0 < leavers < rows or rows < FEWEST_ROWS:
        return []
    called, found = charts.gain_curve(left, risk)
    listed = float((risk >= threshold).mean())
    table = []
    for share, name in [(share, "") for share in CALLED] + [(listed, " (the list)")]:
        if share == 0:
            continue
        reached = float(np.interp(share, called, found))
        hits = reached * leavers / (share * rows)
        table.append((percent(share) + name, percent(hits), percent(reached), f"{reached / share:.1f}"))
    head = ("called, most at risk first", "of those called leave", "of all leavers found", "times random")
    return [Table(head, table, (2, 1.5, 1.5, 1), frozenset({1, 2, 3}), title="What calling brings")]


def _how_calibrated(bins: Sequence[charts.Bin]) -> str:
    rows = sorted(b.rows for b in bins)
    size = f"{rows[0]:,}" if rows[0] == rows[-1] else f"{rows[0]:,} to {rows[-1]:,}"
    return (
        f"Whether a risk of 30% means that 30 of 100 leave. Each of the {len(bins)} dots is a group of {size} rows of "
        "similar risk, its line the 95% interval. Above the dashed line, more left than the model said."
    )


def _measures(scores: dict[str, Any], positive_rate: float) -> Table:
    rows, positives = scores["rows"], scores["positives"]
    rate = positives / rows if rows else 0.0
    left = np.arange(rows) < positives
    guess = float(log_losses(left, np.full(rows, positive_rate)).mean()) if rows else None
    said = [
        ("F1", scores["f1"], scores["constant_f1"], "precision and recall in one figure"),
        ("Precision", scores["precision"], rate, "of the listed, the share that left"),
        ("Recall", scores["recall"], 1.0 if positives else 0.0, "of those who left, the share that was listed"),
        ("ROC AUC", scores["roc_auc"], 0.5, "how often one who left ranks above one who stayed"),
        ("Average precision", scores["average_precision"], rate, "precision, averaged over lists of every length"),
        ("Log loss", scores["log_loss"], guess, "how far the risks are from what happened; lower is better"),
    ]
    table = [(name, _shown(ours), _shown(theirs), f"{rows:,}", words) for name, ours, theirs, words in said]
    head = ("measure", "this version", "constant guess", "rows", "what it says")
    return Table(head, table, (1.5, 1.1, 1.3, 0.8, 3.6), frozenset({1, 2, 3}))


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _history(releases: Sequence[dict[str, Any]]) -> list[Block]:
    if not releases:
        return [Text("No version was in production yet.")]
    several = len(releases) > 1
    words = "Each release on the held-out rows of its own time." if several else "This is the first release."
    if len(releases) > charts.MAX_RELEASES:
        words += f" The last {charts.MAX_RELEASES} of {len(releases)} are shown."
    return [Pictures([("", charts.history(releases), words)])]


def _importance(importance: dict[str, float]) -> list[Block]:
    top = list(importance.items())[:TOP_COLUMNS]
    rest = list(importance.values())[TOP_COLUMNS:]
    scale = max([share for _, share in top], default=0.0) or 1.0
    blocks: list[Block] = [
        Text("How much of the model's answer comes from each column; together they make 100%."),
        Bars([(fit(name), share / scale, percent(share)) for name, share in top]),
    ]
    if rest:
        blocks.append(Text(f"The other {len(rest)} columns together: {percent(sum(rest))}.", "note"))
    return blocks
