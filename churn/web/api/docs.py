"""The OpenAPI document, as JSON and as a page that needs nothing from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from churn.web.api.document import JSON, document, operation
from churn.web.guard.access import READ, scope

api = Blueprint("docs", __name__)

SAMPLES = {  # requests as somebody may type them
    "prediction": {"rows": [{"COLUMN": "VALUE"}]},
    "explain": {"rows": [{"COLUMN": "VALUE"}]},
    "outcomes": {
        "outcomes": [{"client": "CLIENT", "left": True}],
        "contacts": [{"client": "CLIENT", "at": "2026-11-21T09:30:00Z", "kind": "called", "outcome": "stays"}],
    },
}


@dataclass(frozen=True)
class Line:
    """A parameter, or a field of a model, as the page shows it."""

    name: str
    kind: str
    needed: bool
    what: str


@dataclass(frozen=True)
class Shown:
    """An operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    more: str
    scope: str
    parameters: list[Line]
    bodies: list[tuple[str, str, list[Line]]]  # content type, what it is, its fields
    answers: list[tuple[str, str, str]]  # status, why, the model
    example: str


@api.get("/openapi.json")
@scope(READ)
@operation(query=None, answers={JSON: "OpenAPI 3.1"}, tag="the server")
def description() -> Response:
    """This document, for programs."""
    return jsonify(document())


@api.get("/docs")
@scope(READ)
@operation(query=None, answers={"text/html": "a page"}, tag="the server")
def docs() -> str:
    """This document, for people."""
    made = document()
    groups: dict[str, list[Shown]] = {}
    for one in operations(made, request.host_url.rstrip("/")):
        groups.setdefault(one[0], []).append(one[1])
    models = {name: _fields(schema) for name, schema in made["components"]["schemas"].items()}
    about = {name: schema.get("description", "") for name, schema in made["components"]["schemas"].items()}
    return render_template("docs.html", info=made["info"], groups=groups, models=models, about=about)


def operations(made: Mapping[str, Any], url: str) -> Iterator[tuple[str, Shown]]:
    """Each operation of a document with the name of its group."""
    for path, methods in made["paths"].items():
        for method, described in methods.items():
            bodies = described.get("requestBody", {}).get("content", {})
            yield (
                described["tags"][0],
                Shown(
                    id=described["operationId"],
                    method=method.upper(),
                    path=path,
                    summary=described["summary"],
                    more=described.get("description", ""),
                    scope=described["x-scope"],
                    parameters=[_parameter(one) for one in described.get("parameters", ())],
                    bodies=[_body(kind, one["schema"], made) for kind, one in bodies.items()],
                    answers=[_answer(status, one) for status, one in described["responses"].items()],
                    example=example(method.upper(), path, described, url),
                ),
            )


def example(method: str, path: str, described: Mapping[str, Any], url: str) -> str:
    """A call that can be typed into a shell."""
    lines = ["curl"]
    if described["x-scope"] != "public":
        lines.append("-H 'Authorization: Bearer TOKEN'")
    sample = SAMPLES.get(described["operationId"])
    if sample is not None:
        lines += [f"-H 'Content-Type: {JSON}'", f"-d '{json.dumps(sample)}'"]
    return " \\\n  ".join([*lines, f"'{url}{path.replace('{client}', 'CLIENT')}'"])


def _parameter(one: Mapping[str, Any]) -> Line:
    return Line(
        one["name"], f"{kind_of(one['schema'])}, in the {one['in']}", one["required"], one.get("description", "")
    )


def _body(kind: str, schema: Mapping[str, Any], made: Mapping[str, Any]) -> tuple[str, str, list[Line]]:
    if "$ref" in schema:
        schema = made["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return kind, schema.get("description", ""), _fields(schema)


def _answer(status: str, one: Mapping[str, Any]) -> tuple[str, str, str]:
    models = [content["schema"] for content in one.get("content", {}).values()]
    return status, one["description"], next((m["$ref"].rpartition("/")[2] for m in models if "$ref" in m), "")


def _fields(schema: Mapping[str, Any]) -> list[Line]:
    needed = schema.get("required", ())
    return [
        Line(name, kind_of(field), name in needed, field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def kind_of(schema: Mapping[str, Any]) -> str:
    """A schema in a few words: `number from 0 to 1`, `list of Prediction`, `text or null`."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_of(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "anything")
    if kind == "array":
        most = f", at most {schema['maxItems']:,}" if "maxItems" in schema else ""
        return f"list of {kind_of(schema.get('items', {}))}{most}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "object"}
    said = words.get(kind, kind) + (f" ({schema['format']})" if "format" in schema else "")
    if "minimum" in schema and "maximum" in schema:
        said += f" from {schema['minimum']:,} to {schema['maximum']:,}"
    return said
