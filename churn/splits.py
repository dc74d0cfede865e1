"""Which rows belong together, and which clients are left uncalled.

One client's rows never stand on both sides of a split; where a product has no id, identical rows stand together.
Both come from a hash of the id alone, so that they are the same in every drop, month and process; each has a key of
its own, so that one says nothing about the other.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from churn.columns import Columns

# Any bytes would do; were they to change, clients left uncalled until now would be called.
TOGETHER, UNCALLED = b"held-out clients", b"clients left uncalled"


def groups(frame: pd.DataFrame, columns: Columns) -> np.ndarray:
    """A 64-bit number a row, equal for rows that belong together; uint64 of shape (rows,)."""
    if columns.id:
        codes, uniques = pd.factorize(frame[columns.id])
        return _hashes(uniques, TOGETHER)[codes]
    kept = frame[list(columns.stored)].copy()
    kept[list(columns.numbers)] += 0.0  # -0.0 and 0.0 are one number
    return pd.util.hash_pandas_object(kept, index=False, hash_key="identical-rows!!").to_numpy()


def holdout(clients: Iterable[str], share: float) -> np.ndarray:
    """Which clients are of the share left uncalled; bool of shape (clients,). Nested: a smaller share is a subset."""
    return _hashes(clients, UNCALLED) < np.uint64(min(int(share * 2**64), 2**64 - 1))


def folds(group_numbers: np.ndarray, left: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Deal the groups into `count` folds, those with a client who left and the others evenly; int of shape (rows,).

    Like scikit-learn's StratifiedGroupKFold, in one sort instead of a loop over every client.
    """
    uniques, position = np.unique(group_numbers, return_inverse=True)
    any_left = np.bincount(position, weights=left, minlength=len(uniques)) > 0
    shuffled = np.random.default_rng(seed).permutation(len(uniques))
    dealt = np.empty(len(uniques), dtype=int)
    dealt[np.lexsort((shuffled, any_left))] = np.arange(len(uniques)) % count
    return dealt[position]


def _hashes(names: Iterable[str], key: bytes) -> np.ndarray:
    digests = [hashlib.blake2b(str(name).encode(), digest_size=8, key=key).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
