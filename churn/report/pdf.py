"""Lay a report out as a PDF: A4, page numbers, the same content as the page in HTML.

The font is DejaVu, which comes with matplotlib. What it lacks is shown in the reader's own Chinese font where that has
it, else as a box: a name in a rare script must not stop a report. The same document gives the same bytes.
"""

import io
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
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

from churn.report import charts
from churn.report.blocks import Bars, Block, Document, Pictures, Section, Text, Tiles
from churn.report.blocks import Table as Rows
from churn.report.charts import Picture

MARGIN = 20 * mm
WIDTH = A4[0] - 2 * MARGIN
GAP = 8 * mm  # between two columns
PADDING = 6  # reportlab's own, around the text of a page
FONT, BOLD, CHINESE = "DejaVu", "DejaVu-Bold", "STSong-Light"
BOX = "\u25a1"
SMALL_ROWS, SMALL_CELL = 15, 80  # a table of so few rows of so few characters is not split over two pages

INK, MUTED, LINE, PALE = (HexColor(colour) for colour in (charts.INK, charts.MUTED, charts.LINE, charts.PALE))
BLUE, ORANGE = HexColor(charts.BLUE), HexColor(charts.ORANGE)

BODY = ParagraphStyle("body", fontName=FONT, fontSize=9, leading=13.5, textColor=INK, spaceAfter=5)
NOTE = ParagraphStyle("note", BODY, fontSize=7.5, leading=11, textColor=MUTED)
LEAD = ParagraphStyle("lead", BODY, fontName=BOLD, fontSize=13, leading=19, spaceAfter=8)
ALERT = ParagraphStyle(
    "alert",
    BODY,
    backColor=HexColor("#fdf1e7"),
    borderPadding=7,
    leftIndent=7,
    rightIndent=7,
    spaceBefore=8,
    spaceAfter=14,
)
TITLE = ParagraphStyle("title", BODY, fontName=BOLD, fontSize=20, leading=26, spaceAfter=2)
SUBTITLE = ParagraphStyle("subtitle", BODY, fontSize=10, leading=15, textColor=MUTED, spaceAfter=12)
HEADING = ParagraphStyle("heading", BODY, fontName=BOLD, fontSize=12.5, leading=17, spaceBefore=16, spaceAfter=6)
SMALL_HEADING = ParagraphStyle("small heading", BODY, fontName=BOLD, spaceBefore=6, spaceAfter=3)
CELL = ParagraphStyle("cell", BODY, fontSize=7.5, leading=10.5, spaceAfter=0)
NUMBER = ParagraphStyle("number", CELL, alignment=TA_RIGHT)
HEAD = ParagraphStyle("head", CELL, textColor=MUTED)
NUMBER_HEAD = ParagraphStyle("number head", HEAD, alignment=TA_RIGHT)
FIGURE = ParagraphStyle("figure", BODY, fontName=BOLD, fontSize=17, leading=22, textColor=BLUE, spaceAfter=1)
STYLES = {"plain": BODY, "note": NOTE, "lead": LEAD, "alert": ALERT}


def pdf(document: Document) -> bytes:
    """The document as the bytes of a PDF."""
    _register_fonts()
    story: list[Flowable] = [
        _paragraph(document.title, TITLE),
        _paragraph(f"{document.subtitle}, {document.badge}", SUBTITLE),
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


def _register_fonts() -> None:
    from matplotlib import get_data_path

    if FONT not in pdfmetrics.getRegisteredFontNames():
        for name, file in ((FONT, "DejaVuSans"), (BOLD, "DejaVuSans-Bold")):
            pdfmetrics.registerFont(TTFont(name, f"{get_data_path()}/fonts/ttf/{file}.ttf"))
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
        pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(_markup(text), style)


def _markup(text: str) -> str:
    """Escaped text, with what our font lacks in another one or as boxes."""
    known = pdfmetrics.getFont(FONT).face.charToGlyph
    parts = []
    for character in text:
        if ord(character) in known:
            parts.append(escape(character))
        elif "\u2e80" <= character <= "\u9fff":
            parts.append(f'<font name="{CHINESE}">{character}</font>')
        else:
            parts.append(BOX)
    return "".join(parts)


def _section(section: Section) -> list[Flowable]:
    """The heading stays on one page with what follows it."""
    blocks = [_block(block) for block in section.blocks]
    heading = [_paragraph(section.title, HEADING)] if section.title else []
    return [KeepTogether(heading + blocks[0]), *(flowable for block in blocks[1:] for flowable in block)]


def _block(block: Block) -> list[Flowable]:
    return DRAWN[type(block)](block)


def _text(block: Text) -> list[Flowable]:
    return [_paragraph(block.text, STYLES[block.role])]


def _tiles(block: Tiles) -> list[Flowable]:
    cells = [
        [_paragraph(figure, FIGURE), _paragraph(what, CELL), _paragraph(beside, HEAD)]
        for figure, what, beside in block.items
    ]
    table = Table([cells], colWidths=[WIDTH / len(cells)] * len(cells), hAlign="LEFT")
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("BACKGROUND", (0, 0), (-1, -1), PALE)]
    style += [("LINEAFTER", (0, 0), (-2, -1), 5, white), *_padding(9)]
    table.setStyle(TableStyle(style))
    return [table, Spacer(0, 8)]


