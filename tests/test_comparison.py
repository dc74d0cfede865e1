"""The differences of two models' measures against scikit-learn, DeLong's formula and the bootstrap."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from churn.contest import comparison
from churn.contest.comparison import Paired, Scored
from churn.measures import Ranking

# Few distinct risks: ties are the case that is easy to get wrong.
risk_values = st.sampled_from([0.0, 0.1, 0.2, 0.2 + 2**-55, 0.5, 0.9, 1.0]) | st.floats(0, 1, width=32)
property_test = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

OURS = {
    "roc_auc": comparison.roc_auc,
    "average_precision": comparison.average_precision,
    "f1": lambda left, risk: comparison.f1(left, risk, 0.5),
    "log_loss": comparison.log_loss,
}
SCIKIT_LEARNS = {
    "roc_auc": lambda left, risk, w: metrics.roc_auc_score(left, risk, sample_weight=w),
    "average_precision": lambda left, risk, w: metrics.average_precision_score(left, risk, sample_weight=w),
    "f1": lambda left, risk, w: metrics.f1_score(left, risk >= 0.5, sample_weight=w, zero_division=0.0),
    "log_loss": lambda left, risk, w: metrics.log_loss(left, risk, sample_weight=w, labels=[False, True]),
}
every_measure = pytest.mark.parametrize("measure", list(OURS))


@st.composite
def labelled(draw, *, both_classes=True, max_rows=25):
    """Labels and risks of a few rows."""
    rows = draw(st.integers(2 if both_classes else 0, max_rows))
    left = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), dtype=bool)
    if both_classes:
        left[:2] = True, False
    risk = draw(st.lists(risk_values, min_size=rows, max_size=rows))
    return left, np.array(risk, dtype=float)


def world(rows, seed):
    """Labels of which a fifth are of who left, and the log-odds that made them."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(-1.7, 1.2, rows)
    return generator.random(rows) < 1 / (1 + np.exp(-truth)), truth, generator


def noisy(truth, noise, generator):
    """A model that sees the log-odds through noise, calibrated as well as that allows."""
    seen = truth + generator.normal(0, noise, len(truth))
    kept = truth.var() / (truth.var() + noise**2)
    return Scored(1 / (1 + np.exp(-(truth.mean() + kept * (seen - truth.mean())))), 0.25)


# ---- one model -------------------------------------------------------------------------------------------------------


@every_measure
@property_test
@given(labelled())
def test_a_measure_is_scikit_learns_ties_included(measure, rows):
    left, risk = rows
    value, _ = OURS[measure](left, risk)
    assert value == pytest.approx(SCIKIT_LEARNS[measure](left, risk, None), abs=1e-12)


@every_measure
@settings(property_test, max_examples=25)
@given(labelled(max_rows=10))
def test_the_influences_are_the_derivatives_by_each_rows_weight(measure, rows):
    left, risk = rows
    _, influence = OURS[measure](left, risk)
    assert influence.shape == left.shape
    step = 1e-5
    for i in range(len(left)):
        up, down = np.ones(len(left)), np.ones(len(left))
        up[i], down[i] = 1 + step, 1 - step
        slope = (SCIKIT_LEARNS[measure](left, risk, up) - SCIKIT_LEARNS[measure](left, risk, down)) / (2 * step)
        assert influence[i] == pytest.approx(slope, abs=1e-6)


@every_measure
@property_test
@given(labelled(both_classes=False))
def test_the_influences_add_up_to_nothing_because_doubling_all_rows_changes_nothing(measure, rows):
    left, risk = rows
    value, influence = OURS[measure](left, risk)
    assert np.isfinite(value)
    assert influence.sum() == pytest.approx(0, abs=1e-9)
    twice, _ = OURS[measure](np.tile(left, 2), np.tile(risk, 2))
    assert twice == pytest.approx(value)


