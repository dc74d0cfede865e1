"""What there is to know about the model in production and its data, as JSON."""

import json
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request

from churn.config import Product
from churn.errors import ReleaseError
from churn.web.access import PUBLIC, READ, scope
from churn.web.answers import answer
from churn.web.production import Production
from churn.web.served import asked, site

api = Blueprint("api", __name__)

DIAGNOSTICS = "diagnostics.json"  # as diagnostics.py writes it


@api.get("/scoring")
@scope(READ)
def scoring() -> Response:
    """The F1 and the other scores of the model in production, when it was trained and why it was deployed."""
    served, release = asked()
    manifest = release.manifest
    shown = {key: manifest.get(key) for key in ("scores", "trained_at", "model", "rival", "verdict")}
    return answer(served, release, f1=manifest["scores"]["f1"], **shown)


@api.get("/summarystats")
@scope(READ)
def summarystats() -> Response:
    """Mean, median, mode, standard deviation, min, max and missing percent of each column of the ingested data."""
    served, release = asked()
    return answer(served, release, **_diagnostics(served.product, "made_at", "rows", "statistics"))


@api.get("/diagnostics")
@scope(READ)
def diagnostics() -> Response:
    """Missing data, timings of ingestion and training, and which packages are behind."""
    served, release = asked()
    return answer(served, release, **_diagnostics(served.product, "made_at", "missing_percent", "timings", "packages"))


def _diagnostics(product: Product, *keys: str) -> dict[str, Any]:
    try:
        found = json.loads((product.reports / DIAGNOSTICS).read_text(encoding="utf-8"))
        return {key: found[key] for key in keys}
    except (FileNotFoundError, ValueError, KeyError):
        abort(503, f"not made yet; run: python diagnostics.py --product {product.name}")


@api.get("/health")
@scope(PUBLIC)
def health() -> tuple[Response, int]:
    """200 when a release can serve, else 503; ?product= asks about one product alone."""
    known = site().products
    if (name := request.args.get("product")) is not None:
        asked()
        known = {name: known[name]}
    states = {name: _state(served.production) for name, served in known.items()}
    serves = [state["model_version"] is not None for state in states.values()]
    healthy = all(state["problem"] is None for state in states.values())
    status = "ok" if healthy else "degraded" if any(serves) else "unavailable"
    return jsonify({"status": status, "products": states}), 200 if any(serves) else 503


def _state(production: Production) -> dict[str, str | None]:
    try:
        version = production.release().version
        return {"model_version": version, "problem": production.problem()}
    except ReleaseError as error:
        return {"model_version": None, "problem": str(error)}


@api.get("/")
@scope(READ)
def index() -> Response:
    """What there is to ask for."""
    rules = sorted(current_app.url_map.iter_rules(), key=lambda rule: rule.rule)
    views = current_app.view_functions
    shown = {
        f"{method} {rule.rule}": views[rule.endpoint].__doc__
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    return jsonify({"endpoints": shown, "products": list(site().products)})
