"""The parts of the report: verdicts in words, the picture of the drops, what calling is worth, why a model won."""

import dataclasses
import math
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.platypus import CondPageBreak

import fullprocess
import ingestion
import reporting
import scoring
from churn import dataset, releases
from churn.calls.interval import Interval, proportion
from churn.columns import Columns
from churn.contest import comparison
from churn.heldout import HeldOut
from churn.monitoring import histogram, profile
from churn.report import (
    charts,
    columns,
    content,
    decision,
    drops,
    figures,
    histograms,
    listing,
    measuring,
    pdf,
    quality,
    timeline,
    verdict,
    worth,
)
from churn.report.blocks import Pictures, Section, Table, Text, Tiles
from churn.report.facts import CallList
from churn.report.gathering import gather
from churn.report.timeline import Point
from demo import fabricate
from tests.conftest import make_product

TEAM = {"capacity": 40, "value": 250.0, "contact_cost": 4.0}


def product_with(folder, months, drift, **given):
    """A product that has had so many drops of 900 clients, a decision after each, and a report."""
    product = make_product(folder, model="logistic", tuning_seconds=0, **TEAM, **given)
    for month in range(1, months + 1):
        fabricate.save(fabricate.world(900, month, 5, drift), product.source / f"month{month}.csv")
        ingestion.ingest(product)
        fullprocess.decide(product, dataset.load_record(product))
    scoring.score_clients(product)
    reporting.report(product)
    return product


@pytest.fixture(scope="module")
def drifted(tmp_path_factory):
    """A product whose third drop follows another rule than the two before."""
    return product_with(tmp_path_factory.mktemp("drifted"), 3, fabricate.Drift("relation", 3, 2.0))


@pytest.fixture(scope="module")
def facts(drifted):
    """What its report is made from."""
    return gather(drifted)


def words(blocks):
    """All that blocks say, on one line."""
    said = []
    for block in blocks:
        if isinstance(block, Text):
            said.append(block.text)
        elif isinstance(block, Table):
            said += [block.title, *block.head, *(cell for row in block.rows for cell in row)]
        elif isinstance(block, Tiles):
            said += [part for item in block.items for part in item]
        elif isinstance(block, Pictures):
            said += [part for title, picture, caption in block.items for part in (title, picture.alt, caption)]
    return " ".join(said)


def table_of(blocks, title=""):
    return next(block for block in blocks if isinstance(block, Table) and title in block.title)


def with_last(facts, **changed):
    """The same facts with something else in the last judgement."""
    *before, last = facts.judgements
    return dataclasses.replace(facts, judgements=[*before, last | changed], suspects=frozenset())


# ---- is the model still right ----------------------------------------------------------------------------------------


def test_the_last_drop_s_scores_stand_beside_what_was_expected(facts):
    last = facts.judged[-1]
    shown = {name: (figure, beside) for figure, name, beside in verdict.tiles(last, facts.manifest).items}
    estimate = last["estimate"]
    assert shown["ROC AUC on its rows"] == (
        f"{last['scores']['roc_auc']:.3f}",
        f"expected {estimate['roc_auc_lower']:.3f} to {estimate['roc_auc_upper']:.3f}",
    )
    assert shown["the verdict on the last drop"][0].endswith("drifted")


def test_a_suspect_drop_is_named_before_anything_else(facts):
    assert facts.suspects == {3}
    assert verdict.headline(facts).startswith("The last drop is suspect")
    said = words(drops.over_the_drops(facts))
    assert "Suspect: drop 3 (month3.csv)" in said
    assert "■\u00a0drifted\nsuspect" in said


