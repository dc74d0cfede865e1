"""Ingestion as its users meet it: drops in, rows stored once, everything odd set aside with its reason."""

import csv
import json
import logging
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import ingestion
from churn import dataset, stage
from churn.errors import ConfigError, DataError, QuarantineError
from tests import odd_files
from tests.conftest import HOME, make_product
from tests.odd_files import HEADER, rows, table

IRANIAN = {
    "target": "Churn",
    "positive": "1",
    "numeric": ["Customer Value"],
    "integer": [
        "Call  Failure",
        "Complains",
        "Subscription  Length",
        "Charge  Amount",
        "Seconds of Use",
        "Frequency of use",
        "Frequency of SMS",
        "Distinct Called Numbers",
        "Age Group",
        "Tariff Plan",
        "Status",
        "Age",
    ],
}


def put(product, name, *lines, header=HEADER):
    path = product.source / name
    path.write_text("\n".join([header, *lines, ""]))
    return path


def counts(product):
    return [
        (drop.name, drop.rows, drop.accepted, drop.duplicate, drop.rejected)
        for drop in dataset.load_record(product).ingested
    ]


def final(product):
    return (product.ingested / "finaldata.csv").read_text().splitlines()


# ---- the plain way ---------------------------------------------------------------------------------------------------


def test_drops_are_stored_once_and_exported(product):
    put(product, "a.csv", "abcd,1,2,3,0", "efgh,1,,3,1", "abcd,1,2,3,0")
    assert ingestion.ingest(product) == "1 drop ingested: 3 rows = 2 new + 1 duplicate + 0 rejected; 2 rows stored"
    put(product, "b.csv", "efgh,1, ,3.0,1", '"ij,k",4,5,6,1', "abcd,9,2,3,0")
    assert ingestion.ingest(product) == "1 drop ingested: 3 rows = 2 new + 1 duplicate + 0 rejected; 4 rows stored"
    assert final(product) == [HEADER, "abcd,1,2,3,0", "efgh,1,,3,1", '"ij,k",4,5,6,1', "abcd,9,2,3,0"]
    assert (product.ingested / "ingestedfiles.txt").read_text() == "a.csv\nb.csv\n"
    assert counts(product) == [("a.csv", 3, 2, 1, 0), ("b.csv", 3, 2, 1, 0)]
    frame = dataset.frame(product)
    assert frame["drop_number"].tolist() == [1, 1, 2, 2]
    assert dataset.frame(product, since=1)["corporation"].tolist() == ["ij,k", "abcd"]


