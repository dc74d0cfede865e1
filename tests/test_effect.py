"""Calling is found to help where it does, by as much as it does, and not where it does not."""

import math

import numpy as np
import pandas as pd
import pytest

from churn.calls import effect
from churn.calls.effect import HARMS, HELPS, NONE, TOO_FEW, measure
from churn.errors import DataError
from churn.report import calling
from churn.settings import ProductSettings


def lists(seed, *, months=4, capacity=300, saved=0.15, reached=1.0, all_the_same=0.0, stays=True):
    """Lists made month by month from 4,000 clients of whom those at the top leave at 60% unless a call keeps them.

    Half of what makes a client leave is lasting. `stays`: whoever leaves is won back, and is there next month.
    """
    generator = np.random.default_rng(seed)
    clients = 4_000
    held_out, lasting = generator.random(clients) < 0.2, generator.normal(size=clients)
    here, frames = np.ones(clients, dtype=bool), []
    for month in range(months):
        strength = np.where(here, 0.7 * (lasting + generator.normal(size=clients)), -9.0)
        order = np.argsort(-strength)
        top = order[: np.flatnonzero(~held_out[order])[capacity - 1] + 1]
        risk = 1 / (1 + np.exp(-(0.4 + 0.8 * (strength[top] - strength[top].mean()))))
        called = generator.random(len(top)) < np.where(held_out[top], all_the_same, reached)
        left = generator.random(len(top)) < risk * (1 - saved * called)
        columns = {"client": top, "held_out": held_out[top], "called": called, "left": left, "risk": risk, "value": 1.0}
        frames.append(pd.DataFrame({"period": month, **columns, "true": saved * risk}))
        here[top[left]] = stays
    return pd.concat(frames, ignore_index=True)


def simulated(times=200, **world):
    """The measured effects of so many worlds, and the true one, clients kept by a call."""
    found, truth = [], []
    for seed in range(times):
        table = lists(seed, **world)
        truth.append(table.loc[~table["held_out"], "true"].mean())
        found.append(measure(table, 0.15))
    return found, np.array(truth)


def covered(found, truth):
    return np.mean([each.kept.lower <= true <= each.kept.upper for each, true in zip(found, truth, strict=True)])


# ---- simulations -----------------------------------------------------------------------------------------------------


def test_a_planted_effect_is_found_and_its_interval_holds_it_in_about_95_of_100_worlds():
    """A call keeps 15% of those who would leave; four months of 300 calls show that in four of five worlds."""
    found, truth = simulated()
    assert 0.90 <= covered(found, truth) <= 0.99
    assert 0.90 <= np.mean([each.share.lower <= 0.15 <= each.share.upper for each in found]) <= 0.99
    assert np.mean([each.kept.value for each in found]) == pytest.approx(truth.mean(), abs=0.01)
    assert np.mean([each.verdict == HELPS for each in found]) >= 0.7
    assert not any(each.verdict == HARMS for each in found)


def test_where_calling_does_nothing_it_is_said_to_do_something_in_5_of_100_worlds_at_the_most():
    found, _ = simulated(saved=0.0)
    assert np.mean([each.verdict in (HELPS, HARMS) for each in found]) <= 0.075
    assert 0.90 <= covered(found, np.zeros(200)) <= 0.995


def test_calls_that_were_not_made_and_held_out_clients_who_were_called_do_not_hide_what_a_call_does():
    found, truth = simulated(100, reached=0.7, all_the_same=0.1)
    assert 0.90 <= covered(found, truth) <= 0.995
    assert np.mean([each.kept.value for each in found]) == pytest.approx(truth.mean(), abs=0.015)


def test_the_interval_holds_where_whoever_leaves_does_not_come_back():
    found, truth = simulated(100, months=6, capacity=100, stays=False)
    assert 0.90 <= covered(found, truth) <= 0.995


def test_choosing_whom_to_call_does_not_make_calling_look_good():
    """The team calls those who stay anyway: beside the held-out, those called alone would look like an effect."""
    table = lists(1, saved=0.0, months=12)
    table["called"] = ~table["held_out"] & (~table["left"] | (np.arange(len(table)) % 3 == 0))
    rates = table[table["called"]]["left"].mean(), table[table["held_out"]]["left"].mean()
    assert rates[0] < rates[1] - 0.2
    assert measure(table, 0.15).verdict not in (HELPS, HARMS)


