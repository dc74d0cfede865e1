"""The report: where it lies, what it claims, and that no name in the data can break it."""

import base64
import dataclasses
import json
import logging
import os
import re
import shutil
import struct
import subprocess
import sys

import markupsafe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

import deployment
import ingestion
import reporting
import scoring
import training
from churn import config, dataset, measures, releases, stage
from churn.errors import ChurnError, ReleaseError
from churn.history import archive
from churn.history.store import connect
from churn.report import content, pdf, quality, typography
from churn.report.blocks import Bars, Document, Section, Table, Text, Tiles
from churn.report.gathering import gather
from churn.words import fit, percent
from demo import fabricate
from tests.conftest import HOME, make_product

QUICK = {"model": "logistic", "tuning_seconds": 0}
MADE = ("report.html", "report.pdf", "confusionmatrix.png")
ODD = [
    "\u540d\u524d \ud65c\ub3d9",
    "\u0627\u0644\u0646\u0634\u0627\u0637",
    "\U0001f600 emoji \U0001f469\u200d\U0001f469\u200d\U0001f467",
    "<script>alert(1)</script>",
    "$x^2$ \\frac{1}{2} $",
    'a & b < c > "q" &amp;',
    "x" * 300,
    "bell\x07tab\tend",
    "two  spaces",
    "{{ 7*7 }}{% raw %}",
]


def fill(product, *, clients=900, months=2, held_out=500):
    """Ingest, train and score on fabricated clients; nothing is deployed."""
    for month in range(1, months + 1):
        fabricate.save(fabricate.world(clients, month, 5, fabricate.Drift()), product.source / f"{month}.csv")
    if held_out:
        fabricate.save(fabricate.world(held_out, 1, 5, fabricate.Drift(), 20_000), product.test / "t.csv")
    ingestion.ingest(product)
    training.train(product)
    scoring.score(product)
    return product


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A product with a scored version, and nothing in production."""
    return fill(make_product(tmp_path_factory.mktemp("scored"), **QUICK))


@pytest.fixture
def copied(scored, tmp_path):
    """A copy of it for one test, which may change it."""
    shutil.copytree(scored.config_path.parent, tmp_path, dirs_exist_ok=True)
    return make_product(tmp_path, **QUICK)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A product with a version in production, its clients scored and listed, and its report written."""
    product = fill(
        make_product(tmp_path_factory.mktemp("deployed"), **QUICK, capacity=40, value=250.0, contact_cost=4.0)
    )
    deployment.deploy(product)
    scoring.score(product)
    reporting.report(product)
    return product


@pytest.fixture
def listed(deployed, tmp_path):
    """A copy of what is deployed, for one test, and a CSV of calls: all who are on the list, and a stranger."""
    shutil.copytree(deployed.config_path.parent, tmp_path, dirs_exist_ok=True, symlinks=True)
    called = pd.read_csv(tmp_path / "reports" / deployed.name / reporting.LIST, dtype=str, encoding="utf-8-sig")
    ids = [*called["corporation"], "nobody we know"]
    path = tmp_path / "contacts.csv"
    pd.DataFrame({"client": ids, "date": stage.utc_now()[:10], "outcome": "reached"}).to_csv(path, index=False)
    return config.load(tmp_path / "config.json")[deployed.name], path


def page(product):
    return (product.reports / "report.html").read_text(encoding="utf-8")


def pages(content):
    """The number of pages of a PDF."""
    return len(re.findall(rb"/Type /Page\b(?!s)", content))


def png_size(content):
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


# ---- the files -------------------------------------------------------------------------------------------------------


def test_the_report_lies_in_the_product_s_folder_and_stays_in_that_of_the_version(deployed):
    version = releases.current_version(deployed)
    for name in MADE:
        content = (deployed.reports / name).read_bytes()
        assert content == (deployed.reports / version / name).read_bytes()
        assert len(content) < 1_000_000
    assert (deployed.reports / "report.pdf").read_bytes().startswith(b"%PDF")
    assert 4 <= pages((deployed.reports / "report.pdf").read_bytes()) <= 8
    width, height = png_size((deployed.reports / "confusionmatrix.png").read_bytes())
    assert 600 <= height <= width <= 1600


