"""Serve predictions, scores, statistics and diagnostics as JSON; `create_app()` is all there is to call.

A request looks once, at its start, which release is in production and uses that one to its end; the answer and the
header X-Model-Version name it. A new release is picked up without a restart. On a client's behalf nothing is read
but CSV files inside the product's data folders, and nothing is written.
"""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, g, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from churn import columns, config, dataset, estimators, releases, serving, stage
from churn.config import Product
from churn.errors import DataError, DropError, ReleaseError
from churn.releases import Release
from diagnostics import FILE as DIAGNOSTICS

logger = logging.getLogger(__name__)
pages = Blueprint("pages", __name__)

MAX_BODY = 8 * 2**20  # bytes of a request; 10,000 rows (the most) of twenty columns are about 6 MB
MAX_FILE = 16 * 2**20  # bytes of a file; more is work for scoring.py, not for a request
CHUNK = 64 * 2**10
VERSION_HEADER = "X-Model-Version"


def create_app(config_path: Path | None = None) -> Flask:
    """The Flask app for the products of a config.

    Args:
        config_path: by default what the environment's CHURN_CONFIG names, else config.json beside this file.

    Raises:
        ConfigError: the config cannot be used.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False
    app.url_map.merge_slashes = False
    products = config.load(config_path or default_config())
    app.extensions["churn"] = {name: serving.Production(product) for name, product in products.items()}
    app.extensions["churn_file"] = threading.Lock()  # one file at a time, which bounds a worker's memory
    app.register_blueprint(pages)
    app.register_error_handler(Exception, _error)
    app.after_request(_name_version)
    return app


def default_config() -> Path:
    """The config that serves when none is named."""
    return Path(os.environ.get("CHURN_CONFIG") or stage.HOME / "config.json")


def _productions() -> dict[str, serving.Production]:
    return current_app.extensions["churn"]


def _asked() -> tuple[Product, Release]:
    """The product that the request asks about, and the release that answers it."""
    known = _productions()
    name = request.args.get("product")
    if name is None and len(known) > 1:
        abort(400, f"say which product: ?product=NAME with one of {', '.join(known)}")
    production = known.get(name) if name is not None else next(iter(known.values()))
    if production is None:
        abort(404, f"no such product; there is {', '.join(known)}")
    release = production.release()
    g.model_version = release.version
    return production.product, release


def _answer(product: Product, release: Release, **found: Any) -> Response:
    return jsonify({"product": product.name, "model_version": release.version, **found})


# ---- predictions -----------------------------------------------------------------------------------------------------


@pages.post("/prediction")
def prediction() -> Response:
    """Each row's risk to leave, for {"dataset_path": "<a CSV in the data folders>"} or {"rows": [{...}, ...]}."""
    product, release = _asked()
    wanted = _body()
    if wanted.rows is not None:
        risks, ids = _risks_of_rows(release, wanted.rows)
    else:
        risks, ids = _risks_of_file(product, release, wanted.dataset_path)
    predictions: list[dict[str, Any]] = [{"risk": risk, "leaves": risk >= release.threshold} for risk in risks]
    for one, client in zip(predictions, ids, strict=True):
        if client is not None:
            one["id"] = client
    return _answer(product, release, rows=len(risks), threshold=release.threshold, predictions=predictions)


def _body() -> serving.PredictionRequest:
    if request.mimetype != "application/json":
        abort(415, "send JSON, with the header Content-Type: application/json")
    content = request.get_data(cache=False)
    if request.content_length is None and len(content) >= MAX_BODY:
        abort(413)  # Flask refuses what announces its length; what comes in chunks it only cuts off
    try:
        return serving.PredictionRequest.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = list(fault["loc"])
        if len(place) > 1 and place[0] == "rows":
            place = [f"row {place[1] + 1}", *place[2:]]
        where = "".join(f"{str(part)[:100]}: " for part in place)
        abort(400 if fault["type"] == "json_invalid" else 422, where + fault["msg"].removeprefix("Value error, "))


def _risks_of_rows(release: Release, rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[str | None]]:
    try:
        risks = estimators.risks_of_rows(release.model, rows, release.columns)
        return risks.tolist(), [_id(row, release.columns) for row in rows]
    except DataError:
        for number, row in enumerate(rows, start=1):  # checked again one by one, to name the row
            try:
                columns.features_of(row, release.columns)
                _id(row, release.columns)
            except DataError as fault:
                abort(422, f"row {number}: {fault}")
        raise


def _id(row: Mapping[str, Any], contract: columns.Columns) -> str | None:
    return columns.category(row.get(contract.id), contract.id) if contract.id else None


def _risks_of_file(product: Product, release: Release, path: str) -> tuple[list[float], list[str | None]]:
    descriptor = serving.open_data(product, path)
    if descriptor is None:
        abort(404, f"no such CSV file in the data folders of {product.name}")
    try:
        if os.fstat(descriptor).st_size > MAX_FILE:
            abort(422, f"the file is larger than {MAX_FILE // 2**20} MB; that is work for scoring.py (clients_path)")
        # The contract is the release's: what config.json says by now may be meant for the next one.
        contract = replace(product, columns=release.columns)
        with current_app.extensions["churn_file"]:
            frame = dataset.read_file(contract, descriptor, path.rpartition("/")[2])
    finally:
        os.close(descriptor)
    risks = estimators.risks(release.model, frame).tolist()
    if release.columns.id is None:
        return risks, [None] * len(risks)
    clients = frame[release.columns.id]
    return risks, clients.astype(object).where(clients.notna(), None).tolist()


