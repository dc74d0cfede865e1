"""Whom to call: the clients from whom a call can be expected to gain most, and a random share who are left uncalled.

The expected gain of a call is success_rate x risk x value - contact_cost: the share of leavers that a call keeps,
the chance that this client is one, and what keeping the client is worth, less what the call costs. The share left
uncalled (`holdout`) shows what happens without calls; `churn/calls/effect.py` measures from it what calling does.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn import splits
from churn.calls.reasons import COUNT, Reason
from churn.columns import Columns
from churn.settings import ProductSettings

# The other columns of calllist.csv and calllist-changes.csv; an id column of such a name is called "client" there.
RESERVED = {"rank", "risk", "value", "expected_gain", "status", "why", "model_version"}
RESERVED |= {"change", "rank_before", "risk_before"} | {f"reason_{i + 1}" for i in range(COUNT)}


@dataclass(frozen=True)
class Population:
    """The clients among whom is chosen; arrays of shape (clients,), positions are rows of the clients' table."""

    names: np.ndarray  # the clients' ids; row numbers (from 1) where the product has none
    risk: np.ndarray
    value: np.ndarray
    gain: np.ndarray
    gone: np.ndarray  # bool: known to have left
    snoozed: np.ndarray  # bool: not to be called for now
    eligible: np.ndarray  # bool: not gone, a call pays and, where there is no capacity, the risk reaches the threshold
    share: float  # of the clients, left uncalled

    def is_held_out(self, positions: np.ndarray) -> np.ndarray:
        """Which of these clients are left uncalled; bool of shape (positions,)."""
        none = np.zeros(len(positions), dtype=bool)
        return splits.holdout(self.names[positions], self.share) if self.share else none

    def in_order(self, positions: np.ndarray, most: int) -> np.ndarray:
        """The first `most` of these positions (more where the last ones tie) by gain, risk and name."""
        gain, risk = self.gain[positions], self.risk[positions]
        order = np.lexsort((-risk, -gain))
        if not len(order):
            return positions
        same = (np.diff(gain[order]) == 0) & (np.diff(risk[order]) == 0)
        group = np.concatenate(([0], np.cumsum(~same)))
        order = positions[order[: np.searchsorted(group, group[min(most, len(order)) - 1], side="right")]]
        tied = np.flatnonzero((np.append(same, False) | np.append(False, same))[: len(order)])
        order[tied] = order[sorted(tied, key=lambda i: (group[i], self.names[order[i]]))]
        return order


@dataclass(frozen=True)
class Choice:
    """Who is called, as positions in the population."""

    population: Population
    listed: np.ndarray  # in the order of calling
    compared: np.ndarray  # those down to the cutoff, in order: listed, snoozed and held-out clients alike
    held_out: np.ndarray  # bool, (compared,): which of those are left uncalled
    next: np.ndarray  # the one who is called if another is not; empty where nobody is
    threshold: float | None  # the risk from which a client is listed; None: capacity decides

    @property
    def to_stay(self) -> float:
        """The expected gain that somebody who is not listed would have to exceed to be."""
        return float(self.population.gain[self.listed[-1]]) if len(self.next) else 0.0

    @property
    def to_enter(self) -> float:
        """The expected gain that would have been enough for each of the listed."""
        return float(self.population.gain[self.next[0]]) if len(self.next) else 0.0

    def ranks(self, positions: np.ndarray) -> np.ndarray:
        """The places that these clients would have on a list without end (0: none); int of shape (positions,)."""
        people = self.population
        above = np.flatnonzero(people.eligible & (people.gain >= people.gain[positions].min(initial=np.inf)))
        order = people.in_order(above, len(above))
        place = np.zeros(len(people.names), dtype=np.int64)
        free = ~people.is_held_out(order) & ~people.snoozed[order]
        place[order] = np.cumsum(free) * free
        return place[positions]


