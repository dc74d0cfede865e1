"""Bring a product's history up to date with its files: what was scored, labelled, measured and decided.

The files decide, the history remembers. Writing is idempotent, so that whatever a killed run, or one that could not
reach the database, left out is written by the next one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from churn import clients, dataset, decisions, heldout, releases, sheet
from churn.calls import calllist
from churn.calls.calllist import Choice
from churn.calls.changes import REMOVED
from churn.calls.reasons import Reason
from churn.config import Product
from churn.dataset import Record
from churn.history.reading import HELD_OUT, SNOOZED
from churn.history.store import History, connect
from churn.history.writing import LABELS, TERMS
from churn.monitoring.outcomes import METRICS

MEASURED = ("f1", "precision", "recall", "roc_auc", "average_precision", "log_loss")
KINDS = {"rolled back": "rollback"}
LIST_TERMS = ("capacity", "value", "contact_cost", "success_rate", "holdout", "threshold")


def scores(product: Product, version: str, frame: pd.DataFrame, risk: np.ndarray, at: str) -> None:
    """Keep the risks that a version gave the current clients; nothing where the product has no id.

    Raises:
        HistoryError: the database cannot be used.
    """
    columns = product.columns
    if columns.id is None:
        return
    settings = product.settings
    gain = settings.success_rate * risk * calllist.values(frame, settings) - settings.contact_cost
    given = pd.DataFrame({"client": frame[columns.id].to_numpy(object), "risk": risk, "gain": gain})
    if columns.as_of:
        given["as_of"] = frame[columns.as_of].to_numpy()
    drop = dataset.load_record(product).last_number
    with connect(product) as book:
        book.write_scores(version, clients.key(product), given, at=at, drop=drop)


def update(product: Product, record: Record, at: str) -> str:
    """Write the labels of drops, and the scores and verdicts of judgements and decisions, that are not there yet.

    Returns:
        What is there now, in words.

    Raises:
        HistoryError: the database cannot be used.
    """
    with connect(product) as book:
        _labels(product, record, book, at)
        lines = decisions.judgements(product)
        book.write_metrics([row for line in lines for row in _metrics(line)])
        drifts = [_drift(line) for line in lines]
        made = [_decision(one) for one in decisions.read(product) if one["promotion"]]
        book.write_verdicts(drifts + made)
    return f"{len(record.ingested):,} drops, {len(lines):,} judgements and {len(made):,} decisions are kept"


def list_key(product: Product, snoozed: Collection[str]) -> str:
    """What a call list is made from: the key of the scored clients, its terms, and who is snoozed."""
    made = product.settings.model_dump_json(include=set(LIST_TERMS))
    parts = [_digest(made), *([_digest(json.dumps(sorted(snoozed)))] if snoozed else [])]
    return TERMS.join([clients.key(product), *parts])


def same_terms(one: str, other: str) -> bool:
    """Whether two lists of these keys were made by the same capacity, value and costs."""
    return one.split(TERMS)[1:2] == other.split(TERMS)[1:2]


def _digest(text: str) -> str:
    return releases.digest(text.encode())[:8]


def listed(
    choice: Choice, status: Sequence[tuple[str, str]], told: Sequence[Sequence[Reason]], changed: pd.DataFrame
) -> list[dict[str, Any]]:
    """A call list as the history keeps it: who is to be called, who would have been, and who came off it."""
    people = choice.population

    def row(position: int, status: str) -> dict[str, Any]:
        known = {name: getattr(people, name)[position] for name in ("risk", "value", "gain")}
        return {"client": people.names[position], "status": status, **known}

    rows = [
        row(position, state) | {"rank": rank, "why": why, "reasons": [asdict(reason) for reason in reasons]}
        for rank, (position, (state, why), reasons) in enumerate(zip(choice.listed, status, told, strict=True), 1)
    ]
    uncalled = set(choice.compared.tolist()) - set(choice.listed.tolist())
    held_out = dict(zip(choice.compared.tolist(), choice.held_out.tolist(), strict=True))
    rows += [row(i, HELD_OUT if held_out[i] else SNOOZED) for i in choice.compared.tolist() if i in uncalled]
    names = {entry["client"] for entry in rows}
    removed = changed[changed["change"] == REMOVED]
    for client, risk, why in zip(removed.iloc[:, 1], removed["risk"], removed["why"], strict=True):
        if client not in names:
            rows.append({"client": client, "status": REMOVED, "risk": None if pd.isna(risk) else risk, "why": why})
    return rows


def contacts(made: pd.DataFrame, known: set[str]) -> list[dict[str, Any]]:
    """Calls that a file lists, as the history keeps them; without those of clients whom nobody knows."""
    # An id may come back from a spreadsheet with the apostrophe that made it safe there.
    names = [name if name in known else sheet.plain(name) for name in made["client"]]
    days = made["date"].dt.strftime("%Y-%m-%dT00:00:00Z")
    return [
        {"client": client, "at": at, "kind": "called", "outcome": outcome or None}
        for client, at, outcome in zip(names, days, made["outcome"], strict=True)
        if client in known
    ]


def _labels(product: Product, record: Record, book: History, at: str) -> None:
    columns = product.columns
    kept = {batch["key"] for batch in book.batches(LABELS)}
    missing = [drop for drop in record.ingested if drop.sha256 not in kept]
    if columns.id is None or not missing:
        return
    frame = dataset.frame(product, since=missing[0].number - 1)
    frame = frame[heldout.labelled(frame, product)]
    for drop in missing:
        rows = frame[frame["drop_number"] == drop.number]
        labels = pd.DataFrame({"client": rows[columns.id].to_numpy(object), "left": heldout.labels(rows, product)})
        if columns.as_of:
            labels["as_of"] = rows[columns.as_of].to_numpy()
        book.write_labels(drop.sha256, labels, at=at, drop=drop.number)


def _metrics(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The realised and the estimated scores of a judgement."""
    of = {"drop": line["seen"]["drop"], "version": line["champion"], "at": line["at"]}
    rows = []
    if line["scores"]:
        realised = of | {"kind": "realised", "rows": line["scores"]["rows"]}
        rows += [realised | {"name": name, "value": line["scores"][name]} for name in MEASURED]
    estimate = line["waiting"] or line["estimate"]
    if estimate:
        for name in METRICS:
            ends = {end: estimate[f"{name}_{end}"] for end in ("lower", "upper")}
            rows.append(
                of | {"kind": "estimated", "rows": estimate["rows"], "name": name, "value": estimate[name], **ends}
            )
    return rows


def _drift(line: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {key: line[key] for key in ("seen", "auc_z", "raw_rule", "deployed_f1", "moves", "outcomes")}
    of = {"drop": line["seen"]["drop"], "version": line["champion"], "at": line["at"], "kind": "drift"}
    said = "; ".join([line["said"], *line["estimated"]])
    return of | {"verdict": line["verdict"], "reason": said, "numbers": numbers}


def _decision(made: Mapping[str, Any]) -> dict[str, Any]:
    """Of the version that was promoted or returned to; where nothing was, of the champion."""
    version = made["challenger"] or made["champion"] or ""
    of = {"drop": made["drops"], "version": version, "at": made["at"], "kind": KINDS.get(made["action"], "promotion")}
    return of | {"verdict": made["action"], "reason": made["reason"], "numbers": made["promotion"]["numbers"]}
