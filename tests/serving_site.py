"""A product with versions, and the app under gunicorn: what the tests of app.py and churn/web share."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import requests

import app
import deployment
import diagnostics
import ingestion
import scoring
import training
from churn import config, releases
from churn.web.serving.scorer import Scorer
from demo import fabricate
from tests import hostile
from tests.conftest import HOME
from tests.loop import make

VERSION = app.VERSION_HEADER
ROWS = [
    {"corporation": "abcd", "lastmonth_activity": 10, "lastyear_activity": 200, "number_of_employees": 3},
    {"corporation": "007", "lastmonth_activity": "0", "lastyear_activity": 5.0, "number_of_employees": None},
    {"lastmonth_activity": 0, "lastyear_activity": 0, "number_of_employees": 1, "unknown": [1]},
]


def drop(folder, month, clients=400, first=0):
    path = folder / fabricate.file_name("corporate", month)
    fabricate.save(fabricate.world(clients, month, 11, fabricate.Drift(), first), path)


def new_version(product, month):
    """Ingest a month and train on all there is; the version, scored."""
    drop(product.source, month)
    ingestion.ingest(product)
    training.train(product)
    scoring.score_version(product)
    return releases.versions(product)[-1]


def make_site(folder, months=(1, 2), **settings):
    """A product with a version a month, none of them deployed, and the risks that each gives to ROWS."""
    product = make(folder, **settings)
    drop(product.test, 9, clients=50, first=1000)
    versions = [new_version(product, month) for month in months]
    risks = {}
    for version in versions:
        release = releases.load(product.models / version)
        risks[version] = Scorer(release.model, release.columns).risks(ROWS)
    diagnostics.diagnose(product, no_packages=True)
    return SimpleNamespace(product=product, versions=versions, risks=risks, home=folder)


def copy_site(site, home):
    """A copy of it to do with as one likes."""
    shutil.copytree(site.home, home, symlinks=True)
    product = config.load(home / "config.json")["corporate"]
    return SimpleNamespace(product=product, versions=site.versions, risks=site.risks, home=home)


def client(site):
    """A client of the app in this process."""
    return app.create_app(site.product.config_path).test_client()


@contextlib.contextmanager
def running(product, address="127.0.0.1", send_buffer=None, **environment):
    """The app under gunicorn, as `make serve` starts it, on a free port: its URL, its process and where it logs.

    It must stop in order. `send_buffer`: bytes that the kernel takes for a slow reader.
    """
    environment = os.environ | {"CHURN_CONFIG": str(product.config_path), "WEB_CONCURRENCY": "2"} | environment
    with socket.create_server((address, 0), backlog=1024) as listener:
        # As gunicorn does for listeners of its own: without it every answer waits 40 ms for a delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--log-level", "warning"]
        command += ["--bind", f"fd://{listener.fileno()}"]
        process = subprocess.Popen(command, cwd=HOME, env=environment, pass_fds=[listener.fileno()])
    url = f"http://127.0.0.1:{port}"
    logs = product.config_path.parent / "logs"
    try:
        with session() as http:
            http.get(f"{url}/healthz", timeout=60)  # a worker that is still starting would not stop in order
        yield SimpleNamespace(url=url, port=port, process=process, logs=logs)
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(20) == 0


@contextlib.contextmanager
def session():
    with requests.Session() as made:
        made.trust_env = False  # no proxy stands between this machine and itself
        yield made


def besiege(site):
    """Deploy, and lay out around the data what the hostile paths aim at; the folder outside."""
    deployment.deploy(site.product)
    shutil.copyfile(site.product.test / fabricate.file_name("corporate", 9), site.product.test / "clients.csv")
    return hostile.lay_out(site.home, site.product.test)
