"""What the new drops show of the model in production: its scores, what has shifted, and whether it has drifted."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import dataset, decisions, drift, estimators, heldout, measures, releases, splits
from churn.config import Product
from churn.contest import comparison
from churn.drift import Judgement, Reference, Seen
from churn.fitting import learning
from churn.monitoring import estimate, moved, outcomes, profile
from churn.monitoring.profile import Shift
from churn.releases import Release

logger = logging.getLogger(__name__)

UNLABELLED_ROWS = 100  # so many rows without labels are judged by their inputs alone
LIST_SHARE = 0.1  # of the riskiest, for what moves the call list, where no capacity says more


def judge(product: Product, folder: Path, at: str) -> list[dict[str, Any]]:
    """Judge the model in production on the drops that it has not been judged on; the new judgements, oldest first.

    Drops with few labels are judged together with those that follow; the last ones may have to wait for more.

    Args:
        folder: of the release.
        at: the time, for the log.
    """
    release = releases.load(folder)
    known = decisions.judgements(product)
    mine = [line for line in known if line["champion"] == release.version]
    since = max([release.manifest["data"]["drops"], *(number for line in mine for number in line["drops"])])
    frame = dataset.frame(product, since=since)
    reference = releases.read_profile(folder)
    new = []
    for numbers in units(frame, product, known):
        rows = frame[frame["drop_number"].isin(numbers)].reset_index(drop=True)
        line = {"at": at, "champion": release.version, "drops": numbers}
        line |= _judged(product, release, reference, known, _unit(product, release, rows, numbers[-1]))
        decisions.write_judgement(product, line)
        level = logging.INFO if line["verdict"] == drift.OK else logging.WARNING
        words = "; ".join([line["said"], *line["estimated"]])
        logger.log(level, "%s: drop %s: %s: %s", product.name, numbers[-1], line["verdict"], words)
        known.append(line)
        new.append(line)
    return new


def units(frame: pd.DataFrame, product: Product, known: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """The numbers of the drops in a frame, as they are judged: one by one, those with few labels together.

    As they were judged before, where they were (`known`). The last ones are left out while they are too few.
    """
    before = {number: line["drops"] for line in reversed(known) for number in line["drops"]}
    labelled, left = heldout.labelled(frame, product), heldout.labels(frame, product)
    waiting: list[int] = []
    counts = np.zeros(3)  # left, stayed, without a label
    for number in np.unique(frame["drop_number"]).tolist():
        if number in before:
            if number == before[number][-1]:
                yield before[number]
            continue
        rows = (frame["drop_number"] == number).to_numpy()
        waiting.append(number)
        counts += [left[rows].sum(), (labelled & ~left)[rows].sum(), (~labelled)[rows].sum()]
        enough = counts[:2].min() >= product.settings.promotion.min_class_rows
        if enough or counts[2] >= UNLABELLED_ROWS:
            yield waiting
            waiting, counts = [], np.zeros(3)


@dataclass(frozen=True)
class Unit:
    """The rows of one or more drops that are judged together, with what a release says of them."""

    drop: int  # the last one
    rows: pd.DataFrame
    odds: np.ndarray
    risk: np.ndarray
    waits: np.ndarray  # which rows have no label yet
    known: np.ndarray  # which have one, none where these are too few to tell; `left` and `scores` are of these
    left: np.ndarray
    scores: dict[str, Any] | None


def _unit(product: Product, release: Release, rows: pd.DataFrame, drop: int) -> Unit:
    odds = estimators.log_odds(release.model, rows)
    risk = estimators.calibrated(release.model, odds)
    known = heldout.labelled(rows, product)
    waits, left = ~known, heldout.labels(rows, product)
    if min(left[known].sum(), (~left[known]).sum()) < product.settings.promotion.min_class_rows:
        known = np.zeros(len(rows), dtype=bool)
    scores = measures.scores(left[known], risk[known], release.threshold) if known.any() else None
    return Unit(drop, rows, odds, risk, waits, known, left[known], scores)


def _judged(
    product: Product, release: Release, reference: dict[str, Any], known: Sequence[dict[str, Any]], unit: Unit
) -> dict[str, Any]:
    """What a unit of drops shows of a release, as a judgement's line has it; `known` are those so far, on any."""
    settings = product.settings
    mine = [line for line in known if line["champion"] == release.version]
    before = [line for line in known if line["seen"]["drop"] < unit.drop]
    shifts = [s for s in profile.shifts(reference, unit.rows, unit.risk) if s.psi > settings.drift.psi]
    limit = drift.SHIFT_P / len(release.columns.features)
    moves = _moves([s for s in shifts if s.p_value < limit], product, release, reference, unit)
    both = 0 < unit.left.sum() < len(unit.left)
    auc, influence = comparison.roc_auc(unit.left, unit.risk[unit.known]) if both else (None, np.empty(0))
    judgement = drift.judge(
        Reference(**{key: release.manifest["reference"][key] for key in Reference.__dataclass_fields__}),
        [Judgement.from_dict(line) for line in mine],
        Seen(
            drop=unit.drop,
            rows=len(unit.rows),
            labelled=len(unit.left),
            positives=int(unit.left.sum()),
            auc=auc,
            auc_error=comparison.error_of(influence) if both else None,
            shifted={s.column: _with_move(s, share) for s, share in moves},
        ),
        auc_z=settings.drift.auc_z,
        label_points=settings.drift.label_points,
        latest=Judgement.from_dict(before[-1]) if before else None,
    )
    deployed_f1 = release.manifest["scores"]["f1"]
    estimated = _estimated(release, mine, unit, settings.seed)
    said = "; ".join(judgement.reasons) or _as_before(unit.scores)
    return {
        **judgement.as_dict(),
        "scores": unit.scores,
        "deployed_f1": deployed_f1,
        "raw_rule": drift.raw_rule(unit.scores["f1"], deployed_f1) if unit.scores else None,
        "moves": {s.column: share for s, share in moves if share is not None},
        **estimated,
        "said": said,
    }


