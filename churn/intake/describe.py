"""Guess a product block from a CSV file, for an operator to check and paste into config.json."""

import argparse
import contextlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from churn.columns import BLANKS, NUMBER
from churn.errors import ChurnError, DropError
from churn.intake import cells, content, reading
from churn.intake.content import Content
from churn.settings import ProductSettings

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

TARGETS = ("churn", "churned", "churn flag", "exited", "exit", "left", "attrition", "target", "cancelled", "canceled")
POSITIVES = ("1", "yes", "y", "true", "t", "churn", "churned", "exited", "left", "attrited", "cancelled", "canceled")
LIKE_AN_ID = re.compile(
    r"(^|[^a-z])(id|no|nr|number|key|code)$|id$|^(customer|client|corporation|account|company|user)$"
)
LIKE_A_DATE = r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}.*"
MOST_CATEGORIES = 100


@dataclass(frozen=True)
class Seen:
    """What a column's cells look like; counts are of the cells that are not blank."""

    rows: int
    filled: int
    different: int
    numbers: int
    whole: int
    dates: int

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.different == self.rows > 1

    @property
    def numeric(self) -> bool:
        """Whether every cell is a number."""
        return self.numbers == self.filled


def main(options: argparse.Namespace) -> str:
    """Print the product block for the file that --describe names, as it stands in config.json's `products`.

    Returns:
        What to do with it.

    Raises:
        ChurnError: what has to be said with --id, --target or --positive.
        DropError: the file is no usable CSV.
    """
    if not options.describe:
        raise ChurnError("--id, --target and --positive go with --describe FILE")
    path = Path(options.describe)
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_") or "product"
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = content.examine(descriptor, path.name)
        if found.fault:
            raise DropError(found.name, *found.fault)
        reading.check_header(found)
        block = _block(found, options.id, options.target, options.positive)
    finally:
        os.close(descriptor)
    print(f'"{name}": {json.dumps(block, indent=2, ensure_ascii=False)}\n')
    return (
        'check it, paste it under "products" in config.json, put the file into the product\'s folder '
        f"(sourcedata/{name}/) and type: python ingestion.py --product {name}"
    )


def _block(found: Content, identity: str | None, target: str | None, positive: str | None) -> dict[str, object]:
    for column in (identity, target):
        if column and column not in found.header:
            raise ChurnError(f"{found.name} has no column {column!r}; it has {', '.join(found.header)}")
    spill = Path(tempfile.gettempdir()) / f"churn-{os.getpid()}"
    with reading.connect(1024, os.cpu_count() or 1, spill) as connection:
        seen, labels_of = _look(connection, found)
        if not any(each.rows for each in seen.values()):
            raise ChurnError(f"{found.name} has no rows to guess from")
        target = target or _guess_target(found, seen)
        labels = labels_of(target)
    settings: dict[str, object] = {}
    identity = identity or _guess_id(seen, target)
    if identity:
        settings["id"] = identity
    settings |= {"target": target, **_labels(target, labels, positive)}
    kinds: dict[str, list[str]] = {"numeric": [], "integer": [], "categorical": []}
    for column, each in seen.items():
        if column not in (identity, target):
            kind, why = _kind(column, each)
            if kind:
                kinds[kind].append(column)
            else:
                logger.warning("%r is left out: %s", column, why)
    settings |= {kind: columns for kind, columns in kinds.items() if columns}
    if blank := seen[target].rows - seen[target].filled:
        how = 'write "as_of" and "late_labels": true into the block if their labels come later'
        logger.warning("%d rows have no label and will be rejected; %s", blank, how)
    return _checked(settings)


def _look(
    connection: "duckdb.DuckDBPyConnection", found: Content
) -> tuple[dict[str, Seen], Callable[[str], dict[str, int]]]:
    """What each column looks like, and a function for the labels of one."""
    names = [f"c{i}" for i in range(len(found.header))]
    kinds = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    connection.execute(
        f"CREATE TEMP TABLE described AS FROM read_csv('{found.path}', columns={{{kinds}}}, {cells.OPTIONS})"
    )
    seen = {}
    for name, column in zip(names, found.header, strict=True):
        seen[column] = Seen(
            *connection.execute(
                f"SELECT count(*), count(v), count(DISTINCT v), count_if(regexp_full_match(v, {cells.text(NUMBER)})), "
                "count_if(regexp_full_match(v, '[+-]?[0-9]{1,15}')), "
                f"count_if(regexp_full_match(v, '{LIKE_A_DATE}')) "
                f"FROM (SELECT nullif(trim({name}, {cells.text(BLANKS)}), '') AS v FROM described)"
            ).fetchone()
        )

    def labels_of(column: str) -> dict[str, int]:
        cell = f"trim({names[found.header.index(column)]}, {cells.text(BLANKS)})"
        query = f"SELECT {cell}, count(*) FROM described WHERE {cell} <> '' GROUP BY 1 ORDER BY 2, 1 LIMIT 10"
        return dict(connection.execute(query).fetchall())

    return seen, labels_of


def _guess_target(found: Content, seen: dict[str, Seen]) -> str:
    for wanted in TARGETS:
        for column, each in seen.items():
            if re.sub(r"[^a-z]+", " ", column.lower()).strip() == wanted and each.different == 2:
                return column
    raise ChurnError(f"which column of {found.name} says who left? name it with --target: {', '.join(found.header)}")


def _guess_id(seen: dict[str, Seen], target: str) -> str | None:
    """A column of texts or whole numbers named like an id, nearly all different; else one of unique texts."""
    others = {column: each for column, each in seen.items() if column != target}
    for column, each in others.items():
        mostly = each.filled == each.rows and each.different > 0.5 * each.rows
        if mostly and LIKE_AN_ID.search(column) and (each.whole == each.filled or not each.numeric):
            return column
    unique = (c for c, each in others.items() if each.unique and not each.numeric and each.dates != each.filled)
    return next(unique, None)


def _labels(target: str, labels: dict[str, int], positive: str | None) -> dict[str, str]:
    shown = ", ".join(repr(label) for label in labels)
    if len(labels) != 2:
        raise ChurnError(f"{target!r} has {len(labels)} different values ({shown}); a target has two")
    positive = positive or next((label for label in labels if label.lower() in POSITIVES), None)
    if positive not in labels:
        raise ChurnError(f"which label of {target!r} means: left? say it with --positive, one of {shown}")
    return {"positive": positive, "negative": next(label for label in labels if label != positive)}


def _kind(column: str, seen: Seen) -> tuple[str | None, str]:
    """What a column is, or None and why it is left out."""
    if seen.different <= 1:
        return None, "it is the same throughout" if seen.filled else "it is empty"
    if seen.numeric:
        if seen.unique and seen.whole == seen.rows and LIKE_AN_ID.search(column):
            return None, "it looks like a second id"
        return ("integer" if seen.whole == seen.filled else "numeric"), ""
    if seen.dates == seen.filled:
        return None, 'dates; if it is when a row was observed (YYYY-MM-DD), write "as_of" into the block'
    if seen.different > min(MOST_CATEGORIES, seen.filled / 2) and seen.different > 5:
        return None, f"{seen.different:,} different texts: an id or free text"
    return "categorical", ""


def _checked(block: dict[str, object]) -> dict[str, object]:
    """The block, without the negative label where that is evident, once the config takes it."""
    short = {key: value for key, value in block.items() if key != "negative"}
    for candidate in (short, block):
        with contextlib.suppress(ValidationError):
            if ProductSettings.model_validate(candidate).columns().negative == block["negative"]:
                return candidate
    raise ChurnError(f"no columns are left to learn from: {json.dumps(block)}")
