"""Which rows belong together, and which clients no model ever trains on.

One client's rows never stand on both sides of a split; where a product has no id, identical rows stand together.
Membership comes from a hash of the id alone, so that it is the same in every drop, month and process.
"""

import hashlib

import numpy as np
import pandas as pd

from churn.columns import Columns


def groups(frame: pd.DataFrame, columns: Columns) -> np.ndarray:
    """A 64-bit number a row, equal for rows that belong together; uint64 of shape (rows,)."""
    if columns.id:
        codes, uniques = pd.factorize(frame[columns.id])
        return np.array([_hash(str(name)) for name in uniques], dtype=np.uint64)[codes]
    kept = frame[list(columns.stored)].copy()
    kept[list(columns.numbers)] += 0.0  # -0.0 and 0.0 are one number
    return pd.util.hash_pandas_object(kept, index=False, hash_key="identical-rows!!").to_numpy()


def held_out(group_numbers: np.ndarray, share: float) -> np.ndarray:
    """Which rows are of the held-out `share` of clients; bool of shape (rows,). Nested: a smaller share is a subset."""
    return group_numbers < np.uint64(min(int(share * 2**64), 2**64 - 1))


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


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=b"held-out clients").digest(), "big")
