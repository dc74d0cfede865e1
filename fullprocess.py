"""Run what is due for each product: ingest, check for drift, retrain, promote, deploy, score, diagnose, report.

What is due is decided from the state on disk (is what production was trained on what is ingested now?), so that a
run killed anywhere is finished by the next one, and a run that finds nothing new costs next to nothing.
"""

import sys

from churn import idle

if __name__ == "__main__":
    if idle.nothing_new(sys.argv[1:]):
        sys.exit(0)  # before the imports below, which cost many times as much
    idle.check_packages()

import json
import logging
from pathlib import Path
from typing import Any

from churn import config, dataset, decisions, releases, sources, stage, storage, summary
from churn.config import Product
from churn.dataset import Record
from churn.errors import ChurnError, DataError, NoRelease, QuarantineError

logger = logging.getLogger(__name__)

# The stages, and the heavy packages that they bring, are imported where they run: a second tick that finds the
# lock held is to say so at once.

DONE = "done.json"  # in reports: for which data, release and decision the files there were made
FORCE = {"action": "store_true", "help": "train on what is ingested and deploy the model whatever its verdict"}
MADE = ("diagnostics.json", "report.html", "report.pdf", "confusionmatrix.png")


def tick(product: Product, force: bool = False) -> str:
    """Bring one product up to date and return what happened; `force` deploys a new model whatever its verdict.

    Raises:
        ChurnError: something the user can fix; whatever could be done without it was done first.
    """
    import ingestion

    sources.check(product.test, product.name, "test_data_path")
    if lost := releases.restore_link(product):
        logger.warning("%s: the link to the release in production was gone; it is %s again", product.name, lost)
    trouble: list[ChurnError] = []
    try:
        said = ingestion.ingest(product)
    except QuarantineError as error:
        trouble.append(error)
        said = str(error)
    record = dataset.load_record(product)
    decision = None
    lines: dict[str, str] = {}
    if record.data_hash:
        try:
            decision = decide(product, record, force)
        except ChurnError as error:
            trouble.append(error)
        try:
            lines = refresh(product, record)
        except ChurnError as error:
            trouble.append(error)
    if lines:
        print(summary.block(product, _champion(product), said, decision, lines), flush=True)
    if trouble:
        # What stopped something is told on the last line; files that were set aside stopped nothing.
        kind = QuarantineError if all(isinstance(error, QuarantineError) for error in trouble) else ChurnError
        raise kind("\n".join(str(error) for error in reversed(trouble)))
    return summary.headline(product, record, decision, refreshed=bool(lines))


# ---- the decision ----------------------------------------------------------------------------------------------------


def decide(product: Product, record: Record, force: bool = False) -> dict[str, Any] | None:
    """Judge the champion on the new rows, train a challenger when that is due, and promote it when it earns it.

    A decision is written down before it is carried out: one that a killed run took is carried out by the next run,
    and is not taken twice.

    Returns:
        The decision as it stands in decisions.jsonl, or None when there was nothing to decide.
    """
    import training

    champion = _champion(product)
    last = (decisions.read(product) or [None])[-1]
    now = {"data_hash": record.data_hash, "recipe": training.recipe(product)}
    if last and now.items() <= last.items() and not force:
        return _carry_out(product, last)
    if champion and now == {"data_hash": champion["data"]["hash"], "recipe": champion["recipe"]}:
        return None  # there is no other model to be had from this data
    decision = {"at": stage.utc_now(), **now, "drops": record.last_number}
    decision |= {"champion": champion["version"] if champion else None}
    decision |= {"drift": None, "challenger": None, "promotion": None, "action": "none", "reason": ""}
    try:
        decision |= _judge(product, champion, last, now, force)
    except DataError as error:  # decided until there is other data; any other error meets the next run again
        decisions.write(product, decision | {"reason": str(error)})
        raise
    decisions.write(product, decision)
    return _carry_out(product, decision, again=force) or decision


def _champion(product: Product) -> dict[str, Any] | None:
    """The manifest of the release in production."""
    try:
        return releases.read_manifest(releases.current(product))
    except NoRelease:
        return None


def _judge(
    product: Product, champion: dict[str, Any] | None, last: dict[str, Any] | None, now: dict[str, str], force: bool
) -> dict[str, Any]:
    """The part of a decision that follows from the data: drift, challenger, promotion, action and reason."""
    import scoring
    from churn import drift

    found: dict[str, Any] = {}
    cause = "forced" if force else ""
    if champion:
        judged = max(champion["data"]["drops"], last["drops"] if last else 0)
        new = scoring.score_new_rows(product, judged)
        verdict = drift.drifted(product.settings.drift.policy, new, champion["scores"]["f1"])
        found["drift"] = verdict.as_dict()
        cause = verdict.reason if verdict.yes else cause
        if champion["recipe"] != now["recipe"]:
            cause = "the configuration of the model, or the test files, changed"
        if not cause:
            return found | {"action": "kept", "reason": verdict.reason}
    challenger = _challenger(product, now)
    rules = product.settings.promotion
    verdict = drift.promoted(
        scoring.compare(product, challenger, champion),
        rival=champion["version"] if champion else "the constant guess",
        confidence=rules.confidence,
        min_rows=rules.min_rows,
        min_class_rows=rules.min_class_rows,
        force=force,
    )
    rival = champion["version"] if champion else None
    releases.write_verdict(releases.folder_of(product, challenger), rival, verdict.as_dict())
    action = "deployed" if verdict.yes else ("kept" if champion else "none")
    reason = f"{cause}; challenger {challenger}: {verdict.reason}" if cause else verdict.reason
    return found | {"challenger": challenger, "promotion": verdict.as_dict(), "action": action, "reason": reason}


