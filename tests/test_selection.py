"""A model is judged on rows that its likes have not seen: its calibration, its threshold, and whether it is chosen."""

import json
import logging
import warnings
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from churn import estimators, measures, splits
from churn.columns import Columns
from churn.errors import DataError
from churn.estimators import Design
from churn.fitting import calibration, candidates, selection
from churn.fitting.candidates import TABLE, Candidate

COLUMNS = Columns(target="y", positive="1", negative="0", id="client", numeric=("a", "b"), categorical=("c",))
FEW_TREES = Design("lightgbm", {"n_estimators": 15, "num_leaves": 8})
DESIGNS = {"logistic": Design("logistic"), "lightgbm": FEW_TREES}
SMALL = (
    Candidate("logistic", {"C": 0.1}),
    Candidate("logistic"),
    Candidate("lightgbm", {"num_leaves": 3}, (20, 60)),
    Candidate("lightgbm"),
)


def clients(count, seed=0, rows_each=1, together=0.0):
    """Rows, who left and groups; a and b raise the risk on their own, and `together` when both are high or both low."""
    generator = np.random.default_rng(seed)
    rows = count * rows_each
    frame = pd.DataFrame(
        {
            "client": pd.Series([f"client-{i % count}" for i in range(rows)], dtype="str"),
            "a": generator.normal(size=rows),
            "b": generator.normal(size=rows),
            "c": pd.Series(generator.choice(["x", "y", None], rows), dtype="str"),
        }
    )
    odds = frame["a"] + 0.5 * frame["b"] + together * np.sign(frame["a"] * frame["b"]) - 1
    left = (generator.random(rows) < expit(odds)).to_numpy()
    return frame, left, splits.groups(frame, COLUMNS)


def fit(frame, left, groups, design=DESIGNS["logistic"], **more):
    return selection.fit(frame, left, COLUMNS, design, **{"groups": groups, "seed": 0, "threads": 1, **more})


def select(frame, left, groups, **more):
    options = {"groups": groups, "seed": 0, "threads": 1, "seconds": 600.0, **more}
    return selection.select(frame, left, COLUMNS, **options)


@pytest.fixture(scope="module", params=sorted(DESIGNS))
def fitted(request):
    """A model of each kind on 500 clients with two rows each, and what it was fitted on."""
    rows = clients(500, rows_each=2)
    return fit(*rows, DESIGNS[request.param]), rows, DESIGNS[request.param]


# ---- out of fold -----------------------------------------------------------------------------------------------------


def test_each_row_is_judged_by_a_model_that_saw_none_of_its_clients_rows(fitted):
    found, (frame, left, groups), design = fitted
    known = found.out_of_fold
    for number in range(5):
        part = known.fold == number
        assert not set(groups[part]) & set(groups[~part])
    others = known.fold != 3
    model = estimators.pipeline(design, COLUMNS, seed=0, threads=1)
    model.named_steps["encoder"] = found.model.named_steps["encoder"]
    matrix = found.model.named_steps["encoder"].transform(frame)
    again = model.named_steps["estimator"].fit(matrix[others], left[others])
    assert again.log_odds(matrix[~others]).tolist() == known.log_odds[~others].tolist()


def test_out_of_fold_risks_are_calibrated_as_the_model_is(fitted):
    found, (_, left, _), _ = fitted
    known = found.out_of_fold
    slope, intercept = estimators.calibration(found.model)
    assert known.risk.tolist() == expit(slope * known.log_odds + intercept).tolist()
    assert known.left.tolist() == left.tolist()
    assert known.weights.tolist() == [1.0] * len(left)


def test_the_model_is_fitted_on_all_rows(fitted):
    found, (frame, left, _), design = fitted
    whole = estimators.pipeline(design, COLUMNS, seed=0, threads=1).fit(frame, left)
    assert estimators.log_odds(found.model, frame).tolist() == estimators.log_odds(whole, frame).tolist()
    slope, intercept = estimators.calibration(found.model)
    expected = expit(slope * estimators.log_odds(whole, frame) + intercept)
    assert estimators.risks(found.model, frame).tolist() == expected.tolist()


def test_the_same_rows_give_the_same_model_to_the_bit(fitted):
    found, rows, design = fitted
    again = fit(*rows, design)
    assert again.threshold == found.threshold
    assert again.out_of_fold.risk.tobytes() == found.out_of_fold.risk.tobytes()
    assert estimators.risks(again.model, rows[0]).tobytes() == estimators.risks(found.model, rows[0]).tobytes()


