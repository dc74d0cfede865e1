"""The measures against scikit-learn's, ties, weights and one class alone included."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from churn import measures
from churn.measures import Ranking

# Few distinct risks: ties are the case that is easy to get wrong.
risk_values = st.sampled_from([0.0, 0.1, 0.2, 0.2 + 2**-55, 0.5, 0.9, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def labelled(draw):
    """Labels, risks and whole weights as a resample gives them (some 0); one class alone is possible."""
    rows = draw(st.integers(1, 25))
    left = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    risk = draw(st.lists(risk_values, min_size=rows, max_size=rows))
    weights = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
    return np.array(left), np.array(risk), np.array(weights, dtype=float)


property_test = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


# ---- against scikit-learn --------------------------------------------------------------------------------------------


@property_test
@given(labelled())
def test_weighted_average_precision_is_scikit_learns(rows):
    left, risk, weights = rows
    ours = Ranking(left, risk).average_precision(weights)
    if weights[left].sum() == 0:
        assert ours == 0.0
    else:
        assert ours == pytest.approx(metrics.average_precision_score(left, risk, sample_weight=weights))


@property_test
@given(labelled())
def test_weighted_roc_auc_is_scikit_learns(rows):
    left, risk, weights = rows
    ours = Ranking(left, risk).roc_auc(weights)
    if weights[left].sum() == 0 or weights[~left].sum() == 0:
        assert ours == 0.5
    else:
        assert ours == pytest.approx(metrics.roc_auc_score(left, risk, sample_weight=weights))


@property_test
@given(labelled(), risk_values)
def test_weighted_f1_is_scikit_learns(rows, threshold):
    left, risk, weights = rows
    ours = Ranking(left, risk, threshold).f1(weights)
    if weights.any():
        said = risk >= threshold
        assert ours == pytest.approx(metrics.f1_score(left, said, sample_weight=weights, zero_division=0.0))
    else:
        assert ours == 0.0


@property_test
@given(labelled())
def test_log_loss_is_scikit_learns_also_where_a_model_was_certain_and_wrong(rows):
    left, risk, _ = rows
    theirs = metrics.log_loss(left, risk, labels=[False, True])
    assert measures.log_losses(left, risk).mean() == pytest.approx(theirs, abs=1e-12)


@property_test
@given(labelled(), risk_values)
def test_the_scores_of_a_model_are_scikit_learns(rows, threshold):
    left, risk, _ = rows
    said = risk >= threshold
    found = measures.scores(left, risk, threshold)
    (tn, fp), (fn, tp) = metrics.confusion_matrix(left, said, labels=[False, True]).tolist()
    assert found["confusion"] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    assert found["precision"] == pytest.approx(metrics.precision_score(left, said, zero_division=0.0))
    assert found["recall"] == pytest.approx(metrics.recall_score(left, said, zero_division=0.0))
    assert found["f1"] == pytest.approx(metrics.f1_score(left, said, zero_division=0.0))
    everyone = np.ones(len(left), dtype=bool)
    assert found["constant_f1"] == pytest.approx(metrics.f1_score(left, everyone, zero_division=0.0))
    assert (found["rows"], found["positives"]) == (len(left), left.sum())


@pytest.mark.parametrize("left", [[True, True, True], [False, False, False]])
def test_with_one_class_what_means_nothing_is_none_and_not_a_number(left):
    found = measures.scores(np.array(left), np.array([0.2, 0.6, 0.9]), 0.5)
    assert found["roc_auc"] is None
    assert found["average_precision"] is None
    assert found["log_loss"] > 0


def test_no_rows_have_scores_that_can_be_written_down():
    found = measures.scores(np.array([], dtype=bool), np.array([]), 0.5)
    assert (found["rows"], found["f1"], found["roc_auc"], found["log_loss"]) == (0, 0.0, None, None)


def test_every_row_may_have_a_threshold_of_its_own_and_their_mean_is_told():
    left, risk = np.array([True, False, True, False]), np.array([0.3, 0.3, 0.7, 0.7])
    found = measures.scores(left, risk, np.array([0.2, 0.5, 0.5, 0.8]))
    assert (found["f1"], found["threshold"]) == (1.0, 0.5)
    assert found["confusion"] == {"tp": 2, "fp": 0, "fn": 0, "tn": 2}


def test_labels_may_be_numbers():
    risk = np.array([0.1, 0.4, 0.8, 0.9])
    numbers, truths = np.array([0, 0, 1, 1]), np.array([False, False, True, True])
    assert measures.scores(numbers, risk, 0.5) == measures.scores(truths, risk, 0.5)
    assert measures.best_f1_threshold(numbers, risk) == measures.best_f1_threshold(truths, risk)


# ---- the threshold ---------------------------------------------------------------------------------------------------


def f1_at(left, risk, threshold):
    said = risk >= threshold
    return 2 * (said & left).sum() / max(1, said.sum() + left.sum())


@property_test
@given(labelled())
def test_no_threshold_has_a_higher_f1_than_the_best(rows):
    left, risk, _ = rows
    best = f1_at(left, risk, measures.best_f1_threshold(left, risk))
    tried = [f1_at(left, risk, threshold) for threshold in [*risk, 0.0, 2.0]]
    assert best == pytest.approx(max(tried)) or not left.any()


def test_the_threshold_stands_between_neighbours_so_that_new_risks_fall_on_either_side():
    left, risk = np.array([True, True, False, False]), np.array([0.9, 0.7, 0.5, 0.1])
    assert measures.best_f1_threshold(left, risk) == pytest.approx(0.6)


def test_neighbouring_floats_are_told_apart():
    low = 0.3
    high = np.nextafter(low, 1)
    left, risk = np.array([True, False, False, False]), np.array([high, low, low, low])
    assert f1_at(left, risk, measures.best_f1_threshold(left, risk)) == 1.0


def test_where_nobody_left_the_threshold_is_one_half():
    assert measures.best_f1_threshold(np.array([False, False]), np.array([0.1, 0.9])) == 0.5


@property_test
@given(labelled(), st.integers(1, 3))
def test_a_row_that_weighs_twice_as_much_counts_as_two_rows(rows, times):
    left, risk, counts = rows
    counts = counts.astype(int) * times
    repeated = measures.best_f1_threshold(np.repeat(left, counts), np.repeat(risk, counts))
    present = counts > 0
    weighted = measures.best_f1_threshold(left[present], risk[present], counts[present].astype(float))
    assert weighted == repeated


def test_weights_that_are_all_alike_change_nothing():
    generator = np.random.default_rng(0)
    left, risk = generator.random(500) < 0.3, generator.random(500)
    assert measures.best_f1_threshold(left, risk, np.full(500, 0.25)) == measures.best_f1_threshold(left, risk)


def test_where_those_who_left_weigh_nothing_the_threshold_is_one_half():
    assert measures.best_f1_threshold(np.array([True, False]), np.array([0.1, 0.9]), np.array([0.0, 1.0])) == 0.5


# ---- calibration -----------------------------------------------------------------------------------------------------


def test_risks_that_say_what_happens_have_no_calibration_error():
    left = np.array([True, False, False, False] * 50)
    assert measures.calibration_error(left, np.full(200, 0.25), bins=1) == pytest.approx(0)
    generator = np.random.default_rng(0)
    risk = generator.random(200_000)
    assert measures.calibration_error(generator.random(200_000) < risk, risk) < 0.005


def test_the_calibration_error_is_how_far_off_risks_are_in_the_mean_over_bins():
    risk, truth = np.repeat([0.2, 0.8], 100), np.repeat([0.3, 0.5], 100)
    assert measures.calibration_error(truth, risk, bins=2) == pytest.approx((0.1 + 0.3) / 2)
    assert measures.calibration_error(truth[::-1], risk[::-1], bins=2) == pytest.approx((0.1 + 0.3) / 2)


def test_bins_hold_equal_counts_and_one_may_hold_fewer():
    risk = np.array([0.1, 0.2, 0.3])
    assert measures.calibration_error(np.zeros(3), risk, bins=10) == pytest.approx(0.2)
