"""The stored parts: dates as keys, order, hashes, what other scripts read of them."""

import json
import os
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingestion
from churn import dataset, sources, storage
from churn.errors import DataError, DropError
from churn.intake import cells, parts, recount
from tests.conftest import HOME, make_product

MONTHLY = {
    "id": "client",
    "as_of": "day",
    "target": "left",
    "positive": "1",
    "numeric": ["spend"],
    "categorical": ["kind"],
}
HEADER = "client,day,spend,kind,left"


def put(product, name, *lines, header=HEADER):
    path = product.source / name
    path.write_text("\n".join([header, *lines, ""]))
    return path


@pytest.fixture
def monthly(tmp_path):
    return make_product(tmp_path, "monthly", **MONTHLY)


def live(product):
    """The live rows as the plain texts of a test."""
    frame = dataset.frame(product)
    return [(row.client, f"{row.day:%m-%d}", row.spend, row.drop_number) for row in frame.itertuples()]


# ---- the newest row of a key wins ------------------------------------------------------------------------------------


def test_with_as_of_the_newest_drop_wins_and_the_superseded_row_is_counted(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0", "b,2026-01-01,1,x,0", "a,2026-02-01,1,x,0")
    ingestion.ingest(monthly)
    put(monthly, "b.csv", "b,2026-01-01,1,x,0", "a,2026-01-01,9,x,1", "c,2026-01-01,1,x,0")
    assert ingestion.ingest(monthly) == (
        "1 drop ingested: 3 rows = 2 new + 1 duplicate + 0 rejected, 1 earlier row superseded; 4 rows stored"
    )
    assert live(monthly) == [("b", "01-01", 1, 1), ("a", "02-01", 1, 1), ("a", "01-01", 9, 2), ("c", "01-01", 1, 2)]
    assert (monthly.ingested / "finaldata.csv").read_text() == (
        f"{HEADER}\nb,2026-01-01,1.0,x,0\na,2026-02-01,1.0,x,0\na,2026-01-01,9.0,x,1\nc,2026-01-01,1.0,x,0\n"
    )
    assert "recounted from 2 files; 4 rows stored" in recount.verify(monthly)


def test_a_value_that_comes_back_after_it_was_superseded_is_new_again(monthly):
    for name, spend in (("a.csv", 1), ("b.csv", 2), ("c.csv", 1)):
        put(monthly, name, f"a,2026-01-01,{spend},x,0", *(f"{name}{i},2026-01-01,1,x,0" for i in range(3)))
        ingestion.ingest(monthly)
    record = dataset.load_record(monthly)
    assert [(drop.accepted, drop.superseded) for drop in record.drops] == [(4, 0), (4, 1), (4, 1)]
    assert [row for row in live(monthly) if row[0] == "a"] == [("a", "01-01", 1, 3)]
    assert "10 rows stored" in recount.verify(monthly)


def test_in_one_drop_the_last_row_of_a_key_wins(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0", "a,2026-01-01,2,x,0", "b,2026-01-01,1,x,0", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    drop = dataset.load_record(monthly).drops[0]
    assert (drop.rows, drop.accepted, drop.duplicate, drop.superseded) == (4, 3, 1, 1)
    assert live(monthly) == [("b", "01-01", 1, 1), ("a", "01-01", 1, 1)]
    recount.verify(monthly)


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(1, 3)), min_size=1, max_size=8)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_any_drops_leave_the_last_row_of_every_key(tmp_path_factory, drops):
    product = make_product(tmp_path_factory.mktemp("monthly"), "monthly", **MONTHLY)
    wanted = {}
    for number, rows in enumerate(drops):
        path = put(
            product, f"{number}.csv", *(f"{who},2026-01-{day:02},{spend},{number},0" for who, day, spend in rows)
        )
        os.utime(path, (number, number))
        wanted |= {(who, f"01-{day:02}"): spend for who, day, spend in rows}
    ingestion.ingest(product)
    assert {(who, day): spend for who, day, spend, _ in live(product)} == wanted
    assert f"{len(wanted):,} rows stored" in recount.verify(product)