def test_a_row_that_weighs_nothing_to_speak_of_is_as_good_as_absent():
    frame, left, groups = clients(400)
    spoilt = np.arange(400) % 4 == 0
    wrong = np.where(spoilt, ~left, left)
    weights = np.where(spoilt, 1e-9, 1.0)
    sound = fit(frame[~spoilt].reset_index(drop=True), left[~spoilt], groups[~spoilt])
    assert estimators.risks(fit(frame, wrong, groups, weights=weights).model, frame) == pytest.approx(
        estimators.risks(sound.model, frame), abs=0.03
    )
    assert (
        np.abs(estimators.risks(fit(frame, wrong, groups).model, frame) - estimators.risks(sound.model, frame)).max()
        > 0.1
    )


def test_with_too_few_clients_for_folds_the_model_is_not_calibrated_and_says_leaves_from_one_half():
    frame, left, _ = clients(40)
    three = np.arange(40, dtype=np.uint64) % 3
    found = fit(frame, left, three)
    assert found.out_of_fold is None
    assert found.threshold == 0.5
    assert estimators.calibration(found.model) == (1.0, 0.0)


def test_with_all_who_left_in_one_fold_there_is_nothing_to_judge_by():
    frame, _, groups = clients(40)
    assert fit(frame, np.arange(40) == 7, groups).out_of_fold is None


@pytest.mark.parametrize("label", [False, True])
def test_rows_of_one_label_make_no_model(label):
    frame, _, groups = clients(20)
    with pytest.raises(DataError, match="all 20 rows have the same label"):
        fit(frame, np.full(20, label), groups)


# ---- the sigmoid -----------------------------------------------------------------------------------------------------


def drawn(slope, intercept, rows=20_000, seed=0):
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(size=rows) * 2
    return log_odds, generator.random(rows) < expit(slope * log_odds + intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.0), (3.0, 2.0)])
def test_the_sigmoid_that_made_the_labels_is_found(slope, intercept):
    log_odds, left = drawn(slope, intercept)
    assert calibration.sigmoid(log_odds, left, np.ones(len(left))) == pytest.approx((slope, intercept), abs=0.15)


def test_it_is_the_one_that_scikit_learn_finds_on_many_rows():
    log_odds, left = drawn(0.4, -1.0)
    weights = np.random.default_rng(1).random(len(left)) + 0.1
    theirs = LogisticRegression(C=np.inf, tol=1e-8).fit(log_odds[:, None], left, weights)
    expected = (theirs.coef_[0, 0], theirs.intercept_[0])
    assert calibration.sigmoid(log_odds, left, weights) == pytest.approx(expected, abs=2e-3)


def test_a_model_that_ranks_the_wrong_way_round_is_not_turned_round():
    log_odds, left = drawn(1.0, 0.0)
    assert calibration.sigmoid(-log_odds, left, np.ones(len(left))) == (1.0, 0.0)


def test_few_rows_that_are_told_apart_make_no_certainty():
    log_odds, left = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True])
    slope, intercept = calibration.sigmoid(log_odds, left, np.ones(4))
    assert 0.6 < expit(slope * 2 + intercept) < 0.9


def test_one_absurd_row_does_not_decide_on_the_slope():
    log_odds, left = drawn(0.8, 0.0)
    usual = calibration.sigmoid(log_odds, left, np.ones(len(left)))
    log_odds[np.flatnonzero(~left)[0]] = 1e100
    assert calibration.sigmoid(log_odds, left, np.ones(len(left))) == pytest.approx(usual, abs=0.05)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.booleans(), st.floats(0.01, 10)), min_size=2, max_size=30))
def test_any_log_odds_have_a_finite_sigmoid_that_rises(rows):
    log_odds, left, weights = (np.array(column) for column in zip(*rows, strict=True))
    slope, intercept = calibration.sigmoid(log_odds, left.astype(bool), weights)
    assert slope > 0
    assert np.isfinite([slope, intercept]).all()


def test_calibration_makes_an_overconfident_model_honest():
    frame, left, groups = clients(1500)
    hard = Design("lightgbm", {"n_estimators": 150, "min_child_samples": 5})
    new, new_left, _ = clients(4000, seed=1)
    model = fit(frame, left, groups, hard).model
    before = measures.calibration_error(new_left, expit(estimators.log_odds(model, new)))
    assert measures.calibration_error(new_left, estimators.risks(model, new)) < 0.03 < before


