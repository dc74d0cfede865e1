"""What a list is worth is measured with intervals that hold what they promise, whatever ties there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from churn.calls import capacity
from churn.calls.interval import Interval, proportion
from churn.contest.comparison import error_of


def draw(seed, rows):
    """Who left, a risk that knows something of it, and a value: shapes (rows,)."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(size=rows) * 1.2 - 1.6
    left = generator.random(rows) < 1 / (1 + np.exp(-odds))
    risk = 1 / (1 + np.exp(-(odds + 0.7 * generator.normal(size=rows))))
    return left, risk, np.exp(0.5 * generator.normal(size=rows))


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_precision_is_of_those_with_the_highest_risks():
    left, risk = np.array([1, 0, 1, 0, 0, 0, 0, 1, 0, 0]), np.linspace(1, 0.1, 10)
    assert capacity.precision_at(left, risk, 0.3)[0] == pytest.approx(2 / 3)
    assert capacity.precision_at(left, risk, 0.25)[0] == pytest.approx(1.5 / 2.5)  # half of the third is called
    assert capacity.precision_at(left, risk, 1.0)[0] == pytest.approx(0.3)


def test_profit_is_what_calls_keep_less_what_they_cost_and_who_would_cost_more_is_not_called():
    left, risk, value = np.array([1, 0, 1, 1]), np.array([0.9, 0.8, 0.5, 0.1]), np.array([10.0, 20.0, 30.0, 1.0])
    terms = {"contact_cost": 1.0, "success_rate": 0.5}
    # By gain: 20 x .8, 30 x .5, 10 x .9; the last would bring 0.05 and cost 1.
    assert capacity.expected_profit(left, risk, 0.5, value, **terms)[0] == pytest.approx((-1 + 14) / 2)
    assert capacity.expected_profit(left, risk, 1.0, value, **terms)[0] == pytest.approx((-1 + 14 + 4) / 4)


def test_the_list_goes_deeper_by_those_whom_it_leaves_uncalled():
    assert capacity.depth(300, 10_000, 0.2) == pytest.approx(0.0375)
    assert capacity.depth(300, 200, 0.2) == 1.0
    assert capacity.depth(1, 0, 0.2) == 1.0


def test_a_perfect_list_and_one_that_is_all_wrong():
    left = np.arange(100) < 10
    found = capacity.at_capacity(left, 1.0 - np.arange(100) / 100, 0.1)
    assert (found.model.precision.value, found.model.lift.value, found.model.found.value) == (1, 10, 1)
    assert 0.6 < found.model.precision.lower < found.model.precision.upper == 1
    wrong = capacity.at_capacity(left, np.arange(1, 101) / 100, 0.1).model
    assert (wrong.precision.value, wrong.lift.value, wrong.found.value, wrong.profit.value) == (0, 0, 0, 0)
    assert wrong.precision.lower == 0 < wrong.precision.upper < 0.4


def test_random_calls_find_their_share_and_so_does_the_constant_guess_where_all_are_worth_the_same():
    left, risk, _ = draw(1, 2_000)
    found = capacity.at_capacity(left, risk, 0.1, success_rate=0.2)
    for list_ in (found.random, found.constant):
        assert list_.precision.value == pytest.approx(left.mean())
        assert list_.lift.value == pytest.approx(1)
        assert list_.found.value == pytest.approx(0.1)
        assert list_.profit.value == pytest.approx(0.2 * left.mean())
    assert found.more_than_constant.value == pytest.approx(found.model.profit.value - found.constant.profit.value)


def test_the_constant_guess_calls_those_of_most_value():
    left, value = np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0])
    found = capacity.at_capacity(left, np.array([0.9, 0.1, 0.1, 0.1]), 0.5, value)
    assert found.constant.precision.value == pytest.approx(0.5)
    assert found.constant.profit.value == pytest.approx(2.0)
    assert found.random.profit.value == pytest.approx(1.5)


@pytest.mark.parametrize("left", [[], [0], [1], [0, 0, 0], [1, 1]])
def test_few_rows_and_one_class_give_numbers(left):
    risk = np.linspace(0.2, 0.8, len(left))
    found = capacity.at_capacity(np.array(left), risk, 0.4)
    limits = [found.model.precision, found.model.lift, found.model.found, found.model.profit, found.more_than_constant]
    assert np.isfinite([[each.value, each.lower, each.upper] for each in limits]).all()
    assert all(each.lower <= each.value <= each.upper for each in limits)