# ---- what there is to know about the model and the data --------------------------------------------------------------


@pages.get("/scoring")
def scoring() -> Response:
    """The F1 and the other scores of the model in production, when it was trained and why it was deployed."""
    product, release = _asked()
    manifest = release.manifest
    shown = {key: manifest.get(key) for key in ("scores", "trained_at", "model", "rival", "verdict")}
    return _answer(product, release, f1=manifest["scores"]["f1"], **shown)


@pages.get("/summarystats")
def summarystats() -> Response:
    """Mean, median, mode, standard deviation, min, max and missing percent of each column of the ingested data."""
    product, release = _asked()
    return _answer(product, release, **_diagnostics(product, "made_at", "rows", "statistics"))


@pages.get("/diagnostics")
def diagnostics() -> Response:
    """Missing data, timings of ingestion and training, and which packages are behind."""
    product, release = _asked()
    return _answer(product, release, **_diagnostics(product, "made_at", "missing_percent", "timings", "packages"))


def _diagnostics(product: Product, *keys: str) -> dict[str, Any]:
    try:
        found = json.loads((product.reports / DIAGNOSTICS).read_text(encoding="utf-8"))
        return {key: found[key] for key in keys}
    except (FileNotFoundError, ValueError, KeyError):
        abort(503, f"not made yet; run: python diagnostics.py --product {product.name}")


@pages.get("/health")
def health() -> tuple[Response, int]:
    """200 when a release can serve, else 503; ?product= asks about one product alone."""
    known = _productions()
    if (name := request.args.get("product")) is not None:
        _asked()
        known = {name: known[name]}
    states = {name: _state(production) for name, production in known.items()}
    serves = [state["model_version"] is not None for state in states.values()]
    healthy = all(state["problem"] is None for state in states.values())
    status = "ok" if healthy else "degraded" if any(serves) else "unavailable"
    return jsonify({"status": status, "products": states}), 200 if any(serves) else 503


def _state(production: serving.Production) -> dict[str, str | None]:
    try:
        version = production.release().version
        return {"model_version": version, "problem": production.problem()}
    except ReleaseError as error:
        return {"model_version": None, "problem": str(error)}


@pages.get("/")
def index() -> Response:
    """What there is to ask for."""
    rules = sorted(current_app.url_map.iter_rules(), key=lambda rule: rule.rule)
    views = current_app.view_functions
    shown = {
        f"{method} {rule.rule}": views[rule.endpoint].__doc__
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    return jsonify({"endpoints": shown, "products": list(_productions())})


# ---- every answer, and every error -----------------------------------------------------------------------------------


def _name_version(response: Response) -> Response:
    if "model_version" in g:
        response.headers[VERSION_HEADER] = g.model_version
    return response


def _error(error: Exception) -> Response:
    """Any error as JSON of one form; a bug says nothing of the inside, its traceback is in the log."""
    headers: list[tuple[str, str]] = []
    if isinstance(error, HTTPException):
        status, message = error.code, error.description
        headers = [(key, value) for key, value in error.get_headers() if key != "Content-Type"]
    elif isinstance(error, DropError | DataError):
        status, message = 422, str(error)
    elif isinstance(error, ReleaseError):
        status, message = 503, str(error)
    else:
        logger.error("a bug in %s", request.endpoint, exc_info=error)
        status, message = 500, "a bug; the traceback is in the log"
    if isinstance(error, RequestEntityTooLarge):
        _drain()
    response = jsonify({"error": {"status": status, "message": message}})
    response.status_code = status
    response.headers.extend(headers)
    return response


def _drain() -> None:
    """Take in what a client is still sending, up to a bound: else it meets a reset connection, not the answer."""
    with contextlib.suppress(OSError):
        for _ in range(4 * MAX_BODY // CHUNK):
            if not request.environ["wsgi.input"].read(CHUNK):
                break


# ---- the smoke test --------------------------------------------------------------------------------------------------


def smoke(product: Product) -> str:
    """Ask the app, in this process, everything about the release in production; what it answered, in a line.

    Raises:
        ReleaseError: an endpoint does not answer, or not with the version in production.
    """
    folder = releases.current(product)
    version, contract = folder.name, releases.columns_of(releases.read_manifest(folder))
    client = create_app(product.config_path).test_client()
    asked = {"product": product.name}
    # A row without any value: fine by the contract of any product.
    blank = dict.fromkeys(contract.features)
    answers = {"/prediction": client.post("/prediction", query_string=asked, json={"rows": [blank]})}
    for path in ("/scoring", "/summarystats", "/diagnostics"):
        answers[path] = client.get(path, query_string=asked)
    # Diagnostics are made after the first deployment; until then, saying so is the right answer.
    waiting = () if (product.reports / DIAGNOSTICS).is_file() else ("/summarystats", "/diagnostics")
    for path, answer in answers.items():
        named = answer.headers.get(VERSION_HEADER)
        if named != version or answer.status_code != (503 if path in waiting else 200):
            said = answer.text.strip()
            raise ReleaseError(f"{path}: version {version} should answer; {named} did, {answer.status_code}: {said}")
    return f"{len(answers)} endpoints answer with {version}" + (", diagnostics not made yet" if waiting else "")
