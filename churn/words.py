"""Values of the data as words that can be shown anywhere: on a terminal, on a page, in a PDF."""

from typing import Any

LONGEST = 48
JOINERS = "\u200c\u200d"  # invisible, and part of how Persian, Hindi or emoji are written


def fit(value: Any, longest: int = LONGEST) -> str:
    """A value of the data as it can be shown anywhere: one line, no control characters, not too long."""
    text = "".join(_harmless(character) for character in str(value))
    return text if len(text) <= longest else text[: longest - 1] + "\u2026"


def _harmless(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    return " " if character.isspace() else "\ufffd"


def percent(share: float) -> str:
    """A share in percent, finer near none and all: one row in a million is not `0%`."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}" if 0 < share < 0.01 or 0.99 < share < 1 else f"{share:.0%}"
