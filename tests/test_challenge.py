"""Challengers against the release in production: which design they have, on which rows they meet, and what is kept."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import ingestion
import training
from churn import dataset, decisions, releases
from churn.contest import challenge, comparison
from churn.contest.arena import FOLDER
from churn.contest.comparison import Scored
from churn.fitting import learning
from churn.monitoring import judging
from tests.loop import changed, copied, decide, make, put, started


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A product with a model of two drops in production."""
    return started(tmp_path_factory.mktemp("challenge") / "first")


@pytest.fixture
def deployed(first, tmp_path):
    return copied(first, tmp_path / "copy")


def judge(product):
    ingestion.ingest(product)
    folder = releases.current(product)
    judging.judge(product, folder, "2026-01-01T00:00:00Z")
    return decisions.undecided(product, folder.name)


def meet(product, *, is_changed=False):
    """Judge what has come and let challengers meet the champion, without training any."""
    judge(product)
    record, now = dataset.load_record(product), training.configuration(product)
    return challenge.challenge(product, releases.current(product), record, now, changed=is_changed)


def stored(product, *drops):
    """How many rows these drops have; some rows are repeated in the next month, and count once."""
    return int(dataset.frame(product)["drop_number"].isin(drops).sum())


def kept(product):
    return {path.name: path.stat().st_mtime_ns for path in (product.models / FOLDER).glob("*")}


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_a_second_challenge_fits_nothing_and_without_the_folder_it_ends_the_same(deployed, monkeypatch):
    put(deployed, 3, 4, drift=changed(3))
    outcome = meet(deployed)
    assert (outcome.action, outcome.recipe, outcome.weights) == ("promote", "since onset", {3: 1.0, 4: 1.0})
    before = kept(deployed)
    assert len(before) == 5  # two drops by three recipes, but none since an onset in which there are no rows yet
    with monkeypatch.context() as patch:
        patch.setattr(learning, "fit", None)
        assert meet(deployed) == outcome
    assert kept(deployed) == before
    shutil.rmtree(deployed.models / FOLDER)
    assert meet(deployed) == outcome
    assert set(kept(deployed)) == set(before)


def test_with_the_next_drop_only_that_one_is_predicted_anew(deployed):
    put(deployed, 3)
    meet(deployed)
    before = kept(deployed)
    put(deployed, 4)
    meet(deployed)
    after = kept(deployed)
    assert before.items() <= after.items() and len(after) == 2 * len(before) == 4


def test_while_a_new_release_rests_nothing_is_predicted(deployed):
    put(deployed, 3, 4, drift=changed(3))
    assert decide(deployed)["action"] == "deployed"
    put(deployed, 5, drift=changed(3))
    outcome = meet(deployed)
    assert outcome.action == "keep" and "no other is looked for so soon" in outcome.verdict.reason
    assert kept(deployed) == {}


# ---- on which rows ---------------------------------------------------------------------------------------------------


def test_on_a_suspect_drop_nobody_meets(deployed):
    put(deployed, 3, flipped=0.5)
    outcome = meet(deployed)
    assert outcome.verdict.reason == "no rows on which a challenger could meet the champion"
    assert outcome.weights == {1: 1.0, 2: 1.0}
    put(deployed, 4)
    outcome = meet(deployed)
    assert {found["rows"] for found in outcome.verdict.numbers["recipes"].values()} == {stored(deployed, 4)}
    assert 3 not in outcome.weights and 4 in outcome.weights


def test_once_it_has_drifted_they_meet_on_the_rows_since_the_onset(deployed):
    put(deployed, 3)
    put(deployed, 4, 5, drift=changed(4))
    numbers = meet(deployed).verdict.numbers
    assert numbers["recipes"]["all"]["rows"] == stored(deployed, 4, 5)
    assert numbers["recipes"]["since onset"]["rows"] == stored(deployed, 5)  # before 4 there is nothing to train on


def test_by_the_briefs_rule_a_drift_has_no_beginning(first, tmp_path):
    product = copied(first, tmp_path / "it", drift={"policy": "raw"})
    put(product, 3)
    put(product, 4, 5, drift=changed(4))
    numbers = meet(product).verdict.numbers
    assert {name: found["rows"] for name, found in numbers["recipes"].items()} == {"all": stored(product, 3, 4, 5)}


def test_groups_that_the_config_names_are_guarded(tmp_path):
    settings = {"id": "client", "target": "left", "positive": "1", "integer": ["x"], "categorical": ["channel"]}
    product = make(tmp_path, **settings, promotion={"groups": ["channel"], "group_rows": 50})
    generator = np.random.default_rng(0)
    for month in (1, 2):
        x = generator.integers(0, 50, 400)
        left = (generator.random(400) < x / 50).astype(int)
        rows = [f"c{i},{x[i]},{['web', 'web', 'web', 'shop'][i % 4]},{left[i]}" for i in range(400)]
        rows[0] = rows[0].replace("web", "fax")
        (product.source / f"{month}.csv").write_text("\n".join(["client,x,channel,left", *rows]) + "\n")
        if month == 1:
            decide(product)
    numbers = meet(product).verdict.numbers["recipes"]["all"]
    met = dataset.frame(product, since=1)["channel"].value_counts()
    found = {name.removeprefix("channel "): found["rows"] for name, found in numbers["groups"].items()}
    assert found == {"web": met["web"], "shop": met["shop"]} and met["fax"] == 1