@every_measure
@property_test
@given(labelled(), st.randoms())
def test_the_order_of_the_rows_does_not_matter(measure, rows, random):
    left, risk = rows
    order = list(range(len(left)))
    random.shuffle(order)
    value, influence = OURS[measure](left, risk)
    other, shuffled = OURS[measure](left[order], risk[order])
    assert other == pytest.approx(value)
    assert shuffled == pytest.approx(influence[order], abs=1e-12)


@pytest.mark.parametrize("left", [[], [True, True, True], [False, False, False]])
@every_measure
def test_no_rows_or_one_label_only_have_a_value_and_an_error(measure, left):
    value, influence = OURS[measure](np.array(left, dtype=bool), np.array([0.2, 0.6, 0.9][: len(left)]))
    assert np.isfinite([value, comparison.error_of(influence)]).all()


def test_one_label_only_ranks_no_better_than_chance_and_with_no_doubt():
    risk = np.array([0.2, 0.6, 0.9])
    for left in (np.zeros(3, bool), np.ones(3, bool)):
        value, influence = comparison.roc_auc(left, risk)
        assert (value, comparison.error_of(influence)) == (0.5, 0)
    assert comparison.average_precision(np.zeros(3, bool), risk)[0] == 0


def test_labels_may_be_numbers():
    left, truth, generator = world(200, 1)
    risk = noisy(truth, 1, generator).risk
    for measure in OURS.values():
        value, influence = measure(left.astype(int), risk)
        assert value == measure(left, risk)[0]
        assert influence == pytest.approx(measure(left, risk)[1])


def test_the_threshold_may_be_one_a_row():
    left, risk = np.array([True, False, True, False]), np.array([0.3, 0.3, 0.7, 0.7])
    by_row, _ = comparison.f1(left, risk, np.array([0.2, 0.5, 0.5, 0.8]))
    assert by_row == 1.0
    assert comparison.f1(left, risk, np.full(4, 0.5))[0] == comparison.f1(left, risk, 0.5)[0] == 0.5


# ---- how sure --------------------------------------------------------------------------------------------------------


def delong(left, champion, challenger):
    """The variances of both AUCs and of their difference, by DeLong's formulas, pair by pair of rows."""
    by_left, by_stayed = [], []
    for risk in (champion, challenger):
        above = (risk[left][:, None] > risk[~left]) + 0.5 * (risk[left][:, None] == risk[~left])
        by_left.append(above.mean(axis=1))
        by_stayed.append(above.mean(axis=0))
    return np.cov(by_left) / left.sum(), np.cov(by_stayed) / (~left).sum()


@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_the_error_of_the_auc_is_delongs_to_the_factor_of_n_less_one(decimals):
    left, truth, generator = world(150, 2)
    one, other = (np.round(noisy(truth, noise, generator).risk, decimals) for noise in (0.5, 1))
    (_, by_one), (_, by_other) = comparison.roc_auc(left, one), comparison.roc_auc(left, other)
    of_left, of_stayed = delong(left, one, other)
    for weights, influence in (((1, 0), by_one), ((0, 1), by_other), ((-1, 1), by_other - by_one)):
        w = np.array(weights)
        for theirs, ours in ((of_left, influence[left]), (of_stayed, influence[~left])):
            assert ours @ ours == pytest.approx(w @ theirs @ w * (len(ours) - 1) / len(ours))


def test_the_errors_of_the_differences_are_those_of_the_paired_bootstrap():
    left, truth, generator = world(1500, 3)
    champion, challenger = noisy(truth, 1, generator), noisy(truth, 0.7, generator)
    found = comparison.compare(left, champion, challenger)
    models = [Ranking(left, model.risk, 0.25) for model in (champion, challenger)]
    drawn = [generator.multinomial(1500, np.full(1500, 1 / 1500)).astype(float) for _ in range(1000)]
    for ours, name in ((found.average_precision, "average_precision"), (found.roc_auc, "roc_auc"), (found.guard, "f1")):
        differences = [getattr(models[1], name)(w) - getattr(models[0], name)(w) for w in drawn]
        assert ours.error == pytest.approx(np.std(differences), rel=0.1), name  # of 1,000 draws, sure to 2.2%


