"""What was decided for a product so far, one line of `models/<product>/decisions.jsonl` each.

A decision is {at, data_hash, recipe, drops, champion, drift, challenger, promotion, action, reason}: for which data
and which model, the verdicts with their numbers, what was done (deployed, kept, none) and why in words.
"""

import json
import logging
from typing import Any

from churn import storage
from churn.config import Product

logger = logging.getLogger(__name__)

FILE = "decisions.jsonl"


def read(product: Product) -> list[dict[str, Any]]:
    """Every decision, oldest first."""
    return storage.read_lines(product.models / FILE)


def write(product: Product, decision: dict[str, Any]) -> None:
    """Add a decision, and log it."""
    unmended = decision["action"] != "deployed" and (decision["drift"] or {}).get("yes")
    level = logging.WARNING if unmended else logging.INFO
    logger.log(level, "%s: %s: %s", product.name, decision["action"], decision["reason"])
    storage.append_line(product.models / FILE, json.dumps(decision, ensure_ascii=False), log=False)
