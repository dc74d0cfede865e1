"""Rows of JSON read straight into the columns of a contract, in a fraction of the time that objects would take.

What it reads means the same to the bit as through `asking.parsed` and `columns.features_of`, and what it is not made
for it leaves to them: text for numbers, unknown columns, keys that stand twice, and all that is to be refused.
"""

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from churn.columns import Columns

UNNAMEABLE = frozenset('\\"') | frozenset(map(chr, range(32)))  # msgspec takes no such names
SHORT = 4096  # bytes up to which numpy takes longer to begin than bytes.count to end


class Read(NamedTuple):
    """Rows by their columns, in the order of the contract, each with a value a row; None where it is missing."""

    numbers: list[tuple[float | None, ...]]  # finite; whole ones are still to be checked
    categories: list[tuple[str | int | None, ...]]
    ids: list[Any]  # still to be checked


class RowReader:
    """One contract's; threads may share it.

    Args:
        most: rows that may be sent at once.
    """

    def __init__(self, columns: Columns, most: int) -> None:
        self._columns = columns
        further = [name for name in (*columns.keys, columns.target) if name not in columns.features]
        names = [*columns.features, *further]
        self._id = names.index(columns.id) if columns.id else None
        if any(UNNAMEABLE & set(name) for name in names):
            self._decoder = None
            return
        kinds: list[Any] = [float | None] * len(columns.numbers) + [str | int | None] * len(columns.categorical)
        fields = [(f"f{i}", kind) for i, kind in enumerate(kinds)]
        fields += [(f"f{i}", Any, msgspec.UNSET) for i in range(len(kinds), len(names))]
        strict: dict[str, Any] = {"forbid_unknown_fields": True, "gc": False}
        row = msgspec.defstruct("Row", fields, rename={f"f{i}": name for i, name in enumerate(names)}.get, **strict)
        rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=most)]  # type: ignore[valid-type]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Body", [("rows", rows)], **strict))

    def read(self, content: bytes) -> Read | None:
        """The rows of {"rows": [...]}; None where they need a closer look, be it to say what is wrong with them."""
        if self._decoder is None:
            return None
        try:
            rows = self._decoder.decode(content).rows
        except (ValueError, RecursionError):  # of the syntax, the types, the text; of what a column we do not use holds
            return None
        cells = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        count, features = len(self._columns.numbers), len(self._columns.features)
        keys = 1 + len(rows) * len(cells) - sum(column.count(msgspec.UNSET) for column in cells[features:])
        if not keys_once(content, keys):
            return None
        ids = [None] * len(rows) if self._id is None else cells[self._id]
        return Read(cells[:count], cells[count:features], [None if one is msgspec.UNSET else one for one in ids])


def keys_once(content: bytes, keys: int) -> bool:
    """Whether it is sure, and cheap to see, that in JSON of so many parsed keys none stood twice in an object.

    Each key is followed by a colon: one more may be that of a key that stood twice, or stand in a text.
    """
    if len(content) < SHORT:
        return content.count(b":") == keys
    return np.count_nonzero(np.frombuffer(content, dtype=np.uint8) == ord(":")) == keys
