"""What a version is scored on: rows that it was not trained on, and thresholds that did not see their labels."""

import numpy as np
import pytest

import deployment
import ingestion
import scoring
import training
from churn import estimators, heldout, measures, releases
from churn.errors import DataError
from churn.fitting import learning
from demo import fabricate
from tests.loop import make, put


def trained(product):
    ingestion.ingest(product)
    training.train(product)
    folder = releases.folder_of(product, None)
    return folder, releases.load(folder)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A product with two months of 400 clients, no test files, and a version."""
    product = make(tmp_path_factory.mktemp("heldout"))
    put(product, 1, 2, clients=400)
    return product, *trained(product)


def test_without_test_files_each_training_row_is_judged_by_a_model_that_saw_none_of_its_client(site):
    product, folder, release = site
    found = heldout.held_out(product, release, folder)
    rows = learning.rows(product)
    assert found.origin == "training rows, each judged out of fold"
    assert (found.left == rows.left).all() and len(found.left) == 800
    design = estimators.Design(**release.manifest["selection"]["design"])
    fitted = learning.fit(product, rows, design, {1: 1.0, 2: 1.0})
    fold = fitted.out_of_fold.fold
    assert all(len(np.unique(fold[rows.groups == group])) == 1 for group in np.unique(rows.groups))
    test = fold == 3
    others = estimators.pipeline(design, product.columns, seed=0, threads=2)
    others.named_steps["encoder"].fit(rows.frame)
    matrix = others.named_steps["encoder"].transform(rows.frame)
    estimator = others.named_steps["estimator"].fit(matrix[~test], rows.left[~test])
    kept = heldout.out_of_fold(folder)
    assert kept["log_odds"][test] == pytest.approx(estimator.log_odds(matrix[test]), abs=1e-9)
    slope, intercept = estimators.calibration(release.model)
    assert found.risk == pytest.approx(1 / (1 + np.exp(-(slope * kept["log_odds"] + intercept))))


def test_the_threshold_of_a_row_is_the_best_one_of_the_other_folds(site):
    product, folder, release = site
    found = heldout.held_out(product, release, folder)
    design = estimators.Design(**release.manifest["selection"]["design"])
    fold = learning.fit(product, learning.rows(product), design, {1: 1.0, 2: 1.0}).out_of_fold.fold
    for number in np.unique(fold):
        test = fold == number
        assert set(found.threshold[test]) == {measures.best_f1_threshold(found.left[~test], found.risk[~test])}
    scores = found.scores()
    assert scores["threshold"] == pytest.approx(release.threshold, abs=0.1)
    assert scores["f1"] <= measures.scores(found.left, found.risk, release.threshold)["f1"] + 0.02


def test_a_threshold_by_capacity_looks_at_no_label_and_is_that_of_the_model(tmp_path):
    product = make(tmp_path, threshold="capacity", capacity=40, holdout=0.0)
    put(product, 1, clients=400)
    folder, release = trained(product)
    found = heldout.held_out(product, release, folder)
    assert set(found.threshold) == {release.threshold}
    assert (found.risk >= found.threshold).mean() == pytest.approx(0.1, abs=0.01)


def test_with_test_files_these_are_judged_by_the_model_itself(site, tmp_path):
    product = make(tmp_path)
    put(product, 1, 2, clients=400)
    fabricate.save(fabricate.world(60, 1, 11, fabricate.Drift(), 900), product.test / "a.csv")
    fabricate.save(fabricate.world(40, 1, 11, fabricate.Drift(), 960), product.test / "b.csv")
    folder, release = trained(product)
    found = heldout.held_out(product, release, folder)
    assert (found.origin, found.threshold, len(found.left)) == ("test rows", release.threshold, 100)
    _, _, other = site
    assert heldout.held_out(product, other, folder).risk == pytest.approx(found.risk)  # of whichever version is asked
    assert found.scores()["on"] == "test rows"


def test_of_two_clients_none_can_be_judged_out_of_fold_and_the_error_says_what_to_add(tmp_path):
    product = make(tmp_path, target="exited", positive="1", integer=["x"], id="client", as_of="day")
    lines = [f"{'ab'[day % 2]},2026-01-{day:02},{day},{day % 2}" for day in range(1, 13)]
    (product.source / "few.csv").write_text("client,day,x,exited\n" + "\n".join(lines) + "\n")
    folder, release = trained(product)
    assert heldout.out_of_fold(folder) is None
    assert release.threshold == 0.5 and release.manifest["reference"]["auc"] is None
    with pytest.raises(DataError, match=f"put a labelled file into {product.test}, or more data into {product.source}"):
        scoring.score_version(product)


def test_the_hash_of_the_test_files_changes_with_a_name_a_byte_and_a_file(product):
    seen = [heldout.test_hash(product)]
    for name, content in (("a.csv", "x"), ("a.csv", "y"), ("b.csv", "y")):
        (product.test / name).write_text(content)
        seen.append(heldout.test_hash(product))
    (product.test / "b.csv").rename(product.test / "c.csv")
    seen.append(heldout.test_hash(product))
    assert len(set(seen)) == len(seen)
    (product.test / "c.csv").touch()
    assert heldout.test_hash(product) == seen[-1]


def test_a_version_keeps_its_held_out_rows_when_it_is_deployed(site):
    product, _, release = site
    scoring.score_version(product)
    deployment.deploy(product)
    deployed = heldout.held_out(product, release, releases.current(product))
    assert deployed.scores() == releases.read_manifest(releases.current(product))["scores"]
