"""Whether a product is looked after, in words: the last run, the last judgement, and what is in production.

It reads little, however long the records are, so that a page and a metric can ask at every request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from churn import decisions, drift, releases, storage
from churn.config import Product
from churn.words import fit

TICK = "fullprocess"  # the script whose runs count; where none is found, any run does
LATE_SECONDS = 3600  # a tick comes every ten minutes where cron is installed
TOP_COLUMNS = 3
LONGEST = 200

WENT = {
    "done": "went well",
    "fixable": "needs somebody to see to something",
    "bug": "ended with a bug, of which the log has the traceback",
    "stopped": "was stopped before its end",
}


@dataclass(frozen=True)
class Health:
    """How a product is; times are UTC."""

    ran: str | None  # when the last run began; None where none is recorded
    age: float | None  # seconds since it ended
    outcome: str | None  # done | fixable | bug | stopped
    said: str  # what the run said, in a line
    run: str  # all that as a sentence
    verdict: str | None  # ok | warning | drifted: the last judgement on the version in production; None without one
    suspect: bool  # whether the drop that was judged looks wrong itself
    drift: str  # that as a sentence
    version: str | None  # in production
    since: str | None  # when it came there
    release: str  # that as a sentence

    @property
    def late(self) -> bool:
        """Whether no run ended within LATE_SECONDS."""
        return self.age is None or self.age > LATE_SECONDS

    @property
    def well(self) -> bool:
        """Whether nobody has to look: the last run went well, lately, and the model has not drifted."""
        moved = self.suspect or self.verdict == drift.DRIFTED
        return self.outcome == "done" and not self.late and self.version is not None and not moved


def health(product: Product, now: datetime | None = None) -> Health:
    """How a product is at a moment (now)."""
    now = now or datetime.now(UTC)
    last = last_run(product)
    outcome = last["outcome"] if last else None
    said = str(last["text"]).partition("\n")[0] if last else ""
    age = max(0.0, (now - datetime.fromisoformat(last["at"])).total_seconds() - last["seconds"]) if last else None
    entry = next(iter(releases.history(product)[-1:]), None) if releases.current_version(product) else None
    version, since = (entry["version"], entry["from"]) if entry else (None, None)
    judged = next(storage.last_lines(product.models / decisions.JUDGEMENTS), None)
    judged = judged if judged and judged["champion"] == version else None
    suspect = bool(judged) and not decisions.suspects(product).isdisjoint(judged["drops"])
    return Health(
        ran=last["at"] if last else None,
        age=age,
        outcome=outcome,
        said=fit(said.replace(f"{product.config_path.parent}/", ""), LONGEST),
        run="No run is recorded yet." if age is None else f"The last run, {ago(age)}, {WENT.get(outcome, outcome)}.",
        verdict=judged["verdict"] if judged else None,
        suspect=suspect,
        drift=in_words(judged, suspect=suspect, auc_z=product.settings.drift.auc_z) if judged else UNJUDGED,
        version=version,
        since=since,
        release=f"Version {version} is in production since {since[:10]}." if since else NOTHING,
    )


UNJUDGED = "How the model does on new clients is not known yet: no drop has been judged since it came to production."
NOTHING = "Nothing is in production yet."


def in_words(judged: Mapping[str, Any], *, suspect: bool, auc_z: float) -> str:
    """A judgement in one sentence, without the numbers.

    Args:
        judged: as `decisions.judgements` gives it.
        suspect: whether one of its drops is (`decisions.suspects`).
        auc_z: the product's setting, the standard errors from which a worse ROC AUC is drift.
    """
    if suspect:
        return "The last drop is suspect: the model ranks its clients far worse than those before."
    if judged["verdict"] == drift.DRIFTED:
        return f"The model has drifted: {_in_short(judged, auc_z)}."
    if judged["verdict"] == drift.WARNING:
        return f"The model is still right, with a warning: {_in_short(judged, auc_z)}."
    if judged["scores"] is None:
        return "The model looks right, as far as can be told before labels come: the inputs look as they did."
    return "The model is still right: the last drop is within what was to be expected."


def _in_short(line: Mapping[str, Any], auc_z: float) -> str:
    """What stands behind a verdict, without the numbers."""
    shifted, moved = list(line["seen"]["shifted"]), line["label_moved"]
    if line["auc_z"] is not None and line["auc_z"] > auc_z:
        return "it ranks the clients worse than it did before"
    if shifted:
        names = ", ".join(fit(name) for name in shifted[:TOP_COLUMNS])
        more = f" and {len(shifted) - TOP_COLUMNS} more" if len(shifted) > TOP_COLUMNS else ""
        return f"the clients are not as they were when it was trained ({names}{more})"
    return f"{'more' if moved and moved > 0 else 'fewer'} clients leave than when it was trained"


def ago(seconds: float) -> str:
    """How long ago something was: `just now`, `4 minutes ago`, `1 day ago`."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def last_run(product: Product) -> dict[str, Any] | None:
    """What the last tick left in runs.jsonl, {at, script, outcome, seconds, text}; None where nothing is there."""
    path = product.logs / "runs.jsonl"
    for file in (path, path.with_name(f"{path.name}.1")):  # a full log was moved there a moment ago
        runs = list(storage.last_lines(file))
        if runs:
            return next((run for run in runs if run["script"] == TICK), runs[0])
    return None