def test_each_verdict_has_its_sentence(facts):
    last = facts.judgements[-1]
    expected = dict(last, verdict="ok", reasons=[], auc_z=0.1)
    seen = dict(last["seen"])
    shifted = {"seen": seen | {"shifted": {"a": "a: PSI 1", "b": "b: PSI 2"}}, "auc_z": None, "reasons": ["a", "b"]}
    rate = {"verdict": "warning", "auc_z": None, "label_moved": -0.1, "reasons": ["9% left"]}
    without = {"verdict": "ok", "scores": None, "reasons": [], "estimate": None, "waiting": last["estimate"]}
    without["seen"] = seen | {"labelled": 0, "positives": 0, "auc": None}
    cases = {
        "The model has drifted: it ranks the clients worse": {},
        "(a, b)": {"verdict": "drifted", **shifted},
        "with a warning: fewer clients leave": rate,
        "The model is still right: ": expected,
        "before labels come": without,
    }
    for sentence, changed in cases.items():
        assert sentence in verdict.headline(with_last(facts, **changed))
    tiles = verdict.tiles(with_last(facts, **without).judged[-1], facts.manifest)
    assert [name for _, name, _ in tiles.items][1:] == ["ROC AUC, estimated", "F1, estimated"]


def test_a_new_version_says_that_nothing_is_known_yet_and_how_the_one_before_it_ended(facts):
    nothing = dataclasses.replace(facts, judgements=[], suspects=frozenset())
    assert "what came since it came to production has too few labels" in verdict.headline(nothing)
    alone = dataclasses.replace(nothing, drops=facts.drops[:1])
    assert "not known yet: no drop has come since it came to production" in verdict.headline(alone)
    assert "since it was trained" in verdict.headline(dataclasses.replace(alone, release=None))
    assert "No drop has come since the first model was trained. The next one" in words(drops.over_the_drops(alone))
    other = with_last(facts, champion="0000-before")
    assert "The version before it, 0000-before, was judged drifted at last." in words(content.in_short(other))
    assert "ROC AUC when tested" in words(content.in_short(other))


def test_a_drop_that_waits_for_labels_is_mentioned(facts):
    waiting = dataclasses.replace(facts, judgements=facts.judgements[:-1], suspects=frozenset())
    assert "Not judged yet: drop 3. It takes 10 rows of each label" in words(drops.over_the_drops(waiting))
    assert "Not judged yet" not in words(drops.over_the_drops(facts))


# ---- over the drops --------------------------------------------------------------------------------------------------


def test_the_judgements_are_told_newest_first_with_the_raw_rule_beside_them(facts):
    table = table_of(drops.over_the_drops(facts), "judgements")
    assert [row[0].split("\n")[0] for row in table.rows] == ["3", "2"]
    for row, line in zip(table.rows, reversed(facts.judgements), strict=True):
        assert row[-1] == ("drifted" if line["raw_rule"] else "ok")
        assert row[3].startswith(f"{line['seen']['auc']:.3f}\n")
        assert row[3].endswith(f"estimated {line['estimate']['roc_auc']:.3f}")
    assert "It decides nothing here (policy statistical)" in words(drops.over_the_drops(facts))


def test_an_estimate_that_was_wrong_says_by_how_much(facts):
    said = words(drops.over_the_drops(facts))
    assert "The estimate for drop 3 was F1" in said
    assert "it was wrong by" in said
    assert "over 2 drops with labels F1 was estimated" in said


def test_many_reasons_are_cut_and_counted(facts):
    changed = with_last(facts, reasons=[f"column {i} moved" for i in range(9)])
    cell = table_of(drops.over_the_drops(changed), "judgements").rows[0][2]
    assert cell.split("\n") == ["column 0 moved", "column 1 moved", "column 2 moved", "and 6 more"]


def test_a_release_that_returns_does_not_change_how_a_drop_was_judged_when_it_came(facts):
    again = [*facts.judgements, facts.judgements[0] | {"champion": "0009-later"}]
    assert drops.as_they_came(again) == list(facts.judgements)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 200))
def test_the_error_of_f1_is_that_of_the_comparison(seed, rows):
    rng = np.random.default_rng(seed)
    left, risk = rng.random(rows) < 0.4, rng.random(rows)
    said = risk >= 0.5
    counts = {"tp": (said & left).sum(), "fp": (said & ~left).sum(), "fn": (~said & left).sum()}
    value, influence = comparison.f1(left, risk, 0.5)
    assert drops.f1_error({key: int(n) for key, n in counts.items()}) == pytest.approx(comparison.error_of(influence))
    assert 0 <= value <= 1


