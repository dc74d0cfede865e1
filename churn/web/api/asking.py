"""What a request asks, checked by a pydantic model; what does not fit is refused with its place."""

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, TypeVar

from flask import abort, request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from churn.web.answers import MAX_BODY
from churn.web.served import site
from churn.web.serving.rowreader import keys_once

JSON = "application/json"
LONG = 2**16  # bytes of a body, which take a millisecond
LARGE = 2**20  # these, parsed, may be fifty times as many
LONGEST = 100  # letters of a name that an error repeats
ITEMS = {"rows": "row", "outcomes": "outcome", "contacts": "contact"}  # what one of a list is called

Model = TypeVar("Model", bound=BaseModel)


def query(model: type[Model]) -> Model:
    """What stands after the question mark of the address."""
    try:
        return model.model_validate(single(request.args))
    except ValidationError as error:
        refuse(error)


def body(model: type[Model]) -> Model:
    """The JSON that was sent, every object's keys once."""
    content = sent()
    with alone(content):
        found = parsed(model, content)
        check_strictly(content)
    return found


def sent() -> bytes:
    """The bytes of a JSON body, as far as they are allowed."""
    environ = request.environ
    if environ.get("CONTENT_TYPE") != JSON and request.mimetype != JSON:
        abort(415, f"send JSON, with the header Content-Type: {JSON}")
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and int(length) <= MAX_BODY:
        return environ["wsgi.input"].read(int(length))  # as it is: the layers around it cost more than a prediction
    content = request.get_data(cache=False)
    if request.content_length is None and len(content) >= MAX_BODY:
        abort(413)  # Flask refuses what announces its length; what comes in chunks it only cuts off
    return content


def alone(content: bytes) -> AbstractContextManager[Any]:
    """Within it this worker works on no other long body, where this one is long; nor on a file, where it is large."""
    if len(content) <= LONG:
        return nullcontext()
    return site().long_work if len(content) <= LARGE else site().large_work


def parsed(model: type[Model], content: bytes) -> Model:
    """JSON as a model; of a key that stands twice the last one counts, see `check_strictly`."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        refuse(error)


def check_strictly(content: bytes) -> None:
    """Refuse what JSON does not have and parsers take all the same: a key twice in an object, NaN, Infinity."""
    try:
        json.loads(content, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except ValueError as error:
        abort(400, f"Invalid JSON: {error}")
    except RecursionError:
        abort(400, "Invalid JSON: recursion limit exceeded")


def may_be_loose(content: bytes, keys: int) -> bool:
    """Whether `check_strictly` might find something; cheap, and never False where it does.

    Args:
        keys: how many the parsed content has.
    """
    return not keys_once(content, keys) or b"NaN" in content or b"Infinity" in content


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:LONGEST]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def single(fields: MultiDict[str, str]) -> dict[str, str]:
    """Fields of which none may be given twice."""
    found = {}
    for name, values in fields.lists():
        if len(values) > 1:
            abort(422, f"{name[:LONGEST]}: stands there {len(values)} times; send it once")
        found[name] = values[0]
    return found


def refuse(error: ValidationError) -> NoReturn:
    """Answer with the first fault and its place: 400 for what is no JSON, 422 for JSON that does not fit."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = list(fault["loc"])
    if len(place) > 1 and place[0] in ITEMS and isinstance(place[1], int):
        place = [f"{ITEMS[place[0]]} {place[1] + 1}", *place[2:]]
    where = "".join(f"{str(part)[:LONGEST]}: " for part in place)
    abort(400 if fault["type"] == "json_invalid" else 422, where + fault["msg"].removeprefix("Value error, "))
