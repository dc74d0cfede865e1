"""Diagnostics: statistics that equal pandas', timings of real runs, and a package index that may be out of reach."""

import importlib.metadata
import json
import math
import os
import subprocess
from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diagnostics
import ingestion
import training
from churn import dataset, stage, statistics
from churn.columns import Columns
from churn.intake import cells
from demo import fabricate
from tests.conftest import make_product

SECRET = "Geheim & Söhne"


@pytest.fixture(autouse=True)
def fresh_answers():
    """Each test asks for itself."""
    diagnostics._ask_index.cache_clear()


@pytest.fixture
def small(tmp_path):
    """A product with every kind of column, blanks in it, ingested."""
    product = make_product(
        tmp_path,
        id="client",
        target="left",
        positive="Yes",
        as_of="seen",
        numeric=["usage"],
        integer=["calls"],
        categorical=["plan"],
        package_check_days=0,
    )
    rows = [
        f"c{i},2026-0{1 + i % 3}-01,{'' if i % 4 == 0 else i / 2},{i % 5},{SECRET if i % 3 else ''},"
        f"{'Yes' if i % 2 else 'No'}"
        for i in range(60)
    ]
    (product.source / "a.csv").write_text("client,seen,usage,calls,plan,left\n" + "\n".join(rows) + "\n")
    ingestion.ingest(product)
    return product


# ---- statistics ------------------------------------------------------------------------------------------------------

NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8),
    min_size=3,
    max_size=3,
    unique_by=str.casefold,
)
NUMBERS = st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 3) + 0.0)


@settings(max_examples=60, deadline=None)
@given(
    NAMES, st.lists(st.tuples(NUMBERS, st.none() | st.integers(-9, 9), st.none() | st.sampled_from("abc")), max_size=40)
)
def test_the_statistics_are_those_of_pandas_whatever_the_columns_are_called(names, rows):
    columns = Columns("left?", "1", "0", numeric=(names[0],), integer=(names[1],), categorical=(names[2],))
    if "left?" in {name.casefold() for name in names}:
        return
    frame = pd.DataFrame([(*row, "1") for row in rows], columns=[*names, "left?"])
    with duckdb.connect() as connection:
        types = ", ".join(f"{cells.quoted(name)} {cells.sql_type(name, columns)}" for name in columns.stored)
        connection.execute(f"CREATE TABLE stored ({types})")
        for row in rows:
            connection.execute("INSERT INTO stored VALUES (?, ?, ?, '1')", row)
        found = statistics.describe(connection, "stored", columns)
        count, missing = statistics.missing(connection, "stored", columns)
    assert count == len(rows)
    for name in names[:2]:
        values = pd.to_numeric(frame[name]).astype(float)
        modes = values.mode()
        expected = {
            "mean": values.mean(),
            "median": values.median(),
            "mode": modes[0] if len(modes) else None,
            "std": values.std(),
            "min": values.min(),
            "max": values.max(),
        }
        for key, value in expected.items():
            if value is None or math.isnan(value):
                assert found[name][key] is None
            else:
                assert found[name][key] == pytest.approx(value, rel=1e-9, abs=1e-9), key
    levels = frame[names[2]].mode()
    assert found[names[2]]["mode"] == (levels[0] if len(levels) else None)
    assert found[names[2]]["levels"] == frame[names[2]].nunique()
    for name in names:
        share = 100 * frame[name].isna().mean() if len(frame) else 0
        assert found[name]["missing_percent"] == missing[name] == pytest.approx(share)
    json.dumps(found, allow_nan=False)


def test_the_largest_numbers_that_a_cell_can_hold_do_not_overflow():
    columns = Columns("left", "1", "0", numeric=("x",))
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE stored (x DOUBLE, "left" VARCHAR)')
        connection.execute("INSERT INTO stored VALUES (1.7e308, '1'), (1.6e308, '0'), (1.5e308, '1')")
        found = statistics.describe(connection, "stored", columns)["x"]
    assert found["mean"] == pytest.approx(1.6e308)
    assert found["median"] == 1.6e308
    assert found["std"] == pytest.approx(1e307)
    json.dumps(found, allow_nan=False)


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_what_the_app_reads_is_kept_as_json_and_agrees_with_the_rows(small):
    line = diagnostics.diagnose(small)
    kept = json.loads((small.reports / "diagnostics.json").read_text())
    assert set(kept) == {"version", "made_at", "rows", "statistics", "missing_percent", "timings", "packages"}
    frame = dataset.frame(small)
    assert kept["rows"] == len(frame) == 60
    assert kept["version"] is None
    assert kept["missing_percent"]["usage"] == 25
    assert kept["statistics"]["usage"]["mean"] == pytest.approx(frame["usage"].mean())
    assert kept["statistics"]["plan"] == {"mode": SECRET, "levels": 1, "missing_percent": pytest.approx(100 / 3)}
    assert kept["statistics"]["seen"] == {"min": "2026-01-01", "max": "2026-03-01", "missing_percent": 0}
    assert "mode" not in kept["statistics"]["client"]
    assert "60 rows, 2 of 6 columns with missing values" in line


def test_a_superseded_row_is_not_counted(small):
    (small.source / "b.csv").write_text("client,seen,usage,calls,plan,left\nc0,2026-01-01,1,1,x,No\n")
    ingestion.ingest(small)
    kept = diagnostics.measure(small)
    assert kept["rows"] == 60
    assert kept["missing_percent"]["usage"] == pytest.approx(100 * 14 / 60)


def test_nothing_ingested_is_described_as_nothing(product):
    assert diagnostics.diagnose(product, no_packages=True).startswith("0 rows, 0 of 5 columns")
    assert diagnostics.measure(product, no_packages=True)["timings"]["ingestion_seconds"] is None


