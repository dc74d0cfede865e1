"""A product with all that the API tells of: two releases, judged drops, scored clients, a history and diagnostics."""

from types import SimpleNamespace

import deployment
import diagnostics
import scoring
from churn import config, releases
from demo import fabricate
from tests import loop, once
from tests.serving_site import drop

ROW = {"corporation": "abcd", "lastmonth_activity": 10, "lastyear_activity": 200, "number_of_employees": 3}


def make_full_site(folder):
    """A copy of it in a folder of a test."""
    product = config.load(once.made("full", folder, _make) / "config.json")["corporate"]
    return SimpleNamespace(product=product, home=folder, file=fabricate.file_name("corporate", 9))


def _make(folder):
    """Two months to learn from, one as before, two in which everything has changed, and a rollback at the end."""
    product = loop.make(folder)
    drop(product.test, 9, clients=50, first=loop.CLIENTS)
    loop.put(product, 1, 2)
    loop.decide(product)
    for month in (3, 4, 5):
        loop.put(product, month, drift=loop.changed(4))
        loop.decide(product)
    assert len(releases.history(product)) == 2
    scoring.score_clients(product)
    deployment.deploy(product, rollback=True, why="a test")
    scoring.score_clients(product)
    diagnostics.diagnose(product, no_packages=True)