def test_a_client_on_many_lists_does_not_count_as_many_clients():
    table = lists(2, months=3)
    often = pd.concat([table.assign(period=table["period"] + 10 * copy) for copy in range(4)])
    once, again = measure(table, 0.15).kept, measure(often, 0.15).kept
    assert again.value == pytest.approx(once.value, abs=1e-9)
    assert again.upper - again.lower == pytest.approx(once.upper - once.lower, rel=0.05)


# ---- by hand ---------------------------------------------------------------------------------------------------------


def by_hand(*arms):
    """Arms of (list, who they are, how many left, how many stayed); and those with the last places, left out."""
    rows = []
    for period, who, left, stayed in arms:
        kind = {"held_out": who == HELD_OUT, "called": who == CALLED, "risk": 0.5}
        rows += [{"period": period, "left": i < left, **kind} for i in range(left + stayed)]
    for period in sorted({arm[0] for arm in arms}):
        rows.append({"period": period, "left": True, "held_out": False, "called": True, "risk": 0.1})
    table = pd.DataFrame(rows, columns=["period", "left", "held_out", "called", "risk"])
    return table.assign(client=np.arange(len(table)), value=1.0)


CALLED, NOT_CALLED, HELD_OUT = "called", "listed and not called", "held out"
SIMPLE = [(1, CALLED, 48, 52), (1, HELD_OUT, 30, 20)]


def test_the_effect_is_the_difference_of_the_two_shares():
    found = measure(by_hand(*SIMPLE), 0.15)
    assert (found.lists, found.listed, found.held_out, found.called) == (1, 100, 50, 100)
    assert (found.held_out_left, found.listed_left) == pytest.approx((0.6, 0.48))
    assert found.kept.value == pytest.approx(0.12)
    assert found.share.value == pytest.approx(0.2)
    assert found.value.value == pytest.approx(0.12)
    assert -0.06 < found.kept.lower < -0.03
    assert 0.27 < found.kept.upper < 0.3


def test_lists_are_compared_each_with_itself():
    """In the second list far more leave, and there far more are held out: pooled, calling would seem to help."""
    first, second = [(1, CALLED, 10, 90), (1, HELD_OUT, 1, 9)], [(2, CALLED, 9, 1), (2, HELD_OUT, 90, 10)]
    found = measure(by_hand(*first, *second), 0.15)
    assert found.kept.value == pytest.approx(0.0, abs=1e-9)
    assert found.held_out_left == pytest.approx(found.listed_left) == pytest.approx(0.5)


def test_calls_that_were_not_made_raise_what_each_call_did():
    half = [(1, CALLED, 24, 26), (1, NOT_CALLED, 24, 26), SIMPLE[1]]
    assert measure(by_hand(*half), 0.15).kept.value == pytest.approx(0.24)


def test_outcomes_that_are_not_known_yet_are_waited_for():
    table = by_hand(*SIMPLE, (2, CALLED, 10, 20), (2, HELD_OUT, 5, 5)).astype({"left": "boolean"})
    table.loc[table["period"] == 2, "left"] = pd.NA
    found = measure(table, 0.15)
    assert found.kept == measure(by_hand(*SIMPLE), 0.15).kept
    assert (found.lists, found.unknown) == (1, 40)


def test_a_list_without_held_out_clients_says_nothing():
    found = measure(by_hand(*SIMPLE, (2, CALLED, 25, 25)), 0.15)
    assert found.kept == measure(by_hand(*SIMPLE), 0.15).kept
    assert found.lists == 1


@pytest.mark.parametrize(
    "arms",
    [[], SIMPLE[:1], [(1, CALLED, 3, 0), (1, HELD_OUT, 0, 2)], [SIMPLE[0], (1, HELD_OUT, 30, 0)]],
)
def test_a_few_clients_give_no_interval(arms):
    found = measure(by_hand(*arms), 0.15)
    assert (found.kept, found.share, found.value, found.verdict) == (None, None, None, TOO_FEW)
    assert calling.words(found, success_rate=0.15, contact_cost=0.0, holdout=0.2)[0].startswith("Too few to tell")


def test_without_any_call_nothing_is_said_of_calls():
    table = by_hand(*SIMPLE).assign(called=False)
    found = measure(table, 0.15)
    assert (found.verdict, found.kept.lower, found.kept.upper) == (TOO_FEW, -math.inf, math.inf)
    assert calling.words(found, success_rate=0.15, contact_cost=0.0, holdout=0.2)[0].startswith("Too few calls to tell")


def test_the_table_is_left_as_it_was_and_its_order_does_not_matter():
    table = lists(3)
    before = table.copy(deep=True)
    found = measure(table, 0.15)
    pd.testing.assert_frame_equal(table, before)
    other = measure(table.sample(frac=1, random_state=0), 0.15)
    assert (other.kept.value, other.kept.lower) == pytest.approx((found.kept.value, found.kept.lower))


