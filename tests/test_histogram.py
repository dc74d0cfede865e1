"""A column's training rows, known by their profile alone, are drawn as they were, and newer ones in the same bins."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.columns import Columns
from churn.monitoring import profile
from churn.monitoring.histogram import BINS, LEVELS, Histogram, histograms
from churn.report.histograms import column

COLUMNS = Columns(target="t", positive="1", negative="0", numeric=("x",), integer=("n",), categorical=("c",))
RANDOM = np.random.default_rng(0)


def frame(x=(), n=(), c=()):
    """Rows with these values; a column that is not given is missing throughout."""
    rows = max(len(x), len(n), len(c))
    blank = np.full(rows, np.nan)
    given = {"x": x if len(x) else blank, "n": n if len(n) else blank}
    return pd.DataFrame(
        {k: np.asarray(v, float) for k, v in given.items()} | {"c": pd.Series(c or [None] * rows, dtype="str")}
    )


def drawn(column, before, now=None, risk=None):
    """The histogram of a column, from the profile as it is read back from its file."""
    found = json.loads(json.dumps(profile.build(before, COLUMNS, risk)))
    return histograms(found, now, risk)[column]


def counted(values, edges):
    """The shares of values between edges, the outermost bins open: (a, b], as a profile's bins are."""
    place = np.searchsorted(edges[1:-1], values, side="left")
    return np.bincount(place, minlength=len(edges) - 1) / len(values)


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.normal(size=5000), RANDOM.lognormal(size=5000), RANDOM.uniform(size=300),
        np.where(RANDOM.random(5000) < 0.5, 0, RANDOM.gamma(2, size=5000)), np.append(RANDOM.normal(size=3000), 1e6),
    ],
    ids=["normal", "skewed", "few", "half zeros", "an outlier"],
)  # fmt: skip
def test_the_shape_of_the_training_rows_is_found_again_in_their_profile(values):
    found = drawn("x", frame(x=values))
    assert len(found.before) == BINS
    assert found.before.sum() == pytest.approx(1)
    assert np.abs(found.before - counted(values, found.edges)).max() < 0.03
    assert found.now is None


@pytest.mark.parametrize(
    "values", [RANDOM.poisson(3, 4000), RANDOM.integers(0, 73, 4000), RANDOM.integers(-5, 5, 4000)]
)
def test_whole_numbers_lie_in_the_middle_of_bins_of_whole_width(values):
    found = drawn("n", frame(n=values))
    width = np.diff(found.edges)
    assert (width == width[0]).all() and width[0] == round(width[0])
    assert (found.edges % 1 == 0.5).all()
    if width[0] == 1:  # each number alone: exactly
        assert found.before == pytest.approx(counted(values, found.edges))
    assert np.abs(found.before - counted(values, found.edges)).max() < 0.02


def test_equal_rows_look_equal_on_both_sides():
    rows = frame(
        x=RANDOM.gamma(3, size=20_000), n=RANDOM.poisson(9, 20_000), c=RANDOM.choice(["a", "b"], 20_000).tolist()
    )
    for name in ("x", "n", "c"):
        found = drawn(name, rows, rows)
        assert np.abs(found.now - found.before).max() < 0.01


def test_values_that_moved_stretch_the_bins_up_to_three_times_and_lie_in_the_last_one_beyond():
    before = frame(x=RANDOM.uniform(0, 1, 1000))
    near = drawn("x", before, frame(x=RANDOM.uniform(0.5, 1.5, 1000)))
    assert near.edges[-1] == pytest.approx(1.5, abs=0.05)
    assert near.before[near.edges[:-1] > 1.05].sum() == 0
    far = drawn("x", before, frame(x=RANDOM.uniform(1000, 1001, 1000)))
    assert far.edges[-1] == pytest.approx(2, abs=0.1)
    assert far.now[-1] == 1


def test_one_value_has_what_lies_below_and_above_beside_it():
    for name, value in (("x", 0.0), ("x", -3.5), ("n", 7.0)):
        same = frame(**{name: np.full(100, value)})
        found = drawn(name, same, frame(**{name: [value, value - 10, value + 10, value]}))
        assert found.before == pytest.approx([0, 1, 0])
        assert found.now == pytest.approx([0.25, 0.5, 0.25])


