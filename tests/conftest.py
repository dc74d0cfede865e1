"""Fixtures that more than one test file uses."""

import gc
import json
import os
import signal
from pathlib import Path

import pytest

from churn import config

# Started in the background by a shell, a process ignores interrupts, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as churn/stage.py does, for the tests that call verbs directly
HOME = Path(__file__).resolve().parent.parent
LONG = ["test_demo", "test_browser", "test_bench", "test_fullprocess", "test_killed", "test_public_data", "test_loop"]
CORPORATE = {
    "id": "corporation",
    "target": "exited",
    "positive": "1",
    "integer": ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
}
FOLDERS = {
    "input_folder_path": "sourcedata",
    "output_folder_path": "ingesteddata",
    "test_data_path": "testdata",
    "output_model_path": "models",
    "prod_deployment_path": "production_deployment",
    "logs_folder_path": "logs",
    "reports_folder_path": "reports",
}


def pytest_collection_modifyitems(items):
    """The files that take longest come first: begun last, one would go on while the other processes have nothing."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collection_finish():
    """What is there once all tests are collected stays: to look through it for garbage again and again takes long."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    """Else what is frozen would be told as leaked."""
    gc.unfreeze()


def make_product(folder: Path, name: str = "corporate", **settings) -> config.Product:
    """Write a config.json with one product into a folder, make its source folder, and load it."""
    block = {**(CORPORATE if "target" not in settings else {}), "settle_seconds": 0.0, **settings}
    path = folder / "config.json"
    path.write_text(json.dumps({**FOLDERS, "products": {name: block}}))
    product = config.load(path)[name]
    product.source.mkdir(parents=True, exist_ok=True)
    product.test.mkdir(parents=True, exist_ok=True)
    return product


@pytest.fixture
def product(tmp_path):
    """A corporate product with empty folders."""
    return make_product(tmp_path)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The public data that lies beside the repository where the team works; it is no part of it."""
    folder = HOME.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public data folder ../shared/data is not here")
    return folder
