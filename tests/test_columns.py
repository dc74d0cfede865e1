"""The column contract: the order of columns, and what a value may be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn import columns
from churn.columns import Columns
from churn.errors import DataError

CONTRACT = Columns(
    id="id",
    as_of="day",
    target="left",
    positive="1",
    negative="0",
    numeric=("x",),
    integer=("n",),
    categorical=("kind",),
)


def test_the_order_of_columns_is_that_of_the_model_and_of_the_stored_rows():
    assert CONTRACT.keys == ("id", "day")
    assert CONTRACT.features == ("x", "n", "kind")
    assert CONTRACT.stored == ("id", "day", "x", "n", "kind", "left")
    bare = Columns(target="left", positive="1", negative="0", numeric=("x",))
    assert bare.keys == () and bare.stored == ("x", "left")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1", 1),
        (" 1.50 ", 1.5),
        ("\t-.5e1", -5),
        ("+5.", 5),
        ("007", 7),
        ("1E-400", 0),
        (3, 3),
        (2.5, 2.5),
        ("9" * 30, 1e30),
    ],
)
def test_numbers_as_people_and_programs_write_them(value, wanted):
    assert columns.number(value, "x") == wanted


@pytest.mark.parametrize("value", [None, "", " ", "\t "])
def test_blank_is_a_missing_number_and_a_missing_category(value):
    assert math.isnan(columns.number(value, "x"))
    assert columns.category(value, "x") is None


TEXTS = ("1_000", "0x1F", "inf", "-Infinity", "nan", "1e400", "1,5", "ten", "--1", ".", "e5", "1\n", "\u0661")


@pytest.mark.parametrize("value", [*TEXTS, True, [1], 10**400, math.inf, math.nan, b"1"])
def test_what_is_no_plain_finite_number_is_refused_by_its_column(value):
    with pytest.raises(DataError, match=r"^spend: "):
        columns.number(value, "spend")


def test_whole_numbers_are_whole_and_exact():
    assert columns.number("1.0", "n", whole=True) == 1
    assert columns.number(2**53, "n", whole=True) == 2**53
    for value in ("1.5", 0.1, 2**53 + 2, "1e300"):
        with pytest.raises(DataError, match="not a whole number"):
            columns.number(value, "n", whole=True)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_survives_as_text(value):
    assert columns.number(repr(value), "x") == value


def test_categories_are_text_and_digits_are_the_same_as_their_text():
    assert columns.category("Yes", "kind") == "Yes"
    assert columns.category(" x", "kind") == " x"
    assert columns.category(0, "kind") == "0"
    for value in (1.5, True, ["a"], {"a": 1}):
        with pytest.raises(DataError, match="kind: .* is not a category"):
            columns.category(value, "kind")


def test_a_row_gives_numbers_and_categories_in_the_order_of_the_contract():
    numbers, categories = columns.features_of({"kind": "a", "n": "2", "x": None, "other": object()}, CONTRACT)
    assert math.isnan(numbers[0]) and numbers[1:] == [2] and categories == ["a"]
    with pytest.raises(DataError, match="missing: n, kind; every row needs x, n, kind"):
        columns.features_of({"x": 1}, CONTRACT)
    with pytest.raises(DataError, match="n: '1.5' is not a whole number"):
        columns.features_of({"x": 1, "n": "1.5", "kind": ""}, CONTRACT)


def test_long_values_are_cut_in_messages():
    with pytest.raises(DataError) as caught:
        columns.number("x" * 10_000, "x")
    assert len(str(caught.value)) < 100