def test_the_page_is_one_file_that_asks_for_nothing(deployed):
    html = page(deployed)
    assert html.startswith("<!DOCTYPE html>")
    assert "://" not in html
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "@import" not in html
    assert "url(" not in html


def test_the_same_inputs_give_the_same_bytes_in_another_process_and_nothing_is_written(deployed):
    before = {name: (deployed.reports / name).stat().st_mtime_ns for name in MADE}
    moved = deployed.reports / "report.pdf"
    content = moved.read_bytes()
    moved.unlink()
    command = [sys.executable, str(HOME / "reporting.py"), "--config", str(deployed.config_path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "5"}, cwd="/")
    assert moved.read_bytes() == content
    for name in set(MADE) - {"report.pdf"}:
        assert (deployed.reports / name).stat().st_mtime_ns == before[name]


def test_what_the_page_says_stands_in_report_json_too_with_its_pictures_beside_it(deployed):
    document = content.document(gather(deployed))
    written = json.loads((deployed.reports / "report.json").read_text(encoding="utf-8"))
    assert {key: written[key] for key in ("title", "subtitle", "badge", "live")} == {
        "title": document.title, "subtitle": document.subtitle, "badge": document.badge, "live": True,
    }  # fmt: skip
    assert [section["title"] for section in written["sections"]] == [one.title for one in document.sections]
    named = set()
    for section, one in zip(written["sections"], document.sections, strict=True):
        assert [block["kind"] for block in section["blocks"]] == [block.kind for block in one.blocks]
        for block in section["blocks"]:
            if block["kind"] == "pictures":
                for _, picture, _ in block["items"]:
                    assert set(picture) == {"file", "alt", "size"}
                    assert picture["file"] not in named
                    named.add(picture["file"])
    assert {"confusion.svg", "calibration.svg", "gain.svg", "column-1.svg"} <= named
    folder = deployed.reports / "pictures"
    assert {path.name for path in folder.iterdir()} == named
    html = page(deployed)
    for name in named:
        svg = (folder / name).read_bytes()
        assert base64.b64encode(svg).decode() in html
        assert b"<svg" in svg and b"<script" not in svg
    first = next(block for block in written["sections"][0]["blocks"] if block.get("role") == "lead")
    assert str(markupsafe.escape(first["text"])) in html


def test_another_report_removes_pictures_that_no_report_names_leaves_the_others_alone_and_logs_no_client(
    deployed, caplog
):
    folder = deployed.reports / "pictures"
    times = {path.name: path.stat().st_mtime_ns for path in [*folder.iterdir(), deployed.reports / "report.json"]}
    (folder / "column-99.svg").write_text("<svg/>")
    (folder / ".tmp-gain.svg").write_text("half")
    caplog.set_level(logging.DEBUG)
    line = reporting.report(deployed)
    now = {path.name: path.stat().st_mtime_ns for path in [*folder.iterdir(), deployed.reports / "report.json"]}
    assert now == times
    clients = set(pd.read_csv(deployed.reports / "clients.csv", dtype=str, keep_default_na=False)["corporation"])
    assert not clients & set(re.findall(r"\w+", line + caplog.text))


# ---- what it says ----------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_manifest(deployed):
    scores = releases.read_manifest(releases.current(deployed))["scores"]
    html = page(deployed)
    assert f"Of 100 clients that the model flags, {100 * scores['precision']:.0f} leave" in html
    for key in ("f1", "precision", "recall", "roc_auc", "average_precision", "log_loss", "constant_f1"):
        assert f"{scores[key]:.3f}" in html
    for words in (
        "in production since",
        "Confusion matrix",
        "Gain",
        "Calibration",
        "lastmonth_activity",
        "No drop has come",
    ):
        assert words in html
    assert html.count("<img ") == 3 + 1 + len(deployed.columns.features)  # and one for the risks


