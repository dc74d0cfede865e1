"""Serve the page and the endpoints; `create_app()` is all there is to call.

A request looks once, at its start, which release is in production and uses that one to its end; the answer and the
header X-Model-Version name it. A new release is picked up without a restart. On a client's behalf nothing is read
but CSV files inside the product's data folders.
"""

import os
from pathlib import Path

from flask import Flask

import deployment
from churn import config, releases, stage
from churn.config import Product
from churn.errors import ReleaseError
from churn.web import access, answers, api, predictions
from churn.web.answers import MAX_BODY, VERSION_HEADER
from churn.web.production import Production
from churn.web.served import EXTENSION, Commands, Served, Site
from diagnostics import FILE as DIAGNOSTICS


def create_app(config_path: Path | None = None) -> Flask:
    """The Flask app for the products of a config.

    Args:
        config_path: by default what the environment's CHURN_CONFIG names, else config.json beside this file.

    Raises:
        ConfigError: the config cannot be used.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False
    app.url_map.merge_slashes = False
    products = config.load(config_path or default_config())
    served = {name: Served(product, Production(product)) for name, product in products.items()}
    app.extensions[EXTENSION] = Site(served, Commands(roll_back=_roll_back))
    app.before_request(access.check)
    app.after_request(answers.name_version)
    app.register_error_handler(Exception, answers.error)
    access.scope(access.PUBLIC)(app.view_functions["static"])
    for part in (predictions.api, api.api):
        app.register_blueprint(part)
    return app


def default_config() -> Path:
    """The config that serves when none is named."""
    return Path(os.environ.get("CHURN_CONFIG") or stage.HOME / "config.json")


def _roll_back(product: Product, why: str) -> str:
    return deployment.deploy(product, rollback=True, why=why)


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
