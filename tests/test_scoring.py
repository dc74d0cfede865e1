"""Scoring: a version on held-out rows, and the clients by the model in production."""

import pandas as pd
import pytest
from sklearn import metrics

import deployment
import ingestion
import scoring
import training
from churn import dataset, estimators, releases
from churn.errors import DataError
from demo import fabricate
from tests.conftest import make_product
from tests.test_training import fill


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


def test_without_a_test_file_the_held_out_clients_are_scored(product):
    training.train(fill(product))
    assert "rows of held-out clients" in scoring.score(product)
    manifest = version(product)
    assert manifest["scores"]["rows"] == manifest["data"]["held_out_clients"]


def test_without_any_held_out_row_the_error_says_what_to_do(tmp_path):
    product = fill(make_product(tmp_path, test_share=0.0))
    training.train(product)
    with pytest.raises(DataError, match="put a labelled file into .* or raise test_share"):
        scoring.score(product)


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


def test_a_clients_file_that_the_product_names_says_who_the_clients_are(tmp_path):
    product = fill(make_product(tmp_path, clients_path="clients/now.csv"), tested=100)
    (tmp_path / "clients").mkdir()
    table = fabricate.world(50, 3, 3, fabricate.Drift()).drop(columns="exited")
    table.to_csv(tmp_path / "clients" / "now.csv", index=False)
    release(product)
    assert sorted(clients(product)["corporation"]) == sorted(table["corporation"])


def test_without_an_id_each_stored_row_is_a_client(tmp_path):
    product = make_product(tmp_path, target="exited", positive="1", integer=["x"], categorical=["c"], test_share=0.3)
    rows = pd.DataFrame({"x": range(200), "c": ["a", "b"] * 100, "exited": [0, 0, 0, 1] * 50})
    rows.to_csv(product.source / "rows.csv", index=False)
    ingestion.ingest(product)
    release(product)
    assert len(clients(product)) == 200


def test_clients_named_like_missing_values_keep_their_names(product):
    names = ["null", "NA", "007", "nan", "None", "Ünï"]
    frame = fabricate.world(400, 1, 3, fabricate.Drift())
    frame.loc[: len(names) - 1, "corporation"] = names
    fabricate.save(frame, product.source / "odd.csv")
    ingestion.ingest(product)
    release(product)
    assert set(names) <= set(clients(product)["corporation"])


def test_the_champion_is_compared_on_fresh_rows_of_clients_on_whom_nobody_trained(product):
    release(fill(product, clients=2000, tested=100))
    champion = version(product)
    frame = fabricate.world(2000, 3, 3, fabricate.Drift())
    fabricate.save(frame, product.source / "march.csv")
    ingestion.ingest(product)
    training.train(product)
    scoring.score_version(product)
    comparison = scoring.compare(product, releases.versions(product)[-1], champion)
    held_out = version(product)["data"]["held_out_clients"] - champion["data"]["held_out_clients"]
    assert comparison.rows == held_out > 100
