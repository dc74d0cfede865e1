"""Let challengers meet the model in production on the stored drops, and say what is to be done.

The rules are those of `churn/contest/prequential.py` and `churn/contest/promotion.py`; here they get their rows and
their models.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn import decisions, drift, releases
from churn.calls import capacity
from churn.config import Product
from churn.contest import prequential, promotion
from churn.contest.arena import Arena
from churn.contest.prequential import Decision, Guard, Standing
from churn.dataset import Record
from churn.drift import Judgement, Verdict
from churn.errors import ReleaseError
from churn.estimators import Design
from churn.fitting import learning
from churn.releases import Release

logger = logging.getLogger(__name__)

SELECT_AGAIN = 2  # times the rows of the last selection


@dataclass(frozen=True)
class Outcome:
    """What is to be done (promote, roll back, keep) and why, and with which model.

    `weights` says how much the rows of each drop weigh for the recipe, `before` the release to go back to.
    """

    action: str
    verdict: Verdict
    selected: dict[str, Any]
    recipe: str = "all"
    weights: Mapping[int, float] | None = None
    before: str | None = None


def selected(
    product: Product, rows: learning.Rows, configuration: str, earlier: Sequence[dict[str, Any] | None]
) -> dict[str, Any]:
    """The selection that holds: the last one, or a new one when the configuration changed or the rows have doubled.

    Args:
        rows: without those on which champion and challengers are to meet.
        earlier: selections made before, as manifests and decisions keep them, oldest first.
    """
    fitting = [one for one in earlier if one and one["configuration"] == configuration]
    if fitting and len(rows.left) < SELECT_AGAIN * fitting[-1]["rows"]:
        return fitting[-1]
    return learning.selected(product, rows, configuration)


def challenge(product: Product, folder: Path, record: Record, configuration: str, *, changed: bool) -> Outcome:
    """Let the recipes meet the release in production.

    Args:
        folder: of the release.
        configuration: the hash of what the config and the test files say about the model.
        changed: the release was made for another configuration.
    """
    release = releases.load(folder)
    rows = learning.rows(product)
    arena = Arena(product, rows, {drop.number: drop.sha256 for drop in record.ingested}, configuration)
    deployed_at, before = _deployed(product, release.version)
    standing = _standing(product, release, arena, None if changed else deployed_at)
    # Older versions of this software wrote no selection into their decisions.
    earlier = [release.manifest["selection"], *(decision.get("selection") for decision in decisions.read(product))]
    if standing.rests(product.settings.promotion.cool_down):
        chosen = earlier[0]
    else:
        known = rows.of(rows.drop <= max(standing.trained_up_to, *arena.units[-2:-1], 0))
        chosen = selected(product, known if len(known.left) else rows, configuration, earlier)
    design = Design(**chosen["design"])
    if changed and not standing.met:
        decision = _out_of_fold(release, arena, standing, design, guard(product, rows))
    else:
        decision = prequential.decide(
            standing,
            lambda unit: arena.met(release, unit),
            lambda weights, unit: arena.predict(design, weights, unit),
            product.settings.promotion,
            rival=release.version,
            recipes=("all",) if product.settings.drift.policy == "raw" else tuple(promotion.RECIPES),
            before=(before.version, lambda unit: arena.scored(before, unit)) if before else None,
            guard=guard(product, rows),
        )
    arena.forget_unused()
    recipe = decision.recipe or "all"
    weights = arena.weights(recipe, standing)
    return Outcome(decision.action, decision.verdict, chosen, recipe, weights, before.version if before else None)


def _standing(product: Product, release: Release, arena: Arena, deployed_at: int | None) -> Standing:
    known = decisions.judgements(product)
    doubtful = decisions.suspects(product)
    mine = [Judgement.from_dict(line) for line in known if line["champion"] == release.version]
    return Standing(
        trained_up_to=release.manifest["data"]["drops"],
        drops=arena.units,
        suspects={unit for unit, numbers in arena.members.items() if doubtful & set(numbers)},
        # By the brief's rule a drift has no beginning.
        onset=mine[-1].onset if mine and product.settings.drift.policy != "raw" else None,
        deployed_at=deployed_at,
        alarmed=drift.alarmed_twice(mine),
    )


def _deployed(product: Product, version: str) -> tuple[int | None, Release | None]:
    """The newest drop when a version replaced another by decision, and that other one, if one can go back to it."""
    for decision in reversed(decisions.read(product)):
        if decision["challenger"] == version and decision["action"] in ("deployed", "rolled back"):
            if decision["champion"] is None:
                return None, None
            back = decision["action"] == "deployed"
            return decision["drops"], _kept(product.production / decision["champion"]) if back else None
    return None, None


def _kept(folder: Path) -> Release | None:
    """A release that is no longer current, where it can still be used."""
    try:
        return releases.load(folder)
    except ReleaseError as error:
        logger.warning("there is no going back: %s", error)
        return None


def _out_of_fold(release: Release, arena: Arena, standing: Standing, design: Design, metric: Guard | None) -> Decision:
    """Compare what the changed configuration asks for with the release's own design, both out of fold.

    For want of rows that came after the release: of these neither has seen a client's rows when it judges them.
    """
    weights, rules = arena.weights("all", standing), arena.product.settings.promotion
    ours = arena.out_of_fold(design, weights)
    theirs = arena.out_of_fold(Design(**release.manifest["selection"]["design"]), weights)
    if ours is None or theirs is None:
        return Decision("keep", Verdict(False, "too few rows to compare the configuration with the one before"))
    found = prequential.trials(
        [max(weights) + 1],  # as one drop that came after all on which they were trained
        list(weights),
        lambda _: theirs,
        lambda *_: ours.champion,
        recipes=("all",),
        suspects=set(),
        onset=None,
        guard=metric,
        guard_name=rules.guard,
        group_rows=rules.group_rows,
    )
    winner, verdict = promotion.chosen(found, rules, rival=release.version)
    return Decision("promote" if winner else "keep", verdict, winner)


def guard(product: Product, rows: learning.Rows) -> Guard | None:
    """The product's own metric, which must not get worse; None is F1."""
    settings = product.settings
    share = learning.capacity_share(product, rows.groups)
    if settings.promotion.guard == "precision_at_capacity":
        return lambda left, model: capacity.precision_at(left, model.risk, share)
    if settings.promotion.guard == "expected_profit":
        costs = {"contact_cost": settings.contact_cost, "success_rate": settings.success_rate}
        return lambda left, model: capacity.expected_profit(left, model.risk, share, model.value, **costs)
    return None
