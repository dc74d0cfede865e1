"""An installation with four products for the tests of pages: one in full use, one of odd names and two bare ones."""

import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

import deployment
import diagnostics
import ingestion
import reporting
import scoring
import training
from churn import config, dataset, releases, stage, storage
from churn.errors import QuarantineError
from churn.history import archive
from demo import fabricate
from tests import once
from tests.conftest import CORPORATE, FOLDERS

QUICK = {"model": "logistic", "tuning_seconds": 0, "package_check_days": 0, "settle_seconds": 0.0}
PRODUCTS = {
    "corporate": CORPORATE | QUICK | {"capacity": 70, "value": "number_of_employees", "contact_cost": 0.5},
    "viewers": {
        "id": "viewer",
        "target": "left",
        "positive": "yes",
        "integer": ["hours"],
        "categorical": ["plan", "device"],
        **QUICK,
    },
    "fresh": CORPORATE | QUICK,
    "nameless": {"target": "left", "positive": "yes", "numeric": ["hours"], **QUICK},
}
ODD = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{ 7*7 }}",
    "=1+1",
    "a/b c?d#e%25&f",
    "Ünïcode-客户",
    "..",
    "' OR 1=1 --",
    "javascript:alert(3)",
    "x" * 300,
]


def make(folder):
    """A copy of it in a folder of a test; its config's path and its products by name."""
    path = once.made("pages", folder, _make) / "config.json"
    return SimpleNamespace(home=folder, config_path=path, products=config.load(path))


def _make(folder):
    path = folder / "config.json"
    path.write_text(json.dumps({**FOLDERS, "products": PRODUCTS}))
    products = config.load(path)
    for month in (1, 2):
        frame = fabricate.world(500, month, 11, fabricate.Drift(), 0)
        fabricate.save(frame, products["corporate"].source / fabricate.file_name("corporate", month))
        if month == 2:
            (products["corporate"].source / "wrong.csv").write_text("foo,bar\n1,2\n")
            rows = "".join(f"z{i:03},1,2,3,0\n" for i in range(40)) + "z999,many,2,3,0\n"
            (products["corporate"].source / "few-rejected.csv").write_text(",".join(frame.columns) + "\n" + rows)
        tick(products["corporate"], full=month == 2)
    fabricate.save(viewers(), products["viewers"].source / "viewers.csv")
    tick(products["viewers"])
    fabricate.save(viewers()[["hours", "left"]], products["nameless"].source / "rows.csv")
    tick(products["nameless"])
    products["fresh"].source.mkdir(parents=True)


def viewers():
    """Viewers with odd names, and columns of categories; one of them has a level that looks like markup."""
    random = np.random.default_rng(3)
    count = 260
    plan = random.choice(["basic", "family", "<b>free</b>", "student", "duo", "trial", "work", "gift"], count)
    hours = random.integers(0, 90, count)
    device = random.choice(["tv", "phone", ""], count)
    odds = -0.6 + 1.2 * (plan == "basic") - 0.03 * hours + 0.6 * (device == "tv")
    left = random.random(count) < 1 / (1 + np.exp(-odds))
    names = [*ODD, *(f"v{i:04}" for i in range(count - len(ODD)))]
    answers = np.where(left, "yes", "no")
    return pd.DataFrame({"viewer": names, "hours": hours, "plan": plan, "device": device, "left": answers})


def tick(product, full=False):
    """What a run does, without deciding anything: the newest model is deployed."""
    began = stage.utc_now()
    with contextlib.suppress(QuarantineError):
        ingestion.ingest(product)
    training.train(product)
    scoring.score_version(product)
    deployment.deploy(product, releases.versions(product)[-1], why="the test's tick")
    scoring.score_clients(product)
    archive.update(product, dataset.load_record(product), began)
    if full:
        diagnostics.diagnose(product, no_packages=True)
        reporting.report(product)
    else:
        reporting.call_list(product)
    line = {"at": began, "script": "fullprocess", "outcome": "done", "seconds": 1, "text": "deployed; all is well"}
    storage.append_line(product.logs / "runs.jsonl", json.dumps(line))
