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
from typing import Any

from churn import dataset, decisions, drift, pending, releases, sources, stage, storage, summary
from churn.config import Product
from churn.dataset import Record
from churn.drift import Verdict
from churn.errors import ChurnError, DataError, HistoryError, QuarantineError

logger = logging.getLogger(__name__)

# The stages, and the heavy packages that they bring, are imported where they run: a second tick that finds the
# lock held is to say so at once.

DONE = "done.json"  # in reports: for which data, release and decision the files there were made
FORCE = {"action": "store_true", "help": "train on what is ingested and deploy the model whatever its verdict"}
CHANGED = "the configuration of the model, or the test files, changed"
MADE = ("diagnostics.json", "report.html", "report.pdf", "confusionmatrix.png", "report.json")


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
        print(summary.block(product, decisions.champion(product), said, decision, lines), flush=True)
    if trouble:
        # What stopped something is told on the last line; files that were set aside stopped nothing.
        kind = QuarantineError if all(isinstance(error, QuarantineError) for error in trouble) else ChurnError
        raise kind("\n".join(str(error) for error in reversed(trouble)))
    return summary.headline(product, record, decision, refreshed=bool(lines))


# ---- the decision ----------------------------------------------------------------------------------------------------


def decide(product: Product, record: Record, force: bool = False) -> dict[str, Any] | None:
    """Judge the champion on the new rows, let challengers meet it, and promote the one that earns it.

    A decision is written down before it is carried out: one that a killed run took is carried out by the next run,
    and is not taken twice.

    Returns:
        The decision as it stands in decisions.jsonl, or None when there was nothing to decide.
    """
    import training

    last = (decisions.read(product) or [None])[-1]
    finished = _carry_out(product, last) if last and not force else None
    now = {"data_hash": record.data_hash, "configuration": training.configuration(product)}
    if last and now.items() <= last.items() and not force:
        return finished
    champion = decisions.champion(product)
    if champion and not force and now == decisions.made_for(champion):
        return finished  # there is no other model to be had from this data
    decision = {"at": stage.utc_now(), **now, "drops": record.last_number}
    decision |= {"champion": champion["version"] if champion else None, "drift": None, "challenger": None}
    decision |= {"promotion": None, "selection": None, "action": "none", "reason": ""}
    try:
        with dataset.connect(product):  # one engine for all that is asked of the rows
            decision |= _judged(product, record, champion, now, force)
    except DataError as error:  # decided until there is other data; any other error meets the next run again
        decisions.write(product, decision | {"reason": str(error)})
        raise
    decisions.write(product, decision)
    return _carry_out(product, decision, again=force) or decision


def _judged(
    product: Product, record: Record, champion: dict[str, Any] | None, now: dict[str, str], force: bool
) -> dict[str, Any]:
    """The part of a decision that follows from the data: drift, challenger, promotion, action and reason."""
    import scoring
    from churn.monitoring import judging

    found: dict[str, Any] = {}
    if champion and not force:
        judging.judge(product, releases.current(product), stage.utc_now())
        lines = decisions.undecided(product, champion["version"])
        found["drift"] = drift.summary(lines)
        changed = champion["configuration"] != now["configuration"]
        policy = product.settings.drift.policy
        if policy == "never" or not (changed or drift.calls_for_challengers(policy, lines)):
            unmet = f"{CHANGED}, and the policy is never; " if changed else ""
            return found | {"action": "kept", "reason": unmet + decisions.words(product, lines)}
        if changed or policy != "always":
            return found | _meet(product, record, now, lines, changed=changed)
    version = _trained(product, now)
    verdict = scoring.against_constant(product, version)
    untested = "forced" if force else "the policy is always" if champion else ""
    if untested:
        verdict = Verdict(True, f"{untested}; {verdict.reason}", verdict.numbers)
    releases.write_verdict(releases.folder_of(product, version), None, verdict.as_dict())
    found |= {"challenger": version, "promotion": verdict.as_dict(), "reason": f"{version} {verdict.reason}"}
    return found | {"action": "deployed" if verdict.yes else "none"}