# ---- ties ------------------------------------------------------------------------------------------------------------


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.2, 0.5]), st.sampled_from([1.0, 3.0])), min_size=1, max_size=6
    ),
    st.floats(0.05, 1.0),
)
def test_ties_count_by_the_mean_over_all_orders(rows, share):
    left, risk, value = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    places = share * len(rows)

    def mean_of_first(order, brings):
        whole = int(places + 1e-9)
        part = places - whole
        return (sum(brings[i] for i in order[:whole]) + (part * brings[order[whole]] if part > 1e-9 else 0)) / places

    def over_orders(score, brings):
        orders = [o for o in itertools.permutations(range(len(rows))) if all(np.diff(score[list(o)]) <= 0)]
        return np.mean([mean_of_first(order, brings) for order in orders])

    assert capacity.precision_at(left, risk, share)[0] == pytest.approx(over_orders(risk, left))
    profit = capacity.expected_profit(left, risk, share, value)[0]
    assert profit == pytest.approx(over_orders(risk * value, left * value))


# ---- errors and intervals --------------------------------------------------------------------------------------------


def resampled(measure, rows, times=400):
    generator = np.random.default_rng(0)
    return np.std([measure(generator.integers(0, rows, rows)) for _ in range(times)])


@pytest.mark.parametrize("digits", [12, 1])
def test_the_errors_are_those_of_the_bootstrap(digits):
    """Also of the difference between two models on the same rows, and where many risks tie."""
    left, risk, value = draw(2, 4_000)
    other = np.clip(risk + 0.1 * np.random.default_rng(3).normal(size=len(risk)), 0, 1)
    risk, other = risk.round(digits), other.round(digits)
    terms = {"contact_cost": 0.02, "success_rate": 0.2}

    def precision(rows):
        return [capacity.precision_at(left[rows], score[rows], 0.1) for score in (risk, other)]

    def profit(rows):
        return [capacity.expected_profit(left[rows], s[rows], 0.1, value[rows], **terms) for s in (risk, other)]

    for measure in (precision, profit):
        old, new = measure(np.arange(len(left)))
        assert error_of(old[1]) == pytest.approx(resampled(lambda r, m=measure: m(r)[0][0], len(left)), rel=0.15)
        apart = resampled(lambda r, m=measure: m(r)[1][0] - m(r)[0][0], len(left))
        assert error_of(new[1] - old[1]) == pytest.approx(apart, rel=0.2)


def test_the_intervals_hold_the_truth_in_about_95_of_100_cases():
    truth = capacity.at_capacity(*draw(99, 400_000)[:2], 0.05, draw(99, 400_000)[2], success_rate=0.2)
    names = ("precision", "lift", "found", "profit")
    inside = np.zeros(5)
    for seed in range(200):
        left, risk, value = draw(seed, 3_000)
        found = capacity.at_capacity(left, risk, 0.05, value, success_rate=0.2)
        pairs = [(getattr(found.model, name), getattr(truth.model, name)) for name in names]
        pairs.append((found.more_than_constant, truth.more_than_constant))
        inside += [interval.lower <= true.value <= interval.upper for interval, true in pairs]
    assert (inside / 200 >= 0.9).all()
    assert (inside / 200 <= 0.995).all()


@hypothesis_settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.5), st.integers(0, 1000))
def test_the_interval_of_a_share_holds_it_and_stays_within_0_and_1(value, error, count):
    interval = proportion(value, error, count)
    assert 0 <= interval.lower <= value <= interval.upper <= 1


def test_the_interval_of_a_share_is_wilsons():
    """81 of 263: the example in Newcombe, Two-sided confidence intervals for the single proportion, 1998."""
    interval = proportion(81 / 263, (81 / 263 * 182 / 263 / 263) ** 0.5, 263)
    assert (interval.lower, interval.upper) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportion(0.0, 0.0, 20).upper == pytest.approx(0.1611, abs=5e-5)


def test_an_interval_in_another_unit_keeps_its_order():
    assert Interval(2.0, 1.0, 4.0).times(-10) == Interval(-20.0, -40.0, -10.0)


# ---- the gain curve --------------------------------------------------------------------------------------------------


def test_the_gain_curve_says_how_many_are_found_and_joins_ties_by_a_straight_line():
    left, risk = np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    called, found = capacity.gain_curve(left, risk)
    assert called.tolist() == [0, 0.25, 0.75, 1]
    assert found.tolist() == [0, 0.5, 1, 1]
    assert capacity.gain_curve(left, risk, np.array([1.0, 9, 3, 9]))[1].tolist() == [0, 0.25, 1, 1]
    assert capacity.gain_curve(np.zeros(2), risk[:2])[1].tolist() == [0, 0, 0]