def _padding(points: float) -> list[tuple[Any, ...]]:
    return [(f"{side}PADDING", (0, 0), (-1, -1), points) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]


def _rows(block: Rows) -> list[Flowable]:
    def cells(row: tuple[str, ...], text: ParagraphStyle, number: ParagraphStyle) -> list[Paragraph]:
        return [_paragraph(cell, number if i in block.numbers else text) for i, cell in enumerate(row)]

    data = [cells(block.head, HEAD, NUMBER_HEAD), *(cells(row, CELL, NUMBER) for row in block.rows)]
    widths = [WIDTH * share / sum(block.widths) for share in block.widths]
    table = Table(data, colWidths=widths, repeatRows=1, hAlign="LEFT")
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.8, MUTED)]
    style += [("LINEBELOW", (0, 1), (-1, -1), 0.4, LINE), *_padding(3.5)]
    if block.total:
        style += [("BACKGROUND", (0, -1), (-1, -1), PALE)]
    table.setStyle(TableStyle(style))
    flowables = [*_titled(block.title), table, Spacer(0, 8)]
    small = len(data) <= SMALL_ROWS and all(len(cell) <= SMALL_CELL for row in block.rows for cell in row)
    return [KeepTogether(flowables)] if small else flowables


def _titled(title: str) -> list[Flowable]:
    # Not kept with all that follows: a long table would leave the rest of the page empty.
    return [CondPageBreak(30 * mm), _paragraph(title, SMALL_HEADING)] if title else []


def _bars(block: Bars) -> list[Flowable]:
    room = WIDTH * 0.42
    data = []
    for label, share, shown in block.rows:
        bar = Drawing(room, 9)
        bar.add(Rect(0, 1, max(room * share, 0.6), 7, fillColor=BLUE, strokeColor=None))
        data.append([_paragraph(label, CELL), bar, _paragraph(shown, NUMBER)])
    table = Table(data, colWidths=[WIDTH * 0.42, room + 12, WIDTH * 0.16 - 12], hAlign="LEFT")
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "MIDDLE"), *_padding(2.2)]))
    return [*_titled(block.title), table, Spacer(0, 6)]


def _pictures(block: Pictures) -> list[Flowable]:
    """A wide picture alone; the others two in a row, and beside the last odd one what is said of it."""
    found: list[Flowable] = []
    row: list[list[Flowable]] = []
    for title, picture, caption in block.items:
        heading = [_paragraph(title, SMALL_HEADING)] if title else []
        parts = [*heading, _image(picture), _paragraph(caption, NOTE)]
        if picture.wide:
            found.append(KeepTogether(parts))
            continue
        row.append(parts)
        if len(row) == 2:
            found.append(_columns(row))
            row = []
    if row:
        *picture_alone, caption_alone = row[0]
        found.append(_columns([picture_alone, [Spacer(0, 30), caption_alone]]))
    return found


def _image(picture: Picture) -> Image:
    width = WIDTH if picture.wide else (WIDTH - GAP) / 2
    image = Image(io.BytesIO(picture.png), width, width * picture.size[1] / picture.size[0])
    image.hAlign = "LEFT"
    return image


def _columns(cells: list[list[Flowable]]) -> Table:
    table = Table([[cells[0], "", cells[1]]], colWidths=[(WIDTH - GAP) / 2, GAP, (WIDTH - GAP) / 2], hAlign="LEFT")
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0), ("BOTTOMPADDING", (0, 0), (-1, -1), 10)]
    table.setStyle(TableStyle(style))
    return table


DRAWN: dict[type, Callable[[Any], list[Flowable]]] = {
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
