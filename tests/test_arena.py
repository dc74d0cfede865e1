"""The rows on which models meet: predictions by models that saw none of them, made once and found again."""

import dataclasses
import shutil

import numpy as np
import pytest

import ingestion
from churn import config, dataset, decisions, estimators, releases
from churn.contest import prequential
from churn.contest.arena import FOLDER, Arena
from churn.contest.prequential import Standing
from churn.estimators import Design
from churn.fitting import learning
from churn.monitoring import judging
from tests.loop import decide, make, put

LOGISTIC = Design("logistic")
CHANNELS = {
    "id": "client",
    "target": "left",
    "positive": "1",
    "integer": ["x"],
    "numeric": ["worth"],
    "categorical": ["channel"],
    "value": "worth",
    "promotion": {"groups": ["channel"]},
}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A product with a model of two drops in production, a third one judged and a fourth too small for that."""
    product = make(tmp_path_factory.mktemp("arena") / "first", promotion={"min_class_rows": 10})
    put(product, 1, 2, clients=500)
    decide(product)
    put(product, 3, clients=500)
    put(product, 4, clients=20)
    ingestion.ingest(product)
    judging.judge(product, releases.current(product), "2026-01-01T00:00:00Z")
    return product


@pytest.fixture
def product(first, tmp_path):
    shutil.copytree(first.config_path.parent, tmp_path / "copy", symlinks=True)
    return config.load(tmp_path / "copy" / "config.json")["corporate"]


def arena_of(product, configuration="hash"):
    contents = {drop.number: drop.sha256 for drop in dataset.load_record(product).ingested}
    return Arena(product, learning.rows(product), contents, configuration)


def kept(product):
    """The predictions on the disk, with their time."""
    return {path.name: path.stat().st_mtime_ns for path in (product.models / FOLDER).glob("*")}


def test_units_are_called_by_their_last_drop_and_what_is_too_small_waits(product):
    arena = arena_of(product)
    assert (arena.units, arena.waiting) == ([1, 2, 3], [4])
    put(product, 5, clients=500)
    ingestion.ingest(product)
    assert arena_of(product).members == {1: [1], 2: [2], 3: [3], 5: [4, 5]}
    assert len(arena_of(product).of(5).left) == len(dataset.frame(product, since=3))


def test_what_waits_to_be_judged_is_trained_on_and_what_is_suspect_is_not(product):
    standing = Standing(trained_up_to=2, drops=[1, 2, 3], suspects={2}, onset=3)
    arena = arena_of(product)
    assert arena.weights("all", standing) == {1: 1.0, 3: 1.0, 4: 1.0}
    assert arena.weights("since onset", standing) == {3: 1.0, 4: 1.0}
    assert arena.weights("recent", standing) == {3: 1.0, 1: 0.5 ** (1 / prequential.HALF_LIFE), 4: 1.0}


def test_a_unit_is_predicted_by_a_model_of_the_units_that_are_named(product):
    arena = arena_of(product)
    predicted = arena.predict(LOGISTIC, {1: 1.0, 2: 0.5}, 3)
    rows = learning.rows(product)
    fitted = learning.fit(product, rows, LOGISTIC, {1: 1.0, 2: 0.5}, prequential.FOLDS)
    assert predicted.risk.tobytes() == estimators.risks(fitted.model, rows.frame[rows.drop == 3]).tobytes()
    assert predicted.threshold == fitted.threshold


def test_a_prediction_is_made_once_and_deleting_it_changes_nothing(product):
    asked = [({1: 1.0}, 2), ({1: 1.0, 2: 1.0}, 3)]
    first_time = [arena_of(product).predict(LOGISTIC, *one) for one in asked]
    before = kept(product)
    assert len(before) == 2
    second_time = [arena_of(product).predict(LOGISTIC, *one) for one in asked]
    assert kept(product) == before
    shutil.rmtree(product.models / FOLDER)
    third_time = [arena_of(product).predict(LOGISTIC, *one) for one in asked]
    for one, two, three in zip(first_time, second_time, third_time, strict=True):
        assert one.risk.tobytes() == two.risk.tobytes() == three.risk.tobytes()
        assert one.threshold == two.threshold == three.threshold
    assert set(kept(product)) == set(before)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"\0" * len(b), lambda _: b"PK"]
)
def test_a_damaged_prediction_is_made_anew(product, damage):
    before = arena_of(product).predict(LOGISTIC, {1: 1.0}, 2)
    (path,) = (product.models / FOLDER).glob("*")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert arena_of(product).predict(LOGISTIC, {1: 1.0}, 2).risk.tobytes() == before.risk.tobytes()
    assert path.read_bytes() == whole


def test_whatever_goes_into_a_prediction_is_in_its_name(product):
    ways = [("hash", LOGISTIC, {1: 1.0, 2: 1.0}, 3), ("other", LOGISTIC, {1: 1.0, 2: 1.0}, 3)]
    ways += [("hash", Design("logistic", {"C": 0.1}), {1: 1.0, 2: 1.0}, 3), ("hash", LOGISTIC, {1: 1.0, 2: 0.5}, 3)]
    ways += [("hash", LOGISTIC, {1: 1.0}, 3), ("hash", LOGISTIC, {1: 1.0}, 2)]
    for number, (configuration, *asked) in enumerate(ways, 1):
        arena_of(product, configuration).predict(*asked)
        assert len(kept(product)) == number


def test_a_row_that_a_later_drop_supersedes_makes_the_prediction_anew(tmp_path):
    product = make(tmp_path, id="client", as_of="day", target="left", positive="1", integer=["x"])
    lines = [f"c{i},2026-0{month}-01,{i},{int(i % 7 < 3)}" for month in (1, 2) for i in range(60)]
    for month in (1, 2):
        text = "\n".join(["client,day,x,left", *lines[60 * (month - 1) : 60 * month]]) + "\n"
        (product.source / f"{month}.csv").write_text(text)
    ingestion.ingest(product)
    before = arena_of(product).predict(LOGISTIC, {1: 1.0}, 2)
    corrected = [f"c{i},2026-01-01,{i},{int(i % 7 >= 3)}" for i in range(30)]
    (product.source / "corrected.csv").write_text("\n".join(["client,day,x,left", *corrected]) + "\n")
    ingestion.ingest(product)
    after = arena_of(product).predict(LOGISTIC, {1: 1.0}, 2)
    assert len(kept(product)) == 2 and abs(before.risk - after.risk).max() > 0.01


def test_where_nothing_can_be_learned_there_is_no_prediction_and_that_is_kept_too(product):
    for _ in range(2):
        assert arena_of(product).predict(LOGISTIC, {}, 3) is None
        assert len(kept(product)) == 1


def test_predictions_that_are_not_asked_for_any_more_are_removed(product):
    arena = arena_of(product)
    arena.predict(LOGISTIC, {1: 1.0}, 2)
    arena.predict(LOGISTIC, {1: 1.0}, 3)
    again = arena_of(product)
    again.predict(LOGISTIC, {1: 1.0}, 3)
    again.forget_unused()
    assert set(kept(product)) == again.used and len(again.used) == 1


def test_the_release_is_asked_for_the_same_rows(product):
    release = releases.load(releases.current(product))
    met = arena_of(product).met(release, 3)
    frame = dataset.frame(product, since=2)
    frame = frame[frame["drop_number"] == 3]
    assert (met.left == (frame["exited"] == "1")).all()
    assert met.champion.risk.tobytes() == estimators.risks(release.model, frame).tobytes()
    assert met.champion.threshold == release.threshold and met.groups == {}


def test_clients_of_the_test_files_meet_nobody(product):
    frame = dataset.frame(product)
    tested = frame[frame["drop_number"] == 3].head(100)
    tested[list(product.columns.stored)].to_csv(product.test / "tested.csv", index=False)
    rows = arena_of(product).of(3)
    assert not set(rows.frame["corporation"]) & set(tested["corporation"])


def test_each_row_has_the_value_of_its_client_and_the_groups_it_is_in(tmp_path):
    product = make(tmp_path, **CHANNELS)
    lines = [f"c{i},{i},{'' if i == 0 else i * 2},{['web', 'shop', ''][i % 3]},{int(i % 5 < 2)}" for i in range(90)]
    (product.source / "one.csv").write_text("client,x,worth,channel,left\n" + "\n".join(lines) + "\n")
    ingestion.ingest(product)
    arena = arena_of(product)
    met = arena.out_of_fold(LOGISTIC, {1: 1.0})
    assert met.champion.value.tolist() == [90.0, *(2.0 * i for i in range(1, 90))]  # unknown: the median of the others
    assert {name: member.sum() for name, member in met.groups.items()} == {"channel web": 30, "channel shop": 30}
    assert len(met.left) == len(met.champion.risk) == 90


def test_out_of_fold_no_row_of_a_client_has_had_a_part_in_its_risk(product):
    arena = arena_of(product)
    met = arena.out_of_fold(LOGISTIC, {1: 1.0, 2: 1.0, 4: 1.0})
    rows = learning.rows(product)
    used = rows.of(np.isin(rows.drop, [1, 2, 4]))
    fitted = learning.fit(product, rows, LOGISTIC, {1: 1.0, 2: 1.0, 4: 1.0})
    assert met.champion.risk.tobytes() == fitted.out_of_fold.risk.tobytes()
    assert (met.left == used.left).all()


def test_units_stay_as_they_were_judged_whatever_the_config_says_of_few_by_now(product):
    assert [line["drops"] for line in decisions.judgements(product)] == [[3]]
    rules = product.settings.promotion.model_copy(update={"min_class_rows": 200})
    settings = product.settings.model_copy(update={"promotion": rules})
    assert 3 in arena_of(dataclasses.replace(product, settings=settings)).units
