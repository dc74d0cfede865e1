"""Make the tokens that the app asks for; the app itself is served by gunicorn, see `make serve`.

A request looks once, at its start, which release is in production and uses that one to its end; the answer and the
header X-Model-Version name it. A new release is picked up without a restart. On a client's behalf nothing is read
but CSV files inside the product's data folders. Who may ask for what, see churn/web/guard/access.py.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flask import Flask

import deployment
from churn import config, releases, stage, storage
from churn.config import Product
from churn.errors import ChurnError, ReleaseError
from churn.web import answers, pages
from churn.web.answers import MAX_BODY
from churn.web.api import model, predictions
from churn.web.guard import access, login, tokens
from churn.web.guard.tokens import Tokens
from churn.web.served import EXTENSION, Commands, Served, Site
from churn.web.serving import counters, edge, health, metrics
from churn.web.serving.edge import VERSION_HEADER
from churn.web.serving.places import default_config
from churn.web.serving.production import Production
from diagnostics import FILE as DIAGNOSTICS


def create_app(config_path: Path | None = None, known: Tokens | None = None) -> Flask:
    """The Flask app for the products of a config.

    Args:
        config_path: by default what the environment's CHURN_CONFIG names, else config.json beside this file.
        known: who may use it; by default the tokens of the file and of the environment.

    Raises:
        ConfigError: the config, or the tokens, cannot be used.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False
    app.url_map.merge_slashes = False
    path = config_path or default_config()
    products = config.load(path)
    if known is None:
        known = Tokens(tokens.find_file(path, products.values()), os.environ.get("CHURN_TOKENS", ""))
    counted = counters.Counters()
    served = {name: Served(product, Production(product)) for name, product in products.items()}
    app.extensions[EXTENSION] = Site(
        served,
        Commands(roll_back=lambda *asked: _roll_back(served, *asked)),
        known,
        access.hosts(os.environ.get("CHURN_HOSTS")),
        counted,
    )
    access.set_up(app, known)
    app.register_error_handler(Exception, answers.error)
    access.scope(access.PUBLIC)(app.view_functions["static"])
    for part in (pages.blueprint(), predictions.api, model.api, health.api, login.api, metrics.api):
        app.register_blueprint(part)
    app.wsgi_app = edge.wrapped(app.wsgi_app, counted.answered)  # type: ignore[method-assign]  as Flask wants it
    return app


def _roll_back(served: Mapping[str, Served], product: Product, instead_of: str, why: str) -> bool:
    with storage.locked(product.logs / "lock", product.name):
        if releases.current_version(product) != instead_of:
            return False
        deployment.deploy(product, rollback=True, why=why)
    served[product.name].production.follow()  # whoever asked for it is to see it in the next answer
    return True


# ---- the smoke test --------------------------------------------------------------------------------------------------


def smoke(product: Product) -> str:
    """Ask the app, in this process, everything about the release in production; what it answered, in a line.

    Raises:
        ReleaseError: an endpoint does not answer, or not with the version in production.
    """
    folder = releases.current(product)
    version, contract = folder.name, releases.columns_of(releases.read_manifest(folder))
    client = create_app(product.config_path, Tokens()).test_client()  # with no token, so that it needs none
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


# ---- the tokens ------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Make, list or remove tokens; the exit code."""
    parser = argparse.ArgumentParser(
        prog="app.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--new-token", action="store_true", help="make a token and print it, this once")
    wanted.add_argument("--list-tokens", action="store_true", help="name, scope and age of each token")
    wanted.add_argument("--remove-token", metavar="NAME", help="a second later it is good for nothing")
    parser.add_argument("--name", default="default", help="of the new token, one for each program and person")
    parser.add_argument("--scope", choices=(tokens.READ, tokens.WRITE), default=tokens.READ, help="default: read")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="default: CHURN_TOKENS_FILE, else tokens.txt")
    parser.add_argument("--config", type=Path, default=default_config(), metavar="FILE", help="default: config.json")
    options = parser.parse_args(argv)
    try:
        path = tokens.find_file(options.config, config.load(options.config).values(), options.tokens)
        if options.new_token:
            taken = [one.name for one in tokens.parse(os.environ.get("CHURN_TOKENS", ""), "CHURN_TOKENS")]
            print(tokens.make(path, options.name, options.scope, stage.utc_now(), taken))
        elif options.list_tokens:
            for one in tokens.listed(path):
                print(f"{one.name}  {one.scope}  since {one.created}")
        else:
            left = tokens.remove(path, options.remove_token)
            closed = f"none is left and nobody is let in; to let this machine in, delete {path}"
            print(f"removed {options.remove_token}; {f'{left} left' if left else closed}")
    except (ChurnError, OSError) as error:
        print(error, file=sys.stderr)
        return stage.FIXABLE
    return stage.DONE


if __name__ == "__main__":
    sys.exit(main())
