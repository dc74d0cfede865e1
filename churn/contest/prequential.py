"""Champion and recipes on the same drops, each predicted by models that were trained on earlier drops only.

Source: Dawid, Statistical theory: the prequential approach, J. R. Statist. Soc. A 147, 1984. Nothing here touches a
file: the rows and the fitting come as functions, so that a tick, a replay and a simulation decide alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from churn.contest import comparison, promotion
from churn.contest.comparison import Comparison, Influence, Scored
from churn.contest.promotion import Trial
from churn.drift import Verdict
from churn.settings import Promotion

HALF_LIFE = 2  # drops
REMEMBERED = 12  # drops of the recent recipe: an older one would weigh less than a sixtieth
FOLDS = 3  # of the fits that are only asked for a prediction
Guard = Callable[[np.ndarray, Scored], Influence]
Predict = Callable[[Mapping[int, float], int], Scored | None]


@dataclass(frozen=True)
class Rows:
    """The labelled rows of one drop: who left, the champion's risks, and each guarded group's rows by its name."""

    left: np.ndarray
    champion: Scored
    groups: Mapping[str, np.ndarray]


def training_weights(recipe: str, drops: Sequence[int], suspects: set[int], onset: int | None) -> dict[int, float]:
    """By drop, how much its rows weigh for a recipe; a drop that is not named is not trained on.

    Args:
        drops: the numbers of the drops that may be trained on, oldest first.
    """
    usable = [drop for drop in drops if drop not in suspects]
    if recipe == "recent":
        # Counted in drops, not by their numbers: some numbers are of files that were set aside.
        return {drop: 0.5 ** (age / HALF_LIFE) for age, drop in enumerate(reversed(usable[-REMEMBERED:]))}
    if recipe == "since onset":
        return {drop: 1.0 for drop in usable if onset is not None and drop >= onset}
    return dict.fromkeys(usable, 1.0)


def trials(
    met: Sequence[int],
    drops: Sequence[int],
    rows: Callable[[int], Rows],
    predict: Predict,
    *,
    recipes: Sequence[str],
    suspects: set[int],
    onset: int | None,
    guard: Guard | None = None,
    guard_name: str = "f1",
    group_rows: int = 200,
) -> dict[str, Trial]:
    """Each recipe's comparison with the champion over the drops `met`.

    Args:
        met: the drops whose rows are predicted.
        drops: every drop that may be trained on.
        predict: by drop the weight of its rows, and the drop to predict -> risks; None where it cannot be trained.
    """
    found = {}
    for recipe in recipes:
        pieces = []
        for drop in met:
            weights = training_weights(recipe, [d for d in drops if d < drop], suspects, onset)
            predicted = predict(weights, drop) if weights else None
            if predicted is not None:
                pieces.append((rows(drop), predicted))
        if pieces:
            found[recipe] = _trial(pieces, guard, guard_name, group_rows)
    return found


def _trial(pieces: Sequence[tuple[Rows, Scored]], guard: Guard | None, guard_name: str, group_rows: int) -> Trial:
    left = np.concatenate([rows.left for rows, _ in pieces])
    champion = joined([rows.champion for rows, _ in pieces])
    challenger = joined([predicted for _, predicted in pieces])
    whole = comparison.compare(left, champion, challenger, guard, guard_name)
    names = sorted({name for rows, _ in pieces for name in rows.groups})
    groups: dict[str, Comparison] = {}
    for name in names:
        member = np.concatenate([rows.groups.get(name, np.zeros(len(rows.left), bool)) for rows, _ in pieces])
        if member.sum() >= group_rows:
            groups[name] = comparison.compare(left[member], of(champion, member), of(challenger, member))
    return Trial(whole, groups)


def joined(scored: Sequence[Scored]) -> Scored:
    """The risks of several drops in one array, and for each row the threshold of its own drop."""
    thresholds = [np.broadcast_to(one.threshold, one.risk.shape) for one in scored]
    values = [one.value for one in scored if one.value is not None]
    value = np.concatenate(values) if len(values) == len(scored) else None
    return Scored(np.concatenate([one.risk for one in scored]), np.concatenate(thresholds), value)


def of(scored: Scored, member: np.ndarray) -> Scored:
    """The same of some rows."""
    return Scored(scored.risk[member], np.broadcast_to(scored.threshold, scored.risk.shape)[member])


@dataclass(frozen=True)
class Standing:
    """Where the champion stands after the newest drop.

    `drops` are the numbers of all drops with labels, oldest first, `suspects` those on which nothing is trained;
    `onset` is the first drop of its drift, if it has drifted, and `deployed_at` the newest drop when it replaced
    another release, None where it never did. `alarmed`: the newest two drops both alarmed by themselves, so that
    there is no time to lose.
    """

    trained_up_to: int
    drops: Sequence[int]
    suspects: set[int]
    onset: int | None = None
    deployed_at: int | None = None
    alarmed: bool = False

    @property
    def since(self) -> list[int]:
        """The drops after its own, but those that are suspect."""
        return [d for d in self.drops if d > self.trained_up_to and d not in self.suspects]

    def rests(self, cool_down: int) -> bool:
        """Whether it is so new that no challenger is looked for."""
        if self.deployed_at is None or self.alarmed:
            return False
        return sum(drop > self.deployed_at for drop in self.drops) <= cool_down

    @property
    def met(self) -> list[int]:
        """The drops on which champion and recipes meet: since the onset, if there is one."""
        return [d for d in self.since if self.onset is None or d >= self.onset]


@dataclass(frozen=True)
class Decision:
    """What is to be done: promote a recipe, go back to the release before, or keep the champion; and why."""

    action: str  # promote, roll back, keep
    verdict: Verdict
    recipe: str | None = None


def decide(
    standing: Standing,
    rows: Callable[[int], Rows],
    predict: Predict,
    rules: Promotion,
    *,
    rival: str,
    recipes: Sequence[str] = tuple(promotion.RECIPES),
    before: tuple[str, Callable[[int], Scored]] | None = None,
    guard: Guard | None = None,
) -> Decision:
    """Decide after the newest drop, from predictions that no row's own label has had a part in.

    Args:
        rows: a drop's labelled rows with the champion's risks.
        predict: see `trials`.
        rival: the champion's version, for the words.
        before: the version that the champion replaced, and its risks of a drop's labelled rows.
    """
    if standing.rests(rules.cool_down):
        words = f"{rival} came to production within the last {rules.cool_down} drops, no other is looked for so soon"
        decision = Decision("keep", Verdict(False, words))
    else:
        found = trials(
            standing.met,
            standing.drops,
            rows,
            predict,
            recipes=recipes,
            suspects=standing.suspects,
            onset=standing.onset,
            guard=guard,
            guard_name=rules.guard,
            group_rows=rules.group_rows,
        )
        winner, verdict = promotion.chosen(found, rules, rival=rival)
        decision = Decision("promote" if winner else "keep", verdict, winner)
    if decision.action == "keep":
        # A challenger has learned from newer drops than the release before has: going back comes second.
        back = _rolled_back(standing, rows, before, rules)
        if back and back.yes:
            return Decision("roll back", back)
    return decision


def _rolled_back(
    standing: Standing,
    rows: Callable[[int], Rows],
    before: tuple[str, Callable[[int], Scored]] | None,
    rules: Promotion,
) -> Verdict | None:
    if not before or not standing.since:
        return None
    # Since it came to production: from then on the two are told apart by what neither has trained on.
    pieces = [(rows(drop), before[1](drop)) for drop in standing.since]
    return promotion.rolled_back(
        _trial(pieces, None, "f1", 0).comparison, before=before[0], min_class_rows=rules.min_class_rows
    )
