"""The labelled rows that no version trains on: what scores and reports are made from."""

import numpy as np
import pandas as pd

from churn import dataset, splits
from churn.config import Product
from churn.errors import DataError


def held_out_rows(product: Product) -> tuple[pd.DataFrame, str]:
    """The rows that no version trains on, and what they are."""
    frame, _ = dataset.read_folder(product, product.test)
    origin = "test rows"
    if not len(frame):
        frame = dataset.frame(product)
        frame = frame[splits.held_out(splits.groups(frame, product.columns), product.settings.test_share)]
        origin = "rows of held-out clients"
    if not len(frame):
        raise DataError(f"no held-out rows: put a labelled file into {product.test}, or raise test_share")
    return frame.reset_index(drop=True), origin


def labels(frame: pd.DataFrame, product: Product) -> np.ndarray:
    """Whether each row's client left; bool of shape (rows,)."""
    return (frame[product.columns.target] == product.columns.positive).to_numpy()
