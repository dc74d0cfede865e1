"""What config.json may say, what it means, and how it is told what is wrong."""

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from churn import config
from churn.errors import ConfigError
from churn.settings import Config, Drift, ProductSettings, Promotion, tables
from tests.conftest import CORPORATE, FOLDERS, HOME

FLAT = {key: FOLDERS[key] for key in list(FOLDERS)[:5]}


def saved(folder, content):
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def products(folder, **blocks):
    return config.load(saved(folder, {**FOLDERS, "products": blocks}))


def complaint(folder, content):
    """What is said about a config, without the path that it begins with."""
    path = saved(folder, content)
    with pytest.raises(ConfigError) as error:
        config.load(path)
    lines = str(error.value).split("\n")
    assert all(line.startswith(str(path)) for line in lines)
    return [line.removeprefix(str(path)).lstrip(":, ") for line in lines]


def complaint_about(folder, **settings):
    """What is said about a product that is sound but for these settings."""
    block = {key: value for key, value in {**CORPORATE, **settings}.items() if value is not ...}
    return complaint(folder, {**FOLDERS, "products": {"corporate": block}})


# ---- what it means ---------------------------------------------------------------------------------------------------


def test_each_product_has_its_own_folder_in_each_of_the_folders(tmp_path):
    telco = {
        "id": "customerID",
        "target": "Churn",
        "positive": "Yes",
        "numeric": ["MonthlyCharges", "TotalCharges"],
        "integer": ["tenure"],
        "categorical": ["Contract", "Call  Failure"],
        "model": "lightgbm",
        "drift": {"policy": "always", "auc_z": 3.5},
        "promotion": {"confidence": 0.9, "min_rows": 500},
        "settle_seconds": 0,
    }
    loaded = products(tmp_path, corporate=CORPORATE, telco=telco)
    assert list(loaded) == ["corporate", "telco"]
    product = loaded["telco"]
    assert product.source == tmp_path / "sourcedata" / "telco"
    assert product.ingested == tmp_path / "ingesteddata" / "telco"
    assert product.test == tmp_path / "testdata" / "telco"
    assert product.models == tmp_path / "models" / "telco"
    assert product.production == tmp_path / "production_deployment" / "telco"
    assert product.logs == tmp_path / "logs" / "telco"
    assert product.reports == tmp_path / "reports" / "telco"
    assert product.columns.features == ("MonthlyCharges", "TotalCharges", "tenure", "Contract", "Call  Failure")
    assert (product.columns.positive, product.columns.negative) == ("Yes", "No")
    assert product.settings.drift.policy == "always"
    assert product.settings.drift.auc_z == 3.5
    assert product.settings.drift.psi == 0.1
    assert product.settings.promotion.confidence == 0.9
    assert product.settings.promotion.cool_down == 5


def test_the_briefs_five_keys_are_one_product_directly_in_those_folders(tmp_path):
    (product,) = config.load(saved(tmp_path, FLAT)).values()
    assert product.name == "corporate"
    assert product.source == tmp_path / "sourcedata"
    assert product.production == tmp_path / "production_deployment"
    assert product.logs == tmp_path / "logs"
    assert product.columns.id == "corporation"
    assert product.columns.target == "exited"
    assert product.columns.integer == ("lastmonth_activity", "lastyear_activity", "number_of_employees")
    assert (product.columns.positive, product.columns.negative) == ("1", "0")


def test_folders_written_with_a_slash_in_older_configs_lie_beside_the_file_and_a_hint_says_so(tmp_path, caplog):
    older = {key: f"/churn-of-old-{value}/" for key, value in FLAT.items()}
    with caplog.at_level(logging.WARNING):
        (product,) = config.load(saved(tmp_path, older)).values()
    assert product.source == tmp_path / "churn-of-old-sourcedata"
    assert "input_folder_path '/churn-of-old-sourcedata/' is taken as 'churn-of-old-sourcedata'" in caplog.text
    assert len(caplog.records) == len(older)


