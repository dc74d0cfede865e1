"""The measures against scikit-learn's, and the paired bootstrap against worlds in which the answer is known."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from churn import measures
from churn.measures import Ranking, Scored

# Few distinct risks: ties are the case that is easy to get wrong.
risk_values = st.sampled_from([0.0, 0.1, 0.2, 0.2 + 2**-55, 0.5, 0.9, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def labelled(draw, min_rows=1):
    """Labels, risks and whole weights as a resample gives them (some 0); one class alone is possible."""
    rows = draw(st.integers(min_rows, 25))
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


# ---- the paired bootstrap --------------------------------------------------------------------------------------------


def world(rows, seed):
    """Labels, and the risk that truly made them (20% leave)."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(-1.7, 1.2, rows)
    return generator.random(rows) < 1 / (1 + np.exp(-truth)), truth, generator


def noisy(truth, noise, generator):
    """A model that sees the truth through noise, calibrated as well as that allows."""
    seen = truth + generator.normal(0, noise, len(truth))
    kept = truth.var() / (truth.var() + noise**2)
    return Scored(1 / (1 + np.exp(-(truth.mean() + kept * (seen - truth.mean())))), 0.3)


def compare(left, champion, challenger, *, metric="average_precision", resamples=200, confidence=0.975, seed=0):
    return measures.paired_bootstrap(
        left, champion, challenger, metric=metric, resamples=resamples, confidence=confidence, seed=seed
    )


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc", "f1"])
def test_a_model_compared_with_itself_differs_in_nothing(metric):
    left, truth, generator = world(300, 1)
    model = noisy(truth, 1, generator)
    found = compare(left, model, model, metric=metric)
    assert (found.lower, found.upper, found.difference) == (0, 0, 0)
    assert (found.share_better, found.log_loss_z) == (0, 0)
    assert (found.rows, found.positives) == (300, left.sum())


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc", "f1"])
def test_a_clearly_better_model_is_found_and_a_clearly_worse_one_is_its_mirror_image(metric):
    left, truth, generator = world(3000, 2)
    good, bad = noisy(truth, 0.3, generator), noisy(truth, 3, generator)
    found, mirrored = compare(left, bad, good, metric=metric), compare(left, good, bad, metric=metric)
    assert found.share_better == 1
    assert 0 < found.lower < found.difference < found.upper
    assert found.log_loss_z > 3
    assert mirrored.share_better == 0
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
    assert mirrored.log_loss_z == pytest.approx(-found.log_loss_z)


def test_the_measures_on_the_rows_as_they_are_are_the_plain_ones():
    left, truth, generator = world(500, 3)
    champion, challenger = noisy(truth, 1, generator), noisy(truth, 1, generator)
    found = compare(left, champion, challenger)
    assert found.champion == pytest.approx(metrics.average_precision_score(left, champion.risk))
    assert found.challenger == pytest.approx(metrics.average_precision_score(left, challenger.risk))
    assert found.challenger_f1 == pytest.approx(f1_at(left, challenger.risk, 0.3))
    assert found.constant_f1 == pytest.approx(f1_at(left, np.ones(500), 0.5))


def test_the_same_seed_gives_the_same_comparison_and_another_seed_nearly_so():
    left, truth, generator = world(2000, 4)
    models = noisy(truth, 1, generator), noisy(truth, 1, generator)
    assert compare(left, *models, seed=7) == compare(left, *models, seed=7)
    one, other = compare(left, *models, resamples=1000, seed=7), compare(left, *models, resamples=1000, seed=8)
    assert one != other
    assert one.lower == pytest.approx(other.lower, abs=0.01)


def test_models_that_are_equally_good_are_rarely_called_better():
    """The share of false promotions that the confidence promises, 2.5%, here of 200 simulated pairs."""
    better = 0
    for seed in range(200):
        left, truth, generator = world(400, 100 + seed)
        found = compare(left, noisy(truth, 1, generator), noisy(truth, 1, generator), resamples=100, seed=seed)
        better += found.share_better >= 0.975 and found.lower > 0
    assert better <= 13  # 6.5%; of 200 at 2.5%, more than this happens once in 2,000 times


def test_resamples_without_a_class_do_no_harm():
    left = np.array([True] + [False] * 12)
    found = compare(left, Scored(np.full(13, 0.1), 0.0), Scored(np.linspace(0, 1, 13), 0.5))
    assert np.isfinite([found.lower, found.upper, found.share_better, found.log_loss_z]).all()


def test_a_thousand_resamples_of_two_thousand_rows_take_about_a_second_at_most():
    left, truth, generator = world(2000, 5)
    models = noisy(truth, 1, generator), noisy(truth, 1, generator)
    began = time.process_time()
    compare(left, *models, resamples=1000)
    assert time.process_time() - began < 2
