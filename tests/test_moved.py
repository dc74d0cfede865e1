"""A shifted column put back has the reference's distribution again, and shows how much of the call list it moves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.columns import Columns
from churn.monitoring import moved, profile

property_test = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
COLUMNS = Columns(
    target="left",
    positive="1",
    negative="0",
    numeric=("amount", "other"),
    integer=("calls",),
    categorical=("plan",),
)
VALUES = st.lists(
    st.tuples(
        st.one_of(st.just(np.nan), st.sampled_from([0.0, 1.0]), st.floats(-1e6, 1e6)),
        st.one_of(st.just(np.nan), st.integers(-5, 5).map(float)),
        st.one_of(st.none(), st.sampled_from("abc")),
    ),
    min_size=1,
    max_size=60,
)


def rows(seed, count=2000, by=0.0, plans=(0.6, 0.3, 0.1)):
    generator = np.random.default_rng(seed)
    plan = pd.Series(generator.choice(["basic", "plus", "gold"], count, p=plans), dtype="str")
    return pd.DataFrame(
        {
            "amount": generator.normal(by, 1, count),
            "other": generator.normal(0, 1, count),
            "calls": generator.poisson(3, count).astype(float),
            "plan": plan,
        }
    )


def frame(values):
    amounts, calls, plans = zip(*values, strict=True)
    table = {"amount": np.array(amounts), "other": 0.0, "calls": np.array(calls)}
    return pd.DataFrame(table).assign(plan=pd.Series(plans, dtype="str"))


def risks(table):
    """Who has a large amount and the gold plan leaves; the other column hardly matters."""
    log_odds = table["amount"].fillna(0) + 0.01 * table["other"] + 2 * (table["plan"] == "gold")
    return 1 / (1 + np.exp(-log_odds.to_numpy()))


def shift_of(known, table, column):
    return next(s for s in profile.shifts(known, table) if s.column == column)


@pytest.mark.parametrize("column", COLUMNS.features)
def test_a_column_put_back_is_like_the_reference_and_the_others_stay(column):
    known = profile.build(rows(1), COLUMNS)
    now = rows(2, by=0.8, plans=(0.2, 0.3, 0.5))
    now["calls"] += 2
    back = moved.put_back(now, known, column)
    assert shift_of(known, back, column).psi == 0
    assert shift_of(known, back, column).p_value > 0.5
    others = [name for name in COLUMNS.features if name != column]
    pd.testing.assert_frame_equal(back[others], now[others])
    assert back[column].dtype == now[column].dtype


def test_clients_keep_their_order_in_a_number_that_is_put_back():
    now = rows(2, by=0.8)
    back = moved.put_back(now, profile.build(rows(1), COLUMNS), "amount")
    order = now["amount"].argsort()
    assert back["amount"].iloc[order].is_monotonic_increasing


def test_whole_numbers_stay_whole():
    now = rows(2)
    now["calls"] *= 2
    back = moved.put_back(now, profile.build(rows(1), COLUMNS), "calls")["calls"]
    assert (back == back.round()).all()
    assert back.mean() == pytest.approx(3, abs=0.1)


def test_as_few_categories_as_possible_change():
    now = rows(2, plans=(0.5, 0.3, 0.2))
    back = moved.put_back(now, profile.build(rows(1), COLUMNS), "plan")
    changed = now["plan"] != back["plan"]
    assert changed.mean() == pytest.approx(0.1, abs=0.03)
    assert set(now["plan"][changed]) <= {"gold", "plus"}


def test_what_has_become_missing_is_filled_and_what_was_missing_is_again():
    whole, holed = rows(1), rows(2)
    holed.loc[::3, "amount"] = np.nan
    holed.loc[::3, "plan"] = None
    for column in ("amount", "plan"):
        assert moved.put_back(holed, profile.build(whole, COLUMNS), column)[column].notna().all()
        back = moved.put_back(whole, profile.build(holed, COLUMNS), column)[column]
        assert back.isna().mean() == pytest.approx(1 / 3, abs=0.001)


def test_levels_that_were_never_seen_become_those_that_were():
    now = rows(2)
    now["plan"] = now["plan"].replace({"basic": "Basic"})
    back = moved.put_back(now, profile.build(rows(1), COLUMNS), "plan")["plan"]
    assert set(back) == {"basic", "plus", "gold"}


@property_test
@given(VALUES, VALUES)
def test_any_column_can_be_put_back_the_same_way_each_time(before, now):
    known, table = profile.build(frame(before), COLUMNS), frame(now)
    for column in COLUMNS.features:
        back = moved.put_back(table, known, column)
        pd.testing.assert_frame_equal(back, moved.put_back(table, known, column))
        absent = back[column].isna().mean()
        was = frame(before)[column].isna().mean()
        assert abs(absent - was) <= 1 / len(table)
        if column in known["numbers"] and 0 < was < 1 and absent < 1:
            assert known["numbers"][column]["lowest"] <= back[column].min()
            assert back[column].max() <= known["numbers"][column]["highest"]


def test_without_a_shift_the_list_stays():
    known, now = profile.build(rows(1, 20_000), COLUMNS), rows(2, 20_000)
    assert moved.list_moved(risks, now, known, "amount", 0.1) < 0.03
    assert moved.list_moved(risks, now, known, "plan", 0.1) < 0.05
    assert moved.list_moved(risks, now, known, "calls", 0.1) == 0


def test_what_changes_who_is_riskiest_moves_the_list_and_nothing_else_does():
    known = profile.build(rows(1), COLUMNS)
    now = rows(2, plans=(0.3, 0.2, 0.5))
    now["amount"] *= 5  # outweighs the plan
    now["other"] += 3
    now["calls"] += 3
    shares = {c: moved.list_moved(risks, now, known, c, 0.1) for c in COLUMNS.features}
    assert shares["amount"] > 0.2
    assert 0.05 < shares["plan"] < shares["amount"]
    assert shares["other"] < 0.02
    assert shares["calls"] == 0


def test_a_shift_that_all_clients_share_moves_no_list():
    now = rows(2)
    now["amount"] += 10
    now["plan"] = "basic"
    known = profile.build(rows(1).assign(plan=now["plan"]), COLUMNS)
    assert moved.list_moved(lambda table: table["amount"].to_numpy(), now, known, "amount", 0.1) == 0


def test_the_list_is_a_share_from_0_to_1_even_of_few_clients():
    known = profile.build(rows(1), COLUMNS)
    now = rows(2, by=1.0)
    assert moved.list_moved(risks, now, known, "amount", 1.0) == 0
    assert moved.list_moved(risks, now.iloc[:1], known, "amount", 0.01) == 0
    assert moved.list_moved(risks, now.iloc[:0], known, "amount", 0.1) == 0
    assert 0 <= moved.list_moved(risks, now.iloc[:7], known, "plan", 0.5) <= 1


def test_risks_that_are_known_are_not_asked_for_again():
    known, now, asked = profile.build(rows(1), COLUMNS), rows(2, by=1.0), []

    def counted(table):
        asked.append(len(table))
        return risks(table)

    share = moved.list_moved(counted, now, known, "plan", 0.1, risk=risks(now))
    assert asked == [2000]
    assert share == moved.list_moved(risks, now, known, "plan", 0.1)
