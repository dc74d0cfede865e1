"""The brief's own files, Telco and the Iranian data, through whole ticks; skipped where the data is not at hand."""

import json
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import training
from churn import config, dataset, releases, storage
from demo import crossvalidate
from tests.conftest import FOLDERS, HOME

CONSTANT = "always answering 'leaves' scores 0.750"


def tick(config_path, *arguments, expect=0):
    command = [sys.executable, str(HOME / "fullprocess.py"), "--config", str(config_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def brief(tmp_path, shared_data, monkeypatch):
    """A folder with the brief's files and, by a function, flat configs of its five keys."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")  # nobody asks here what is behind
    monkeypatch.setenv("PIP_RETRIES", "0")
    files = {"practicedata": (1, 2), "sourcedata": (3, 4)}
    for folder, numbers in files.items():
        (tmp_path / folder).mkdir()
        for number in numbers:
            shutil.copy(shared_data / "attrition" / f"dataset{number}.csv", tmp_path / folder)
    (tmp_path / "testdata").mkdir()
    shutil.copy(shared_data / "attrition" / "testdata.csv", tmp_path / "testdata")

    def flat(source):
        keys = dict(list(FOLDERS.items())[:5]) | {"input_folder_path": source}
        (tmp_path / "config.json").write_text(json.dumps(keys))
        return tmp_path / "config.json"

    return flat


def test_the_practice_set_has_26_rows_in_finaldata(brief):
    path = brief("practicedata")
    tick(path)
    final = pd.read_csv(path.parent / "ingesteddata" / "finaldata.csv")
    assert len(final) == 26
    assert list(final.columns) == [
        "corporation",
        "lastmonth_activity",
        "lastyear_activity",
        "number_of_employees",
        "exited",
    ]
    assert (path.parent / "ingesteddata" / "ingestedfiles.txt").read_text() == "dataset1.csv\ndataset2.csv\n"


def test_on_the_production_set_five_test_rows_decide_nothing_and_the_constant_guess_fools_nobody(brief):
    path = brief("sourcedata")
    said = tick(path)
    assert "so few rows (3 left, 2 stayed) decide nothing" in said and CONSTANT in said
    assert not (path.parent / "production_deployment" / "current").exists()
    assert tick(path) == "corporate: nothing new\n"  # and it is not tried again without new data
    said = tick(path, "--force")
    assert "forced, although" in said and CONSTANT in said
    assert (path.parent / "production_deployment" / "trainedmodel.pkl").is_file()


def test_a_drop_that_is_the_test_file_does_not_leak(brief):
    path = brief("sourcedata")
    shutil.copy(path.parent / "testdata" / "testdata.csv", path.parent / "sourcedata" / "dataset5.csv")
    tick(path)
    product = config.load(path)["corporate"]
    frame, left_out = training.training_rows(product)
    assert left_out["in_test_files"] == 5
    assert not set(frame["corporation"]) & set(pd.read_csv(product.test / "testdata.csv")["corporation"])
    assert releases.read_manifest(releases.folder_of(product, None))["data"]["in_test_files"] == 5


@pytest.fixture
def products(tmp_path, shared_data):
    """Telco and the Iranian data as products, by the blocks that the README gives and nothing else."""
    text = (HOME / "README.md").read_text()
    blocks = json.loads("{" + re.search(r"<!-- products -->\n```json\n(.*?)```", text, re.DOTALL)[1] + "}")
    for block in blocks.values():
        block |= {"package_check_days": 0, "settle_seconds": 0.0}
    (tmp_path / "config.json").write_text(json.dumps({**FOLDERS, "products": blocks}))
    loaded = config.load(tmp_path / "config.json")
    (tmp_path / "testdata").mkdir()
    for product in loaded.values():
        product.source.mkdir(parents=True)
    return loaded


def test_telco_is_a_product_by_config_alone(products, shared_data):
    telco = products["telco"]
    shutil.copy(shared_data / "telco" / "telco_churn_7043.csv", telco.source)
    tick(telco.config_path, "--product", "telco")
    record = dataset.load_record(telco)
    assert [(d.rows, d.accepted, d.rejected) for d in record.drops] == [(7043, 7043, 0)]
    assert dataset.frame(telco)["TotalCharges"].isna().sum() == 11
    manifest = releases.read_manifest(releases.current(telco))
    assert manifest["scores"]["on"] == "rows of held-out clients" and manifest["scores"]["roc_auc"] > 0.82
    assert len(pd.read_csv(telco.reports / "clients.csv")) == 7043
    assert (telco.reports / "report.pdf").is_file()
    assert column(crossvalidate.cross_validate(telco, [0]), "ROC AUC") >= 0.843


def test_the_iranian_drops_in_order_each_give_a_decision_with_its_numbers(products, shared_data):
    iranian = products["iranian"]
    for name in ("0", "1", "2", "synthetic_1", "synthetic_4"):
        shutil.copy(shared_data / "iranian" / f"customer_churn_{name}.csv", iranian.source)
        tick(iranian.config_path, "--product", "iranian")
        if name == "2":
            table = crossvalidate.cross_validate(iranian, [0])
            assert column(table, "ROC AUC") >= 0.985 and column(table, "F1") >= 0.86
    decisions = storage.read_lines(iranian.models / "decisions.jsonl")
    assert [decision["drops"] for decision in decisions] == [1, 2, 3, 4, 5]
    assert decisions[0]["action"] == "deployed"
    for decision in decisions[1:]:
        numbers = decision["drift"]["numbers"]
        assert numbers["raw_rule"] == (numbers["new"]["f1"] < numbers["deployed_f1"])
        assert f"F1 {numbers['new']['f1']:.3f}" in decision["reason"]
        assert decision["promotion"]["numbers"]["lower"] <= decision["promotion"]["numbers"]["upper"]
    hard = decisions[-1]["drift"]["numbers"]
    assert hard["raw_rule"] and hard["new"]["f1"] < 0.7 < hard["deployed_f1"]
    log = (iranian.logs / "churn.log").read_text()
    assert all(decision["reason"] in log for decision in decisions)


def column(table, name):
    """The number in a column of the one row of a printed table."""
    lines = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    place = [cell.strip() for cell in lines[0]].index(name)
    return float(lines[1][place].replace(",", ""))
