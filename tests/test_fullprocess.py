"""The whole loop through real processes: what a tick does, does not do, and does after it was killed."""

import json
import os
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest

import deployment
import scoring
import training
from churn import config, dataset, estimators, releases, storage
from churn.calls.changes import OTHER_TERMS
from churn.history.store import connect
from demo import fabricate
from tests import odd_files
from tests.conftest import FOLDERS, HOME
from tests.loop import make
from tests.ticks import Forker

CLIENTS = 600


@pytest.fixture(scope="module")
def forker(tmp_path_factory):
    with Forker(tmp_path_factory.mktemp("ticks")) as forker:
        yield forker


@pytest.fixture(scope="module")
def run(forker):
    """Run fullprocess.py as cron would; its exit code, and what it said."""
    return forker.run


def start(product, expect=0, **environment):
    """The same in a process that is started for it."""
    command = [sys.executable, str(HOME / "fullprocess.py"), "--config", str(product.config_path)]
    environment = os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def drop(product, month, *, clients=CLIENTS, drift=None, first=0, folder=None):
    """Put a month of fabricated clients into the product's source folder."""
    frame = fabricate.world(clients, month, 11, drift or fabricate.Drift(), first)
    path = (folder or product.source) / fabricate.file_name("corporate", month)
    fabricate.save(frame, path)
    return path