# ---- the threshold ---------------------------------------------------------------------------------------------------


def test_the_threshold_is_the_best_on_out_of_fold_risks(fitted):
    found, _, _ = fitted
    known = found.out_of_fold
    assert found.threshold == measures.best_f1_threshold(known.left, known.risk)


def test_or_it_marks_the_share_of_clients_that_can_be_called(fitted):
    _, rows, design = fitted
    found = fit(*rows, design, share=0.03)
    assert (found.out_of_fold.risk >= found.threshold).mean() == pytest.approx(0.03, abs=0.002)


risks = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), st.floats(0.1, 3)), min_size=1, max_size=20)


@given(risks, st.floats(0, 1))
def test_never_more_than_the_share_is_marked_and_with_the_next_risk_it_would_be(rows, share):
    risk, weights = (np.array(column) for column in zip(*rows, strict=True))
    threshold = calibration.share_threshold(risk, share, weights)
    marked = risk >= threshold
    allowed = share * weights.sum() * (1 + 1e-9)
    assert weights[marked].sum() <= allowed
    if not marked.all():
        assert weights[risk >= risk[~marked].max()].sum() > share * weights.sum() * (1 - 1e-9)


# ---- choosing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """A table of four candidates, so that choosing takes a moment."""
    monkeypatch.setattr(selection, "TABLE", SMALL)


@pytest.mark.usefixtures("small")
def test_where_columns_add_up_a_logistic_regression_is_chosen_and_where_they_interact_trees_are():
    assert select(*clients(600)).design.kind == "logistic"
    assert select(*clients(600, together=2.0)).design.kind == "lightgbm"


@pytest.mark.usefixtures("small")
def test_the_simplest_within_one_error_of_the_least_log_loss_is_chosen():
    found = select(*clients(500))
    best = min(found.table, key=lambda row: row["log_loss"])
    within = [row for row in found.table if row["behind"] <= row["behind_se"]]
    assert [row["kind"] for row in found.table] == [candidate.kind for candidate in SMALL]
    assert best["behind"] == best["behind_se"] == 0
    assert found.design == Design(within[0]["kind"], within[0]["settings"])
    assert [row["chosen"] for row in found.table] == [row is within[0] for row in found.table]
    assert found.table[0]["behind"] == pytest.approx(found.table[0]["log_loss"] - best["log_loss"])


@pytest.mark.usefixtures("small")
def test_the_table_goes_into_a_manifest_as_it_is():
    found = select(*clients(300))
    assert json.loads(json.dumps(found.table, allow_nan=False)) == found.table
    for row in found.table:
        for metric in candidates.METRICS:
            assert row[metric] > 0
            assert row[f"{metric}_se"] > 0
        assert row["seconds"] > 0
    assert found.complete
    assert selection.describe(found.design) in found.reason


@pytest.mark.usefixtures("small")
def test_the_same_rows_choose_the_same_whatever_the_clock_says():
    def untimed(found):
        return [{**row, "seconds": 0} for row in found.table]

    first, second = (select(*clients(300)) for _ in range(2))
    assert untimed(first) == untimed(second)
    assert first.reason == second.reason
    assert untimed(select(*clients(300), seed=1)) != untimed(first)


def test_with_too_few_rows_for_a_tree_to_split_no_time_goes_into_its_settings():
    few = selection.FEWEST_FOR_TREES - 1
    table = select(*clients(few)).table
    assert [row["settings"] for row in table if row["kind"] == "lightgbm"] == [{}]
    assert len([row for row in table if row["kind"] == "logistic"]) > 1
    frame, left, _ = clients(few)
    matrix = estimators.Encoder(COLUMNS.numbers, COLUMNS.categorical).fit_transform(frame)
    for candidate in TABLE:
        if candidate.kind == "lightgbm":
            blank = estimators.ESTIMATORS["lightgbm"](0, 1, candidate.designs()[0].settings)
            assert len(set(estimators.Calibrated(blank).fit(matrix, left).log_odds(matrix))) == 1