def points(versions, **given):
    whole = Interval(0.8, 0.75, 0.85)
    known = {"verdict": "ok", "suspect": False, "auc": whole, "f1": whole, "estimated_auc": whole, "estimated_f1": None}
    return [Point(label=str(i + 1), version=v, **(known | given)) for i, v in enumerate(versions)]


@given(st.lists(st.sampled_from(["0001", "0002", "0003"]), min_size=1, max_size=12), st.sampled_from(["0001", "0003"]))
def test_a_vertical_line_stands_where_another_version_came(versions, now):
    found = timeline.changes(points(versions), now)
    assert found[0] == (-0.5, f"version {versions[0]}")
    after = [*versions[1:], now]
    assert [place for place, _ in found[1:]] == [
        i + 0.5 for i, (old, new) in enumerate(zip(versions, after, strict=True)) if old != new
    ]
    assert all(("back to" in said) == (after[int(place)] < versions[int(place)]) for place, said in found[1:])


def test_the_picture_of_the_drops_is_drawn_for_extremes_and_says_in_words_what_it_shows():
    nothing = dict.fromkeys(("auc", "f1", "estimated_auc", "estimated_f1"))
    mixed = points(["0001"] * 3) + points(["0002"] * 3, verdict="drifted", suspect=True)
    for shown, now in ((points(["0001"]), None), (points(["0001"], **nothing), "0001"), (mixed * 9, "0003")):
        picture = timeline.timeline(shown, now)
        assert png_size(picture.png)[0] > 1000
        assert picture.wide
    assert timeline.timeline(mixed, None).png == timeline.timeline(mixed, None).png
    alt = timeline.timeline(mixed, "0001").alt
    assert alt.startswith("In production version 0001, version 0002 after 3 drops, back to 0001 after 6 drops. ")
    assert "drop 1: drifted, suspect, ROC AUC 0.800" in alt


def png_size(content):
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


# ---- whom to call ----------------------------------------------------------------------------------------------------


def listed(**changed):
    row = {"rank": "1", "client": "a", "risk": "0.5", "value": "10", "expected_gain": "1.25", "status": "stayed"}
    row |= {"reason_1": "x 1, typical 2: raises the risk most", "reason_2": "", "reason_3": "", "why": ""}
    gone = {"rank_before": "3", "client": "b", "risk_before": "0.6", "risk": "", "why": "no longer a client"}
    known = {
        "path": "calllist.csv",
        "key": "client",
        "version": "",
        "rows": [row],
        "listed": 1,
        "entered": 0,
        "risk": 0.5,
        "gain": 1.25,
    }
    known |= {"is_first": False, "removed": [gone], "removed_count": 1, "held_out": 2, "snoozed": 3}
    return CallList(**(known | changed))


def test_who_stayed_entered_and_came_off_is_told_with_the_reasons(facts):
    said = words(listing.whom(dataclasses.replace(facts, calls=listed())))
    assert "1 of the" in said
    assert "2 more rank as high and are left uncalled, as 20% of all clients are" in said
    assert "3 clients snoozed for now" in said
    assert "Since the last list 0 entered, 1 stayed and 1 came off." in said
    assert "x 1, typical 2: raises the risk most" in said
    assert "3 b 60%  no longer a client" in said


def test_a_first_list_an_empty_one_and_none_say_so(facts):
    def said(calls):
        return words(listing.whom(dataclasses.replace(facts, calls=calls)))

    assert "No list was made before" in said(listed(is_first=True, removed=[], removed_count=0))
    assert "Nobody is to be called: no call pays." in said(listed(rows=[], listed=0))
    assert "Nobody is listed: the list is not written yet" in said(None)
    assert "A random 20% of the clients are never listed" in said(listed(held_out=None))


