"""Describe the stored data, the time that stages took, and which packages are behind; kept for the app as JSON.

The package index is asked every `package_check_days` (config.json) by pip, with the settings that pip has; between
that, and with --no-packages, the last answer is kept.
"""

import functools
import importlib.metadata
import importlib.util
import json
import logging
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

from churn import dataset, releases, stage, statistics, storage
from churn.config import Product
from churn.errors import ReleaseError
from churn.words import fit

logger = logging.getLogger(__name__)

FILE = "diagnostics.json"
HISTORY = 20  # timings that are kept
PIP_SECONDS = 60  # for one answer about all packages; an index that is slower counts as unreachable
UNREACHABLE = "the package index could not be reached"


def diagnose(product: Product, no_packages: bool = False) -> str:
    """Write reports/<product>/diagnostics.json; what is in it, in a line."""
    found = measure(product, no_packages)
    timings, listed = found["timings"], found["packages"]["list"]
    lacking = sum(share > 0 for share in found["missing_percent"].values())
    behind = sum(bool(package["behind"]) for package in listed)
    known = any(package["latest"] for package in listed)
    return (
        f"{found['rows']:,} rows, {lacking} of {len(found['missing_percent'])} columns with missing values; "
        f"ingestion {_seconds(timings['ingestion_seconds'])}, training {_seconds(timings['training_seconds'])}; "
        f"{behind if known else 'unknown how many'} of {len(listed)} packages behind; {product.reports / FILE}"
    )


def show(product: Product, no_packages: bool = False) -> str:
    """The same for a person: with tables on stdout, which no log keeps, since they hold values of the data."""
    said = diagnose(product, no_packages)
    print(tables(json.loads((product.reports / FILE).read_text(encoding="utf-8"))))
    return said


def measure(product: Product, no_packages: bool = False) -> dict[str, Any]:
    """Everything, as it is kept for the app."""
    record = dataset.load_record(product)
    path = product.reports / FILE
    known = json.loads(path.read_text(encoding="utf-8"))["packages"] if path.is_file() else {}
    source = dataset.rows(product, record)
    with dataset.connect(product) as connection:
        rows, missing = statistics.missing(connection, source, product.columns)
        described = statistics.describe(connection, source, product.columns)
    found = {
        "version": releases.current_version(product),
        "made_at": stage.utc_now(),
        "rows": rows,
        "statistics": described,
        "missing_percent": missing,
        "timings": timings(product, record),
        "packages": packages(known, 0 if no_packages else product.settings.package_check_days),
    }
    storage.write(path, storage.to_json(found))
    return found


def timings(product: Product, record: dataset.Record) -> dict[str, Any]:
    """The seconds of the last ingestion and of the newest version's training, and the last of both, oldest first."""
    history = [
        {"at": drop.ingested_at, "what": "ingestion", "name": drop.name, "rows": drop.rows, "seconds": drop.seconds}
        for drop in record.ingested
    ]
    trained = []
    for version in releases.versions(product):
        try:
            manifest = releases.read_manifest(product.models / version)
        except ReleaseError as error:
            logger.warning("%s: left out of the timings: %s", product.name, error)
            continue
        facts = {"rows": manifest["data"]["train_rows"], "seconds": manifest["training_seconds"]}
        trained.append({"at": manifest["trained_at"], "what": "training", "name": version, **facts})
    return {
        "ingestion_seconds": record.seconds,
        "training_seconds": trained[-1]["seconds"] if trained else None,
        "history": sorted(history + trained, key=lambda entry: entry["at"])[-HISTORY:],
    }


# ---- packages --------------------------------------------------------------------------------------------------------


def packages(known: dict[str, Any], check_days: int) -> dict[str, Any]:
    """Which version of each direct dependency is installed, which is the latest, and whether that is behind.

    Args:
        known: what this returned before; {} if never.
        check_days: how old that may be before the index is asked again; 0: never ask.
    """
    from packaging.version import Version

    names = _dependencies()
    checked_at, note = known.get("checked_at"), known.get("note", "the package index was not asked yet")
    latest = {package["name"]: package["latest"] for package in known.get("list", [])}
    age = datetime.now(UTC) - datetime.fromisoformat(checked_at) if checked_at else timedelta.max
    if check_days and age >= timedelta(days=check_days):
        found, note = _ask_index(tuple(names))
        checked_at, latest = stage.utc_now(), latest | found
    listed = []
    for name in names:
        has, newest = _installed(name), latest.get(name)
        behind = Version(has) < Version(newest) if has and newest else None
        listed.append({"name": name, "installed": has, "latest": newest, "behind": behind})
    return {"checked_at": checked_at, "note": note, "list": listed}