# ---- any drops, without dates ----------------------------------------------------------------------------------------

CELLS = st.tuples(st.sampled_from(["a", "b", "NA"]), st.sampled_from(["1", "1.0", "", "2"]), st.sampled_from("01"))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, max_size=8), min_size=1, max_size=4))
def test_any_drops_leave_what_pandas_leaves_in_the_same_order(tmp_path_factory, drops):
    product = make_product(
        tmp_path_factory.mktemp("plain"), "plain", id="client", target="left", positive="1", numeric=["spend"]
    )
    frames = []
    for number, rows in enumerate(drops):
        path = put(product, f"{number}.csv", *(",".join(row) for row in rows), header="client,spend,left")
        os.utime(path, (number, number))
        kinds = {"client": str, "left": str, "spend": float}
        frames.append(pd.read_csv(path, dtype=kinds, na_values={"spend": [""]}, keep_default_na=False))
    ingestion.ingest(product)
    wanted = pd.concat(frames).drop_duplicates().reset_index(drop=True)
    stored = dataset.frame(product).drop(columns="drop_number")
    pd.testing.assert_frame_equal(stored, wanted, check_dtype=False)
    exported = pd.read_csv(product.ingested / "finaldata.csv", dtype=str, keep_default_na=False)
    assert len(exported) == len(wanted) == dataset.load_record(product).rows


def test_many_rows_keep_their_order_with_duplicates_among_them(tmp_path):
    product = make_product(tmp_path, "big", target="left", positive="1", integer=["n", "m"], memory_limit_mb=128)
    generator = np.random.default_rng(0)
    frames = []
    for i in range(3):
        frames.append(pd.DataFrame({"n": generator.integers(0, 150_000, 200_000), "m": 7, "left": 1}))
        path = product.source / f"{i}.csv"
        frames[-1].to_csv(path, index=False)
        os.utime(path, (i, i))
    ingestion.ingest(product)
    wanted = pd.concat(frames).drop_duplicates()
    assert np.array_equal(dataset.frame(product)["n"].to_numpy(), wanted["n"].to_numpy())
    assert np.array_equal(pd.read_csv(product.ingested / "finaldata.csv")["n"].to_numpy(), wanted["n"].to_numpy())
    assert f"{len(wanted):,} rows stored" in recount.verify(product)


# ---- hashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings_of", [MONTHLY, {**MONTHLY, "as_of": None}])
def test_another_duckdb_makes_the_hashes_anew(tmp_path, monkeypatch, settings_of):
    product = make_product(tmp_path, "monthly", **settings_of)
    put(product, "a.csv", "a,2026-01-01,1,x,0", "b,2026-01-01,1,x,0")
    put(product, "b.csv", "a,2026-01-01,2,x,0")
    ingestion.ingest(product)
    before, hash_before = live(product) if settings_of["as_of"] else None, dataset.load_record(product).data_hash
    old = sorted(path.name for path in (product.ingested / "parts").iterdir())
    # As if the DuckDB at hand hashed otherwise: salted, and with another version.
    salted = {name: sql.replace("hash(", "hash('salt', ") for name, sql in cells.hashes(product.columns).items()}
    monkeypatch.setattr("churn.intake.cells.hashes", lambda _: salted)
    monkeypatch.setattr("duckdb.__version__", "99.0.0")
    put(product, "c.csv", "b,2026-01-01,1,x,0", "a,2026-01-01,2,x,0", "c,2026-01-01,1,x,0")
    assert "3 rows = 1 new + 2 duplicate" in ingestion.ingest(product)
    record = dataset.load_record(product)
    assert record.duckdb == "99.0.0"
    assert [drop.part for drop in record.drops[:2]] == [f"{drop.stem}.99.0.0.parquet" for drop in record.drops[:2]]
    if before:
        assert live(product)[: len(before)] == before
    assert record.up_to(2).data_hash == hash_before
    recount.verify(product)
    put(product, "d.csv", "d,2026-01-01,1,x,0")
    ingestion.ingest(product)
    assert not set(old[:2]) & {path.name for path in (product.ingested / "parts").iterdir() if "dead" not in path.name}


