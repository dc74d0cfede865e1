"""What a person reads after a tick: the summary, and the last line."""

import sys
from typing import Any

from churn import releases
from churn.config import Product
from churn.dataset import Record


def block(
    product: Product,
    champion: dict[str, Any] | None,
    ingested: str,
    decision: dict[str, Any] | None,
    lines: dict[str, str],
) -> str:
    """What a person wants to know after a tick that did something, and what to type next."""
    shown = {"ingested": ingested, **lines}
    if champion:
        scores = champion["scores"]
        shown["score"] = (
            f"F1 {scores['f1']:.3f} on {scores['rows']:,} {scores['on']} "
            f"(always answering 'leaves': {scores['constant_f1']:.3f})"
        )
    shown["production"] = champion["version"] if champion else "nothing yet"
    if decision:
        shown["decided"] = f"{decision['action']}: {decision['reason']}"
    shown["next"] = (
        f"make serve (the app), {sys.executable} cron.py --install (a look every ten minutes)"
        if champion
        else f"more data into {product.source}, or {sys.executable} fullprocess.py --force"
    )
    order = ("ingested", "decided", "production", "score", "clients", "diagnosed", "report", "next")
    text = "\n".join([f"\n{product.name}", *(f"  {key:<11} {shown[key]}" for key in order if key in shown), ""])
    return text.replace(f"{product.config_path.parent}/", "")  # shorter to read, and to type


def headline(product: Product, record: Record, decision: dict[str, Any] | None, *, refreshed: bool) -> str:
    """The last line: what happened, in one sentence."""
    version = releases.current_version(product)
    production = f"{version} in production" if version else "nothing in production"
    if not record.data_hash:
        return f"no data yet; put a file into {product.source}"
    if decision:
        return f"{decision['action']}; {production}: {decision['reason']}"
    return f"brought up to date; {production}" if refreshed else "nothing new"