def _dependencies() -> list[str]:
    """The names of the direct dependencies, as pyproject.toml has them."""
    from packaging.requirements import Requirement

    project = tomllib.loads((stage.HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sorted(Requirement(line).name for line in project["dependencies"])


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache  # one answer serves all products of a run
def _ask_index(names: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """The latest version of each package that the index knows of, and how the asking went.

    pip says nothing and exits with 0 when it cannot reach the index. So it is asked twice, for what is behind and for
    what is not: a package in neither answer is unknown.
    """
    from packaging.utils import canonicalize_name

    if importlib.util.find_spec("pip") is None:
        return {}, "pip is not installed here, so the package index cannot be asked; add it with: python -m ensurepip"
    logger.info("asking the package index which of %d packages are behind", len(names))
    found: dict[str, str] = {}
    for which, key in (("--outdated", "latest_version"), ("--uptodate", "version")):
        try:
            found |= {canonicalize_name(entry["name"]): entry[key] for entry in _pip_list(which, names)}
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            logger.warning("pip list %s: %s", which, type(error).__name__)
            break
    latest = {name: found[canonical] for name in names if (canonical := canonicalize_name(name)) in found}
    lacking = [name for name in names if name not in latest]
    note = f"it did not tell of {', '.join(lacking)}" if lacking else ""
    return latest, note if latest else UNREACHABLE


def _pip_list(which: str, names: tuple[str, ...]) -> list[dict[str, str]]:
    """What pip lists of the named packages; the others are left out, since each costs a request."""
    from packaging.utils import canonicalize_name

    ours = {canonicalize_name(name) for name in names}
    others = {canonicalize_name(d.name) for d in importlib.metadata.distributions() if d.name} - ours
    command = [sys.executable, "-m", "pip", "list", which, "--format", "json", "--no-input", "--retries", "1"]
    command += ["--disable-pip-version-check", *(f"--exclude={name}" for name in sorted(others))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=True)
    return json.loads(done.stdout)


# ---- for a person ----------------------------------------------------------------------------------------------------


def tables(found: dict[str, Any]) -> str:
    """What diagnostics.json holds, as tables."""
    keys = ("mean", "median", "mode", "std", "min", "max", "levels", "missing_percent")
    statistic_rows = [
        [fit(column), *(_shown(values.get(key, "")) for key in keys)] for column, values in found["statistics"].items()
    ]
    timing_rows = [
        [entry["at"], entry["what"], fit(entry["name"]), f"{entry['rows']:,}", f"{entry['seconds']:.3f}"]
        for entry in found["timings"]["history"]
    ]
    package_rows = [
        [
            p["name"],
            p["installed"] or "no",
            p["latest"] or "unknown",
            {True: "behind", False: "", None: "?"}[p["behind"]],
        ]
        for p in found["packages"]["list"]
    ]
    about = found["packages"]
    checked = f"asked {about['checked_at']}" if about["checked_at"] else ""
    return "\n".join(
        [
            f"\nStored rows: {found['rows']:,}",
            _table(["column", *keys[:-1], "missing %"], statistic_rows, numbers=range(1, 9)),
            "\nTimings",
            _table(["at", "what", "name", "rows", "seconds"], timing_rows, numbers=(3, 4)),
            f"\nPackages ({'; '.join(filter(None, (checked, about['note']))) or 'up to date'})",
            _table(["package", "installed", "latest", ""], package_rows),
            "",
        ]
    )


def _table(head: list[str], rows: list[list[str]], numbers: Any = ()) -> str:
    from prettytable import PrettyTable

    table = PrettyTable(head, align="l")
    for number in numbers:
        table.align[head[number]] = "r"
    table.add_rows(rows)
    return str(table)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else fit(value, 24)


def _seconds(value: float | None) -> str:
    return "not timed yet" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    sys.exit(
        stage.main(
            show,
            stage.argument("--no-packages", action="store_true", help="do not ask the package index"),
        )
    )
