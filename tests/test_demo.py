"""The replay: what a policy would have done over some drops, in a scratch folder that it leaves as it found it."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from churn import config, dataset, decisions, estimators, releases, splits
from churn.contest.comparison import Scored
from churn.estimators import Design
from churn.fitting import selection
from demo import curves, fabricate, policies, replay, replay_lines, replay_setup
from demo.replay_lines import Step
from tests.conftest import HOME, make_product

QUICK = {"model": "logistic", "tuning_seconds": 0.0, "capacity": 30}
DRIFT = fabricate.Drift("relation", 3)
NUMBERS = [
    name for name in curves.COLUMNS if name.startswith(("policy_", "always_", "never_", "estimated_", "f1_over"))
]


def start(*arguments, **environment):
    command = [sys.executable, str(HOME / "demo" / "replay.py"), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, env={**os.environ, **environment}, start_new_session=True)


def everything_in(folder):
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """An installation with a test file and three months of drops, one file among them that is none."""
    product = make_product(tmp_path_factory.mktemp("site"), **QUICK)
    for month in (1, 2, 3):
        path = product.source / fabricate.file_name("corporate", month)
        fabricate.save(fabricate.world(400, month, 7, DRIFT), path)
    (product.source / "corporate-2026-02b.csv").write_text("client,spent\n1,2\n")
    fabricate.save(fabricate.world(200, 1, 7, DRIFT, first_client=1000), product.test / "test.csv")
    return product


@pytest.fixture(scope="module")
def replayed(site, tmp_path_factory):
    """Its own drops, replayed: lines, numbers, and the product of the scratch folder."""
    folder, config_path = tmp_path_factory.mktemp("replayed"), site.config_path
    before = everything_in(config_path.parent)
    arguments = ("--config", config_path, "--drops", site.source, "--keep", folder / "kept", "--out", folder / "out")
    process = start(*arguments, CHURN_HISTORY_URL=f"sqlite:///{folder / 'real.sqlite'}")
    said, trouble = process.communicate()
    assert process.returncode == 0, trouble
    assert everything_in(config_path.parent) == before
    return SimpleNamespace(
        lines=said.splitlines(),
        out=folder / "out",
        found=pd.read_csv(folder / "out" / "replay.csv"),
        product=config.load(folder / "kept" / "config.json")["corporate"],
        folder=folder,
    )


# ---- what a replay says ----------------------------------------------------------------------------------------------


def test_a_line_a_drop_says_what_it_showed_what_was_done_and_why(replayed):
    lines = [line for line in replayed.lines if line.startswith("corporate-")]
    first, second, aside, third = lines
    assert " deployed    0001 " in first and "better than the constant guess: AP 0." in first
    assert " kept        0001 " in second and " 400 " in second
    assert " set aside   0001   the first line is no header of this product" in aside
    assert " kept        0001 " in third and " to 0." in third
    assert max(map(len, replayed.lines[:-3])) <= replay_lines.WIDTH


def test_a_drop_is_scored_as_the_tick_judged_it_before_anything_was_trained_on_it(replayed):
    judged = decisions.judgements(replayed.product)
    rows = replayed.found.dropna(subset="policy_f1")
    assert rows["policy_f1"].tolist() == pytest.approx([line["scores"]["f1"] for line in judged], abs=1e-12)
    assert rows["policy_roc_auc"].tolist() == pytest.approx([line["seen"]["auc"] for line in judged], abs=1e-12)
    assert rows["policy_roc_auc_error"].tolist() == pytest.approx([line["seen"]["auc_error"] for line in judged])
    assert rows["verdict"].tolist() == [line["verdict"] for line in judged]
    assert [line["drops"] for line in judged] == [[2], [4]]


def test_never_and_always_retraining_score_what_a_direct_computation_gives(replayed):
    product, row = replayed.product, replayed.found.iloc[-1]
    frame = dataset.frame(product)
    left = (frame["exited"] == "1").to_numpy()
    old, new = (frame["drop_number"] < 4).to_numpy(), (frame["drop_number"] == 4).to_numpy()
    first = releases.load(releases.folder_of(product, releases.versions(product)[0]))
    always = selection.fit(
        frame[old].reset_index(drop=True),
        left[old],
        product.columns,
        Design(**first.manifest["selection"]["design"]),
        groups=splits.groups(frame[old], product.columns),
        seed=0,
        threads=2,
    )
    for name, model in (("never", first), ("always", always)):
        risk = estimators.risks(model.model, frame[new])
        assert row[f"{name}_f1"] == pytest.approx(f1_score(left[new], risk >= model.threshold), abs=1e-12)
        assert row[f"{name}_roc_auc"] == pytest.approx(roc_auc_score(left[new], risk), abs=1e-12)
    assert row["always_f1"] != row["never_f1"]


def test_before_anything_was_promoted_all_three_have_the_first_model(replayed):
    second = replayed.found.iloc[1]
    assert second["policy_f1"] == second["never_f1"] == second["always_f1"]
    assert second["policy_roc_auc"] == second["never_roc_auc"] == second["always_roc_auc"]


def test_the_last_lines_name_the_files_and_say_what_came_of_it(replayed):
    assert (replayed.out / "replay.png").read_bytes().startswith(b"\x89PNG")
    assert replayed.lines[-3:-1] == [f"wrote {replayed.out / name}" for name in ("replay.png", "replay.csv")]
    mean = replayed.found["policy_f1"].mean()
    assert replayed.lines[-1].startswith(
        f"corporate: the statistical policy promoted no models in 2 labelled drops: F1 {mean:.3f}"
    )
    assert "the same as never retraining and 0.0" in replayed.lines[-1]


def test_the_real_history_is_left_alone_and_the_scratch_folder_has_one_of_its_own(replayed):
    assert not (replayed.folder / "real.sqlite").exists()
    assert (replayed.product.models / "history.sqlite").is_file()
    assert (replayed.product.reports / "report.html").is_file()
    assert (replayed.product.test / "test.csv").is_file()


def test_interrupted_it_leaves_the_picture_of_what_is_done_with_the_same_numbers_and_no_scratch_folder(
    site, replayed, tmp_path
):
    """Fabricated drops: the very files of the other replay."""
    # A test file of the config has nothing to do with fabricated clients, so these drops come without one.
    (tmp_path / "temporary").mkdir()
    arguments = (
        "--config",
        site.config_path,
        "--clients",
        400,
        "--months",
        20,
        "--since",
        3,
        "--out",
        tmp_path / "out",
    )
    process = start(*arguments, TMPDIR=str(tmp_path / "temporary"))
    for line in process.stdout:
        if line.startswith("corporate-2026-02"):
            break
    os.killpg(process.pid, signal.SIGINT)
    said, trouble = process.communicate(timeout=60)
    assert process.returncode == 130
    assert trouble.strip() == "interrupted"
    assert (tmp_path / "out" / "replay.png").stat().st_size > 10_000
    assert "in 1 labelled drop: F1" in said.splitlines()[-1]
    found = pd.read_csv(tmp_path / "out" / "replay.csv")
    assert found["file"].tolist() == replayed.found["file"].tolist()[:2]
    assert found[NUMBERS].equals(replayed.found[NUMBERS].iloc[:2])
    assert found["best_roc_auc"].iloc[1] > found["policy_roc_auc"].iloc[1]
    assert not list((tmp_path / "temporary").glob("churn-replay-*"))


# ---- what can be wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--drops", "{tmp}/none"], "--drops {tmp}/none: no such folder; name one that has the drops as CSV files"),
        (["--drops", "{tmp}"], "--drops {tmp}: one.csv is the only CSV file there; two are needed"),
        (["--product", "telco"], "{config}: no product 'telco'; it has corporate"),
        (["--config", "{tmp}/none.json"], "{tmp}/none.json: no such file; name one with --config"),
        (["--months", "1"], "--months 1: give 2 or more"),
        (["--since", "0"], "drift since month 0: months count from 1"),
        (["--keep", "{tmp}"], "--keep {tmp}: there already; name a new folder"),
        (["--out", "{tmp}/one.csv"], "--out {tmp}/one.csv: File exists; name a folder"),
    ],
)
def test_an_error_names_what_is_wrong_and_what_mends_it(site, tmp_path, capsys, arguments, said):
    (tmp_path / "one.csv").write_text("x\n")
    places = {"tmp": tmp_path, "config": site.config_path}
    given = [argument.format(**places) for argument in arguments]
    assert replay.main(["--config", str(site.config_path), "--out", str(tmp_path / "out"), *given]) == 1
    assert capsys.readouterr().err.startswith(f"replay.py: {said.format(**places)}")


def test_fabricated_drops_are_no_other_products(tmp_path, capsys):
    product = make_product(tmp_path, "other", target="gone", positive="yes", numeric=["spent"])
    assert replay.main(["--config", str(product.config_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"{product.config_path}: product 'other' has other columns than the fabricated drops" in said
    assert "--drops DIR" in said


def test_where_no_drop_fits_the_product_the_error_says_why_and_what_to_name(site, tmp_path, capsys):
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_text("client,spent\n1,2\n")
    arguments = ["--config", str(site.config_path), "--drops", str(tmp_path), "--out", str(tmp_path / "out")]
    assert replay.main(arguments) == 1
    said = capsys.readouterr()
    assert "no drop could be used; 1.csv: the first line is no header of this product" in said.err
    assert "--product" in said.err
    assert said.out.count("set aside") == 2


def test_a_tick_that_fails_ends_the_replay_and_shows_what_it_said(site, tmp_path, capsys, monkeypatch):
    (tmp_path / "fullprocess.py").write_text("import sys\nprint('what a bug')\nsys.exit(3)\n")
    monkeypatch.setattr(replay, "HOME", tmp_path)
    arguments = ["--config", str(site.config_path), "--drops", str(site.source), "--out", str(tmp_path / "out")]
    assert replay.main(arguments) == 1
    said = capsys.readouterr().err
    assert "corporate-2026-01.csv: fullprocess.py ended with exit code 3; replay with --keep DIR" in said
    assert "what a bug" in said


# ---- its parts -------------------------------------------------------------------------------------------------------


def test_drops_come_in_the_order_of_the_numbers_in_their_names(tmp_path):
    for name in ("drop-10.csv", "drop-2.CSV", "drop-²3.csv", "drop-2b.csv", ".hidden.csv", "notes.txt"):
        (tmp_path / name).write_text("x\n")
    names = [name for name, _ in replay_setup.given_files(tmp_path)]
    assert names == ["drop-2.CSV", "drop-2b.csv", "drop-10.csv", "drop-²3.csv"]


def test_drops_that_are_judged_together_are_scored_together():
    generator = np.random.default_rng(0)
    together = policies.Policies(None)
    everyone = []
    for drop, threshold in ((3, 0.4), (4, 0.6)):
        left, risk = generator.random(50) < 0.3, generator.random(50)
        scored = {
            name: Scored(risk + shift, threshold) for name, shift in zip(policies.NAMES, (0, 0.1, 0), strict=True)
        }
        together.pieces[drop] = policies.Piece(left, scored)
        everyone.append((left, risk, risk >= threshold))
    left, risk, said = (np.concatenate(parts) for parts in zip(*everyone, strict=True))
    found = together.scores([3, 4])
    assert (found["rows"], found["left"]) == (100, left.mean())
    assert found["policy_f1"] == found["never_f1"] == pytest.approx(f1_score(left, said))
    assert found["policy_roc_auc"] == pytest.approx(roc_auc_score(left, risk))
    assert found["f1_over_never_error"] == 0 < found["f1_over_always_error"]
    assert together.scores([5]) == {}


def test_a_line_keeps_to_the_width_and_is_cut_between_words():
    long = "0007-0123abcd trained on all rows: " + "average precision 0.482 against 0.455 " * 10
    decision = {"action": "kept", "reason": long, "promotion": None}
    line = replay_lines.line(
        Step("a file name that is longer than the column for it.csv", None, decision, "", "0007-01")
    )
    assert len(line) <= replay_lines.WIDTH
    assert line.endswith(" ...")
    assert line.removesuffix(" ...").split()[-1] in long.split()
    assert " 0007 trained on all rows" in line


def numbers(policy, always, never, *, error=0.001, actions=("kept",)):
    rows = zip(policy, always, never, actions * len(policy), strict=False)
    return pd.DataFrame(
        {"policy_f1": p, "always_f1": a, "never_f1": n, "action": done, "judged": "0001-a"}
        | {"f1_over_always_error": error, "f1_over_never_error": error}
        for p, a, n, done in rows
    )


def test_the_conclusion_says_how_often_a_model_was_promoted_and_what_that_earned():
    clear = numbers([0.5, 0.6], [0.5, 0.5], [0.4, 0.5], actions=("deployed", "rolled back"))
    assert curves.headline(clear, "raw") == (
        "the raw policy promoted 1 model and took 1 back in 2 labelled drops: F1 0.550 on average, 0.100 more "
        "(beyond chance) than never retraining and 0.050 more (beyond chance) than always retraining"
    )
    unclear = numbers([0.5], [0.51], [0.5], error=0.1)
    assert curves.headline(unclear, "never") == (
        "the never policy promoted no models in 1 labelled drop: F1 0.500 on average, the same as never retraining "
        "and 0.010 less (within chance) than always retraining"
    )


@pytest.mark.parametrize("drops", [1, 40])
def test_a_picture_can_be_drawn_of_any_number_of_drops_and_of_any_names_the_same_each_time(drops):
    """Suspect and unlabelled drops, a version after each, names with letters that the font may lack."""
    waiting = {"estimated_f1": 0.5, "estimated_f1_lower": 0.4, "estimated_f1_upper": 0.6}
    waiting |= {name.replace("f1", "roc_auc"): value for name, value in waiting.items()}
    scores = {name: 0.5 for name in NUMBERS if not name.startswith("estimated_")}
    rows = [
        {
            "file": f"客户 $x$ {i}.csv",
            "judged": f"{i:04}-abcdef01",
            "version": f"{i + 1:04}-abcdef01",
            "action": "deployed",
        }
        | {
            "verdict": ("ok", "warning", "drifted")[i % 3],
            "suspect": i % 5 == 2,
            "best_roc_auc": 0.8 if i > 3 else None,
        }
        | (waiting if i % 4 == 3 else scores)
        for i in range(1, drops + 1)
    ]
    found = pd.DataFrame(rows, columns=curves.COLUMNS)
    drawn = curves.picture(found, "corporate", "always", ("客户 $x$ 1.csv", "from here on otherwise"))
    assert drawn.startswith(b"\x89PNG")
    assert drawn == curves.picture(found, "corporate", "always", ("客户 $x$ 1.csv", "from here on otherwise"))