def test_the_constant_guess_has_the_scores_that_it_would_have():
    left = np.arange(50) < 12
    scores = measures.scores(left, np.linspace(0, 1, 50), 0.5)
    rows = {row[0]: row for row in quality._measures(scores, 0.3, {}).rows}
    assert rows["F1"][3] == f"{2 * 12 / (50 + 12):.3f}"
    assert rows["Precision"][3] == rows["Average precision"][3] == "0.240"
    assert rows["Log loss"][3] == f"{log_loss(left, np.full(50, 0.3)):.3f}"


def test_the_drops_add_up_and_a_file_set_aside_is_named_with_its_reason(tmp_path):
    product = make_product(tmp_path, **QUICK)
    (product.source / "broken & <b>.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Exception, match="set aside"):
        fill(product, held_out=0)
    training.train(product)
    scoring.score(product)
    document = content.document(gather(product))
    table = next(b for s in document.sections for b in s.blocks if isinstance(b, Table) and b.total)
    counts = np.array([[int(cell.replace(",", "")) for cell in row[2:]] for row in table.rows])
    assert (counts[:-1].sum(axis=0) == counts[-1]).all()
    assert (counts[:, 0] == counts[:, 1:4].sum(axis=1)).all()
    assert any("set aside" in row[0] for row in table.rows)
    assert "broken &amp; &lt;b&gt;.csv was set aside" in reporting.html(document)


def test_whom_to_call_is_the_list_as_it_was_written(deployed):
    facts = gather(deployed)
    written = pd.read_csv(deployed.reports / "calllist.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    clients = pd.read_csv(deployed.reports / "clients.csv", dtype=str)
    assert [row["corporation"] for row in facts.calls.rows] == written["corporation"].head(10).tolist()
    assert facts.calls.listed == len(written) == 40
    assert facts.clients.total == 900
    assert facts.clients.gone == (clients["exited"] == "1").sum()
    assert facts.calls.held_out > 0
    html = page(deployed)
    assert f"40 of the {facts.clients.here:,} clients are to be called" in html
    assert f"{facts.calls.held_out} more rank as high and are left uncalled" in html
    mean = written["risk"].astype(float).mean()
    others = clients["risk"][clients["exited"] != "1"].astype(float).mean()
    assert f"By their risks {mean:.0%} of 100".replace("%", "") in html  # of those on this list, not of any other
    assert f"of 100 picked at random, {others:.0%}.".replace("%", "") in html
    assert all(row[f"reason_{i}"] in html for row in facts.calls.rows for i in (1, 2, 3))


def test_the_history_keeps_each_reason_with_its_column_and_its_part_in_the_risk(deployed):
    written = pd.read_csv(deployed.reports / "calllist.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    with connect(deployed) as book:
        kept = [row for row in book.last_list().rows if row["rank"]]
    assert [[reason["words"] for reason in row["reasons"]] for row in kept] == [
        [text for text in texts if text] for texts in written[["reason_1", "reason_2", "reason_3"]].to_numpy().tolist()
    ]
    for reason in (reason for row in kept for reason in row["reasons"]):
        assert reason["column"] in deployed.columns.features
        assert ("raises" in reason["words"]) == (reason["part"] > 0)


def test_a_list_by_another_version_is_said_to_be(deployed):
    facts = gather(deployed)
    other = dataclasses.replace(facts, calls=dataclasses.replace(facts.calls, version="0000-other"))
    assert "version 0000-other gave" in reporting.html(content.document(other))


def test_a_name_that_was_made_safe_for_spreadsheets_is_shown_as_it_is(deployed):
    path = deployed.reports / "calllist.csv"
    before = path.read_bytes()
    try:
        first = gather(deployed).calls.rows[0]["corporation"]
        path.write_bytes(before.replace(f"\n1,{first},".encode(), b"\n1,'=cmd,", 1))
        assert gather(deployed).calls.rows[0]["corporation"] == "=cmd"
    finally:
        path.write_bytes(before)


# ---- the calls that were made ----------------------------------------------------------------------------------------


def run(product, *arguments):
    """The exit code of the script, run as by hand, and what it printed."""
    command = [sys.executable, str(HOME / "reporting.py"), "--config", str(product.config_path), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    return done.returncode, done.stdout


def test_calls_are_kept_once_and_the_same_file_again_adds_nothing(listed):
    product, path = listed
    end = "1 of clients whom nobody knows were left out"
    assert run(product, "--contacts", path) == (0, f"corporate: 40 calls are kept, 40 of them new; {end}\n")
    assert reporting.keep_contacts(product, str(path)) == f"40 calls are kept, 0 of them new; {end}"
    with connect(product) as book:
        assert {row["outcome"] for row in book.contacts()} == {"reached"}
        assert len(book.contacts()) == 40


def test_the_effect_of_calling_is_told_once_outcomes_are_known(listed):
    product, path = listed
    assert "Too few to tell whether calling helps" in run(product, "--effect", path)[1]
    fabricate.save(fabricate.world(900, 3, 5, fabricate.Drift()), product.source / "3.csv")
    ingestion.ingest(product)
    archive.update(product, dataset.load_record(product), stage.utc_now())
    told = reporting.show_effect(product, str(path))
    assert re.search(r"of \d+ held-out and .+ of 39 listed clients left, over 1 list\.", told)
    assert "1 of the 41 calls is of a client that was never scored (the first on line 42)" in told


def test_calls_that_were_kept_count_without_being_listed_in_the_file_again(listed):
    product, path = listed
    reporting.keep_contacts(product, str(path))
    nobody = path.with_name("none.csv")
    nobody.write_text("client,date\n")
    with_the_file = reporting.show_effect(product, str(path))
    assert reporting.show_effect(product, str(nobody)).splitlines() == with_the_file.splitlines()[:-1]


def test_who_was_called_cannot_be_told_without_an_id(listed):
    product, path = listed
    block = json.loads(product.config_path.read_text())
    block["products"]["corporate"]["id"] = None
    product.config_path.write_text(json.dumps(block))
    product = config.load(product.config_path)["corporate"]
    for verb in (reporting.keep_contacts, reporting.show_effect):
        with pytest.raises(ChurnError, match="corporate has no id column: who was called cannot be told"):
            verb(product, str(path))


# ---- what is told ----------------------------------------------------------------------------------------------------


def test_where_nothing_is_deployed_the_newest_version_is_reported_on_and_why_it_is_not(copied):
    line = reporting.report(copied)
    version = releases.versions(copied)[-1]
    assert line.startswith(version)
    assert "not in production" in page(copied)
    assert "not compared with anything yet" in page(copied)
    assert "Nobody is listed: nothing is in production" in page(copied)
    releases.write_verdict(
        copied.models / version, None, {"yes": False, "reason": "worse than <nothing>", "numbers": {}}
    )
    told = reporting.html(content.document(gather(copied)))
    assert "This version is not in production: worse than &lt;nothing&gt;." in told


def test_without_a_version_there_is_nothing_to_report_on(product):
    with pytest.raises(ReleaseError, match=r"no model yet; run: python training\.py"):
        reporting.report(product)


def test_a_version_without_a_score_is_not_reported_on(copied):
    training.train(copied)
    with pytest.raises(ReleaseError, match=r"has no score; run: python scoring\.py"):
        reporting.report(copied)


def test_held_out_rows_that_changed_or_went_away_are_said_to_have(copied):
    path = copied.test / "t.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:300]) + "\n")
    assert "changed after this version was scored on 500" in gather(copied).held_note
    path.write_text("not,this\n")
    facts = gather(copied)
    assert facts.held is None
    assert "No curves: t.csv" in reporting.html(content.document(facts))


def test_the_decisions_are_told_newest_first_and_in_full(deployed):
    facts = gather(deployed)
    blank = {"challenger": None, "drift": None, "promotion": None}
    decisions = [
        {"at": f"2026-0{i}-01T00:00:00Z", "drops": i, "action": action, "reason": f"because {i} < 9", **blank}
        for i, action in enumerate(["none", "deployed", "rolled back"] * 3, start=1)
    ]
    document = content.document(dataclasses.replace(facts, decisions=decisions))
    table = next(b for s in document.sections for b in s.blocks if isinstance(b, Table) and "decisions" in b.title)
    assert [row[3] for row in table.rows] == [f"because {i} < 9" for i in (9, 8, 7, 6, 5)]
    assert "No decision was recorded" in page(deployed)


# ---- small and strange data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["10010", "00000", "11111"])
def test_five_test_rows_claim_nothing_and_break_nothing(copied, labels):
    rows = [f"qq{'abcde'[i]}a,{i},{10 * i},{5 + i},{label}" for i, label in enumerate(labels)]
    header = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
    (copied.test / "t.csv").write_text(header + "\n".join(rows) + "\n")
    scoring.score_version(copied)
    assert "too few to say what the model is worth" in reporting.report(copied)
    assert png_size((copied.reports / "confusionmatrix.png").read_bytes())
    assert pages((copied.reports / "report.pdf").read_bytes()) >= 1


def test_odd_names_a_hundred_columns_and_scripts_of_all_kinds(tmp_path):
    numeric = ODD + [f"column {i}" for i in range(90)]
    product = make_product(
        tmp_path, **QUICK, id="client", target="left?", positive="Yes", numeric=numeric, categorical=["city & <i>"]
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, len(numeric))).round(2), columns=numeric)
    frame["city & <i>"] = rng.choice(["\u5317\u4eac", "<i>K\u00f6ln</i>", "null"], 300)
    frame["left?"] = np.where(frame[ODD[0]] + frame[ODD[3]] + rng.normal(size=300) > 0, "Yes", "No")
    frame.insert(0, "client", [f"{ODD[i % 7][:20]} {i}" for i in range(300)])
    for name in numeric[5:60]:
        frame.loc[rng.random(300) < 0.3, name] = np.nan
    frame.to_csv(product.source / "drop \u540d <1>.csv", index=False)
    ingestion.ingest(product)
    training.train(product)
    scoring.score_version(product)
    deployment.deploy(product)
    scoring.score_clients(product)
    reporting.report(product)
    html = page(product)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<i>" not in html
    assert "x" * 49 not in html
    assert "The other 89 columns together" in html
    assert 2 <= pages((product.reports / "report.pdf").read_bytes()) <= 10


def everything(text):
    """A document with one text wherever the data can put one."""
    blocks = [Text(fit(text), role) for role in ("heading", "lead", "plain", "note", "alert")]
    blocks += [Tiles([(fit(text), fit(text), fit(text))]), Bars([(fit(text), 0.5, "50%")], title=fit(text))]
    blocks += [Table((fit(text), "n"), [(fit(text), "1")] * 30, (3, 1), frozenset({1}), title=fit(text))]
    return Document(fit(text), fit(text), fit(text), True, [Section(fit(text), [block]) for block in blocks])


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=80) | st.sampled_from(ODD) | st.just("\udcff"))
def test_no_text_of_the_data_can_break_the_page_or_the_pdf(text):
    document = everything(text)
    assert pdf.pdf(document).startswith(b"%PDF")
    html = reporting.html(document)
    html.encode()
    assert html.count("<h2>") == len(document.sections)
    assert html.count("<script") == 0


def test_markup_in_the_data_stands_in_the_pdf_as_it_is():
    typography.register_fonts()
    for text in ("<script>alert(1)</script>", "a & b < c &amp; <b>d</b>", "M\u00fcller </para>", "\u5317\u4eac"):
        assert typography.paragraph(text, typography.BODY).getPlainText() == text
    assert typography.paragraph("\U0001f9ff", typography.BODY).getPlainText() == typography.BOX


def test_words_are_short_printable_and_honest_about_small_shares():
    assert fit("a" * 100) == "a" * 47 + "\u2026"
    assert fit("a\tb\nc\x00") == "a b c\ufffd"
    said = [percent(share) for share in (0, 1e-7, 0.004, 0.5, 0.996, 1 - 1e-7, 1)]
    assert said == ["0%", "<0.1%", "0.4%", "50%", "99.6%", ">99.9%", "100%"]
