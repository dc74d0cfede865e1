"""The estimated score of rows without labels: exact where it can be, and right within its interval elsewhere."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from churn import estimators, measures, splits
from churn.errors import DataError
from churn.fitting import selection
from churn.monitoring import estimate
from churn.monitoring.estimate import Calibrator
from demo import estimate_simulation, fabricate

SURE = Calibrator(1.0, 0.0, (), (0.0, 1.0), ((0.0, 0.0), (0.0, 0.0)))  # risk and probability are one, and certain
UNSURE = Calibrator(1.0, 0.0, (), (0.0, 1.0), ((0.01, 0.0), (0.0, 0.01)))
log_odds_of_rows = st.lists(st.integers(-8, 8), min_size=1, max_size=40).map(lambda whole: np.array(whole) / 2)


class Foreseen(Calibrator):
    """A calibrator that knows of each log-odds whether its rows will leave: those that 3 divides."""

    def probabilities(self, log_odds, coefficients=None):
        known = (np.asarray(log_odds) % 3 == 0).astype(float)
        return known if coefficients is None else np.tile(known, (len(coefficients), 1))


def sample(rows, seed, slope=1.0, bend=0.0):
    """Log-odds of a model, and labels by a law that bends away from a sigmoid of them."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(-1.5, 1.3, rows)
    return log_odds, generator.random(rows) < truth(log_odds, slope, bend)


def truth(log_odds, slope=1.0, bend=0.0):
    return expit(slope * log_odds + bend * np.abs(log_odds + 1.5))


# ---- exactness -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=60), st.floats(0.01, 0.99))
@settings(deadline=None)
def test_probabilities_of_nought_and_one_give_the_realised_scores_without_any_doubt(log_odds, threshold):
    log_odds = np.array(log_odds, dtype=float)
    foreseen = Foreseen(*vars(SURE).values())
    found = estimate.estimate(log_odds, threshold, foreseen, draws=20, seed=0)
    realised = measures.scores(log_odds % 3 == 0, expit(log_odds), threshold)
    assert found.positives == found.positives_lower == found.positives_upper == realised["positives"]
    assert found.f1 == found.f1_lower == found.f1_upper == pytest.approx(realised["f1"])
    assert found.roc_auc == found.roc_auc_lower == found.roc_auc_upper == pytest.approx(realised["roc_auc"])


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=7), st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_the_estimate_is_the_ratio_of_what_is_expected_over_all_labels_that_may_come(log_odds, threshold):
    log_odds = np.array(log_odds) / 2
    risk = expit(log_odds)
    said = risk >= threshold
    tp = positives = ordered = pairs = 0.0
    for labels in itertools.product((False, True), repeat=len(risk)):
        left = np.array(labels)
        chance = np.where(left, risk, 1 - risk).prod()
        above = np.sign(log_odds[left][:, None] - log_odds[~left][None, :])
        tp, positives = tp + chance * (said & left).sum(), positives + chance * left.sum()
        ordered, pairs = ordered + chance * (above + 1).sum() / 2, pairs + chance * above.size
    found = estimate.estimate(log_odds, threshold, SURE, draws=10, seed=0)
    assert found.positives == pytest.approx(positives)
    assert found.f1 == pytest.approx(2 * tp / (said.sum() + positives))
    assert found.roc_auc == pytest.approx(ordered / pairs)


