"""Lines over time as plain geometry, which a template draws as SVG; nothing of colours is said here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from churn.web.pages.wording import day, moment
from churn.words import percent

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 14, 30
MOST = 60  # points: the newest of more
STEPS = (0.05, 0.1, 0.2, 0.25)  # between the lines of a grid
TICKS = 5


def risks(history: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, Any]:
    """A client's risk over time: points by time, from 0 up to a round number above the highest and the threshold.

    Returns:
        {width, height, line, points, ticks, dates, threshold, alt}; all positions in SVG's units.
    """
    rows = history[-MOST:]
    times = [datetime.fromisoformat(row["at"]).timestamp() for row in rows]
    highest = max(*(row["risk"] for row in rows), threshold)
    step = next((one for one in STEPS if highest / one <= TICKS), STEPS[-1])
    top = min(1.0, step * (int(highest / step) + 1))
    span = (times[-1] - times[0]) or 1.0
    said = moment if day(rows[0]["at"]) == day(rows[-1]["at"]) else day

    def across(time: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (time - times[0]) / span, 1)

    def down(risk: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - risk / top), 1)

    points = [
        {"x": across(time), "y": down(row["risk"]), "said": f"{said(row['at'])}: {percent(row['risk'])}"}
        for time, row in zip(times, rows, strict=True)
    ]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "line": " ".join(f"{'L' if i else 'M'}{point['x']} {point['y']}" for i, point in enumerate(points)),
        "points": points,
        "ticks": [{"y": down(i * step), "said": percent(i * step)} for i in range(round(top / step) + 1)],
        "first": said(rows[0]["at"]),
        "last": said(rows[-1]["at"]),
        "threshold": down(threshold) if threshold <= top else None,
        "threshold_said": percent(threshold),
        "alt": f"The risk over time: {'; '.join(point['said'] for point in points)}",
        "rows": [{"at": row["at"], "risk": percent(row["risk"]), "version": row["version"]} for row in reversed(rows)],
    }
