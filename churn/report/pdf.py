"""Lay a report out as a PDF: A4, page numbers, the same content as the page in HTML.

The same document gives the same bytes.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    Image,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from churn.report import typography
from churn.report.blocks import Bars, Document, Pictures, Section, Text, Tiles
from churn.report.blocks import Table as Rows
from churn.report.charts import Picture
from churn.report.typography import BLUE, FONT, LINE, MUTED, PALE, paragraph

MARGIN = 20 * mm
WIDTH = A4[0] - 2 * MARGIN
GAP = 8 * mm  # between two columns
PADDING = 6  # reportlab's own, around the text of a page
HALF_PAGE = A4[1] / 2
SMALL = 95 * mm  # a table that is no higher is not split over two pages
FIRST_ROWS = 4  # of a table that is split, its head included, that stay on the page of its title


def pdf(document: Document) -> bytes:
    """The document as the bytes of a PDF."""
    typography.register_fonts()
    story: list[Flowable] = [
        paragraph(document.title, typography.TITLE),
        paragraph(f"{document.subtitle}, {document.badge}", typography.SUBTITLE),
    ]
    for section in document.sections:
        story += _section(section)
    target = io.BytesIO()
    template = SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=MARGIN - PADDING,
        rightMargin=MARGIN - PADDING,
        topMargin=18 * mm,
        bottomMargin=20 * mm,
        title=f"{document.title}: {document.subtitle}",
        author="churn",
        invariant=1,
    )
    template.build(story, canvasmaker=_numbered(f"{document.title} \u00b7 {document.subtitle}"))
    return target.getvalue()


@dataclass(frozen=True)
class Drawn:
    """A block on paper: the height from its top that stays on one page, and whether it leads to the block after it."""

    flowables: list[Flowable]
    start: float  # points
    leads: bool = False


def _section(section: Section) -> list[Flowable]:
    """What leads to a table or a picture, as its heading does, stays on one page with the start of it."""
    drawn = [DRAWN[type(block)](block) for block in section.blocks]
    if section.title:
        drawn.insert(0, _kept([paragraph(section.title, typography.HEADING)], leads=True))
    story: list[Flowable] = []
    for i, part in enumerate(drawn):
        last = next((j for j in range(i, len(drawn)) if not drawn[j].leads), len(drawn) - 1)
        bound = sum(one.start for one in drawn[i : last + 1])
        story += [CondPageBreak(min(bound, HALF_PAGE)), *part.flowables]
    return story


def _kept(flowables: list[Flowable], *, leads: bool = False) -> Drawn:
    """Flowables that are not to be split over two pages."""
    height = _height(flowables)
    return Drawn([KeepTogether(flowables)] if len(flowables) > 1 else flowables, height, leads)


def _height(flowables: list[Flowable]) -> float:
    return sum(part.getSpaceBefore() + part.wrap(WIDTH, A4[1])[1] + part.getSpaceAfter() for part in flowables)


def _text(block: Text) -> Drawn:
    return _kept(
        [paragraph(block.text, typography.STYLES[block.role])], leads=block.role in ("heading", "lead", "plain")
    )


def _tiles(block: Tiles) -> Drawn:
    cells = [
        [paragraph(figure, typography.FIGURE), paragraph(what, typography.CELL), paragraph(beside, typography.HEAD)]
        for figure, what, beside in block.items
    ]
    table = Table([cells], colWidths=[WIDTH / len(cells)] * len(cells), hAlign="LEFT")
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("BACKGROUND", (0, 0), (-1, -1), PALE)]
    style += [("LINEAFTER", (0, 0), (-2, -1), 5, white), *_padding(9)]
    table.setStyle(TableStyle(style))
    return _kept([table, Spacer(0, 8)])


def _padding(points: float) -> list[tuple[Any, ...]]:
    return [(f"{side}PADDING", (0, 0), (-1, -1), points) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]


def _rows(block: Rows) -> Drawn:
    def cells(row: tuple[str, ...], text: ParagraphStyle, number: ParagraphStyle) -> list[Paragraph]:
        return [paragraph(cell, number if i in block.numbers else text) for i, cell in enumerate(row)]

    head = cells(block.head, typography.HEAD, typography.NUMBER_HEAD)
    data = [head, *(cells(row, typography.CELL, typography.NUMBER) for row in block.rows)]
    widths = [WIDTH * share / sum(block.widths) for share in block.widths]
    table = Table(data, colWidths=widths, repeatRows=1, hAlign="LEFT")
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.8, MUTED)]
    style += [("LINEBELOW", (0, 1), (-1, -1), 0.4, LINE), *_padding(3.5)]
    if block.total:
        style += [("BACKGROUND", (0, -1), (-1, -1), PALE)]
    table.setStyle(TableStyle(style))
    title = [paragraph(block.title, typography.SMALL_HEADING)] if block.title else []
    flowables = [*title, table, Spacer(0, 8)]
    if _height(flowables) <= SMALL:
        return _kept(flowables)
    return Drawn(flowables, _height(title) + sum(table._rowHeights[:FIRST_ROWS]))


def _bars(block: Bars) -> Drawn:
    room = WIDTH * 0.42
    data = []
    for label, share, shown in block.rows:
        bar = Drawing(room, 9)
        bar.add(Rect(0, 1, max(room * share, 0.6), 7, fillColor=BLUE, strokeColor=None))
        data.append([paragraph(label, typography.CELL), bar, paragraph(shown, typography.NUMBER)])
    table = Table(data, colWidths=[WIDTH * 0.42, room + 12, WIDTH * 0.16 - 12], hAlign="LEFT")
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "MIDDLE"), *_padding(2.2)]))
    title = [paragraph(block.title, typography.SMALL_HEADING)] if block.title else []
    return _kept([*title, table, Spacer(0, 6)])


def _pictures(block: Pictures) -> Drawn:
    """A wide picture alone; small ones three in a row, others two, and beside the last odd one what is said of it."""
    pieces: list[list[Flowable]] = []
    row: list[list[Flowable]] = []
    for title, picture, caption in block.items:
        heading = [paragraph(title, typography.SMALL_HEADING)] if title else []
        parts = [*heading, _image(picture), paragraph(caption, typography.NOTE)]
        if picture.wide:
            pieces.append(parts)
            continue
        row.append(parts)
        if len(row) == _in_a_row(picture):
            pieces.append([_columns(row)])
            row = []
    if row and block.items[-1][1].small:
        pieces.append([_columns([*row, [], []][:3])])
    elif row:
        *picture_alone, caption_alone = row[0]
        pieces.append([_columns([picture_alone, [Spacer(0, 30), caption_alone]])])
    return Drawn([KeepTogether(piece) for piece in pieces], _height(pieces[0]))


def _in_a_row(picture: Picture) -> int:
    return 1 if picture.wide else 3 if picture.small else 2


def _width(count: int) -> float:
    """Of each of so many columns beside each other."""
    return (WIDTH - (count - 1) * GAP) / count


def _image(picture: Picture) -> Image:
    width = _width(_in_a_row(picture))
    image = Image(io.BytesIO(picture.png), width, width * picture.size[1] / picture.size[0])
    image.hAlign = "LEFT"
    return image


def _columns(cells: list[list[Flowable]]) -> Table:
    row, widths = [], []
    for i, cell in enumerate(cells):
        row += ["", cell] if i else [cell]
        widths += [GAP, _width(len(cells))] if i else [_width(len(cells))]
    table = Table([row], colWidths=widths, hAlign="LEFT")
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0), ("BOTTOMPADDING", (0, 0), (-1, -1), 10)]
    table.setStyle(TableStyle(style))
    return table


DRAWN: dict[type, Callable[[Any], Drawn]] = {
    Text: _text,
    Tiles: _tiles,
    Rows: _rows,
    Bars: _bars,
    Pictures: _pictures,
}


def _numbered(footer: str) -> type[Canvas]:
    """A canvas that writes `page 1 of 3` on every page: the pages are kept until their number is known."""

    class Numbered(Canvas):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802  reportlab's name
            self.pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self.pages, start=1):
                self.__dict__.update(page)
                self.setFont(FONT, 7)
                self.setFillColor(MUTED)
                self.drawString(MARGIN, 11 * mm, footer)
                self.drawRightString(A4[0] - MARGIN, 11 * mm, f"page {number} of {len(self.pages)}")
                super().showPage()
            super().save()

    return Numbered