def test_a_newer_duckdb_with_the_same_hashes_leaves_the_parts_alone(monthly, monkeypatch):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    first = dataset.load_record(monthly).drops[0].part
    monkeypatch.setattr("duckdb.__version__", "99.0.0")
    put(monthly, "b.csv", "b,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    assert dataset.load_record(monthly).drops[0].part == first
    assert dataset.load_record(monthly).duckdb == "99.0.0"


def test_hashes_of_close_rows_do_not_collide():
    with duckdb.connect() as connection:
        (collisions,) = connection.execute(
            "SELECT count(*) - count(DISTINCT hash(a.range, b.range, 'x', nullif(c.range, 0), '1')) "
            "FROM range(120) a, range(120) b, range(120) c"
        ).fetchone()
    assert collisions == 0


# ---- what others read ------------------------------------------------------------------------------------------------


def test_a_frame_has_floats_texts_and_dates(monthly):
    put(monthly, "a.csv", "007,2026-01-01,,null,0", "b,2026-01-01,2,,1")
    ingestion.ingest(monthly)
    frame = dataset.frame(monthly)
    assert list(frame) == ["client", "day", "spend", "kind", "left", "drop_number"]
    assert [str(kind) for kind in frame.dtypes] == ["str", "datetime64[us]", "float64", "str", "str", "int32"]
    assert frame["client"].tolist() == ["007", "b"] and frame["kind"].isna().tolist() == [False, True]
    empty = dataset.frame(monthly, since=1)
    assert len(empty) == 0 and list(empty) == list(frame)
    assert [str(kind) for kind in empty.dtypes] == [str(kind) for kind in frame.dtypes]


def test_looking_at_the_record_imports_nothing_heavy():
    code = "import sys; from churn import dataset, sources; print([m for m in ('duckdb', 'pandas', 'pydantic', 'numpy') if m in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_is_what_the_record_has_not_seen(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    put(monthly, "b.csv", "b,2026-01-01,1,x,0")
    listed = sources.Folder(monthly.source).list()
    assert [c.name for c in dataset.unknown(dataset.load_record(monthly), listed)] == ["b.csv"]


def test_a_folder_is_read_whole_and_a_bad_file_in_it_is_an_error(monthly):
    frame, readings = dataset.read_folder(monthly, monthly.test)
    assert len(frame) == 0 and readings == [] and list(frame)[-1] == "left"
    put(monthly, "t.csv", "a,2026-01-01,1,x,0").rename(monthly.test / "t.csv")
    put(monthly, "u.csv", "b,2026-01-01,1,x,1", "b,2026-01-01,1,x,1").rename(monthly.test / "u.csv")
    frame, readings = dataset.read_folder(monthly, monthly.test)
    assert frame["client"].tolist() == ["a", "b", "b"]
    assert [reading.rows for reading in readings] == [1, 2]
    (monthly.test / "v.csv").write_text("")
    with pytest.raises(DropError, match=r"v.csv: empty"):
        dataset.read_folder(monthly, monthly.test)


def test_the_current_clients_need_no_label_and_what_does_not_fit_is_said(tmp_path, caplog):
    product = make_product(tmp_path, "monthly", **MONTHLY, clients_path="clients.csv")
    (tmp_path / "clients.csv").write_text("client,spend,kind\na,1,x\nb,,\n")
    frame = dataset.read_clients(product)
    assert frame["client"].tolist() == ["a", "b"] and frame["left"].isna().all()
    (tmp_path / "clients.csv").write_text("client,spend,kind\na,1,x\nb,?,\n")
    with pytest.raises(DropError, match="line 3: .*spend: not a number"):
        dataset.read_clients(product)
    (tmp_path / "clients.csv").write_text("client,spend,kind\n" + "a,1,x\n" * 19 + "b,?,\n")
    assert len(dataset.read_clients(product)) == 19
    assert "clients.csv, line 21: 1 of 20 clients are left out; the first: spend: not a number" in caplog.text
    with pytest.raises(DropError, match="line 21"), (tmp_path / "clients.csv").open("rb") as file:
        dataset.read_file(product, file.fileno(), "clients.csv")  # what the app is asked to score has to fit whole
    (tmp_path / "clients.csv").unlink()
    with pytest.raises(DropError, match="no longer there"):
        dataset.read_clients(product)


def test_too_little_memory_or_a_broken_part_is_an_error_to_mend(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    with pytest.raises(DataError, match="memory_limit_mb of 1024 is not enough"), dataset.connect(monthly):
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate")
    next(parts.folder(monthly).iterdir()).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=str(monthly.ingested)):
        dataset.frame(monthly)


def test_within_another_connection_there_is_no_second_engine(monthly, tmp_path):
    with dataset.connect(monthly) as outer:
        outer.execute("ATTACH ':memory:' AS mark; CREATE TEMP TABLE mine AS SELECT 1")
        with dataset.connect(monthly) as inner:
            engines = inner.execute("SELECT database_name FROM duckdb_databases()").fetchall()
            assert ("mark",) in engines
            with pytest.raises(duckdb.CatalogException):
                inner.execute("FROM mine")
        with dataset.connect(monthly, tmp_path / "elsewhere") as other:  # it spills elsewhere: another engine
            assert ("mark",) not in other.execute("SELECT database_name FROM duckdb_databases()").fetchall()
        assert outer.execute("FROM mine").fetchall() == [(1,)]
    with dataset.connect(monthly) as later:
        assert ("mark",) not in later.execute("SELECT database_name FROM duckdb_databases()").fetchall()


def test_what_is_spilled_within_another_connection_does_not_take_its_place_away(tmp_path):
    product = make_product(tmp_path, memory_limit_mb=128)
    sorting = (
        "CREATE TEMP TABLE t AS SELECT hash(i) h, i::VARCHAR || repeat('x', 40) v FROM range(2500000) r(i) ORDER BY h"
    )
    spill = tmp_path / "spill"
    with dataset.connect(product, spill):
        for _ in range(2):
            with dataset.connect(product, spill) as inner:
                inner.execute(sorting)
                assert list(spill.iterdir())
    assert not spill.exists()


def test_folders_with_odd_names_work(tmp_path):
    folder = tmp_path / "it's [1] * ?"
    folder.mkdir()
    product = make_product(folder, "monthly", **MONTHLY)
    put(product, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(product)
    put(product, "b.csv", "a,2026-01-01,2,x,0")
    ingestion.ingest(product)
    assert live(product) == [("a", "01-01", 2, 2)]
    recount.verify(product)


def test_the_record_survives_a_round_trip(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    record = dataset.load_record(monthly)
    text = (monthly.ingested / "record.json").read_text()
    dataset.save_record(monthly, record)
    assert dataset.load_record(monthly) == record
    assert (monthly.ingested / "record.json").read_text() == text
    assert json.loads(text)["drops"][0]["name"] == "a.csv"
    assert record.seconds > 0 and record.ingested_at


def test_a_record_from_before_labels_could_come_late_is_read(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    path = monthly.ingested / "record.json"
    record = json.loads(path.read_text())
    del record["late_labels"]
    for key in ("unlabelled", "superseded_unlabelled", "late_labels"):
        del record["drops"][0][key]
    path.write_text(json.dumps(record))
    assert ingestion.ingest(monthly) == "nothing new; 1 row stored"
    recount.verify(monthly)


def test_a_part_half_written_is_nothing(monthly):
    put(monthly, "a.csv", "a,2026-01-01,1,x,0")
    ingestion.ingest(monthly)
    stray = parts.folder(monthly) / "00002-12345678.parquet"
    stray.write_bytes(b"PAR1")
    assert len(dataset.frame(monthly)) == 1
    assert storage.TEMPORARY not in {path.name[:5] for path in monthly.ingested.iterdir()}
