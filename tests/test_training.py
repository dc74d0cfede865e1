"""Training: who is left out, what a version holds, that it repeats to the bit, and when there is no model."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import ingestion
import training
from churn import dataset, estimators, releases, splits
from churn.errors import DataError
from demo import fabricate
from tests.conftest import HOME, make_product


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
    assert {path.name for path in folder.iterdir()} == {
        "model.skops",
        "trainedmodel.pkl",
        "ingestedfiles.txt",
        "manifest.json",
    }
    manifest = releases.verify(folder)
    assert manifest["data"]["rows"] == 800
    assert manifest["data"]["train_rows"] + manifest["data"]["held_out_clients"] == 800
    assert manifest["packages"]["scikit-learn"] and manifest["seed"] == 0
    with (folder / "trainedmodel.pkl").open("rb") as file:
        model = pickle.load(file)
    frame = dataset.frame(product)
    assert (model.predict_proba(frame)[:, 1] == estimators.risks(newest(product).model, frame)).all()


@pytest.mark.parametrize("model", ["logistic", "lightgbm"])
def test_the_same_data_gives_the_same_predictions_to_the_bit_in_another_process(tmp_path, model):
    product = fill(make_product(tmp_path, model=model))
    training.train(product)
    first = newest(product)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HOME / "training.py"), "--config", str(product.config_path)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    second = newest(product)
    assert second.version > first.version
    assert second.threshold == first.threshold
    frame = dataset.frame(product)
    assert estimators.risks(first.model, frame).tobytes() == estimators.risks(second.model, frame).tobytes()


def test_held_out_clients_are_in_no_training_row_whatever_the_month(tmp_path):
    product = fill(make_product(tmp_path, test_share=0.3))
    frame, left_out = training.training_rows(product)
    stored = dataset.frame(product)
    held_out = stored[splits.held_out(splits.groups(stored, product.columns), 0.3)]
    assert left_out == {"in_test_files": 0, "held_out_clients": len(held_out)}
    assert 0.2 < len(held_out) / len(stored) < 0.4
    assert not set(held_out["corporation"]) & set(frame["corporation"])
    assert len(frame) + len(held_out) == len(stored)


def test_clients_of_the_test_files_are_left_out_of_training_and_counted(product):
    fill(product)
    stored = dataset.frame(product)
    names = sorted(stored["corporation"].unique())[:40]
    tested = stored[stored["corporation"].isin(names)].head(50)
    tested[list(product.columns.stored)].to_csv(product.test / "leak.csv", index=False)
    frame, left_out = training.training_rows(product)
    assert not set(frame["corporation"]) & set(tested["corporation"])
    assert left_out["in_test_files"] == stored["corporation"].isin(set(tested["corporation"])).sum()


def test_without_an_id_a_test_row_is_left_out_with_its_identical_rows(tmp_path):
    product = make_product(tmp_path, target="exited", positive="1", integer=["x"], categorical=["c"], test_share=0)
    rows = pd.DataFrame({"x": range(100), "c": ["a", "b"] * 50, "exited": [0, 0, 1, 1] * 25})
    rows.to_csv(product.source / "rows.csv", index=False)
    rows.iloc[::10].to_csv(product.test / "test.csv", index=False)
    ingestion.ingest(product)
    frame, left_out = training.training_rows(product)
    assert left_out == {"in_test_files": 10, "held_out_clients": 0}
    assert sorted(frame["x"]) == [x for x in range(100) if x % 10]


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


def test_the_threshold_is_chosen_on_risks_that_no_rows_own_model_gave(product):
    fill(product)
    frame, _ = training.training_rows(product)
    left = (frame["exited"] == "1").to_numpy()
    risk, fold = training.out_of_fold_risks(product, frame, left)
    groups = splits.groups(frame, product.columns)
    assert all(len(np.unique(fold[groups == group])) == 1 for group in np.unique(groups))
    part = fold == 2
    model = estimators.pipeline("logistic", product.columns, seed=0, threads=2).fit(frame[~part], left[~part])
    assert (estimators.risks(model, frame[part]) == risk[part]).all()


def test_a_recipe_changes_with_whatever_changes_the_model_and_with_nothing_else(tmp_path):
    recipes = {
        training.recipe(make_product(tmp_path, **settings))
        for settings in ({}, {"model": "lightgbm"}, {"seed": 1}, {"test_share": 0.2})
    }
    assert len(recipes) == 4
    assert training.recipe(make_product(tmp_path, keep_versions=3)) in recipes
    product = make_product(tmp_path)
    fabricate.save(fabricate.world(10, 1, 3, fabricate.Drift()), product.test / "test.csv")
    assert training.recipe(product) not in recipes  # whoever stands in a test file is not trained on
