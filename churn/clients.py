"""The current clients of a product: those whose risk is asked for, a row each."""

import hashlib

import pandas as pd

from churn import dataset, heldout
from churn.config import Product


def current(product: Product) -> pd.DataFrame:
    """One row per current client: the file that the product names, else the newest stored row of each client."""
    if product.clients:
        return dataset.read_clients(product)
    frame = dataset.frame(product)
    columns = product.columns
    if columns.as_of:
        frame = frame.sort_values(columns.as_of, kind="stable")
    if columns.id:
        frame = frame.drop_duplicates(columns.id, keep="last")
    return frame.reset_index(drop=True)


def gone(clients: pd.DataFrame, product: Product) -> pd.Series:
    """Who of the clients is known to have left; bool of shape (clients,)."""
    return pd.Series(heldout.labels(clients, product), index=clients.index)


def key(product: Product) -> str:
    """16 hex digits for the rows that `current` gives: equal keys, equal rows."""
    digest = hashlib.sha256(dataset.load_record(product).data_hash.encode())
    if product.clients:
        digest.update(product.clients.read_bytes())
    return digest.hexdigest()[:16]