# ---- two models ------------------------------------------------------------------------------------------------------


@property_test
@given(labelled(both_classes=False))
def test_a_model_compared_with_itself_differs_in_nothing(rows):
    left, risk = rows
    found = comparison.compare(left, Scored(risk, 0.5), Scored(risk.copy(), 0.5))
    for pair in (found.average_precision, found.roc_auc, found.log_loss, found.guard):
        assert (pair.difference, pair.error, pair.z) == (0, 0, 0)
    assert (found.rows, found.positives) == (len(left), left.sum())


@property_test
@given(labelled(), st.data())
def test_swapping_champion_and_challenger_flips_the_sign_and_nothing_else(rows, data):
    left, risk = rows
    other = np.array(data.draw(st.lists(risk_values, min_size=len(left), max_size=len(left))))
    there = comparison.compare(left, Scored(risk, 0.5), Scored(other, 0.3))
    back = comparison.compare(left, Scored(other, 0.3), Scored(risk, 0.5))
    for name in ("average_precision", "roc_auc", "log_loss", "guard"):
        one, two = getattr(there, name), getattr(back, name)
        assert (one.champion, one.challenger) == (two.challenger, two.champion)
        assert (one.difference, one.error, one.z) == pytest.approx((-two.difference, two.error, -two.z))


def test_a_clearly_better_model_is_better_by_every_measure():
    left, truth, generator = world(3000, 4)
    found = comparison.compare(left, noisy(truth, 3, generator), noisy(truth, 0.3, generator))
    assert min(found.average_precision.z, found.roc_auc.z, found.guard.z) > 3
    assert found.log_loss.z < -3
    assert found.guard_name == "f1"


def test_an_intervals_promise_is_kept_the_truth_is_rarely_more_than_two_errors_away():
    """Of 200 pairs of equal models about 5% differ by more than 1.96 errors; 3.5 times as many would be no chance."""
    names = ("average_precision", "roc_auc", "log_loss", "guard")
    beyond = dict.fromkeys(names, 0)
    for seed in range(200):
        left, truth, generator = world(600, 100 + seed)
        found = comparison.compare(left, noisy(truth, 0.7, generator), noisy(truth, 0.7, generator))
        for name in names:
            beyond[name] += abs(getattr(found, name).z) > 1.96
    assert all(1 <= count <= 22 for count in beyond.values()), beyond  # more than 22 of 200 at 5%: once in 3,000


def test_the_products_own_metric_may_stand_guard_and_is_told_the_values_of_the_clients():
    left, truth, generator = world(300, 5)
    value = generator.uniform(1, 9, 300)

    def kept(rows, model):
        worth = rows * (model.risk >= model.threshold) * model.value
        return float(worth.mean()), (worth - worth.mean()) / len(worth)

    champion, challenger = (Scored(noisy(truth, 1, generator).risk, 0.3, value) for _ in range(2))
    found = comparison.compare(left, champion, challenger, kept, "value_kept")
    assert found.guard_name == "value_kept"
    assert found.guard.challenger == pytest.approx(np.mean(left * (challenger.risk >= 0.3) * value))
    assert found.guard.error > 0


def test_the_difference_in_standard_errors_is_nothing_where_there_is_no_error():
    assert Paired(0.4, 0.5, 0.05).z == pytest.approx(2)
    assert Paired(0.4, 0.4, 0.0).z == 0


def test_a_comparison_can_be_written_down():
    left, truth, generator = world(100, 6)
    found = comparison.compare(left, noisy(truth, 1, generator), noisy(truth, 1, generator))
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert written == found.as_dict()
    assert set(written["roc_auc"]) == {"champion", "challenger", "error"}
    assert math.isfinite(written["log_loss"]["error"])
