"""Labels that come later than their rows: what waits, what a label supersedes, and that none is lost."""

import json
import os

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingestion
from churn import dataset
from churn.errors import DataError, QuarantineError
from churn.intake import cells, parts, recount
from tests.conftest import make_product
from tests.test_dataset import HEADER, MONTHLY, live, put


@pytest.fixture
def late(tmp_path):
    return make_product(tmp_path, "monthly", **MONTHLY, late_labels=True)


def labels(product):
    """Each live row's key and label, None where it has none yet."""
    frame = dataset.frame(product)
    texts = frame["left"].astype(object).where(frame["left"].notna(), None)
    return list(zip(frame["client"], frame["day"].dt.strftime("%m-%d"), texts, strict=True))


def counts(product):
    return [(d.rows, d.accepted, d.duplicate, d.superseded) for d in dataset.load_record(product).drops]


def test_a_row_may_come_without_its_label_and_again_with_it(late):
    put(late, "a.csv", "a,2026-01-01,1,x,", 'b,2026-01-01,2,,""', "c,2026-01-01,3,x, ", "d,2026-01-01,4,x,1")
    assert ingestion.ingest(late) == (
        "1 drop ingested: 4 rows = 4 new + 0 duplicate + 0 rejected; 4 rows stored; 3 rows wait for their label"
    )
    assert labels(late) == [("a", "01-01", None), ("b", "01-01", None), ("c", "01-01", None), ("d", "01-01", "1")]
    assert (late.ingested / "finaldata.csv").read_text() == (
        f"{HEADER}\na,2026-01-01,1.0,x,\nb,2026-01-01,2.0,,\nc,2026-01-01,3.0,x,\nd,2026-01-01,4.0,x,1\n"
    )
    assert recount.verify(late).endswith("4 rows stored and in finaldata.csv, 3 of them without a label yet")
    put(late, "b.csv", "a,2026-01-01,1,x,0", "b,2026-01-01,2,,1", "a,2026-02-01,1,x,")
    assert ingestion.ingest(late) == (
        "1 drop ingested: 3 rows = 3 new + 0 duplicate + 0 rejected, 2 earlier rows superseded; 5 rows stored; "
        "2 rows wait for their label"
    )
    assert labels(late)[2:] == [("a", "01-01", "0"), ("b", "01-01", "1"), ("a", "02-01", None)]
    put(late, "c.csv", "c,2026-01-01,3,x,0")
    assert ingestion.ingest(late).endswith("5 rows stored; 1 row waits for its label")
    assert ingestion.ingest(late) == "nothing new; 5 rows stored; 1 row waits for its label"
    assert "2 of them" not in recount.verify(late)


def test_a_frame_of_rows_that_all_wait_for_their_label_has_texts_in_it_all_the_same(late):
    put(late, "a.csv", "a,2026-01-01,1,x,", "b,2026-01-01,2,,")
    ingestion.ingest(late)
    frame = dataset.frame(late)
    assert str(frame["left"].dtype) == "str" and not frame["left"].notna().any()


@pytest.mark.parametrize("label", ["2", "yes", "NA", "-"])
def test_a_label_that_is_not_blank_has_to_be_one_of_the_two(late, label):
    put(late, "a.csv", *(f"c{i},2026-01-01,1,x," for i in range(9)), f"a,2026-01-01,1,x,{label}")
    assert "10 rows = 9 new + 0 duplicate + 1 rejected" in ingestion.ingest(late)
    assert (late.ingested / "rejects" / "a.csv").read_text().splitlines()[1] == "11,left,neither '1' nor '0'"
    recount.verify(late)


def test_the_date_and_the_column_of_the_label_stay_required(late):
    put(late, "a.csv", *(f"c{i},2026-01-01,1,x," for i in range(20)), "a,,1,x,", "a,31.1.2026,1,x,")
    assert "22 rows = 20 new + 0 duplicate + 2 rejected" in ingestion.ingest(late)
    put(late, "b.csv", "a,2026-01-01,1,x", header="client,day,spend,kind")
    put(late, "c.csv", "a,1,x,", header="client,spend,kind,left")
    with pytest.raises(
        QuarantineError, match="b.csv, line 1: .*no column 'left'.*\n.*c.csv, line 1: .*no column 'day'"
    ):
        ingestion.ingest(late)


