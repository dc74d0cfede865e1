"""Score a version on held-out data, and the clients by the model in production.

The held-out rows are the product's test files; where there are none, the training rows, each judged out of fold. The
F1 goes to latestscore.txt and all scores to the manifest of the version. The clients, most at risk first, go to
reports/<product>/clients.csv and, by their id, to clients.parquet, from which one is read at once.
"""

import logging
import sys

import numpy as np
import pandas as pd

from churn import clients, drift, estimators, heldout, releases, sheet, stage, storage
from churn.config import Product
from churn.contest import comparison, promotion
from churn.contest.comparison import Scored
from churn.contest.promotion import Trial
from churn.errors import NoRelease
from churn.history import archive

logger = logging.getLogger(__name__)

CLIENTS = "clients.csv"


def score(product: Product, version: str | None = None) -> str:
    """Score a version (the newest by default), then the clients; what both gave."""
    said = score_version(product, version)
    return f"{said}; {score_clients(product)}"


def score_version(product: Product, version: str | None = None) -> str:
    """Score a version on its held-out rows and write latestscore.txt and the manifest's scores.

    Raises:
        DataError: there are no held-out labelled rows.
    """
    folder = releases.folder_of(product, version)
    release = releases.load(folder)
    found = heldout.held_out(product, release, folder).scores()
    if release.manifest["verdict"] is None:
        releases.write_scores(folder, found)
    elif release.manifest["scores"] != found:
        logger.warning("%s: version %s was decided on other scores, which stay", product.name, release.version)
    return (
        f"version {release.version}: F1 {found['f1']:.3f} (always answering 'leaves' {found['constant_f1']:.3f}), "
        f"ROC AUC {_shown(found['roc_auc'])}, on {found['rows']:,} {found['on']}"
    )


def against_constant(product: Product, version: str) -> drift.Verdict:
    """Whether a version is better than always the same risk and always "leaves", on its held-out rows.

    That is what a model has to beat to be worth anything, and what the first one is held against.
    """
    folder = releases.folder_of(product, version)
    release = releases.load(folder)
    rows = heldout.held_out(product, release, folder)
    constant = Scored(np.full(len(rows.left), release.manifest["data"]["positive_rate"]), 0.0)
    found = comparison.compare(rows.left, constant, Scored(rows.risk, rows.threshold))
    trials = {release.manifest["recipe"]: Trial(found)}
    _, verdict = promotion.chosen(trials, product.settings.promotion, rival="the constant guess")
    return verdict


def score_clients(product: Product) -> str:
    """Write the clients with their risk by the model in production, most at risk first, and their last known label.

    Raises:
        HistoryError: the clients are written, but the history, which is to have them too, cannot be.
    """
    try:
        release = releases.load(releases.current(product))
    except NoRelease:
        return "no clients scored: nothing is in production"
    frame = clients.current(product)
    columns = product.columns
    # With the label of their row, where there is one: whoever left already need not be called.
    shown = frame[list(columns.stored)].astype(dict.fromkeys(columns.integer, "Int64"))
    # A stable sort: equal risks stay in the order of the data, so that equal inputs give an equal list.
    risks = estimators.risks(release.model, frame)
    risk = pd.Series(risks, name="risk", dtype=float).sort_values(ascending=False, kind="stable")
    head = pd.DataFrame({"rank": np.arange(1, len(risk) + 1), "risk": risk, "model_version": release.version})
    table = pd.concat([head, shown.loc[risk.index]], axis=1)
    with storage.replacing(product.reports / CLIENTS) as temporary:
        sheet.write(table, temporary)
    if columns.id:
        clients.write_rows(product, frame)
    archive.scores(product, release.version, frame, risks, stage.utc_now())
    return f"{len(table):,} clients scored by {release.version}: {product.reports / CLIENTS}"


def _shown(value: float | None) -> str:
    return "undefined (one class)" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(
        stage.main(
            score,
            stage.argument("--version", metavar="VERSION", help="score this version (default: the newest)"),
        )
    )
