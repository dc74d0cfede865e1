"""Scoring: a version on held-out rows, and the clients by the model in production."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import deployment
import ingestion
import scoring
import training
from churn import clients as looked_up
from churn import dataset, estimators, releases
from demo import fabricate
from tests.loop import make
from tests.test_training import fill


@pytest.fixture
def product(tmp_path):
    return make(tmp_path)


def version(product):
    return releases.read_manifest(releases.folder_of(product, None))


def test_the_scores_are_those_of_scikit_learn_on_the_test_file(product):
    training.train(fill(product, tested=300))
    scoring.score(product)
    frame, _ = dataset.read_folder(product, product.test)
    release = releases.load(releases.folder_of(product, None))
    left, risk = (frame["exited"] == "1").astype(int), estimators.risks(release.model, frame)
    said = (risk >= release.threshold).astype(int)
    scores = version(product)["scores"]
    assert scores["rows"] == 300 and scores["on"] == "test rows"
    assert scores["f1"] == pytest.approx(metrics.f1_score(left, said))
    assert scores["precision"] == pytest.approx(metrics.precision_score(left, said))
    assert scores["recall"] == pytest.approx(metrics.recall_score(left, said))
    assert scores["roc_auc"] == pytest.approx(metrics.roc_auc_score(left, risk))
    assert scores["average_precision"] == pytest.approx(metrics.average_precision_score(left, risk))
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(left, risk))
    tn, fp, fn, tp = (int(count) for count in metrics.confusion_matrix(left, said).ravel())
    assert scores["confusion"] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def test_latestscore_is_the_bare_f1(product):
    training.train(fill(product, tested=300))
    scoring.score(product)
    text = (releases.folder_of(product, None) / "latestscore.txt").read_text()
    assert float(text) == version(product)["scores"]["f1"]


def test_without_a_test_file_the_training_rows_are_scored_each_out_of_fold(product):
    training.train(fill(product))
    assert "on 800 training rows, each judged out of fold" in scoring.score(product)
    scores = version(product)["scores"]
    assert (scores["rows"], scores["on"]) == (800, "training rows, each judged out of fold")
    fitted = estimators.risks(releases.load(releases.folder_of(product, None)).model, dataset.frame(product))
    left = dataset.frame(product)["exited"] == "1"
    assert scores["roc_auc"] < metrics.roc_auc_score(left, fitted)  # what it has seen it knows better


def test_scoring_a_version_again_writes_nothing_when_nothing_changed(product):
    training.train(fill(product, tested=300))
    scoring.score(product)
    path = releases.folder_of(product, None) / "manifest.json"
    before = path.stat().st_mtime_ns
    scoring.score(product)
    assert path.stat().st_mtime_ns == before


def test_the_score_of_a_decided_version_stays_when_the_test_file_changes(product):
    training.train(fill(product, tested=300))
    scoring.score(product)
    releases.write_verdict(releases.folder_of(product, None), None, {"yes": True, "reason": "", "numbers": {}})
    before = version(product)
    fabricate.save(fabricate.world(200, 2, 3, fabricate.Drift(), 900), product.test / "test.csv")
    scoring.score(product)
    assert version(product) == before


def clients(product):
    return pd.read_csv(product.reports / "clients.csv", dtype={"corporation": str}, keep_default_na=False)


def release(product):
    training.train(product)
    scoring.score(product)
    deployment.deploy(product)
    return scoring.score(product)


def test_each_current_client_has_one_row_from_the_newest_data_most_at_risk_first(product):
    release(fill(product, tested=100))
    table = clients(product)
    newest = fabricate.world(400, 2, 3, fabricate.Drift()).set_index("corporation")
    assert len(table) == 400 and table["corporation"].is_unique
    activity = table.set_index("corporation")["lastmonth_activity"]
    assert (activity == newest["lastmonth_activity"].loc[activity.index]).all()
    assert table["risk"].is_monotonic_decreasing and table["risk"].between(0, 1).all()
    assert table["lastmonth_activity"].dtype == int  # counts are written as counts
    assert list(table.columns[:3]) == ["rank", "risk", "model_version"]


def test_equal_inputs_give_an_equal_list(product):
    release(fill(product, tested=100))
    before = (product.reports / "clients.csv").read_bytes()
    scoring.score_clients(product)
    assert (product.reports / "clients.csv").read_bytes() == before


def test_one_client_of_the_list_can_be_looked_up(product):
    release(fill(product, tested=100))
    table = clients(product)
    path = product.reports / "clients.parquet"
    before = path.read_bytes()
    for row in table.head(20).to_dict("records"):
        found = looked_up.row_of(product, row["corporation"])
        assert found["lastmonth_activity"].item() == row["lastmonth_activity"]
    scoring.score_clients(product)
    assert path.read_bytes() == before


def test_a_clients_file_that_the_product_names_says_who_the_clients_are(tmp_path):
    product = fill(make(tmp_path, clients_path="clients/now.csv"), tested=100)
    (tmp_path / "clients").mkdir()
    table = fabricate.world(50, 3, 3, fabricate.Drift()).drop(columns="exited")
    table.to_csv(tmp_path / "clients" / "now.csv", index=False)
    release(product)
    assert sorted(clients(product)["corporation"]) == sorted(table["corporation"])


def test_without_an_id_each_stored_row_is_a_client(tmp_path):
    product = make(tmp_path, target="exited", positive="1", integer=["x"], categorical=["c"])
    rows = pd.DataFrame({"x": range(200), "c": ["a", "b"] * 100, "exited": [0, 0, 0, 1] * 50})
    rows.to_csv(product.source / "rows.csv", index=False)
    ingestion.ingest(product)
    release(product)
    assert len(clients(product)) == 200
    assert not (product.reports / "clients.parquet").exists()  # nobody could be looked up in it


def test_clients_named_like_missing_values_keep_their_names(product):
    names = ["null", "NA", "007", "nan", "None", "Ünï"]
    frame = fabricate.world(400, 1, 3, fabricate.Drift())
    frame.loc[: len(names) - 1, "corporation"] = names
    fabricate.save(frame, product.source / "odd.csv")
    ingestion.ingest(product)
    release(product)
    assert set(names) <= set(clients(product)["corporation"])


# ---- the first model's rival -----------------------------------------------------------------------------------------


def test_a_model_that_has_found_something_beats_the_constant_guess(product):
    training.train(fill(product, clients=1000))
    verdict = scoring.against_constant(product, releases.versions(product)[-1])
    assert verdict.yes and "of the constant guess on 2,000 rows" in verdict.reason
    found = verdict.numbers["recipes"]["all"]
    left = dataset.frame(product)["exited"] == "1"
    assert found["average_precision"]["champion"] == pytest.approx(left.mean())
    assert found["roc_auc"]["champion"] == 0.5
    always = 2 * left.sum() / (len(left) + left.sum())
    assert found["guard"]["champion"] == pytest.approx(always)


def test_a_model_of_noise_does_not(product):
    frame = fabricate.world(1000, 1, 3, fabricate.Drift())
    frame["exited"] = np.random.default_rng(0).permutation(frame["exited"])
    fabricate.save(frame, product.source / "noise.csv")
    ingestion.ingest(product)
    training.train(product)
    assert not scoring.against_constant(product, releases.versions(product)[-1]).yes


def test_on_test_files_it_is_held_against_the_guess_on_these(product):
    training.train(fill(product, tested=30))
    verdict = scoring.against_constant(product, releases.versions(product)[-1])
    least = product.settings.promotion.min_class_rows
    assert not verdict.yes and f"so few rows decide nothing, at least {least} of each label" in verdict.reason
    assert verdict.numbers["recipes"]["all"]["rows"] == 30
