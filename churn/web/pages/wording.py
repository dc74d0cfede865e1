"""How pages say numbers, times and risks; the templates have these as filters and functions."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from churn import health
from churn.calls.reasons import shown, title
from churn.words import BANDS, band, bands, fit, percent

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEADINGS = {
    400: "That request was not understood",
    401: "Please sign in",
    403: "That is not allowed",
    404: "There is no such page",
    405: "That is not how this page is asked for",
    409: "Something else is at work",
    413: "That is too much at once",
    422: "That does not fit",
    429: "Too many requests",
    503: "Not ready yet",
}
MOST_SHOWN = 5e5
HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[_./-])(?=\w)")


def utc_now() -> str:
    """The time now as every record of this system writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def today() -> str:
    """The day now, UTC: 2026-11-21."""
    return utc_now()[:10]


def moment(at: str | None) -> str:
    """A time as people write it: 21 Nov 2026, 16:19."""
    if not at:
        return ""
    when = datetime.fromisoformat(at).astimezone(UTC)
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M}"


def day(at: str | None) -> str:
    """Its day: 21 Nov 2026."""
    if not at:
        return ""
    when = datetime.fromisoformat(at[:10])
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}"


def ago(at: str | None) -> str:
    """How long ago a time is."""
    return health.ago((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()) if at else ""


def sentence(text: str | None) -> str:
    """Words as a sentence of their own."""
    words = (text or "").strip()
    if not words:
        return ""
    first = words.split()[0]
    opened = words if "." in first or "_" in first else words[0].upper() + words[1:]  # a file's name stays as it is
    return opened + ("" if words[-1] in ".!?…:" else ".")


def heading_of(status: int | None) -> str:
    """What an error is called on its page."""
    return HEADINGS.get(status or 500, "Something went wrong")


def humps(name: str) -> list[str]:
    """The parts of a column's name between which a line may break, so that a narrow table does not cut it anywhere."""
    return HUMPS.split(name)


def client_name(name: Any) -> str:
    """A client as it can be shown anywhere."""
    return fit(name) or "(no name)"


def risk_of(risk: float, threshold: float) -> dict[str, Any]:
    """A risk in percent with its word, and how many of four bars stand for it."""
    word = band(risk, threshold)
    bars = len(BANDS) - BANDS.index(word)
    return {"percent": percent(risk), "band": word, "bars": bars, "key": word.replace(" ", "-")}


def bounds(name: str, threshold: float) -> tuple[float, float]:
    """The lowest and the highest risk of a band; of all risks where there is no such band."""
    return bands(threshold).get(name, (0.0, 1.0))


def trend(risk: float | None, before: float | None) -> dict[str, str]:
    """What became of a risk since last time: an arrow, words, and the name of its look."""
    if risk is None or before is None:
        return {"arrow": "", "words": "newly scored", "key": "new"}
    points = 100 * (risk - before)
    if percent(risk) == percent(before):
        return {"arrow": "→", "words": "as last time", "key": "same"}
    said = f"{abs(points):.0f}" if abs(points) >= 0.95 else f"{abs(points):.1g}"
    unit = "point" if said == "1" else "points"
    return {
        "arrow": "↑" if points > 0 else "↓",
        "words": f"{'up' if points > 0 else 'down'} {said} {unit}",
        "key": "up" if points > 0 else "down",
    }


def amount(value: float | None) -> str:
    """An amount of the product's own unit; nothing where it is not known."""
    if value is None:
        return ""
    return shown(float(f"{value:.6g}")) if abs(value) < MOST_SHOWN else f"{value:,.0f}"


def count(number: int) -> str:
    """A number of things: 12,400."""
    return f"{number:,}"


def plural(number: int, one: str, many: str = "") -> str:
    """A number with what it counts: 1 client, 12,400 clients."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


FILTERS: tuple[Callable[..., Any], ...] = (
    *(moment, day, ago, sentence, client_name, fit, humps, amount, count, percent, title),
)
FUNCTIONS: tuple[Callable[..., Any], ...] = (heading_of, risk_of, trend, plural)
