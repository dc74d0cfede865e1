"""Ticks as processes forked from one that has imported everything, without pictures: fifty in the time of five.

What a tick does is real but for the drawing, which takes most of its time: pictures are of one pixel, the PDF is empty.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from tests.conftest import HOME

FORKED = """
import base64, gc, importlib, json, os, signal, sys
sys.argv = ["fullprocess.py"]
import app, deployment, diagnostics, fullprocess, ingestion, reporting, scoring, training  # once, not once a run
import duckdb, lightgbm, matplotlib.figure, pandas, reportlab.platypus, skops.io, sklearn.linear_model, sqlalchemy
from churn import idle
from churn.contest import challenge
from churn.monitoring import judging
from churn.report import charts, content, pdf

BLANK = {
    "png": base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
    ),
    "svg": b"<svg/>",
}

def blank(name, draw, size, alt, **panels):
    return charts.Picture(name, **BLANK, alt=alt, size=size)

def without_pictures():
    for module in list(sys.modules.values()):
        if module.__name__.startswith("churn.report.") and hasattr(module, "picture"):
            module.picture = blank
    pdf.pdf = lambda document: b"%PDF"

def dies(module, name, count):
    module, whole = importlib.import_module(module), []
    original = getattr(module, name)
    def killed_after(*arguments, **keywords):
        result = original(*arguments, **keywords)
        whole.append(name)
        if len(whole) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, killed_after)

def tick(asked):
    for number, path in ((1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    without_pictures()
    if asked["dies"]:
        dies(*asked["dies"])
    code = 0 if idle.nothing_new(asked["arguments"]) else fullprocess.main(asked["arguments"])
    sys.stdout.flush()
    os._exit(code)

gc.freeze()  # else each fork would copy what it collects
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            tick(asked)
        finally:
            os._exit(3)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
os._exit(0)  # what is frozen would be told as leaked
"""


@dataclass(frozen=True)
class Done:
    """What a tick said, and its exit code; -9 when it was killed."""

    returncode: int
    stdout: str
    stderr: str


class Forker:
    """Starts ticks, one at a time; a context manager."""

    def __init__(self, folder, **environment):
        self.out, self.err, self.environment = folder / "out", folder / "err", environment
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        command = [sys.executable, "-c", FORKED]
        environment = os.environ | {"PYTHONPATH": str(HOME)} | self.environment
        self.process = subprocess.Popen(
            command, cwd="/", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def tick(self, product, *arguments, dies=None, kill_after=None, meanwhile=lambda: None):
        """Run a tick as cron would.

        Args:
            dies: (module, function, n): it is killed right after the n-th call of the function.
            kill_after: it is killed after so many seconds, while `meanwhile` is called again and again.
        """
        asked = {"arguments": ["--config", str(product.config_path), *arguments], "dies": dies}
        asked |= {"out": str(self.out), "err": str(self.err)}
        self.process.stdin.write(f"{json.dumps(asked)}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            until = time.perf_counter() + kill_after
            while time.perf_counter() < until:
                meanwhile()
                time.sleep(min(0.01, max(0.0, until - time.perf_counter())))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = int(self.process.stdout.readline())
        return Done(code, self.out.read_text(), self.err.read_text())

    def run(self, product, *arguments, expect=0):
        """Run a tick that is to end with this exit code."""
        done = self.tick(product, *arguments)
        assert done.returncode == expect, done.stdout + done.stderr
        return done
