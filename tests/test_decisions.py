"""The log of decisions and the log of judgements: what is new, what is suspect, and in which words."""

import logging

import pytest

from churn import decisions, storage

SEEN = {"rows": 1000, "labelled": 1000, "positives": 200, "auc": 0.8, "auc_error": 0.01, "shifted": {}}
KEYS = ("drift", "challenger", "promotion", "selection", "action", "reason")


def judged(product, drop, champion="0001-a", *, alarm=False, drops=None, **more):
    """Write down a judgement as churn/monitoring/judging.py does, so far as it matters here; the line."""
    line = {"at": f"2026-01-{drop:02}T00:00:00Z", "champion": champion, "drops": drops or [drop]}
    line |= {"seen": SEEN | {"drop": drop}, "verdict": "drifted" if alarm else "ok", "reasons": [], "alarm": alarm}
    line |= {"said": f"drop {drop} seen", "raw_rule": False, "scores": None, "deployed_f1": 0.5} | more
    decisions.write_judgement(product, line)
    return line


def decided(product, drops, action="kept", **more):
    decision = dict.fromkeys(KEYS) | {"at": "", "drops": drops, "champion": "0001-a", "action": action, "reason": ""}
    decisions.write(product, decision | more)


def was_in_production(product, *versions):
    entries = [{"version": version, "from": "2026-01-01T00:00:00Z", "why": ""} for version in versions]
    storage.write(product.production / "history.json", storage.to_json(entries))
    storage.point(product.production / "current", versions[-1])


def test_a_drop_alone_among_good_ones_is_suspect_and_so_is_the_newest_until_the_next_alarms_too(product):
    judged(product, 1)
    judged(product, 2, alarm=True)
    assert decisions.suspects(product) == {2}
    judged(product, 3)
    assert decisions.suspects(product) == {2}
    judged(product, 4, alarm=True)
    assert decisions.suspects(product) == {2, 4}
    judged(product, 5, alarm=True)
    assert decisions.suspects(product) == {2}


def test_of_drops_that_were_judged_together_all_are_suspect(product):
    judged(product, 2)
    judged(product, 5, alarm=True, drops=[3, 5])
    assert decisions.suspects(product) == {3, 5}


def test_drops_without_labels_neither_alarm_nor_clear_another(product):
    judged(product, 2, alarm=True)
    judged(product, 3, seen=SEEN | {"drop": 3, "auc": None, "auc_error": None})
    judged(product, 4, alarm=True)
    assert decisions.suspects(product) == set()


def test_the_champion_that_saw_a_drop_come_is_the_one_that_counts(product):
    was_in_production(product, "0001-a", "0002-b")
    judged(product, 2, "0001-a", alarm=True)
    judged(product, 3, "0001-a")
    for drop in (2, 3):
        judged(product, drop, "0002-b", alarm=True)
    assert decisions.suspects(product) == {2}


def test_what_a_version_alarmed_at_that_was_taken_back_was_its_own_fault(product):
    judged(product, 3, "0002-b", alarm=True)
    was_in_production(product, "0001-a", "0002-b")
    assert decisions.suspects(product) == {3}
    was_in_production(product, "0001-a", "0002-b", "0001-a")
    judged(product, 2, "0001-a", alarm=True)
    judged(product, 3, "0001-a")
    assert decisions.suspects(product) == {2}
    was_in_production(product, "0001-a", "0002-b", "0001-a", "0002-b")  # back again by hand, it counts again
    assert decisions.suspects(product) == set()


def test_judgements_wait_for_their_decision_also_those_that_a_killed_run_left(product):
    decided(product, 1)
    lines = [judged(product, 2), judged(product, 4, drops=[3, 4])]
    judged(product, 2, "0002-b")
    assert decisions.undecided(product, "0001-a") == lines
    decided(product, 2)
    assert decisions.undecided(product, "0001-a") == lines[1:]
    decided(product, 4)
    assert decisions.undecided(product, "0001-a") == []


def test_the_words_are_those_of_the_worst_judgement_and_name_what_is_suspect(product):
    judged(product, 1)
    bad = judged(product, 2, alarm=True)
    good = judged(product, 3)
    said = decisions.words(product, [bad, good])
    assert said.startswith("drop 2 seen; drop 2 is suspect") and "nothing is trained on it" in said
    assert decisions.words(product, [good]) == "drop 3 seen"
    together = judged(product, 6, alarm=True, drops=[5, 6])
    assert "; drops 5, 6 are suspect" in decisions.words(product, [together])
    assert "no new rows, or too few to judge" in decisions.words(product, [])


def test_no_champion_and_one_of_another_version_of_the_software_are_none_to_judge(product):
    assert decisions.champion(product) is None
    was_in_production(product, "0001-a")
    for form in (1, 2):
        storage.write(product.production / "0001-a" / "manifest.json", storage.to_json({"format": form}))
        assert (decisions.champion(product) is None) == (form == 1)


@pytest.mark.parametrize(
    ("action", "verdict", "level"),
    [
        ("kept", "drifted", logging.WARNING),
        ("rolled back", "ok", logging.WARNING),
        ("deployed", "drifted", logging.INFO),
        ("kept", "warning", logging.INFO),
        ("kept", None, logging.INFO),
    ],
)
def test_what_somebody_should_look_at_is_a_warning_in_the_log(product, caplog, action, verdict, level):
    with caplog.at_level(logging.INFO):
        decided(product, 1, action, drift={"verdict": verdict} if verdict else None)
    assert [record.levelno for record in caplog.records] == [level]


def test_a_torn_line_is_passed_over_and_the_next_one_is_whole(product):
    judged(product, 1)
    path = product.models / decisions.JUDGEMENTS
    path.write_bytes(path.read_bytes() + path.read_bytes()[:40])
    judged(product, 2)
    assert [line["seen"]["drop"] for line in decisions.judgements(product)] == [1, 2]