def test_scores_are_those_of_the_designs_fitted_one_by_one():
    """Several numbers of trees are read from one fit: they are what fits with so many trees give."""
    frame, left, groups = clients(300)
    matrix = estimators.Encoder(COLUMNS.numbers, COLUMNS.categorical).fit_transform(frame)
    parts = candidates.client_splits(groups, left, 5, 0)
    several = Candidate("lightgbm", {"learning_rate": 0.05, "num_leaves": 8}, (10, 25, 60))
    found = candidates.evaluate(several, matrix, left, parts, seed=0, threads=1)
    for design, scores in zip(several.designs(), found, strict=True):
        alone = candidates.evaluate(Candidate(design.kind, design.settings), matrix, left, parts, seed=0, threads=1)
        assert scores == pytest.approx(alone[0], abs=1e-9)
    fold = [test for _, test in parts]
    assert sum(test.sum() for test in fold) == len(left)


def test_log_loss_and_the_others_are_those_of_calibrated_out_of_fold_risks():
    frame, left, groups = clients(400)
    known = fit(frame, left, groups).out_of_fold
    matrix = estimators.Encoder(COLUMNS.numbers, COLUMNS.categorical).fit_transform(frame)
    parts = candidates.client_splits(groups, left, 5, 0)
    found = candidates.evaluate(Candidate("logistic"), matrix, left, parts, seed=0, threads=1)
    assert found.shape == (1, 5, 4)
    for number, scores in enumerate(found[0]):
        part = known.fold == number
        one = measures.scores(left[part], known.risk[part], 0.5)
        brier = ((known.risk[part] - left[part]) ** 2).mean()
        assert scores == pytest.approx([one["log_loss"], one["roc_auc"], one["average_precision"], brier])


def test_the_closed_table_goes_from_simple_to_not_and_has_the_defaults_of_each_kind():
    kinds = [candidate.kind for candidate in TABLE]
    assert kinds == sorted(kinds, key=["logistic", "lightgbm"].index)
    assert set(kinds) == set(estimators.ESTIMATORS)
    for kind in estimators.ESTIMATORS:
        assert [c.designs() for c in TABLE if c.kind == kind and not c.settings] == [[Design(kind)]]
    leaves = [candidate.settings.get("num_leaves", 31) for candidate in TABLE if candidate.kind == "lightgbm"]
    assert leaves == sorted(leaves)


def test_every_design_of_the_closed_table_can_be_fitted_without_a_warning():
    frame, left, groups = clients(150)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for candidate in TABLE:
            found = fit(frame, left, groups, candidate.designs()[0], folds=2)
            assert json.loads(json.dumps(asdict(candidate.designs()[0])))["kind"] == candidate.kind
            assert 0 < found.threshold < 1


# ---- what it may cost ------------------------------------------------------------------------------------------------


def test_without_time_the_defaults_of_the_kinds_are_compared():
    found = select(*clients(300), seconds=0)
    assert [(row["kind"], row["settings"]) for row in found.table] == [("logistic", {}), ("lightgbm", {})]
    assert found.complete


@pytest.mark.parametrize("kind", sorted(estimators.ESTIMATORS))
def test_without_time_and_with_one_kind_there_is_nothing_to_compare(kind):
    found = select(*clients(300), seconds=0, kinds=(kind,))
    assert (found.design, found.table) == (Design(kind), [])
    assert found.reason == f"{kind} (defaults), without a comparison"


@pytest.mark.usefixtures("small")
def test_a_named_kind_is_tuned_among_its_own():
    found = select(*clients(300), kinds=("logistic",))
    assert {row["kind"] for row in found.table} == {"logistic"}
    assert len(found.table) == 2


@pytest.mark.usefixtures("small")
def test_when_the_time_is_up_the_defaults_have_been_compared_and_the_rest_is_said_to_be_cut_off():
    found = select(*clients(300), seconds=1e-9)
    assert [(row["kind"], row["settings"]) for row in found.table] == [("logistic", {}), ("lightgbm", {})]
    assert not found.complete
    assert "cut off" in found.reason


