"""Values of the data as words that can be shown anywhere: on a terminal, on a page, in a PDF."""

import math
from typing import Any

LONGEST = 48
BANDS = ("very high", "high", "medium", "low")  # of risk
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


def bands(threshold: float) -> dict[str, tuple[float, float]]:
    """What the words for a risk mean, the highest first: from which risk to which, both included.

    From the model's threshold (in [0, 1]) a risk is "high", and "very high" in the upper half of what is above; from
    half the threshold it is "medium", else "low".
    """
    starts = ((threshold + 1) / 2, threshold, threshold / 2, 0.0)
    ends = (1.0, *(math.nextafter(start, -1.0) for start in starts[:-1]))
    return dict(zip(BANDS, zip(starts, ends, strict=True), strict=True))


def band(risk: float, threshold: float) -> str:
    """A risk as a word of `bands`, so that no colour has to say it alone."""
    return next((name for name, (start, _) in bands(threshold).items() if risk >= start), "low")
