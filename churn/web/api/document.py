"""The OpenAPI document: what each view notes of its requests and answers, made into one by spectree.

spectree's own wrapper would check every request and answer while it is served, which costs time and gathers streams.
So views only carry notes; the wrapper goes around stand-ins on an app that serves nobody, from which the document is
made once.
"""

import copy
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Flask, current_app
from pydantic import BaseModel

from churn.web.api.answer_schemas import Refusal
from churn.web.api.model_schemas import HealthAnswer, ReadyAnswer
from churn.web.api.schemas import Of
from churn.web.guard.access import PUBLIC

View = TypeVar("View", bound=Callable[..., Any])
JSON = "application/json"
STORED = "churn.openapi"  # among the app's extensions
BEARER = "token"  # the name of the security scheme

ABOUT = """Risks of clients to leave, why, and what became of them. Every error has the form of `Refusal`; a product is
named with ?product= where there are several. Send the header `Authorization: Bearer TOKEN`; only a server that answers
nobody but its own machine may have no tokens, and asks for none."""

# Why an answer has a status; what a view refuses beyond these it notes itself.
WHY = {
    400: "it cannot be read as what it says it is, or does not say which product it is about",
    401: "no token, or an unknown one",
    403: "the token may not do this, or the request comes from another site",
    404: "there is no such product",
    405: "another method is needed; the header Allow says which",
    413: "it is larger than allowed",
    415: "it has another content type",
    422: "it breaks the contract; the message says where and how",
    503: "what is asked for is not made yet, or cannot be used; the message says what to run",
}


@dataclass(frozen=True)
class Operation:
    """What a view notes of itself for the document."""

    query: type[BaseModel] | None = Of
    json: type[BaseModel] | None = None
    bodies: Mapping[str, type[BaseModel] | str] = field(default_factory=dict)  # other content types; a str says what
    answer: type[BaseModel] | None = None
    answers: Mapping[str, str] = field(default_factory=dict)  # other content types of a 200, and what they are
    refusals: Sequence[int] = ()  # besides those that any view may give
    others: Mapping[int, type[BaseModel]] = field(default_factory=dict)  # statuses with answers of another form
    tag: str = "the model"
    path: Mapping[str, str] = field(default_factory=dict)  # what the parts of its path are


SERVER = {  # for views that are none of the API's own
    "healthz": Operation(query=None, answer=HealthAnswer, tag="the server"),
    "readyz": Operation(query=None, answer=ReadyAnswer, others={503: ReadyAnswer}, tag="the server"),
    "metrics": Operation(query=None, answers={"text/plain": "counts, as Prometheus reads them"}, tag="the server"),
}


def operation(**noted: Any) -> Callable[[View], View]:
    """Note for the document what a view takes and gives, see `Operation`; the view stays what it is."""

    def mark(view: View) -> View:
        view.operation = Operation(**noted)  # type: ignore[attr-defined]
        return view

    return mark


def document() -> dict[str, Any]:
    """The document of the app that answers this request; made once."""
    stored = current_app.extensions
    if STORED not in stored:
        stored[STORED] = make(current_app)
    return stored[STORED]


