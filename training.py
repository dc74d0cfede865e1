"""Train each product's model on its ingested data and save it as a new version.

Which kind of model, and with which settings, is chosen by cross-validation unless the config names a kind. Risks are
calibrated, and the threshold chosen, on out-of-fold risks. Left out of training, and counted: clients (or identical
rows) that stand in the test files, rows that wait for their label, and drops that are suspect.
"""

import hashlib
import importlib.metadata
import json
import logging
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from churn import dataset, decisions, heldout, releases, stage, storage
from churn.config import Product
from churn.contest.prequential import training_weights
from churn.dataset import Record
from churn.errors import DataError
from churn.estimators import Design
from churn.fitting import contributions, learning
from churn.fitting.learning import Rows
from churn.fitting.selection import Fitted
from churn.monitoring import estimate, profile

logger = logging.getLogger(__name__)

PACKAGES = ("duckdb", "lightgbm", "numpy", "pandas", "scikit-learn", "skops")


def train(
    product: Product, weights: Mapping[int, float] | None = None, selected: Any = None, recipe: str = "all"
) -> str:
    """Fit on the ingested data, save models/<product>/<version>/ and return what was trained.

    Args:
        weights: how much the rows of each drop weigh; by default every drop's 1, but for those that are suspect.
        selected: an earlier selection, as a manifest has it; by default the model is chosen by cross-validation.
        recipe: the name of the way in which it is trained.

    Raises:
        DataError: nothing is ingested, or there are too few rows of a label; nothing is written.
    """
    began = time.perf_counter()
    record = dataset.load_record(product)
    if not record.data_hash:
        raise DataError(f"nothing is ingested; put a file into {product.source} and run: python ingestion.py")
    weights = all_drops(product) if weights is None else weights
    used = learning.rows_of(product, weights)
    learning.check_labels(used)
    selected = selected or learning.selected(product, used, configuration(product))
    design = Design(**selected["design"])
    fitted = learning.fit(product, used, design, weights)
    reference, files = _reference(product, used, fitted)
    manifest = {
        "format": releases.FORMAT,
        "version": releases.next_version(product, record.data_hash),
        "product": product.name,
        "trained_at": stage.utc_now(),
        "training_seconds": round(time.perf_counter() - began, 3),
        "model": design.kind,
        "selection": selected,
        "recipe": recipe,
        **_facts(product, used, fitted),
        "data": _data(product, record, used, weights),
        "reference": reference,
        "files": {},
        "scores": None,
        "verdict": None,
    }
    _save(product, manifest, fitted.model, files | {releases.INGESTED: _lines(record.names)})
    return (
        f"version {manifest['version']}: {design.kind} on {len(used.left):,} rows ({used.left.mean():.1%} left) in "
        f"{manifest['training_seconds']:.1f} s; {selected['reason']}; next: python scoring.py --product {product.name}"
    )


def _facts(product: Product, used: Rows, fitted: Fitted) -> dict[str, Any]:
    """What a manifest says of the model itself, and of what it was made with."""
    return {
        "configuration": configuration(product),
        "columns": asdict(product.columns),
        "threshold": fitted.threshold,
        "seed": product.settings.seed,
        "packages": {"python": sys.version.split()[0], **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "importance": contributions.importance(fitted.model, used.frame),
    }


def all_drops(product: Product) -> dict[int, float]:
    """The weight 1 for every drop but those that are suspect."""
    numbers = [drop.number for drop in dataset.load_record(product).ingested]
    return training_weights("all", numbers, decisions.suspects(product), None)


def is_of(
    manifest: dict[str, Any],
    made_for: dict[str, str],
    weights: Mapping[int, float],
    selected: dict[str, Any] | None,
    recipe: str,
) -> bool:
    """Whether a version is what `train` would make of these arguments, for this data and configuration."""
    if manifest["format"] != releases.FORMAT or decisions.made_for(manifest) != made_for:
        return False
    same_design = selected is None or manifest["selection"]["design"] == selected["design"]
    return same_design and manifest["recipe"] == recipe and manifest["data"]["weights"] == _shown(weights)


def _shown(weights: Mapping[int, float]) -> dict[str, float]:
    return {str(drop): round(weight, 6) for drop, weight in weights.items()}


def _data(product: Product, record: Record, used: Rows, weights: Mapping[int, float]) -> dict[str, Any]:
    """What a manifest says of the rows behind a model."""
    return {
        "hash": record.data_hash,
        "drops": record.last_number,
        "weights": _shown(weights),
        "train_rows": len(used.left),
        **used.left_out,
        "test_files": heldout.test_hash(product),
        "positive_rate": float(used.left.mean()),
    }


def _reference(product: Product, used: Rows, fitted: Fitted) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What new drops are held against: numbers for the manifest, and the files of the profile and of the risks."""
    recent = learning.recent(used.drop)
    left, known = used.left[recent], fitted.out_of_fold
    risk = None if known is None else known.risk[recent]
    made = profile.build(used.frame[recent], product.columns, risk=risk, left=left)
    files = {releases.PROFILE: storage.to_json(made).encode()}
    if known is None:
        found = {"auc": None, "auc_error": None, "label_rate": float(left.mean()), "label_rows": len(left)}
        return found | {"calibrator": None}, files
    by_share = product.settings.threshold == "capacity"
    files[heldout.FILE] = heldout.out_of_fold_bytes(known, fitted.threshold if by_share else None)
    calibrated = estimate.calibrator(known.log_odds, known.left, known.weights)
    return asdict(learning.reference(left, risk)) | {"calibrator": calibrated.as_dict()}, files


def configuration(product: Product) -> str:
    """A hash of all that the config and the test files say about the model: with the same data, the same model."""
    settings = product.settings
    said = {
        "columns": asdict(product.columns),
        "model": settings.model,
        "tuning_seconds": settings.tuning_seconds,
        "seed": settings.seed,
        "threads": settings.threads,
        "threshold": settings.threshold,
        "capacity": settings.capacity if settings.threshold == "capacity" else None,
        "test_files": heldout.test_hash(product),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _lines(names: list[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _save(product: Product, manifest: dict[str, Any], model: Any, files: dict[str, bytes]) -> None:
    import skops.io

    files = {releases.MODEL: skops.io.dumps(model), releases.PICKLE: pickle.dumps(model), **files}
    manifest["files"] = {name: releases.digest(content) for name, content in files.items()}
    storage.sweep(product.models)
    with storage.building(product.models / manifest["version"]) as folder:
        for name, content in files.items():
            Path(folder / name).write_bytes(content)
        (folder / releases.MANIFEST).write_text(storage.to_json(manifest), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(stage.main(train))
