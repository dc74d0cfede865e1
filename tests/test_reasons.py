"""A client's risk is explained in words that somebody who is about to call can use."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.calls.reasons import Reason, compared, reasons, shown, title
from churn.columns import Columns

COLUMNS = Columns(
    target="left",
    positive="1",
    negative="0",
    integer=("activity_last_month", "employees"),
    numeric=("fee",),
    categorical=("plan",),
)
TYPICAL = {"activity_last_month": 240.0, "employees": 36.0, "fee": 0.35, "plan": "standard"}


def told(parts, **values):
    row = {"activity_last_month": 12.0, "employees": 1240.0, "fee": 0.5, "plan": "basic"} | values
    given = dict.fromkeys(COLUMNS.features, 0.0) | parts
    return reasons(pd.DataFrame([given]), pd.DataFrame([row]), TYPICAL, COLUMNS)[0]


def one(parts, **values):
    return [reason.words for reason in told(parts, **values)]


def test_the_strongest_three_come_first_each_with_its_value_and_direction():
    parts = {"activity_last_month": 1.2, "employees": -0.4, "fee": 0.1, "plan": 0.7}
    assert one(parts) == [
        "activity last month 12, typical 240: raises the risk most",
        "plan basic, most common standard: raises the risk",
        "employees 1,240, typical 36: lowers the risk",
    ]


def test_a_reason_knows_its_column_and_what_it_adds_to_the_log_odds():
    assert told({"plan": 0.7, "employees": -1.25}) == [
        Reason("employees", "employees 1,240, typical 36: lowers the risk most", -1.25),
        Reason("plan", "plan basic, most common standard: raises the risk", 0.7),
    ]


def test_what_lowers_the_risk_most_is_said_to():
    assert one({"employees": -2.0, "fee": 1.0})[0] == "employees 1,240, typical 36: lowers the risk most"


def test_a_missing_value_is_a_reason_too():
    parts = {"activity_last_month": 1.0, "plan": -0.5}
    for nothing in (None, float("nan")):
        assert one(parts, activity_last_month=float("nan"), plan=nothing) == [
            "activity last month missing, typical 240: raises the risk most",
            "plan missing, most common standard: lowers the risk",
        ]


def test_without_anything_typical_the_value_stands_alone():
    assert compared("fee", 0.5, None, COLUMNS) == "fee 0.5"
    assert compared("plan", "basic", float("nan"), COLUMNS) == "plan basic"


def test_columns_that_do_not_move_the_risk_are_no_reason():
    assert one({}) == []
    assert one({"fee": 1e-12}) == []


def test_equal_contributions_come_in_the_order_of_the_columns():
    found = one(dict.fromkeys(COLUMNS.features, 0.5))
    assert [text.split()[0] for text in found] == ["fee", "activity", "employees"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12.0, "12"), (1240.0, "1,240"), (0.35, "0.35"), (79.85, "79.85"), (-3.5, "-3.5"), (-0.0, "0"), (0.0, "0"),
        (1234.56, "1,235"), (999.999, "1,000"), (0.0001234, "0.000123"), (2.5e20, "2.5e+20"), (1e-9, "1e-09"),
        ("basic", "basic"), ("a\nb", "a b"), (7, "7"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_write_them(value, words):
    assert shown(value) == words


@settings(deadline=None)
@given(st.floats(-1e300, 1e300))
def test_every_number_can_be_shown_and_is_about_itself(value):
    words = shown(value)
    assert len(words) <= 22
    assert float(words.replace(",", "")) == pytest.approx(value, rel=6e-3, abs=1e-12)


def test_names_are_shown_with_blanks_and_fit():
    assert title("activity_last_month") == "activity last month"
    assert len(title("x" * 500)) < 60


def test_every_row_gets_its_own_reasons_whatever_the_index():
    frame = pd.DataFrame({name: [1.0, 2.0] for name in COLUMNS.numbers} | {"plan": ["a", "b"]}, index=[7, 7])
    parts = pd.DataFrame(np.eye(4)[[0, 3]], columns=list(COLUMNS.features))
    assert [found[0].words for found in reasons(parts, frame, TYPICAL, COLUMNS)] == [
        "fee 1, typical 0.35: raises the risk most",
        "plan b, most common standard: raises the risk most",
    ]


def test_no_rows_give_no_reasons():
    nothing = pd.DataFrame(columns=list(COLUMNS.features), dtype=float)
    assert reasons(nothing, nothing, TYPICAL, COLUMNS) == []
