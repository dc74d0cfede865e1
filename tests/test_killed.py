"""Killed at any moment: the next run ends where an undisturbed one does, and readers never see a mix."""

import concurrent.futures
import os
import random
import shutil
import signal
import sqlite3
import time

import pytest

from churn import dataset, decisions, estimators, releases, storage
from churn.contest.arena import FOLDER
from churn.intake import recount
from tests.loop import changed, make, put
from tests.ticks import Forker

KILLS = int(os.environ.get("CHURN_KILLS", "12"))  # at random moments; those after a step come on top
STEPS = [
    ("churn.dataset", "save_record", 1),
    ("churn.decisions", "write_judgement", 1),
    ("churn.decisions", "write_judgement", 2),
    ("churn.fitting.learning", "fit", 2),
    ("churn.contest.challenge", "challenge", 1),
    ("training", "train", 1),
    ("scoring", "score_version", 1),
    ("churn.releases", "write_verdict", 1),
    ("churn.decisions", "write", 1),
    ("churn.releases", "publish", 1),
    ("app", "smoke", 1),
    ("scoring", "score_clients", 1),
    ("churn.history.archive", "update", 1),
    ("reporting", "call_list", 1),
]


def without_time(lines):
    return [{key: value for key, value in line.items() if key != "at"} for line in lines]


def remembered(product):
    """How many rows each table of the history has."""
    with sqlite3.connect(product.history.removeprefix("sqlite:///")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


def state(product):
    """What must be the same whether or not a run was killed: stored rows, decisions, what production says."""
    record = dataset.load_record(product)
    current = releases.current(product)
    manifest = releases.verify(current)
    return {
        "drops": [(d.name, d.rows, d.accepted, d.duplicate, d.rejected) for d in record.drops],
        "final": (product.ingested / "finaldata.csv").read_bytes(),
        "version": manifest["version"],
        "scores": manifest["scores"],
        "weights": manifest["data"]["weights"],
        "risks": estimators.risks(releases.load(current).model, dataset.frame(product)).tobytes(),
        "judgements": without_time(decisions.judgements(product)),
        "decisions": without_time(decisions.read(product)),
        "predictions": sorted(path.name for path in (product.models / FOLDER).iterdir()),
        "history": [(entry["version"], entry["why"]) for entry in releases.history(product)],
        "clients": (product.reports / "clients.csv").read_bytes(),
        "call list": (product.reports / "calllist.csv").read_bytes(),
        "remembered": remembered(product),
        "litter": sorted(path.name for path in product.config_path.parent.rglob(f"{storage.TEMPORARY}*")),
    }


def read_consistently(product):
    """Read production as a reader does: resolve the link once, then every file is the one that the manifest lists."""
    manifest = releases.verify(releases.current(product))
    assert manifest["scores"]["f1"] == float((product.production / manifest["version"] / "latestscore.txt").read_text())


class Base:
    """A product with a model in production and two drops to come, after which that is replaced."""

    def __init__(self, folder):
        self.folder = folder
        product = make(folder / "base")
        put(product, 1, 2, clients=800)
        with Forker(folder / "ticks") as forker:
            forker.run(product)
            put(product, 3, 4, clients=800, drift=changed(3))
            forker.run(self.fresh("warming up"))
            began = time.perf_counter()
            forker.run(product := self.fresh("undisturbed"))
            self.seconds = time.perf_counter() - began
        self.expected = state(product)

    def fresh(self, name):
        """A copy to do with as one likes."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "base", folder, symlinks=True, ignore=shutil.ignore_patterns("logs"))
        return make(folder)

    def run_again(self, forker, victim, moment):
        """A whole run after one that was killed ends as an undisturbed one, with each row accounted for once."""
        read_consistently(victim)
        forker.run(victim)
        found = state(victim)
        for key, value in self.expected.items():
            assert found[key] == value, f"{key}, killed {moment}"
        recount.verify(victim)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = Base(tmp_path_factory.mktemp("killed"))
    assert [decision["action"] for decision in base.expected["decisions"]] == ["deployed", "deployed"]
    assert len(base.expected["judgements"]) == 2 and base.expected["predictions"]
    assert not base.expected["litter"]
    return base


def in_two_threads(base, kills):
    """Let each of the threads do its half, on copies and with a forker of its own."""

    def half(worker):
        with Forker(base.folder / f"ticks{worker}") as forker:
            return [kill(forker, f"victim{worker}") for kill in kills[worker::2]]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return sum(pool.map(half, (0, 1)), [])


def test_killed_after_any_step_the_next_run_ends_where_an_undisturbed_one_does(base):
    def after(step):
        def kill(forker, name):
            victim = base.fresh(name)
            assert forker.tick(victim, dies=step).returncode == -signal.SIGKILL, step
            base.run_again(forker, victim, f"after {step}")

        return kill

    in_two_threads(base, [after(step) for step in STEPS])


def test_killed_at_random_moments_the_next_run_ends_where_an_undisturbed_one_does(base):
    def at(moment):
        def kill(forker, name):
            victim = base.fresh(name)
            done = forker.tick(victim, kill_after=moment, meanwhile=lambda: read_consistently(victim))
            base.run_again(forker, victim, f"after {moment:.3f} of {base.seconds:.3f} s")
            return done.returncode

        return kill

    generator = random.Random(1)
    codes = in_two_threads(base, [at(generator.uniform(0, base.seconds)) for _ in range(KILLS)])
    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) >= KILLS * 3 // 4  # the others were done by then