# ---- in words --------------------------------------------------------------------------------------------------------


def told(success_rate=0.15, holdout=0.2, contact_cost=0.0, **world):
    found = measure(lists(3, **world), success_rate)
    return found, calling.words(found, success_rate=success_rate, contact_cost=contact_cost, holdout=holdout)


def test_an_effect_is_told_with_its_interval_its_worth_and_what_to_do():
    found, said = told(months=8, saved=0.3, contact_cost=0.05)
    assert found.verdict == HELPS
    kept, low, high = (f"{100 * x:.0f}" for x in (found.kept.value, found.kept.lower, found.kept.upper))
    assert said[0].startswith(f"Calling kept {kept} of 100 called (95% interval {low} to {high}): ")
    assert "of those who would have left" in said[1]
    assert said[1].endswith(f"success_rate 0.15 does not fit, set it to {found.share.value:.2g}.")
    assert said[2].startswith(f"One client is kept by {1 / found.kept.value:.0f} (")
    assert said[3].startswith("A list of 299 calls kept a value of ") and said[3].endswith("and cost 15.")
    assert said[4] == "The effect is shown, so fewer need to be left uncalled: set holdout to 0.1."
    assert told(months=8, saved=0.3, holdout=0.1)[1] == said[:3] + [said[3].replace("cost 15.", "cost 0.")]


def test_too_few_are_told_how_many_more_lists_it_takes():
    found, said = told(months=1)
    assert found.verdict == TOO_FEW
    assert f"about {found.more} more lists like these will show it" in said[0]
    more = int(np.median([measure(lists(seed, months=1), 0.15).more for seed in range(20)]))
    shown = [measure(lists(seed, months=1 + more), 0.15).verdict == HELPS for seed in range(40)]
    assert 0.65 <= np.mean(shown) <= 0.95


def test_calling_that_does_nothing_is_told_once_it_would_have_shown():
    found, said = told(months=12, saved=0.0)
    assert found.verdict == NONE
    assert said[0].startswith("No effect of calling has shown: ")
    assert "With success_rate 0.15 it should have. At the most it keeps" in said[0]


def test_calling_that_drives_clients_away_is_told_to_stop():
    found, said = told(saved=-0.4)
    assert found.verdict == HARMS
    assert said[0].startswith(f"Calling lost {-100 * found.kept.value:.0f} of 100 called (95% interval ")
    assert said[0].endswith("Stop calling until it is known why.")


SETTINGS = {"id": "client", "target": "left", "positive": "1", "numeric": ["value"]}


def compared():
    table = by_hand(*SIMPLE).drop(columns="called")
    return table.assign(client=[f"c{i}" for i in table["client"]], issued=pd.Timestamp("2026-01-10"))


def test_a_file_of_calls_is_told_with_what_could_not_be_used():
    calls = pd.DataFrame(
        {
            "client": ["c1", "c2", "x", "c3", "far"],
            "date": pd.to_datetime(["2026-01-11", "2026-01-11", "2026-01-11", "2026-01-09", "2026-01-11"]),
            "outcome": "",
            "line": [2, 3, 4, 5, 6],
        }
    )
    said = calling.told(calls, compared(), {"c1", "c2", "c3", "far"}, ProductSettings(**SETTINGS))
    assert said[-4:] == [
        "2 of the 100 listed were called, which is allowed for.",
        "1 of the 5 calls is of a client that was never scored (the first on line 4).",
        "1 was made before the first list.",
        "1 was of a client who did not rank high enough for the list of the time.",
    ]


def test_without_lists_or_without_ids_there_is_nobody_to_compare():
    calls = pd.DataFrame({"client": [], "date": pd.to_datetime([]), "outcome": [], "line": []})
    with pytest.raises(DataError, match="no call list was issued yet"):
        calling.told(calls, compared().head(0), set(), ProductSettings(**SETTINGS))
    with pytest.raises(DataError, match="without an id column"):
        calling.told(calls, compared(), set(), ProductSettings(**{**SETTINGS, "id": None}))


def test_an_interval_as_wide_as_all_that_is_possible_says_nothing():
    assert effect.says_nothing(effect.Interval(0.1, -1.2, 1.4))
    assert effect.says_nothing(effect.Interval(0.1, -math.inf, math.inf))
    assert not effect.says_nothing(effect.Interval(0.1, -0.2, 0.4))
