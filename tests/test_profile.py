"""The reference profile is small, survives JSON, and shows what has shifted since: inputs, missing values, risks."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn import storage
from churn.columns import Columns
from churn.monitoring import profile, shift

property_test = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
COLUMNS = Columns(
    target="left",
    positive="1",
    negative="0",
    numeric=("amount", "share", "zeros"),
    integer=("calls", "flag"),
    categorical=("plan", "town"),
)
NUMBER = Columns(target="left", positive="1", negative="0", numeric=("x",))
CATEGORY = Columns(target="left", positive="1", negative="0", categorical=("c",))


def rows(seed, count=1000, by=0.0):
    """Clients whose amount has shifted by so many standard deviations; a tenth of the shares is missing."""
    generator = np.random.default_rng(seed)
    towns = np.array([f"town {i}" for i in range(300)], dtype=object)
    weights = 1 / np.arange(1, 301)
    return pd.DataFrame(
        {
            "amount": generator.normal(by, 1, count),
            "share": np.where(generator.random(count) < 0.1, np.nan, generator.random(count)),
            "zeros": np.where(generator.random(count) < 0.6, 0.0, generator.exponential(10, count)),
            "calls": generator.poisson(3, count).astype(float),
            "flag": (generator.random(count) < 0.16).astype(float),
            "plan": generator.choice(["basic", "plus", "gold"], count, p=[0.5, 0.3, 0.2]),
            "town": towns[generator.choice(300, count, p=weights / weights.sum())],
        }
    ).astype({"plan": "str", "town": "str"})


def through_json(built):
    return json.loads(storage.to_json(built))


def numbers(values):
    return pd.DataFrame({"x": np.array(values, dtype=np.float64)})


def texts(values):
    return pd.DataFrame({"c": pd.Series(values, dtype="str")})


def shift_of(before, now, columns=NUMBER):
    (found,) = profile.shifts(through_json(profile.build(before, columns)), now)
    return found


def is_flagged(found):
    """What the rule of drift asks for, with twenty columns."""
    return found.psi > 0.1 and found.p_value < 0.001 / 20


# ---- the profile -----------------------------------------------------------------------------------------------------


def test_a_profile_is_the_same_after_json_and_small():
    """Twenty columns, six of them with as many levels as a profile lists."""
    built = profile.build(rows(1, 20_000), COLUMNS, risk=np.linspace(0, 1, 20_000), left=np.arange(20_000) % 5 == 0)
    assert through_json(built) == built
    number, category = (len(storage.to_json(built[kind][name])) for kind, name in
                        (("numbers", "amount"), ("categories", "town")))  # fmt: skip
    assert 14 * number + 6 * category < 60_000


def test_a_profile_knows_the_rows_and_the_labels():
    left = np.array([1, 0, 0, 1, np.nan])
    built = profile.build(numbers(range(5)), NUMBER, left=left)
    assert (built["rows"], built["label_rows"], built["label_rate"]) == (5, 4, 0.5)
    without = profile.build(numbers(range(5)), NUMBER)
    assert (without["label_rows"], without["label_rate"], without["risk"]) == (0, None, None)


def test_a_number_has_bins_of_equally_many_rows():
    known = profile.build(rows(1, 20_000), COLUMNS)["numbers"]["amount"]
    assert known["psi_counts"] == [2000] * 10
    assert known["counts"] == [20, 80, 100, 200, *[400] * 48, 200, 100, 80, 20]
    assert known["lowest"] < known["edges"][0] < known["edges"][-1] < known["highest"]


def test_what_is_typical_is_the_median_and_the_most_common_level():
    frame = pd.DataFrame({"x": [1.0, 9.0, 3.0, np.nan, 4.0], "c": pd.Series(["b", "a", None, "a", "b"], dtype="str")})
    both = Columns("left", "1", "0", numeric=("x",), categorical=("c",))
    assert profile.typical(profile.build(frame, both)) == {"x": 3.0, "c": "a"}
    empty = frame.assign(x=np.nan, c=pd.Series([None] * 5, dtype="str"))
    assert profile.typical(profile.build(empty, both)) == {"x": None, "c": None}


def test_levels_stand_in_the_order_of_their_rows_and_rare_ones_are_counted_together():
    levels = profile.build(rows(1, 20_000), COLUMNS)["categories"]["town"]
    counts = list(levels["levels"].values())
    assert list(levels["levels"])[:2] == ["town 0", "town 1"]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == profile.MOST_LEVELS
    assert sum(counts) + levels["other"] + levels["missing"] == 20_000


def test_numbers_near_the_largest_float_have_a_mean():
    known = profile.build(numbers([1.5e308, 1.7e308, 1e308]), NUMBER)["numbers"]["x"]
    assert known["mean"] == pytest.approx(1.4e308)


@property_test
@given(st.lists(st.one_of(st.floats(allow_infinity=False), st.sampled_from([0.0, 1.0, -1.0])), max_size=120))
def test_every_row_is_counted_once_in_either_set_of_bins(values):
    known = through_json(profile.build(numbers(values), NUMBER))["numbers"]["x"]
    assert sum(known["counts"]) + known["missing"] == len(values)
    assert sum(known["psi_counts"]) + known["missing"] == len(values)
    assert min(*known["counts"], *known["psi_counts"]) >= 0
    assert known["edges"] == sorted(known["edges"])


# ---- no shift --------------------------------------------------------------------------------------------------------


def test_the_same_rows_have_not_shifted_in_whatever_order():
    frame = rows(1)
    risk = np.random.default_rng(1).beta(1, 4, 1000)
    built = through_json(profile.build(frame, COLUMNS, risk))
    order = np.random.default_rng(2).permutation(1000)
    for found in profile.shifts(built, frame.iloc[order], risk[order]):
        assert (found.psi, found.statistic, found.p_value) == (0, 0, 1)
        assert found.missing_before == found.missing_now
        assert found.typical_before == found.typical_now
        assert found.words == f"{found.column}: PSI 0.00"


@property_test
@given(st.lists(st.one_of(st.floats(allow_infinity=False), st.sampled_from([0.0, 1.0])), min_size=1), st.integers(1, 4))
def test_rows_that_come_several_times_have_not_shifted(values, times):
    found = shift_of(numbers(values), numbers(values * times))
    assert (found.psi, found.statistic, found.p_value) == (0, 0, 1)


@property_test
@given(st.lists(st.one_of(st.none(), st.sampled_from("abc"), st.text(max_size=3)), min_size=1), st.integers(1, 4))
def test_levels_that_come_several_times_have_not_shifted(values, times):
    found = shift_of(texts(values), texts(values * times), CATEGORY)
    assert (found.psi, found.statistic, found.p_value) == (0, 0, 1)


def test_without_drift_p_values_are_as_small_as_they_may_be():
    """Below .05 in a twentieth of the cases for levels; for numbers, which are binned and may repeat, in fewer."""
    found = [
        {s.column: s for s in profile.shifts(profile.build(rows(2 * i), COLUMNS), rows(2 * i + 1))} for i in range(250)
    ]
    small = {column: np.mean([tick[column].p_value < 0.05 for tick in found]) for column in found[0]}
    assert 0.01 <= small["amount"] <= 0.065
    assert max(small[column] for column in COLUMNS.numbers) <= 0.065
    assert all(0.02 <= small[column] <= 0.085 for column in COLUMNS.categorical)
    assert sum(is_flagged(s) for tick in found for s in tick.values()) <= 1  # of 1,750


@pytest.mark.parametrize("levels", [80, 300, 5000])
def test_which_levels_were_seen_is_chance_and_no_shift(levels):
    """The most frequent of many equally likely levels were lucky, and will be less frequent the next time."""
    generator = np.random.default_rng(levels)
    sides = (texts(generator.integers(0, levels, rows).astype(str)) for _ in range(60) for rows in (2000, 1000))
    found = [shift_of(before, now, CATEGORY) for before, now in zip(sides, sides, strict=True)]
    assert np.mean([s.p_value < 0.05 for s in found]) <= 0.15
    assert min(s.p_value for s in found) > 1e-4
    assert levels == 80 or not any("other levels" in s.words for s in found)


# ---- shifts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [1000, 10_000])
def test_half_a_standard_deviation_is_found_in_a_thousand_rows(before):
    found = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        found.append(shift_of(numbers(generator.normal(0, 1, before)), numbers(generator.normal(0.5, 1, 1000))))
    assert np.mean([is_flagged(s) for s in found]) >= 0.99


def test_only_what_has_shifted_is_said_to_have():
    built = profile.build(rows(1, 5000), COLUMNS)
    found = {s.column: s for s in profile.shifts(built, rows(2, 5000, by=0.5))}
    assert [column for column, s in found.items() if is_flagged(s)] == ["amount"]
    assert list(found) == list(COLUMNS.features)
    assert found["amount"].words.startswith("amount: typical 0.5")
    assert {s.kind for s in found.values()} == {"number", "category"}


def test_the_distance_and_the_p_value_are_near_those_of_the_rows_themselves():
    from scipy.stats import ks_2samp

    before, now = np.random.default_rng(1).normal(0, 1, 3000), np.random.default_rng(2).normal(0.1, 1, 2000)
    found, exact = shift_of(numbers(before), numbers(now)), ks_2samp(before, now)
    assert exact.statistic - 0.02 <= found.statistic <= exact.statistic
    assert exact.pvalue <= found.p_value <= 10 * exact.pvalue


def test_a_column_of_which_a_third_becomes_missing_has_shifted():
    before = np.random.default_rng(1).normal(0, 1, 5000)
    now = np.random.default_rng(2).normal(0, 1, 1000)
    now[::3] = np.nan
    found = shift_of(numbers(before), numbers(now))
    assert is_flagged(found)
    assert (found.missing_before, found.missing_now) == (0, pytest.approx(0.334))
    assert "33% missing, was 0%" in found.words
    assert is_flagged(shift_of(texts(["a", "b"] * 2500), texts([None, "a", "b"] * 300), CATEGORY))


def test_a_column_that_is_empty_now_or_was_empty_has_shifted():
    some, none = numbers(range(1000)), numbers([np.nan] * 1000)
    emptied, filled = shift_of(some, none), shift_of(none, some)
    assert is_flagged(emptied) and is_flagged(filled)
    assert emptied.typical_now is None and filled.typical_before is None
    assert not is_flagged(shift_of(none, none))


@pytest.mark.parametrize("value", [4.0, 6.0, 5.0000001])
def test_a_column_of_one_number_that_becomes_another_has_shifted(value):
    assert is_flagged(shift_of(numbers([5.0] * 1000), numbers([value] * 1000)))
    assert not is_flagged(shift_of(numbers([5.0] * 1000), numbers([5.0] * 300)))


def test_a_minus_one_where_there_was_a_zero_is_seen():
    frame = rows(1)
    coded = frame["zeros"].where(frame["zeros"] > 0, -1.0)
    assert is_flagged(shift_of(numbers(frame["zeros"]), numbers(coded)))


def test_fewer_zeros_are_a_shift():
    generator = np.random.default_rng(1)
    before, now = (np.where(generator.random(1000) < zeros, 0, generator.random(1000)) for zeros in (0.7, 0.4))
    found = shift_of(numbers(before), numbers(now))
    assert is_flagged(found)
    same_median = shift_of(
        numbers(np.where(np.arange(1000) < 900, 0, 3)), numbers(np.where(np.arange(1000) < 600, 0, 3))
    )
    assert "60% of the values at 0, was 90%" in same_median.words


def test_a_code_that_no_row_had_is_seen_in_whole_numbers():
    calls = rows(1)["calls"]
    assert is_flagged(shift_of(numbers(calls), numbers(calls.where(np.arange(1000) % 5 > 0, 99.0))))


def test_a_level_that_is_spelt_otherwise_is_a_shift():
    before = texts(["Yes", "No", "No"] * 1000)
    found = shift_of(before, texts(["yes", "No", "No"] * 300), CATEGORY)
    assert is_flagged(found)
    assert found.words.startswith('c: 0% "Yes", was 33%; PSI ')


def test_a_level_called_other_or_nothing_in_particular_is_a_level():
    before = texts(["other", "missing", "None", "nan"] * 250)
    found = shift_of(before, before, CATEGORY)
    assert (found.psi, found.missing_now, found.typical_now) == (0, 0, "None")
    assert is_flagged(shift_of(before, texts(["other", "missing", "None", None] * 250), CATEGORY))


def test_a_column_of_many_levels_that_all_change_has_shifted():
    town = rows(1, 5000)["town"]
    found = shift_of(texts(town), texts(town.str.upper()), CATEGORY)
    assert is_flagged(found)
    assert found.typical_now == "TOWN 0"


def test_the_risks_are_compared_like_a_column():
    generator = np.random.default_rng(1)
    built = profile.build(rows(1), COLUMNS, risk=generator.beta(1, 4, 1000))
    found = profile.shifts(built, rows(2), risk=generator.beta(2, 4, 1000))[-1]
    assert (found.column, found.kind) == (profile.RISK, "risk")
    assert is_flagged(found)
    assert found.words.startswith("the risks: typical 32%, was 16%; PSI 0.7")
    assert [s.kind for s in profile.shifts(built, rows(2))].count("risk") == 0


def test_no_rows_have_not_shifted():
    built = profile.build(rows(1), COLUMNS)
    assert {(s.psi, s.p_value) for s in profile.shifts(built, rows(2).iloc[:0])} == {(0, 1)}
    assert {(s.psi, s.p_value) for s in profile.shifts(profile.build(rows(1).iloc[:0], COLUMNS), rows(2))} == {(0, 1)}


def test_a_column_has_shifted_against_its_own_profile_as_its_counts_have():
    """The profile's statistics are those of its counts, whichever rows they came from."""
    before, now = np.arange(1000.0), np.arange(1000.0) * 1.3
    known = profile.build(numbers(before), NUMBER)["numbers"]["x"]
    again = np.histogram(now, [-np.inf, *np.nextafter(known["psi_edges"], np.inf), np.inf])[0]
    assert shift_of(numbers(before), numbers(now)).psi == pytest.approx(shift.psi(np.array(known["psi_counts"]), again))