def test_a_label_once_known_is_not_lost_to_a_later_row_without_it(late):
    put(late, "a.csv", "a,2026-01-01,1,x,1", "b,2026-01-01,1,x,")
    ingestion.ingest(late)
    before = dataset.load_record(late).data_hash
    put(late, "b.csv", "a,2026-01-01,1,x,", "a,2026-01-01,9,y,", "b,2026-01-01,1,x,")
    assert "3 rows = 0 new + 3 duplicate + 0 rejected; 2 rows stored" in ingestion.ingest(late)
    assert labels(late) == [("a", "01-01", "1"), ("b", "01-01", None)]
    assert dataset.load_record(late).data_hash == before
    put(late, "c.csv", "a,2026-01-01,1,x,0", "b,2026-01-01,2,x,")  # a label that is corrected, a row that still waits
    ingestion.ingest(late)
    assert live(late) == [("a", "01-01", 1, 3), ("b", "01-01", 2, 3)] and labels(late)[0][2] == "0"
    assert counts(late) == [(2, 2, 0, 0), (3, 0, 3, 0), (2, 2, 0, 2)]
    recount.verify(late)


def test_in_one_drop_a_label_wins_wherever_it_stands(late):
    put(late, "a.csv", "a,2026-01-01,1,x,", "a,2026-01-01,1,x,1", "b,2026-01-01,1,x,0", "b,2026-01-01,7,x,")
    assert "4 rows = 3 new + 1 duplicate + 0 rejected, 1 earlier row superseded; 2 rows stored" in ingestion.ingest(
        late
    )
    assert labels(late) == [("a", "01-01", "1"), ("b", "01-01", "0")]
    assert dataset.load_record(late).waiting == 0
    recount.verify(late)


# client, day, spend, label: blank more often than not
WAITING = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(1, 2), st.sampled_from(["", "", "0", "1"])),
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WAITING, min_size=1, max_size=4), st.booleans())
def test_whatever_the_order_of_drops_no_label_is_lost_and_no_key_stands_twice(tmp_path_factory, drops, together):
    product = make_product(tmp_path_factory.mktemp("late"), "monthly", **MONTHLY, late_labels=True)
    wanted = {}
    for number, rows in enumerate(drops):
        lines = [f"{who},2026-01-{day:02},{spend},x{number},{label}" for who, day, spend, label in rows]
        os.utime(put(product, f"{number}.csv", *lines), (number, number))
        for who, day, spend, label in rows:
            if label or not wanted.get((who, f"01-{day:02}"), (0, None))[1]:
                wanted[who, f"01-{day:02}"] = spend, label or None
        if not together:
            ingestion.ingest(product)
    ingestion.ingest(product)
    both = live(product), labels(product)
    found = [(who, day, spend, label) for (who, day, spend, _), (_, _, label) in zip(*both, strict=True)]
    assert len(found) == len(wanted)
    assert {(who, day): (spend, label) for who, day, spend, label in found} == wanted
    record = dataset.load_record(product)
    assert all(drop.rows == drop.accepted + drop.duplicate + drop.rejected for drop in record.drops)
    assert record.waiting == sum(label is None for _, label in wanted.values())
    assert f"{len(wanted):,} rows stored" in recount.verify(product)


def test_without_late_labels_a_blank_label_is_a_rejected_row_until_the_config_allows_it(tmp_path):
    product = make_product(tmp_path, "monthly", **MONTHLY)
    good = [f"c{i},2026-01-01,1,x,0" for i in range(9)]
    put(product, "a.csv", *good, "a,2026-01-01,1,x,")
    assert "10 rows = 9 new + 0 duplicate + 1 rejected; 9 rows stored" in ingestion.ingest(product)
    strict = dataset.load_record(product).data_hash
    put(product, "b.csv", "b,2026-02-01,1,x,", "c,2026-02-01,1,x,1")
    with pytest.raises(QuarantineError, match="b.csv, line 2: 1 of 2 rows do not fit.*left: blank"):
        ingestion.ingest(product)
    late = make_product(tmp_path, "monthly", **MONTHLY, late_labels=True)
    assert dataset.load_record(late).data_hash == strict
    assert "2 rows = 2 new + 0 duplicate + 0 rejected; 11 rows stored; 1 row waits" in ingestion.ingest(late)
    assert not dataset.load_record(late).quarantined
    recount.verify(late)  # the first file is judged as it was when it came
    put(late, "c.csv", "a,2026-01-01,1,x,")
    assert "12 rows stored; 2 rows wait for their label" in ingestion.ingest(late)