def test_the_timings_are_those_of_real_runs(tmp_path):
    product = make_product(tmp_path, package_check_days=0, model="logistic", tuning_seconds=0)
    for month in (1, 2):
        fabricate.save(fabricate.world(150, month, 3, fabricate.Drift()), product.source / f"{month}.csv")
    ingestion.ingest(product)
    training.train(product)
    found = diagnostics.timings(product, dataset.load_record(product))
    assert found["ingestion_seconds"] > 0
    assert found["training_seconds"] > 0
    assert [entry["what"] for entry in found["history"]] == ["ingestion", "ingestion", "training"]
    assert found["history"][-1]["seconds"] == found["training_seconds"]
    assert all(entry["rows"] > 100 and entry["seconds"] >= 0 for entry in found["history"])


def test_the_script_prints_tables_and_no_log_holds_a_value_of_the_data(small, capsys):
    code = stage.main(
        diagnostics.show,
        stage.argument("--no-packages", action="store_true"),
        argv=["--config", str(small.config_path), "--no-packages"],
    )
    out = capsys.readouterr()
    assert code == stage.DONE
    assert SECRET in out.out
    assert out.out.splitlines()[-1].startswith("corporate: 60 rows")
    written = [path.read_text() for path in small.logs.rglob("*") if path.is_file()]
    assert any("diagnostics" in text for text in written)
    assert all(SECRET not in text for text in [*written, out.err])


# ---- packages --------------------------------------------------------------------------------------------------------


def use_index(monkeypatch, url):
    """Point pip at an index and at nothing else."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_RETRIES", "0")


def test_an_index_out_of_reach_is_said_and_is_no_error(monkeypatch):
    use_index(monkeypatch, "http://127.0.0.1:9/simple")
    found = diagnostics.packages({}, 1)
    assert found["note"] == "the package index could not be reached"
    assert found["checked_at"]
    assert {package["latest"] for package in found["list"]} == {None}
    assert {package["behind"] for package in found["list"]} == {None}
    assert all(package["installed"] for package in found["list"])


def offer(index, name, version):
    """Put a package into a local index."""
    (index / name).mkdir(parents=True)
    wheel = f"{name}-{version}-py3-none-any.whl"
    (index / name / "index.html").write_text(f'<!DOCTYPE html><html><body><a href="{wheel}">{wheel}</a></body></html>')


def test_what_is_behind_what_is_not_and_what_the_index_lacks_are_told_apart(monkeypatch, tmp_path):
    installed = importlib.metadata.version("packaging")
    offer(tmp_path / "simple", "flask", "99.0")
    offer(tmp_path / "simple", "packaging", installed)
    use_index(monkeypatch, (tmp_path / "simple").as_uri())
    asked = diagnostics.packages({}, 1)
    found = {package["name"]: package for package in asked["list"]}
    assert (found["flask"]["latest"], found["flask"]["behind"]) == ("99.0", True)
    assert (found["packaging"]["latest"], found["packaging"]["behind"]) == (installed, False)
    assert (found["numpy"]["latest"], found["numpy"]["behind"]) == (None, None)
    assert "numpy" in asked["note"]


def no_pip(*_, **__):
    raise AssertionError("pip was asked")


def test_the_answer_is_kept_until_it_is_old(monkeypatch):
    latest = dict.fromkeys(diagnostics._dependencies(), "0.0.1")
    monkeypatch.setattr(diagnostics, "_ask_index", lambda _: (latest, ""))
    known = diagnostics.packages({}, 7)
    assert {package["behind"] for package in known["list"]} == {False}
    monkeypatch.setattr(diagnostics, "_ask_index", no_pip)
    assert diagnostics.packages(known, 7) == known
    yesterweek = (datetime.now(UTC) - timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    old = known | {"checked_at": yesterweek}
    assert diagnostics.packages(old, 0) == old
    with pytest.raises(AssertionError, match="pip was asked"):
        diagnostics.packages(old, 7)


def test_a_failed_check_keeps_what_was_known_before(monkeypatch):
    monkeypatch.setattr(diagnostics, "_ask_index", lambda _: ({}, diagnostics.UNREACHABLE))
    known = {"checked_at": None, "note": "", "list": [{"name": "numpy", "latest": "99.0"}]}
    found = diagnostics.packages(known, 7)
    numpy = next(package for package in found["list"] if package["name"] == "numpy")
    assert numpy["behind"] is True
    assert found["note"] == diagnostics.UNREACHABLE


@pytest.mark.parametrize(
    "failure",
    [subprocess.TimeoutExpired("pip", 1), subprocess.CalledProcessError(2, "pip"), OSError("no more processes")],
)
def test_a_pip_that_fails_or_hangs_counts_as_no_answer(monkeypatch, failure):
    def run(*_, **__):
        raise failure

    monkeypatch.setattr(subprocess, "run", run)
    assert diagnostics._ask_index(("numpy",)) == ({}, diagnostics.UNREACHABLE)


def test_an_environment_without_pip_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    latest, note = diagnostics._ask_index(("numpy",))
    assert latest == {}
    assert "pip is not installed here" in note


def test_the_tables_show_what_is_unknown():
    packages = [{"name": "numpy", "installed": None, "latest": None, "behind": None}]
    found = {
        "rows": 0,
        "statistics": {"a\x1b[31m": {"mean": None, "mode": "x", "missing_percent": 0.0}},
        "timings": {"history": []},
        "packages": {"checked_at": None, "note": "never asked", "list": packages},
    }
    shown = diagnostics.tables(found)
    assert "unknown" in shown
    assert "never asked" in shown
    assert "\x1b" not in shown
