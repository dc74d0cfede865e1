"""What the model says of a client, column by column, and what it would say were the values others.

What is tried out comes in the body of a request and stands in no address and no log.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn import columns, estimators, releases
from churn.calls.reasons import shown, title
from churn.config import Product
from churn.errors import DataError
from churn.releases import Release
from churn.web.pages import shading, wording
from churn.words import fit

if TYPE_CHECKING:
    import pandas as pd

BUTTONS = 6  # levels that are one click away; the others are in a list
FIELD, PICK = "value-", "pick-"  # what the form's fields are called, before the number of the column


def examine(release: Release, product: Product, row: "pd.DataFrame", tried: Mapping[str, str] | None) -> dict[str, Any]:
    """What the model says of a client, and of the values that are tried out.

    Returns:
        {before, after (None: nothing is tried), fields, trend, said}; the fields with the largest contribution first.
    """
    profile = releases.read_profile(product.production / release.version)
    values = {name: _plain(row[name].iloc[0]) for name in release.columns.features}
    others, faults = (values, {}) if tried is None else read(release.columns, values, tried)
    before = judge(release, row)
    after = judge(release, changed_row(row, others)) if tried is not None and not faults else None
    fields = []
    for i, name in enumerate(release.columns.features):
        one = Tried(i, name, name in release.columns.integer, values[name], others[name], faults.get(name))
        parts = (before["parts"][name], after["parts"][name] if after else None)
        number = name in release.columns.numbers
        kept = profile["numbers" if number else "categories"].get(name)
        fields.append(one.shown(*parts) | (one.range(kept) if number else one.choices(kept)) | {"is_number": number})
    fields.sort(key=lambda one: -abs(before["parts"][one["name"]]))
    view = {
        "fields": fields,
        "before": wording.risk_of(before["risk"], release.threshold),
        "after": None,
        "trend": None,
    }
    view["changes"] = sum(one["changed"] for one in fields)
    view["faults"] = bool(faults)
    if after:
        view["after"] = wording.risk_of(after["risk"], release.threshold)
        view["trend"] = wording.trend(after["risk"], before["risk"])
    view["said"] = _said(view) if tried is not None else ""
    return view


def read(
    contract: columns.Columns, values: Mapping[str, Any], tried: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that a form says, and what is wrong with those that are none; a field that is not sent stays."""
    others, faults = dict(values), {}
    for i, name in enumerate(contract.features):
        text = tried.get(f"{PICK}{i}", tried.get(f"{FIELD}{i}"))
        if text is None:
            continue
        try:
            if name in contract.numbers:
                found = columns.number(text, name, whole=name in contract.integer)
                others[name] = None if math.isnan(found) else found
            else:
                others[name] = columns.category(text, name)
        except DataError as error:
            others[name], faults[name] = text[:100], wording.sentence(str(error).removeprefix(f"{name}: "))
    return others, faults


def judge(release: Release, row: "pd.DataFrame") -> dict[str, Any]:
    """The risk of a row, and what each column contributes to its log-odds."""
    from churn.fitting import contributions

    parts, _ = contributions.contributions(release.model, row)
    return {"risk": float(estimators.risks(release.model, row)[0]), "parts": parts.iloc[0].to_dict()}


def moved(release: Release, then: "pd.DataFrame", now: "pd.DataFrame") -> list[dict[str, Any]]:
    """The columns whose values are others than before, with what the change does by this model, the most first."""
    parts = {when: judge(release, row)["parts"] for when, row in (("then", then), ("now", now))}
    found = []
    for name in release.columns.features:
        before, after = _plain(then[name].iloc[0]), _plain(now[name].iloc[0])
        if before != after:
            by = parts["now"][name] - parts["then"][name]
            row = {"title": title(name), "then": _shown(before), "now": _shown(after), "by": by}
            found.append(row | {"effect": shading.factor(by), "bar": shading.bar(by)})
    return sorted(found, key=lambda row: -abs(row["by"]))


def changed_row(row: "pd.DataFrame", values: Mapping[str, Any]) -> "pd.DataFrame":
    """The row with these values, in the types that its columns have."""
    import pandas as pd

    other = row.copy()
    for name, value in values.items():
        other[name] = pd.Series([value], index=row.index, dtype=row[name].dtype)
    return other


@dataclass(frozen=True)
class Tried:
    """A column of a client with its value, and what is tried in its place."""

    number: int  # of the column, in the order of the contract
    name: str
    whole: bool
    value: Any
    other: Any
    fault: str | None  # what is wrong with what is tried

    def shown(self, part: float, after: float | None) -> dict[str, Any]:
        """What the page shows of any column: its values, and what it contributes before and after."""
        return {
            "name": self.name,
            "title": title(self.name),
            "field": f"{FIELD}{self.number}",
            "pick": f"{PICK}{self.number}",
            "value": _shown(self.value),
            "other": _shown(self.other),
            "text": _text(self.other),
            "changed": self.fault is not None or self.other != self.value,
            "fault": self.fault,
            "effect": shading.factor(part),
            "bar": shading.bar(part),
            "after_effect": None if after is None else shading.factor(after),
            "after_bar": None if after is None else shading.bar(after),
        }

    def range(self, kept: Mapping[str, Any] | None) -> dict[str, Any]:
        """The population's range of a number, and whether what is tried lies outside of it."""
        found = {"whole": self.whole, "typical": "", "range": "", "outside": False}
        if not kept or kept["lowest"] is None:
            return found
        low, high = kept["lowest"], kept["highest"]
        outside = self.fault is None and self.other is not None and not low <= self.other <= high
        return found | {
            "typical": shown(kept["typical"]),
            "range": f"{shown(low)} to {shown(high)}",
            "outside": outside,
        }

    def choices(self, kept: Mapping[str, Any] | None) -> dict[str, Any]:
        """The levels of a category: the most common ones, those in use, and missing where that occurs."""
        levels = list(kept["levels"]) if kept else []
        in_use = [level for level in (self.value, self.other) if level is not None]
        buttons: list[Any] = list(dict.fromkeys([*levels[:BUTTONS], *in_use]))
        if self.value is None or self.other is None or (kept and kept["missing"]):
            buttons.append(None)
        return {
            "typical": fit(levels[0]) if levels else "",
            "buttons": [{"value": _text(one), "title": _shown(one), "pressed": one == self.other} for one in buttons],
            "rest": [{"value": level, "title": fit(level)} for level in levels if level not in buttons],
        }


def _said(view: Mapping[str, Any]) -> str:
    """What came of it in a sentence, which screen readers speak."""
    if view["faults"]:
        return "One of the values cannot be used; it is marked below."
    if not view["changes"]:
        return f"Nothing is changed: the risk is {view['before']['percent']}, {view['before']['band']}."
    before, after = view["before"], view["after"]
    what = wording.plural(view["changes"], "value changed", "values changed")
    return (
        f"With {what}, the model says {after['percent']}, {after['band']} risk, "
        f"in place of {before['percent']}, {before['band']}: {view['trend']['words']}."
    )


def _plain(value: Any) -> Any:
    """A cell as a float, a text, or None where it is missing."""
    import pandas as pd

    return None if pd.isna(value) else value if isinstance(value, str) else float(value)


def _shown(value: Any) -> str:
    return "missing" if value is None else shown(value)


def _text(value: Any) -> str:
    """A value as a form's field has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.15g}"