@given(log_odds_of_rows, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_rows_cannot_matter(log_odds, random):
    shuffled = log_odds.copy()
    random.shuffle(shuffled)
    assert estimate.estimate(shuffled, 0.4, UNSURE, seed=3) == estimate.estimate(log_odds, 0.4, UNSURE, seed=3)


@given(log_odds_of_rows, st.floats(0, 1), st.integers(0, 5))
@settings(deadline=None)
def test_every_interval_contains_its_estimate_and_stays_where_a_score_can_be(log_odds, threshold, seed):
    found = estimate.estimate(log_odds, threshold, UNSURE, draws=50, seed=seed)
    assert 0 <= found.positives_lower <= found.positives <= found.positives_upper <= found.rows == len(log_odds)
    assert 0 <= found.f1_lower <= found.f1 <= found.f1_upper <= 1
    if found.roc_auc is not None:
        assert 0 <= found.roc_auc_lower <= found.roc_auc <= found.roc_auc_upper <= 1


def test_one_probability_for_all_ranks_nobody():
    constant = Calibrator(1.0, 0.0, (), (float(logit(0.25)), 0.0), ((0.0, 0.0), (0.0, 0.0)))
    log_odds = np.linspace(-2, 2, 1000)
    found = estimate.estimate(log_odds, 0.5, constant, seed=0)
    assert found.roc_auc == pytest.approx(0.5)
    assert found.positives == pytest.approx(250)
    assert found.f1 == pytest.approx(2 * 0.25 * 500 / (500 + 250))
    tied = estimate.estimate(np.zeros(1000), 0.5, UNSURE, seed=0)
    assert (tied.roc_auc, tied.roc_auc_lower, tied.roc_auc_upper) == pytest.approx((0.5, 0.5, 0.5))


def test_without_a_pair_of_rows_there_is_no_auc():
    assert estimate.estimate(np.array([0.3]), 0.5, SURE, seed=0).roc_auc is None
    certain = Calibrator(1.0, 0.0, (), (0.0, 1e9), ((0.0, 0.0), (0.0, 0.0)))
    assert estimate.estimate(np.array([2.0, 3.0, 4.0]), 0.5, certain, seed=0).roc_auc is None


def test_a_row_on_the_threshold_counts_as_leaving_as_it_does_when_it_is_scored():
    log_odds = np.array([-1.0, 0.4, 0.4, 2.0])
    threshold = float(expit(0.4))
    sure_to_leave = Calibrator(1.0, 0.0, (), (1e3, 0.0), ((0.0, 0.0), (0.0, 0.0)))
    assert estimate.estimate(log_odds, threshold, sure_to_leave, seed=0).f1 == pytest.approx(2 * 3 / (3 + 4))


# ---- the interval ----------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_estimate_and_another_one_moves_only_the_interval():
    log_odds, _ = sample(500, 1)
    first, same, other = (estimate.estimate(log_odds, 0.3, UNSURE, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first.f1 == other.f1 and first.f1_lower != other.f1_lower


def test_more_rows_narrow_the_interval_down_to_what_the_calibration_is_unsure_of():
    def width(rows, calibration):
        found = estimate.estimate(sample(rows, 2)[0], 0.3, calibration, draws=200, seed=0)
        return found.f1_upper - found.f1_lower

    assert width(100_000, SURE) < width(10_000, SURE) / 2 < width(1_000, SURE) / 4
    assert width(100_000, UNSURE) > 3 * width(100_000, SURE)


def test_rows_gathered_in_bins_have_the_interval_of_the_single_rows(monkeypatch):
    log_odds, _ = sample(3_000, 3)
    single, gathered = [], []
    for bins, kept in ((10**9, single), (300, gathered)):
        monkeypatch.setattr(estimate, "BINS", bins)
        kept.append(estimate.estimate(log_odds, 0.3, UNSURE, draws=1_000, seed=0))
    for metric in ("positives", "f1", "roc_auc"):
        (point, lower, upper), other = (
            [getattr(kept[0], metric + end) for end in ("", "_lower", "_upper")] for kept in (gathered, single)
        )
        assert point == other[0]
        assert upper - lower == pytest.approx(other[2] - other[1], rel=0.1), metric
        assert lower == pytest.approx(other[1], rel=0.02), metric


def test_a_million_rows_are_estimated_as_their_tenth_is():
    log_odds, _ = sample(1_000_000, 4)
    whole = estimate.estimate(log_odds, 0.3, UNSURE, seed=0)
    tenth = estimate.estimate(log_odds[::10], 0.3, UNSURE, seed=0)
    assert whole.rows == 1_000_000
    assert (whole.f1, whole.roc_auc) == pytest.approx((tenth.f1, tenth.roc_auc), abs=0.005)


@pytest.mark.parametrize("bend", [0.0, 0.5], ids=["a sigmoid", "no sigmoid"])
def test_what_is_realised_is_near_the_estimate_and_in_its_interval(bend):
    threshold, errors, covered, covered_if_sure = 0.35, [], [], []
    for seed in range(40):
        known, left = sample(2_500, (seed, 0), 0.8, bend)
        calibration = estimate.calibrator(known, left)
        log_odds, came = sample(1_000, (seed, 1), 0.8, bend)
        realised = measures.scores(came, calibration.risks(log_odds), threshold)
        found = estimate.estimate(log_odds, threshold, calibration, draws=200, seed=seed)
        sure = Calibrator(**{**vars(calibration), "covariance": np.zeros_like(calibration.covariance)})
        sure = estimate.estimate(log_odds, threshold, sure, draws=200, seed=seed)
        for metric in ("f1", "roc_auc"):
            errors.append(getattr(found, metric) - realised[metric])
            covered.append(getattr(found, f"{metric}_lower") <= realised[metric] <= getattr(found, f"{metric}_upper"))
            covered_if_sure.append(
                getattr(sure, f"{metric}_lower") <= realised[metric] <= getattr(sure, f"{metric}_upper")
            )
    assert abs(np.mean(errors[::2])) < 0.01 and abs(np.mean(errors[1::2])) < 0.01
    assert 0.88 <= np.mean(covered) <= 0.995
    assert np.mean(covered_if_sure) < np.mean(covered)  # the calibration's own error counts


# ---- the calibration -------------------------------------------------------------------------------------------------


def test_the_risk_is_the_models_own_sigmoid_and_the_probability_follows_what_bends_away_from_it():
    at = np.linspace(-4, 1, 20)
    log_odds, left = sample(40_000, 5, 0.8, 0.5)
    found = estimate.calibrator(log_odds, left)
    right = truth(at, 0.8, 0.5)
    assert np.abs(found.probabilities(at) - right).max() < 0.03
    assert np.abs(found.risks(at) - right).max() > 0.05


def test_the_covariance_says_how_far_the_probabilities_are_off():
    at, z = -2.0, []
    for seed in range(60):
        log_odds, left = sample(1_500, (seed, 2), 0.7)
        found = estimate.calibrator(log_odds, left)
        gradient = estimate._spline(np.array([at]), found.knots)[0]
        error = np.sqrt(gradient @ np.array(found.covariance) @ gradient)
        z.append((logit(found.probabilities(np.array([at]))[0]) - 0.7 * at) / error)
    assert 0.8 < np.std(z) < 1.2


def test_rows_of_next_to_no_weight_have_no_say():
    log_odds, left = sample(5_000, 6)
    found = estimate.calibrator(np.tile(log_odds, 2), np.r_[left, ~left], np.repeat([1.0, 1e-9], 5_000))
    alone = estimate.calibrator(log_odds, left)
    at = np.linspace(-4, 1, 9)
    assert found.probabilities(at) == pytest.approx(alone.probabilities(at), abs=1e-3)
    assert np.diag(found.covariance) == pytest.approx(np.diag(alone.covariance), rel=0.05)


def test_counting_every_row_for_less_makes_nothing_surer_or_less_sure():
    log_odds, left = sample(5_000, 6)
    alone, half = (estimate.calibrator(log_odds, left, np.full(5_000, weight)) for weight in (1.0, 0.5))
    assert half.probabilities(log_odds) == pytest.approx(alone.probabilities(log_odds), abs=5e-3)
    assert np.diag(half.covariance) == pytest.approx(np.diag(alone.covariance), rel=0.1)


def test_a_manifest_holds_all_of_it():
    found = estimate.calibrator(*sample(500, 7))
    assert Calibrator.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    made = estimate.estimate(sample(100, 8)[0], 0.3, found, seed=0)
    assert estimate.Estimate(**json.loads(json.dumps(made.as_dict()))) == made


@pytest.mark.parametrize("log_odds", [np.zeros(30), np.arange(30) % 2.0, np.arange(30.0), np.r_[-1e300, np.zeros(29)]])
def test_odd_log_odds_give_finite_probabilities(log_odds):
    found = estimate.calibrator(log_odds, np.arange(30) >= 20)
    assert np.isfinite(found.coefficients).all() and np.isfinite(found.covariance).all()
    made = estimate.estimate(np.r_[log_odds, -1e9, 1e9], 0.5, found, seed=0)
    assert 0 <= made.f1_lower <= made.f1_upper <= 1


def test_what_cannot_be_estimated_is_an_error_that_says_so():
    with pytest.raises(DataError, match="same label"):
        estimate.calibrator(np.array([1.0, 2.0]), np.array([True, True]))
    with pytest.raises(DataError, match="finite"):
        estimate.calibrator(np.array([1.0, np.nan]), np.array([True, False]))
    with pytest.raises(DataError, match="finite"):
        estimate.estimate(np.array([np.inf]), 0.5, SURE, seed=0)
    with pytest.raises(DataError, match="log-odds"):
        estimate.estimate(np.empty(0), 0.5, SURE, seed=0)


# ---- with models -----------------------------------------------------------------------------------------------------


def test_learned_on_the_rows_that_the_model_trained_on_the_estimate_would_be_too_good():
    frame = fabricate.world(4_000, 1, 11, fabricate.Drift())
    columns, left = estimate_simulation.CORPORATE, (frame["exited"] == 1).to_numpy()
    design = estimators.Design("lightgbm")
    fitted = selection.fit(frame, left, columns, design, groups=splits.groups(frame, columns), seed=0, threads=1)
    ours = estimate.calibrator(fitted.out_of_fold.log_odds, left)
    assert (ours.slope, ours.intercept) == estimators.calibration(fitted.model)
    in_sample = estimate.calibrator(estimators.log_odds(fitted.model, frame), left)
    new = fabricate.world(10_000, 2, 11, fabricate.Drift())
    log_odds = estimators.log_odds(fitted.model, new)
    realised = measures.scores(new["exited"] == 1, estimators.risks(fitted.model, new), fitted.threshold)
    found, rosy = (estimate.estimate(log_odds, fitted.threshold, c, draws=100, seed=0) for c in (ours, in_sample))
    assert abs(found.roc_auc - realised["roc_auc"]) < 0.04 < rosy.roc_auc - realised["roc_auc"]
    assert abs(found.f1 - realised["f1"]) < 0.04 < rosy.f1 - realised["f1"]


def test_the_simulation_says_how_far_off_estimates_are_and_what_the_log_says_of_them(monkeypatch, capsys):
    monkeypatch.setattr(estimate_simulation, "ROWS", 4_000)
    monkeypatch.setattr(estimate_simulation, "DROP_ROWS", 1_000)
    assert estimate_simulation.main(["--rounds", "1", "--designs", "logistic"]) == 0
    printed = capsys.readouterr()
    for world in ("corporate", "twelve columns"):
        assert f"F1, no drift ({world}, logistic)" in printed.out
    assert "more than chance: the relation between the columns and leaving has changed" in printed.err
