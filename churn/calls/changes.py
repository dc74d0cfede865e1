"""What changed on the call list since last time, and why: who entered it, who stayed and who came off it.

The reason is the change without which it would not have happened: with the gain it had last time, would the client
stand on today's list? If so, the places changed and not the client.

Last time's data are a table `before` with a row for every client scored then (or at least those listed then or now):
`client`, `risk`, `gain`, `rank`, which is missing for whoever was not on the list, and `aside`, whether it ranked high
enough and was held out or snoozed. None: there was no list. Where that list was made by other terms (capacity, value,
costs), gains then and now cannot be compared, and the terms are the reason.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from churn.calls.calllist import Choice, key
from churn.calls.reasons import shown
from churn.columns import Columns
from churn.words import percent

ENTERED, STAYED, REMOVED = "entered", "stayed", "removed"
OTHER_TERMS = "the list is made by other terms now (capacity, value or costs)"


def status(
    choice: Choice, columns: Columns, before: pd.DataFrame | None, *, other_terms: bool = False
) -> list[tuple[str, str]]:
    """For each listed client, in order, whether it entered or stayed, and why it entered.

    Both are blank without an id column: nobody is known again. `other_terms`: those of the list before were others.
    """
    if before is None or columns.id is None:
        return [(ENTERED, "first list") if columns.id else ("", "")] * len(choice.listed)
    people, listed = choice.population, choice.listed
    last = before[before["rank"].notna()]
    lowest_gain, lowest_risk = last["gain"].min(), last["risk"].min()
    found = []
    for position, old in zip(listed.tolist(), _then(before, people.names[listed]).itertuples(), strict=True):
        if math.isnan(old.risk):
            found.append((ENTERED, "new client"))
        elif not math.isnan(old.rank):
            found.append((STAYED, ""))
        elif old.aside:
            found.append((ENTERED, "may be called again"))  # it was snoozed, or held out at a larger share
        elif other_terms:
            found.append((ENTERED, OTHER_TERMS))
        elif old.gain > lowest_gain and old.risk >= lowest_risk:
            found.append((ENTERED, "was known to have left"))
        else:
            found.append((ENTERED, _why_entered(choice, position, old.risk, old.gain)))
    return found


def changes(
    choice: Choice,
    columns: Columns,
    status: Sequence[tuple[str, str]],
    before: pd.DataFrame | None,
    *,
    other_terms: bool = False,
) -> pd.DataFrame:
    """Who entered the list and who came off it, and why (calllist-changes.csv); `status` is that of the listed."""
    people, listed = choice.population, choice.listed
    new = np.array([what == ENTERED for what, _ in status], dtype=bool)
    names = people.names[listed[new]]
    entered = pd.DataFrame(
        {
            "change": ENTERED,
            "client": names,
            "rank_before": np.nan,
            "rank": np.flatnonzero(new) + 1,
            "risk_before": np.nan if before is None else _then(before, names)["risk"].to_numpy(),
            "risk": people.risk[listed[new]],
            "why": [why for what, why in status if what == ENTERED],
        }
    )
    removed = [] if before is None or columns.id is None else _removed(choice, before, other_terms=other_terms)
    found = pd.DataFrame([*entered.to_dict("records"), *removed], columns=list(entered))
    ranks, risks = ["rank_before", "rank"], ["risk_before", "risk"]
    found[ranks] = found[ranks].astype("Int64")
    found[risks] = found[risks].astype("Float64").round(4)
    return found.rename(columns={"client": key(columns)})


def _removed(choice: Choice, before: pd.DataFrame, *, other_terms: bool) -> list[dict[str, Any]]:
    """The rows of those that came off the list, in the order in which they stood on it."""
    people = choice.population
    last = before[before["rank"].notna()].sort_values("rank", kind="stable")
    last = last[~last["client"].isin(people.names[choice.listed])]
    positions = pd.Index(people.names).get_indexer(last["client"])
    known = positions >= 0
    places = np.zeros(len(last), dtype=np.int64)
    places[known] = choice.ranks(positions[known])
    rows = []
    for position, place, old in zip(positions.tolist(), places.tolist(), last.itertuples(), strict=True):
        gone = position < 0
        row = {"change": REMOVED, "client": old.client, "rank_before": old.rank, "risk_before": old.risk}
        row["rank"], row["risk"] = place or None, None if gone else people.risk[position]
        if gone:
            row["why"] = "no longer a client"
        else:
            why = _why_impossible(choice, position) or (other_terms and OTHER_TERMS)
            row["why"] = why or _why_removed(choice, position, place, old.risk, old.gain)
        rows.append(row)
    return rows


def _why_entered(choice: Choice, position: int, risk: float, gain: float) -> str:
    """Why a client is on the list that did not stand there with this risk and gain."""
    risk_now, gain_now = choice.population.risk[position], choice.population.gain[position]
    if choice.threshold is not None and risk >= choice.threshold and gain > 0:
        return f"the threshold is lower, now {percent(choice.threshold)}"
    if choice.threshold is None and (gain > choice.to_enter or gain >= gain_now):
        return "a place became free"
    return _moved("rose", risk, risk_now, gain, gain_now)


def _why_removed(choice: Choice, position: int, place: int, risk: float, gain: float) -> str:
    """Why a client is not on the list that stood there with this risk and gain; `place` is 0 if it is not eligible."""
    people = choice.population
    if choice.threshold is not None and risk < choice.threshold:
        return f"risk {percent(people.risk[position])} is below the threshold, now {percent(choice.threshold)}"
    if place and (gain < choice.to_stay or gain <= people.gain[position]):
        return f"pushed out by capacity: rank {place:,}"
    return _moved("fell", risk, people.risk[position], gain, people.gain[position])


def _why_impossible(choice: Choice, position: int) -> str | None:
    """Why a client could not be on the list whatever its gain; None where it could."""
    people = choice.population
    if people.gone[position]:
        return "left"
    if people.is_held_out(np.array([position]))[0]:
        return "in the holdout now"
    return "snoozed" if people.snoozed[position] else None


def _moved(verb: str, risk: float, risk_now: float, gain: float, gain_now: float) -> str:
    sign = 1 if verb == "rose" else -1
    if sign * (risk_now - risk) > 0 and percent(risk) != percent(risk_now):
        return f"risk {verb} from {percent(risk)} to {percent(risk_now)}"
    if sign * (gain_now - gain) > 0 and shown(gain) != shown(gain_now):
        return f"expected gain {verb} from {shown(gain)} to {shown(gain_now)}"
    return f"risk {verb} a little"


def _then(before: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    """The risk, gain, rank and `aside` of these clients last time, a row each; missing where they were not scored."""
    then = before.set_index("client")[["risk", "gain", "rank", "aside"]]
    then = then.astype({"risk": float, "gain": float, "rank": float}).reindex(names)
    return then.assign(aside=then["aside"].eq(True))