def test_nothing_new_changes_no_file(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    before = {path: path.stat().st_mtime_ns for path in product.ingested.rglob("*")}
    assert ingestion.ingest(product) == "nothing new; 1 row stored"
    assert {path: path.stat().st_mtime_ns for path in product.ingested.rglob("*")} == before


def test_no_data_at_all_is_no_error(product):
    assert ingestion.ingest(product) == "nothing new; 0 rows stored"
    product.source.rmdir()
    assert ingestion.ingest(product) == "nothing new; 0 rows stored"
    assert dataset.load_record(product).data_hash == "" and len(dataset.frame(product)) == 0
    assert ingestion.verify(product).startswith("0 drops")


def test_the_same_content_under_another_name_is_known_and_read_once(product):
    path = put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    shutil.copy(path, product.source / "copy.csv")
    assert ingestion.ingest(product) == "1 file of known content; 1 row stored"
    assert ingestion.ingest(product) == "nothing new; 1 row stored"
    path.touch()
    assert ingestion.ingest(product) == "1 file of known content; 1 row stored"
    assert ingestion.ingest(product) == "nothing new; 1 row stored"
    drop = dataset.load_record(product).drops[0]
    assert (drop.name, [look.name for look in drop.also]) == ("a.csv", ["copy.csv"])
    assert (product.ingested / "ingestedfiles.txt").read_text() == "a.csv\n"


def test_two_files_of_one_content_in_one_run_are_one_drop(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    put(product, "b.csv", "abcd,1,2,3,0")
    assert "1 drop ingested" in ingestion.ingest(product)
    assert counts(product) == [("a.csv", 1, 1, 0, 0)]


def test_a_file_that_grew_is_a_new_drop_of_the_same_name(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    put(product, "a.csv", "abcd,1,2,3,0", "efgh,1,2,3,1")
    ingestion.ingest(product)
    assert counts(product) == [("a.csv", 1, 1, 0, 0), ("a.csv", 2, 1, 1, 0)]
    assert (product.ingested / "ingestedfiles.txt").read_text() == "a.csv\n"


def test_a_removed_drop_stays_ingested(product):
    put(product, "a.csv", "abcd,1,2,3,0").rename(product.source / "b.csv")
    ingestion.ingest(product)
    (product.source / "b.csv").unlink()
    assert ingestion.ingest(product) == "nothing new; 1 row stored"
    assert "0 files (1 are no longer there)" in ingestion.verify(product)


def test_the_data_hash_changes_with_rows_only(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    first = dataset.load_record(product).data_hash
    put(product, "b.csv", "abcd,1,2,3,0", "abcd,1,2,3,0")
    ingestion.ingest(product)
    assert dataset.load_record(product).data_hash == first
    put(product, "c.csv", "efgh,1,2,3,0")
    ingestion.ingest(product)
    assert dataset.load_record(product).data_hash not in (first, "")


def test_drops_are_ingested_oldest_first(product):
    for name, age in (("a.csv", 10), ("b.csv", 30), ("c.csv", 20)):
        os.utime(put(product, name, f"{name},1,2,3,0"), (1e9 - age, 1e9 - age))
    ingestion.ingest(product)
    assert [drop.name for drop in dataset.load_record(product).drops] == ["b.csv", "c.csv", "a.csv"]


# ---- odd files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A product whose source folder holds all odd files, what is expected of each, and what one run said."""
    folder = tmp_path_factory.mktemp("odd")
    product = make_product(folder)
    expected = odd_files.make(product.source)
    with odd_files.half_written(product.source) as growing:
        done = subprocess.run(
            [sys.executable, HOME / "ingestion.py", "--config", product.config_path],
            capture_output=True,
            check=False,
        )
    return product, expected, growing, done.returncode, (done.stdout + done.stderr).decode(), done.stdout.decode()


def test_there_are_fifty_odd_files():
    assert len(odd_files.FILES) >= 50


def test_odd_files_stop_nothing_and_give_no_traceback(odd):
    product, expected, growing, code, output, _ = odd
    assert code == 1 and "Traceback" not in output and "a bug" not in output
    seen = {drop.name for drop in dataset.load_record(product).drops}
    assert seen == {name for name, file in expected.items() if file.status != odd_files.IGNORED}
    assert f"{growing} is still being written" in output


@pytest.mark.parametrize("name", list(odd_files.FILES), ids=ascii)
def test_every_odd_file_gives_its_line_and_reason(odd, name):
    product, expected, _, _, _, stdout = odd
    drop = next(drop for drop in dataset.load_record(product).drops if drop.name == name)
    wanted = expected[name]
    assert drop.rows == drop.accepted + drop.duplicate + drop.rejected
    assert (drop.status, drop.rejected) == (wanted.status, wanted.rejected), drop.reason
    if wanted.status == odd_files.QUARANTINED:
        assert wanted.reason in drop.reason and drop.line == wanted.line
        assert f"{name}, line {drop.line}: {drop.reason}" in stdout or f"{name}: {drop.reason}" in stdout
    elif wanted.rejected:
        with (product.ingested / "rejects" / name).open() as file:
            rejected = list(csv.DictReader(file))
        assert [int(row["line"]) for row in rejected] == [wanted.line]
        assert wanted.reason in f"{rejected[0]['column']}: {rejected[0]['reason']}"


def test_pipes_links_and_sockets_are_set_aside(odd):
    product, expected, *_ = odd
    drops = {drop.name: drop for drop in dataset.load_record(product).drops}
    for name in ("pipe.csv", "link_out.csv", "dangling.csv", "socket.csv"):
        assert drops[name].status == odd_files.QUARANTINED
        assert expected[name].reason in drops[name].reason


def test_no_cell_of_an_odd_file_stands_in_logs_or_rejects(odd):
    product, _, _, _, output, _ = odd
    texts = [output, (product.logs / "churn.log").read_text()]
    texts += [path.read_text() for path in (product.ingested / "rejects").iterdir()]
    for cell in ("plenty", "no_header03", "1_000", "0x1F", "caf\u00e905", "502 Bad"):
        assert not any(cell in text for text in texts), cell


def test_the_odd_files_verify_and_stay_known(odd):
    product, *_ = odd
    (product.source / "growing.csv").unlink()
    assert "drops" in ingestion.verify(product)
    assert "nothing new" in ingestion.ingest(product)  # what was set aside before is not an error again
    assert len(final(product)) == dataset.load_record(product).rows + 1


def test_a_file_that_was_set_aside_is_read_again_once_it_is_mended_or_touched(product):
    path = put(product, "a.csv", "abcd,1,2,3,0", header=HEADER.replace("exited", "left"))
    with pytest.raises(QuarantineError, match="1 file set aside.*\n  a.csv, line 1: the header has no column 'exited'"):
        ingestion.ingest(product)
    assert ingestion.ingest(product) == "nothing new; 0 rows stored"
    path.touch()
    with pytest.raises(QuarantineError):
        ingestion.ingest(product)
    assert len(dataset.load_record(product).drops) == 1
    put(product, "a.csv", "abcd,1,2,3,0")
    assert "1 drop ingested" in ingestion.ingest(product)
    assert not dataset.load_record(product).quarantined


def test_a_change_of_permissions_is_noticed(product):
    path = put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    before = os.stat(path).st_ctime_ns
    path.chmod(0o600)
    assert os.stat(path).st_ctime_ns > before
    assert "1 file of known content" in ingestion.ingest(product)


def test_too_many_rejected_rows_set_a_file_aside_until_the_config_allows_them(tmp_path):
    product = make_product(tmp_path)
    put(product, "a.csv", *rows("a", 8), "x,?,1,1,1")
    with pytest.raises(QuarantineError, match="line 10: 1 of 9 rows do not fit"):
        ingestion.ingest(product)
    assert (product.ingested / "rejects" / "a.csv").read_text() == (
        "line,column,reason\n10,lastmonth_activity,not a number\n"
    )
    product = make_product(tmp_path, max_rejected=0.2)
    assert ingestion.ingest(product) == "1 drop ingested: 9 rows = 8 new + 0 duplicate + 1 rejected; 8 rows stored"


def test_the_other_files_are_ingested_before_a_quarantine_is_raised(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    (product.source / "b.csv").write_bytes(b"\x1f\x8b")
    put(product, "c.csv", "efgh,1,2,3,0")
    with pytest.raises(QuarantineError, match="2 drops ingested"):
        ingestion.ingest(product)
    assert len(final(product)) == 3


def test_a_file_still_being_written_is_left_for_the_next_run(product):
    with odd_files.half_written(product.source):
        assert ingestion.ingest(product) == "1 file still being written; 0 rows stored"
    (product.source / "growing.csv").write_text(table("grown"))
    assert "40 new" in ingestion.ingest(product)


def test_a_young_file_is_looked_at_again_after_the_wait(tmp_path, monkeypatch):
    product = make_product(tmp_path, settle_seconds=0.05)
    path = put(product, "a.csv", "abcd,1,2,3,0")

    def grow(seconds):
        with path.open("a") as file:
            file.write("efgh,")

    monkeypatch.setattr("churn.sources.time.sleep", grow)
    assert ingestion.ingest(product) == "1 file still being written; 0 rows stored"


# ---- killed, changed, damaged ----------------------------------------------------------------------------------------


def test_parts_that_no_record_lists_and_half_made_files_are_swept(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    stray = [product.ingested / "parts" / "00002-deadbeef.parquet", product.ingested / ".tmp-finaldata.csv"]
    for path in stray:
        path.write_text("left by a killed run")
    put(product, "b.csv", "efgh,1,2,3,0")
    ingestion.ingest(product)
    assert not any(path.exists() for path in stray)


@pytest.mark.parametrize("harm", ["torn", "shorter", "gone", "edited", "no state"])
def test_a_harmed_finaldata_is_written_anew(product, harm):
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    path = product.ingested / "finaldata.csv"
    good = path.read_text()
    if harm == "torn":
        path.write_text(good + "efgh,1,2")  # killed in the middle of an append
    elif harm == "shorter":
        path.write_text(good[:-5])
    elif harm == "gone":
        path.unlink()
    elif harm == "edited":
        path.write_text(good.replace("abcd", "xbcd"))
    else:
        (product.ingested / "export.json").unlink()
    ingestion.ingest(product)
    assert path.read_text() == good
    assert "1 rows stored and in finaldata.csv" in ingestion.verify(product)


def test_a_run_killed_after_the_commit_leaves_exports_that_the_next_run_brings_up_to_date(product, monkeypatch):
    put(product, "a.csv", "abcd,1,2,3,0")
    monkeypatch.setattr("churn.intake.exports.export", lambda *_: sys.exit("killed"))
    with pytest.raises(SystemExit):
        ingestion.ingest(product)
    monkeypatch.undo()
    with pytest.raises(DataError, match="python ingestion.py mends that"):
        ingestion.verify(product)
    assert ingestion.ingest(product) == "nothing new; 1 row stored"
    assert final(product) == [HEADER, "abcd,1,2,3,0"]


def test_changed_columns_are_refused_with_what_to_do_and_lose_nothing(tmp_path):
    product = make_product(tmp_path)
    put(product, "a.csv", "abcd,1,2,3,0")
    put(product, "b.csv", "efgh,1,2,3,0")
    ingestion.ingest(product)
    (product.source / "b.csv").unlink()
    changed = make_product(
        tmp_path, id="corporation", target="exited", positive="1", integer=["lastmonth_activity", "lastyear_activity"]
    )
    with pytest.raises(ConfigError, match=r"columns \(integer\).*move .* aside.*lost by that: b.csv"):
        ingestion.ingest(changed)
    assert len(dataset.frame(make_product(tmp_path))) == 2


def test_swapped_labels_need_no_new_ingestion(tmp_path):
    product = make_product(tmp_path)
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    before = dataset.load_record(product).data_hash
    swapped = make_product(tmp_path, **{**make_product.__globals__["CORPORATE"], "positive": "0", "negative": "1"})
    assert len(dataset.frame(swapped)) == 1
    assert dataset.load_record(swapped).data_hash != before


def test_columns_may_change_while_nothing_is_ingested(tmp_path):
    product = make_product(tmp_path)
    put(product, "a.csv", "abcd,1,2,3,0", header=HEADER.replace("exited", "left"))
    with pytest.raises(QuarantineError):
        ingestion.ingest(product)
    mended = make_product(tmp_path, id="corporation", target="left", positive="1", integer=["lastmonth_activity"])
    assert "1 new" in ingestion.ingest(mended)


def test_a_damaged_record_or_a_lost_part_says_what_to_do(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    ingestion.ingest(product)
    part = next((product.ingested / "parts").iterdir())
    part.rename(product.ingested / "elsewhere")
    with pytest.raises(DataError, match="is gone; restore it"):
        dataset.frame(product)
    (product.ingested / "record.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        dataset.load_record(product)


# ---- recount ---------------------------------------------------------------------------------------------------------


def test_verify_names_what_differs(product):
    put(product, "a.csv", *rows("a"))
    put(product, "b.csv", *rows("a"), *rows("b"))
    ingestion.ingest(product)
    assert ingestion.verify(product) == (
        "2 drops, 120 rows = 80 accepted + 40 duplicate + 0 rejected, recounted from 2 files; "
        "80 rows stored and in finaldata.csv"
    )
    record = json.loads((product.ingested / "record.json").read_text())
    for key, value, words in (("accepted", 41, "41 accepted"), ("rows", 81, "the record says 81")):
        changed = json.loads(json.dumps(record))
        changed["drops"][1][key] = value
        (product.ingested / "record.json").write_text(json.dumps(changed))
        with pytest.raises(DataError, match=words):
            ingestion.verify(product)
    (product.ingested / "record.json").write_text(json.dumps(record))
    first, second = sorted((product.ingested / "parts").iterdir())
    shutil.copy(first, second)
    with pytest.raises(DataError, match=r"are of another drop(.|\n)*rows are not stored|rows are not stored"):
        ingestion.verify(product)
    second.write_text("not parquet")
    with pytest.raises(DataError, match="cannot be read"):
        ingestion.verify(product)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_the_script_prints_a_line_a_product_and_logs_a_line_a_drop(product):
    put(product, "a.csv", "abcd,1,2,3,0")
    command = [sys.executable, HOME / "ingestion.py", "--config", product.config_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ("corporate: 1 drop ingested: 1 row = 1 new + 0 duplicate + 0 rejected; 1 row stored\n")
    assert "a.csv: 1 row" in done.stderr
    done = subprocess.run([*command, "--verify"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("corporate: 1 drops, 1 rows")


def describe(capsys, caplog, *arguments):
    """Run --describe; the name and the block it printed, and its notes."""
    flags = ("--describe", "--id", "--target", "--positive")
    commands = [stage.command(flag, ingestion.describe, metavar="X") for flag in flags]
    with caplog.at_level(logging.INFO):
        code = stage.main(ingestion.ingest, *commands, argv=[str(argument) for argument in arguments])
    printed = capsys.readouterr().out
    if code:
        return code, printed, caplog.text
    block, _, advice = printed.rstrip("\n").rpartition("\n\n")
    return code, json.loads("{" + block + "}"), caplog.text + advice


def test_described_files_ingest_as_described(shared_data, tmp_path, capsys, caplog):
    for path, missing in (
        (shared_data / "telco" / "telco_churn_7043.csv", 11),
        (shared_data / "iranian" / "customer_churn_0.csv", 0),
        (shared_data / "attrition" / "dataset4.csv", 0),
    ):
        code, printed, notes = describe(capsys, caplog, "--describe", path)
        assert code == 0 and "python ingestion.py --product" in notes
        ((name, block),) = printed.items()
        folder = tmp_path / name
        folder.mkdir()
        product = make_product(folder, name, **block)
        shutil.copy(path, product.source)
        assert "+ 0 rejected" in ingestion.ingest(product)
        frame = dataset.frame(product)
        assert frame.isna().to_numpy().sum() == missing
        assert not dataset.load_record(product).drops[0].extra


def test_describe_says_what_it_leaves_out_and_asks_for_what_it_cannot_tell(tmp_path, capsys, caplog):
    path = tmp_path / "Loyal Folk 2.csv"
    frame = pd.DataFrame({"row": range(300), "gone?": ["stays", "goes"] * 150, "amount": [1.5, 2] * 150})
    frame["seen"], frame["same"], frame["note"] = "2026-01-31", 3, [f"note {i % 170}" for i in range(300)]
    frame.insert(0, "account id", [f"A{i}" for i in range(300)])
    frame.to_csv(path, index=False)
    code, printed, _ = describe(capsys, caplog, "--describe", path)
    assert code == 1 and "name it with --target" in printed
    code, printed, _ = describe(capsys, caplog, "--describe", path, "--target", "gone?")
    assert code == 1 and "--positive, one of 'goes', 'stays'" in printed
    code, printed, notes = describe(capsys, caplog, "--describe", path, "--target", "gone?", "--positive", "goes")
    assert printed == {
        "loyal-folk-2": {
            "id": "account id",
            "target": "gone?",
            "positive": "goes",
            "negative": "stays",
            "numeric": ["amount"],
            "integer": ["row"],
        }
    }
    assert "'seen' is left out" in notes and "'same' is left out" in notes and "'note' is left out" in notes
    assert "have no label" not in notes
    frame.loc[:1, "gone?"] = None
    frame.to_csv(path, index=False)
    code, printed, notes = describe(capsys, caplog, "--describe", path, "--target", "gone?", "--positive", "goes")
    assert code == 0 and "2 rows have no label and will be rejected" in notes
    code, printed, _ = describe(capsys, caplog, "--id", "row")
    assert code == 1 and "go with --describe" in printed


# ---- real data -------------------------------------------------------------------------------------------------------


def test_the_practice_set_gives_26_rows(shared_data, product):
    for name in ("dataset1.csv", "dataset2.csv"):
        shutil.copy(shared_data / "attrition" / name, product.source)
    assert "36 rows = 26 new + 10 duplicate" in ingestion.ingest(product)
    assert len(final(product)) == 27
    wanted = pd.concat(pd.read_csv(product.source / name) for name in ("dataset1.csv", "dataset2.csv"))
    exported = pd.read_csv(product.ingested / "finaldata.csv")
    assert exported.equals(wanted.drop_duplicates().reset_index(drop=True))


def test_the_iranian_drops_are_stored_as_pandas_would_keep_them(shared_data, tmp_path):
    product = make_product(tmp_path, "iranian", **IRANIAN)
    wanted = pd.DataFrame()
    for name in ("0", "1", "2", "synthetic_1", "synthetic_4"):
        path = shutil.copy(shared_data / "iranian" / f"customer_churn_{name}.csv", product.source)
        ingestion.ingest(product)
        wanted = pd.concat([wanted, pd.read_csv(path)]).drop_duplicates()
        assert dataset.load_record(product).rows == len(wanted)
    stored = dataset.frame(product)
    assert (stored[wanted.columns].astype(float).to_numpy() == wanted.to_numpy()).all()
    assert "recounted from 5 files" in ingestion.verify(product)