def _meet(
    product: Product, record: Record, now: dict[str, str], lines: list[dict[str, Any]], *, changed: bool
) -> dict[str, Any]:
    """Let challengers meet the champion, train the one that earns it, or go back to the release before."""
    from churn.contest import challenge

    folder = releases.current(product)
    outcome = challenge.challenge(product, folder, record, now["configuration"], changed=changed)
    verdict, selected = outcome.verdict, outcome.selected
    found: dict[str, Any] = {"promotion": verdict.as_dict(), "selection": selected}
    why = f"{decisions.words(product, lines)}; " + (f"{CHANGED}; " if changed else "")
    if outcome.action == "roll back":
        reason = f"{why}back to {outcome.before}: {verdict.reason}"
        return found | {"action": "rolled back", "challenger": outcome.before, "reason": reason}
    if outcome.action == "keep":
        return found | {"action": "kept", "reason": why + verdict.reason}
    version = _trained(product, now, outcome.weights, selected, outcome.recipe)
    releases.write_verdict(releases.folder_of(product, version), folder.name, verdict.as_dict())
    return found | {"action": "deployed", "challenger": version, "reason": f"{why}{version} {verdict.reason}"}


def _trained(
    product: Product, now: dict[str, str], weights: Any = None, selected: Any = None, recipe: str = "all"
) -> str:
    """A scored version of the data and configuration at hand: one that a killed run left, else a new one."""
    import scoring
    import training

    weights = training.all_drops(product) if weights is None else weights
    decided = {decision["challenger"] for decision in decisions.read(product)}
    for version in reversed(releases.versions(product)):
        manifest = releases.read_manifest(releases.folder_of(product, version))
        if version not in decided and training.is_of(manifest, now, weights, selected, recipe):
            break
    else:
        logger.info("%s: %s", product.name, training.train(product, weights, selected, recipe))
        version = releases.versions(product)[-1]
    logger.info("%s: %s", product.name, scoring.score_version(product, version))
    return version


def _carry_out(product: Product, decision: dict[str, Any], *, again: bool = False) -> dict[str, Any] | None:
    """Deploy what a decision says, unless that was done before; the decision if so.

    Whoever put a version into production by hand after the decision is not overruled, but for one who asks for it
    (`again`).
    """
    import deployment

    if decision["action"] not in ("deployed", "rolled back"):
        return None
    since = [entry for entry in releases.history(product) if entry["from"] >= decision["at"]]
    # The version may have been in production before: then deploying it left no entry.
    by_hand = any(entry["from"] > decision["at"] for entry in since)
    done = decision["challenger"] in (releases.current_version(product), *(entry["version"] for entry in since))
    if (done or by_hand) and not again:
        return None
    may_go_back = decision["action"] == "deployed" and bool(releases.history(product))
    why = decision["promotion"]["reason"]
    logger.info("%s: %s", product.name, deployment.deploy(product, decision["challenger"], why=why))
    _smoke_test(product, may_go_back=may_go_back)
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
    from churn import clients
    from churn.history import archive

    state = {
        "data_hash": record.data_hash,
        "drops": len(record.drops),
        "version": releases.current_version(product),
        "decisions": len(decisions.read(product)),
        "clients": idle.look([str(product.clients)]) if product.clients else "",
        "settings": product.settings.model_dump(mode="json"),
    }
    path = product.reports / DONE
    scored = bool(state["version"]) or _newest_is_scored(product)
    current = [scoring.CLIENTS, *reporting.LISTS, *([clients.ROWS] if product.columns.id else [])]
    wanted = [*(MADE if scored else MADE[:1]), *(current if state["version"] else [])]
    if (
        path.is_file()
        and json.loads(path.read_text()) == state
        and all((product.reports / n).is_file() for n in wanted)
    ):
        return {}
    lines: dict[str, str] = {}
    trouble = None
    steps = {
        "clients": scoring.score_clients if state["version"] else None,
        "history": lambda product: archive.update(product, record, stage.utc_now()),
        "diagnosed": diagnostics.diagnose,
        "report": reporting.report if scored else None,
    }
    with dataset.connect(product):
        for name, step in steps.items():
            try:
                if step:
                    lines[name] = step(product)
            except HistoryError as error:  # nothing else waits for the history; the next run writes what is missing
                trouble = error
    if trouble:
        raise trouble
    storage.write(path, storage.to_json(state))
    return lines


def _newest_is_scored(product: Product) -> bool:
    versions = releases.versions(product)
    return bool(versions) and releases.read_manifest(product.models / versions[-1])["scores"] is not None


# ---- the run ---------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Run `tick` for the products, and note when nothing is pending, so that the next run can leave at once."""
    path = idle.config_of(arguments)
    products = pending.products(path) if path else []
    inputs = pending.inputs(products)
    before = idle.look(inputs)
    code = stage.main(tick, stage.argument("--force", **FORCE), argv=arguments)
    if path and code == stage.DONE and not any(pending.waits(product) for product in products):
        runs = {product.name: str(product.logs / "runs.jsonl") for product in products}
        said = {product.name: summary.nothing_new(product, dataset.load_record(product)) for product in products}
        idle.remember(path, runs, inputs + pending.outputs(products), before, inputs, said=said)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
