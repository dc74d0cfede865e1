"""What a report is made from: the facts about a version, its clients and its drops, before any is put into words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from churn.calls.capacity import AtCapacity
from churn.heldout import HeldOut
from churn.report.columns import Compared
from churn.settings import ProductSettings


@dataclass(frozen=True)
class CallList:
    """The call list as it was written, and what changed on it; cells are text.

    `rows` are the first of calllist.csv and `removed` the first that came off, both in order.
    """

    path: str
    key: str  # the column that says which client it is
    version: str  # that gave the risks
    rows: Sequence[dict[str, str]]
    listed: int
    risk: float  # of those listed, on average
    gain: float  # that calling all of them can be expected to bring
    entered: int
    is_first: bool
    removed: Sequence[dict[str, str]]
    removed_count: int
    held_out: int | None  # who would be listed, and is left uncalled; None: not known
    snoozed: int | None


@dataclass(frozen=True)
class Clients:
    """The current clients, as the scored ones of clients.csv."""

    path: str
    total: int
    gone: int  # known to have left
    risk: float  # of the others, on average

    @property
    def here(self) -> int:
        """Those who are not known to have left."""
        return self.total - self.gone


@dataclass(frozen=True)
class Worth:
    """What the call list is worth, measured on labelled rows that the version was not trained on.

    Args:
        found: at the share of the rows down to which the list goes.
        places: how many are called.
        left: who left, bool of shape (rows,).
        score: the order of calling, the highest first, shape (rows,).
        where: which rows, in words.
    """

    found: AtCapacity
    places: int
    left: np.ndarray
    score: np.ndarray
    where: str


@dataclass(frozen=True)
class Facts:
    """Everything that a report says; times and values as the records hold them."""

    product: str
    settings: ProductSettings
    manifest: dict[str, Any]
    release: dict[str, Any] | None  # its entry in the history of production; None: it is not in production
    held: HeldOut | None  # rows that the version was not trained on
    held_note: str  # why there are none, or what has to be said about them
    drops: Sequence[Any]
    period: str
    stored_rows: int
    waiting_rows: int  # without a label yet
    missing: dict[str, float]  # percent by column
    calls: CallList | None = None
    clients: Clients | None = None
    worth: Worth | None = None
    effect: Sequence[str] = ()  # what calling did, in sentences; none where no call is recorded
    judgements: Sequence[dict[str, Any]] = ()
    suspects: frozenset[int] = frozenset()  # numbers of drops
    decisions: Sequence[dict[str, Any]] = field(default_factory=list)
    columns: Compared | None = None  # when the version was trained, and in the drop that was judged last

    @property
    def version(self) -> str:
        """The version that is reported on."""
        return self.manifest["version"]

    @property
    def judged(self) -> list[dict[str, Any]]:
        """The judgements on this version, oldest first."""
        return [line for line in self.judgements if line["champion"] == self.version]

    @property
    def latest(self) -> dict[str, Any] | None:
        """The judgement on this version that no other one's has followed; None where there is none."""
        return self.judgements[-1] if self.judgements and self.judgements[-1]["champion"] == self.version else None

    @property
    def min_class_rows(self) -> int:
        """With fewer rows of those who left, or of those who stayed, nothing is claimed."""
        return self.settings.promotion.min_class_rows
