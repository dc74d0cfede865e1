"""Drops of fabricated clients, and the loop of decisions over them: in this process, and without the reports."""

import shutil

import numpy as np

import fullprocess
import ingestion
from churn import config, dataset
from demo import fabricate
from tests.conftest import make_product

CLIENTS = 1500
LATE = {
    "id": "corporation",
    "as_of": "day",
    "late_labels": True,
    "target": "exited",
    "positive": "1",
    "integer": ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
}
NOBODY = slice(0, 0)


def make(folder, **settings):
    """A product whose model is named and not tuned, so that a decision costs a fraction of a second."""
    folder.mkdir(parents=True, exist_ok=True)
    return make_product(folder, **{"model": "logistic", "tuning_seconds": 0, "package_check_days": 0} | settings)


def started(folder):
    """A product with a model in production, made from two drops."""
    product = make(folder)
    put(product, 1, 2)
    decide(product)
    return product


def copied(product, folder, **settings):
    """A copy of a product's whole installation, perhaps with another config."""
    shutil.copytree(product.config_path.parent, folder, symlinks=True)
    return make(folder, **settings) if settings else config.load(folder / "config.json")["corporate"]


def put(product, *months, clients=CLIENTS, drift=None, flipped=0.0, first=0):
    """Put months of the same clients into the source folder; of `flipped`, a share of the rows, the label is wrong."""
    for month in months:
        frame = fabricate.world(clients, month, 11, drift or fabricate.Drift(), first)
        wrong = np.random.default_rng(month).random(clients) < flipped
        frame.loc[wrong, "exited"] = 1 - frame.loc[wrong, "exited"]
        fabricate.save(frame, product.source / fabricate.file_name("corporate", month))


def decide(product, force=False):
    """Ingest what has come and decide; what was decided."""
    ingestion.ingest(product)
    return fullprocess.decide(product, dataset.load_record(product), force)


def changed(since, strength=2.0):
    """A world in which, from a month on, other clients leave than before."""
    return fabricate.Drift("relation", since, strength)


def monthly(product, month, *, labelled=slice(None), name=None, drift=None, clients=CLIENTS):
    """Put a month with the labels of some of its rows into the source folder; the whole table."""
    table = fabricate.world(clients, month, 11, drift or fabricate.Drift())
    table.insert(1, "day", f"2026-{month:02}-01")
    shown = table.astype({"exited": "str"})
    waits = np.ones(len(table), dtype=bool)
    waits[labelled] = False
    shown.loc[waits, "exited"] = ""
    fabricate.save(shown, product.source / (name or fabricate.file_name("corporate", month)))
    return table