def make(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of all views of an app that have an `operation`."""
    from spectree import SecurityScheme, SecuritySchemeData, SpecTree

    scheme = SecurityScheme(name=BEARER, data=SecuritySchemeData(type="http", scheme="bearer"))
    tree = SpecTree(
        "flask",
        mode="strict",
        title="Churn risk",
        description=" ".join(ABOUT.split()),
        version="1",
        annotations=False,
        validation_error_model=Refusal,
        naming_strategy=lambda model: model.__name__,
        nested_naming_strategy=lambda _parent, child: child,
        security_schemes=[scheme],
    )
    stage = Flask("document")
    notes: dict[str, tuple[Operation, str]] = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        name = rule.endpoint.rpartition(".")[2]
        noted = getattr(view, "operation", None) or SERVER.get(name)
        if noted is not None:
            notes[name] = noted, view.scope  # type: ignore[attr-defined]
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            stage.add_url_rule(rule.rule, name, _stand_in(tree, name, view, *notes[name]), methods=methods)
    with stage.app_context():
        made = copy.deepcopy(tree.spec)
    for path in made["paths"].values():
        for described in path.values():
            _complete(described, *notes[described["operationId"]])
    made["paths"], made["components"]["schemas"] = _tidy(made["paths"]), _tidy(made["components"]["schemas"])
    _keep_used(made)
    return made


def _stand_in(tree: Any, name: str, view: Callable[..., Any], noted: Operation, scope: str) -> Callable[..., Any]:
    """A function with the view's name and docstring, wrapped by spectree with what the view noted."""
    from spectree import Response

    def stand_in() -> None:
        """Stands in for a view."""

    stand_in.__name__, stand_in.__doc__ = view.__name__, view.__doc__
    models = {f"HTTP_{status}": (Refusal, WHY[status]) for status in _refusals(noted, scope)}
    models |= {f"HTTP_{status}": (model, WHY[status]) for status, model in noted.others.items()}
    models["HTTP_200"] = (noted.answer, inspect.getdoc(noted.answer) if noted.answer else "as it is")
    return tree.validate(
        query=noted.query,
        json=noted.json,
        resp=Response(**models),
        tags=(noted.tag,),
        security=[] if scope == PUBLIC else [{BEARER: []}],
        operation_id=name,
        path_parameter_descriptions=noted.path,
        validation_error_status=_refusals(noted, scope)[-1],  # else spectree adds one of its own
    )(stand_in)


def _refusals(noted: Operation, scope: str) -> list[int]:
    found = {400, *noted.refusals}
    if scope != PUBLIC:
        found |= {401, 403}
    if noted.query is not None:
        found |= {404, 422}
    if noted.json is not None:
        found |= {413, 415}
    return sorted(found)


def _complete(described: dict[str, Any], noted: Operation, scope: str) -> None:
    """What spectree does not know of: other content types, that an address has no null in it, and the scope."""
    for parameter in described.get("parameters", ()):
        schema = parameter["schema"]
        schema.pop("description", None)
        if parameter["in"] == "path":
            schema.pop("format", None)
            schema["minLength"] = 1
        for one in schema.pop("anyOf", ()):
            schema.update(one if one != {"type": "null"} else {})
        if schema.get("default", "") is None:
            del schema["default"]
    if noted.bodies:
        content = described.setdefault("requestBody", {"required": True, "content": {}})["content"]
        for kind, model in noted.bodies.items():
            schema = {"type": "string", "description": model} if isinstance(model, str) else model.model_json_schema()
            content[kind] = {"schema": schema}
    for kind, what in noted.answers.items():
        answer = described["responses"]["200"]
        answer.setdefault("content", {})[kind] = {
            "schema": {"description": what} | ({} if kind == JSON else {"type": "string"})
        }
    described["responses"] = dict(sorted(described["responses"].items()))
    described["x-scope"] = scope


def _tidy(value: Any) -> Any:
    """A part of the document without what says nothing: empty descriptions, and titles made of names."""
    if isinstance(value, dict):
        kept = {key: _tidy(item) for key, item in value.items()}
        return {
            key: item
            for key, item in kept.items()
            if not (key == "description" and item == "") and not (key == "title" and isinstance(item, str))
        }
    return [_tidy(item) for item in value] if isinstance(value, list) else value


def _keep_used(made: dict[str, Any]) -> None:
    """Leave out the models of queries, which are shown as parameters."""
    models, wanted, used = made["components"]["schemas"], [made["paths"]], set()
    while wanted:
        text = json.dumps(wanted.pop())
        new = {name for name in models if f'"#/components/schemas/{name}"' in text} - used
        used |= new
        wanted += [models[name] for name in new]
    made["components"]["schemas"] = {name: models[name] for name in sorted(used)}
