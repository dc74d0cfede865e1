"""A page says in a few words whether a product is looked after, however long its records are."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

import deployment
import scoring
import training
from churn import decisions, health, releases
from tests.loop import make
from tests.test_training import fill

NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
SEEN = {"drop": 3, "rows": 400, "labelled": 400, "positives": 80, "auc": 0.7, "auc_error": 0.02, "shifted": {}}
JUDGED = {
    "drops": [3],
    "verdict": "ok",
    "reasons": [],
    "alarm": False,
    "onset": None,
    "auc_z": 0.1,
    "label_moved": None,
    "scores": {"f1": 0.6},
}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A product with a version in production, and no run and no judgement recorded yet."""
    product = fill(make(tmp_path_factory.mktemp("healthy")), tested=100)
    training.train(product)
    scoring.score(product)
    deployment.deploy(product)
    return product


@pytest.fixture
def product(deployed):
    yield deployed
    for path in (*deployed.logs.glob("runs.jsonl*"), deployed.models / decisions.JUDGEMENTS):
        path.unlink(missing_ok=True)


def ran(
    product, outcome="done", text="nothing new", *, minutes=4, script="fullprocess", seconds=0.0, name="runs.jsonl"
):
    """Record a run as it would have been so many minutes ago."""
    at = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = {"at": at, "script": script, "outcome": outcome, "seconds": seconds, "text": text}
    product.logs.mkdir(parents=True, exist_ok=True)
    with (product.logs / name).open("a") as file:
        file.write(json.dumps(line) + "\n")


def judged(product, seen=None, **changed):
    line = JUDGED | {"at": "2026-06-30T10:00:00Z", "champion": releases.current_version(product)}
    decisions.write_judgement(product, line | {"seen": SEEN | (seen or {})} | changed)


def test_all_is_well_after_a_run_that_found_nothing_new(product):
    ran(product)
    judged(product)
    found = health.health(product, NOW)
    assert (found.ran, found.age, found.outcome, found.said) == ("2026-07-01T11:56:00Z", 240.0, "done", "nothing new")
    assert found.run == "The last run, 4 minutes ago, went well."
    assert found.drift == "The model is still right: the last drop is within what was to be expected."
    version = releases.current_version(product)
    since = releases.history(product)[-1]["from"]
    assert (found.version, found.since) == (version, since)
    assert found.release == f"Version {version} is in production since {since[:10]}."
    assert found.well and not found.late


def test_of_a_long_run_the_end_counts(product):
    ran(product, minutes=30, seconds=1500)
    assert health.health(product, NOW).age == 300


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("fixable", "needs somebody to see to something"),
        ("bug", "ended with a bug, of which the log has the traceback"),
        ("stopped", "was stopped before its end"),
    ],
)
def test_a_run_that_did_not_end_well_says_so(product, outcome, words):
    ran(product, outcome, f"{product.config_path.parent}/sourcedata/a.csv: is empty\nand more", minutes=61)
    found = health.health(product, NOW)
    assert found.run == f"The last run, 1 hour ago, {words}."
    assert found.said == "sourcedata/a.csv: is empty"  # no more of the path than belongs to the installation
    assert not found.well


def test_a_run_that_is_long_ago_is_late(product):
    ran(product, minutes=60 * 24 * 3)
    found = health.health(product, NOW)
    assert found.run == "The last run, 3 days ago, went well."
    assert found.late and not found.well


def test_a_stage_run_by_hand_is_no_tick_where_there_are_ticks(product):
    ran(product, "bug", script="training", minutes=9)
    assert health.health(product, NOW).outcome == "bug"
    ran(product, minutes=8)
    ran(product, "bug", script="training", minutes=1)
    assert health.health(product, NOW).outcome == "done"


def test_torn_lines_and_a_log_that_was_just_moved_do_not_matter(product):
    ran(product, minutes=12, name="runs.jsonl.1")
    assert health.health(product, NOW).age == 720
    ran(product, minutes=2)
    with (product.logs / "runs.jsonl").open("a") as file:
        file.write('{"at": "2026-0')
    assert health.health(product, NOW).age == 120


def test_before_anything_ran_it_says_so(tmp_path):
    found = health.health(make(tmp_path), NOW)
    assert found.run == "No run is recorded yet."
    assert found.release == "Nothing is in production yet."
    assert found.drift.startswith("How the model does on new clients is not known yet")
    assert (found.age, found.verdict, found.version, found.well) == (None, None, None, False)


def test_drift_is_said_with_what_stands_behind_it(product):
    ran(product)
    judged(product, {"shifted": {"age": "age: PSI 0.4", "tenure": "tenure: PSI 0.3"}}, verdict="drifted")
    found = health.health(product, NOW)
    assert found.drift == ("The model has drifted: the clients are not as they were when it was trained (age, tenure).")
    assert (found.verdict, found.suspect, found.well) == ("drifted", False, False)


def test_a_judgement_on_another_version_is_none_on_this_one(product):
    judged(product, champion="0000-other", verdict="drifted")
    found = health.health(product, NOW)
    assert (found.verdict, found.drift) == (None, health.UNJUDGED)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (59, "just now"), (60, "1 minute ago"), (7199, "1 hour ago"), (9e7, "1,041 days ago")],
)
def test_ages_are_said_in_words(seconds, words):
    assert health.ago(seconds) == words


def test_it_takes_no_longer_when_the_log_is_full(product):
    line = json.dumps(
        {"at": "2026-06-01T00:00:00Z", "script": "fullprocess", "outcome": "done", "seconds": 0, "text": ""}
    )
    (product.logs / "runs.jsonl").write_text((line + "\n") * 45_000)  # 5 MB, as long as it gets
    ran(product, minutes=1)
    start = time.process_time()
    for _ in range(10):
        assert health.health(product, NOW).age == 60
    assert (time.process_time() - start) / 10 < 0.05
