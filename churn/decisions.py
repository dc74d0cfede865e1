"""What was seen of a product's models and decided about them, a line each, in two files in `models/<product>/`.

`judgements.jsonl`: what a drop showed of the model in production, {at, champion, drops, seen, verdict, reasons, onset,
alarm, auc_z, label_moved, scores, deployed_f1, raw_rule, moves, estimate, outcomes, waiting, estimated, said}.
`decisions.jsonl`: {at, data_hash, configuration, drops, champion, drift, challenger, promotion, selection, action,
reason}: for which data and which configuration, the verdicts with their numbers, what was done (deployed, kept,
rolled back, none) and why in words.
"""

import itertools
import json
import logging
from collections.abc import Sequence
from typing import Any

from churn import drift, releases, storage
from churn.config import Product
from churn.errors import NoRelease

logger = logging.getLogger(__name__)

FILE, JUDGEMENTS = "decisions.jsonl", "judgements.jsonl"


def read(product: Product) -> list[dict[str, Any]]:
    """Every decision, oldest first."""
    return storage.read_lines(product.models / FILE)


def write(product: Product, decision: dict[str, Any]) -> None:
    """Add a decision, and log it."""
    unmended = decision["action"] in ("kept", "none") and (decision["drift"] or {}).get("verdict") == drift.DRIFTED
    level = logging.WARNING if unmended or decision["action"] == "rolled back" else logging.INFO
    logger.log(level, "%s: %s: %s", product.name, decision["action"], decision["reason"])
    storage.append_line(product.models / FILE, json.dumps(decision, ensure_ascii=False), log=False)


def judgements(product: Product) -> list[dict[str, Any]]:
    """Every judgement, oldest first."""
    return storage.read_lines(product.models / JUDGEMENTS)


def write_judgement(product: Product, line: dict[str, Any]) -> None:
    """Add a judgement."""
    storage.append_line(product.models / JUDGEMENTS, json.dumps(line, ensure_ascii=False), log=False)


def champion(product: Product) -> dict[str, Any] | None:
    """The manifest of the release in production; None where that was made by another version of this software."""
    try:
        manifest = releases.read_manifest(releases.current(product))
    except NoRelease:
        return None
    return manifest if manifest["format"] == releases.FORMAT else None


def made_for(manifest: dict[str, Any]) -> dict[str, str]:
    """The data and the configuration that a version was made for, under the names that a decision has for them."""
    return {"data_hash": manifest["data"]["hash"], "configuration": manifest["configuration"]}


def undecided(product: Product, version: str) -> list[dict[str, Any]]:
    """The judgements on a version after drops that no decision was taken on, also those that a killed run left."""
    decided = max((decision["drops"] for decision in read(product)), default=0)
    return [line for line in judgements(product) if line["champion"] == version and line["seen"]["drop"] > decided]


def suspects(product: Product) -> set[int]:
    """The numbers of the drops on which nothing is trained, see `drift.suspects`."""
    taken_back = _taken_back(product)
    lines = [line for line in judgements(product) if line["champion"] not in taken_back]
    # Of several champions the first one judged it as it came; another one is only shown it when it comes back.
    first = {line["seen"]["drop"]: line for line in reversed(lines)}
    doubtful = drift.suspects([drift.Judgement.from_dict(first[drop]) for drop in sorted(first)])
    return {number for drop in doubtful for number in first[drop]["drops"]}


def words(product: Product, lines: Sequence[dict[str, Any]]) -> str:
    """What these judgements show: the worst of them, and which of their drops are suspect."""
    found = drift.summary(lines)
    if found is None:
        return "no new rows, or too few to judge: they wait for more"
    doubtful = sorted(suspects(product) & {number for line in lines for number in line["drops"]})
    if not doubtful:
        return found["reason"]
    named = f"drop {doubtful[0]} is" if len(doubtful) == 1 else f"drops {', '.join(map(str, doubtful))} are"
    return (
        f"{found['reason']}; {named} suspect, for the model ranks it far worse than the drops around it: nothing is "
        "trained on it unless the next drop shows the same"
    )


def _taken_back(product: Product) -> set[str]:
    """The versions that an older one replaced: what they alarmed at may have been their own fault."""
    names = [entry["version"] for entry in releases.history(product)]
    return {later for later, then in itertools.pairwise(names) if then < later} - {*names[-1:]}
