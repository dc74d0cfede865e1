"""The verdict on the model in production: which drops give which verdict, in which words."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from churn import drift
from churn.drift import Judgement, Reference, Seen

REFERENCE = Reference(auc=0.80, auc_error=0.01, label_rate=0.2, label_rows=20_000)
RULES = {"auc_z": 2.88, "label_points": 0.05}
USUAL = 0.02  # the standard error of a drop's AUC
property_test = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def seen(drop, auc=0.80, *, error=USUAL, rate=0.2, shifted=(), rows=1000):
    """A drop of 1,000 labelled rows; of `shifted` columns, something is said."""
    words = {column: f"{column} has shifted" for column in shifted}
    return Seen(drop, rows, rows, round(rate * rows), auc, error, words)


def unlabelled(drop, *, shifted=()):
    """A drop whose labels have not come yet."""
    return Seen(drop, 1000, shifted={column: f"{column} has shifted" for column in shifted})


def judged(*drops, reference=REFERENCE, **rules):
    """The judgements after each of these drops."""
    found = []
    for one in drops:
        found.append(drift.judge(reference, found, one, **RULES | rules))
    return found


def verdicts(*drops, **rules):
    return [judgement.verdict for judgement in judged(*drops, **rules)]


# ---- the ROC AUC -----------------------------------------------------------------------------------------------------


def test_drops_like_those_before_are_ok():
    found = judged(*(seen(drop) for drop in range(1, 9)))
    assert {j.verdict for j in found} == {"ok"}
    assert {(j.reasons, j.onset, j.alarm) for j in found} == {((), None, False)}


def test_one_drop_that_ranks_far_worse_has_drifted_and_says_by_how_much():
    (found,) = judged(seen(1, 0.70))
    assert found.verdict == "drifted"
    assert found.alarm
    assert found.onset == found.drop == 1
    assert found.auc_z == pytest.approx(0.1 / math.hypot(0.01, 0.02))
    assert found.reasons == ("ROC AUC 0.700 in this drop, 0.800 before (4.5 standard errors lower)",)


def test_the_limit_is_the_configs():
    below = seen(1, 0.80 - 2.5 * math.hypot(0.01, 0.02))
    assert verdicts(below) == ["ok"]
    assert verdicts(below, auc_z=2.4) == ["drifted"]


def test_a_drop_that_ranks_better_is_ok():
    assert verdicts(seen(1, 0.95)) == ["ok"]


def test_two_drops_together_show_what_one_alone_does_not():
    lower = 0.80 - 2.4 * math.hypot(0.01, 0.02)
    first, second = judged(seen(1, lower), seen(2, lower))
    assert (first.verdict, second.verdict) == ("ok", "drifted")
    assert not second.alarm
    assert second.onset == 1
    assert "in the last 2 drops" in second.reasons[0]


def test_a_slow_loss_is_found_over_four_drops_and_began_with_the_first_of_them():
    steady = [seen(drop) for drop in range(1, 5)]
    lower = [seen(drop, 0.80 - 0.040) for drop in range(5, 9)]
    found = judged(*steady, *lower)
    assert [j.verdict for j in found] == ["ok"] * 7 + ["drifted"]
    assert found[-1].onset == 5
    assert "in the last 4 drops" in found[-1].reasons[0]
    assert not any(j.alarm for j in found)


def test_three_drops_are_no_window():
    """A loss that three drops would show is not said before the fourth."""
    lower = [seen(drop, 0.80 - 0.046) for drop in range(1, 5)]
    assert 0.046 / math.hypot(0.01, USUAL / math.sqrt(3)) > RULES["auc_z"]
    assert verdicts(*lower) == ["ok", "ok", "ok", "drifted"]


def test_what_it_is_held_against_is_the_mean_of_the_reference_and_the_drops_before():
    """Out of fold .80, but .76 in many drops: that is what this model does, and no drift."""
    unsure = replace(REFERENCE, auc_error=0.02)
    many = [seen(drop, 0.76) for drop in range(1, 7)]
    found = judged(*many, seen(7, 0.70), reference=unsure)
    weights = [1 / 0.02**2] * 7
    before = (0.80 + 6 * 0.76) / 7
    assert found[-1].auc_z == pytest.approx((before - 0.70) / math.sqrt(1 / sum(weights) + 0.02**2))


def test_a_drop_that_alarmed_does_not_become_what_later_ones_are_held_against():
    found = judged(seen(1, 0.60), seen(2), seen(3, 0.72))
    assert [j.alarm for j in found] == [True, False, True]
    before = 1 / (1 / 0.01**2 + 1 / 0.02**2)
    assert drift.judge(REFERENCE, [found[1]], seen(3, 0.72), **RULES).auc_z == pytest.approx(
        0.08 / math.sqrt(before + 0.02**2)
    )
    assert "0.800 before" in found[2].reasons[0]


def test_drops_without_labels_have_no_auc_to_judge():
    (found,) = judged(unlabelled(1))
    assert (found.verdict, found.auc_z, found.label_moved, found.alarm) == ("ok", None, None, False)


def test_drops_without_labels_in_between_do_not_hide_a_loss_that_two_drops_show():
    lower = 0.80 - 2.4 * math.hypot(0.01, 0.02)
    found = judged(seen(1, lower), unlabelled(2), unlabelled(3), seen(4, lower))
    assert [j.verdict for j in found] == ["ok", "ok", "ok", "drifted"]
    assert found[-1].onset == 1


def test_without_a_reference_the_first_drops_are_what_later_ones_are_held_against():
    unknown = Reference(None, None, 0.2, 20_000)
    found = judged(seen(1), seen(2), seen(3, 0.60), reference=unknown)
    assert [j.auc_z is None for j in found] == [True, False, False]
    assert [j.verdict for j in found] == ["ok", "ok", "drifted"]


def test_a_model_that_was_perfect_out_of_fold_can_drift_too():
    perfect = Reference(1.0, 0.0, 0.2, 2000)
    found = judged(seen(1, 1.0, error=0.0), seen(2, 0.70), reference=perfect)
    assert [j.verdict for j in found] == ["ok", "drifted"]


def test_a_few_rows_ranked_perfectly_are_no_proof_that_the_model_has_become_perfect():
    for auc, error in ((1.0, 0.0), (0.999, 0.001)):
        found = judged(seen(1, auc, error=error, rows=50), seen(2, 0.78))
        assert [j.verdict for j in found] == ["ok", "ok"]
        assert found[1].auc_z < 1.5


def test_a_drop_ranked_upside_down_has_drifted_though_its_error_is_nothing():
    assert verdicts(seen(1, 0.0, error=0.0)) == ["drifted"]


aucs = st.floats(0.5, 0.95)
errors = st.floats(0.005, 0.05)
histories = st.lists(st.tuples(aucs, errors), min_size=1, max_size=7)


def last(history, *, scale=1.0, by=0.0, reference=REFERENCE):
    """The judgement on the last of some drops, with all AUCs moved and their errors stretched."""
    many = 10**8  # so many rows that an error of nothing would be believed
    changed = replace(reference, auc=reference.auc * scale + by, auc_error=reference.auc_error * scale, label_rows=many)
    drops = [seen(i, auc * scale + by, error=error * scale, rows=many) for i, (auc, error) in enumerate(history, 1)]
    return judged(*drops, reference=changed)[-1]


@property_test
@given(histories, st.sampled_from([0.01, 0.25, 0.5]), st.floats(-0.05, 0.05))
def test_only_the_distance_in_standard_errors_counts(history, scale, by):
    one, other = last(history), last(history, scale=scale, by=by)
    assume(abs(one.auc_z - RULES["auc_z"]) > 1e-6)
    assert other.auc_z == pytest.approx(one.auc_z, abs=1e-5)
    assert (other.verdict, other.onset, other.alarm) == (one.verdict, one.onset, one.alarm)


@property_test
@given(histories, st.floats(0.001, 0.3))
def test_a_lower_auc_never_looks_better(history, less):
    *before, (auc, error) = history
    one, lower = last(history), last([*before, (auc - less, error)])
    # A drop that alarms bears out one that alarmed just before it, which then counts again.
    assert lower.auc_z > (one.auc_z if lower.alarm == one.alarm else RULES["auc_z"])
    assert one.verdict == "ok" or lower.verdict == "drifted"
    assert not one.alarm or lower.alarm


# ---- a bad drop ------------------------------------------------------------------------------------------------------


def test_after_a_drop_that_alarmed_alone_the_next_are_judged_as_if_it_had_not_been():
    found = judged(seen(1), seen(2, 0.5), seen(3), seen(4), seen(5))
    assert [j.verdict for j in found] == ["ok", "drifted", "ok", "ok", "ok"]
    assert [j.onset for j in found] == [None, 2, None, None, None]
    assert drift.suspects(found) == {2}
    without = judged(seen(1), seen(3), seen(4), seen(5))
    assert [j.auc_z for j in found[2:]] == [j.auc_z for j in without[1:]]


def test_a_drop_that_alarmed_and_is_borne_out_by_the_next_stays_where_the_drift_began():
    found = judged(seen(1), seen(2, 0.6), seen(3, 0.6), seen(4, 0.7))
    assert [j.verdict for j in found] == ["ok", "drifted", "drifted", "drifted"]
    assert [j.onset for j in found] == [None, 2, 2, 2]
    assert "in the last 2 drops" in found[3].reasons[0]


def test_where_drops_without_labels_follow_an_alarm_the_next_with_labels_decides_what_it_was():
    first = (seen(1), seen(2, 0.6), unlabelled(3))
    assert [j.onset for j in judged(*first, seen(4, 0.6), unlabelled(5))] == [None, 2, None, 2, 2]
    assert [j.onset for j in judged(*first, seen(4), unlabelled(5))] == [None, 2, None, None, None]


def test_a_bad_drop_does_not_make_what_began_before_it_forgotten():
    found = judged(seen(1, shifted=["a"]), seen(2, shifted=["a"]), seen(3, 0.5), seen(4))
    assert [j.onset for j in found] == [None, 1, 1, 1]


# ---- the inputs ------------------------------------------------------------------------------------------------------


def test_a_column_that_shifts_once_is_a_warning_and_twice_in_a_row_has_drifted_since_the_first():
    found = judged(seen(1), seen(2, shifted=["tenure"]), seen(3, shifted=["tenure"]))
    assert [j.verdict for j in found] == ["ok", "warning", "drifted"]
    assert [j.onset for j in found] == [None, None, 2]
    assert found[1].reasons == ("tenure has shifted; a warning, until the next drop shows it too",)
    assert found[2].reasons == ("tenure has shifted, in two successive drops",)
    assert not any(j.alarm for j in found)


def test_shifts_of_two_columns_one_after_the_other_are_two_warnings():
    assert verdicts(seen(1, shifted=["tenure"]), seen(2, shifted=["usage"])) == ["warning", "warning"]


def test_a_shift_that_comes_and_goes_is_a_warning_each_time():
    found = verdicts(seen(1, shifted=["tenure"]), seen(2), seen(3, shifted=["tenure"]))
    assert found == ["warning", "ok", "warning"]


def test_inputs_need_no_labels_to_drift():
    assert verdicts(seen(1, shifted=["tenure"]), unlabelled(2, shifted=["tenure"])) == ["warning", "drifted"]


columns = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@property_test
@given(columns, columns, st.randoms())
def test_columns_are_told_in_the_order_they_came_in_and_judged_in_any(first, second, random):
    shuffled = list(second)
    random.shuffle(shuffled)
    one, other = (judged(seen(1, shifted=first), seen(2, shifted=order))[-1] for order in (second, shuffled))
    assert (one.verdict, one.onset) == (other.verdict, other.onset)
    assert sorted(one.reasons) == sorted(other.reasons)
    expected = "drifted" if set(first) & set(second) else "warning" if second else "ok"
    assert one.verdict == expected
    again = [name for name in second if name in first]
    assert [words[0] for words in one.reasons] == [*again, *(name for name in second if name not in first)]


# ---- the label rate --------------------------------------------------------------------------------------------------


def test_more_who_left_are_a_warning_and_in_two_drops_in_a_row_have_drifted():
    found = judged(seen(1), seen(2, rate=0.3), seen(3, rate=0.31))
    assert [j.verdict for j in found] == ["ok", "warning", "drifted"]
    assert found[2].onset == 2
    assert found[2].label_moved == pytest.approx(0.11)
    assert found[1].reasons == ("30.0% left, 20.0% when it was trained; a warning, until the next drop shows it too",)
    assert found[2].reasons == ("31.0% left, 20.0% when it was trained, in two successive drops",)


def test_first_more_and_then_fewer_is_no_move_that_lasts():
    assert verdicts(seen(1, rate=0.3), seen(2, rate=0.1)) == ["warning", "warning"]


def test_fewer_who_left_count_as_much_as_more():
    assert verdicts(seen(1, rate=0.12), seen(2, rate=0.12)) == ["warning", "drifted"]


def test_a_move_within_the_points_that_config_allows_is_ok_however_sure():
    assert verdicts(seen(1, rate=0.24, rows=100_000)) == ["ok"]
    assert verdicts(seen(1, rate=0.24, rows=100_000), label_points=0.03) == ["warning"]


def test_a_move_that_may_be_chance_is_ok_however_large():
    assert verdicts(seen(1, rate=0.3, rows=50)) == ["ok"]


def test_the_rows_that_it_was_trained_on_may_be_too_few_to_know_its_rate():
    rarely = replace(REFERENCE, label_rows=50)
    assert verdicts(seen(1, rate=0.3), reference=rarely) == ["ok"]
    assert verdicts(seen(1, rate=0.3), reference=replace(REFERENCE, label_rows=0)) == ["ok"]


def test_drops_without_labels_in_between_do_not_hide_that_more_leave():
    found = judged(seen(1, rate=0.3), unlabelled(2), seen(3, rate=0.3))
    assert [j.verdict for j in found] == ["warning", "ok", "drifted"]
    assert found[-1].onset == 1


# ---- all together ----------------------------------------------------------------------------------------------------


def test_reasons_come_before_warnings():
    found = judged(seen(1), seen(2, 0.6, rate=0.3, shifted=["tenure"]))[-1]
    assert found.verdict == "drifted"
    assert [words.split(maxsplit=1)[0] for words in found.reasons] == ["ROC", "tenure", "30.0%"]


def test_the_onset_is_the_earliest_of_all_that_is_seen_and_is_remembered():
    found = judged(
        seen(1), seen(2, shifted=["a"]), seen(3, shifted=["a"]), seen(4), seen(5, shifted=["b"]), seen(6, 0.6)
    )
    assert [j.onset for j in found] == [None, None, 2, 2, 2, 2]
    assert found[3].verdict == "ok"


@property_test
@given(histories, st.lists(columns, min_size=7, max_size=7), st.lists(st.floats(0.05, 0.5), min_size=7, max_size=7))
def test_a_judgement_survives_being_written_down_and_read_and_judges_on_as_before(history, shifted, rates):
    drops = [
        seen(i, auc, error=error, shifted=shifted[i - 1], rate=rates[i - 1])
        for i, (auc, error) in enumerate(history, 1)
    ]
    found = judged(*drops)
    lines = [json.loads(json.dumps(j.as_dict() | {"at": "2026-01-01"}, allow_nan=False)) for j in found]
    read = [Judgement.from_dict(line) for line in lines]
    assert read == found
    now = seen(99, 0.7)
    assert drift.judge(REFERENCE, read, now, **RULES) == drift.judge(REFERENCE, found, now, **RULES)


@property_test
@given(histories)
def test_an_onset_is_a_drop_that_was_judged_before_and_is_forgotten_only_if_it_was_a_lone_alarm(history):
    found = judged(*(seen(i, auc, error=error) for i, (auc, error) in enumerate(history, 1)))
    for before, after in zip(found, found[1:], strict=False):
        assert after.onset is None or after.onset <= after.drop
        if before.onset is not None and (after.onset is None or after.onset > before.onset):
            assert before.alarm and not after.alarm


# ---- suspects --------------------------------------------------------------------------------------------------------


def line_of(pattern):
    """Judgements by a letter a drop: A alarmed, . did not, - had no labels."""
    return [
        Judgement(unlabelled(i) if letter == "-" else seen(i), "drifted", alarm=letter == "A")
        for i, letter in enumerate(pattern, 1)
    ]


@pytest.mark.parametrize(
    ("pattern", "suspects"),
    [
        ("", set()),
        ("....", set()),
        (".A..", {2}),  # alone
        (".AA.", set()),  # two in a row
        (".AAA", set()),
        ("A...", {1}),
        ("...A", {4}),  # the newest: until the next drop has come
        ("..AA", set()),
        ("A.A.A", {1, 3, 5}),
        (".A-A.", set()),  # a drop without labels in between does not count
        (".A--", {2}),
        (".A-.-A--A", {2}),
        ("--", set()),
    ],
)
def test_a_lone_alarm_is_suspect_and_two_in_a_row_are_not(pattern, suspects):
    assert drift.suspects(line_of(pattern)) == suspects


@property_test
@given(st.text("A.-", max_size=12))
def test_only_drops_that_alarmed_are_suspect_and_those_without_labels_change_nothing(pattern):
    judgements = line_of(pattern)
    found = drift.suspects(judgements)
    assert found <= {j.drop for j in judgements if j.alarm}
    labelled = [j for j in judgements if j.seen.auc is not None]
    assert found == drift.suspects(labelled)
    assert not any(found & {one.drop, other.drop} for one, other in pairwise(labelled) if one.alarm and other.alarm)


@pytest.mark.parametrize(
    ("pattern", "twice"),
    [("", False), ("A", False), ("AA", True), ("AA.", False), (".AA", True), ("A-A--", True), ("A.A", False)],
)
def test_two_alarms_in_a_row_are_the_newest_two_drops_with_labels(pattern, twice):
    assert drift.alarmed_twice(line_of(pattern)) is twice


# ---- the brief's rule, and the policies ------------------------------------------------------------------------------


@pytest.mark.parametrize(("new", "drifted"), [(0.4999, True), (0.5, False), (0.51, False)])
def test_by_the_briefs_rule_a_score_below_the_deployed_one_is_drift(new, drifted):
    assert drift.raw_rule(new, 0.5) is drifted


def logged(drop, verdict="ok", raw=False, labelled=100):
    return {
        "verdict": verdict,
        "said": f"said of {drop}",
        "seen": {"drop": drop, "labelled": labelled},
        "raw_rule": raw,
        "scores": {"f1": drop / 10},
        "deployed_f1": 0.5,
    }


@pytest.mark.parametrize(
    ("policy", "calls"),
    [
        ("raw", [False, False, True, False]),
        ("statistical", [False, True, True, False]),
        ("always", [False, True, True, False]),
        ("never", [False, False, False, False]),
    ],
)
def test_the_policy_says_when_challengers_are_called_for_and_without_labels_none_are(policy, calls):
    waiting = logged(1, "drifted", raw=None, labelled=0)
    new = [[], [logged(1)], [waiting, logged(2, raw=True)], [waiting]]
    assert [drift.calls_for_challengers(policy, lines) for lines in new] == calls


def test_of_several_new_judgements_the_worst_is_shown_and_of_equals_the_newest():
    lines = [logged(1, "warning"), logged(2, "drifted", raw=True), logged(3, "drifted"), logged(4)]
    assert drift.summary(lines) == {
        "verdict": "drifted",
        "reason": "said of 3",
        "drop": 3,
        "raw_rule": True,
        "numbers": {"new": {"f1": 0.3}, "deployed_f1": 0.5},
    }
    assert drift.summary(lines[:1])["verdict"] == "warning"
    assert drift.summary([logged(1), logged(2, raw=None)])["raw_rule"] is False
    assert drift.summary([]) is None


def test_a_verdict_can_be_written_down():
    found = drift.Verdict(True, "because", {"rows": 3})
    assert json.loads(json.dumps(found.as_dict())) == {"yes": True, "reason": "because", "numbers": {"rows": 3}}


def test_a_shift_that_came_just_before_a_promotion_needs_no_third_drop():
    before = judged(seen(1), seen(2, shifted=["x"]))[-1]
    found = drift.judge(REFERENCE, [], seen(3, shifted=["x"]), **RULES, latest=before)
    assert (found.verdict, found.onset) == (drift.DRIFTED, 2)
    assert drift.judge(REFERENCE, [], seen(3, shifted=["x"]), **RULES).verdict == drift.WARNING
