"""One client's current row is found at once, however many there are, and while all are written anew."""

import dataclasses
import multiprocessing
import threading

import duckdb
import numpy as np
import pandas as pd
import pytest

import ingestion
from churn import clients
from churn.errors import DataError
from demo import fabricate
from tests.loop import make

DATED = {
    "id": "client",
    "as_of": "day",
    "target": "left",
    "positive": "yes",
    "numeric": ["fee"],
    "integer": ["calls"],
    "categorical": ["plan"],
}
ODD = ["null", "NA", "007", 'O\'Neill "& Sons"', "Ünï; DROP TABLE", "a,b", "  both sides  ", "*.parquet", "日本"]


@pytest.fixture
def product(tmp_path):
    """A product whose clients have odd names, two dates each, and missing values."""
    product = make(tmp_path, **DATED)
    names = [*ODD, *(f"client-{i}" for i in range(200))]
    rows = pd.DataFrame({"client": names * 2, "day": ["2026-01-31"] * len(names) + ["2026-02-28"] * len(names)})
    rows["fee"] = np.arange(len(rows)) / 4
    rows["calls"] = np.arange(len(rows))
    rows["plan"] = np.tile(["a", "b"], len(names))
    rows["left"] = ["yes", "no"] * len(names)
    rows.loc[::3, ["fee", "plan"]] = None
    rows.loc[::4, "calls"] = None
    rows["calls"] = rows["calls"].astype("Int64")
    rows.to_csv(product.source / "rows.csv", index=False)
    ingestion.ingest(product)
    return product


def write(product):
    frame = clients.current(product)
    clients.write_rows(product, frame)
    return frame


def test_every_client_has_the_row_and_the_types_that_were_scored(product):
    frame = write(product)
    assert len(frame) == len(ODD) + 200
    for place, name in enumerate(frame["client"]):
        if name not in ODD and place % 7:
            continue  # a part of the others is enough
        expected = frame.iloc[[place]][list(product.columns.stored)].reset_index(drop=True)
        pd.testing.assert_frame_equal(clients.row_of(product, name), expected)


@pytest.mark.parametrize(
    "name", ["nobody", "", "client-", "CLIENT-1", "client-1 ", "'", "x' OR 1=1 --", "a\0b", "\ud800"]
)
def test_nobody_has_no_row(product, name):
    write(product)
    assert clients.row_of(product, name) is None


def test_before_the_clients_are_scored_it_says_what_to_run(product):
    with pytest.raises(DataError, match="no clients of corporate are scored yet; run: python scoring.py --product"):
        clients.row_of(product, "client-1")


def test_without_an_id_nobody_can_be_looked_up(tmp_path):
    with pytest.raises(DataError, match="has no id column"):
        clients.row_of(make(tmp_path, target="left", positive="1", integer=["x"]), "1")


@pytest.mark.parametrize(
    "harm", [lambda data: b"", lambda data: data[:-9], lambda data: b"PAR1" + bytes(999) + b"PAR1"]
)
def test_a_damaged_file_says_what_to_run_and_no_path(product, harm):
    write(product)
    path = product.reports / clients.ROWS
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match="is damaged, or of other columns; run: python scoring.py") as caught:
        clients.row_of(product, "client-1")
    assert str(path.parent) not in str(caught.value)


def test_a_file_of_other_columns_says_so(product):
    write(product)
    columns = dataclasses.replace(product.columns, numeric=("fee", "rent"))
    with pytest.raises(DataError, match="of other columns; run: python scoring.py"):
        clients.row_of(dataclasses.replace(product, columns=columns), "client-1")


def test_equal_rows_give_equal_bytes(product):
    write(product)
    before = (product.reports / clients.ROWS).read_bytes()
    write(product)
    assert (product.reports / clients.ROWS).read_bytes() == before
    assert [path.name for path in product.reports.iterdir()] == [clients.ROWS]


def test_of_a_client_whom_the_clients_file_names_twice_the_last_row_counts(tmp_path):
    product = make(tmp_path, clients_path="now.csv")
    frame = fabricate.world(30, 1, 3, fabricate.Drift()).drop(columns="exited")
    twice = pd.concat([frame, frame.head(1).assign(number_of_employees=4321)])
    twice.to_csv(tmp_path / "now.csv", index=False)
    write(product)
    assert clients.row_of(product, frame["corporation"][0])["number_of_employees"].tolist() == [4321.0]


def test_the_parts_of_the_file_hold_ranges_of_clients_so_that_all_but_one_can_be_passed_over(product):
    names = np.random.default_rng(0).permutation([f"client-{i:06}" for i in range(100_000)])
    one = clients.current(product).head(1)
    many = one.loc[one.index.repeat(len(names))].assign(client=names)
    clients.write_rows(product, many)
    ends = duckdb.sql(
        "SELECT stats_min_value, stats_max_value FROM parquet_metadata("
        f"'{product.reports / clients.ROWS}') WHERE path_in_schema = 'client' ORDER BY row_group_id"
    ).fetchall()
    assert len(ends) >= 3
    assert [end for pair in ends for end in pair] == sorted(end for pair in ends for end in pair)
    assert all(
        clients.row_of(product, name)["client"].tolist() == [name] for name in [*names[:20], *ends[0], *ends[-1]]
    )


def test_threads_ask_while_the_rows_are_written_anew(product):
    frame = clients.current(product)
    versions = [frame.assign(fee=float(i)) for i in range(2)]
    clients.write_rows(product, versions[0])
    done, seen, troubles = threading.Event(), set(), []

    def ask():
        try:
            while not done.is_set():
                seen.add(clients.row_of(product, "client-7")["fee"].item())
        except Exception as error:  # noqa: BLE001  a thread's error is the test's
            troubles.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(12):
        clients.write_rows(product, versions[i % 2])
    done.set()
    for thread in threads:
        thread.join()
    assert not troubles
    assert seen == {0.0, 1.0}


def _in_a_fork(product, queue):
    queue.put(clients.row_of(product, "client-7")["client"].item())


def test_a_forked_process_opens_its_own(product):
    write(product)
    assert clients.row_of(product, "client-7") is not None
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_fork, args=(product, queue))
    child.start()
    assert queue.get(timeout=10) == "client-7"
    child.join()
