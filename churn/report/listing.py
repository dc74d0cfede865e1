"""Whom to call and why, who is left out and why, and what changed since last time."""

from churn.calls.reasons import COUNT, shown
from churn.report.blocks import Block, Table, Text
from churn.report.facts import CallList, Clients, Facts
from churn.report.figures import count
from churn.settings import ProductSettings
from churn.words import fit, percent

TOP_REMOVED = 5
LONGEST_REASON = 120


def whom(facts: Facts) -> list[Block]:
    """The first of the call list, with the reasons; who is not on it, and why; what changed since last time."""
    calls, clients = facts.calls, facts.clients
    if calls is None:
        nothing = "nothing is in production" if facts.release is None else "the list is not written yet"
        return [Text(f"Nobody is listed: {nothing}. The list comes with the next run of python fullprocess.py.")]
    blocks: list[Block] = [Text(_who(calls, clients, facts.settings))]
    if calls.version not in ("", facts.version):
        blocks.insert(0, Text(f"These are the risks that version {calls.version} gave.", "alert"))
    blocks += [Text(words) for words in _not_listed(calls, clients, facts.settings)]
    if calls.rows:
        blocks.append(_list(calls, facts.settings))
    if facts.settings.id:
        blocks.append(Text(_changes(calls)))
    rest = f"The whole list is in {fit(calls.path, 200)}"
    rest += f", every client with its risk in {fit(clients.path, 200)}." if clients else "."
    return [*blocks, Text(rest, "note"), *_came_off(calls)]


def headline(calls: CallList, clients: Clients | None) -> str:
    """How many are to be called."""
    if not calls.listed:
        return "Nobody is to be called"
    who = (
        f"{calls.listed:,} of the {clients.total - clients.gone:,} clients"
        if clients
        else count(calls.listed, "client")
    )
    return f"{who} {'is' if calls.listed == 1 else 'are'} to be called"


def _who(calls: CallList, clients: Clients | None, settings: ProductSettings) -> str:
    if not calls.listed:
        bar = "no call pays" if settings.capacity else "no risk reaches the threshold"
        return f"{headline(calls, clients)}: {bar}."
    if by_risk(settings):
        return f"{headline(calls, clients)}, in the order of their risk."
    value = fit(settings.value) if isinstance(settings.value, str) else shown(settings.value)
    cost = f" - {shown(settings.contact_cost)} (the cost of a call)" if settings.contact_cost else ""
    return (
        f"{headline(calls, clients)}, in the order of what a call can be expected to gain: "
        f"{percent(settings.success_rate)} (so many leavers does a call keep) x risk x {value} (what keeping a client "
        f"is worth){cost}."
    )


def by_risk(settings: ProductSettings) -> bool:
    """Whether no values and costs are given: then all clients are worth the same, and worth a call."""
    return settings.value == 1.0 and not settings.contact_cost


def _not_listed(calls: CallList, clients: Clients | None, settings: ProductSettings) -> list[str]:
    found = []
    if settings.id is None:
        found.append(
            "The data has no id column. So a client is named by the number of its row, nobody is known again, and "
            "nobody is left uncalled."
        )
    elif calls.held_out is None and settings.holdout:
        found.append(f"A random {percent(settings.holdout)} of the clients are never listed. {WHY_HELD_OUT}")
    elif calls.held_out:
        who = "1 more ranks as high and is" if calls.held_out == 1 else f"{calls.held_out:,} more rank as high and are"
        found.append(
            f"{who} left uncalled, as {percent(settings.holdout)} of all clients are, drawn by chance. {WHY_HELD_OUT}"
        )
    aside = [f"{count(calls.snoozed, 'client')} snoozed for now"] if calls.snoozed else []
    aside += [f"{count(clients.gone, 'client')} known to have left"] if clients and clients.gone else []
    return [*found, f"Not listed either: {' and '.join(aside)}."] if aside else found


WHY_HELD_OUT = "Without them nobody could know whether calling helps."


def _list(calls: CallList, settings: ProductSettings) -> Table:
    """The first rows of the list; what is the same for all of them is left out."""
    names = ["rank", calls.key, "risk"]
    names += ["value"] * isinstance(settings.value, str) + ["expected_gain"] * (not by_risk(settings))
    again = settings.id is not None and not calls.is_first
    said = {"risk": lambda cell: percent(float(cell)), **dict.fromkeys(("value", "expected_gain"), _number)}
    rows = []
    for row in calls.rows:
        cells = [said.get(name, fit)(row[name]) for name in names]
        reasons = [fit(row[f"reason_{i + 1}"], LONGEST_REASON) for i in range(COUNT)]
        cells.append("\n".join(reason for reason in reasons if reason) or "no column moves the risk")
        if again:
            cells.append(f"{row['status']}: {fit(row['why'], LONGEST_REASON)}" if row["why"] else row["status"])
        rows.append(tuple(cells))
    head = [fit(name).replace("_", " ") for name in names] + ["why this risk"] + ["since last time"] * again
    widths = [0.6, 1.3, 0.6, *[1.05] * (len(names) - 3), 4.6, *[1.5] * again]
    title = f"The first {len(rows)}" if calls.listed > len(rows) else "The list"
    numbers = frozenset({0, *range(2, len(names))})
    return Table(tuple(head), rows, tuple(widths), numbers, title=title)


def _number(cell: str) -> str:
    return shown(float(cell))


def _changes(calls: CallList) -> str:
    if calls.is_first:
        return "No list was made before. The next one says who entered it, who stayed and who came off."
    stayed = calls.listed - calls.entered
    return f"Since the last list {calls.entered:,} entered, {stayed:,} stayed and {calls.removed_count:,} came off."


def _came_off(calls: CallList) -> list[Block]:
    if not calls.removed:
        return []
    rows = [
        (row["rank_before"], fit(row[calls.key]), _risk(row["risk_before"]), _risk(row["risk"]))
        + (fit(row["why"], LONGEST_REASON),)
        for row in calls.removed[:TOP_REMOVED]
    ]
    title = f"The first {len(rows)} who came off" if calls.removed_count > len(rows) else "Who came off"
    head = ("rank then", fit(calls.key), "risk then", "risk now", "why")
    return [Table(head, rows, (0.9, 1.6, 0.9, 0.9, 4), frozenset({0, 2, 3}), title=title)]


def _risk(cell: str) -> str:
    return percent(float(cell)) if cell else ""
