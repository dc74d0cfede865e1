"""Is a product healthy: its last run, drift, release and score, each as a tile of words with one of four states.

A tile is {title, word, state, text, at}: what stands out, its state, a sentence, and the time that it is about.
"""

import contextlib
from typing import Any

from churn import drift, releases
from churn.config import Product
from churn.errors import ReleaseError
from churn.health import Health, health
from churn.web.pages.wording import ago, moment, sentence

FINE, WATCH, BAD, NONE = "fine", "watch", "bad", "none"

RUNS = {
    "done": (FINE, "Done"),
    "fixable": (BAD, "Needs you"),
    "bug": (BAD, "Failed"),
    "stopped": (WATCH, "Was stopped"),
}
# What a run that went well did, by the first words of what it said.
ACTIONS = {
    "nothing new": "Nothing new had come.",
    "deployed": "It put a new release into production.",
    "kept": "It took in new data and kept the release.",
    "rolled back": "It went back to an earlier release.",
}
DRIFTS = {drift.OK: (FINE, "None seen"), drift.WARNING: (WATCH, "Watch it"), drift.DRIFTED: (BAD, "Drifted")}


def manifest_of(product: Product) -> dict[str, Any] | None:
    """The manifest of the release in production; None where there is none that can be read."""
    with contextlib.suppress(ReleaseError, OSError):
        return releases.read_manifest(releases.current(product))
    return None


def threshold_of(product: Product) -> float:
    """The risk from which a client counts as leaving; one half where nothing says it."""
    manifest = manifest_of(product)
    return float(manifest["threshold"]) if manifest else 0.5


def tiles(product: Product) -> list[dict[str, Any]]:
    """What is to be seen at once."""
    found = health(product)
    return [last_run(found), drifted(found), in_production(found), scored(manifest_of(product))]


def last_run(found: Health) -> dict[str, Any]:
    """How the last run went; one that is long ago is to be looked after, however it went."""
    tile = {"title": "Last run", "at": found.ran}
    if found.ran is None:
        return tile | {"word": "None yet", "state": NONE, "text": "Start one with: python fullprocess.py"}
    state, word = RUNS.get(found.outcome or "", (WATCH, "Unknown"))
    action = next((words for start, words in ACTIONS.items() if found.said.startswith(start)), None)
    text = action if action and found.outcome == "done" else sentence(found.said)
    if found.late and state == FINE:
        state, word = WATCH, "Long ago"
        text = "No run for more than an hour. To have one every ten minutes: python cron.py --install"
    return tile | {"word": word, "state": state, "text": text}


def drifted(found: Health) -> dict[str, Any]:
    """What the newest drop showed of the release in production."""
    state, word = DRIFTS.get(found.verdict or "", (NONE, "Not known yet"))
    if found.suspect:
        state, word = WATCH, "Suspect data"
    return {"title": "Drift", "at": None, "word": word, "state": state, "text": found.drift}


def in_production(found: Health) -> dict[str, Any]:
    """Which release is in production, and since when."""
    tile = {"title": "In production", "at": None}
    if found.version is None:
        return tile | {"word": "Nothing yet", "state": NONE, "text": "The first run deploys one: python fullprocess.py"}
    text = f"Since {moment(found.since)}, {ago(found.since)}." if found.since else ""
    return tile | {"word": found.version, "state": FINE, "text": text, "mono": True}


def scored(manifest: dict[str, Any] | None) -> dict[str, Any]:
    """How good the release was on the rows that it was tested on."""
    tile = {"title": "F1 when tested", "at": None}
    scores = (manifest or {}).get("scores")
    if not scores:
        return tile | {"word": "Not known yet", "state": NONE, "text": "It is measured before a release is deployed."}
    better = scores["f1"] > scores["constant_f1"]
    beside = f"Always answering 'leaves' gives {scores['constant_f1']:.3f}; on {scores['rows']:,} {scores['on']}."
    return tile | {"word": f"{scores['f1']:.3f}", "state": FINE if better else BAD, "text": beside}


def worst(found: list[dict[str, Any]]) -> str:
    """The state of the worst of these tiles."""
    order = [FINE, NONE, WATCH, BAD]
    return max((tile["state"] for tile in found), key=order.index, default=NONE)