def test_what_is_missing_is_in_no_bin():
    found = drawn("x", frame(x=[1.0, 2.0, 3.0, np.nan]), frame(x=[1.0, np.nan]))
    assert (found.before.sum(), found.now.sum()) == (pytest.approx(0.75), pytest.approx(0.5))
    nothing = drawn("x", frame(n=[1, 2]), frame(x=[1.0, 2.0]))
    assert nothing.before.sum() == 0
    assert nothing.now.sum() == 1


NUMBERS = st.one_of(st.floats(-10, 10), st.floats(allow_infinity=False), st.sampled_from([0.0, 1.0, np.nan]))
WHOLE = st.one_of(st.integers(-9, 9), st.integers(-(2**53), 2**53), st.just(np.nan))


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.tuples(st.just("x"), st.lists(NUMBERS, min_size=1, max_size=80), st.lists(NUMBERS, max_size=40)),
        st.tuples(st.just("n"), st.lists(WHOLE, min_size=1, max_size=80), st.lists(WHOLE, max_size=40)),
    )
)
def test_whatever_the_values_every_row_is_in_one_bin(given):
    name, before, now = given
    found = drawn(name, frame(**{name: before}), frame(**{name: now}) if now else None)
    assert (np.diff(found.edges) > 0).all()
    assert np.isfinite(found.edges).all()
    assert found.before.sum() == pytest.approx(np.mean(~np.isnan(before)))
    assert (found.before >= 0).all()
    if now:
        assert found.now.sum() == pytest.approx(np.mean(~np.isnan(now)))


# ---- categories ------------------------------------------------------------------------------------------------------


def test_the_levels_with_most_rows_come_first_and_the_others_are_one_bin():
    levels = [
        level for level, count in zip("abcdefgh", (30, 20, 15, 12, 10, 6, 4, 3), strict=True) for _ in range(count)
    ]
    found = drawn("c", frame(c=levels))
    assert found.levels == tuple("abcde") and len(found.levels) == LEVELS
    assert found.before == pytest.approx([0.3, 0.2, 0.15, 0.12, 0.1, 0.13])


def test_a_level_that_is_new_has_a_bin_of_its_own():
    found = drawn("c", frame(c=["a"] * 6 + ["b"] * 3 + [None]), frame(c=["a", "a", "new", "new"]))
    assert found.levels == ("a", "b", "new")
    assert found.before == pytest.approx([0.6, 0.3, 0])
    assert found.now == pytest.approx([0.5, 0, 0.5])


def test_where_the_profile_lists_not_all_levels_none_is_said_to_be_new():
    many = [f"level {i}" for i in range(150) for _ in range(2)] + ["much"] * 50
    found = drawn("c", frame(c=many), frame(c=["unheard of"] * 9 + ["much"]))
    assert "unheard of" not in found.levels
    assert found.now[-1] == pytest.approx(0.9)


def test_the_risks_are_drawn_like_a_number():
    risk = RANDOM.beta(1, 4, 2000)
    built = profile.build(frame(x=RANDOM.normal(size=2000)), COLUMNS, risk)
    found = histograms(built, frame(x=[1.0, 2.0]), np.array([0.9, 0.95]))[profile.RISK]
    assert isinstance(found, Histogram)
    assert found.now[-2:].sum() == 1
    assert profile.RISK not in histograms(profile.build(frame(x=[1.0]), COLUMNS))


@pytest.mark.parametrize(
    "values",
    [[1.7e308, -1.7e308], [5e-324, 0.0], [1e100] * 3, [np.nan], [2.0**53], [1e15, 1e15 + 0.125], [-1e-300, 1e-300]],
    ids=str,
)
def test_the_picture_of_any_values_can_be_drawn_and_read_aloud(values):
    for now in (None, frame(x=values), frame(x=[0.0, 1e9])):
        picture = column("column-1", drawn("x", frame(x=values), now))
        assert picture.svg.rstrip().endswith(b"</svg>")
        assert picture.alt.startswith("Histogram; ") and len(picture.alt) < 250
