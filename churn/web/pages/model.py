"""The model: the report on the release in production, as reporting.py wrote it, with its pictures."""

import json
import re
from pathlib import Path
from typing import Any

from flask import Response, abort, render_template, send_file, url_for
from flask.typing import ResponseReturnValue

from churn import releases
from churn.web.guard.access import READ, scope
from churn.web.pages.shell import pages, served

REPORT, PICTURES = "report.json", "pictures"  # as reporting.py writes them
ELSEWHERE = ("Whom to call",)  # sections whose matter has a page of its own
SMALL = 250  # pixels: of narrower pictures three stand in a row
PICTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,80}\.svg")


@pages.get("/products/<product>/model")
@scope(READ)
def model(product: str) -> ResponseReturnValue:
    """How good the model is, what it looks at, whether it drifts, and what was decided."""
    found = served(product)
    document = read(found.product.reports)
    return render_template("model.html", document=document and view(document, product), version_now=_version(found))


@pages.get("/products/<product>/pictures/<name>")
@scope(READ)
def picture(product: str, name: str) -> ResponseReturnValue:
    """One picture of the report."""
    folder = served(product).product.reports
    document = read(folder)
    if not PICTURE.fullmatch(name) or document is None or name not in pictures(document):
        abort(404, "no such picture")
    path = folder / PICTURES / name
    if not path.is_file() or path.is_symlink():
        abort(404, "no such picture")
    response: Response = send_file(path, mimetype="image/svg+xml", conditional=True)
    response.cache_control.no_cache = True
    return response


def read(folder: Path) -> dict[str, Any] | None:
    """The report that lies in a folder; None where there is none that can be read."""
    try:
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "sections" in found else None


def pictures(document: dict[str, Any]) -> set[str]:
    """The files of all pictures of a report."""
    blocks = [block for section in document["sections"] for block in section["blocks"]]
    return {item[1]["file"] for block in blocks if block["kind"] == "pictures" for item in block["items"]}


def view(document: dict[str, Any], product: str) -> dict[str, Any]:
    """The report with an anchor for each section and an address for each picture."""
    sections = []
    for i, section in enumerate(document["sections"]):
        if section["title"] in ELSEWHERE:
            continue
        blocks = [_block(block, product) for block in section["blocks"]]
        sections.append({"title": section["title"] or "In short", "anchor": f"part-{i + 1}", "blocks": blocks})
    return document | {"sections": sections}


def _block(block: dict[str, Any], product: str) -> dict[str, Any]:
    if block["kind"] != "pictures":
        return block
    items = []
    for title, one, caption in block["items"]:
        width, height = (round(96 * part) for part in one["size"])
        src = url_for("pages.picture", product=product, name=one["file"])
        items.append(
            {"title": title, "src": src, "alt": one["alt"], "width": width, "height": height, "caption": caption}
        )
    small = all(item["width"] < SMALL for item in items)
    return {"kind": "pictures", "items": items, "small": small}


def _version(found: Any) -> str | None:
    try:
        return releases.current_version(found.product)
    except OSError:
        return None
