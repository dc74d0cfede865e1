"""The brief's own files, Telco and the Iranian data, through whole ticks; skipped where the data is not at hand."""

import json
import re
import shutil

import pandas as pd
import pytest

from churn import config, dataset, decisions, heldout, measures, releases
from churn.fitting import learning
from tests.conftest import FOLDERS, HOME
from tests.ticks import Forker


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_data):  # noqa: ARG001  without the data there is nothing to run
    """Run fullprocess.py as cron would; what it printed."""
    nobody = {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0"}  # is asked what is behind
    with Forker(tmp_path_factory.mktemp("ticks"), **nobody) as forker:
        yield lambda product, *arguments: forker.run(product, *arguments).stdout


@pytest.fixture
def brief(tmp_path, shared_data):
    """A folder with the brief's files and, by a function, the product of a flat config of its five keys."""
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
        return config.load(tmp_path / "config.json")["corporate"]

    return flat


def test_the_practice_set_has_26_rows_in_finaldata(brief, run):
    product = brief("practicedata")
    run(product)
    final = pd.read_csv(product.ingested / "finaldata.csv")
    assert len(final) == 26
    assert list(final.columns) == [
        "corporation",
        "lastmonth_activity",
        "lastyear_activity",
        "number_of_employees",
        "exited",
    ]
    assert (product.ingested / "ingestedfiles.txt").read_text() == "dataset1.csv\ndataset2.csv\n"


def test_on_the_production_set_five_test_rows_decide_nothing_and_the_constant_guess_fools_nobody(brief, run):
    product = brief("sourcedata")
    said = run(product)
    assert "of the constant guess on 5 rows" in said
    least = product.settings.promotion.min_class_rows
    assert f"so few rows decide nothing, at least {least} of each label are needed" in said
    scores = releases.read_manifest(releases.folder_of(product, None))["scores"]
    assert (scores["rows"], scores["positives"], scores["constant_f1"]) == (5, 3, 0.75)
    assert not (product.production / "current").exists()
    assert run(product) == "corporate: nothing new\n"  # and it is not tried again without new data
    said = run(product, "--force")
    assert "forced; " in said and "so few rows decide nothing" in said
    assert (product.production / "trainedmodel.pkl").is_file()


def test_a_drop_that_is_the_test_file_does_not_leak(brief, run):
    product = brief("sourcedata")
    shutil.copy(product.test / "testdata.csv", product.source / "dataset5.csv")
    run(product)
    rows = learning.rows(product)
    assert rows.left_out["in_test_files"] == 5
    assert not set(rows.frame["corporation"]) & set(pd.read_csv(product.test / "testdata.csv")["corporation"])
    assert releases.read_manifest(releases.folder_of(product, None))["data"]["in_test_files"] == 5


@pytest.fixture
def products(tmp_path, shared_data):
    """Telco and the Iranian data as products, by the blocks that the README gives and nothing else."""
    text = (HOME / "README.md").read_text()
    blocks = json.loads("{" + re.search(r"<!-- products -->\n```json\n(.*?)```", text, re.DOTALL)[1] + "}")
    for block in blocks.values():
        block |= {"package_check_days": 0, "settle_seconds": 0.0, "tuning_seconds": 0, "threads": 1}
    (tmp_path / "config.json").write_text(json.dumps({**FOLDERS, "products": blocks}))
    loaded = config.load(tmp_path / "config.json")
    (tmp_path / "testdata").mkdir()
    for product in loaded.values():
        product.source.mkdir(parents=True)
    return loaded


def test_telco_is_a_product_by_config_alone(products, shared_data, run):
    telco = products["telco"]
    shutil.copy(shared_data / "telco" / "telco_churn_7043.csv", telco.source)
    run(telco, "--product", "telco")
    record = dataset.load_record(telco)
    assert [(d.rows, d.accepted, d.rejected) for d in record.drops] == [(7043, 7043, 0)]
    assert dataset.frame(telco)["TotalCharges"].isna().sum() == 11
    manifest = releases.read_manifest(releases.current(telco))
    scores = manifest["scores"]
    assert scores["on"] == "training rows, each judged out of fold" and scores["rows"] == 7043
    assert manifest["model"] == "logistic"  # as good as the other, and simpler
    assert scores["roc_auc"] >= 0.843 and scores["average_precision"] >= 0.65 and scores["f1"] >= 0.62
    kept = heldout.out_of_fold(releases.current(telco))
    assert measures.calibration_error(kept["left"], kept["risk"]) < 0.025
    assert len(pd.read_csv(telco.reports / "clients.csv")) == 7043
    assert (telco.reports / "report.pdf").is_file()


def test_the_iranian_drops_in_order_each_give_a_decision_with_its_numbers(products, shared_data, run):
    iranian = products["iranian"]
    for name in ("0", "1", "2", "synthetic_1", "synthetic_4"):
        shutil.copy(shared_data / "iranian" / f"customer_churn_{name}.csv", iranian.source)
        run(iranian, "--product", "iranian")
    made, judged = decisions.read(iranian), decisions.judgements(iranian)
    assert [decision["drops"] for decision in made] == [1, 2, 3, 4, 5]
    assert made[0]["action"] == "deployed"
    assert [line["drops"] for line in judged] == [[2], [3], [4], [5]]
    for decision, line in zip(made[1:], judged, strict=True):
        numbers = decision["drift"]["numbers"]
        assert line["raw_rule"] == (numbers["new"]["f1"] < numbers["deployed_f1"])
        assert decision["reason"].startswith(line["said"])
        found = decision["promotion"]["numbers"].get("recipes", {}).values()
        assert all(one["average_precision"]["error"] >= 0 and one["rows"] > 0 for one in found)
    hard = judged[-1]
    assert hard["raw_rule"] and hard["verdict"] == "drifted" and hard["scores"]["f1"] < 0.7
    version = releases.read_manifest(releases.folder_of(iranian, None))
    assert version["model"] == "lightgbm"
    log = (iranian.logs / "churn.log").read_text()
    assert all(decision["reason"] in log for decision in made)
