"""Score a version on held-out data, and the clients by the model in production.

The held-out rows are the product's test files; where there are none, the clients that no model trains on. The F1
goes to latestscore.txt and all scores to the manifest of the version. The clients, most at risk first, go to
reports/<product>/clients.csv.
"""

import logging
import sys
from typing import Any

import numpy as np
import pandas as pd

from churn import dataset, estimators, measures, releases, splits, stage, storage
from churn.config import Product
from churn.errors import DataError, NoRelease
from churn.heldout import CLIENT_ROWS, held_out_rows, labels, test_hash

logger = logging.getLogger(__name__)

CLIENTS = "clients.csv"


def score(product: Product, version: str | None = None) -> str:
    """Score a version (the newest by default), then the clients; what both gave."""
    said = score_version(product, version)
    return f"{said}; {score_clients(product)}"


def score_version(product: Product, version: str | None = None) -> str:
    """Score a version on the held-out rows and write latestscore.txt and the manifest's scores.

    Raises:
        DataError: there are no held-out labelled rows.
    """
    folder = releases.folder_of(product, version)
    release = releases.load(folder)
    frame, origin = held_out_rows(product)
    found = measures.scores(labels(frame, product), estimators.risks(release.model, frame), release.threshold)
    found["on"] = origin
    if release.manifest["verdict"] is None:
        releases.write_scores(folder, found)
    elif release.manifest["scores"] != found:
        logger.warning("%s: version %s was decided on other scores, which stay", product.name, release.version)
    return (
        f"version {release.version}: F1 {found['f1']:.3f} (always answering 'leaves' {found['constant_f1']:.3f}), "
        f"ROC AUC {_shown(found['roc_auc'])}, on {found['rows']:,} {origin}"
    )


def score_new_rows(product: Product, since: int) -> dict[str, Any] | None:
    """The scores of the release in production on the rows of the drops after number `since`; None without rows."""
    new = dataset.frame(product, since=since)
    if not len(new):
        return None
    release = releases.load(releases.current(product))
    return measures.scores(labels(new, product), estimators.risks(release.model, new), release.threshold)


def compare(product: Product, challenger: str, champion: dict[str, Any] | None) -> measures.Comparison:
    """Compare a version with the champion, or with the constant guess, on rows that neither trained on.

    Args:
        challenger: a version in models.
        champion: the manifest of the release in production; None compares with the constant guess.

    Raises:
        DataError: there is no such row.
    """
    release = releases.load(releases.folder_of(product, challenger))
    rows = _comparison_rows(product, champion)
    if not len(rows):
        raise DataError(f"no row to compare {challenger} on that {champion['version']} has not trained on")
    ours = measures.Scored(estimators.risks(release.model, rows), release.threshold)
    if champion:
        deployed = releases.load(releases.current(product))
        rival = measures.Scored(estimators.risks(deployed.model, rows), deployed.threshold)
    else:
        # Always the same risk, and always "leaves": what a model has to beat to be worth anything.
        rival = measures.Scored(np.full(len(rows), release.manifest["data"]["positive_rate"]), 0.0)
    rules = product.settings.promotion
    return measures.paired_bootstrap(
        labels(rows, product),
        rival,
        ours,
        metric=rules.metric,
        resamples=rules.resamples,
        confidence=rules.confidence,
        seed=product.settings.seed,
    )


def _comparison_rows(product: Product, champion: dict[str, Any] | None) -> pd.DataFrame:
    """The held-out clients' rows of the drops after the champion's, if they can decide; else the held-out rows."""
    if not champion:
        return held_out_rows(product)[0]
    new = dataset.frame(product, since=champion["data"]["drops"])
    # Shares are nested: the smaller one holds clients that neither of the two trained on.
    share = min(product.settings.test_share, champion["test_share"])
    fresh = new[splits.held_out(splits.groups(new, product.columns), share)]
    left = labels(fresh, product).sum()
    if min(left, len(fresh) - left) >= product.settings.promotion.min_class_rows:
        return fresh
    rows, origin = held_out_rows(product)
    own = splits.groups(rows, product.columns)
    if origin == CLIENT_ROWS:
        return rows[splits.held_out(own, share)]
    if champion["data"]["test_files"] != test_hash(product):
        # The champion may have trained on clients who stand in today's test files only.
        rows = rows[~np.isin(own, splits.groups(dataset.frame(product), product.columns))]
    return rows


def score_clients(product: Product) -> str:
    """Write the clients with their risk by the model in production, most at risk first, and their last known label."""
    try:
        release = releases.load(releases.current(product))
    except NoRelease:
        return "no clients scored: nothing is in production"
    clients = current_clients(product)
    columns = product.columns
    # With the label of their row, where there is one: whoever left already need not be called.
    shown = clients[list(columns.stored)].astype(dict.fromkeys(columns.integer, "Int64"))
    # A stable sort: equal risks stay in the order of the data, so that equal inputs give an equal list.
    risk = pd.Series(estimators.risks(release.model, clients), name="risk", dtype=float)
    risk = risk.sort_values(ascending=False, kind="stable")
    head = pd.DataFrame({"rank": np.arange(1, len(risk) + 1), "risk": risk, "model_version": release.version})
    table = pd.concat([head, shown.loc[risk.index]], axis=1)
    with storage.replacing(product.reports / CLIENTS) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return f"{len(table):,} clients scored by {release.version}: {product.reports / CLIENTS}"


def current_clients(product: Product) -> pd.DataFrame:
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


def _shown(value: float | None) -> str:
    return "undefined (one class)" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(
        stage.main(
            score,
            stage.argument("--version", metavar="VERSION", help="score this version (default: the newest)"),
        )
    )