def test_a_folder_that_is_really_somewhere_else_is_found_there(tmp_path, caplog):
    elsewhere = tmp_path / "another disk" / "drops"
    (product,) = config.load(saved(tmp_path, {**FLAT, "input_folder_path": str(elsewhere)})).values()
    assert product.source == elsewhere
    assert not caplog.records


def test_paths_are_relative_to_the_file_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    saved(tmp_path / "here", {**FOLDERS, "products": {"corporate": {**CORPORATE, "clients_path": "data/now.csv"}}})
    monkeypatch.chdir(tmp_path / "elsewhere")
    product = config.load(Path("../here/config.json"))["corporate"]
    assert product.source == tmp_path / "here" / "sourcedata" / "corporate"
    assert product.clients == tmp_path / "here" / "data" / "now.csv"
    assert product.config_path == tmp_path / "here" / "config.json"


def test_loading_makes_no_folder(tmp_path):
    products(tmp_path, corporate=CORPORATE)
    assert os.listdir(tmp_path) == ["config.json"]


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("1", "0"),
        ("Yes", "No"),
        ("yes", "no"),
        ("YES", "NO"),
        ("Y", "N"),
        ("y", "n"),
        ("T", "F"),
        ("true", "false"),
        ("True", "False"),
        ("TRUE", "FALSE"),
    ],
)
def test_the_evident_other_label_need_not_be_said(tmp_path, positive, negative):
    product = products(tmp_path, p={**CORPORATE, "positive": positive})["p"]
    assert product.columns.negative == negative


def test_labels_that_are_said_are_taken_as_they_are(tmp_path):
    product = products(tmp_path, p={**CORPORATE, "positive": "left", "negative": "Yes"})["p"]
    assert (product.columns.positive, product.columns.negative) == ("left", "Yes")


def test_a_byte_order_mark_is_fine(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(FLAT), encoding="utf-8-sig")
    assert list(config.load(tmp_path / "config.json")) == ["corporate"]