def test_without_an_id_rows_are_numbered_and_nothing_is_said_of_last_time(facts):
    without = facts.settings.model_copy(update={"id": None, "value": 1.0, "contact_cost": 0.0})
    calls = listed(key="row", rows=[listed().rows[0] | {"row": "17", "status": ""}], removed=[], removed_count=0)
    blocks = listing.whom(dataclasses.replace(facts, settings=without, calls=calls))
    assert table_of(blocks).head == ("rank", "row", "risk", "why this risk")
    assert "named by the number of its row" in words(blocks)
    assert "last list" not in words(blocks)


# ---- what calling is worth -------------------------------------------------------------------------------------------


def test_the_worth_of_the_list_is_that_of_the_drops_since_but_not_of_a_suspect_one(drifted, facts):
    folder = releases.current(drifted)
    release = releases.load(folder)

    def measured(judged, suspects=frozenset()):
        given = {"judged": judged, "suspects": suspects, "clients": facts.clients, "calls": facts.calls}
        return measuring.worth(drifted, release, facts.held, **given)

    assert "899 rows of drop 2, which came after" in measured(facts.judged[:1]).where
    assert "rows of drop 3, which" in measured(facts.judged).where  # drop 2 came before the onset
    assert measured(facts.judged, frozenset({3})).where.startswith("the 900 rows of the next section")
    assert measured([]).found.rows == len(facts.held.left) == 900
    assert facts.worth.places == 40
    assert facts.worth.found.share == pytest.approx(40 / (0.8 * facts.clients.here))


def test_without_a_capacity_all_from_the_threshold_on_are_called(drifted, facts):
    settings = drifted.settings.model_copy(update={"capacity": None})
    product = dataclasses.replace(drifted, settings=settings)
    release = releases.load(releases.current(drifted))
    given = {"judged": [], "suspects": frozenset(), "clients": facts.clients, "calls": None}
    found = measuring.worth(product, release, facts.held, **given)
    flagged = facts.held.risk >= facts.held.threshold
    assert found.places == flagged.sum()
    assert found.found.model.precision.value == pytest.approx(facts.held.left[flagged].mean())
    blocks = worth.worth(dataclasses.replace(facts, settings=settings, worth=found))
    assert "No capacity is set" in words(blocks)
    assert "(the list)" in words(blocks)


def test_the_worth_stands_beside_random_and_the_constant_guess_with_intervals(facts):
    table = table_of(worth.worth(facts), "40 calls")
    model = facts.worth.found.model
    kept = model.profit.times(40)
    assert [row[0] for row in table.rows] == ["Precision", "Lift", "Found", "Value kept"]
    assert table.rows[0][1] == figures.with_interval(model.precision, figures.percent)
    assert table.rows[3][1].startswith(figures.amount(kept.value))
    assert table.rows[1][2] == "1.0"
    assert "(40 calls)" in words(worth.worth(facts))
    assert "No call is recorded yet" in words(worth.worth(facts))
    told = dataclasses.replace(facts, effect=["Calling kept 12 of 100 called."])
    assert "Calling kept 12 of 100 called." in words(worth.worth(told))


def test_too_few_rows_claim_no_worth(facts):
    few = dataclasses.replace(facts, worth=None)
    assert "it takes at least 10 labelled rows of those who left" in words(worth.worth(few))
    assert "of 100 picked at random" not in words(content.in_short(few))


# ---- how good it is --------------------------------------------------------------------------------------------------


def test_scores_have_intervals_that_hold_them(facts):
    scores, known = facts.held.scores(), quality.intervals(facts.held)
    assert set(known) == {"f1", "precision", "recall", "roc_auc", "average_precision", "log_loss"}
    for name, interval in known.items():
        assert interval.value == pytest.approx(scores[name])
        assert interval.lower < interval.value < interval.upper
    nobody = HeldOut(np.zeros(5, bool), np.full(5, 0.1), 0.5, "test rows")
    assert quality.intervals(nobody) == {}


