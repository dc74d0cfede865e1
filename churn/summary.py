"""What a person reads after a tick: the summary, and the last line."""

import sys
from typing import Any

from churn import idle, releases
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
    config = "" if product.config_path.name == "config.json" else f" --config {product.config_path}"
    shown["next"] = (
        f"make serve (the app), {sys.executable} cron.py --install{config} (a look every ten minutes)"
        if champion
        else f"more data into {product.source}, or {sys.executable} fullprocess.py --force{config}"
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
    return f"brought up to date; {production}" if refreshed else nothing_new(product, record)


def nothing_new(product: Product, record: Record) -> str:
    """What a run says that finds nothing; what was set aside and still lies there is not forgotten."""
    aside = sum((product.source / drop.name).exists() for drop in record.quarantined)
    if not aside:
        return idle.NOTHING_NEW
    files = f"{aside} files are" if aside > 1 else "1 file is"
    return f"{idle.NOTHING_NEW}; {files} still set aside (python ingestion.py --verify lists them)"
