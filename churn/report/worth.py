"""What calling is worth: precision, lift, leavers found and value at capacity, and what calls did so far."""

from collections.abc import Sequence

import numpy as np

from churn.calls import capacity
from churn.calls.capacity import AtCapacity
from churn.calls.reasons import shown
from churn.report import charts
from churn.report.blocks import Block, Pictures, Table, Text
from churn.report.facts import CallList, Clients, Facts, Worth
from churn.report.figures import amount, count, hundred, times, with_interval
from churn.report.listing import by_risk
from churn.settings import ProductSettings
from churn.words import percent

CALLED = (0.01, 0.02, 0.05, 0.1, 0.2)  # shares of the clients for which the table of calls says what they bring
FEWEST_ROWS = 200  # below it a hundredth of them is a row or two
KEEP = "python reporting.py --contacts contacts.csv"


def worth(facts: Facts) -> list[Block]:
    """Precision, lift, leavers found and value at capacity, beside a random list and that of the constant guess."""
    settings, calls = facts.settings, facts.worth
    if calls is None:
        least = facts.min_class_rows
        few = f"it takes at least {least} labelled rows of those who left, and as many of those who stayed"
        return [Text(f"Not known yet: {few if facts.held else facts.held_note}."), *_effect(facts.effect)]
    blocks: list[Block] = [
        Text(_how_measured(calls, facts.clients, settings)),
        _measures(calls.found, calls.places, settings),
        _beside_the_constant(calls, settings),
    ]
    picture = charts.gain(calls.left, calls.score, calls.found.share, _name(settings, calls.places))
    blocks += [Pictures([("Gain", picture, READS)]), *_more_or_fewer(calls, settings)]
    return [*blocks, *_effect(facts.effect)]


READS = (
    "How many of those who leave are found when so many are called, in the order of the list. The dot is the list "
    "as it is. Calling at random follows the dashed line; whoever knew who leaves would follow the dotted one. The "
    "further the curve is above the dashed line, the better is the order."
)


def _name(settings: ProductSettings, places: int) -> str:
    return count(places, "call") if settings.capacity else "the list"


def _how_measured(calls: Worth, clients: Clients | None, settings: ProductSettings) -> str:
    rows = f"Measured on {calls.where}; {percent(calls.left.mean())} of them left"
    order = "the highest risk" if by_risk(settings) else "most to gain"
    down = f"the {percent(calls.found.share)} of them with {order}"
    if settings.capacity is None:
        return (
            f"{rows}. No capacity is set, so the list takes everyone whose risk reaches the threshold: {down}. Set "
            "capacity in config.json to the number of clients that the team can call, and this is shown for so many."
        )
    skipped = f", of whom {percent(settings.holdout)} are left uncalled" if settings.id and settings.holdout else ""
    among = f" among {clients.here:,} clients{skipped}" if clients else ""
    told = f"{rows}. Called are {down}: so far down the list go {count(calls.places, 'call')}{among}."
    if clients and clients.gone:
        told += (
            " Among these rows are some who had left already; they are never on the list, whose risks are lower for it."
        )
    return told


def _measures(found: AtCapacity, places: int, settings: ProductSettings) -> Table:
    lists = (found.model, found.random, found.constant)
    kept = f"if a call keeps {percent(settings.success_rate)} of them"
    if by_risk(settings):
        name, what = "Clients kept", f"leavers who are called and stay, {kept}"
    else:
        name, what = "Value kept", f"of the leavers called, {kept}, less {shown(settings.contact_cost)} a call"
    said = [
        ("Precision", [one.precision for one in lists], percent, "of those called, the share that leaves"),
        ("Lift", [one.lift for one in lists], times, "so many times the leavers of a random list"),
        ("Found", [one.found for one in lists], percent, "of all who leave, the share called"),
        (name, [one.profit.times(places) for one in lists], amount, what),
    ]
    rows = [(name, *(with_interval(one, say) for one in three), what) for name, three, say, what in said]
    head = ("measure", "this list", "a random list", "constant guess", "what it says")
    title = f"{count(places, 'call')}, with 95% intervals"
    return Table(head, rows, (1.1, 1.7, 1.7, 1.7, 2.6), frozenset({1, 2, 3}), title=title)


def _beside_the_constant(worth: Worth, settings: ProductSettings) -> Text:
    """The model's list less that of the constant guess, which a model has to beat."""
    more = worth.found.more_than_constant.times(worth.places)
    found = "Which of the two brings more cannot be told"
    if more.lower > 0 or more.upper < 0:
        found = f"This list brings {'more' if more.lower > 0 else 'less'}"
    order = "those of most value" if isinstance(settings.value, str) else "anybody, all being worth the same"
    return Text(
        f"The constant guess gives everyone the same risk, and so calls {order}. {found}: the "
        f"difference is {with_interval(more, amount)}."
    )


def _more_or_fewer(calls: Worth, settings: ProductSettings) -> list[Block]:
    """What calling more or fewer would bring."""
    left = calls.left
    rows, leavers = len(left), int(left.sum())
    if rows < FEWEST_ROWS:
        return []
    called, found = capacity.gain_curve(left, calls.score)
    table = []
    own = calls.found.share
    for share in sorted({own, *(share for share in CALLED if percent(share) != percent(own))}):
        reached = float(np.interp(share, called, found))
        here = f" ({_name(settings, calls.places)})" if share == own else ""
        hits = reached * leavers / (share * rows)
        table.append((percent(share) + here, percent(hits), percent(reached), times(reached / share)))
    head = ("share of the clients called", "of those called leave", "of all leavers found", "times random")
    return [Table(head, table, (2, 1.5, 1.5, 1), frozenset({1, 2, 3}), title="If more or fewer were called")]


def _effect(effect: Sequence[str]) -> list[Block]:
    """What calls did so far, as far as they are recorded."""
    if not effect:
        told = f"No call is recorded yet. Mark those made on the page Today, or keep a CSV file of them: {KEEP}."
        return [Text("Whether calling helps", "heading"), Text(told)]
    return [Text("Whether calling helps", "heading"), *(Text(words) for words in effect)]


def in_short(calls: CallList, clients: Clients) -> str:
    """What is to be expected of those listed, in one sentence."""
    return (
        f"By their risks {hundred(calls.risk)} of 100 of them leave; of 100 picked at random, {hundred(clients.risk)}."
    )
