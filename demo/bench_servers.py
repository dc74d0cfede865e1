"""The servers that benchmarks ask: ours, and what others would run; how they are started, and asked."""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import requests
from requests.adapters import HTTPAdapter, Retry

import deployment
import ingestion
import scoring
import training
from churn import config, stage
from churn.web.guard import tokens
from demo import fabricate
from demo.bench_ingestion import PATHS

HOME = Path(__file__).resolve().parent.parent

PEER = ("mlflow>=3", "pandas", "scikit-learn", "gunicorn", "flask")
INSTALL_SECONDS = 900
WORKERS = 2
NUMBERS = ("lastmonth_activity", "lastyear_activity", "number_of_employees", *(f"number_{i}" for i in range(7)))
CATEGORIES = tuple(f"category_{i}" for i in range(6))
COLUMNS = {"id": "corporation", "target": "exited", "positive": "1", "negative": "0"}
COLUMNS |= {"numeric": list(NUMBERS), "categorical": list(CATEGORIES)}

EMPTY_NAME, USUAL_NAME = "an empty Flask route", "Flask and a scikit-learn pipeline"
EMPTY = """
from flask import Flask

app = Flask(__name__)

@app.post("/prediction")
def prediction():
    return "{}"
"""
USUAL = """
import pickle
import pandas as pd
from flask import Flask, jsonify, request

app = Flask(__name__)
model = pickle.load(open("usual.pkl", "rb"))

@app.post("/prediction")
def prediction():
    rows = pd.DataFrame(request.get_json()["rows"])
    return jsonify({"predictions": model.predict_proba(rows)[:, 1].tolist()})
"""
FIT = """
import pickle, sys
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

numbers, categories = (names.split(",") for names in sys.argv[1:])
rows = pd.read_csv("rows.csv")
known = OneHotEncoder(handle_unknown="ignore")
scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
encode = ColumnTransformer([("n", scaled, numbers), ("c", known, categories)])
model = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(rows[numbers + categories], rows["exited"])
pickle.dump(model, open("usual.pkl", "wb"))
"""
SAVE = "\nimport mlflow.sklearn\nmlflow.sklearn.save_model(model, 'saved', serialization_format='cloudpickle')\n"


@dataclass(frozen=True)
class Side:
    """One server: how it is started, and what is asked of it."""

    name: str
    command: Sequence[str]
    folder: Path
    path: str = "/prediction"
    key: str = "rows"  # under which the rows stand in the body
    variables: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def started(scratch: Path, side: Side, port: int) -> Iterator[tuple[str, subprocess.Popen]]:
    """A side at work: its address, and its process; what it writes for its time is left in the scratch folder."""
    bind = ["--port", str(port)] if "mlflow" in side.command else ["--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*side.command, *bind],
        cwd=side.folder,
        env={**os.environ, "PYTHONPATH": str(HOME), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", **side.variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # a graceful stop takes seconds, and nothing is to be kept
        process.wait()


def session() -> requests.Session:
    """What asks a server that has just been started: it waits until one is there and can serve."""
    asking = requests.Session()
    asking.trust_env = False
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # else it warns of every try
    patience = Retry(250, status_forcelist=[503], allowed_methods=None, backoff_factor=0.1, backoff_max=0.5)
    asking.mount("http://", HTTPAdapter(max_retries=patience))
    return asking


def rows(count: int) -> pd.DataFrame:
    """Fabricated clients with ten numbers and six categories."""
    frame = fabricate.world(count, 1, 0, fabricate.Drift())
    generator = np.random.default_rng(0)
    for name in NUMBERS[3:]:
        frame[name] = generator.normal(0, 1, count).round(4)
    for i, name in enumerate(CATEGORIES):
        frame[name] = generator.choice([f"level {j}" for j in range(2 + i)], count)
    return frame


# ---- the sides -------------------------------------------------------------------------------------------------------


def empty(scratch: Path) -> Side:
    """A route that does nothing, under the same gunicorn settings."""
    folder = _folder(scratch / "empty", EMPTY)
    return Side(EMPTY_NAME, [*_gunicorn(), "--worker-class", "churn.web.serving.worker.Worker"], folder)


def ours(scratch: Path, kind: str, frame: pd.DataFrame) -> Side:
    """The app as `make serve` starts it, with a token."""
    folder = scratch / kind
    folder.mkdir()
    path = folder / "config.json"
    path.write_text(
        json.dumps(PATHS | {"products": {"corporate": COLUMNS | {"model": kind, "threads": 1, "tuning_seconds": 0}}})
    )
    product = config.load(path)["corporate"]
    fabricate.save(frame, product.source / "rows.csv")
    ingestion.ingest(product)
    training.train(product)
    scoring.score_version(product)
    deployment.deploy(product, why="for the benchmark")
    file = folder / "tokens.txt"
    token = tokens.make(file, "bench", "read", stage.utc_now())
    variables = {"CHURN_CONFIG": str(path), "CHURN_TOKENS_FILE": str(file)}
    command = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS)]
    return Side(f"ours, {kind}", command, HOME, variables=variables, headers={"Authorization": f"Bearer {token}"})


def usual(scratch: Path, frame: pd.DataFrame) -> Side:
    """A Flask app around a scikit-learn pipeline."""
    folder = _folder(scratch / "usual", USUAL)
    frame.to_csv(folder / "rows.csv", index=False)
    _run([sys.executable, "-c", FIT, ",".join(NUMBERS), ",".join(CATEGORIES)], folder)
    return Side(USUAL_NAME, _gunicorn(), folder)


def mlflow(scratch: Path) -> Side:
    """`mlflow models serve` with that pipeline, in an environment of its own.

    Raises:
        RuntimeError: it cannot be installed here.
    """
    folder = _folder(scratch / "mlflow", "")
    shutil.copyfile(scratch / "usual" / "rows.csv", folder / "rows.csv")
    python = folder / "environment" / "bin" / "python"
    _run([sys.executable, "-m", "venv", "environment"], folder)
    _run([str(python), "-m", "pip", "install", "-q", *PEER], folder)
    _run([str(python), "-m", "compileall", "-q", "environment/lib"], folder, check=False)
    _run([str(python), "-c", FIT + SAVE, ",".join(NUMBERS), ",".join(CATEGORIES)], folder)
    command = [str(python), "-m", "mlflow", "models", "serve", "-m", "saved", "--env-manager", "local"]
    return Side(
        "mlflow models serve",
        [*command, "--workers", str(WORKERS)],
        folder,
        path="/invocations",
        key="dataframe_records",
        variables={"PATH": f"{python.parent}:{os.environ['PATH']}"},
    )


def _folder(folder: Path, app: str) -> Path:
    folder.mkdir()
    (folder / "side.py").write_text(app)
    return folder


def _gunicorn() -> list[str]:
    # Not the repository's settings file, which belongs to its app.
    command = [sys.executable, "-m", "gunicorn", "-c", "/dev/null", "side:app"]
    return [*command, "--workers", str(WORKERS), "--threads", "4"]


def _run(command: Sequence[str], folder: Path, *, check: bool = True) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if check and done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