def test_once_late_labels_are_no_longer_allowed_the_rows_that_wait_still_get_theirs(tmp_path):
    late = make_product(tmp_path, "monthly", **MONTHLY, late_labels=True)
    put(late, "a.csv", "a,2026-01-01,1,x,", "b,2026-01-01,1,x,")
    ingestion.ingest(late)
    product = make_product(tmp_path, "monthly", **MONTHLY)
    put(product, "b.csv", "a,2026-01-01,1,x,1")
    assert ingestion.ingest(product).endswith("2 rows stored; 1 row waits for its label")
    put(product, "c.csv", "b,2026-01-01,1,x,")
    with pytest.raises(QuarantineError, match="left: blank"):
        ingestion.ingest(product)
    recount.verify(product)


def test_the_same_file_is_other_data_where_its_rows_without_a_label_are_rejected(tmp_path):
    hashes = set()
    for allowed in (False, True):
        (tmp_path / str(allowed)).mkdir()
        product = make_product(tmp_path / str(allowed), "monthly", **MONTHLY, late_labels=allowed, max_rejected=0.5)
        put(product, "a.csv", "a,2026-01-01,1,x,", "b,2026-01-01,1,x,1")
        ingestion.ingest(product)
        hashes.add(dataset.load_record(product).data_hash)
    assert len(hashes) == 2


def test_the_recount_finds_a_lost_label_and_a_key_that_stands_twice(late):
    put(late, "a.csv", "a,2026-01-01,1,x,", "b,2026-01-01,1,x,")
    ingestion.ingest(late)
    put(late, "b.csv", "a,2026-01-01,1,x,1")
    ingestion.ingest(late)
    path = next(parts.folder(late).glob("00002-*.dead.parquet"))
    for number, position, words in ((1, 1, "1 stored rows have the client and day of"), (2, 0, "1 labels .* are lost")):
        with duckdb.connect() as connection:
            query = f"SELECT {number}::INTEGER AS drop_number, {position}::BIGINT AS position"
            connection.execute(f"COPY ({query}) TO {cells.text(str(path))} (FORMAT parquet)")
        with pytest.raises(DataError, match=words):
            recount.verify(late)
    record = json.loads((late.ingested / "record.json").read_text())
    record["drops"][0]["unlabelled"] = 1
    (late.ingested / "record.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="2 rows of its part have no label, not 1"):
        recount.verify(late)


def test_columns_may_have_the_names_that_the_work_itself_uses(tmp_path):
    settings = {"target": "position", "numeric": ["waits", "first"], "categorical": ["labelled"]}
    product = make_product(tmp_path, "monthly", **(MONTHLY | settings), late_labels=True)
    header = "client,day,waits,first,labelled,position"
    put(product, "a.csv", "a,2026-01-01,1,2,x,", "b,2026-01-01,1,2,x,", header=header)
    ingestion.ingest(product)
    put(product, "b.csv", "a,2026-01-01,1,2,x,1", "a,2026-01-01,1,2,x,", header=header)
    assert "2 rows = 1 new + 1 duplicate" in ingestion.ingest(product)
    assert recount.verify(product).endswith("2 rows stored and in finaldata.csv, 1 of them without a label yet")


def test_held_out_files_have_to_be_labelled_all_the_same(late):
    lines = [f"c{i},2026-01-01,1,x,0" for i in range(9)]
    put(late, "t.csv", *lines, "a,2026-01-01,1,x,").rename(late.test / "t.csv")
    frame, (reading,) = dataset.read_folder(late, late.test)
    assert (len(frame), reading.rejected, reading.rejects[0].what) == (9, 1, "left: blank")