def test_products_and_their_settings_cannot_be_changed(tmp_path):
    product = products(tmp_path, corporate=CORPORATE)["corporate"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        product.source = tmp_path
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        product.settings.seed = 1
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        product.settings.promotion.confidence = 0.6
    with pytest.raises(dataclasses.FrozenInstanceError):
        product.columns.target = "other"


def test_the_key_that_went_is_told_with_those_there_are(tmp_path):
    (said,) = complaint_about(tmp_path, test_share=0.2)
    assert said.startswith("product 'corporate': unknown key 'test_share'; allowed: id, target,")


def test_the_history_is_a_file_beside_the_models_unless_the_config_or_the_environment_names_a_database(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("CHURN_HISTORY_URL", raising=False)
    loaded = products(tmp_path, a=CORPORATE, b=CORPORATE)
    assert loaded["a"].history == f"sqlite:///{tmp_path / 'models' / 'a' / 'history.sqlite'}"
    assert loaded["a"].history != loaded["b"].history
    url = "postgresql+psycopg://user@host/churn"
    named = {**FOLDERS, "history_url": url, "products": {"a": CORPORATE}}
    assert config.load(saved(tmp_path, named))["a"].history == url
    monkeypatch.setenv("CHURN_HISTORY_URL", "sqlite:///elsewhere.sqlite")
    assert config.load(saved(tmp_path, named))["a"].history == "sqlite:///elsewhere.sqlite"


@pytest.mark.parametrize("value", ["lastmonth_activity", 12.5, 3])
def test_the_value_of_a_client_is_a_column_or_one_number(tmp_path, value):
    assert products(tmp_path, a={**CORPORATE, "value": value})["a"].settings.value == value


# ---- how it is told what is wrong ------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json: no such file; name one with --config"):
        config.load(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)"):
        config.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, column 1: Expecting value"),
        ('{"a": 1\n "b": 2}', "line 2, column 2: Expecting ',' delimiter"),
        ('{\n  "a": 1,\n}', "line 2, column 9: a comma too many: another entry has to follow it"),
        ('{\n  "a": [1, 2,]}', "line 2, column 13: a comma too many: another entry has to follow it"),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice in one block"),
        ("[1]", "holds a list, not an object of keys"),
        ('"corporate"', "holds a str, not an object of keys"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path, text, said):
    assert complaint(tmp_path, text) == [said]


def test_what_is_no_text_is_told(tmp_path):
    (tmp_path / "config.json").write_bytes("größe".encode("utf-16"))
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        config.load(tmp_path / "config.json")


def test_an_unknown_key_is_told_with_the_nearest_and_with_what_is_allowed(tmp_path):
    (said,) = complaint(tmp_path, {**FLAT, "report_folder_path": "reports"})
    assert said.startswith(
        "unknown key 'report_folder_path'; did you mean 'reports_folder_path'? allowed: input_folder"
    )
    (said,) = complaint_about(tmp_path, modle="logistic")
    assert said.startswith("product 'corporate': unknown key 'modle'; did you mean 'model'? allowed: id, target,")
    (said,) = complaint_about(tmp_path, drift={"polcy": "raw"})
    wanted = "policy, auc_z, psi, label_points"
    assert said == f"product 'corporate': unknown key 'drift.polcy'; did you mean 'policy'? allowed: {wanted}"
    (said,) = complaint_about(tmp_path, value=-3)
    assert said.startswith("product 'corporate': value must be above 0")
    (said,) = complaint_about(tmp_path, **{"promotion.guard": "f1"})  # as the README's table has it
    block = '{"promotion": {"guard": "f1"}}'
    assert said == f"product 'corporate': unknown key 'promotion.guard'; write it as a block: {block}"


def test_every_missing_key_is_told_with_what_it_is_for(tmp_path):
    assert complaint(tmp_path, {**FLAT, "products": {"telco": {"positive": "Yes", "numeric": ["a"]}}}) == [
        "product 'telco': missing key 'target': The column that says whether the client left."
    ]
    assert len(complaint(tmp_path, {})) == len(FLAT)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target": None}, "target: must be text in quotes (it is null)"),
        ({"target": ""}, 'target: must not be empty (it is "")'),
        ({"positive": 1}, "positive: must be text in quotes (it is 1)"),
        ({"numeric": "tenure"}, 'numeric: must be a list in square brackets (it is "tenure")'),
        ({"numeric": ["a", 7]}, "numeric.1: must be text in quotes (it is 7)"),
        ({"threads": "2"}, 'threads: must be a whole number (it is "2")'),
        ({"threads": 1.5}, "threads: must be a whole number (it is 1.5)"),
        ({"threads": True}, "threads: must be a whole number (it is true)"),
        ({"threads": 0}, "threads: must be greater than or equal to 1 (it is 0)"),
        ({"max_rejected": "0.1"}, 'max_rejected: must be a number (it is "0.1")'),
        ({"max_rejected": 1.2}, "max_rejected: must be less than or equal to 1 (it is 1.2)"),
        ({"holdout": 1.0}, "holdout: must be less than 1 (it is 1.0)"),
        ({"tuning_seconds": -1}, "tuning_seconds: must be greater than or equal to 0 (it is -1)"),
        ({"success_rate": 0}, "success_rate: must be greater than 0 (it is 0)"),
        ({"capacity": 0}, "capacity: must be greater than or equal to 1 (it is 0)"),
        ({"model": "xgboost"}, "model: must be 'auto', 'logistic' or 'lightgbm' (it is \"xgboost\")"),
        ({"threshold": "capacity"}, "threshold is 'capacity': say what capacity is"),
        ({"value": "worth"}, "value names 'worth', which is no column of numeric or integer"),
        ({"late_labels": True}, "late_labels needs as_of: a label finds its row by id and as_of"),
        ({"promotion": {"groups": ["plan"]}}, "promotion.groups names what is no categorical column: plan"),
        (
            {"promotion": {"guard": "auc"}},
            "promotion.guard: must be 'f1', 'precision_at_capacity' or 'expected_profit' (it is \"auc\")",
        ),
        ({"drift": {"label_points": 5}}, "drift.label_points: must be less than 1 (it is 5)"),
        ({"drift": "raw"}, 'drift: must be a block in braces (it is "raw")'),
        (
            {"drift": {"policy": "maybe"}},
            "drift.policy: must be 'raw', 'statistical', 'always' or 'never' (it is \"maybe\")",
        ),
        ({"promotion": {"confidence": 97.5}}, "promotion.confidence: must be less than 1 (it is 97.5)"),
        ({"integer": ["a", "b", "a"]}, "columns named twice: a; a column has one role"),
        ({"numeric": ["exited"]}, "columns named twice: exited; a column has one role"),
        ({"integer": []}, "no columns to learn from: fill numeric, integer or categorical"),
        ({"positive": "left"}, "positive is 'left': say what negative is"),
        ({"negative": "1"}, "positive and negative are the same label"),
        ({"id": ..., "as_of": "month"}, "as_of needs an id: together they are the row's key"),
    ],
)
def test_what_is_not_allowed_in_a_product_is_told_with_what_is(tmp_path, settings, said):
    assert complaint_about(tmp_path, **settings) == [f"product 'corporate': {said}"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "Corporate", "a b", "corp\n", ".hidden", "-", "é", "a" * 65])
