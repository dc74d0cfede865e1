"""Two sets of counts are told apart when they differ by more than chance, by how much, and in words."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from churn.monitoring import shift
from churn.words import percent

property_test = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12).map(
    lambda pairs: tuple(np.array(side) for side in zip(*pairs, strict=True))
)


def normal(seed, rows, by=0.0):
    """Counts in the deciles of the standard normal distribution."""
    edges = stats.norm.ppf(np.arange(1, 10) / 10)
    return np.bincount(np.searchsorted(edges, np.random.default_rng(seed).normal(by, 1, rows)), minlength=10)


# ---- how much --------------------------------------------------------------------------------------------------------


def test_the_psi_is_the_textbook_sum_less_what_chance_adds():
    before, now = np.array([5000, 5000]), np.array([6000, 4000])
    textbook = 0.1 * np.log(0.6 / 0.5) + -0.1 * np.log(0.4 / 0.5)
    assert shift.psi(before, now) == pytest.approx(textbook - 2 / 10_000)


@property_test
@given(COUNTS)
def test_equal_counts_have_not_shifted(sides):
    for counts in sides:
        assert shift.psi(counts, counts) == 0
        assert shift.kolmogorov_smirnov(counts, counts) == (0, 1)
        assert shift.chi_square(*shift.pooled(counts, counts)) == (0, 1)


@property_test
@given(COUNTS)
def test_nothing_depends_on_which_side_is_the_older_one(sides):
    before, now = sides
    assert shift.psi(before, now) == pytest.approx(shift.psi(now, before))
    assert shift.kolmogorov_smirnov(before, now) == pytest.approx(shift.kolmogorov_smirnov(now, before))
    there, back = shift.pooled(before, now), shift.pooled(now, before)
    assert shift.chi_square(*there) == pytest.approx(shift.chi_square(*back))


@property_test
@given(COUNTS, st.randoms())
def test_levels_have_no_order(sides, random):
    order = list(range(len(sides[0]) - 1))
    random.shuffle(order)
    order.append(len(order))  # what was not seen before stays last
    before, now = sides
    assert shift.psi(before[order], now[order]) == pytest.approx(shift.psi(before, now))
    assert shift.chi_square(*shift.pooled(before[order], now[order])) == pytest.approx(
        shift.chi_square(*shift.pooled(before, now))
    )


@property_test
@given(COUNTS)
def test_every_p_value_is_one_and_every_psi_is_finite(sides):
    before, now = sides
    assert 0 <= shift.psi(before, now) < np.inf
    for _, p_value in (shift.kolmogorov_smirnov(before, now), shift.chi_square(*shift.pooled(before, now))):
        assert 0 <= p_value <= 1


@pytest.mark.parametrize("rows", [100, 1000, 10_000])
def test_without_a_shift_chance_makes_no_psi_at_any_size(rows):
    """Uncorrected, the mean would be 9 x 2 / rows: .18 for 100 rows."""
    found = [shift.psi(normal(2 * i, rows), normal(2 * i + 1, rows)) for i in range(200)]
    assert np.mean(found) < 0.45 * 18 / rows


@pytest.mark.parametrize("rows", [300, 1000, 10_000])
def test_a_shift_has_the_same_psi_at_every_size(rows):
    found = [shift.psi(normal(2 * i, rows), normal(2 * i + 1, rows, by=0.5)) for i in range(200)]
    assert np.mean(found) == pytest.approx(0.235, abs=0.015)


def test_rows_that_come_twice_change_the_psi_by_what_chance_adds_only():
    before, now = normal(1, 1000), normal(2, 1000, by=0.5)
    assert shift.psi(2 * before, 2 * now) - shift.psi(before, now) == pytest.approx(9 * 2 / 1000 / 2)


def test_a_bin_that_was_empty_counts_without_counting_for_infinity():
    before, now = np.array([1000, 0]), np.array([970, 30])
    assert 0.05 < shift.psi(before, now) < 0.2
    one_in_a_million = np.array([1_000_000, 0]), np.array([999_999, 1])
    assert shift.psi(*one_in_a_million) < 1e-4


def test_no_rows_are_no_shift():
    none, some = np.zeros(3, int), np.array([1, 2, 3])
    for before, now in ((none, some), (some, none), (none, none)):
        assert shift.psi(before, now) == 0
        assert shift.kolmogorov_smirnov(before, now) == (0, 1)
        assert shift.chi_square(*shift.pooled(before, now)) == (0, 1)
        assert shift.most_moved("abc".__getitem__, before, now) == ""


# ---- whether it can be chance ----------------------------------------------------------------------------------------


@property_test
@given(COUNTS)
def test_the_distance_is_scipys_where_every_value_has_its_bin(sides):
    before, now = (np.repeat(np.arange(len(counts)), counts) for counts in sides)
    if len(before) and len(now) and len(before) + len(now) > 2:  # of one value each, scipy divides by zero
        ours, p_value = shift.kolmogorov_smirnov(*sides)
        theirs = stats.ks_2samp(before, now, method="asymp")
        assert ours == pytest.approx(theirs.statistic)
        assert p_value >= theirs.pvalue - 1e-9  # Kolmogorov's limit is on the safe side of scipy's finite sample


@property_test
@given(st.lists(st.tuples(st.integers(50, 500), st.integers(50, 500)), min_size=2, max_size=8))
def test_the_chi_square_is_scipys_where_every_level_is_common(pairs):
    before, now = (np.array(side) for side in zip(*pairs, strict=True))
    theirs = stats.chi2_contingency([before, now], correction=False)
    cells = shift.pooled(np.append(before, 0), np.append(now, 0))
    assert shift.chi_square(*cells) == pytest.approx((theirs.statistic, theirs.pvalue))


@property_test
@given(st.integers(0, 60), st.integers(60, 80), st.integers(0, 60), st.integers(60, 2000))
def test_two_shares_are_compared_by_fishers_exact_test(before, rows_before, now, rows_now):
    table = [[now, before], [rows_now - now, rows_before - before]]
    tails = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    found = shift.share(before, rows_before, now, rows_now)
    assert found == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)


def test_two_shares_of_millions_of_rows_are_compared_too():
    assert shift.share(300_000, 1_000_000, 300_500, 1_000_000) == pytest.approx(0.4414, abs=1e-3)
    assert shift.share(300_000, 1_000_000, 310_000, 1_000_000) < 1e-50


def test_a_level_never_seen_before_is_found_however_few_rows_one_would_expect():
    before, now = np.array([12_000, 8_000, 0]), np.array([575, 375, 50])
    cells = shift.pooled(before, now)
    assert len(cells[0]) == 3
    assert shift.chi_square(*cells)[1] < 1e-12


def test_a_few_rows_with_levels_never_seen_before_are_no_proof():
    """Taken for a chi-square, three rows would have a p-value of 1e-13."""
    before, now = np.array([12_000, 8_000, 0, 0, 0]), np.array([600, 397, 1, 1, 1])
    p_value = shift.chi_square(*shift.pooled(before, now))[1]
    assert 1e-4 < p_value < 1e-3


def test_many_rare_levels_are_poured_into_one():
    before, now = np.array([500, *[2] * 100, 0]), np.array([500, *[1] * 100, 100])
    assert [counts.tolist() for counts in shift.pooled(before, now)] == [[500, 200], [500, 200]]


# ---- in words --------------------------------------------------------------------------------------------------------


def test_the_words_say_what_is_missing_what_moved_and_how_much():
    assert shift.words("plan", 0.0, 0.31, "typical 12, was 20", 0.213) == (
        "plan: 31% missing, was 0%; typical 12, was 20; PSI 0.21"
    )
    assert shift.words("plan", 0.02, 0.021, "", 0.0) == "plan: PSI 0.00"


def test_the_words_name_the_bin_whose_share_moved_most():
    names = ['"basic"', '"plus"', '"gold"']
    before, now = np.array([41, 39, 20]), np.array([62, 22, 16])
    assert shift.most_moved(names.__getitem__, before, now) == '62% "basic", was 41%'
    assert shift.most_moved(names.__getitem__, before[::-1], now[::-1], 2) == '22% "plus", was 39%'
    assert shift.most_moved(names.__getitem__, before, 2 * before) == ""


def test_equal_edges_are_a_value_and_different_ones_a_range():
    def said(edges):
        bins = [shift.values_in(np.array(edges), i, percent) for i in range(len(edges) + 1)]
        return [text.removeprefix("of the values ") for text in bins]

    assert said([0.0, 0.0, 0.1, 0.5]) == ["below 0%", "at 0%", "from 0% to 10%", "from 10% to 50%", "above 50%"]
    assert said([0.5]) == ["up to 50%", "above 50%"]
