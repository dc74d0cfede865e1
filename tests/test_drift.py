"""The rules of the decision: which numbers give which verdict, in which words."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn import drift
from churn.measures import Comparison

BETTER = Comparison(
    metric="average_precision",
    champion=0.50,
    challenger=0.56,
    lower=0.02,
    upper=0.10,
    share_better=0.999,
    log_loss_z=2.5,
    rows=5000,
    positives=1000,
    challenger_f1=0.55,
    constant_f1=1 / 3,
)
RULES = {"confidence": 0.975, "min_rows": 2000, "min_class_rows": 10}


def verdict(comparison=BETTER, *, force=False, **changed):
    return drift.promoted(replace(comparison, **changed), rival="0001-abcdef01", force=force, **RULES)


# ---- drift -----------------------------------------------------------------------------------------------------------


def test_by_the_briefs_rule_a_score_below_the_deployed_one_is_drift():
    found = drift.drifted("raw", {"f1": 0.4999, "rows": 12_345}, 0.5)
    assert found.yes
    assert found.reason == ("F1 0.500 on 12,345 new rows, deployed score 0.500, below: the brief's rule says drift")
    assert found.numbers["raw_rule"] is True
    assert found.numbers["deployed_f1"] == 0.5


@pytest.mark.parametrize("f1", [0.5, 0.51])
def test_an_equal_or_higher_score_is_none(f1):
    found = drift.drifted("raw", {"f1": f1, "rows": 10}, 0.5)
    assert not found.yes
    assert found.reason.endswith("not below: no drift by the brief's rule")


@pytest.mark.parametrize("f1", [0.2, 0.9])
def test_the_policies_always_and_never_decide_alone_but_still_report_the_rule(f1):
    always, never = (drift.drifted(policy, {"f1": f1, "rows": 10}, 0.5) for policy in ("always", "never"))
    assert always.yes
    assert always.reason.endswith("; the policy is to train always")
    assert not never.yes
    assert never.reason.endswith("; the policy is to train never")
    assert always.numbers["raw_rule"] is never.numbers["raw_rule"] is (f1 < 0.5)


@pytest.mark.parametrize("policy", ["raw", "always", "never"])
def test_without_new_labelled_rows_nothing_has_drifted(policy):
    assert drift.drifted(policy, None, 0.5) == drift.Verdict(False, "no new labelled rows")


# ---- promotion -------------------------------------------------------------------------------------------------------


def test_a_challenger_that_is_better_beyond_chance_is_promoted_with_its_numbers():
    found = verdict()
    assert found.yes
    assert found.reason == (
        "average precision 0.560 against 0.500 of 0001-abcdef01 on 5,000 held-out rows "
        "(difference +0.060, 95% interval +0.020 to +0.100): better"
    )
    assert found.numbers["difference"] == pytest.approx(0.06)
    assert found.numbers["rival"] == "0001-abcdef01"
    assert found.numbers["forced"] is False


@pytest.mark.parametrize("changed", [{"share_better": 0.974}, {"lower": 0.0}, {"lower": -0.001}])
def test_one_that_may_be_better_by_chance_is_not(changed):
    found = verdict(**changed)
    assert not found.yes
    assert found.reason.endswith(": not better beyond chance")


def test_with_few_rows_a_difference_that_is_not_found_may_still_be_there():
    found = verdict(rows=1999, lower=-0.05, share_better=0.9)
    assert not found.yes
    assert found.reason.endswith(": too few rows to tell")


def test_with_few_rows_a_difference_that_is_found_counts():
    assert verdict(rows=500, positives=100).yes


def test_a_model_equal_to_its_rival_is_not_promoted_however_few_the_rows():
    found = verdict(rows=500, positives=100, challenger=0.5, lower=0.0, upper=0.0, share_better=0.0)
    assert found.reason.endswith(": not better beyond chance")


def test_one_whose_probabilities_are_worse_is_not_promoted_for_its_ranking():
    found = verdict(log_loss_z=-1.7)
    assert not found.yes
    assert found.reason.endswith(": not promoted, its log loss is worse (z -1.7)")


@pytest.mark.parametrize(("rows", "positives"), [(5, 3), (5000, 9), (5000, 4991), (5000, 0), (0, 0)])
def test_a_handful_of_rows_decides_nothing_and_the_constant_guess_is_named(rows, positives):
    found = verdict(rows=rows, positives=positives, constant_f1=0.75, challenger_f1=0.8)
    assert not found.yes
    assert f"so few rows ({positives:,} left, {rows - positives:,} stayed) decide nothing" in found.reason
    assert "F1 0.800 where always answering 'leaves' scores 0.750" in found.reason


def test_who_forces_it_is_told_what_the_rule_would_have_been():
    found = verdict(rows=5, positives=3, force=True)
    assert found.yes
    assert found.reason.startswith("forced, although: average precision 0.560 against 0.500")
    assert "decide nothing" in found.reason
    assert found.numbers["forced"] is True
    assert verdict(force=True).reason == verdict().reason


comparisons = st.builds(
    Comparison,
    metric=st.sampled_from(["average_precision", "roc_auc", "f1"]),
    champion=st.floats(0, 1),
    challenger=st.floats(0, 1),
    lower=st.floats(-1, 1),
    upper=st.floats(-1, 1),
    share_better=st.floats(0, 1),
    log_loss_z=st.floats(-50, 50),
    rows=st.integers(0, 10_000),
    positives=st.just(0),
    challenger_f1=st.floats(0, 1),
    constant_f1=st.floats(0, 1),
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(comparisons, st.floats(0, 1), st.integers(1, 100), st.integers(1, 5000))
def test_whatever_the_numbers_few_rows_promote_nobody_and_a_yes_means_better(found, share, few, min_rows):
    found = replace(found, positives=int(share * found.rows))
    rules = {"rival": "r", "confidence": 0.975, "min_rows": min_rows, "min_class_rows": few}
    decided = drift.promoted(found, **rules)
    if min(found.positives, found.rows - found.positives) < few:
        assert not decided.yes
    if decided.yes:
        assert found.lower > 0
        assert found.share_better >= 0.975
        assert found.log_loss_z >= -1.645
    assert drift.promoted(found, **rules, force=True).yes
    assert json.loads(json.dumps(decided.as_dict(), allow_nan=False)) == decided.as_dict()
