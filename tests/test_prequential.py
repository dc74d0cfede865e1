"""Champion and recipes on the same drops: what is trained on what, which drops they meet on, and what is decided."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.contest import comparison, prequential, promotion
from churn.contest.comparison import Scored
from churn.contest.prequential import Rows, Standing, training_weights
from churn.settings import Promotion

RECIPES = ("all", "recent", "since onset")
RULES = Promotion(cool_down=2)
property_test = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

drop_numbers = st.lists(st.integers(1, 40), unique=True, max_size=20).map(sorted)


@st.composite
def standings(draw, *, some=0):
    """Any standing: some drops suspect, perhaps an onset, perhaps a promotion."""
    drops = draw(st.lists(st.integers(1, 40), unique=True, min_size=some, max_size=10).map(sorted))
    of_them = st.sampled_from(drops) if drops else st.nothing()
    return Standing(
        trained_up_to=draw(st.integers(0, 40)),
        drops=drops,
        suspects=draw(st.sets(of_them)),
        onset=draw(st.none() | of_them),
        deployed_at=draw(st.none() | st.integers(0, 40)),
        alarmed=draw(st.booleans()),
    )


# ---- what a recipe trains on -----------------------------------------------------------------------------------------


def test_all_rows_weigh_the_same():
    assert training_weights("all", [1, 2, 4], set(), None) == {1: 1, 2: 1, 4: 1}


def test_recent_rows_weigh_most_and_those_of_two_drops_ago_half():
    weights = training_weights("recent", [1, 2, 3, 4, 5], set(), None)
    assert weights == pytest.approx({5: 1, 4: 0.5**0.5, 3: 0.5, 2: 0.5**1.5, 1: 0.25})


def test_age_is_counted_in_drops_that_are_used_not_in_their_numbers():
    weights = training_weights("recent", [1, 7, 8, 20], {8}, None)
    assert weights == pytest.approx({20: 1, 7: 0.5**0.5, 1: 0.5})


def test_what_is_a_dozen_drops_old_is_forgotten_rather_than_weighed():
    weights = training_weights("recent", range(1, 31), {25}, None)
    assert set(weights) == set(range(18, 31)) - {25}


def test_since_the_onset_means_from_that_drop_on():
    assert training_weights("since onset", [1, 2, 3, 4], set(), 3) == {3: 1, 4: 1}
    assert training_weights("since onset", [1, 2, 3, 4], {3}, 3) == {4: 1}
    assert training_weights("since onset", [1, 2, 3, 4], set(), None) == {}
    assert training_weights("since onset", [1, 2, 3, 4], set(), 5) == {}


@property_test
@given(st.sampled_from(RECIPES), drop_numbers, st.sets(st.integers(1, 40)), st.none() | st.integers(1, 40))
def test_no_recipe_trains_on_suspect_drops_and_the_newest_never_weighs_less(recipe, drops, suspects, onset):
    weights = training_weights(recipe, drops, suspects, onset)
    assert set(weights) <= set(drops) - suspects
    in_order = [weights[drop] for drop in drops if drop in weights]
    assert in_order == sorted(in_order)
    assert all(0 < weight <= 1 for weight in in_order)
    usable = [drop for drop in drops if drop not in suspects]
    since = [drop for drop in usable if onset is not None and drop >= onset]
    assert list(weights) == {"all": usable, "recent": usable[-12:][::-1], "since onset": since}[recipe]


# ---- where the champion stands ---------------------------------------------------------------------------------------


def test_champion_and_recipes_meet_on_the_drops_after_its_own_that_are_not_suspect():
    standing = Standing(trained_up_to=2, drops=[1, 2, 3, 4, 5], suspects={4})
    assert standing.since == standing.met == [3, 5]


def test_once_it_has_drifted_they_meet_on_the_drops_since_the_onset():
    standing = Standing(trained_up_to=2, drops=range(1, 8), suspects={6}, onset=5)
    assert standing.since == [3, 4, 5, 7]
    assert standing.met == [5, 7]


@pytest.mark.parametrize(("after", "rests"), [([], True), ([5], True), ([5, 9], True), ([5, 9, 10], False)])
def test_a_new_champion_rests_for_as_many_drops_as_the_cool_down_has(after, rests):
    standing = Standing(trained_up_to=3, drops=[1, 2, 3, *after], suspects=set(), deployed_at=3)
    assert standing.rests(2) is rests


def test_suspect_drops_count_for_the_cool_down():
    standing = Standing(trained_up_to=3, drops=range(1, 7), suspects={5}, deployed_at=3)
    assert not standing.rests(2)


def test_without_a_cool_down_or_without_a_promotion_nothing_rests():
    standing = Standing(trained_up_to=3, drops=[1, 2, 3, 4], suspects=set(), deployed_at=3)
    assert not standing.rests(0)
    assert not replace(standing, deployed_at=None).rests(2)


def test_two_alarms_in_a_row_end_the_rest():
    standing = Standing(trained_up_to=3, drops=[1, 2, 3, 4], suspects=set(), deployed_at=3, alarmed=True)
    assert not standing.rests(2)


@property_test
@given(standings())
def test_nobody_meets_on_what_the_champion_was_trained_on_nor_on_suspect_drops(standing):
    assert set(standing.met) <= set(standing.since) <= set(standing.drops) - standing.suspects
    assert all(drop > standing.trained_up_to for drop in standing.since)
    assert all(standing.onset is None or drop >= standing.onset for drop in standing.met)


# ---- predictions -----------------------------------------------------------------------------------------------------


def labels(drop, rows=40):
    """Who left in a drop: a fifth."""
    return np.random.default_rng([drop, 1]).random(rows) < 0.2


def rows_of(drop, *, rows=40, skill=0.0, groups=None):
    """A drop's rows with the champion's risks."""
    return Rows(labels(drop, rows), guess(drop, rows, skill=skill, seed=2), groups or {})


def guess(drop, rows=40, *, skill=0.0, seed=3):
    """Risks that know who left as well as `skill` says (0: not at all)."""
    generator = np.random.default_rng([drop, seed])
    log_odds = generator.normal(-1.4, 0.5, rows) + skill * (labels(drop, rows) - 0.2)
    return Scored(1 / (1 + np.exp(-log_odds)), 0.2)


class Recording:
    """A `predict` that remembers what it was asked for."""

    def __init__(self, rows=40, **known):
        self.asked, self.rows, self.known = [], rows, known

    def __call__(self, weights, drop):
        self.asked.append((dict(weights), drop))
        return guess(drop, self.rows, **self.known)


@property_test
@given(standings())
def test_the_prediction_of_a_drop_uses_neither_that_drop_nor_a_later_one_nor_a_suspect_one(standing):
    predict = Recording()
    prequential.decide(replace(standing, deployed_at=None), rows_of, predict, RULES, rival="r")
    for weights, drop in predict.asked:
        assert weights
        assert max(weights) < drop
        assert not set(weights) & standing.suspects
        assert drop in standing.met
    # Every drop that they meet on is predicted, but where nothing that came before may be trained on.
    usable = [d for d in standing.drops if d not in standing.suspects]
    assert {drop for _, drop in predict.asked} == {drop for drop in standing.met if drop > usable[0]}


@property_test
@given(standings(some=3))
def test_the_champion_and_a_recipe_are_compared_on_the_same_rows_those_that_the_recipe_could_predict(standing):
    found = prequential.trials(
        standing.met,
        standing.drops,
        rows_of,
        Recording(),
        recipes=RECIPES,
        suspects=standing.suspects,
        onset=standing.onset,
    )
    for recipe, trial in found.items():
        predicted = [
            drop
            for drop in standing.met
            if training_weights(recipe, [d for d in standing.drops if d < drop], standing.suspects, standing.onset)
        ]
        assert trial.comparison.rows == 40 * len(predicted)
        assert trial.comparison.positives == sum(labels(drop).sum() for drop in predicted)
        left = np.concatenate([labels(drop) for drop in predicted])
        risk = np.concatenate([rows_of(drop).champion.risk for drop in predicted])
        assert trial.comparison.average_precision.champion == comparison.average_precision(left, risk)[0]
        assert trial.groups == {}


def trials_of(drops, rows, predict=None, recipes=("all",), **others):
    known = {"suspects": set(), "onset": None, **others}
    return prequential.trials(drops[1:], drops, rows, predict or Recording(), recipes=recipes, **known)


def test_a_recipe_that_cannot_be_trained_is_not_in_the_trial():
    found = trials_of([1, 2, 3], rows_of, lambda weights, drop: None if len(weights) < 2 else guess(drop), RECIPES)
    assert set(found) == {"all", "recent"}  # nothing has drifted: there is no onset
    assert found["all"].comparison.rows == 40  # drop 2 alone could not be predicted
    assert trials_of([1, 2], rows_of, lambda weights, drop: None) == {}


def test_every_drop_has_the_threshold_of_the_model_that_predicted_it():
    def predict(weights, drop):
        return replace(guess(drop), threshold=0.1 * drop)

    found = trials_of([1, 2, 3], rows_of, predict)["all"].comparison
    said = [guess(drop).risk >= 0.1 * drop for drop in (2, 3)]
    assert found.guard.challenger == comparison.f1(np.r_[labels(2), labels(3)], np.concatenate(said), 0.5)[0]


def test_groups_are_pooled_over_the_drops_and_those_with_few_rows_are_not_looked_at():
    def with_groups(drop):
        first = np.arange(40) < 15
        return rows_of(drop, groups={"plan a": first} | ({"plan b": ~first} if drop == 3 else {}))

    found = trials_of([1, 2, 3], with_groups, group_rows=26)["all"].groups
    assert {name: c.rows for name, c in found.items()} == {"plan a": 30}
    found = trials_of([1, 2, 3], with_groups, group_rows=25)["all"].groups
    assert {name: c.rows for name, c in found.items()} == {"plan a": 30, "plan b": 25}
    only = prequential.of(guess(3), np.arange(40) >= 15)
    assert found["plan b"].average_precision.challenger == comparison.average_precision(labels(3)[15:], only.risk)[0]


def test_the_products_own_metric_stands_guard_over_all_rows():
    def guard(left, model):
        return float(model.value.sum()), np.zeros(len(left))

    def valued(drop):
        rows = rows_of(drop)
        return replace(rows, champion=replace(rows.champion, value=np.full(40, 2.0)))

    def predict(weights, drop):
        return replace(guess(drop), value=np.full(40, 3.0))

    found = trials_of([1, 2, 3], valued, predict, guard=guard, guard_name="expected_profit")["all"].comparison
    assert (found.guard.champion, found.guard.challenger, found.guard_name) == (160, 240, "expected_profit")


def test_values_are_joined_only_where_every_drop_has_them():
    one, other = guess(1), replace(guess(2), value=np.ones(40))
    assert prequential.joined([other, other]).value.shape == (80,)
    assert prequential.joined([one, other]).value is None
    assert prequential.joined([one, other]).risk.tolist() == [*one.risk, *other.risk]


# ---- decisions -------------------------------------------------------------------------------------------------------

MANY = 1500  # rows of a drop


def decide(standing, *, champion=0.5, recipes=0.5, before=None, rules=RULES, predict=None):
    """Decide where champion, recipes and the release before know who left as well as these skills say."""
    release = ("0001-abcdef01", lambda drop: guess(drop, MANY, skill=before, seed=4)) if before is not None else None
    return prequential.decide(
        standing,
        lambda drop: rows_of(drop, rows=MANY, skill=champion),
        predict or Recording(MANY, skill=recipes),
        rules,
        rival="0002-abcdef02",
        before=release,
    )


LATER = Standing(trained_up_to=2, drops=[1, 2, 3, 4, 5], suspects=set())


def test_a_recipe_that_ranks_far_better_is_promoted():
    found = decide(LATER, recipes=2)
    assert (found.action, found.recipe, found.verdict.yes) == ("promote", "all", True)
    assert "against" in found.verdict.reason
    assert "of 0002-abcdef02 on 4,500 rows" in found.verdict.reason


def test_one_that_ranks_as_well_is_not():
    found = decide(LATER)
    assert (found.action, found.recipe, found.verdict.yes) == ("keep", None, False)


def test_without_drops_after_its_own_the_champion_stays():
    found = decide(replace(LATER, trained_up_to=5), recipes=2)
    assert found.action == "keep"
    assert found.verdict.reason == "no rows on which a challenger could meet the champion"


def test_the_release_before_returns_if_it_would_have_been_far_better_on_what_came_since():
    found = decide(LATER, before=2)
    assert (found.action, found.recipe, found.verdict.yes) == ("roll back", None, True)
    assert found.verdict.numbers["rival"] == "0001-abcdef01"
    assert found.verdict.numbers["rows"] == 3 * MANY  # drops 3 to 5


def test_it_returns_before_any_challenger_is_trained_and_even_while_the_new_one_rests():
    predict = Recording(MANY, skill=2)
    assert decide(replace(LATER, deployed_at=2), before=2, predict=predict, rules=Promotion(cool_down=9)).action == (
        "roll back"
    )
    assert predict.asked == []


def test_it_does_not_return_for_being_as_good_nor_for_drops_that_are_suspect():
    assert decide(LATER, before=0.5).action == "keep"
    assert decide(replace(LATER, suspects={3, 4, 5}), before=2).action == "keep"


def test_a_release_before_that_only_drops_after_the_onset_would_favour_is_judged_on_all_since_the_promotion():
    found = decide(replace(LATER, onset=5), before=2)
    assert found.verdict.numbers["rows"] == 3 * MANY


def test_while_the_champion_rests_no_challenger_is_trained_and_the_verdict_says_why():
    predict = Recording(MANY, skill=2)
    found = decide(replace(LATER, deployed_at=4), predict=predict)
    assert found.action == "keep"
    assert found.verdict.reason == (
        "0002-abcdef02 came to production within the last 2 drops, no other is looked for so soon"
    )
    assert predict.asked == []


def test_after_the_rest_a_challenger_is_looked_for_again():
    assert decide(replace(LATER, deployed_at=2), recipes=2).action == "promote"


def test_two_alarms_in_a_row_lift_the_rest():
    assert decide(replace(LATER, deployed_at=4, alarmed=True), recipes=2).action == "promote"


def test_after_the_onset_a_recipe_may_win_that_is_trained_since_then_only():
    class SinceOnset(Recording):
        def __call__(self, weights, drop):
            super().__call__(weights, drop)
            return guess(drop, MANY, skill=2 if min(weights) >= 3 else 0.5)

    found = decide(replace(LATER, onset=3), predict=SinceOnset(MANY))
    assert (found.action, found.recipe) == ("promote", "since onset")
    assert found.verdict.numbers["recipes"]["since onset"]["rows"] == 2 * MANY  # drops 4 and 5
    assert found.verdict.numbers["recipes"]["all"]["rows"] == 3 * MANY


def test_the_products_own_metric_stops_a_promotion_that_it_would_lose_by():
    def worse(left, model):
        surprise = np.where(left, 1 - model.risk, 0.0)  # the better model knows who leaves: it is less surprised
        value = surprise.sum() / left.sum()
        return float(value), (surprise - value * left) / left.sum()

    decided = {}
    for guard in (None, worse):
        found = prequential.decide(
            LATER,
            lambda drop: rows_of(drop, rows=MANY),
            Recording(MANY, skill=2),
            Promotion(guard="precision_at_capacity"),
            rival="r",
            guard=guard,
        )
        decided[guard] = found.action, found.verdict.reason.rsplit(": ", 1)[1].split(" (")[0]
    assert decided[None] == ("promote", "better")
    assert decided[worse] == ("keep", "better in rank, but its precision at capacity is worse")


def test_only_the_recipes_that_are_asked_for_are_tried():
    found = prequential.decide(LATER, rows_of, Recording(), RULES, rival="r", recipes=("all",))
    assert set(found.verdict.numbers["recipes"]) == {"all"}
    assert set(promotion.RECIPES) == set(RECIPES)
