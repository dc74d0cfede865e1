"""How right the estimates were, once labels come: in numbers, in words, and in the width of the next interval."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.monitoring import outcomes
from churn.monitoring.estimate import Estimate
from churn.monitoring.outcomes import Outcome

EXPECTED = Estimate(2_000, 400.0, 366.0, 434.0, 0.52, 0.49, 0.55, 0.80, 0.78, 0.82)


def said(f1, roc_auc, **more):
    return outcomes.judged(EXPECTED, f1, roc_auc, drop="7", **more)


def test_an_estimate_that_came_true_is_said_to_have():
    found = said(0.51, 0.79)
    assert not found.wrong
    assert found.sentence == (
        "the estimate for drop 7 was F1 0.52 (0.49 to 0.55) and ROC AUC 0.80 (0.78 to 0.82); "
        "realised 0.51 and 0.79: inside the interval"
    )


def test_a_change_of_relation_is_told_with_how_wrong_the_estimate_was():
    found = said(0.43, 0.71, positives=410)
    assert found.wrong
    assert found.sentence == (
        "the estimate for drop 7 was F1 0.52 (0.49 to 0.55) and ROC AUC 0.80 (0.78 to 0.82); realised 0.43 and 0.71: "
        "it was wrong by 0.09 (F1) and 0.09 (ROC AUC), more than chance: the relation between the columns and leaving "
        "has changed; trust estimates less until a new model is in production"
    )


def test_a_changed_rate_is_told_from_a_changed_relation_by_who_left():
    found = said(0.60, 0.79, positives=520)
    assert found.wrong
    assert "520 of 2,000 left where 400 (366 to 434) were estimated, so the share that leaves has changed" in (
        found.sentence
    )
    assert "wrong by 0.08 (F1), more" in found.sentence
    assert "the relation" not in found.sentence


def test_rows_that_did_better_than_estimated_are_no_change_of_relation():
    found = said(0.60, 0.85, positives=400)
    assert found.wrong
    assert "the model did better than its calibration knew" in found.sentence


def test_just_outside_the_interval_is_chance_once_and_more_than_chance_twice_running_on_one_side():
    first = said(0.56, 0.80)
    assert not first.wrong
    assert "outside the interval for F1, as chance brings in about one drop of twenty" in first.sentence
    assert said(0.56, 0.80, past=first.outcomes).wrong
    assert not said(0.48, 0.80, past=first.outcomes).wrong
    between = said(0.52, 0.80).outcomes
    assert not said(0.56, 0.80, past=(*first.outcomes, *between)).wrong


def test_without_an_auc_only_f1_is_judged():
    found = outcomes.judged(EXPECTED, 0.52, None, drop="7")
    assert [outcome.metric for outcome in found.outcomes] == ["f1"]
    none = replace(EXPECTED, roc_auc=None, roc_auc_lower=None, roc_auc_upper=None)
    assert [outcome.metric for outcome in outcomes.judged(none, 0.52, 0.80, drop="7").outcomes] == ["f1"]
    assert outcomes.shown(none) == "F1 0.52 (0.49 to 0.55)"


def test_a_drops_name_stays_on_one_line():
    assert "\n" not in outcomes.judged(EXPECTED, 0.5, 0.8, drop="a\nb").sentence


def test_the_history_keeps_what_was_found():
    found = said(0.43, 0.71)
    stored = json.loads(json.dumps(found.as_dict()))
    assert tuple(Outcome(**outcome) for outcome in stored["outcomes"]) == found.outcomes
    assert stored["wrong"] is True


# ---- the next interval -----------------------------------------------------------------------------------------------

scores = st.floats(0, 1)
pasts = st.lists(
    st.tuples(st.sampled_from(["f1", "roc_auc"]), st.lists(scores, min_size=3, max_size=3), scores).map(
        lambda drawn: Outcome(drawn[0], sorted(drawn[1])[1], min(drawn[1]), max(drawn[1]), drawn[2])
    ),
    max_size=6,
)


@given(pasts)
@settings(deadline=None)
def test_errors_widen_the_next_interval_and_never_narrow_or_move_it(past):
    after = outcomes.widened(EXPECTED, past)
    for metric in outcomes.METRICS:
        lower, point, upper = (getattr(after, metric + end) for end in ("_lower", "", "_upper"))
        assert point == getattr(EXPECTED, metric)
        assert 0 <= lower <= getattr(EXPECTED, f"{metric}_lower")
        assert getattr(EXPECTED, f"{metric}_upper") <= upper <= 1
        assert getattr(after, f"{metric}_widened") >= 1


def test_a_new_version_starts_with_the_interval_as_calculated():
    assert outcomes.widened(EXPECTED, ()) == EXPECTED


def test_estimates_that_came_true_leave_the_interval_as_it_is():
    assert outcomes.widened(EXPECTED, said(0.51, 0.795).outcomes) == EXPECTED


def test_after_two_wrong_estimates_of_four_the_interval_reaches_a_third_that_is_as_wrong():
    fine, wrong = said(0.52, 0.80).outcomes, said(0.43, 0.72).outcomes
    after_one = outcomes.widened(EXPECTED, [*fine, *fine, *fine, *wrong])
    after_two = outcomes.widened(EXPECTED, [*fine, *fine, *wrong, *wrong])
    assert after_one.f1_widened == pytest.approx(1.96 * 3 / 2)
    assert after_two.f1_widened == pytest.approx(1.96 * 3 / 2**0.5)
    assert after_two.f1_lower < 0.43 and after_two.roc_auc_lower < 0.72
    assert "widened 4.2 times after earlier errors" in outcomes.shown(after_two)


def test_a_widened_interval_does_not_hide_from_the_next_one_how_wrong_estimates_are():
    past = list(said(0.43, 0.72).outcomes)
    for _ in range(5):
        shown = outcomes.widened(EXPECTED, past)
        past += outcomes.judged(shown, 0.43, 0.72, drop="8", past=past).outcomes
    assert outcomes.widened(EXPECTED, past).f1_widened == pytest.approx(1.96 * 3)


def test_errors_long_past_are_forgotten():
    fine, wrong = said(0.52, 0.80).outcomes, said(0.43, 0.72).outcomes
    assert outcomes.widened(EXPECTED, [*wrong, *fine, *fine, *fine, *fine]) == EXPECTED


# ---- the error history -----------------------------------------------------------------------------------------------


def test_the_error_history_sums_up_a_metric():
    past = [*said(0.51, 0.79).outcomes, *said(0.43, 0.85).outcomes, *said(0.53, 0.80).outcomes]
    f1 = outcomes.error_history(past, "f1")
    assert (f1.drops, f1.mean_error, f1.mean_size, f1.covered) == pytest.approx((3, 0.03, 0.11 / 3, 2 / 3))
    assert f1.sentence == (
        "over 3 drops with labels F1 was estimated 0.03 too high on average, off by 0.04 either way, and came inside "
        "the interval in 2"
    )
    auc = outcomes.error_history(past, "roc_auc")
    assert "ROC AUC was estimated 0.01 too low on average" in auc.sentence
    assert auc.as_dict()["sentence"] == auc.sentence


def test_an_empty_error_history_says_so():
    assert outcomes.error_history([], "f1").sentence == "no estimate of F1 has been compared with labels yet"
    one = outcomes.error_history(said(0.51, 0.79).outcomes, "f1")
    assert one.sentence.startswith("over 1 drop with labels")
