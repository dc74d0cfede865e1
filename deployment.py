"""Put a version into production, atomically, and back.

Production holds complete copies and one symbolic link; whoever reads it sees one whole release or another. Without
arguments the newest scored version is deployed.
"""

import logging
import sys
from datetime import UTC, datetime, timedelta

from churn import releases, stage, storage
from churn.config import Product
from churn.errors import ChurnError, ReleaseError

logger = logging.getLogger(__name__)


def deploy(product: Product, version: str | None = None, rollback: bool = False, why: str = "by hand") -> str:
    """Make a version current: the one named, the newest scored one, or the one before (`rollback`).

    Raises:
        ReleaseError: there is no such version, it has no score yet, or its bytes are not those of its manifest.
    """
    storage.sweep(product.production)
    releases.restore_link(product)
    before = releases.current_version(product)
    if rollback:
        version, why = releases.previous(product)["version"], "rolled back by hand" if why == "by hand" else why
        folder = product.production / version
    else:
        folder = _candidate(product, version)
    manifest = releases.verify(folder)
    if manifest["scores"] is None:
        raise ReleaseError(
            f"version {folder.name} has no score; run: "
            f"python scoring.py --product {product.name} --version {folder.name}"
        )
    releases.publish(product, folder, {"version": folder.name, "from": stage.utc_now(), "why": why})
    removed = releases.prune(product)
    said = f"{folder.name} in production" + (f" instead of {before}" if before not in (None, folder.name) else "")
    if before == folder.name:
        said = f"{folder.name} was in production already"
    return f"{said} ({why})" + (f"; removed old versions: {', '.join(removed)}" if removed else "")


def _candidate(product: Product, version: str | None):
    """Where a version to deploy lies: in models, else a copy that production still keeps."""
    if version and version not in releases.versions(product):
        kept = product.production / version
        if (kept / releases.MANIFEST).is_file():
            return kept
    return releases.folder_of(product, version)


def show_history(product: Product) -> str:
    """What was in production, from when to when, and why, as a table; then what is only in models."""
    from prettytable import PrettyTable

    entries = releases.history(product)
    if not entries:
        return "nothing was ever in production; run: python fullprocess.py"
    table = PrettyTable(["version", "from", "to", "F1", "why"], align="l")
    for entry, until in reversed(releases.with_ends(entries)):
        table.add_row([entry["version"], entry["from"], until or "now", _f1(product, entry["version"]), entry["why"]])
    deployed = {entry["version"] for entry in entries}
    others = [version for version in releases.versions(product) if version not in deployed]
    said = f"{entries[-1]['version']} in production" + (f"; never deployed: {', '.join(others)}" if others else "")
    return f"{said}\n{table}"


def _f1(product: Product, version: str) -> str:
    try:
        return f"{releases.read_manifest(product.production / version)['scores']['f1']:.3f}"
    except ReleaseError:
        return "not kept"


def show_release_at(product: Product, at: str) -> str:
    """Which version was in production at a date (all of that day) or a time, UTC.

    Raises:
        ChurnError: the date cannot be read.
    """
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise ChurnError(f"--at {at}: not a date; write 2026-11-21 or 2026-11-21T08:30:00Z") from None
    if len(at) == len("2026-11-21"):
        moment += timedelta(days=1, seconds=-1)
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    before = [e for e in releases.history(product) if datetime.fromisoformat(e["from"]) <= moment]
    return f"{before[-1]['version']} since {before[-1]['from']} ({before[-1]['why']})" if before else "nothing yet"


if __name__ == "__main__":
    sys.exit(
        stage.main(
            deploy,
            stage.argument("--version", metavar="VERSION", help="deploy this version (default: the newest)"),
            stage.argument(
                "--rollback",
                action="store_true",
                help="to the release before this one; twice: forth again",
            ),
            stage.view("--list", show_history, action="store_true", help="what was in production, when and why"),
            stage.view("--at", show_release_at, metavar="DATE", help="what was in production at a date (UTC)"),
        )
    )
