"""Whether the app is up, and whether it can serve: for whatever watches over it, so open to everybody."""

from flask import Blueprint, Response, jsonify

from churn.errors import ReleaseError
from churn.web.guard.access import PUBLIC, READ, may, scope
from churn.web.served import site
from churn.web.serving.production import Production

api = Blueprint("health", __name__)


@api.get("/healthz")
@scope(PUBLIC)
def healthz() -> Response:
    """200 as long as the app answers at all."""
    return jsonify({"status": "ok"})


@api.get("/readyz")
@scope(PUBLIC)
def readyz() -> tuple[Response, int]:
    """200 when a release can serve, else 503; who may read is told about each product."""
    states = {name: _state(served.production) for name, served in site().products.items()}
    serves = [state["model_version"] is not None for state in states.values()]
    sound = all(state["problem"] is None for state in states.values())
    told = {"status": "ready" if sound else "degraded" if any(serves) else "unavailable"}
    return jsonify(told | ({"products": states} if may(READ) else {})), 200 if any(serves) else 503


def _state(production: Production) -> dict[str, str | None]:
    try:
        version = production.release().version
        return {"model_version": version, "problem": production.problem()}
    except ReleaseError as error:
        return {"model_version": None, "problem": str(error)}
