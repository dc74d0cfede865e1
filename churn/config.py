"""Load config.json, check every key, and give one frozen Product per product.

Paths in the file are relative to the file itself, never to the working directory. A file with the five path
keys of the original brief and no `products` is the one-product case: the corporate columns, and the artefacts
directly in those folders.
"""

import difflib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from churn.columns import Columns
from churn.errors import ConfigError
from churn.settings import CORPORATE, Config, Drift, ProductSettings, Promotion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Product:
    """One product, with its columns, its policy and its own folders (absolute paths)."""

    name: str
    settings: ProductSettings
    columns: Columns
    config_path: Path
    source: Path
    ingested: Path
    test: Path
    models: Path
    production: Path
    logs: Path
    reports: Path
    clients: Path | None
    history: str = field(repr=False)  # the URL of its database, which may hold a password


def load(path: Path) -> dict[str, Product]:
    """Read a config file; its products by name, in the order of the file.

    Raises:
        ConfigError: the file, the product and the key at fault, and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; name one with --config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        raw = json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}, {_place(text, error)}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds a {type(raw).__name__}, not an object of keys")
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        # Unknown keys first: a mistyped key is also a missing one, and its message says what was meant.
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        raise ConfigError("\n".join(_explain(path, fault) for fault in faults)) from None
    return _products(config, path.resolve())


def _products(config: Config, path: Path) -> dict[str, Product]:
    roots = {key: _folder(path, key, getattr(config, key)) for key in Config.model_fields if key.endswith("_path")}
    for key, folder in roots.items():
        same = [other for other in roots if other != key and roots[other].resolve() == folder.resolve()]
        if same:  # a log or a result among the drops would be ingested, a drop among the test files never trained on
            raise ConfigError(f"{path}: {key} and {same[0]} are one folder, {folder}; each needs its own")
    url = os.environ.get("CHURN_HISTORY_URL") or config.history_url
    if config.products is None:
        settings = ProductSettings.model_validate(CORPORATE)
        return {"corporate": _product("corporate", settings, roots, path, url, own_folders=False)}
    return {n: _product(n, settings, roots, path, url, own_folders=True) for n, settings in config.products.items()}


def _product(
    name: str, settings: ProductSettings, roots: dict[str, Path], path: Path, history: str | None, *, own_folders: bool
) -> Product:
    """`own_folders`: each artefact folder has one folder a product in it."""
    inside = {key: root / name if own_folders else root for key, root in roots.items()}
    return Product(
        name=name,
        settings=settings,
        columns=settings.columns(),
        config_path=path,
        source=inside["input_folder_path"],
        ingested=inside["output_folder_path"],
        test=inside["test_data_path"],
        models=inside["output_model_path"],
        production=inside["prod_deployment_path"],
        logs=inside["logs_folder_path"],
        reports=inside["reports_folder_path"],
        clients=path.parent / settings.clients_path if settings.clients_path else None,
        history=history or f"sqlite:///{inside['output_model_path'] / 'history.sqlite'}",
    )


def _folder(path: Path, key: str, value: str) -> Path:
    """A folder as the config file means it; `/sourcedata/` in older configs means the one beside the file."""
    folder = Path(value)
    if folder.is_absolute() and not Path(*folder.parts[:2]).exists():
        logger.warning("%s: %s %r is taken as %r; write it without the slash", path, key, value, value.strip("/"))
        folder = Path(*folder.parts[1:])
    return path.parent / folder


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} stands twice in one block")
    return dict(pairs)


def _place(text: str, error: json.JSONDecodeError) -> str:
    """Where a file is not JSON, and why; a comma too many at the comma, which is where the operator looks for it."""
    at, why = error.pos, error.msg
    before = text[:at].rstrip()
    if text[at : at + 1] in ("}", "]", ",") and before.endswith(","):
        at, why = len(before) - 1, "Illegal trailing comma"
    if "trailing comma" in why:  # Python 3.13 says so itself
        why = "a comma too many: another entry has to follow it"
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}: {why}"


# What pydantic says for programmers, as an operator reads it; its other messages do.
WORDS = {
    "dict_type": "must be a block in braces",
    "model_type": "must be a block in braces",
    "list_type": "must be a list in square brackets",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


def _explain(path: Path, fault: Any) -> str:
    """One line of a pydantic error as the operator needs it: file, product, key, what is allowed."""
    place = [str(part) for part in fault["loc"] if part != "[key]"]
    where = f"{path}: "
    model: type[BaseModel] = Config
    if place[:1] == ["products"] and len(place) > 1:
        where += f"product {place[1]!r}: "
        place, model = place[2:], ProductSettings
        if len(place) > 1 and place[0] in ("drift", "promotion"):
            model = {"drift": Drift, "promotion": Promotion}[place[0]]
    key = ".".join(place)
    if fault["type"] == "string_pattern_mismatch" and not key:
        return f"{where}a name is made of a to z, 0 to 9, - and _, starts with a letter or digit, and has at most 64"
    if fault["type"] == "extra_forbidden":
        known = list(model.model_fields)
        block, _, inner = place[-1].partition(".")
        if inner and block in known:
            return f"{where}unknown key {key!r}; write it as a block: {json.dumps({block: {inner: fault['input']}})}"
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{where}unknown key {key!r}; {hint}allowed: {', '.join(known)}"
    if fault["type"] == "missing":
        return f"{where}missing key {key!r}: {model.model_fields[place[-1]].description}"
    message = WORDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ").replace(
        "Input should be", "must be"
    )
    # A block as a whole is not repeated, it would hide the message.
    is_value = bool(key) or fault["type"] in WORDS
    shown = f" (it is {json.dumps(fault['input'], ensure_ascii=False)})" if is_value else ""
    return f"{where}{key + ': ' if key else ''}{message}{shown}"
