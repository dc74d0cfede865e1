"""The labelled rows of a product by the units in which drops are judged, and the models that meet on them.

A prediction is made once and kept in `models/<product>/predictions/`, under a name that says what went into it: a
killed run loses no work, and deleting the folder costs time only.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import decisions, estimators, storage
from churn.calls import calllist
from churn.config import Product
from churn.contest import prequential
from churn.contest.comparison import Scored
from churn.contest.prequential import Rows, Standing
from churn.errors import DataError
from churn.estimators import Design
from churn.fitting import learning
from churn.monitoring import judging
from churn.releases import Release

FOLDER = "predictions"


class Arena:
    """The labelled rows of a product by the units in which drops are judged, with the models that met on them."""

    def __init__(self, product: Product, rows: learning.Rows, contents: Mapping[int, str], configuration: str) -> None:
        self.product, self.rows, self.contents, self.configuration = product, rows, contents, configuration
        judged = judging.units(rows.frame, product, decisions.judgements(product))
        self.members = {numbers[-1]: numbers for numbers in judged}  # a unit is called by its last drop
        grouped = {number for numbers in self.members.values() for number in numbers}
        self.waiting = sorted(set(rows.drop.tolist()) - grouped)  # drops with too few labels to be judged yet
        self.live = dict(zip(*(found.tolist() for found in np.unique(rows.drop, return_counts=True)), strict=True))
        self.used: set[str] = set()

    @property
    def units(self) -> list[int]:
        """The units, oldest first."""
        return list(self.members)

    def of(self, unit: int) -> learning.Rows:
        """The rows of a unit."""
        return self.among(self.members[unit])

    def among(self, drops: Collection[int]) -> learning.Rows:
        """The rows of some drops."""
        return self.rows.of(np.isin(self.rows.drop, list(drops)))

    def scored(self, release: Release, unit: int) -> Scored:
        """A release's risks of a unit."""
        return self._scored(release, self.of(unit).frame)

    def _scored(self, release: Release, frame: pd.DataFrame) -> Scored:
        return Scored(
            estimators.risks(release.model, frame), release.threshold, calllist.values(frame, self.product.settings)
        )

    def met(self, release: Release, unit: int) -> Rows:
        """A unit with a release's risks, and the groups that are guarded."""
        rows = self.of(unit)
        return Rows(rows.left, self._scored(release, rows.frame), self._groups(rows.frame))

    def out_of_fold(self, design: Design, weights: Mapping[int, float]) -> Rows | None:
        """The rows of the drops that are named, each judged by a model of others; None where folds cannot be made."""
        fitted, rows = learning.fit(self.product, self.rows, design, weights), self.among(weights)
        if fitted.out_of_fold is None:
            return None
        scored = Scored(fitted.out_of_fold.risk, fitted.threshold, calllist.values(rows.frame, self.product.settings))
        return Rows(rows.left, scored, self._groups(rows.frame))

    def _groups(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        return {
            f"{column} {level}": (frame[column] == level).to_numpy()
            for column in self.product.settings.promotion.groups
            for level in frame[column].dropna().unique()
        }

    def weights(self, recipe: str, standing: Standing) -> dict[int, float]:
        """By drop, how much its rows weigh for a recipe; those that wait to be judged may be trained on."""
        found = prequential.training_weights(recipe, self.units, standing.suspects, standing.onset)
        return self._by_drop(found) | dict.fromkeys(self.waiting, 1.0)

    def _by_drop(self, weights: Mapping[int, float]) -> dict[int, float]:
        """Weights of units as weights of their drops."""
        return {number: weight for unit, weight in weights.items() for number in self.members[unit]}

    def predict(self, design: Design, weights: Mapping[int, float], unit: int) -> Scored | None:
        """The risks of a unit by a model trained on others; None where these have too few rows of a label."""
        name, frame = self._name(design, weights, unit), self.of(unit).frame
        path = self.product.models / FOLDER / name
        self.used.add(name)
        found = _read(path)
        if found is None:
            found = self._fitted_risk(design, weights, frame)
            buffer = io.BytesIO()
            np.savez(buffer, risk=found[0], threshold=found[1])
            storage.write(path, buffer.getvalue())
        return Scored(*found, calllist.values(frame, self.product.settings)) if len(found[0]) else None

    def _fitted_risk(
        self, design: Design, weights: Mapping[int, float], frame: pd.DataFrame
    ) -> tuple[np.ndarray, float]:
        try:
            fitted = learning.fit(self.product, self.rows, design, self._by_drop(weights), prequential.FOLDS)
        except DataError:
            return np.empty(0), 0.0
        return estimators.risks(fitted.model, frame), fitted.threshold

    def forget_unused(self) -> None:
        """Remove the predictions that were not asked for this time."""
        folder = self.product.models / FOLDER
        for path in folder.glob("*.npz") if folder.is_dir() else ():
            if path.name not in self.used:
                path.unlink()

    def _name(self, design: Design, weights: Mapping[int, float], unit: int) -> str:
        def content(numbers: Sequence[int]) -> list[Any]:
            # A row that a later drop superseded is gone from its drop: the live rows count too.
            return [[self.contents[number], self.live.get(number, 0)] for number in numbers]

        trained = [[content([number]), weight] for number, weight in self._by_drop(weights).items()]
        said = [self.configuration, asdict(design), trained, content(self.members[unit])]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24] + ".npz"


def _read(path: Path) -> tuple[np.ndarray, float] | None:
    """A prediction that was kept; a damaged one is as good as none."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return kept["risk"], float(kept["threshold"])
    except (FileNotFoundError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