@st.composite
def labelled_risks(draw):
    """Who left and the risk of each, with many, few or no equal risks, calibrated or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 500))
    risk = rng.beta(draw(st.floats(0.2, 5)), 2, rows).round(draw(st.integers(0, 6)))
    return rng.random(rows) < (risk if draw(st.booleans()) else draw(st.floats(0, 1))), risk


@settings(max_examples=100, deadline=None)
@given(labelled_risks())
def test_calibration_bins_hold_every_row_once_and_do_not_split_equal_risks(rows):
    left, risk = rows
    bins = charts.calibration_bins(left, risk)
    assert sum(b.rows for b in bins) == len(risk)
    assert 1 <= len(bins) <= charts.MAX_BINS
    assert sum(b.rows * b.left.value for b in bins) == pytest.approx(left.sum())
    assert sum(b.rows * b.risk for b in bins) == pytest.approx(risk.sum())
    assert all(b.left.lower <= b.left.value + 1e-12 and b.left.value <= b.left.upper + 1e-12 for b in bins)
    _, equal = np.unique(risk, return_counts=True)
    assert set(np.cumsum([b.rows for b in bins])) <= set(np.cumsum(equal))


def test_the_interval_of_a_bin_is_wilson_s():
    (found,) = charts.calibration_bins(np.arange(10) < 2, np.full(10, 0.3))
    assert (found.left.lower, found.left.upper) == pytest.approx((0.0567, 0.5098), abs=1e-4)  # Wilson, 2 of 10


def test_pictures_are_drawn_for_extremes():
    left, risk = np.arange(60) < 30, np.full(60, 0.5)
    drawn = [
        charts.gain(left, risk, 0.1, "6 calls"),
        charts.gain(left, risk, 1.0, "the list"),
        charts.gain(np.resize(left, 4000), np.linspace(0, 1, 4000), 0.9, "the list"),
        charts.calibration(charts.calibration_bins(left, np.zeros(60))),
        charts.calibration(charts.calibration_bins(left, np.linspace(0, 1, 60))),
        charts.confusion({"tp": 0, "fp": 0, "fn": 0, "tn": 0}),
        charts.confusion(dict.fromkeys(("tp", "fp", "fn", "tn"), 10**9), "title"),
    ]
    for picture in drawn:
        assert min(png_size(picture.png)) > 300
        assert b"<svg" in picture.svg
        assert picture.alt


# ---- the decision ----------------------------------------------------------------------------------------------------


def paired(champion, challenger, error=0.01):
    return {"champion": champion, "challenger": challenger, "error": error}


def compared(**changed):
    measures = {"average_precision": paired(0.4, 0.45), "roc_auc": paired(0.7, 0.71), "log_loss": paired(0.5, 0.49)}
    known = {"rows": 3000, "positives": 600, **measures, "guard": paired(0.5, 0.5), "guard_name": "f1", "groups": {}}
    return known | changed


def test_each_recipe_stands_beside_the_champion_and_the_winner_is_marked():
    recipes = {"all": compared(), "recent": compared(average_precision=paired(0.4, 0.5))}
    verdict = {"yes": True, "reason": "", "numbers": {"rival": "0001-a", "recipes": recipes, "recipe": "recent"}}
    (table,) = decision.comparison(verdict, "The last comparison")
    assert table.title == "The last comparison: against 0001-a"
    assert [row[0].endswith("\nwon") for row in table.rows] == [False, True]
    assert table.rows[1][2] == "0.500 against 0.400\n+0.100\n(+0.080 to +0.120)"
    assert table.rows[0][5] == "0.500 against 0.500\n0.000\n(-0.020 to +0.020)"
    lost = decision.comparison(verdict | {"yes": False}, "")[0]
    assert not any("won" in row[0] for row in lost.rows)


def test_a_rollback_and_groups_are_told_too():
    back = {"yes": True, "reason": "", "numbers": {"rival": "0001-a", **compared()}}
    assert decision.comparison(back, "")[0].rows[0][0] == "the release before, 0001-a"
    groups = {"plan basic": compared(rows=400)}
    verdict = {"yes": False, "reason": "", "numbers": {"recipes": {"all": compared(groups=groups)}, "rival": "x"}}
    assert decision.comparison(verdict, "")[1].rows[0][:3] == ("all rows", "plan basic", "400")


def test_the_last_comparison_and_the_one_that_chose_this_version_are_shown_once_each(facts):
    titles = [block.title for block in decision.decision(facts) if isinstance(block, Table)]
    assert len(titles) == len(set(titles)) == 3
    assert titles[1].startswith("The last comparison, after drop 2: against 0001")
    assert titles[2] == f"The comparison that decided on {facts.version}: against the constant guess"


def test_what_was_seen_of_a_drop_is_not_told_again_with_the_decision(facts):
    seen = facts.decisions[-1]["drift"]["reason"]
    assert facts.decisions[-1]["reason"].startswith(f"{seen}; ")
    assert seen not in words(decision.decision(facts))


def test_all_candidates_are_shown_and_the_chosen_one_is_marked():
    row = {"kind": "logistic", "settings": {"C": 0.1}, "behind": 0.0, "behind_se": 0.0, "chosen": True}
    row |= {f"{name}{se}": 0.25 for name in ("log_loss", "roc_auc", "average_precision", "brier") for se in ("", "_se")}
    other = row | {"settings": {}, "behind": 0.002, "behind_se": 0.001, "chosen": False}
    blocks = decision.chosen({"reason": "logistic (C 0.1): best", "rows": 900, "table": [row, other]})
    table = table_of(blocks, "candidates")
    assert [cells[0] for cells in table.rows] == ["logistic (C 0.1)\nchosen", "logistic (defaults)"]
    assert [cells[2] for cells in table.rows] == ["", "0.0020\n± 0.0010"]
    assert "Chosen: logistic (C 0.1): best." in words(blocks)
    assert len(decision.chosen({"reason": "logistic", "rows": 9, "table": []})) == 2


# ---- the columns -----------------------------------------------------------------------------------------------------


def test_the_risks_come_first_then_what_moved_then_what_is_important(facts):
    shown = content.document(facts).sections
    section = next(one for one in shown if one.title == "The columns")
    titles = [title for title, _, _ in section.blocks[-1].items]
    assert titles[0] == "The risks"
    assert titles[1:] == [name for name in facts.manifest["importance"] if name in titles]
    assert f"Blue: the {facts.columns.rows} rows of drop 3, judged last." in words(section.blocks)
    far = dataclasses.replace(facts.columns.shifts[titles[-1]], psi=0.3, p_value=0.0)
    moved = dataclasses.replace(facts.columns, shifts={**facts.columns.shifts, titles[-1]: far})
    assert columns.chosen(moved, facts.manifest["importance"], 0.1, 1e-3)[:3] == [profile.RISK, titles[-1], titles[1]]


def test_how_far_a_column_moved_is_said_in_a_word(facts):
    name = next(iter(facts.manifest["importance"]))
    shift = facts.columns.shifts[name]
    for psi, p_value, word in ((0.3, 1e-9, "Moved much"), (0.2, 1e-9, "Moved"), (0.05, 1e-9, "Moved little")):
        assert columns.moved(dataclasses.replace(shift, psi=psi, p_value=p_value), 1e-4) == word
    assert columns.moved(dataclasses.replace(shift, psi=0.3, p_value=0.01), 1e-4) == "As it was"


def test_the_levels_of_a_category_are_numbered_in_the_picture_and_named_beside_it():
    contract = Columns(target="t", positive="1", negative="0", numeric=("x",), categorical=("<plan>",))
    before = pd.DataFrame({"x": [1.0, 2.0] * 50, "<plan>": ["<b>basic</b>"] * 60 + ["full"] * 40})
    now = pd.DataFrame({"x": [1.0, 2.0] * 50, "<plan>": ["full"] * 100})
    risk = np.linspace(0, 1, 100)
    reference = profile.build(before, contract, risk)
    shifts = {one.column: one for one in profile.shifts(reference, now, risk)}
    compared = columns.Compared(histogram.histograms(reference, now, risk), shifts, [2], 100)
    text, pictures = columns.columns(compared, {"<plan>": 0.9, "x": 0.1}, 0.1)
    title, picture, caption = pictures.items[1]
    assert title == "<plan>"
    assert caption.startswith('Moved much: 0% "<b>basic</b>", was 60%; PSI ')
    assert caption.endswith("\n1 = <b>basic</b>, 2 = full")
    assert "level 1: now 0%, was 60%" in picture.alt
    assert not any(word in picture.svg.decode() + picture.alt for word in ("basic", "full", "plan"))
    assert "Shown: every column and the risks;" in text.text


def test_before_a_drop_is_judged_the_training_rows_stand_alone(facts):
    alone = dataclasses.replace(facts.columns, shifts={}, drops=[], rows=0)
    text, pictures = columns.columns(alone, facts.manifest["importance"], 0.1)
    assert "No drop has been judged since" in text.text
    assert len(pictures.items) == 4
    assert "Not known" in words(columns.columns(None, {}, 0.1))


def test_of_many_columns_the_twelve_that_say_most_are_shown():
    names = tuple(f"x{i}" for i in range(30))
    contract = Columns(target="t", positive="1", negative="0", numeric=names)
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 30)), columns=list(names))
    compared = columns.Compared(histogram.histograms(profile.build(rows, contract)), {}, [], 0)
    text, pictures = columns.columns(compared, {name: i for i, name in enumerate(names)}, 0.1)
    assert [title for title, _, _ in pictures.items] == [f"x{i}" for i in range(29, 17, -1)]
    assert len({picture.name for _, picture, _ in pictures.items}) == 12
    assert "12 of the 30 columns" in text.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (-0.0, "0"), (12.5, "12.5"), (2500, "2500"), (25_000, "25k"), (3e6, "3M"), (2e9, "2G")],
)
def test_numbers_below_a_small_picture_are_short(value, shown):
    assert histograms.tick(value) == shown


# ---- in words and on paper -------------------------------------------------------------------------------------------


def test_figures_are_written_as_people_do():
    assert figures.with_interval(proportion(0.5, 0.05, 100), figures.percent) == "50% (40% to 60%)"
    assert figures.with_interval(Interval(2.0, 2.0, 2.0), figures.times) == "2.0"
    assert [figures.signed(value) for value in (0.0471, -0.0471, -0.0001)] == ["+0.047", "-0.047", "0.000"]
    assert [figures.amount(value) for value in (1043.2, 0.5, 12.345)] == ["1,040", "0.5", "12.3"]
    several = [figures.several("drop", numbers) for numbers in ([4], [4, 5], [4, 5, 6], [4, 6, 9])]
    assert several == ["drop 4", "drops 4 and 5", "drops 4 to 6", "drops 4, 6 and 9"]
    assert [figures.count(n, "call") for n in (1, 1200)] == ["1 call", "1,200 calls"]


def test_a_heading_keeps_the_start_of_its_table_on_its_page():
    pdf.typography.register_fonts()
    long = Table(("a", "b"), [("x", "1")] * 200, (1, 1), title="A long table")
    alone = pdf._section(Section("Heading", [Text("a note", "note")]))[0]
    story = pdf._section(Section("Heading", [Text("what leads to it"), long]))
    assert isinstance(story[0], CondPageBreak)
    assert alone.height + 60 < story[0].height < pdf.HALF_PAGE
    assert math.isclose(sum(isinstance(part, CondPageBreak) for part in story), 3)


def test_the_whole_report_is_the_same_bytes_twice(facts):
    first, second = content.document(facts), content.document(facts)
    assert pdf.pdf(first) == pdf.pdf(second)
    assert reporting.html(first) == reporting.html(second)
