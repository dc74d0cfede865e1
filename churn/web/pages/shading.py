"""How strongly a column moves a risk, as one of five shades: blue where it lowers the risk, red where it raises it.

One scale for all rows, pages and products: what is added to the log-odds, so that a shade always means the same
factor on the odds of leaving. A style sheet has a class for each; there are no colours here.
"""

import math
from collections.abc import Mapping
from typing import Any

from churn.calls.reasons import title

# From which contribution to the log-odds (either way) each shade is given; as factors 1.1, 1.3, 1.8, 2.7 and 4.5.
STEPS = (0.1, 0.25, 0.6, 1.0, 1.5)
LONGEST_BAR = 2.0  # of the log-odds: a longer bar is cut off there


def shade(part: float) -> str:
    """The class of a contribution: lowers-5 ... lowers-1, none, raises-1 ... raises-5."""
    size = sum(abs(part) >= step for step in STEPS)
    if not size:
        return "none"
    return f"{'raises' if part > 0 else 'lowers'}-{size}"


def factor(part: float) -> str:
    """A contribution as what it does to the odds: x 1.8, or ÷ 1.8."""
    size = math.exp(min(abs(part), 20.0))
    said = f"{size:,.0f}" if size >= 10 else f"{size:.1f}" if size >= 1.095 else f"{size:.2f}"
    return "no change" if said == "1.00" else f"{'×' if part > 0 else '÷'} {said}"


LEGEND = [
    *((f"lowers-{i + 1}", factor(-step)) for i, step in reversed(list(enumerate(STEPS)))),
    ("none", "less"),
    *((f"raises-{i + 1}", factor(step)) for i, step in enumerate(STEPS)),
]


# What the bars of a page are held against: the factors at their middle and at both ends.
SCALE = {"lowers": factor(-LONGEST_BAR), "raises": factor(LONGEST_BAR)}


def reason_view(reason: Mapping[str, Any] | str) -> dict[str, Any]:
    """A reason as a page shows it: {title, rest, words, raises, shade}; lists written long ago have words alone."""
    if isinstance(reason, str):
        return {"title": "", "rest": reason, "words": "", "raises": None, "shade": "none"}
    words, _, effect = reason["words"].rpartition(": ")
    name = title(reason["column"])
    return {
        "title": name,
        "rest": words.removeprefix(name).strip(),
        "words": effect,
        "raises": reason["part"] > 0,
        "shade": shade(reason["part"]),
    }


def bar(part: float) -> dict[str, Any]:
    """A contribution as a bar from a middle line, in percent of the whole width: {left, width, raises}."""
    length = 50 * min(1.0, abs(part) / LONGEST_BAR)
    return {"left": round(50 if part > 0 else 50 - length, 2), "width": round(length, 2), "raises": part > 0}
