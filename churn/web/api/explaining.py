"""Why rows have the risks they have, in numbers and in words, for the endpoints that say so."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from churn import releases
from churn.config import Product
from churn.releases import Release
from churn.web.api.schemas import Rows
from churn.words import band

if TYPE_CHECKING:
    import pandas as pd


def frame_of(rows: Rows, release: Release) -> "pd.DataFrame":
    """Plain rows as a table with the features of the release's contract.

    Raises:
        DataError: a row breaks the contract; the message names the column.
    """
    import pandas as pd

    from churn.columns import features_of

    contract = release.columns
    numbers, categories = [], []
    for row in rows:
        found = features_of(row, contract)
        numbers.append(found[0])
        categories.append(found[1])
    table = pd.DataFrame(numbers, columns=list(contract.numbers), dtype="float64")
    for i, name in enumerate(contract.categorical):
        table[name] = pd.array([row[i] for row in categories], dtype="str")
    return table


def explain(product: Product, release: Release, frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """For each row its risk, band, log-odds, base and reasons (as `answer_schemas.Explained`, without an id).

    Raises:
        ReleaseError: the release's profile, which says what is typical, is gone or changed.
    """
    from churn import estimators
    from churn.fitting.contributions import contributions
    from churn.monitoring.profile import typical

    usual = typical(releases.read_profile(product.production / release.version))
    parts, base = contributions(release.model, frame)
    log_odds = parts.sum(axis=1).to_numpy() + base
    risks = estimators.risks(release.model, frame).tolist()
    told = _reasons(release, parts, frame, usual)
    return [
        {"risk": risk, "band": band(risk, release.threshold), "log_odds": odds, "base": base, "reasons": why}
        for risk, odds, why in zip(risks, log_odds.tolist(), told, strict=True)
    ]


def _reasons(
    release: Release, parts: "pd.DataFrame", frame: "pd.DataFrame", usual: dict[str, Any]
) -> Sequence[list[dict[str, Any]]]:
    """Every feature of every row, those that move its risk most first; with words, also those that do not move it."""
    from churn.calls import reasons

    names = list(parts.columns)
    moving = reasons.reasons(parts, frame, usual, release.columns, count=len(names))
    values = {name: [_plain(value) for value in frame[name].tolist()] for name in names}
    found = []
    for row, (by, told) in enumerate(zip(parts.to_numpy().tolist(), moving, strict=True)):
        words = {reason.column: reason.words for reason in told}
        order = [*words, *(name for name in names if name not in words)]
        found.append(
            [
                {
                    "column": name,
                    "value": values[name][row],
                    "typical": _plain(usual.get(name)),
                    "part": by[names.index(name)],
                    "words": words.get(name) or _unmoved(name, values[name][row], usual.get(name), release),
                }
                for name in order
            ]
        )
    return found


def _unmoved(name: str, value: Any, usual: Any, release: Release) -> str:
    from churn.calls import reasons

    return f"{reasons.compared(name, value, usual, release.columns)}: does not move the risk"


def _plain(value: Any) -> Any:
    """A value for JSON: a missing one is None."""
    return None if isinstance(value, float) and math.isnan(value) else value
