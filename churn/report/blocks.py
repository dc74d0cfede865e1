"""The blocks that a report is made of: what is said, and nothing of how it looks on the page or in the PDF."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from churn.report.charts import Picture


@dataclass(frozen=True)
class Text:
    """A paragraph; its role is heading, lead, plain, note or alert."""

    text: str
    role: str = "plain"
    kind: str = "text"


@dataclass(frozen=True)
class Tiles:
    """A few figures to be seen at once: (figure, what it is, what it is to be held against)."""

    items: Sequence[tuple[str, str, str]]
    kind: str = "tiles"


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers, a cell of one line or more; `numbers` are the columns set to the right.

    Widths are relative.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    widths: tuple[float, ...]
    numbers: frozenset[int] = frozenset()
    title: str = ""
    total: bool = False  # the last row sums up the others
    kind: str = "table"


@dataclass(frozen=True)
class Bars:
    """Named shares, drawn as bars: (name, share from 0 to 1, what is written beside it)."""

    rows: Sequence[tuple[str, float, str]]
    title: str = ""
    kind: str = "bars"


@dataclass(frozen=True)
class Pictures:
    """Pictures with a title and a sentence on how to read each."""

    items: Sequence[tuple[str, Picture, str]]
    kind: str = "pictures"


Block = Text | Tiles | Table | Bars | Pictures


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """The whole report."""

    title: str
    subtitle: str
    badge: str
    live: bool
    sections: Sequence[Section]


def as_dict(document: Document) -> dict[str, Any]:
    """The document for JSON, a block with its `kind`; of a picture the file in which it is, its `alt` and its size."""
    sections = [{"title": one.title, "blocks": [_block(block) for block in one.blocks]} for one in document.sections]
    known = {name: getattr(document, name) for name in ("title", "subtitle", "badge", "live")}
    return known | {"sections": sections}


def pictures(document: Document) -> dict[str, bytes]:
    """The pictures of a document as SVG, by the names of their files."""
    blocks = [block for section in document.sections for block in section.blocks]
    return {
        _file(picture): picture.svg for block in blocks if isinstance(block, Pictures) for _, picture, _ in block.items
    }


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Pictures):
        items = [
            [title, {"file": _file(one), "alt": one.alt, "size": list(one.size)}, caption]
            for title, one, caption in block.items
        ]
        return {"kind": block.kind, "items": items}
    found = asdict(block)
    return found | ({"numbers": sorted(block.numbers)} if isinstance(block, Table) else {})


def _file(picture: Picture) -> str:
    return f"{picture.name}.svg"
