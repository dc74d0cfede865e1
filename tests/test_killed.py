"""Killed at any moment: the next run ends where an undisturbed one does, and readers never see a mix."""

import concurrent.futures
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from churn import dataset, decisions, estimators, releases, storage
from churn.intake import recount
from demo import fabricate
from tests.conftest import HOME
from tests.test_fullprocess import CLIENTS, drop, make_again, run


def state(product):
    """What must be the same whether or not a run was killed: stored rows, decisions, what production says."""
    record = dataset.load_record(product)
    current = releases.current(product)
    manifest = releases.verify(current)
    model = releases.load(current).model
    rows = dataset.frame(product)
    last = decisions.read(product)[-1]
    return {
        "drops": [(d.name, d.rows, d.accepted, d.duplicate, d.rejected) for d in record.drops],
        "final": (product.ingested / "finaldata.csv").read_bytes(),
        "version": manifest["version"],
        "scores": manifest["scores"],
        "risks": estimators.risks(model, rows).tobytes(),
        "decisions": [
            (d["data_hash"], d["champion"], d["challenger"], d["action"], d["reason"]) for d in decisions.read(product)
        ],
        "promotion": last["promotion"],
        "history": [(entry["version"], entry["why"]) for entry in releases.history(product)],
        "clients": (product.reports / "clients.csv").read_bytes(),
        "litter": sorted(path.name for path in product.config_path.parent.rglob(f"{storage.TEMPORARY}*")),
    }


def read_consistently(product):
    """Read production as a reader does: resolve the link once, then every file is the one that the manifest lists."""
    manifest = releases.verify(releases.current(product))
    assert manifest["scores"]["f1"] == float((product.production / manifest["version"] / "latestscore.txt").read_text())


FORKED = """
import os, signal, sys
sys.argv = ["fullprocess.py"]
import app, deployment, diagnostics, fullprocess, ingestion, reporting, scoring, training  # once, not once a run
import duckdb, lightgbm, matplotlib.figure, pandas, reportlab.platypus, skops.io, sklearn.linear_model
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        os._exit(fullprocess.main(["--config", line.strip()]))
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Forker:
    """Starts ticks as forks of a process that has imported everything: fifty starts in the time of five."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKED], cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def tick(self, product, kill_after=None, meanwhile=lambda: None):
        """Run a tick; SIGKILL it after so many seconds. Its exit code, -9 when it was killed."""
        self.process.stdin.write(f"{product.config_path}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            until = time.perf_counter() + kill_after
            while time.perf_counter() < until:
                meanwhile()
                time.sleep(min(0.01, max(0.0, until - time.perf_counter())))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


KILLS = 50
POLICY = {"drift": {"policy": "always"}, "promotion": {"confidence": 0.51}}  # so that every stage has its turn


def test_killed_at_fifty_random_moments_the_next_run_ends_where_an_undisturbed_one_does(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    product = make_again(base)
    drop(product, 1, clients=500, first=CLIENTS, folder=product.test)
    for month in (1, 2):
        drop(product, month)
    run(product)
    drop(product, 3, drift=fabricate.Drift("relation", 3, 2.0), clients=2000)

    def fresh(name):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        shutil.copytree(base, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("logs"))
        return make_again(tmp_path / name, **POLICY)

    def undisturbed(forker):
        product = fresh("undisturbed")
        began = time.perf_counter()
        assert forker.tick(product) == 0
        return state(product), time.perf_counter() - began

    def kill_and_run_again(worker):
        """Half of the kills, each in a fresh copy and followed by one whole run."""
        generator, killed = random.Random(worker), 0
        with Forker() as forker:
            while killed < KILLS // 2:
                victim = fresh(f"victim{worker}")
                moment = generator.uniform(0, seconds)
                killed += forker.tick(victim, moment, lambda v=victim: read_consistently(v)) == -signal.SIGKILL
                read_consistently(victim)
                assert forker.tick(victim) == 0
                assert state(victim) == expected, f"killed after {moment:.3f} of {seconds:.3f} s"
                recount.verify(victim)  # raises where a row is not accounted for exactly once
        return killed

    with Forker() as forker:
        undisturbed(forker)
        expected, seconds = undisturbed(forker)
    assert expected["decisions"][-1][3] == "deployed"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(kill_and_run_again, (1, 2))) == KILLS
