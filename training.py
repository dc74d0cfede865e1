"""Train each product's model on its ingested data and save it as a new version.

Left out of training, and counted: clients (or identical rows) that stand in the test files, and the held-out share
of clients on whom champion and challenger are compared. The same data, config and packages give the same model.
"""

import hashlib
import importlib.metadata
import json
import logging
import pickle
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import dataset, estimators, heldout, measures, releases, splits, stage, storage
from churn.config import Product
from churn.dataset import Record
from churn.errors import DataError

logger = logging.getLogger(__name__)

MIN_CLASS_ROWS = 5  # rows of each label, below which there is nothing to learn from
FOLDS = 5
PACKAGES = ("duckdb", "lightgbm", "numpy", "pandas", "scikit-learn", "skops")


def train(product: Product) -> str:
    """Fit on the ingested data, save models/<product>/<version>/ and return what was trained.

    Raises:
        DataError: nothing is ingested, or there are too few rows of a label; nothing is written.
    """
    began = time.perf_counter()
    record = dataset.load_record(product)
    if not record.data_hash:
        raise DataError(f"nothing is ingested; put a file into {product.source} and run: python ingestion.py")
    frame, left_out = training_rows(product)
    left = heldout.labels(frame, product)
    _check_labels(left, left_out)
    logger.info("%s: training %s on %s rows", product.name, product.settings.model, f"{len(left):,}")
    threshold = out_of_fold_threshold(product, frame, left)
    model = _pipeline(product).fit(frame, left)
    seconds = time.perf_counter() - began
    manifest = {
        "format": 1,
        "version": releases.next_version(product, record.data_hash),
        "product": product.name,
        "trained_at": stage.utc_now(),
        "training_seconds": round(seconds, 3),
        "model": product.settings.model,
        "recipe": recipe(product),
        "columns": asdict(product.columns),
        "threshold": threshold,
        "seed": product.settings.seed,
        "test_share": product.settings.test_share,
        "data": _data(product, record, left, left_out),
        "packages": {"python": sys.version.split()[0], **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "importance": estimators.importance(model),
        "files": {},
        "scores": None,
        "verdict": None,
    }
    _save(product, manifest, model, record.names)
    return (
        f"version {manifest['version']}: {product.settings.model} on {len(frame):,} rows "
        f"({left.mean():.1%} left) in {seconds:.1f} s; next: python scoring.py --product {product.name}"
    )


def _data(product: Product, record: Record, left: np.ndarray, left_out: dict[str, int]) -> dict[str, Any]:
    """What a manifest says of the rows behind a model."""
    return {
        "hash": record.data_hash,
        "drops": record.last_number,
        "rows": len(left) + sum(left_out.values()),
        "train_rows": len(left),
        **left_out,
        "test_files": heldout.test_hash(product),
        "positive_rate": float(left.mean()),
    }


def training_rows(product: Product) -> tuple[pd.DataFrame, dict[str, int]]:
    """The stored rows that may be trained on, and how many were left out for which reason."""
    frame = dataset.frame(product)
    own = splits.groups(frame, product.columns)
    tested, _ = dataset.read_folder(product, product.test)
    in_test = np.isin(own, splits.groups(tested, product.columns))
    held_out = splits.held_out(own, product.settings.test_share) & ~in_test
    left_out = {"in_test_files": int(in_test.sum()), "held_out_clients": int(held_out.sum())}
    return frame[~(in_test | held_out)].reset_index(drop=True), left_out


def recipe(product: Product) -> str:
    """A hash of all that the config and the test files say about the model: with the same data, the same model."""
    said = {
        "columns": asdict(product.columns),
        "model": product.settings.model,
        "seed": product.settings.seed,
        "threads": product.settings.threads,
        "test_share": product.settings.test_share,
        "test_files": heldout.test_hash(product),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def out_of_fold_threshold(product: Product, frame: pd.DataFrame, left: np.ndarray) -> float:
    """The threshold with the best F1 on risks that no row's own model gave; clients stay within one fold."""
    found = out_of_fold_risks(product, frame, left)
    return measures.best_f1_threshold(left, found[0]) if found else 0.5


def out_of_fold_risks(product: Product, frame: pd.DataFrame, left: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Each row's risk from a model that saw none of its client's rows, and each row's fold.

    None where there are fewer clients than folds, or one fold has all rows of a label.
    """
    fold = splits.folds(splits.groups(frame, product.columns), left, FOLDS, product.settings.seed)
    risk = np.empty(len(frame))
    for number in range(FOLDS):
        test = fold == number
        if not test.any() or len(np.unique(left[~test])) < 2:
            return None
        model = _pipeline(product).fit(frame[~test], left[~test])
        risk[test] = estimators.risks(model, frame[test])
    return risk, fold


def _pipeline(product: Product) -> Any:
    settings = product.settings
    return estimators.pipeline(settings.model, product.columns, seed=settings.seed, threads=settings.threads)


def _check_labels(left: np.ndarray, left_out: dict[str, int]) -> None:
    counts = {"left": int(left.sum()), "stayed": int((~left).sum())}
    if min(counts.values()) < MIN_CLASS_ROWS:
        raise DataError(
            f"no model: {len(left):,} rows to train on ({counts['left']:,} left, {counts['stayed']:,} stayed; "
            f"{left_out['in_test_files']:,} left out as test rows, {left_out['held_out_clients']:,} as held-out "
            f"clients), at least {MIN_CLASS_ROWS} of each label are needed; production stays as it is"
        )


def _save(product: Product, manifest: dict[str, Any], model: Any, ingested: list[str]) -> None:
    import skops.io

    files = {
        releases.MODEL: skops.io.dumps(model),
        releases.PICKLE: pickle.dumps(model),
        releases.INGESTED: "".join(f"{name}\n" for name in ingested).encode(),
    }
    manifest["files"] = {name: releases.digest(content) for name, content in files.items()}
    storage.sweep(product.models)
    with storage.building(product.models / manifest["version"]) as folder:
        for name, content in files.items():
            Path(folder / name).write_bytes(content)
        (folder / releases.MANIFEST).write_text(storage.to_json(manifest), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(stage.main(train))
