"""What three policies score on the same new rows: the one that is replayed, always retraining, and never retraining."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from churn import dataset, decisions, estimators, heldout, releases
from churn.config import Product
from churn.contest import comparison, prequential
from churn.contest.comparison import Influence, Scored
from churn.errors import DataError
from churn.estimators import Design
from churn.fitting import learning
from churn.fitting.selection import Fitted
from churn.releases import Release

NAMES = ("policy", "always", "never")


@dataclass(frozen=True)
class Piece:
    """The labelled rows of a drop, with each policy's risks of them."""

    left: np.ndarray
    scored: dict[str, Scored]


class Policies:
    """The models that the three policies have in production, and what they say of drops that none has trained on.

    Never retraining keeps the first model that was deployed. Always retraining starts with the same one and fits it
    anew after every drop, on all rows, with the design that was chosen last. All change after a drop, not before.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self.first: Release | None = None
        self.current: Release | None = None
        self.always: Fitted | None = None
        self.pieces: dict[int, Piece] = {}

    def meet(self, drop: int) -> None:
        """Score the labelled rows of the newest drop; nothing while there is no model."""
        if self.first is None or self.current is None or self.always is None:
            return
        frame = dataset.frame(self.product, since=drop - 1)
        frame = frame[heldout.labelled(frame, self.product)].reset_index(drop=True)
        if frame.empty:
            return
        models = {"policy": self.current, "always": self.always, "never": self.first}
        scored = {name: Scored(estimators.risks(m.model, frame), m.threshold) for name, m in models.items()}
        self.pieces[drop] = Piece(heldout.labels(frame, self.product), scored)

    def learn(self) -> None:
        """Take over what is in production now, and retrain on everything that is stored."""
        version = releases.current_version(self.product)
        if version is None:
            return
        if self.current is None or self.current.version != version:
            self.current = releases.load(releases.current(self.product))
        self.first = self.first or self.current
        rows = learning.rows(self.product)
        try:
            self.always = learning.fit(
                self.product, rows, self._design(), dict.fromkeys(np.unique(rows.drop).tolist(), 1.0)
            )
        except DataError:  # with too few rows of a label the one before stays
            return

    def _design(self) -> Design:
        """The design that was chosen last."""
        assert self.first is not None
        chosen = [self.first.manifest["selection"], *(made.get("selection") for made in decisions.read(self.product))]
        return Design(**[one for one in chosen if one][-1]["design"])

    def scores(self, drops: Sequence[int]) -> dict[str, float]:
        """What each policy scores on drops that are judged together, with standard errors.

        The error of F1 beside another policy's is that of the difference, on the same rows.
        """
        pieces = [self.pieces[drop] for drop in drops if drop in self.pieces]
        if not pieces:
            return {}
        left = np.concatenate([piece.left for piece in pieces])
        scored = {name: prequential.joined([piece.scored[name] for piece in pieces]) for name in NAMES}
        auc = {name: comparison.roc_auc(left, one.risk) for name, one in scored.items()}
        f1 = {name: comparison.f1(left, one.risk, one.threshold) for name, one in scored.items()}
        found = {"rows": len(left), "left": float(left.mean())}
        found |= {f"{name}_roc_auc": auc[name][0] for name in NAMES} | {f"{name}_f1": f1[name][0] for name in NAMES}
        found |= {"policy_roc_auc_error": _error(auc["policy"]), "policy_f1_error": _error(f1["policy"])}
        return found | {f"f1_over_{name}_error": _error(f1["policy"], f1[name]) for name in NAMES[1:]}


def _error(one: Influence, other: Influence | None = None) -> float:
    return comparison.error_of(one[1] - other[1] if other else one[1])


def gained(differences: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """The mean of independent differences, a number a drop, and its standard error."""
    return float(differences.mean()), math.sqrt(float((errors**2).sum())) / len(errors)
