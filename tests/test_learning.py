"""Which rows may be learned from, and models fitted on drops that weigh more or less."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

import ingestion
from churn import dataset, estimators
from churn.errors import DataError
from churn.estimators import Design
from churn.fitting import learning
from demo import fabricate
from tests.loop import make, put

LATE = {"target": "left", "positive": "1", "id": "client", "as_of": "day", "integer": ["x"], "late_labels": True}


def filled(product, *months, clients=400):
    put(product, *months, clients=clients)
    ingestion.ingest(product)
    return product


@pytest.fixture(scope="module")
def three_drops(tmp_path_factory):
    product = filled(make(tmp_path_factory.mktemp("learning")), 1, 2)
    put(product, 3, clients=400, drift=fabricate.Drift("rate", 3, 3.0))
    ingestion.ingest(product)
    return product, learning.rows(product)


def test_clients_of_the_test_files_are_left_out_whatever_the_month_and_counted(product):
    stored = dataset.frame(filled(product, 1, 2))
    names = sorted(stored["corporation"].unique())[:40]
    tested = stored[stored["corporation"].isin(names)].head(50)
    tested[list(product.columns.stored)].to_csv(product.test / "leak.csv", index=False)
    rows = learning.rows(product)
    assert not set(rows.frame["corporation"]) & set(tested["corporation"])
    out = stored["corporation"].isin(set(tested["corporation"])).sum()
    assert rows.left_out == {"in_test_files": out, "without_label": 0}
    assert len(rows.left) == len(stored) - out


def test_without_an_id_a_test_row_is_left_out_with_its_identical_rows(tmp_path):
    product = make(tmp_path, target="exited", positive="1", integer=["x"], categorical=["c"])
    table = pd.DataFrame({"x": range(100), "c": ["a", "b"] * 50, "exited": [0, 0, 1, 1] * 25})
    table.to_csv(product.source / "rows.csv", index=False)
    table.iloc[::10].to_csv(product.test / "test.csv", index=False)
    ingestion.ingest(product)
    rows = learning.rows(product)
    assert rows.left_out == {"in_test_files": 10, "without_label": 0}
    assert sorted(rows.frame["x"]) == [x for x in range(100) if x % 10]


def test_rows_that_wait_for_their_label_are_left_out_until_it_comes(tmp_path):
    product = make(tmp_path, **LATE)
    lines = [f"c{i},2026-01-01,{i},{'' if i % 4 == 0 else i % 2}" for i in range(40)]
    (product.source / "january.csv").write_text("client,day,x,left\n" + "\n".join(lines) + "\n")
    ingestion.ingest(product)
    rows = learning.rows(product)
    assert rows.left_out == {"in_test_files": 0, "without_label": 10}
    assert sorted(rows.frame["x"]) == [i for i in range(40) if i % 4]
    (product.source / "late.csv").write_text("client,day,x,left\nc0,2026-01-01,0,1\n")
    ingestion.ingest(product)
    rows = learning.rows(product)
    assert rows.left_out["without_label"] == 9
    assert rows.left[-1] and rows.drop[-1] == 2  # with the drop that brought the label


def test_too_few_of_a_label_are_told_with_all_counts(product):
    frame = fabricate.world(100, 1, 3, fabricate.Drift()).assign(exited=0)
    frame.loc[:3, "exited"] = 1
    fabricate.save(frame, product.source / "one.csv")
    fabricate.save(frame.tail(10), product.test / "test.csv")
    ingestion.ingest(product)
    with pytest.raises(
        DataError,
        match=r"90 rows to train on \(4 left, 86 stayed; 10 left out as test rows, 0 without a label yet\), "
        "at least 5 of each label are needed; production stays as it is",
    ):
        learning.check_labels(learning.rows(product))


def test_only_the_drops_that_are_named_are_learned_from(three_drops):
    product, rows = three_drops
    fitted = learning.fit(product, rows, Design("logistic"), {1: 1.0, 3: 1.0})
    assert len(fitted.out_of_fold.left) == (rows.drop != 2).sum()
    again = learning.fit(product, rows.of(rows.drop != 2), Design("logistic"), {1: 0.5, 2: 1.0, 3: 0.5})
    assert estimators.risks(fitted.model, rows.frame) == pytest.approx(
        estimators.risks(again.model, rows.frame), abs=0.02
    )


def test_a_drop_that_weighs_more_pulls_the_model_to_itself(three_drops):
    product, rows = three_drops
    means = []
    for weight in (0.1, 1.0, 10.0):
        fitted = learning.fit(product, rows, Design("logistic"), {1: 1.0, 2: 1.0, 3: weight})
        assert set(fitted.out_of_fold.weights) == {1.0, weight}
        means.append(estimators.risks(fitted.model, rows.frame).mean())
    assert means[0] + 0.1 < means[1] < means[2] - 0.1  # in the third month more leave


def test_nothing_to_learn_from_in_the_drops_that_are_named_is_an_error(three_drops):
    product, rows = three_drops
    with pytest.raises(DataError, match="0 rows to train on"):
        learning.fit(product, rows, Design("logistic"), {7: 1.0})


def test_the_threshold_is_the_best_f1_or_the_share_that_capacity_is(three_drops, tmp_path):
    _, rows = three_drops
    for block, expected in (({}, None), ({"threshold": "capacity", "capacity": 40, "holdout": 0.0}, 0.1)):
        product = make(tmp_path / str(expected), **block)
        fitted = learning.fit(product, rows, Design("logistic"), {1: 1.0, 2: 1.0})
        share = (fitted.out_of_fold.risk >= fitted.threshold).mean()
        if expected is None:
            left, risk = fitted.out_of_fold.left, fitted.out_of_fold.risk
            best = metrics.f1_score(left, risk >= fitted.threshold)
            assert best >= max(metrics.f1_score(left, risk >= one) for one in np.quantile(risk, np.arange(0.1, 1, 0.1)))
        else:
            assert share == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("capacity", "holdout", "share"),
    [(None, 0.2, 1.0), (1, 0.0, 1 / 400), (100, 0.0, 0.25), (100, 0.5, 0.5), (400, 0.0, 1.0), (5000, 0.2, 1.0)],
)
def test_how_deep_the_list_reaches_counts_clients_and_not_rows(three_drops, tmp_path, capacity, holdout, share):
    _, rows = three_drops
    product = make(tmp_path, holdout=holdout, **({"capacity": capacity} if capacity else {}))
    assert learning.capacity_share(product, rows.groups) == pytest.approx(share)
    assert learning.capacity_share(product, rows.groups[:0]) == 1.0


@settings(deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12))
def test_recent_rows_are_those_of_as_many_newest_drops_as_it_takes(sizes):
    drop = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    chosen = learning.recent(drop)
    taken = np.unique(drop[chosen])
    assert taken.tolist() == list(range(taken[0], len(sizes) + 1))  # the newest, without a gap, none in part
    assert np.isin(drop, taken).tolist() == chosen.tolist()
    enough = min(learning.REFERENCE_ROWS, len(drop))
    assert chosen.sum() >= enough
    assert (chosen & (drop > taken[0])).sum() < enough  # and no drop more


def test_the_reference_is_the_auc_with_its_error_and_the_share_that_left():
    generator = np.random.default_rng(1)
    risk = generator.random(3000)
    left = generator.random(3000) < risk
    found = learning.reference(left, risk)
    assert found.auc == pytest.approx(metrics.roc_auc_score(left, risk))
    resampled = []
    for _ in range(200):
        rows = generator.integers(0, 3000, 3000)
        resampled.append(metrics.roc_auc_score(left[rows], risk[rows]))
    assert found.auc_error == pytest.approx(np.std(resampled), rel=0.2)
    assert (found.label_rate, found.label_rows) == (left.mean(), 3000)
    alone = learning.reference(left[left], risk[left])
    assert (alone.auc, alone.auc_error, alone.label_rate) == (None, None, 1.0)


@pytest.mark.parametrize(("model", "kinds"), [("auto", {"logistic", "lightgbm"}), ("logistic", {"logistic"})])
def test_which_kinds_are_compared_is_what_the_config_says(three_drops, tmp_path, model, kinds):
    _, rows = three_drops
    product = make(tmp_path, model=model, tuning_seconds=0 if model == "auto" else 1)
    record = learning.selected(product, rows, "hash")
    assert {row["kind"] for row in record["table"]} == kinds
    assert record["rows"] == len(rows.left) and record["configuration"] == "hash"
    assert record["design"]["kind"] in kinds and record["reason"]


def test_a_named_model_without_time_is_its_default_without_a_comparison(three_drops):
    product, rows = three_drops
    chosen = learning.select(product, rows)
    assert (chosen.design, chosen.table) == (Design("logistic"), [])


def test_with_dates_the_models_are_compared_on_later_ones(tmp_path):
    product = make(tmp_path, **LATE, model="auto")
    generator = np.random.default_rng(2)
    lines = []
    for month in range(1, 6):
        for client in range(150):
            x = int(generator.integers(0, 100))
            lines.append(f"c{client},2026-{month:02}-01,{x},{int(generator.random() < x / 100)}")
    (product.source / "months.csv").write_text("client,day,x,left\n" + "\n".join(lines) + "\n")
    ingestion.ingest(product)
    rows = learning.rows(product)
    by_time = learning.select(product, rows)
    by_client = learning.select(make(tmp_path / "other", **LATE | {"as_of": None, "late_labels": False}), rows)
    assert [row["log_loss"] for row in by_time.table] != [row["log_loss"] for row in by_client.table]
