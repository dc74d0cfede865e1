"""How good the model is on rows that it did not know: scores with intervals, confusion, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from churn import heldout, measures
from churn.calls.interval import Interval, normal, proportion
from churn.contest import comparison
from churn.heldout import HeldOut
from churn.report import charts
from churn.report.blocks import Block, Pictures, Table, Text
from churn.report.facts import Facts
from churn.report.figures import between, score, within_one
from churn.words import percent


def quality(facts: Facts) -> list[Block]:
    """Where the scores were measured, the scores, and the pictures."""
    scores, guess = facts.manifest["scores"], facts.manifest["data"]["positive_rate"]
    blocks: list[Block] = [
        Text(
            f"Measured on {_where(scores)}. The constant guess, which a model has to beat to be worth anything, says "
            f"of everyone that they leave, with a risk of {percent(guess)}, the share that left in the training data. "
            f"The model flags those whose risk is at least {percent(facts.manifest['threshold'])}."
        ),
        _measures(scores, guess, intervals(facts.held) if facts.held and not facts.held_note else {}),
    ]
    words = f"Each of the {scores['rows']:,} rows: what happened, and whether the model had flagged it."
    pictures = [("Confusion matrix", charts.confusion(scores["confusion"]), words)]
    if facts.held is None:
        return [*blocks, Pictures(pictures), Text(f"No curves: {facts.held_note}.", "note")]
    bins = charts.calibration_bins(facts.held.left, facts.held.risk)
    if len(bins) > 1:
        pictures.append(("Calibration", charts.calibration(bins), _how_calibrated(bins, facts.held)))
    blocks.append(Pictures(pictures))
    return [*blocks, Text(facts.held_note, "note")] if facts.held_note else blocks


def _where(scores: dict[str, Any]) -> str:
    rows = f"{scores['rows']:,}"
    if scores["on"] == heldout.TEST_ROWS:
        return f"the {rows} rows of the test files, on which it was not trained"
    if scores["on"] == heldout.OUT_OF_FOLD_ROWS:
        return f"the {rows} training rows, each judged by a model that saw none of its client's rows (out of fold)"
    return f"{rows} {scores['on']}"


def intervals(held: HeldOut) -> dict[str, Interval]:
    """The 95% intervals of the scores, by the names that they have in `measures.scores`."""
    left, risk, said = held.left, held.risk, held.risk >= held.threshold
    found = {}
    if 0 < left.sum() < len(left):
        found = {
            "f1": comparison.f1(left, risk, held.threshold),
            "roc_auc": comparison.roc_auc(left, risk),
            "average_precision": comparison.average_precision(left, risk),
            "log_loss": comparison.log_loss(left, risk),
        }
    known = {name: normal(value, comparison.error_of(influence)) for name, (value, influence) in found.items()}
    for name, among, hit in (("precision", said, left), ("recall", left, said)):
        if among.any():
            share, rows = float(hit[among].mean()), int(among.sum())
            known[name] = proportion(share, float(np.sqrt(share * (1 - share) / rows)), rows)
    return {name: one if name == "log_loss" else within_one(one) for name, one in known.items()}


def _measures(scores: dict[str, Any], guess: float, known: dict[str, Interval]) -> Table:
    rows, positives = scores["rows"], scores["positives"]
    rate = positives / rows if rows else 0.0
    left = np.arange(rows) < positives
    loss = float(measures.log_losses(left, np.full(rows, guess)).mean()) if rows else None
    said = [
        ("F1", "f1", scores["constant_f1"], "precision and recall in one figure"),
        ("Precision", "precision", rate, "of the flagged, the share that left"),
        ("Recall", "recall", 1.0 if positives else 0.0, "of those who left, the share that was flagged"),
        ("ROC AUC", "roc_auc", 0.5, "how often one who left ranks above one who stayed"),
        ("Average precision", "average_precision", rate, "precision, averaged over lists of every length"),
        ("Log loss", "log_loss", loss, "how far the risks are from what happened; less is better"),
    ]
    table = [
        (name, score(scores[key]), between(known[key], score) if key in known else "", score(theirs), words)
        for name, key, theirs, words in said
    ]
    head = ("measure", "this version", "95% interval", "constant guess", "what it says")
    return Table(head, table, (1.5, 1.1, 1.4, 1.2, 3.6), frozenset({1, 2, 3}))


def _how_calibrated(bins: Sequence[charts.Bin], held: HeldOut) -> str:
    rows = sorted(b.rows for b in bins)
    size = f"{rows[0]:,}" if rows[0] == rows[-1] else f"{rows[0]:,} to {rows[-1]:,}"
    error = measures.calibration_error(held.left, held.risk, len(bins))
    return (
        f"Whether a risk of 30% means that 30 of 100 leave. Each of the {len(bins)} dots is a group of {size} rows of "
        "similar risk, with its 95% interval. Above the dashed line, more left than the model said. Calibration "
        f"error: {100 * error:.1f} points, the mean distance of the groups from that line."
    )