def test_no_fit_begins_when_the_time_is_up(monkeypatch):
    """Looked at before each candidate only, the widest trees went on for twice the time that selection was given."""
    frame, left, groups = clients(300)
    clock, begun = iter(range(100)), []

    class Watched(estimators.Calibrated):
        def fit(self, *given):
            begun.append(self)
            return super().fit(*given)

    monkeypatch.setattr(candidates.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(candidates, "Calibrated", Watched)
    parts = candidates.client_splits(groups, left, 5, 0)
    found = candidates.evaluate(
        Candidate("lightgbm", {"n_estimators": 5}),
        frame[["a", "b"]].to_numpy(),
        left,
        parts,
        seed=0,
        threads=1,
        deadline=2,
    )
    assert (found, len(begun)) == (None, 3)  # at 0, 1 and 2 s


@pytest.mark.parametrize("kind", sorted(DESIGNS))
def test_threads_change_nothing_but_the_time(kind):
    frame, left, groups = clients(300)
    one, several = (fit(frame, left, groups, DESIGNS[kind], threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(estimators.risks(one.model, frame), estimators.risks(several.model, frame))
    np.testing.assert_array_equal(one.out_of_fold.log_odds, several.out_of_fold.log_odds)
    assert one.threshold == several.threshold


@pytest.mark.usefixtures("small")
def test_a_repeat_that_was_cut_off_counts_for_no_candidate(monkeypatch):
    """Otherwise candidates would be compared on different parts."""
    frame, left, groups = clients(300)
    whole = select(frame, left, groups, repeats=1)
    clock = iter(range(1_000))
    monkeypatch.setattr(candidates.time, "monotonic", lambda: next(clock))
    cut = select(frame, left, groups, repeats=2, seconds=70)  # in the second candidate's second repeat
    assert not cut.complete
    assert [{**row, "seconds": 0} for row in cut.table] == [{**row, "seconds": 0} for row in whole.table]


@pytest.mark.usefixtures("small")
def test_progress_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        select(*clients(200), repeats=1)
    said = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(",")[0] for line in said] == [f"selection: candidate {i} of 4" for i in (1, 2, 3, 4)]


@pytest.mark.usefixtures("small")
def test_of_very_many_rows_whole_clients_are_looked_at(monkeypatch):
    seen = []
    frame, left, groups = clients(500, rows_each=2)

    def look(left, groups, *_):
        seen.append((groups, left))

    monkeypatch.setattr(candidates, "plan", look)
    monkeypatch.setattr(selection, "MOST_ROWS", 400)
    select(frame, left, groups)
    chosen, of_them = seen[0]
    assert 300 <= len(chosen) <= 400
    assert np.isin(groups, chosen).sum() == len(chosen)
    assert of_them.mean() == pytest.approx(left.mean(), abs=0.03)


def test_with_too_few_of_a_label_the_defaults_of_the_first_kind_are_taken():
    frame, _, groups = clients(60)
    found = select(frame, np.arange(60) < 3, groups)
    assert (found.design, found.table) == (Design("logistic"), [])
    assert "too few" in found.reason


# ---- in time ---------------------------------------------------------------------------------------------------------


def test_with_dates_models_are_trained_on_earlier_ones_and_tested_on_later_ones():
    left = np.arange(160) % 3 == 0
    as_of = np.array([f"2026-{month:02d}-01" for month in range(1, 9) for _ in range(20)])
    parts = candidates.time_splits(as_of, left)
    assert len(parts) == 5
    for train, test in parts:
        assert max(as_of[train]) < min(as_of[test])
    assert all((later[0] | ~earlier[0]).all() for earlier, later in pairwise(parts))
    tested = np.array([test for _, test in parts])
    assert (tested.sum(axis=0) == ~parts[0][0]).all()  # each row after the first window once


def test_with_few_dates_clients_stay_together_as_without():
    assert (
        candidates.time_splits(np.repeat(["2026-01-01", "2026-02-01", "2026-03-01"], 20), np.arange(60) % 2 == 0)
        is None
    )


@pytest.mark.usefixtures("small")
def test_a_relation_that_changed_is_seen_in_time_and_not_across_it():
    """What held in the first months only looks good to folds that mix the months."""
    frame, _, groups = clients(1200)
    month = np.repeat(np.arange(6), 200)
    odds = np.where(month < 3, 3.0, -1.0) * frame["a"].to_numpy()
    left = np.random.default_rng(0).random(1200) < expit(odds)
    in_time = select(frame, left, groups, as_of=np.array([f"2026-{m + 1:02d}-01" for m in month]))
    mixed = select(frame, left, groups)
    assert in_time.table[1]["roc_auc"] < mixed.table[1]["roc_auc"] - 0.05


def test_log_odds_and_risks_are_two_scales_of_one_thing():
    found = fit(*clients(300))
    slope, intercept = estimators.calibration(found.model)
    frame, _, _ = clients(50, seed=3)
    assert logit(estimators.risks(found.model, frame)) == pytest.approx(
        slope * estimators.log_odds(found.model, frame) + intercept
    )