def _moves(
    shifts: Sequence[Shift], product: Product, release: Release, reference: dict[str, Any], unit: Unit
) -> list[tuple[Shift, float | None]]:
    """Each shift with the share of the call list that it has moved, the largest first; None for that of the risks."""
    rows, share = unit.rows, LIST_SHARE
    if product.settings.capacity:
        share = learning.capacity_share(product, splits.groups(rows, product.columns))

    def moved_by(column: str) -> float:
        def risks(frame: pd.DataFrame) -> np.ndarray:
            return estimators.risks(release.model, frame)

        return moved.list_moved(risks, rows, reference, column, share, risk=unit.risk)

    found = [(s, None if s.kind == "risk" else moved_by(s.column)) for s in shifts]
    return sorted(found, key=lambda item: (-(item[1] or 0.0), item[0].column))


def _with_move(shift: Shift, share: float | None) -> str:
    return shift.words if share is None else f"{shift.words}; moves {share:.0%} of the list of the riskiest"


def _as_before(scores: dict[str, Any] | None) -> str:
    if scores is None:
        return "no labels yet; the inputs look as they did"
    auc = f", ROC AUC {scores['roc_auc']:.3f}" if scores["roc_auc"] is not None else ""
    return f"F1 {scores['f1']:.3f}{auc} on {scores['rows']:,} new rows, within what was to be expected"


def _estimated(release: Release, mine: Sequence[dict[str, Any]], unit: Unit, seed: int) -> dict[str, Any]:
    """The estimate for the rows with labels, and how wrong it was; and that for those that wait for theirs."""
    stored = release.manifest["reference"]["calibrator"]
    found: dict[str, Any] = {"estimate": None, "outcomes": [], "waiting": None, "estimated": []}
    if stored is None:
        return found
    calibrator = estimate.Calibrator.from_dict(stored)
    past = [outcomes.Outcome(**one) for line in mine for one in line["outcomes"]]

    def made(rows: np.ndarray) -> estimate.Estimate:
        seeded = seed + unit.drop
        return outcomes.widened(estimate.estimate(unit.odds[rows], release.threshold, calibrator, seed=seeded), past)

    if unit.scores and unit.scores["roc_auc"] is not None:
        scores, here = unit.scores, made(unit.known)
        named = {"drop": str(unit.drop), "positives": scores["positives"], "past": list(past)}
        judged = outcomes.judged(here, scores["f1"], scores["roc_auc"], **named)
        past += judged.outcomes
        found |= {"estimate": here.as_dict(), "outcomes": [one.as_dict() for one in judged.outcomes]}
        found["estimated"] += [judged.sentence] if judged.wrong else []
    if unit.waits.any():
        here, rows = made(unit.waits), int(unit.waits.sum())
        found["waiting"] = here.as_dict()
        found["estimated"].append(f"{rows:,} rows wait for their label, estimated {outcomes.shown(here)}")
    return found
