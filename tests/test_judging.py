"""What new drops show of the model in production: judged once, in order, together where labels are few."""

import json
import logging
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

import ingestion
from churn import config, dataset, decisions, estimators, releases
from churn.monitoring import judging
from demo import fabricate
from tests.loop import LATE, NOBODY, changed, decide, make, monthly, put

AT = "2026-03-01T00:00:00Z"


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A product with a model in production, made from two drops."""
    product = make(tmp_path_factory.mktemp("judging") / "first", promotion={"min_class_rows": 10})
    put(product, 1, 2)
    decide(product)
    return product


@pytest.fixture
def deployed(first, tmp_path):
    """A copy of it for a test of its own."""
    shutil.copytree(first.config_path.parent, tmp_path / "copy", symlinks=True)
    return config.load(tmp_path / "copy" / "config.json")["corporate"]


def judge(product):
    ingestion.ingest(product)
    return judging.judge(product, releases.current(product), AT)


def without_time(lines):
    return [{key: value for key, value in line.items() if key != "at"} for line in lines]


# ---- one drop --------------------------------------------------------------------------------------------------------


def test_a_drop_is_scored_by_the_release_in_production_and_the_raw_rule_is_always_told(deployed):
    put(deployed, 3)
    (line,) = judge(deployed)
    release = releases.load(releases.current(deployed))
    frame = dataset.frame(deployed, since=2)
    left, risk = (frame["exited"] == "1").to_numpy(), estimators.risks(release.model, frame)
    assert line["scores"]["f1"] == pytest.approx(metrics.f1_score(left, risk >= release.threshold))
    assert line["scores"]["roc_auc"] == pytest.approx(metrics.roc_auc_score(left, risk))
    assert line["seen"]["auc"] == pytest.approx(line["scores"]["roc_auc"])
    assert line["deployed_f1"] == float((deployed.production / "latestscore.txt").read_text())
    assert line["raw_rule"] == (line["scores"]["f1"] < line["deployed_f1"])
    assert (line["champion"], line["drops"], line["at"]) == (release.version, [3], AT)
    assert (line["seen"]["rows"], line["seen"]["labelled"]) == (len(frame), len(frame))
    assert decisions.judgements(deployed) == [json.loads(json.dumps(line))]


def test_what_was_judged_or_trained_on_is_not_judged_again(deployed):
    assert judge(deployed) == []
    put(deployed, 3)
    assert [line["drops"] for line in judge(deployed)] == [[3]]
    assert judge(deployed) == []
    put(deployed, 4)
    assert [line["drops"] for line in judge(deployed)] == [[4]]
    assert [line["drops"] for line in decisions.judgements(deployed)] == [[3], [4]]


def test_drops_that_come_at_once_are_judged_one_after_the_other_as_if_they_had_come_so(deployed, tmp_path):
    put(deployed, 3, 4, 5, drift=changed(4))
    shutil.copytree(deployed.config_path.parent, tmp_path / "one by one", symlinks=True)
    at_once = judge(deployed)
    single = config.load(tmp_path / "one by one" / "config.json")["corporate"]
    waiting = sorted(single.source.glob("*"))[2:]
    for path in waiting:
        path.rename(path.parent.parent / path.name)
    one_by_one = []
    for path in waiting:
        (path.parent.parent / path.name).rename(path)
        one_by_one += judge(single)
    assert without_time(at_once) == without_time(one_by_one)
    assert [line["verdict"] for line in at_once] == ["ok", "drifted", "drifted"]
    assert [line["onset"] for line in at_once] == [None, 4, 4]


def test_a_shift_is_told_with_how_much_of_the_list_it_moves_the_largest_first(deployed, caplog):
    put(deployed, 3, drift=fabricate.Drift("inputs", 3, 2.0))
    with caplog.at_level(logging.INFO):
        (line,) = judge(deployed)
    assert line["verdict"] == "warning"
    assert "number_of_employees" in line["seen"]["shifted"]
    assert set(line["moves"]) <= set(line["seen"]["shifted"])
    assert list(line["moves"].values()) == sorted(line["moves"].values(), reverse=True)
    assert 0 < line["moves"]["number_of_employees"] <= 1
    assert "of the list of the riskiest" in line["said"] and "until the next drop shows it too" in line["said"]
    assert [record.levelno for record in caplog.records if "drop 3" in record.message] == [logging.WARNING]
    put(deployed, 4, drift=fabricate.Drift("inputs", 3, 2.0))
    (line,) = judge(deployed)
    assert line["verdict"] == "drifted" and "in two successive drops" in line["said"] and line["onset"] == 3


def test_an_estimate_is_compared_with_what_was_realised_and_a_wrong_one_is_told_by_how_much(deployed):
    put(deployed, 3)
    put(deployed, 4, 5, drift=changed(4))
    good, bad, _ = judge(deployed)
    assert good["estimate"]["f1_lower"] <= good["scores"]["f1"] <= good["estimate"]["f1_upper"]
    assert {one["metric"] for one in good["outcomes"]} == {"f1", "roc_auc"}
    assert good["estimated"] == []
    error = bad["estimate"]["f1"] - bad["scores"]["f1"]
    assert f"it was wrong by {error:.2f} (F1)" in bad["estimated"][0]
    assert "the relation between the columns and leaving has changed" in bad["estimated"][0]


# ---- few labels ------------------------------------------------------------------------------------------------------


def test_drops_with_few_labels_wait_and_are_judged_together(deployed):
    for month in (3, 4, 5, 6):
        put(deployed, month, clients=20)  # about four of twenty leave; ten of each label are needed
    lines = judge(deployed)
    groups = [line["drops"] for line in lines]
    assert [number for group in groups for number in group] == list(range(3, 3 + sum(map(len, groups))))
    assert len(groups) == 1 and len(groups[0]) > 1
    assert min(lines[0]["seen"]["positives"], lines[0]["seen"]["labelled"] - lines[0]["seen"]["positives"]) >= 10
    assert lines[0]["seen"]["drop"] == groups[0][-1]
    assert decide(deployed)["action"] == "kept"


def test_while_they_wait_nothing_is_judged_and_the_decision_says_so(deployed):
    put(deployed, 3, clients=20)
    decision = decide(deployed)
    assert (decision["action"], decision["drift"]) == ("kept", None)
    assert "too few to judge: they wait for more" in decision["reason"]
    put(deployed, 4)
    assert decide(deployed)["drift"]["drop"] == 4
    assert [line["drops"] for line in decisions.judgements(deployed)] == [[3, 4]]


def table(counts):
    """A frame with, drop by drop, so many rows that left, that stayed, and that have no label yet."""
    numbers, labels = [], []
    for number, (left, stayed, unknown) in enumerate(counts, 1):
        numbers += [number] * (left + stayed + unknown)
        labels += ["1"] * left + ["0"] * stayed + [None] * unknown
    return pd.DataFrame({"drop_number": numbers, "exited": pd.Series(labels, dtype="str")})


FEW_OR_MANY = st.sampled_from([0, 1, 4, 9, 10, 30])
COUNTS = st.lists(st.tuples(FEW_OR_MANY, FEW_OR_MANY, st.sampled_from([0, 0, 60, 120])), max_size=7)
MONTHLY = SimpleNamespace(
    columns=SimpleNamespace(target="exited", positive="1"),
    settings=SimpleNamespace(promotion=SimpleNamespace(min_class_rows=10)),
)


@settings(deadline=None)
@given(COUNTS)
def test_units_are_successive_drops_with_enough_rows_and_none_larger_than_it_must_be(counts):
    found = list(judging.units(table(counts), MONTHLY, []))
    present = [number for number, one in enumerate(counts, 1) if sum(one)]
    flat = [number for numbers in found for number in numbers]
    assert flat == present[: len(flat)]

    def enough(numbers):
        left, stayed, unknown = (sum(counts[number - 1][i] for number in numbers) for i in range(3))
        return min(left, stayed) >= 10 or unknown >= judging.UNLABELLED_ROWS

    for numbers in [*found, present[len(flat) :]]:
        assert not any(enough(numbers[:end]) for end in range(1, len(numbers)))
    assert all(enough(numbers) for numbers in found) and not enough(present[len(flat) :])


@settings(deadline=None)
@given(COUNTS, st.integers(0, 7))
def test_units_stay_what_they_were_when_more_drops_come(counts, known):
    before = list(judging.units(table(counts[:known]), MONTHLY, []))
    lines = [{"drops": numbers} for numbers in before]
    assert list(judging.units(table(counts), MONTHLY, lines)) == list(judging.units(table(counts), MONTHLY, []))
    assert list(judging.units(table(counts), MONTHLY, lines))[: len(before)] == before


# ---- labels that come later ------------------------------------------------------------------------------------------


@pytest.fixture
def late(tmp_path):
    """A product whose rows may come without their label, with a model in production."""
    product = make(tmp_path / "late", **LATE)
    monthly(product, 1)
    monthly(product, 2)
    decide(product)
    return product


def test_rows_without_labels_are_judged_by_their_inputs_and_estimated(late):
    monthly(late, 3, labelled=NOBODY)
    decision = decide(late)
    (line,) = decisions.judgements(late)
    assert (line["scores"], line["raw_rule"], line["seen"]["auc"]) == (None, None, None)
    assert (line["seen"]["rows"], line["seen"]["labelled"]) == (1500, 0)
    assert line["waiting"]["f1_lower"] < line["waiting"]["f1"] < line["waiting"]["f1_upper"]
    assert line["estimated"][0].startswith("1,500 rows wait for their label, estimated F1 0.")
    assert decision["action"] == "kept" and "no labels yet; the inputs look as they did" in decision["reason"]


def test_a_shift_of_inputs_is_found_without_a_label(late):
    for month in (3, 4):
        monthly(late, month, labelled=NOBODY, drift=fabricate.Drift("inputs", 3, 2.0))
        decide(late)
    warned, drifted = decisions.judgements(late)
    assert (warned["verdict"], drifted["verdict"], drifted["onset"]) == ("warning", "drifted", 3)


def test_when_the_labels_come_the_rows_are_judged_by_them_and_the_estimate_is_held_against_them(late):
    monthly(late, 3, labelled=NOBODY, drift=changed(3))
    decide(late)
    assert releases.current_version(late).startswith("0001")
    monthly(late, 3, drift=changed(3), name="labels-of-march.csv")
    decide(late)
    waited, judged = decisions.judgements(late)
    assert waited["verdict"] == "ok"  # the inputs are as they were, and the estimate cannot know
    assert (judged["verdict"], judged["seen"]["labelled"]) == ("drifted", 1500)
    assert judged["waiting"] is None
    assert judged["estimate"]["f1"] == pytest.approx(waited["waiting"]["f1"])
    assert f"it was wrong by {judged['estimate']['f1'] - judged['scores']['f1']:.2f} (F1)" in judged["estimated"][0]


def test_a_handful_of_labels_neither_keeps_many_rows_from_being_judged_nor_is_taken_for_a_score(late):
    monthly(late, 3, labelled=slice(0, 12))
    decide(late)
    (line,) = decisions.judgements(late)
    assert (line["seen"]["rows"], line["seen"]["labelled"]) == (1500, 0)
    assert (line["scores"], line["seen"]["auc"], line["waiting"]["rows"]) == (None, None, 1488)
    assert "1,488 rows wait for their label" in line["estimated"][0]


def test_of_rows_of_which_many_have_their_label_these_are_scored_and_the_others_estimated(late):
    monthly(late, 3, labelled=slice(0, 700))
    decide(late)
    (line,) = decisions.judgements(late)
    assert (line["scores"]["rows"], line["seen"]["labelled"], line["waiting"]["rows"]) == (700, 700, 800)
    assert line["estimate"]["rows"] == 700
