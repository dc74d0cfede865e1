"""What there is to know about the model in production, those before it, and the data, as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify

from churn import decisions, releases
from churn.config import Product
from churn.errors import ReleaseError
from churn.web.answers import answer
from churn.web.api import asking, clients, docs, outcomes
from churn.web.api.document import operation
from churn.web.api.model_schemas import (
    DiagnosticsAnswer,
    DriftAnswer,
    ReleasesAnswer,
    ScoringAnswer,
    SummaryStatsAnswer,
)
from churn.web.api.schemas import DriftQuery, Of
from churn.web.guard.access import READ, scope
from churn.web.served import asked, product

api = Blueprint("api", __name__)
for part in (clients.api, outcomes.api, docs.api):
    api.register_blueprint(part)

DIAGNOSTICS = "diagnostics.json"  # as diagnostics.py writes it


@api.get("/scoring")
@scope(READ)
@operation(answer=ScoringAnswer, refusals=(503,))
def scoring() -> Response:
    """The F1 and the other scores of the model in production, when it was trained and why it was deployed."""
    asking.query(Of)
    served, release = asked()
    manifest = release.manifest
    shown = {key: manifest.get(key) for key in ("scores", "trained_at", "model", "rival", "verdict")}
    return answer(served, release, f1=manifest["scores"]["f1"], **shown)


# ---- the data --------------------------------------------------------------------------------------------------------


@api.get("/summarystats")
@scope(READ)
@operation(answer=SummaryStatsAnswer, refusals=(503,), tag="the data")
def summarystats() -> Response:
    """Mean, median, mode, standard deviation, min, max and missing percent of each column of the ingested data."""
    asking.query(Of)
    served, release = asked()
    return answer(served, release, **_diagnostics(served.product, "made_at", "rows", "statistics"))


@api.get("/diagnostics")
@scope(READ)
@operation(answer=DiagnosticsAnswer, refusals=(503,), tag="the data")
def diagnostics() -> Response:
    """Missing data, timings of ingestion and training, and which packages are behind."""
    asking.query(Of)
    served, release = asked()
    return answer(served, release, **_diagnostics(served.product, "made_at", "missing_percent", "timings", "packages"))


def _diagnostics(of: Product, *keys: str) -> dict[str, Any]:
    try:
        found = json.loads((of.reports / DIAGNOSTICS).read_text(encoding="utf-8"))
        return {key: found[key] for key in keys}
    except (FileNotFoundError, ValueError, KeyError):
        abort(503, f"not made yet; run: python diagnostics.py --product {of.name}")


# ---- over time -------------------------------------------------------------------------------------------------------


@api.get("/releases")
@scope(READ)
@operation(answer=ReleasesAnswer, tag="over time")
def show_releases() -> Response:
    """What was in production when and why, the newest first."""
    served = product(asking.query(Of).product)
    g.product = served.product.name
    told = [_entry(served.product, *entry) for entry in releases.with_ends(releases.history(served.product))]
    now = releases.current_version(served.product)
    return jsonify({"product": served.product.name, "model_version": now, "releases": told})


def _entry(of: Product, entry: Mapping[str, Any], until: str | None) -> dict[str, Any]:
    try:
        manifest = releases.read_manifest(of.production / entry["version"])
    except ReleaseError:  # no longer kept
        manifest = {}
    told = {name: entry[name] for name in ("version", "from", "why")}
    known = {name: manifest.get(name) for name in ("scores", "verdict")}
    return told | {"until": until, "by": entry.get("by")} | known


@api.get("/drift")
@scope(READ)
@operation(query=DriftQuery, answer=DriftAnswer, refusals=(503,), tag="over time")
def drift() -> Response:
    """What the newest drops showed of the models that were in production, and whether the present one has drifted.

    Each judgement has the columns that have shifted, the scores on the new rows beside the deployed F1, and the
    estimates that were made before labels came beside what they turned out to be.
    """
    wanted = asking.query(DriftQuery)
    served, release = asked()
    lines = decisions.judgements(served.product)
    mine = [line["verdict"] for line in lines if line["champion"] == release.version]
    told = [_judgement(line) for line in lines[: -wanted.limit - 1 : -1]]
    return answer(served, release, verdict=mine[-1] if mine else None, judgements=told)


def _judgement(line: Mapping[str, Any]) -> dict[str, Any]:
    seen, moves = line["seen"], line.get("moves", {})
    shifts = [
        {"column": column, "words": words, "list_moved": moves.get(column)} for column, words in seen["shifted"].items()
    ]
    return {
        **{name: line[name] for name in ("at", "drops", "verdict", "said", "reasons", "scores", "deployed_f1")},
        "version": line["champion"],
        "rows": seen["rows"],
        "labelled": seen["labelled"],
        "shifts": shifts,
        "below_deployed": line["raw_rule"],
        "compared": line["outcomes"],
        "estimate": line["waiting"],
    }
