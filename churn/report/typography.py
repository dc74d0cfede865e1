"""The type of the PDF: its fonts, its styles of text, and text of any script as a paragraph.

The font is DejaVu, which comes with matplotlib. What it lacks is shown in the reader's own Chinese font where that has
it, else as a box: a name in a rare script must not stop a report.
"""

from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph

from churn.report import charts

FONT, BOLD, CHINESE = "DejaVu", "DejaVu-Bold", "STSong-Light"
BOX = "\u25a1"
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
STYLES = {"plain": BODY, "note": NOTE, "lead": LEAD, "alert": ALERT, "heading": SMALL_HEADING}


def register_fonts() -> None:
    """Make the fonts known to reportlab, once."""
    from matplotlib import get_data_path

    if FONT not in pdfmetrics.getRegisteredFontNames():
        for name, file in ((FONT, "DejaVuSans"), (BOLD, "DejaVuSans-Bold")):
            pdfmetrics.registerFont(TTFont(name, f"{get_data_path()}/fonts/ttf/{file}.ttf"))
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
        pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)


def paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    """Text of the data or our own, whatever it holds; its ends of lines are kept."""
    return Paragraph(_markup(text), style)


def _markup(text: str) -> str:
    """Escaped text, with what our font lacks in another one or as boxes."""
    known = pdfmetrics.getFont(FONT).face.charToGlyph
    parts = []
    for character in text:
        if character == "\n":
            parts.append("<br/>")
        elif ord(character) in known:
            parts.append(escape(character))
        elif "\u2e80" <= character <= "\u9fff":
            parts.append(f'<font name="{CHINESE}">{character}</font>')
        else:
            parts.append(BOX)
    return "".join(parts)