def files(folder):
    """Every file below a folder but the logs: path, content, time of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "logs" not in path.relative_to(folder).parts
    }


def decided(product):
    return storage.read_lines(product.models / "decisions.jsonl")


@pytest.fixture(scope="module")
def first_tick(tmp_path_factory):
    """A folder in which one tick has run, a process of its own: two months ingested, a first model in production."""
    product = make(tmp_path_factory.mktemp("first"))
    drop(product, 1)
    drop(product, 2)
    drop(product, 1, clients=500, first=CLIENTS, folder=product.test)
    return product, start(product)


@pytest.fixture
def deployed(first_tick, tmp_path):
    """A copy of that folder for a test of its own."""
    shutil.copytree(first_tick[0].config_path.parent, tmp_path / "copy", symlinks=True)
    return make(tmp_path / "copy")


def test_the_first_tick_leaves_a_deployed_model_a_report_and_the_scored_clients(first_tick):
    product, done = first_tick
    for name in ("trainedmodel.pkl", "latestscore.txt", "ingestedfiles.txt"):
        assert (product.production / name).is_symlink() and (product.production / name).read_bytes()
    assert 0 < float((product.production / "latestscore.txt").read_text()) < 1
    names = (product.production / "ingestedfiles.txt").read_text().split()
    assert names == ["corporate-2026-01.csv", "corporate-2026-02.csv"]
    assert (product.reports / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (product.reports / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (product.reports / "confusionmatrix.png").read_bytes().startswith(b"\x89PNG")
    clients = pd.read_csv(product.reports / "clients.csv")
    assert len(clients) == CLIENTS and clients["risk"].is_monotonic_decreasing
    assert list(clients["rank"]) == list(range(1, CLIENTS + 1))
    assert set(clients["model_version"]) == {releases.current_version(product)}
    assert done.stdout.splitlines()[-1].startswith("corporate: deployed; 0001-")
    assert "next" in done.stdout


def test_the_verdict_on_the_first_model_stands_in_its_manifest_with_its_numbers(first_tick):
    manifest = releases.read_manifest(releases.current(first_tick[0]))
    numbers = manifest["verdict"]["numbers"]
    assert manifest["verdict"]["yes"] and manifest["rival"] is None
    assert numbers["rival"] == "the constant guess" and numbers["recipes"]["all"]["rows"] == 500


def test_a_second_tick_changes_no_file_outside_logs_and_says_so(first_tick, run):
    product, _ = first_tick
    folder = product.config_path.parent
    before = files(folder)
    for look_closely in (False, True):
        if look_closely:
            (folder / "logs" / "config.json.idle").unlink()
        assert run(product).stdout.splitlines()[-1].startswith("corporate: nothing new")
        assert files(folder) == before


def test_a_tick_after_an_idle_one_sees_a_new_drop_at_once(deployed, run):
    run(deployed)
    run(deployed)
    drop(deployed, 3)
    assert "1 drop ingested" in run(deployed).stdout
    assert len(decided(deployed)) == 2


def test_a_new_drop_is_scored_by_the_champion_before_anything_trains_on_it(deployed, run):
    champion = releases.load(releases.current(deployed))
    path = drop(deployed, 3)
    run(deployed)
    frame = pd.read_csv(path)
    risk = estimators.risks(champion.model, frame)
    said, left = risk >= champion.threshold, frame["exited"].to_numpy() == 1
    f1 = 2 * (said & left).sum() / (said.sum() + left.sum())
    drift = decided(deployed)[-1]["drift"]
    assert drift["numbers"]["new"]["f1"] == pytest.approx(f1, abs=0.01)  # but for rows that the last month had
    assert drift["raw_rule"] == (drift["numbers"]["new"]["f1"] < champion.manifest["scores"]["f1"])
    assert (drift["drop"], drift["verdict"]) == (3, "ok")


def test_when_nothing_is_to_be_replaced_clients_are_scored_anew_all_the_same(deployed, run):
    product = make(deployed.config_path.parent, drift={"policy": "never"})
    drop(product, 3, clients=CLIENTS + 50)
    run(product)
    assert decided(product)[-1]["action"] == "kept" and decided(product)[-1]["challenger"] is None
    assert len(releases.versions(product)) == 1
    assert len(pd.read_csv(product.reports / "clients.csv")) == CLIENTS + 50


def test_after_a_change_of_relation_a_challenger_earns_its_promotion_and_the_last_line_says_so(deployed, run):
    for month in (3, 4):
        drop(deployed, month, clients=2000, drift=fabricate.Drift("relation", 3, 2.0))
    done = run(deployed)
    decision = decided(deployed)[-1]
    version = decision["challenger"]
    assert decision["action"] == "deployed", decision["reason"]
    assert releases.current_version(deployed) == version
    assert done.stdout.splitlines()[-1] == f"corporate: deployed; {version} in production: {decision['reason']}"
    assert "instead of 0001" in done.stderr
    assert set(pd.read_csv(deployed.reports / "clients.csv")["model_version"]) == {version}
    assert run(deployed).stdout == "corporate: nothing new\n"


def test_test_files_in_which_everybody_stands_leave_nobody_to_train_on_and_that_is_told_once(deployed, run):
    seen = fabricate.world(CLIENTS, 1, 11, fabricate.Drift())  # clients on whom the champion has trained
    unseen = fabricate.world(300, 1, 11, fabricate.Drift(), 2000)
    fabricate.save(pd.concat([seen, unseen]), deployed.test / "more.csv")
    (deployed.test / "corporate-2026-01.csv").unlink()
    assert "at least 5 of each label are needed" in run(deployed, expect=1).stdout
    assert decided(deployed)[-1]["action"] == "none"
    assert run(deployed).stdout == "corporate: nothing new\n"
    fabricate.save(pd.concat([seen.head(200), unseen]), deployed.test / "more.csv")
    run(deployed)
    assert "the test files, changed" in decided(deployed)[-1]["reason"]


def test_a_rollback_by_hand_is_not_undone_by_the_next_tick(deployed, run):
    product = make(deployed.config_path.parent, seed=1)
    run(product, "--force")
    assert releases.current_version(product).startswith("0002")
    deployment.deploy(product, rollback=True)
    version = releases.current_version(product)
    assert version.startswith("0001")
    run(product)
    assert releases.current_version(product) == version
    run(product, "--force")
    assert releases.current_version(product).startswith("0003")


def test_a_rollback_of_what_was_deployed_by_hand_and_then_forced_is_not_undone_either(deployed, run):
    product = make(deployed.config_path.parent, seed=1)
    training.train(product)
    scoring.score_version(product)
    deployment.deploy(product)
    time.sleep(1.1)  # the history's times are whole seconds
    run(product, "--force")
    assert releases.current_version(product).startswith("0002")
    assert run(product).stdout == "corporate: nothing new\n"
    time.sleep(1.1)
    deployment.deploy(product, rollback=True)
    run(product)
    assert releases.current_version(product).startswith("0001")


def test_a_list_by_other_terms_is_made_at_the_next_tick_and_kept_beside_the_first(deployed, run):
    product = make(deployed.config_path.parent, capacity=30, value=250.0, contact_cost=4.0)
    run(product)
    assert len(pd.read_csv(product.reports / "calllist.csv")) == 30
    changes = pd.read_csv(product.reports / "calllist-changes.csv")
    assert set(changes["why"]) <= {OTHER_TERMS, "left", "in the holdout now"} and OTHER_TERMS in set(changes["why"])
    with connect(product) as book:
        lists = book.batches("list")
        assert [row["status"] for row in book.last_list().rows].count("held out") == lists[-1]["rows"] - 30 - sum(
            changes["change"] == "removed"
        )
        assert len(lists) == 2
        assert set(book.compared()["period"]) == {lists[-1]["id"]}  # of the lists of one day the last
    assert run(product).stdout == "corporate: nothing new\n"


def test_with_one_label_only_there_is_no_model_and_the_reason_is_given(tmp_path, run):
    product = make(tmp_path)
    path = drop(product, 1)
    frame = pd.read_csv(path)
    frame["exited"] = 0
    frame.to_csv(path, index=False)
    done = run(product, expect=1)
    assert "at least 5 of each label are needed" in done.stdout
    assert not releases.versions(product) and releases.current_version(product) is None
    assert run(product).stdout == "corporate: nothing new\n"  # decided until there is other data
    drop(product, 2)
    drop(product, 3)
    run(product)
    assert decided(product)[-1]["reason"]


def test_a_release_whose_bytes_changed_is_reported_at_every_tick(deployed, run):
    path = deployed.production / releases.current_version(deployed) / "model.skops"
    path.write_bytes(path.read_bytes() + b"x")
    drop(deployed, 3)
    for _ in range(2):
        assert "not the bytes that its manifest lists" in run(deployed, expect=1).stdout


def test_a_file_set_aside_is_told_once_with_exit_1_and_stops_nothing(deployed, run):
    (deployed.source / "broken.csv").write_text("corporation;exited\nabcd;1\n")
    drop(deployed, 3)
    done = run(deployed, expect=1)
    assert "broken.csv, line 1: its fields are separated by semicolons" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("corporate: 1 file set aside")
    assert len(decided(deployed)) == 2
    for _ in range(2):  # looking closely, and by the note
        assert run(deployed).stdout.startswith("corporate: nothing new; 1 file is still set aside")
    (deployed.source / "broken.csv").unlink()
    for _ in range(2):
        assert run(deployed).stdout == "corporate: nothing new\n"


@pytest.mark.parametrize("name", ["clients.csv", "report.pdf", "diagnostics.json"])
def test_a_result_that_was_deleted_is_made_anew(deployed, name, run):
    run(deployed)
    (deployed.reports / name).unlink()
    assert run(deployed).stdout.splitlines()[-1].startswith("corporate: brought up to date")
    assert (deployed.reports / name).is_file()


def test_a_lost_link_to_production_is_made_anew_from_the_history(deployed, run):
    version, history = releases.current_version(deployed), releases.history(deployed)
    run(deployed)
    (deployed.production / "current").unlink()
    assert releases.history(deployed) == history
    run(deployed)
    assert releases.current_version(deployed) == version
    assert releases.history(deployed) == history
    assert len(decided(deployed)) == 1


@pytest.mark.parametrize("key", ["input_folder_path", "test_data_path"])
def test_a_folder_that_is_not_there_is_an_error_and_not_no_news(deployed, key, run):
    raw = json.loads(deployed.config_path.read_text())
    deployed.config_path.write_text(json.dumps(raw | {key: "mistyped"}))
    for _ in range(2):
        said = run(deployed, expect=1).stdout
        assert "mistyped: no such folder" in said and key in said
    assert len(decided(deployed)) == 1


def test_stored_rows_without_their_record_are_a_loss_that_is_told(deployed, run):
    (deployed.ingested / "record.json").unlink()
    for _ in range(2):
        assert "record.json: missing, though rows are stored" in run(deployed, expect=1).stdout


def test_a_python_without_the_packages_says_which_one_has_them():
    bare = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.append({str(HOME)!r}); from churn import idle; idle.check_packages()",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bare.returncode == 1 and "make run" in bare.stderr and "Traceback" not in bare.stderr


def test_fifty_odd_files_do_not_keep_the_good_ones_from_a_model(tmp_path, run):
    product = make(tmp_path)
    odd_files.make(product.source)
    drop(product, 1, clients=2000)
    drop(product, 1, clients=500, first=2000, folder=product.test)
    done = run(product, expect=1)
    assert "Traceback" not in done.stdout + done.stderr
    assert "set aside" in done.stdout.splitlines()[-1]
    assert decided(product)[-1]["action"] == "deployed"
    assert dataset.load_record(product).rows > 2000
    for drop_ in dataset.load_record(product).ingested:
        assert drop_.rows == drop_.accepted + drop_.duplicate + drop_.rejected
    run(product)  # what was set aside is told once


def test_one_broken_product_does_not_stop_the_others(tmp_path, run):
    product = make(tmp_path)
    raw = json.loads(product.config_path.read_text())
    block = raw["products"]["corporate"]
    raw["products"] = {"broken": block, "corporate": block}
    product.config_path.write_text(json.dumps(raw))
    (tmp_path / "ingesteddata").mkdir()
    (tmp_path / "ingesteddata" / "broken").write_text("a file where a folder belongs")
    (tmp_path / "sourcedata" / "broken").mkdir()
    drop(product, 1, folder=tmp_path / "sourcedata" / "broken")
    drop(product, 1)
    done = run(product, expect=1)
    assert "broken: not done" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("corporate: ")
    assert releases.versions(product)


def test_two_ticks_at_once_one_runs_and_the_other_exits_75_within_a_second(deployed):
    drop(deployed, 3)
    with storage.locked(deployed.logs / "lock", "corporate"):
        began = time.perf_counter()
        done = start(deployed, expect=75)
        seconds = time.perf_counter() - began
    assert "another run" in done.stdout and str(os.getpid()) in done.stdout
    assert seconds < 1, seconds


def test_the_briefs_five_keys_run_unchanged(tmp_path):
    """Flat folders, the corporate columns, the paths as older configs write them."""
    keys = {key: FOLDERS[key] for key in list(FOLDERS)[:5]} | {"input_folder_path": "/practicedata/"}
    (tmp_path / "config.json").write_text(json.dumps(keys))
    (tmp_path / "practicedata").mkdir()
    (tmp_path / "testdata").mkdir()
    fabricate.save(fabricate.world(39, 1, 5, fabricate.Drift()), tmp_path / "practicedata" / "dataset1.csv")
    fabricate.save(fabricate.world(300, 1, 5, fabricate.Drift(), 900), tmp_path / "testdata" / "testdata.csv")
    product = config.load(tmp_path / "config.json")["corporate"]
    done = start(product, PIP_INDEX_URL="http://127.0.0.1:1/", PIP_RETRIES="0")  # it is not about packages
    assert "write it without the slash" in done.stderr
    manifest = releases.read_manifest(releases.current(product))
    assert {row["kind"] for row in manifest["selection"]["table"]} == {"logistic", "lightgbm"}
    assert (tmp_path / "ingesteddata" / "finaldata.csv").is_file()
    for name in ("trainedmodel.pkl", "latestscore.txt", "ingestedfiles.txt"):
        assert (tmp_path / "production_deployment" / name).is_file()
