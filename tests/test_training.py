"""Training: what a version holds and says of itself, that it repeats to the bit, and when there is no model."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics

import ingestion
import scoring
import training
from churn import dataset, decisions, estimators, heldout, releases
from churn.drift import Reference
from churn.errors import DataError
from churn.fitting import learning
from churn.monitoring import estimate, profile
from demo import fabricate
from tests.conftest import HOME
from tests.loop import make


@pytest.fixture
def product(tmp_path):
    return make(tmp_path)


def fill(product, clients=400, months=(1, 2), tested=0):
    """Ingest fabricated months; `tested` other clients become the test file."""
    for month in months:
        frame = fabricate.world(clients, month, 3, fabricate.Drift())
        fabricate.save(frame, product.source / fabricate.file_name("corporate", month))
    if tested:
        fabricate.save(fabricate.world(tested, 1, 3, fabricate.Drift(), clients), product.test / "test.csv")
    ingestion.ingest(product)
    return product


def newest(product):
    return releases.load(releases.folder_of(product, None))


def test_a_version_holds_the_model_twice_its_data_and_a_manifest_that_lists_them(product):
    training.train(fill(product, tested=100))
    folder = releases.folder_of(product, None)
    names = {"model.skops", "trainedmodel.pkl", "ingestedfiles.txt", "reference.json", "outoffold.npz"}
    assert {path.name for path in folder.iterdir()} == names | {"manifest.json"}
    manifest = releases.verify(folder)
    assert set(manifest["files"]) == names
    data = manifest["data"]
    assert (data["train_rows"], data["in_test_files"], data["without_label"], data["drops"]) == (800, 0, 0, 2)
    assert data["weights"] == {"1": 1.0, "2": 1.0} and data["hash"] == dataset.load_record(product).data_hash
    assert data["positive_rate"] == pytest.approx(learning.rows(product).left.mean())
    assert manifest["packages"]["scikit-learn"] and manifest["seed"] == 0
    assert (manifest["format"], manifest["recipe"], manifest["model"]) == (2, "all", "logistic")
    assert manifest["configuration"] == training.configuration(product)
    with (folder / "trainedmodel.pkl").open("rb") as file:
        model = pickle.load(file)
    frame = dataset.frame(product)
    assert (model.predict_proba(frame)[:, 1] == estimators.risks(newest(product).model, frame)).all()


@pytest.mark.parametrize("settings", [{"model": "logistic"}, {"model": "lightgbm"}, {"model": "auto"}])
def test_the_same_data_gives_the_same_predictions_to_the_bit_in_another_process(tmp_path, settings):
    product = fill(make(tmp_path, **settings))
    training.train(product)
    first = newest(product)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HOME / "training.py"), "--config", str(product.config_path)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    second = newest(product)
    assert second.version > first.version
    assert second.threshold == first.threshold
    assert second.manifest["selection"]["design"] == first.manifest["selection"]["design"]
    frame = dataset.frame(product)
    assert estimators.risks(first.model, frame).tobytes() == estimators.risks(second.model, frame).tobytes()
    for name in ("reference.json", "outoffold.npz"):
        one, two = ((product.models / release.version / name).read_bytes() for release in (first, second))
        assert one == two
    assert second.manifest["reference"] == first.manifest["reference"]


def test_by_itself_the_model_is_chosen_by_cross_validation_and_the_choice_written_down(tmp_path):
    product = fill(make(tmp_path, model="auto"))
    said = training.train(product)
    manifest = newest(product).manifest
    chosen = manifest["selection"]
    assert {row["kind"] for row in chosen["table"]} == {"logistic", "lightgbm"}
    (row,) = [row for row in chosen["table"] if row["chosen"]]
    assert (row["kind"], row["settings"]) == (chosen["design"]["kind"], chosen["design"]["settings"])
    assert all(
        {"log_loss", "roc_auc", "average_precision", "brier", "behind_se"} <= set(row) for row in chosen["table"]
    )
    assert manifest["model"] == chosen["design"]["kind"]
    assert chosen["reason"] in said and "log loss" in chosen["reason"]
    assert chosen["rows"] == 800 and chosen["configuration"] == manifest["configuration"]


def test_a_selection_that_is_given_is_taken_without_another_comparison(tmp_path, monkeypatch):
    product = fill(make(tmp_path, model="auto"))
    given = {"design": {"kind": "logistic", "settings": {"C": 0.01}}, "reason": "as before", "rows": 1}
    given |= {"configuration": "", "table": []}
    monkeypatch.setattr(learning, "select", None)
    training.train(product, {1: 0.5, 2: 1.0}, given, "recent")
    manifest = newest(product).manifest
    assert manifest["selection"] == given
    assert (manifest["recipe"], manifest["data"]["weights"]) == ("recent", {"1": 0.5, "2": 1.0})
    assert newest(product).model.named_steps["estimator"].estimator_.C == 0.01


def test_risks_are_calibrated_and_the_threshold_chosen_on_risks_that_no_rows_own_model_gave(product):
    training.train(fill(product, clients=1500))
    release = newest(product)
    kept = heldout.out_of_fold(product.models / release.version)
    slope, intercept = estimators.calibration(release.model)
    assert (slope, intercept) != (1.0, 0.0)
    assert kept["risk"].mean() == pytest.approx(kept["left"].mean(), abs=0.002)
    best = metrics.f1_score(kept["left"], kept["risk"] >= release.threshold)
    assert best >= max(metrics.f1_score(kept["left"], kept["risk"] >= t) for t in np.arange(0.05, 0.95, 0.05))


def test_what_new_drops_are_held_against_is_saved_with_the_version(product):
    fill(product, clients=1500, tested=200)
    training.train(product)
    folder = releases.folder_of(product, None)
    manifest = newest(product).manifest
    kept = heldout.out_of_fold(folder)
    reference = Reference(**{key: manifest["reference"][key] for key in Reference.__dataclass_fields__})
    assert reference.auc == pytest.approx(metrics.roc_auc_score(kept["left"], kept["risk"]))
    assert 0 < reference.auc_error < 0.03
    assert (reference.label_rate, reference.label_rows) == (kept["left"].mean(), len(kept["left"]))
    calibrator = estimate.Calibrator.from_dict(manifest["reference"]["calibrator"])
    assert calibrator.risks(kept["log_odds"]) == pytest.approx(kept["risk"])
    frame = dataset.frame(product)
    shifts = profile.shifts(releases.read_profile(folder), frame, estimators.risks(newest(product).model, frame))
    assert all(shift.psi < 0.05 for shift in shifts)  # it is the profile of these very rows
    assert set(manifest["importance"]) == set(product.columns.features)
    assert sum(manifest["importance"].values()) == pytest.approx(1)


def test_new_drops_are_held_against_the_newest_rows_and_not_against_all(product, monkeypatch):
    monkeypatch.setattr(learning, "REFERENCE_ROWS", 300)
    training.train(fill(product, months=(1, 2, 3)))
    assert newest(product).manifest["reference"]["label_rows"] == (learning.rows(product).drop == 3).sum()
    assert newest(product).manifest["data"]["train_rows"] == 1200


def test_drops_that_are_suspect_are_left_out(product):
    fill(product, months=(1, 2, 3))
    seen = {"drop": 2, "rows": 400, "labelled": 400, "positives": 80, "auc": 0.5, "auc_error": 0.02, "shifted": {}}
    line = {"champion": "0001-x", "drops": [2], "seen": seen, "verdict": "drifted", "reasons": [], "alarm": True}
    decisions.write_judgement(product, line)
    training.train(product)
    manifest = newest(product).manifest
    assert manifest["data"]["weights"] == {"1": 1.0, "3": 1.0} and manifest["data"]["train_rows"] == 800


def test_without_data_the_error_names_the_folder_to_fill(product):
    with pytest.raises(DataError, match=str(product.source)):
        training.train(product)


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_alone_gives_no_model_and_the_counts(product, label):
    frame = fabricate.world(100, 1, 3, fabricate.Drift()).assign(exited=label)
    fabricate.save(frame, product.source / "one.csv")
    ingestion.ingest(product)
    with pytest.raises(DataError, match="at least 5 of each label are needed; production stays as it is"):
        training.train(product)
    assert not releases.versions(product)


CHANGES = [
    {"model": "lightgbm"},
    {"model": "auto"},
    {"tuning_seconds": 1},
    {"seed": 1},
    {"threads": 1},
    {"threshold": "capacity", "capacity": 10},
    {"threshold": "capacity", "capacity": 20},
]
SAME = [{"keep_versions": 3}, {"capacity": 10}, {"contact_cost": 1.0}, {"promotion": {"min_rows": 1}}]


def test_the_configuration_is_another_with_whatever_changes_the_model_and_with_nothing_else(tmp_path):
    usual = training.configuration(make(tmp_path))
    others = [training.configuration(make(tmp_path, **settings)) for settings in CHANGES]
    assert len({usual, *others}) == 1 + len(CHANGES)
    assert {training.configuration(make(tmp_path, **settings)) for settings in SAME} == {usual}
    product = make(tmp_path)
    fabricate.save(fabricate.world(10, 1, 3, fabricate.Drift()), product.test / "test.csv")
    assert training.configuration(product) != usual  # whoever stands in a test file is not trained on


def test_a_version_is_told_from_one_of_other_drops_another_design_or_another_way_of_training(product):
    training.train(fill(product))
    manifest = newest(product).manifest
    made_for, weights = decisions.made_for(manifest), training.all_drops(product)
    given = manifest["selection"]
    assert training.is_of(manifest, made_for, weights, None, "all")
    assert training.is_of(manifest, made_for, weights, given, "all")
    other = {**given, "design": {"kind": "logistic", "settings": {"C": 0.1}}}
    assert not training.is_of(manifest, made_for, weights, other, "all")
    assert not training.is_of(manifest, made_for, {1: 1.0}, None, "all")
    assert not training.is_of(manifest, made_for, {1: 0.5, 2: 1.0}, None, "all")
    assert not training.is_of(manifest, made_for, weights, None, "recent")
    assert not training.is_of(manifest, {**made_for, "data_hash": ""}, weights, None, "all")
    assert not training.is_of({"format": 1}, made_for, weights, None, "all")


def test_training_again_makes_a_new_version_and_scores_are_of_the_version_asked_for(product):
    fill(product)
    training.train(product)
    training.train(product, {1: 1.0})
    first, second = releases.versions(product)
    scoring.score_version(product, first)
    assert releases.read_manifest(product.models / first)["scores"]["rows"] == 800
    assert releases.read_manifest(product.models / second)["scores"] is None
