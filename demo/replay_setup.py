"""What a replay is of: the product and the drops that its arguments name, and the scratch folder it runs in."""

import argparse
import functools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from churn import config, storage
from churn.config import Product
from churn.errors import ChurnError
from demo import fabricate

FOLDERS = {
    "input_folder_path": "sourcedata",
    "output_folder_path": "ingesteddata",
    "test_data_path": "testdata",
    "output_model_path": "models",
    "prod_deployment_path": "production_deployment",
    "logs_folder_path": "logs",
    "reports_folder_path": "reports",
}
CHANGES = {
    "inputs": "the fabricated clients are smaller and less active",
    "relation": "the fabricated clients leave for other reasons",
    "rate": "more of the fabricated clients leave",
}
ENDLESS = 86_400.0  # seconds


@dataclass(frozen=True)
class Drops:
    """What is replayed: for each file its name and what puts it somewhere; `best` fills with the best ROC AUC."""

    files: list[tuple[str, Callable[[Path], object]]]
    best: dict[str, float] = field(default_factory=dict)
    change: tuple[str, str] | None = None  # the file from which on the data are made otherwise, and how


def asked_for(options: argparse.Namespace) -> tuple[Product, Drops]:
    """The product and the drops that the arguments name.

    Raises:
        ChurnError: there are none, or a folder for what comes of them cannot be used.
    """
    products = config.load(options.config)
    if options.product and options.product not in products:
        raise ChurnError(f"{options.config}: no product {options.product!r}; it has {', '.join(products)}")
    _check_folders(options.out, options.keep)
    if options.drops:
        return products[options.product or next(iter(products))], Drops(given_files(options.drops))
    fitting = [name for name, p in products.items() if set(p.columns.stored) <= set(fabricate.COLUMNS)]
    name = options.product or next(iter([*fitting, *products]))
    if name not in fitting:
        raise ChurnError(
            f"{options.config}: product {name!r} has other columns than the fabricated drops "
            f"({', '.join(fabricate.COLUMNS)}); name its own with --drops DIR"
        )
    return products[name], fabricated_drops(options)


def _check_folders(out: Path, keep: Path | None) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ChurnError(f"--out {out}: {error.strerror}; name a folder that can be written to") from None
    if keep and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        raise ChurnError(f"--keep {keep}: there already; name a new folder")


def given_files(folder: Path) -> list[tuple[str, Callable[[Path], object]]]:
    """The CSV files of a folder.

    Raises:
        ChurnError: there are too few.
    """
    if not folder.is_dir():
        raise ChurnError(f"--drops {folder}: no such folder; name one that has the drops as CSV files")
    files = [path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file()]
    files = sorted((path for path in files if path.name[0] != "."), key=lambda path: _natural(path.name))
    if len(files) < 2:
        found = f"{files[0].name} is the only CSV file" if files else "no CSV file"
        raise ChurnError(f"--drops {folder}: {found} there; two are needed, one to learn from and one to judge by")
    return [(path.name, lambda target, path=path: shutil.copyfile(path, target)) for path in files]


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts 2 before 10."""
    parts = re.split(r"([0-9]+)", name)  # every second one is a number
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], name


def fabricated_drops(options: argparse.Namespace) -> Drops:
    """Fabricated months.

    Raises:
        ChurnError: there are too few.
    """
    if options.months < 2:
        raise ChurnError(f"--months {options.months}: give 2 or more, one to learn from and one to judge by")
    drift = fabricate.Drift(options.drift, options.since)
    names = {month: fabricate.file_name("corporate", month) for month in range(1, options.months + 1)}
    best: dict[str, float] = {}

    def put(month: int, target: Path) -> None:
        frame = fabricate.world(options.clients, month, options.seed, drift)
        best[names[month]] = fabricate.best_possible(frame, drift, month)[0]
        fabricate.save(frame, target)

    files = [(name, functools.partial(put, month)) for month, name in names.items()]
    change = (names.get(options.since, ""), f"from here on {CHANGES.get(options.drift)}")
    return Drops(files, best, change if options.drift in CHANGES else None)


def prepare(scratch: Path, product: Product, policy: str | None, *, with_tests: bool) -> Product:
    """Write the config of the replay: the product's own block, with folders in the scratch folder."""
    block: dict[str, Any] = product.settings.model_dump(exclude_defaults=True)
    block |= {"settle_seconds": 0.0, "package_check_days": 0}
    block["tuning_seconds"] = ENDLESS if product.settings.tuning_seconds else 0.0
    block.pop("clients_path", None)
    if policy:
        block["drift"] = {**block.get("drift", {}), "policy": policy}
    path = scratch / "config.json"
    storage.write(path, json.dumps({**FOLDERS, "products": {product.name: block}}, indent=2))
    own = config.load(path)[product.name]
    own.source.mkdir(parents=True)
    own.test.mkdir(parents=True)
    for file in sorted(product.test.iterdir()) if with_tests and product.test.is_dir() else ():
        if file.is_file():
            shutil.copyfile(file, own.test / file.name)
    return own
