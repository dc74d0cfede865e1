"""Drop after drop through the loop of decisions: what is promoted, what never is, and what is taken back."""

import json
import shutil

import numpy as np
import pytest

import deployment
import fullprocess
import ingestion
import training
from churn import dataset, decisions, estimators, releases, storage
from churn.contest import challenge
from churn.intake import reading
from demo import fabricate
from tests.loop import CLIENTS, LATE, NOBODY, changed, copied, decide, make, monthly, put, started


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A product with a model in production, made from two drops."""
    return started(tmp_path_factory.mktemp("loop") / "first")


@pytest.fixture
def deployed(first, tmp_path):
    """A copy of it for a test of its own."""
    return copied(first, tmp_path / "copy")


def current(product):
    return releases.read_manifest(releases.current(product))


def trained_on(product):
    return {int(drop) for drop in current(product)["data"]["weights"]}


def test_a_tick_that_finds_nothing_due_starts_no_database(deployed, monkeypatch):
    fullprocess.tick(deployed)
    monkeypatch.setattr(reading, "connect", lambda *_: pytest.fail("a database was started"))
    fullprocess.tick(deployed)


# ---- promotion -------------------------------------------------------------------------------------------------------


def test_the_first_model_is_deployed_when_it_beats_the_constant_guess_and_a_verdict_says_so(first):
    (decision,) = decisions.read(first)
    manifest = current(first)
    assert (decision["action"], decision["champion"], decision["drift"]) == ("deployed", None, None)
    assert manifest["verdict"] == decision["promotion"] and manifest["rival"] is None
    assert decision["promotion"]["yes"] and "of the constant guess on 3,000 rows" in decision["reason"]
    assert "average precision" in decision["reason"]


def test_a_model_of_noise_is_not_deployed_and_the_next_drop_is_another_chance(tmp_path):
    product = make(tmp_path)
    put(product, 1, flipped=0.5)
    decision = decide(product)
    assert (decision["action"], releases.current_version(product)) == ("none", None)
    assert "of the constant guess" in decision["reason"] and "too few rows to tell" in decision["reason"]
    assert decide(product) is None  # decided until there is other data
    put(product, 2, 3)
    assert decide(product)["action"] == "deployed"


def test_without_a_change_nothing_much_happens_and_each_drop_leaves_one_decision(deployed):
    for month in (3, 4):
        put(deployed, month)
        decision = decide(deployed)
        assert decision["drift"]["verdict"] == "ok" and decision["drift"]["drop"] == month
        assert decision["action"] in ("kept", "deployed") and "within what was to be expected" in decision["reason"]
        assert set(decision["promotion"]["numbers"]["recipes"]) == {"all", "recent"}
        assert decide(deployed) is None
    assert [decision["drops"] for decision in decisions.read(deployed)] == [2, 3, 4]


def test_after_a_change_of_relation_a_model_of_the_rows_since_then_is_promoted_within_two_drops(deployed):
    put(deployed, 3, drift=changed(3))
    decision = decide(deployed)
    assert (decision["action"], decision["drift"]["verdict"]) == ("kept", "drifted")
    assert "drop 3 is suspect" in decision["reason"]  # it may yet be the data that are wrong
    put(deployed, 4, drift=changed(3))
    decision = decide(deployed)
    assert decision["action"] == "deployed", decision["reason"]
    assert "suspect" not in decision["reason"] and "the rows since the drift began" in decision["reason"]
    manifest = current(deployed)
    assert (manifest["version"], manifest["recipe"]) == (decision["challenger"], "since onset")
    assert trained_on(deployed) == {3, 4}
    assert manifest["verdict"] == decision["promotion"] and manifest["rival"] == decision["champion"]
    put(deployed, 5, drift=changed(3))
    decision = decide(deployed)
    assert decision["drift"]["verdict"] == "ok" and "came to production within the last 5 drops" in decision["reason"]


def test_a_column_that_comes_in_another_unit_is_answered_though_the_order_survives_it(deployed):
    for month in (3, 4):
        frame = fabricate.world(CLIENTS, month, 11, fabricate.Drift())
        frame["lastyear_activity"] *= 1000
        fabricate.save(frame, deployed.source / fabricate.file_name("corporate", month))
        decision = decide(deployed)
    assert decision["action"] == "deployed"
    assert "the rows since the drift began" in decision["reason"] and "better, by log loss" in decision["reason"]


def test_two_drops_at_once_end_in_the_same_judgements_and_the_same_model_as_one_by_one(first, tmp_path):
    ends = []
    for at_once in (False, True):
        product = copied(first, tmp_path / str(at_once))
        for month in (3, 4):
            put(product, month, drift=changed(3))
            if not at_once:
                decide(product)
        if at_once:
            decision = decide(product)
            assert decision["action"] == "deployed" and decision["drift"]["drop"] == 4
        lines = [{k: v for k, v in line.items() if k != "at"} for line in decisions.judgements(product)]
        release = releases.load(releases.current(product))
        risks = estimators.risks(release.model, dataset.frame(product)).tobytes()
        ends.append((lines, release.version, release.manifest["data"]["weights"], risks))
    assert ends[0] == ends[1]
    assert [line["drops"] for line in ends[0][0]] == [[3], [4]]


# ---- bad data --------------------------------------------------------------------------------------------------------


def test_a_drop_with_half_its_labels_wrong_never_reaches_production(deployed):
    put(deployed, 3, flipped=0.5)
    decision = decide(deployed)
    assert (decision["action"], decision["drift"]["verdict"]) == ("kept", "drifted")
    assert "drop 3 is suspect" in decision["reason"] and "nothing is trained on it" in decision["reason"]
    for month in (4, 5, 6):
        put(deployed, month)
        decision = decide(deployed)
        assert decision["action"] in ("kept", "deployed"), decision["reason"]
        assert 3 not in trained_on(deployed)
    for version in releases.versions(deployed):
        assert "3" not in releases.read_manifest(deployed.models / version)["data"]["weights"]
    assert decisions.suspects(deployed) == {3}
    assert decide(deployed, force=True)["action"] == "deployed"
    assert trained_on(deployed) == {1, 2, 4, 5, 6}  # not even then


def test_when_it_comes_together_with_the_next_drop_it_is_suspect_all_the_same(deployed):
    put(deployed, 3, flipped=0.5)
    put(deployed, 4)
    decision = decide(deployed)
    assert "drop 3 is suspect" in decision["reason"]
    assert decisions.suspects(deployed) == {3} and 3 not in trained_on(deployed)


def test_a_model_trained_by_hand_on_what_turned_out_suspect_is_not_the_one_that_is_deployed(deployed):
    put(deployed, 3, flipped=0.5)
    put(deployed, 4)
    ingestion.ingest(deployed)
    training.train(deployed)  # nobody has judged the drops yet
    by_hand = releases.versions(deployed)[-1]
    assert "3" in releases.read_manifest(deployed.models / by_hand)["data"]["weights"]
    decide(deployed)
    decide(deployed, force=True)
    assert releases.current_version(deployed) != by_hand and trained_on(deployed) == {1, 2, 4}


# ---- rollback --------------------------------------------------------------------------------------------------------


def worse(product, month, clients=3000):
    """A drop in which those leave who would stay, and a model forced on it; 3,000 clients take all sense away."""
    put(product, month, clients=clients, flipped=1.0)
    decision = decide(product, force=True)
    assert decision["action"] == "deployed" and "forced" in decision["reason"]
    return decision["challenger"]


def test_a_release_worse_than_the_one_before_it_is_taken_back_and_not_promoted_again(deployed):
    before = releases.current_version(deployed)
    bad = worse(deployed, 3)
    put(deployed, 4)
    decision = decide(deployed)
    assert (decision["action"], decision["champion"], decision["challenger"]) == ("rolled back", bad, before)
    assert f"back to {before}: the release before" in decision["reason"]
    assert releases.current_version(deployed) == before
    assert releases.history(deployed)[-1]["version"] == before
    assert decide(deployed) is None
    for month in (5, 6):
        put(deployed, month)
        decision = decide(deployed)
        assert decision["action"] == "kept" and releases.current_version(deployed) == before
        assert "came to production within the last 5 drops" in decision["reason"]
        assert decisions.suspects(deployed) == {3}  # by the judgement of the release that stays


def test_one_that_is_wrong_beyond_all_doubt_gives_way_to_a_model_of_the_newer_rows(deployed):
    worse(deployed, 3, clients=6000)
    put(deployed, 4)
    assert "drop 4 is suspect" in decide(deployed)["reason"]  # one drop alone may be the drop's own fault
    put(deployed, 5)
    decision = decide(deployed)
    assert decision["action"] == "deployed" and "the rows since the drift began" in decision["reason"]
    assert trained_on(deployed) == {4, 5}


def test_where_the_release_before_is_gone_or_damaged_the_loop_goes_on_without_it(deployed, caplog):
    before = releases.current_version(deployed)
    worse(deployed, 3)
    model = deployed.production / before / releases.MODEL
    model.write_bytes(model.read_bytes() + b"x")
    put(deployed, 4, 5)
    decision = decide(deployed)
    assert decision["action"] != "rolled back"
    assert "there is no going back" in caplog.text and "not the bytes that its manifest lists" in caplog.text
    shutil.rmtree(deployed.production / before)
    put(deployed, 6)
    assert decide(deployed)["action"] != "rolled back"


def test_a_rollback_by_hand_is_not_undone(deployed):
    before = releases.current_version(deployed)
    put(deployed, 3)
    decide(deployed, force=True)
    deployment.deploy(deployed, rollback=True)
    assert decide(deployed) is None
    put(deployed, 4)
    decide(deployed)
    assert releases.current_version(deployed) == before
    assert [line["drops"] for line in decisions.judgements(deployed) if line["champion"] == before] == [[3], [4]]


# ---- killed in between -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """In place of a signal that cannot be sent to the process of the tests."""


def killed(*_, **__):
    raise Killed


def test_killed_after_it_judged_the_next_run_decides_as_if_nothing_had_been(first, tmp_path, monkeypatch):
    ends = []
    for name in ("undisturbed", "killed"):
        product = copied(first, tmp_path / name)
        put(product, 3, 4, drift=changed(3))
        if name == "killed":
            with monkeypatch.context() as patch, pytest.raises(Killed):
                patch.setattr(challenge, "challenge", killed)
                decide(product)
            assert len(decisions.judgements(product)) == 2 and len(decisions.read(product)) == 1
        decision = decide(product)
        ends.append({key: value for key, value in decision.items() if key != "at"})
        assert len(decisions.judgements(product)) == 2
    assert ends[0] == ends[1]
    assert ends[1]["action"] == "deployed" and ends[1]["drift"]["drop"] == 4


def test_a_drop_that_comes_after_a_run_was_killed_does_not_make_its_decision_forgotten(deployed, monkeypatch):
    put(deployed, 3, 4, drift=changed(3))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(deployment, "deploy", killed)
        decide(deployed)
    version = decisions.read(deployed)[-1]["challenger"]
    assert releases.current_version(deployed) != version
    put(deployed, 5, drift=changed(3))
    decision = decide(deployed)
    assert (decision["champion"], decision["drift"]["drop"]) == (version, 5)
    assert [entry["version"] for entry in releases.history(deployed)][-1] == version


@pytest.mark.parametrize("name", ["judgements.jsonl", "predictions", "decisions.jsonl"])
def test_what_is_lost_of_the_records_changes_no_later_decision(first, tmp_path, name):
    ends = []
    for lost in (False, True):
        product = copied(first, tmp_path / str(lost))
        put(product, 3, drift=changed(3))
        decide(product)
        path = product.models / name
        if lost:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        put(product, 4, drift=changed(3))
        decision = decide(product)
        ends.append((decision["action"], decision["promotion"], current(product)["data"]["weights"]))
        assert [line["drops"] for line in decisions.judgements(product)] == [[3], [4]]
    assert ends[0] == ends[1] and ends[0][0] == "deployed"


# ---- labels that come later ------------------------------------------------------------------------------------------


def test_a_change_that_only_late_labels_show_is_answered_when_they_come(tmp_path):
    product = make(tmp_path / "late", **LATE)
    for month in (1, 2):
        monthly(product, month)
    decide(product)
    for month in (3, 4, 5):  # each with the labels of the month before
        monthly(product, month, labelled=NOBODY, drift=changed(3))
        if month > 3:
            monthly(product, month - 1, drift=changed(3), name=f"labels-{month - 1}.csv")
        decision = decide(product)
    assert decision["action"] == "deployed", decision["reason"]
    assert "the rows since the drift began" in decision["reason"]
    manifest = current(product)
    assert manifest["data"]["without_label"] == 1500  # of May, on which nothing is trained
    assert manifest["data"]["train_rows"] == 3000
    assert [line["scores"] is None for line in decisions.judgements(product)] == [True, True, False, True, False]


# ---- few rows --------------------------------------------------------------------------------------------------------


def test_on_few_rows_the_verdict_is_that_they_are_too_few_to_tell(first, tmp_path):
    product = copied(first, tmp_path / "other", model="lightgbm", threads=1)
    put(product, 3, clients=150)
    decision = decide(product)
    assert (decision["action"], decision["promotion"]["yes"]) == ("kept", False)
    assert "on 150 rows" in decision["reason"] and decision["reason"].endswith(": too few rows to tell")


def test_so_few_labels_that_a_first_model_cannot_be_told_from_a_guess_deploy_nothing(tmp_path):
    product = make(tmp_path)
    put(product, 1, clients=50)
    decision = decide(product)
    least = product.settings.promotion.min_class_rows
    assert 5 <= decision["promotion"]["numbers"]["recipes"]["all"]["positives"] < least
    assert decision["action"] == "none"
    assert f"so few rows decide nothing, at least {least} of each label are needed" in decision["reason"]
    assert decide(product, force=True)["action"] == "deployed"  # on request


# ---- another configuration -------------------------------------------------------------------------------------------


def test_another_model_in_the_config_is_compared_out_of_fold_and_decided_once(first, tmp_path):
    product = copied(first, tmp_path / "other", model="lightgbm", threads=1)
    decision = decide(product)
    assert "the configuration of the model, or the test files, changed" in decision["reason"]
    assert decision["drift"] is None and decision["selection"]["design"]["kind"] == "lightgbm"
    assert decision["promotion"]["numbers"]["recipes"]["all"]["rows"] == 3000
    assert decide(product) is None and len(decisions.read(product)) == 2
    put(product, 3)
    decision = decide(product)  # and from now on, on rows that came after both
    assert decision["promotion"]["numbers"]["recipes"]["all"]["rows"] == 1500
    assert decision["selection"]["design"]["kind"] == "lightgbm"


def test_a_better_configuration_is_promoted_on_the_rows_there_are(tmp_path):
    product = make(tmp_path / "it", integer=["lastmonth_activity"], id="corporation", target="exited", positive="1")
    table = fabricate.world(1500, 1, 3, fabricate.Drift())
    generator = np.random.default_rng(0)
    table["lastmonth_activity"] = generator.integers(0, 100, len(table))
    middle = table["lastmonth_activity"].between(30, 70)  # which no straight line finds
    table["exited"] = (generator.random(len(table)) < np.where(middle, 0.6, 0.1)).astype(int)
    fabricate.save(table, product.source / "one.csv")
    decide(product, force=True)
    again = make(
        tmp_path / "it",
        integer=["lastmonth_activity"],
        id="corporation",
        target="exited",
        positive="1",
        model="lightgbm",
        threads=1,
    )
    decision = decide(again)
    assert decision["action"] == "deployed", decision["reason"]
    assert current(again)["model"] == "lightgbm" and current(again)["rival"] == decision["champion"]
    assert decide(again) is None


@pytest.mark.parametrize("change", ["seed", "test files"])
def test_what_makes_no_other_kind_of_model_is_decided_once_and_kept(first, tmp_path, change):
    product = copied(first, tmp_path / "other", **({"seed": 1} if change == "seed" else {}))
    if change == "test files":
        fabricate.save(fabricate.world(200, 1, 11, fabricate.Drift(), 5000), product.test / "more.csv")
    decision = decide(product)
    assert decision["action"] == "kept" and "the test files, changed" in decision["reason"]
    assert decide(product) is None


def test_a_configuration_that_is_put_back_as_it_was_calls_for_nothing(first, tmp_path):
    decide(copied(first, tmp_path / "other", model="lightgbm", threads=1))
    product = make(tmp_path / "other")
    decision = decide(product)
    assert decision is None or decision["action"] == "kept"
    assert decide(product) is None


# ---- policies --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def policies(first, tmp_path_factory):
    """What each policy made of a drop of the same world and one of another."""
    found = {}
    for policy in ("raw", "statistical", "always", "never"):
        product = copied(first, tmp_path_factory.mktemp(policy) / "it", drift={"policy": policy})
        made = []
        for month in (3, 4):
            put(product, month, drift=changed(4))
            made.append(decide(product))
        found[policy] = product, made
    return found


def test_whatever_the_policy_each_drop_is_judged_and_the_raw_rule_told(policies):
    judged = {policy: decisions.judgements(product) for policy, (product, _) in policies.items()}
    rules = {policy: [line["raw_rule"] for line in lines] for policy, lines in judged.items()}
    assert rules.pop("always")[1] is True  # of a model of its own by then
    assert set(map(tuple, rules.values())) == {(rules["raw"][0], True)}
    assert all(made[1]["drift"]["raw_rule"] for _, made in policies.values())
    assert judged["never"][1]["verdict"] == judged["raw"][1]["verdict"] == "drifted"


def test_never_only_watches(policies, tmp_path):
    product, made = policies["never"]
    assert [decision["action"] for decision in made] == ["kept", "kept"]
    assert all(decision["promotion"] is None for decision in made)
    assert len(releases.versions(product)) == 1 and not (product.models / "predictions").exists()
    again = copied(product, tmp_path / "other", drift={"policy": "never"}, model="lightgbm", threads=1)
    decision = decide(again)
    assert (decision["action"], decision["promotion"]) == ("kept", None)
    assert "changed, and the policy is never" in decision["reason"]
    assert decide(again, force=True)["action"] == "deployed"


def test_always_deploys_what_it_trains_untested_and_says_so(policies):
    product, made = policies["always"]
    assert [decision["action"] for decision in made] == ["deployed", "deployed"]
    assert all("the policy is always" in decision["reason"] for decision in made)
    assert trained_on(product) == {1, 2, 3}  # but for what is suspect


def test_statistical_lets_challengers_meet_the_champion_on_every_drop(policies):
    _, made = policies["statistical"]
    assert all(decision["promotion"]["numbers"].get("recipes") is not None for decision in made)


@pytest.mark.parametrize(("drift", "below"), [("none", True), ("rate", False)])
def test_raw_compares_only_when_the_new_f1_is_below_the_deployed_score(first, tmp_path, drift, below):
    product = copied(first, tmp_path / "it", drift={"policy": "raw"})
    put(product, 3, drift=fabricate.Drift(drift, 3))  # where more leave, F1 is higher
    decision = decide(product)
    numbers = decision["drift"]["numbers"]
    assert decision["drift"]["raw_rule"] == (numbers["new"]["f1"] < numbers["deployed_f1"]) == below
    if below:
        assert set(decision["promotion"]["numbers"]["recipes"]) == {"all"}
    else:
        assert decision["promotion"] is None and not (product.models / "predictions").exists()


# ---- an older installation -------------------------------------------------------------------------------------------


def older(product):
    """Make it look as the version of this software before left it."""
    for folder in (product.models, product.production):
        for path in folder.glob("0*/manifest.json"):
            manifest = json.loads(path.read_text())
            manifest["format"], manifest["recipe"] = 1, manifest.pop("configuration")
            for key in ("selection", "reference"):
                del manifest[key]
            manifest["files"] = {
                n: h for n, h in manifest["files"].items() if n not in ("reference.json", "outoffold.npz")
            }
            path.write_text(storage.to_json(manifest))
            for name in ("reference.json", "outoffold.npz"):
                (path.parent / name).unlink()
    (line,) = decisions.read(product)
    line["recipe"] = line.pop("configuration")
    del line["selection"]
    path = product.models / decisions.FILE
    path.write_text(json.dumps(line) + "\n")


def test_a_champion_of_an_older_version_gives_way_to_a_first_model_and_errors_say_what_to_do(deployed):
    older(deployed)
    old = releases.current_version(deployed)
    with pytest.raises(
        releases.ReleaseError, match="python fullprocess.py --force, which trains and deploys a new one"
    ):
        releases.load(releases.current(deployed))
    decision = decide(deployed)
    assert (decision["action"], decision["champion"]) == ("deployed", None)
    assert "of the constant guess" in decision["reason"]
    assert releases.current_version(deployed) != old and current(deployed)["format"] == 2
    put(deployed, 3, 4, drift=changed(3))  # and the loop goes on, over the older decisions
    assert decide(deployed)["action"] == "deployed"
    assert releases.current_version(deployed).startswith("0003")