# ---- another configuration -------------------------------------------------------------------------------------------


def test_without_new_rows_another_configuration_is_compared_out_of_fold_with_that_of_the_champion(first, tmp_path):
    product = copied(first, tmp_path / "it", model="lightgbm", threads=1)
    outcome = meet(product, is_changed=True)
    found = outcome.verdict.numbers["recipes"]["all"]
    assert found["rows"] == 3000
    rows, weights = learning.rows(product), {1: 1.0, 2: 1.0}
    ours = learning.fit(product, rows, challenge.Design("lightgbm"), weights)
    theirs = learning.fit(product, rows, challenge.Design("logistic"), weights)
    left = rows.left
    risks = theirs.out_of_fold.risk, ours.out_of_fold.risk
    expected = [comparison.average_precision(left, risk)[0] for risk in risks]
    shown = found["average_precision"]
    assert [shown["champion"], shown["challenger"]] == pytest.approx(expected)
    assert outcome.selected["design"]["kind"] == "lightgbm" and outcome.weights == weights


def test_nor_are_suspect_rows_among_those(first, tmp_path):
    put(product := copied(first, tmp_path / "it"), 3, flipped=0.5)
    decide(product)
    again = make(tmp_path / "it", model="lightgbm", threads=1)
    assert meet(again, is_changed=True).verdict.numbers["recipes"]["all"]["rows"] == 3000


def test_nor_do_they_need_drops_that_are_large_enough_to_be_judged(tmp_path):
    product = make(tmp_path / "it")
    put(product, 1, clients=50)
    decide(product, force=True)
    outcome = meet(make(tmp_path / "it", seed=1), is_changed=True)
    assert outcome.action == "keep" and "of each label are needed" in outcome.verdict.reason
    assert "on 50 rows" in outcome.verdict.reason


def test_with_new_rows_they_meet_on_those_also_while_the_release_would_rest(deployed):
    put(deployed, 3, 4, drift=changed(3))
    decide(deployed)
    product = make(deployed.config_path.parent, model="lightgbm", threads=1)
    put(product, 5, drift=changed(3))
    outcome = meet(product, is_changed=True)
    assert {found["rows"] for found in outcome.verdict.numbers["recipes"].values()} == {stored(product, 5)}


# ---- which design ----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """How many rows each selection looked at."""
    rows, select = [], learning.select

    def counted(product, among):
        rows.append(len(among.left))
        return select(product, among)

    monkeypatch.setattr(learning, "select", counted)
    return rows


def test_a_selection_holds_until_the_rows_have_doubled_and_sees_none_of_those_on_which_they_meet(deployed, asked):
    put(deployed, 3)
    outcome = meet(deployed)
    assert asked == [] and outcome.selected == releases.read_manifest(releases.current(deployed))["selection"]
    put(deployed, 4, clients=4 * 1500)  # more than there were, but they are the ones on which they meet
    meet(deployed)
    assert asked == []
    put(deployed, 5)
    outcome = meet(deployed)
    assert asked == [stored(deployed, 1, 2, 3, 4)]
    assert outcome.selected["rows"] == asked[0]
    assert outcome.selected["configuration"] == training.configuration(deployed)


def test_another_configuration_asks_for_another_selection_once(first, tmp_path, asked):
    product = copied(first, tmp_path / "it", seed=1)
    decide(product)
    for month in (3, 4):
        put(product, month)
        decide(product)
    assert len(asked) == 1


def test_decisions_of_older_versions_of_the_software_have_no_selection(deployed):
    path = deployed.models / decisions.FILE
    (line,) = decisions.read(deployed)
    del line["selection"]
    path.write_text(json.dumps(line) + "\n")
    put(deployed, 3)
    assert meet(deployed).selected == releases.read_manifest(releases.current(deployed))["selection"]


# ---- the product's own metric ----------------------------------------------------------------------------------------


def test_the_guard_is_the_metric_that_the_config_names(deployed):
    rows = learning.rows(deployed)
    generator = np.random.default_rng(3)
    left = generator.random(500) < 0.3
    model = Scored(generator.random(500), 0.5, generator.random(500) * 100)
    promotion = deployed.settings.promotion
    settings = {"capacity": 150, "holdout": 0.0, "contact_cost": 3.0, "success_rate": 0.2}  # a tenth of the clients

    def guard(name):
        rules = promotion.model_copy(update={"guard": name})
        changed_settings = deployed.settings.model_copy(update={**settings, "promotion": rules})
        return challenge.guard(dataclasses.replace(deployed, settings=changed_settings), rows)

    assert guard("f1") is None
    value, influence = guard("precision_at_capacity")(left, model)
    first = np.argsort(-model.risk)[:50]
    assert value == pytest.approx(left[first].mean()) and influence.shape == (500,)
    value, _ = guard("expected_profit")(left, model)
    gain = 0.2 * model.risk * model.value - 3.0
    first = [row for row in np.argsort(-gain)[:50] if gain[row] > 0]
    assert value == pytest.approx((0.2 * left * model.value - 3.0)[first].sum() / 50)
