"""Does calling help: called clients against those who were left uncalled by chance alone.

Who is compared: of each list, every client above its cutoff (`calllist.Choice.compared`, less the one who takes the
last place: where the list ends depends on that one's arm). Whether one of them is held out is a keyed hash of the id,
so the two arms differ by chance and by the calls. A client whom the team snoozed, or did
not reach, stays in the listed arm: to leave it out would be to compare those whom the team chose with those whom
nobody chose. That a listed client is not always called, and a held-out one sometimes is, is allowed for by dividing
the difference in leaving by the difference in being called: the effect on those who are called because they are
listed (Angrist, Imbens and Rubin, Identification of causal effects using instrumental variables, 1996).

Lists are strata, weighted by n1 x n0 / (n1 + n0) as in Mantel and Haenszel, 1959. The interval is the set of effects
that the data do not reject (Fieller, 1954; Anderson and Rubin, 1949), its variance summed by client, because a client
stands on several lists (Liang and Zeger, 1986). Two things to know: later lists are made from those who have not left,
so where calls keep clients who stay at risk, these stay in the listed arm alone, and the effect is shown too small (by
a tenth where clients differ much and lastingly; no effect is never shown as one). And whoever looks every month and
stops at the first interval without 0 finds an effect that is none in more than 5% of cases.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from churn.calls.interval import Interval

HELPS, HARMS, NONE, TOO_FEW = "helps", "harms", "no effect shown", "too few to tell"
FEWEST = 5  # leavers, and others, that either arm must have for an interval to mean anything
POWER = 2.8  # standard errors from 0 at which 95% intervals exclude it in four of five cases: 1.96 + 0.84


@dataclass(frozen=True)
class Effect:
    """What calling did; rates are shares of clients, each list counting by what it says."""

    lists: int  # on which clients of both arms stand whose outcome is known
    listed: int  # clients a list, summed over lists
    held_out: int
    called: int  # of the listed
    called_all_the_same: int  # of the held out
    unknown: int  # clients whose outcome is not known yet
    listed_left: float  # share
    held_out_left: float
    kept: Interval | None  # clients kept by a call; None: too few to say
    share: Interval | None  # of those who would have left, kept
    value: Interval | None  # kept by a call, in the unit of the product's value
    verdict: str
    more: int | None  # further lists after which an effect as large as success_rate shows; None: it should have shown


def measure(table: pd.DataFrame, success_rate: float) -> Effect:
    """Measure what calling did.

    Args:
        table: a row a client and list, of the clients down to the list's cutoff: `period` (which list), `client`,
            `held_out` and `called` (bool), `left` (bool or 0/1; missing where it is not known yet), `risk` and `value`.
        success_rate: the share of leavers that a call is thought to keep; how many more lists are needed follows.
    """
    table = table.reset_index(drop=True)
    last = (table["risk"] * table["value"]).groupby(table["period"]).idxmin()
    table = table.drop(index=last)
    known = table[table["left"].notna()]
    known = known[known.groupby("period")["held_out"].transform("nunique") == 2]
    held_out, called = (known[name].to_numpy(bool) for name in ("held_out", "called"))
    left, value = (known[name].to_numpy(np.float64) for name in ("left", "value"))
    lists, clients = (pd.factorize(known[name])[0] for name in ("period", "client"))
    weight = _weights(lists, held_out)
    counts = {
        "lists": len(np.unique(lists)),
        "listed": int((~held_out).sum()),
        "held_out": int(held_out.sum()),
        "called": int((called & ~held_out).sum()),
        "called_all_the_same": int((called & held_out).sum()),
        "unknown": int(table["left"].isna().sum()),
        "listed_left": _rate(left, weight, ~held_out),
        "held_out_left": _rate(left, weight, held_out),
    }
    each = [int(left[arm].sum()) for arm in (held_out, ~held_out)]
    each += [int((1 - left)[arm].sum()) for arm in (held_out, ~held_out)]
    if min(each) < FEWEST:
        return Effect(**counts, kept=None, share=None, value=None, verdict=TOO_FEW, more=None)
    few = min(len(np.unique(clients[arm])) for arm in (held_out, ~held_out))
    compare = _Comparison(lists, clients, held_out, float(stdtrit(few - 1, 0.975)))
    kept = compare.ratio(-left, called)
    more = _more(kept, compare.quantile, counts, success_rate)
    return Effect(
        **counts,
        kept=kept,
        share=compare.ratio(-left, -left * ~called),
        # Less the mean, which changes nothing on average: or the chance of who has clients of value would count too.
        value=compare.ratio((left.mean() - left) * value, called),
        verdict=_verdict(kept, more),
        more=more,
    )


def _verdict(kept: Interval, more: int | None) -> str:
    if kept.lower > 0 or kept.upper < 0:
        return HELPS if kept.lower > 0 else HARMS
    return TOO_FEW if more is not None or says_nothing(kept) else NONE


def says_nothing(kept: Interval) -> bool:
    """Whether an interval of a share is as wide as all that is possible."""
    return not kept.upper - kept.lower < 2


def _weights(lists: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """What a client counts in its arm's rate: the list's weight over the arm's clients."""
    total, out = np.bincount(lists), np.bincount(lists, weights=held_out)
    return np.where(held_out, (total - out)[lists], out[lists]) / total[lists]


def _rate(left: np.ndarray, weight: np.ndarray, arm: np.ndarray) -> float:
    whole = weight[arm].sum()
    return float((left * weight)[arm].sum() / whole) if whole > 0 else 0.0


class _Comparison:
    """Ratios of differences between the arms, within lists and with errors by client."""

    def __init__(self, lists: np.ndarray, clients: np.ndarray, held_out: np.ndarray, quantile: float) -> None:
        self.lists, self.clients, self.quantile = lists, clients, quantile
        self.sizes = np.bincount(lists)
        self.arm = self._within(~held_out)

    def _within(self, values: np.ndarray) -> np.ndarray:
        return values - (np.bincount(self.lists, weights=values) / self.sizes)[self.lists]

    def ratio(self, top: np.ndarray, bottom: np.ndarray) -> Interval:
        """How much more of `top` the listed arm has for each that it has more of `bottom`.

        The interval holds every b for which the arms do not differ in top - b x bottom: those between the roots of a
        quadratic in b. It has no limits where the arms may not differ in `bottom`.
        """
        a = np.bincount(self.clients, weights=self.arm * self._within(top))
        b = np.bincount(self.clients, weights=self.arm * self._within(bottom))
        square = self.quantile**2
        p = b.sum() ** 2 - square * (b @ b)
        q = a.sum() * b.sum() - square * (a @ b)
        r = a.sum() ** 2 - square * (a @ a)
        if p <= 0:
            return Interval(float(a.sum() / b.sum()) if b.sum() else 0.0, -math.inf, math.inf)
        reach = math.sqrt(max(q * q - p * r, 0.0))
        return Interval(float(a.sum() / b.sum()), (q - reach) / p, (q + reach) / p)


def _more(kept: Interval, quantile: float, counts: dict, success_rate: float) -> int | None:
    """How many more lists like these an effect of success_rate needs to show in four of five cases."""
    error = (kept.upper - kept.lower) / 2 / quantile
    thought = success_rate * counts["held_out_left"]
    if not math.isfinite(error):
        return None
    needed = counts["lists"] * (POWER * error / thought) ** 2
    return max(math.ceil(needed) - counts["lists"], 0) or None
