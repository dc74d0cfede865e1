"""What calling did, what to do now, and what the list is worth, in words."""

import math
from collections.abc import Collection

import pandas as pd

from churn.calls import contacts
from churn.calls.contacts import Matched
from churn.calls.effect import HARMS, HELPS, Effect, measure, says_nothing
from churn.calls.interval import Interval
from churn.calls.reasons import shown
from churn.errors import DataError
from churn.settings import ProductSettings
from churn.words import percent

MANY = 100  # lists that nobody waits for
LOWER_HOLDOUT = 0.1  # enough to watch an effect that is shown


def told(calls: pd.DataFrame, compared: pd.DataFrame, known: Collection[str], settings: ProductSettings) -> list[str]:
    """What these calls did, in sentences.

    Args:
        calls: as `contacts.read` or `contacts.recorded` give them.
        compared: who stood above the cutoff of each list, and what became of them (`History.compared`).
        known: of the clients called, those that were ever scored (`History.known` of `contacts.names`).

    Raises:
        DataError: there is nobody to compare.
    """
    if settings.id is None:
        raise DataError("without an id column nobody is known again, so nobody is left uncalled to compare with")
    if not len(compared):
        raise DataError("no call list was issued yet; calls can be compared once one was (python fullprocess.py)")
    matched = contacts.match(calls, compared, known)
    effect = measure(compared.assign(called=matched.called), settings.success_rate)
    said = words(
        effect,
        success_rate=settings.success_rate,
        contact_cost=settings.contact_cost,
        holdout=settings.holdout,
    )
    return said + _unmatched(matched, len(calls))


def words(effect: Effect, *, success_rate: float, contact_cost: float, holdout: float) -> list[str]:
    """What calling did, and what to do now: sentences, the most important first."""
    said = [_headline(effect, success_rate)]
    if effect.kept is None or effect.share is None or effect.value is None:
        return said + _circumstances(effect)
    if effect.verdict == HELPS:
        said.append(_share(effect.share, success_rate))
        said.append(f"One client is kept by {_calls(effect.kept)} calls.")
    if effect.verdict in (HELPS, HARMS):
        calls = effect.called / effect.lists
        value, cost = effect.value.times(calls), contact_cost * calls
        said.append(
            f"A list of {calls:,.0f} calls kept a value of {_amount(value.value)} "
            f"({_amount(value.lower)} to {_amount(value.upper)}) and cost {_amount(cost)}."
        )
    if effect.verdict == HELPS and holdout > LOWER_HOLDOUT:
        said.append(f"The effect is shown, so fewer need to be left uncalled: set holdout to {LOWER_HOLDOUT}.")
    return said + _circumstances(effect)


def _headline(effect: Effect, success_rate: float) -> str:
    rates = (
        f"{percent(effect.held_out_left)} of {effect.held_out:,} held-out and {percent(effect.listed_left)} of "
        f"{effect.listed:,} listed clients left, over {effect.lists:,} {_plural('list', effect.lists)}."
    )
    if effect.kept is None:
        rates = rates if effect.lists else "of no list it is known yet who left."
        return f"Too few to tell whether calling helps: {rates} Look again after more lists and their outcomes."
    if says_nothing(effect.kept):
        return f"Too few calls to tell whether calling helps: {rates} Make more of those listed, and record them."
    if effect.verdict == HELPS:
        return f"Calling kept {_hundreds(effect.kept)}: {rates}"
    if effect.verdict == HARMS:
        return f"Calling lost {_hundreds(effect.kept.times(-1))}: {rates} Stop calling until it is known why."
    found = f"by estimate it keeps {_hundreds(effect.kept)}; {rates}"
    if effect.more is None:
        most = effect.share.upper if effect.share else math.inf
        limit = f" At the most it keeps {percent(most)} of those who would leave." if 0 < most < 1 else ""
        return f"No effect of calling has shown: {found} With success_rate {success_rate:g} it should have.{limit}"
    more = f"about {effect.more:,}" if effect.more < MANY else f"more than {MANY}"
    return (
        f"Too few to tell whether calling helps: {found} If a call keeps {percent(success_rate)} of those who would "
        f"leave, as success_rate says, {more} more {_plural('list', effect.more)} like these will show it."
    )


def _share(share: Interval, success_rate: float) -> str:
    said = f"That is {percent(share.value)} of those who would have left"
    if not math.isfinite(share.lower):
        return f"{said}."
    inside = share.lower <= success_rate <= share.upper
    return (
        f"{said} ({percent(max(share.lower, 0))} to {percent(min(share.upper, 1))}): success_rate {success_rate:g} "
        + ("fits." if inside else f"does not fit, set it to {min(share.value, 1):.2g}.")
    )


def _calls(kept: Interval) -> str:
    return f"{1 / kept.value:,.0f} ({1 / kept.upper:,.0f} to {1 / kept.lower:,.0f})"


def _circumstances(effect: Effect) -> list[str]:
    said = []
    if effect.called < effect.listed:
        said.append(f"{effect.called:,} of the {effect.listed:,} listed were called, which is allowed for.")
    if effect.called_all_the_same:
        many = effect.called_all_the_same
        said.append(f"{many:,} held-out {_plural('client was', many, 'clients were')} called all the same.")
    if effect.unknown:
        said.append(f"Of {effect.unknown:,} listed or held-out clients it is not known yet whether they left.")
    return said


def _unmatched(matched: Matched, calls: int) -> list[str]:
    said = []
    if matched.unknown:
        where = f" (the first on line {matched.unknown_line})" if matched.unknown_line else ""
        are = _plural("is of a client that was", matched.unknown, "are of clients that were")
        said.append(f"{matched.unknown:,} of the {calls:,} calls {are} never scored{where}.")
    if matched.early:
        said.append(f"{matched.early:,} {_plural('was', matched.early, 'were')} made before the first list.")
    if matched.elsewhere:
        who = _plural("was of a client", matched.elsewhere, "were of clients")
        said.append(f"{matched.elsewhere:,} {who} who did not rank high enough for the list of the time.")
    return said


def _hundred(share: float) -> str:
    """A share as so many of 100: 12, 4.2, -3.5."""
    text = f"{100 * share:.0f}" if abs(share) >= 0.0995 else f"{100 * share:.1f}"
    return "0" if text in ("0.0", "-0.0") else text.removesuffix(".0")


def _hundreds(interval: Interval) -> str:
    value, lower, upper = (_hundred(x) for x in (interval.value, interval.lower, interval.upper))
    return f"{value} of 100 called (95% interval {lower} to {upper})"


def _amount(value: float) -> str:
    return shown(float(f"{value:.3g}"))


def _plural(one: str, count: int, many: str = "") -> str:
    return one if count == 1 else many or f"{one}s"


# ---- what the list is worth ------------------------------------------------------------------------------------------
