"""What a report says of the decision, the data and the version itself: why this model, and from what."""

from collections.abc import Sequence
from typing import Any

from churn.errors import shown
from churn.report.blocks import Bars, Block, Table, Text
from churn.words import fit, percent

TOP_COLUMNS, TOP_DROPS, TOP_DECISIONS, TOP_REASONS = 12, 12, 5, 5
LONGEST_REASON = 600
ACTIONS = {"deployed": "deployed", "kept": "production kept", "none": "nothing deployed"}


def decision(
    manifest: dict[str, Any], release: dict[str, Any] | None, decisions: Sequence[dict[str, Any]]
) -> list[Block]:
    """What was decided last, why this version is in production or not, and the decisions before.

    Args:
        release: the version's entry in the history of production; None when it is not there.
    """
    blocks: list[Block] = []
    verdict = manifest["verdict"]
    if release:
        blocks.append(Text(f"In production since {when(release['from'])} UTC: {fit(release['why'], LONGEST_REASON)}."))
    if verdict and not (release and verdict["reason"] in release["why"]):
        rival = manifest.get("rival") or "the constant guess"
        blocks.append(Text(f"When it was compared with {rival}: {fit(verdict['reason'], LONGEST_REASON)}."))
    if not decisions:
        return [*blocks, Text("No decision was recorded: the steps were run by hand.", "note")]
    rows = [_decided(decision) for decision in reversed(decisions[-TOP_DECISIONS:])]
    head = ("time (UTC)", "drop", "decision", "reason")
    return [*blocks, Table(head, rows, (1.5, 0.6, 1.5, 6.4), frozenset({1}), title="The last decisions")]


def _decided(decision: dict[str, Any]) -> tuple[str, ...]:
    what = ACTIONS.get(decision["action"], decision["action"])
    return when(decision["at"]), str(decision["drops"]), what, fit(decision["reason"], LONGEST_REASON)


def when(moment: str) -> str:
    """A time of our records, to the minute."""
    return moment[:16].replace("T", " ")


def data(
    manifest: dict[str, Any], drops: Sequence[Any], period: str, stored_rows: int, missing: dict[str, float]
) -> list[Block]:
    """What was read, what became of it, what the version was trained on, and what is missing in it.

    Args:
        missing: percent by column.
    """
    trained = manifest["data"]
    words = f"Trained on {trained['train_rows']:,} rows, of which {percent(trained['positive_rate'])} left"
    reasons = (("held_out_clients", "of held-out clients"), ("in_test_files", "that also stand in the test files"))
    left_out = [f"{trained[key]:,} rows {what}" for key, what in reasons if trained[key]]
    words += f"; left out: {', '.join(left_out)}" if left_out else ""
    later = sum(drop.status == "ingested" and drop.number > trained["drops"] for drop in drops)
    blocks: list[Block] = [Text(f"{stored_rows:,} rows are stored{period}. {words}.")]
    if drops:
        blocks.append(_drops(drops))
    if later:
        blocks.append(Text(f"{later} of the files came after this version was trained.", "note"))
    return blocks + _set_aside(drops) + _missing(missing)


def _drops(drops: Sequence[Any]) -> Table:
    counted = ("rows", "accepted", "duplicate", "rejected", "superseded")
    newest = list(drops)[-TOP_DROPS:]
    rows = []
    if len(drops) > len(newest):
        rows.append(_drop_row(f"{len(drops) - len(newest)} earlier files", "", list(drops)[:-TOP_DROPS], counted))
    rows += [_drop_row(fit(shown(drop.name)), when(drop.ingested_at), [drop], counted) for drop in newest]
    rows.append(_drop_row("all files", "", drops, counted))
    head = ("file", "ingested (UTC)", "rows read", "accepted", "duplicate", "rejected", "superseded")
    title = "Files: rows read = accepted + duplicate + rejected"
    return Table(head, rows, (2.3, 1.7, 1, 1, 1, 1, 1.3), frozenset({2, 3, 4, 5, 6}), title=title, total=True)


def _drop_row(name: str, moment: str, drops: Sequence[Any], counted: Sequence[str]) -> tuple[str, ...]:
    aside = len(drops) == 1 and drops[0].status == "quarantined"
    sums = (sum(getattr(drop, what) for drop in drops) for what in counted)
    return (name + (" (set aside)" if aside else ""), moment, *(f"{n:,}" for n in sums))


def _set_aside(drops: Sequence[Any]) -> list[Block]:
    aside = [drop for drop in drops if drop.status == "quarantined"]
    blocks: list[Block] = [
        Text(f"{fit(shown(drop.name))} was set aside: {fit(drop.reason, 300)}", "note") for drop in aside[-TOP_REASONS:]
    ]
    if len(aside) > TOP_REASONS:
        blocks.insert(0, Text(f"{len(aside)} files were set aside; the last {TOP_REASONS}:", "note"))
    return blocks


def _missing(missing: dict[str, float]) -> list[Block]:
    ordered = sorted(((share, name) for name, share in missing.items() if share > 0), key=lambda item: -item[0])
    complete = len(missing) - len(ordered)
    if not ordered:
        return [Text(f"None of the {len(missing)} columns has a missing value.")]
    rows = [(fit(name), share / 100, percent(share / 100)) for share, name in ordered[:TOP_COLUMNS]]
    blocks: list[Block] = [Bars(rows, title="Missing values, share of the stored rows")]
    rest = ordered[TOP_COLUMNS:]
    words = f"{len(rest)} more columns have fewer missing values. " if rest else ""
    words += f"{complete} of {len(missing)} columns have none." if complete else ""
    return [*blocks, Text(words.strip(), "note")] if words else blocks


def small_print(manifest: dict[str, Any]) -> list[Block]:
    """What one needs to make this version again."""
    facts = {
        "version": manifest["version"],
        "model": f"{manifest['model']}, seed {manifest['seed']}, threshold {manifest['threshold']:.4f}",
        "trained": f"{when(manifest['trained_at'])} UTC, in {manifest['training_seconds']:.1f} s",
        "data": f"hash {manifest['data']['hash']}",
        "configuration": f"hash {manifest['recipe']}",
        "packages": ", ".join(f"{name} {version}" for name, version in manifest["packages"].items()),
    }
    return [Text(f"{name}: {fit(value, LONGEST_REASON)}", "note") for name, value in facts.items()]