def choose(
    clients: pd.DataFrame,
    risk: np.ndarray,
    settings: ProductSettings,
    columns: Columns,
    threshold: float,
    *,
    gone: np.ndarray | None = None,
    snoozed: Collection[str] = (),
) -> Choice:
    """Choose whom to call, by expected gain, then risk, then id.

    Args:
        clients: one row a client, with the id and the column of values.
        risk: calibrated probability to leave, shape (clients,).
        settings: the product's capacity, value, contact_cost, success_rate and holdout.
        threshold: the risk from which a client is listed where the product has no capacity.
        gone: bool of shape (clients,), who is known to have left.
        snoozed: ids of the clients who are not to be called for now.
    """
    names = clients[columns.id].to_numpy(object) if columns.id else clients.index.to_numpy() + 1
    value = values(clients, settings)
    gain = settings.success_rate * risk * value - settings.contact_cost
    gone = np.zeros(len(risk), dtype=bool) if gone is None else gone
    eligible = (gain > 0) & ~gone
    if settings.capacity is None:
        eligible &= risk >= threshold
    population = Population(
        names=names,
        risk=risk,
        value=value,
        gain=gain,
        gone=gone,
        snoozed=pd.Index(names).isin(list(snoozed) if columns.id else []),
        eligible=eligible,
        share=settings.holdout if columns.id else 0.0,  # without an id nobody is known again
    )
    return _walk(population, settings.capacity, threshold)


def _walk(population: Population, capacity: int | None, threshold: float) -> Choice:
    """Go down the order until every place is taken."""
    candidates = np.flatnonzero(population.eligible)
    places = len(candidates) if capacity is None else capacity
    most = int(1.2 * places / (1 - population.share)) + 100  # enough as a rule, and a fraction of all to sort and hash
    while True:
        head = population.in_order(candidates, most)
        held_out = population.is_held_out(head)
        free = np.flatnonzero(~held_out & ~population.snoozed[head])
        if len(free) > places or len(head) == len(candidates):
            break
        most *= 2
    listed = free[:places]
    end = listed[-1] + 1 if len(free) > places else len(head)
    return Choice(
        population=population,
        listed=head[listed],
        next=head[free[places : places + 1]],
        compared=head[:end],
        held_out=held_out[:end],
        threshold=threshold if capacity is None else None,
    )


def values(clients: pd.DataFrame, settings: ProductSettings) -> np.ndarray:
    """What keeping each client is worth, shape (clients,); where that is not known, the median of the others."""
    if not isinstance(settings.value, str):
        return np.full(len(clients), float(settings.value))
    known = clients[settings.value].to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.isnan(known)
    return np.where(missing, np.median(known[~missing]) if (~missing).any() else 0.0, known)


def table(
    choice: Choice,
    columns: Columns,
    reasons: Sequence[Sequence[Reason]],
    status: Sequence[tuple[str, str]],
    version: str,
) -> pd.DataFrame:
    """The list as people read it (calllist.csv), a row a client to call.

    Args:
        reasons: for each listed client why its risk is what it is (`reasons.reasons`).
        status: for each listed client (entered or stayed, why) (`changes.status`).
        version: of the model that gave the risks.
    """
    people, listed = choice.population, choice.listed
    told = [[*(reason.words for reason in row), *[""] * COUNT][:COUNT] for row in reasons]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(listed) + 1),
            key(columns): people.names[listed],
            "risk": people.risk[listed].round(4),
            "value": rounded(people.value[listed]),
            "expected_gain": rounded(people.gain[listed]),
            **{f"reason_{i + 1}": [row[i] for row in told] for i in range(COUNT)},
            "status": [name for name, _ in status],
            "why": [why for _, why in status],
            "model_version": version,
        }
    )


def key(columns: Columns) -> str:
    """The name of the column that says which client a row of a list is about."""
    if columns.id is None:
        return "row"
    return "client" if columns.id in RESERVED else columns.id


def rounded(values: np.ndarray) -> list[float]:
    """Amounts with the six digits that somebody may want to read."""
    return [float(f"{value:.6g}") for value in values]


def words(choice: Choice, columns: Columns) -> str:
    """The list in one sentence."""
    listed, held_out = len(choice.listed), int(choice.held_out.sum())
    said = f"{listed:,} of {len(choice.population.names):,} clients to call"
    if not columns.id:
        return f"{said}; without an id column, rows are numbered, nobody is left uncalled and no list is remembered"
    return (
        f"{said}; {held_out:,} who rank as high are left uncalled, to measure what calling does" if held_out else said
    )