def test_a_products_name_must_do_as_a_folder(tmp_path, name):
    (said,) = complaint(tmp_path, {**FOLDERS, "products": {name: CORPORATE}})
    assert said.startswith(f"product {name!r}: a name is made of a to z, 0 to 9, - and _")


def test_a_products_block_must_be_one(tmp_path):
    assert complaint(tmp_path, {**FOLDERS, "products": {"telco": 3}}) == [
        "product 'telco': must be a block in braces (it is 3)"
    ]
    assert complaint(tmp_path, {**FOLDERS, "products": {}}) == ["products: must not be empty (it is {})"]


def test_everything_wrong_is_told_at_once(tmp_path):
    said = complaint(tmp_path, {**FOLDERS, "products": {"a": {**CORPORATE, "seed": -1}, "b": {**CORPORATE, "id": 5}}})
    assert [line.split(":")[0] for line in said] == ["product 'a'", "product 'b'"]


@pytest.mark.parametrize("other", ["sourcedata", "./sourcedata/", "testdata/../sourcedata"])
def test_drops_and_results_cannot_share_a_folder(tmp_path, other):
    (said,) = complaint(tmp_path, {**FLAT, "output_folder_path": other})
    assert said.startswith("input_folder_path and output_folder_path are one folder")


# ---- the README ------------------------------------------------------------------------------------------------------


def test_the_tables_of_keys_name_every_key_with_type_default_and_meaning():
    said = tables()
    assert "| `input_folder_path` | text | must be given | Where drops appear. |" in said
    assert "| `model` | `auto` or `logistic` or `lightgbm` | `auto` | The kind of model; `auto`: " in said
    assert "| `drift.auc_z` | number, above 0 | `2.88` |" in said
    assert "| `promotion.confidence` | number, above 0.5 and below 1 | `0.975` |" in said
    assert "None" not in said
    for prefix, model in (("", Config), ("", ProductSettings), ("drift.", Drift), ("promotion.", Promotion)):
        for key in set(model.model_fields) - {"drift", "promotion"}:
            assert said.count(f"| `{prefix}{key}` |") == 1


def test_the_readmes_tables_of_keys_are_those_of_the_code():
    readme = (HOME / "README.md").read_text(encoding="utf-8")
    between = re.search(r"<!-- keys -->\n(.*)<!-- /keys -->", readme, re.DOTALL)
    assert between.group(1).strip() == tables().strip(), "paste what `python -m churn.settings` prints"


def test_the_command_that_prints_them_works():
    done = subprocess.run(
        [sys.executable, "-m", "churn.settings"], cwd=HOME, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == tables().strip()


@pytest.mark.parametrize("name", ["config.json", "practice.json"])
def test_the_configs_of_the_repository_are_sound(name):
    assert config.load(HOME / name)
