"""What a report says of the data behind a version, and what one needs to make it again."""

from collections.abc import Sequence
from typing import Any

from churn.contest import promotion
from churn.errors import shown
from churn.estimators import Design
from churn.fitting import selection
from churn.report.blocks import Bars, Block, Table, Text
from churn.report.decision import when
from churn.report.facts import Facts
from churn.words import fit, percent

TOP_COLUMNS, TOP_DROPS, TOP_REASONS = 12, 12, 5
LONGEST_REASON = 600


def data(facts: Facts) -> list[Block]:
    """What was read, what became of it, what the version was trained on, and what is missing in it."""
    trained, drops = facts.manifest["data"], facts.drops
    blocks: list[Block] = [Text(f"{facts.stored_rows:,} rows are stored{facts.period}. {_trained(facts)}")]
    if facts.waiting_rows:
        blocks.append(Text(f"{facts.waiting_rows:,} rows wait for their label. They are scored, and not trained on."))
    if drops:
        blocks.append(_drops(drops))
    later = sum(drop.status == "ingested" and drop.number > trained["drops"] for drop in drops)
    if later:
        came = "1 of the files came" if later == 1 else f"{later} of the files came"
        blocks.append(Text(f"{came} after this version was trained.", "note"))
    return blocks + _set_aside(drops) + _missing(facts.missing)


def _trained(facts: Facts) -> str:
    """On which rows the version was trained."""
    trained, recipe = facts.manifest["data"], facts.manifest["recipe"]
    of = "" if recipe == "all" else f" ({promotion.RECIPES[recipe]})"
    words = f"Trained on {trained['train_rows']:,} rows{of}, of which {percent(trained['positive_rate'])} left"
    reasons = (("without_label", "that wait for their label"), ("in_test_files", "that also stand in the test files"))
    left_out = [f"{trained[key]:,} rows {what}" for key, what in reasons if trained[key]]
    return words + (f"; left out: {', '.join(left_out)}." if left_out else ".")


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
    design = selection.describe(Design(**manifest["selection"]["design"]))
    facts = {
        "version": manifest["version"],
        "model": f"{design}, seed {manifest['seed']}, threshold {manifest['threshold']:.4f}",
        "recipe": promotion.RECIPES[manifest["recipe"]],
        "trained": f"{when(manifest['trained_at'])} UTC, in {manifest['training_seconds']:.1f} s",
        "data": f"hash {manifest['data']['hash']}",
        "configuration": f"hash {manifest['configuration']}",
        "packages": ", ".join(f"{name} {version}" for name, version in manifest["packages"].items()),
    }
    return [Text("\n".join(f"{name}: {fit(value, LONGEST_REASON)}" for name, value in facts.items()), "note")]