def _challenger(product: Product, now: dict[str, str]) -> str:
    """A scored version of the data and configuration at hand: one that a killed run left, else a new one."""
    import scoring
    import training

    for version in reversed(releases.versions(product)):
        manifest = releases.read_manifest(releases.folder_of(product, version))
        if now == {"data_hash": manifest["data"]["hash"], "recipe": manifest["recipe"]}:
            break
    else:
        logger.info("%s: %s", product.name, training.train(product))
        version = releases.versions(product)[-1]
    logger.info("%s: %s", product.name, scoring.score_version(product, version))
    return version


def _carry_out(product: Product, decision: dict[str, Any], *, again: bool = False) -> dict[str, Any] | None:
    """Deploy what a decision says, unless that was done before; the decision if so.

    A version that was in production before is left where it is: whoever rolled it back by hand is not overruled,
    but for one who asks for it (`again`).
    """
    import deployment

    ever = {entry["version"] for entry in releases.history(product)}
    if decision["action"] != "deployed" or (decision["challenger"] in ever and not again):
        return None
    logger.info("%s: %s", product.name, deployment.deploy(product, decision["challenger"], why=decision["reason"]))
    _smoke_test(product, may_go_back=bool(ever))
    return decision


def _smoke_test(product: Product, *, may_go_back: bool) -> None:
    """Use the release as the app does; go back to the one before when that fails.

    Raises:
        ReleaseError: the release cannot be used.
    """
    import app
    import deployment

    try:
        app.smoke(product)
    except ChurnError as error:
        logger.error("%s: the new release fails its smoke test: %s", product.name, error)
        if may_go_back:
            deployment.deploy(product, rollback=True, why="the release after it failed its smoke test")
        raise


# ---- what follows from it --------------------------------------------------------------------------------------------


def refresh(product: Product, record: Record) -> dict[str, str]:
    """Make the scored clients, diagnostics and report anew where they are behind; a line for each that was made."""
    import diagnostics
    import reporting
    import scoring

    state = {
        "data_hash": record.data_hash,
        "drops": len(record.drops),
        "version": releases.current_version(product),
        "decisions": len(decisions.read(product)),
        "clients": idle.look([str(product.clients)]) if product.clients else "",
    }
    path = product.reports / DONE
    scored = bool(state["version"]) or _newest_is_scored(product)
    wanted = [*(MADE if scored else MADE[:1]), *([scoring.CLIENTS] if state["version"] else [])]
    if (
        path.is_file()
        and json.loads(path.read_text()) == state
        and all((product.reports / n).is_file() for n in wanted)
    ):
        return {}
    lines = {}
    if state["version"]:
        lines["clients"] = scoring.score_clients(product)
    lines["diagnosed"] = diagnostics.diagnose(product)
    if scored:
        lines["report"] = reporting.report(product)
    storage.write(path, storage.to_json(state))
    return lines


def _newest_is_scored(product: Product) -> bool:
    versions = releases.versions(product)
    return bool(versions) and releases.read_manifest(product.models / versions[-1])["scores"] is not None


# ---- the run ---------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Run `tick` for the products, and note when nothing is pending, so that the next run can leave at once."""
    path = idle.config_of(arguments)
    products = _products(path) if path else []
    inputs = _inputs(products)
    before = idle.look(inputs)
    code = stage.main(tick, stage.argument("--force", **FORCE), argv=arguments)
    if path and code == stage.DONE and not any(_pending(product) for product in products):
        runs = {product.name: str(product.logs / "runs.jsonl") for product in products}
        said = {product.name: summary.nothing_new(dataset.load_record(product)) for product in products}
        idle.remember(path, runs, inputs + _outputs(products), before, inputs, said=said)
    return code


def _products(path: str) -> list[Product]:
    try:
        return list(config.load(Path(path)).values())
    except ChurnError:
        return []  # the run itself says what is wrong


def _inputs(products: list[Product]) -> list[str]:
    """What a tick reads and others write, as `idle.look` takes it."""
    paths = [str(product.config_path) for product in products[:1]]
    for product in products:
        paths += [f"{product.source}/", f"{product.test}/"] + ([str(product.clients)] if product.clients else [])
    return paths


def _outputs(products: list[Product]) -> list[str]:
    """What a tick writes and the next one starts from: were it changed or gone, the next tick must see to it."""
    paths = []
    for product in products:
        paths += [f"{folder}/" for folder in (product.ingested, product.models, product.production, product.reports)]
        paths.append(str(product.production / releases.CURRENT))
    return paths


def _pending(product: Product) -> bool:
    """Whether a file was left for the next tick, as one still being written is."""
    listed = sources.SOURCES[product.settings.source](product.source).list()
    return bool(dataset.unknown(dataset.load_record(product), listed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
