"""The labelled rows that no version trains on: what scores and reports are made from."""

import hashlib
import os

import numpy as np
import pandas as pd

from churn import dataset, sources, splits
from churn.config import Product
from churn.errors import DataError

TEST_ROWS, CLIENT_ROWS = "test rows", "rows of held-out clients"


def held_out_rows(product: Product) -> tuple[pd.DataFrame, str]:
    """The rows that no version trains on, and what they are."""
    frame, _ = dataset.read_folder(product, product.test)
    origin = TEST_ROWS
    if not len(frame):
        frame = dataset.frame(product)
        frame = frame[splits.held_out(splits.groups(frame, product.columns), product.settings.test_share)]
        origin = CLIENT_ROWS
    if not len(frame):
        raise DataError(f"no held-out rows: put a labelled file into {product.test}, or raise test_share")
    return frame.reset_index(drop=True), origin


def labels(frame: pd.DataFrame, product: Product) -> np.ndarray:
    """Whether each row's client left; bool of shape (rows,)."""
    return (frame[product.columns.target] == product.columns.positive).to_numpy()


def test_hash(product: Product) -> str:
    """16 hex digits for the names and contents of the test files: whoever stands in them is not trained on."""
    digest = hashlib.sha256()
    source = sources.Folder(product.test)
    for candidate in sorted(source.list(), key=lambda candidate: candidate.name):
        with os.fdopen(source.open(candidate.name), "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{candidate.name!a} {content}\n".encode())
    return digest.hexdigest()[:16]
