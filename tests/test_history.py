"""The history: written once however often, read in time's order, the same in SQLite and in a real PostgreSQL."""

import dataclasses
import os
import re
import sqlite3
import stat
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, select, text

from churn import stage
from churn.errors import ChurnError, DataError, HistoryError
from churn.history import database, tables, writing
from churn.history.store import History, connect
from tests import postgres
from tests.conftest import HOME, make_product

DAYS = [f"2026-0{month}-01T06:10:00Z" for month in range(1, 10)]
LATE = {
    "target": "exited",
    "positive": "1",
    "id": "client",
    "as_of": "month",
    "integer": ["activity"],
    "late_labels": True,
}


@pytest.fixture(scope="module")
def server():
    """One PostgreSQL server for this file."""
    with postgres.server() as running:
        yield running


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk():
    """SQLite leaves it to the system when the disk is written: a killed process, unlike a power cut, loses nothing."""
    event.listen(Engine, "connect", unsynced)
    yield
    event.remove(Engine, "connect", unsynced)


def unsynced(connection, _):
    """On every new connection to an SQLite file."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF").close()


@pytest.fixture(scope="module")
def shared_database(server):
    """The URL of a PostgreSQL database that tests share, each as another product."""
    return server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """A corporate product whose history is new, in either database."""
    product = make_product(tmp_path)
    if request.param == "sqlite":
        return product
    name = re.sub(r"\W", "-", request.node.name)
    return dataclasses.replace(product, name=name, history=request.getfixturevalue("shared_database"))


@pytest.fixture
def database_of_its_own(place, request):
    """The same product, its database used by nobody else."""
    if place.history.startswith("sqlite"):
        return place
    return dataclasses.replace(place, history=request.getfixturevalue("server").new_database())


@pytest.fixture
def history(place):
    """That history, open."""
    with connect(place) as opened:
        yield opened


@pytest.fixture
def late(place, tmp_path):
    """The history of a product with late labels, in either database."""
    product = make_product(tmp_path, **LATE)
    with connect(dataclasses.replace(place, settings=product.settings)) as opened:
        yield opened


def risks(**of):
    """A frame of clients and their risks."""
    return pd.DataFrame({"client": list(of), "risk": list(of.values())})


def outcomes(**of):
    """A frame of clients and whether they left."""
    return pd.DataFrame({"client": list(of), "left": list(of.values())})


def write_everything(history, at=DAYS[1]):
    """Something of each kind; the numbers of rows added or changed."""
    frame = pd.DataFrame({"client": [f"c{i}" for i in range(50)], "risk": [i / 50 for i in range(50)]})
    quiet = {"column": "activity", "words": "activity 0: raises the risk most", "part": 1.25}
    called = [{"client": f"c{i}", "status": "entered", "rank": i, "reasons": [quiet]} for i in range(1, 8)]
    metric = {"drop": 1, "version": "0001-a", "kind": "realised", "name": "f1", "value": 0.5, "at": at}
    drift = {"drop": 1, "version": "0001-a", "kind": "drift", "verdict": "ok", "reason": "nothing", "at": at}
    return [
        history.write_scores("0001-a", "k1", frame, at=at, drop=1),
        history.write_scores("0001-a", "d1", frame, at=at, drop=1, kind="drop"),
        history.write_labels("d1", frame.assign(left=frame["risk"] > 0.7), at=at, drop=1),
        history.write_list("0001-a", "k1", called, at=at, drop=1),
        history.write_outcomes([{"client": "c1", "as_of": "2026-01-31", "left": True, "at": at}]),
        history.write_contacts([{"client": "c1", "at": DAYS[2], "kind": "called", "outcome": "reached"}]),
        history.write_metrics([metric, metric | {"kind": "estimated", "value": 0.6, "lower": 0.5, "upper": 0.7}]),
        history.write_verdicts([drift | {"numbers": {"auc_z": -0.5, "columns": ["a"]}}]),
    ]


def dump(history):
    """All rows of a product's history, with batches by what they are instead of by number."""
    found = []
    with history.transaction() as connection:
        batches = tables.batches.c
        mine = {
            row.id: (row.kind, row.version, row.key)
            for row in connection.execute(select(tables.batches).where(batches.product == history.product))
        }
        for table in tables.metadata.sorted_tables:
            if table is tables.schema:
                continue
            of = table.c.product == history.product if "product" in table.c else table.c.batch.in_(list(mine))
            for row in connection.execute(select(table).where(of)).mappings():
                shown = {name: value for name, value in row.items() if name not in ("id", "product", "batch")}
                found.append(repr((table.name, mine.get(row.get("batch")), sorted(shown.items()))))
    return sorted(found)


# ---- scores ----------------------------------------------------------------------------------------------------------


def test_clients_are_ranked_by_risk_and_equal_risks_stay_in_the_order_of_the_data(history):
    history.write_scores("0001-a", "k1", risks(zoe=0.2, bob=0.9, amy=0.2, eve=1.0), at=DAYS[1], drop=1)
    page = history.clients()
    assert [(row["client"], row["rank"]) for row in page.rows] == [("eve", 1), ("bob", 2), ("zoe", 3), ("amy", 4)]
    assert page.total == 4
    assert (page.batch["version"], page.batch["key"], page.batch["drop"]) == ("0001-a", "k1", 1)


def test_a_page_shows_the_risk_now_and_last_time(history):
    assert history.clients().batch is None
    history.write_scores("0001-a", "k1", risks(bob=0.1, amy=0.2), at=DAYS[1])
    history.write_scores("0002-b", "k2", risks(bob=0.6, amy=0.3, new=0.4), at=DAYS[2])
    page = history.clients()
    assert [(row["client"], row["risk"], row["before"]) for row in page.rows] == [
        ("bob", 0.6, 0.1), ("new", 0.4, None), ("amy", 0.3, 0.2),
    ]  # fmt: skip
    assert (page.batch["version"], page.before["version"]) == ("0002-b", "0001-a")
    assert [(row["at"], row["risk"], row["rank"], row["rows"]) for row in history.risks_of("bob")] == [
        (DAYS[1], 0.1, 2, 2), (DAYS[2], 0.6, 1, 3),
    ]  # fmt: skip


def test_pages_follow_each_other_and_are_filtered_by_name_and_risk(history):
    frame = pd.DataFrame({"client": [f"Client {i:03}%" for i in range(100)], "risk": [i / 100 for i in range(100)]})
    history.write_scores("0001-a", "k1", frame, at=DAYS[1])
    pages = [history.clients(limit=30, offset=start).rows for start in range(0, 100, 30)]
    assert [row["rank"] for page in pages for row in page] == list(range(1, 101))
    found = history.clients(search="client 09", limit=4, offset=2)
    assert ([row["client"] for row in found.rows], found.total) == ([f"Client 09{i}%" for i in (7, 6, 5, 4)], 10)
    assert history.clients(search="9%").total == 10
    assert history.clients(search="_").total == 0
    middle = history.clients(lowest=0.25, highest=0.30, limit=2)
    assert ([row["risk"] for row in middle.rows], middle.total) == ([0.30, 0.29], 6)


ENDS = st.sampled_from([0.0, 0.2, 0.25, 0.25000001, 0.5, 0.9, 1.0])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    risk=st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.75, 1.0]), max_size=12),
    asked=st.fixed_dictionaries(
        {"lowest": ENDS, "highest": ENDS, "offset": st.integers(0, 9), "limit": st.integers(1, 4)}
        | {"search": st.sampled_from(["", "c", "1", "C-2", "nobody"])}
    ),
)
def test_a_page_is_what_going_through_all_clients_would_give(history, risk, asked):
    frame = pd.DataFrame({"client": [f"c-{i}" for i in range(len(risk))], "risk": np.array(risk, dtype=float)})
    history.write_scores("0001-a", f"k{len(history.batches('clients'))}", frame, at=DAYS[1], drop=1)
    order = sorted(range(len(risk)), key=lambda i: (-risk[i], i))
    kept = [i for i in order if asked["lowest"] <= risk[i] <= asked["highest"] and asked["search"].lower() in f"c-{i}"]
    page = history.clients(**asked)
    shown = kept[asked["offset"] : asked["offset"] + asked["limit"]]
    assert [(row["client"], row["rank"]) for row in page.rows] == [(f"c-{i}", order.index(i) + 1) for i in shown]
    assert (page.total, page.capped) == (len(kept), False)


def test_what_many_names_hold_is_counted_up_to_a_thousand_and_further_pages_have_it_still(history):
    frame = pd.DataFrame({"client": [f"c{i}" for i in range(1300)], "risk": np.linspace(1, 0, 1300)})
    history.write_scores("0001-a", "k1", frame, at=DAYS[1])
    page = history.clients(search="c", limit=50)
    assert (page.total, page.capped, page.rows[-1]["client"]) == (1000, True, "c49")
    page = history.clients(search="c", limit=50, offset=1200)
    assert (page.total, page.capped, page.rows[0]["client"]) == (1250, True, "c1200")
    page = history.clients(search="c", limit=50, offset=1280)
    assert (page.total, page.capped, len(page.rows)) == (1300, False, 20)
    page = history.clients(search="9", limit=50)
    assert (page.total, page.capped) == (sum("9" in name for name in frame["client"]), False)


def test_a_client_who_comes_twice_has_one_rank_and_leaves_no_gap(history):
    twice = pd.DataFrame({"client": ["bob", "amy", "bob", "eve"], "risk": [0.9, 0.8, 0.1, 0.5]})
    assert history.write_scores("0001-a", "k1", twice, at=DAYS[1]) == 3
    page = history.clients(lowest=0.05)
    assert [(row["client"], row["rank"]) for row in page.rows] == [("amy", 1), ("eve", 2), ("bob", 3)]
    assert page.total == 3


def test_the_same_version_and_data_are_one_set_of_scores(history):
    assert history.write_scores("0001-a", "k1", risks(bob=0.1), at=DAYS[1]) == 1
    assert history.write_scores("0001-a", "k1", risks(bob=0.1), at=DAYS[2]) == 0
    assert history.write_scores("0002-b", "k1", risks(bob=0.2), at=DAYS[2]) == 1
    assert [batch["at"] for batch in history.batches("clients")] == [DAYS[1], DAYS[2]]


def test_what_is_no_risk_is_refused(history):
    for risk in (float("nan"), -0.1, 1.1):
        with pytest.raises(DataError, match="not numbers from 0 to 1"):
            history.write_scores("0001-a", "k1", risks(bob=risk), at=DAYS[1])
    assert history.batches("clients") == []


def test_no_clients_are_a_batch_of_none(history):
    assert history.write_scores("0001-a", "k1", risks(), at=DAYS[1]) == 0
    assert [batch["rows"] for batch in history.batches("clients")] == [0]
    assert history.write_list("0001-a", "k1", [], at=DAYS[1]) == 0
    assert history.last_list().total == 0


# ---- labels that come later ------------------------------------------------------------------------------------------


def test_the_outcome_of_a_score_is_the_first_label_of_a_later_drop(history):
    history.write_labels("d1", outcomes(bob=True, amy=True), at=DAYS[1], drop=1)
    history.write_scores("0001-a", "k1", risks(bob=0.1, amy=0.2, new=0.3), at=DAYS[2], drop=1)
    assert history.scored("clients")["left"].isna().all()
    history.write_labels("d2", outcomes(bob=False), at=DAYS[3], drop=2)
    history.write_labels("d3", outcomes(bob=True, amy=True), at=DAYS[4], drop=3)
    history.write_outcomes([{"client": "new", "as_of": "", "left": True, "at": DAYS[5]}])
    found = history.scored("clients").set_index("client")["left"]
    assert found.to_dict() == {"bob": False, "amy": True, "new": True}
    assert [label["left"] for label in history.labels_of("bob")] == [True, False, True]


def test_a_late_label_finds_the_row_of_its_date_and_the_newest_counts(late):
    rows = pd.DataFrame(
        {
            "client": ["bob", "bob", "amy"],
            "as_of": pd.to_datetime(["2026-01-31", "2026-02-28", "2026-02-28"]),
            "risk": [0.1, 0.2, 0.3],
        }
    )
    late.write_scores("0001-a", "d1", rows, at=DAYS[1], drop=1, kind="drop")
    assert len(late.scored(labelled=False)) == 3
    labels = pd.DataFrame({"client": ["bob"], "as_of": pd.to_datetime(["2026-02-28"]), "left": [False]})
    late.write_labels("d2", labels, at=DAYS[2], drop=2)
    found = late.scored(drop=1)
    assert found[["client", "as_of", "risk"]].to_numpy().tolist() == [
        ["amy", "2026-02-28", 0.3], ["bob", "2026-01-31", 0.1], ["bob", "2026-02-28", 0.2],
    ]  # fmt: skip
    assert found["left"].to_list() == [pd.NA, pd.NA, False]
    late.write_labels("d3", labels.assign(left=True), at=DAYS[3], drop=3)
    done = late.scored(labelled=True)
    assert done[["version", "drop", "client", "left"]].to_numpy().tolist() == [["0001-a", 1, "bob", True]]
    assert len(late.scored(labelled=False)) == 2
    assert late.scored(version="0009-z").empty


def test_an_empty_history_gives_tables_with_the_same_types(history):
    none = history.scored("clients"), history.compared()
    history.write_scores("0001-a", "k1", risks(bob=0.1), at=DAYS[1], drop=1)
    history.write_list("0001-a", "k1", [{"client": "bob", "status": "entered"}], at=DAYS[1])
    for empty, some in zip(none, (history.scored("clients"), history.compared()), strict=True):
        assert (len(empty), len(some)) == (0, 1)
        assert empty.dtypes.to_dict() == some.dtypes.to_dict()
    assert history.memory(["bob"], before="k1") is None


# ---- lists, contacts, metrics, verdicts ------------------------------------------------------------------------------


def test_the_list_remembers_who_was_on_it_and_how_the_others_were_scored(history):
    frame = risks(bob=0.9, amy=0.5, eve=0.4).assign(gain=[9.0, 5.0, 4.0])
    history.write_scores("0001-a", "k1", frame, at=DAYS[1], drop=1)
    rows = [
        {"client": "bob", "status": "entered", "rank": 1, "risk": 0.9, "gain": 9.0, "why": "first list"},
        {"client": "amy", "status": "held out", "risk": 0.5, "gain": 5.0},
        {"client": "gone", "status": "removed", "why": "no longer a client"},
    ]
    assert history.write_list("0001-a", "k1", rows, at=DAYS[1], drop=1) == 3
    found = history.memory(["amy", "eve", "new"])
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == [
        ["bob", 0.9, 9.0, 1, False], ["amy", 0.5, 5.0, None, True], ["eve", 0.4, 4.0, None, False],
    ]  # fmt: skip
    history.write_list("0002-b", "k2", [{"client": "eve", "status": "stayed", "rank": 1}], at=DAYS[2])
    assert history.memory([])["client"].tolist() == ["eve"]
    assert history.memory([], before="k2")["client"].tolist() == ["bob"]
    assert [row["client"] for row in history.last_list(before="k2").rows] == ["bob", "amy", "gone"]
    page = history.last_list(before="k2", limit=1, offset=2)
    assert (page.rows[0]["why"], page.total) == ("no longer a client", 3)


def test_what_became_of_listed_and_held_out_clients_is_known_for_the_last_list_of_a_day(history):
    for hour, names in (("01", ["eve"]), ("09", ["bob", "amy"])):
        rows = [
            {"client": names[0], "status": "entered", "rank": 1, "risk": 0.9, "value": 100.0},
            *({"client": name, "status": "held out", "risk": 0.8, "value": 50.0} for name in names[1:]),
            {"client": "old", "status": "removed"},
        ]
        history.write_list("0001-a", f"k{hour}", rows, at=f"2026-02-01T{hour}:00:00Z", drop=1)
    history.write_labels("d2", outcomes(amy=True, eve=True), at=DAYS[2], drop=2)
    found = history.compared()
    assert found["client"].tolist() == ["bob", "amy"]
    assert found["held_out"].tolist() == [False, True]
    assert found["left"].to_list() == [pd.NA, True]
    assert found["value"].tolist() == [100.0, 50.0]
    assert found["issued"].dt.strftime("%Y-%m-%d").unique().tolist() == ["2026-02-01"]
    assert found["period"].nunique() == 1


def test_what_became_of_a_listed_client_with_late_labels_is_the_label_of_the_scored_row(late):
    frame = risks(bob=0.9).assign(as_of="2026-01-31")
    late.write_scores("0001-a", "k1", frame, at=DAYS[1], drop=1)
    late.write_list("0001-a", "k1", [{"client": "bob", "status": "stayed", "rank": 1}], at=DAYS[1], drop=1)
    late.write_labels("d2", outcomes(bob=True).assign(as_of="2025-12-31"), at=DAYS[2], drop=2)
    assert late.compared()["left"].to_list() == [pd.NA]
    late.write_labels("d3", outcomes(bob=False).assign(as_of="2026-01-31"), at=DAYS[3], drop=3)
    assert late.compared()["left"].to_list() == [False]


def test_who_was_ever_scored_is_known(history):
    history.write_scores("0001-a", "k1", risks(bob=0.1), at=DAYS[1])
    history.write_scores("0002-b", "k2", risks(amy=0.1), at=DAYS[2])
    assert history.known([*(f"c{i}" for i in range(1200)), "amy", "bob"]) == {"amy", "bob"}


def test_contacts_are_kept_and_a_snoozed_client_comes_back_on_the_day(history):
    history.write_contacts(
        [
            {"client": "bob", "at": DAYS[1], "kind": "called", "outcome": "reached", "by": "Ana"},
            {"client": "bob", "at": DAYS[2], "kind": "snoozed", "until": "2026-05-01", "note": "on leave"},
            {"client": "amy", "at": DAYS[2], "kind": "snoozed", "until": "2026-05-01"},
            {"client": "amy", "at": DAYS[3], "kind": "snoozed", "until": "2026-04-02"},
        ]
    )
    assert history.snoozed("2026-04-01") == {"bob", "amy"}
    assert history.snoozed("2026-04-30") == {"bob"}
    assert history.snoozed("2026-05-01") == set()
    assert [row["kind"] for row in history.contacts("bob")] == ["snoozed", "called"]
    assert [row["at"] for row in history.contacts(limit=2)] == [DAYS[3], DAYS[2]]
    last = history.last_contacts(["bob", "amy", "eve"])
    assert {client: row["at"] for client, row in last.items()} == {"bob": DAYS[2], "amy": DAYS[3]}


def test_a_contact_told_again_with_other_words_is_the_same_contact(history):
    contact = {"client": "bob", "at": DAYS[1], "kind": "called", "outcome": "reached"}
    assert [history.write_contacts([contact]) for _ in range(2)] == [1, 0]
    assert history.write_contacts([contact | {"outcome": "promised to stay"}, contact | {"kind": "noted"}]) == 2
    assert [row["outcome"] for row in history.contacts("bob")] == ["promised to stay", "reached"]


def test_estimate_and_realised_metric_stand_side_by_side_and_a_new_value_replaces_the_old(history):
    metric = {"drop": 3, "version": "0001-a", "kind": "estimated", "name": "f1", "value": 0.6, "at": DAYS[1]}
    assert history.write_metrics([metric | {"lower": 0.5, "upper": 0.7, "rows": 900}]) == 1
    assert history.write_metrics([metric | {"kind": "realised", "value": float("nan")}]) == 1
    assert history.write_metrics([metric | {"kind": "realised", "value": 0.55, "rows": 800, "at": DAYS[2]}]) == 1
    assert history.write_metrics([metric | {"kind": "realised", "value": 0.55, "rows": 800, "at": DAYS[3]}]) == 0
    estimated, realised = history.metrics(drop=3)
    assert (estimated["value"], estimated["lower"], estimated["upper"]) == (0.6, 0.5, 0.7)
    assert (realised["value"], realised["rows"], realised["at"]) == (0.55, 800, DAYS[2])
    assert history.metrics(name="f1", kind="realised") == [realised]


def test_verdicts_are_read_newest_first_with_their_numbers(history):
    verdict = {"version": "0001-a", "kind": "drift", "reason": "it fell", "at": DAYS[1]}
    numbers = {"auc_z": -3.5, "columns": [["activity", 0.31]], "none": None}
    history.write_verdicts(
        [
            verdict | {"drop": 1, "verdict": "warning"},
            verdict | {"drop": 2, "verdict": "drifted", "numbers": numbers},
            verdict | {"drop": 2, "kind": "promotion", "verdict": "promoted"},
        ]
    )
    assert [row["verdict"] for row in history.verdicts(kind="drift")] == ["drifted", "warning"]
    assert history.verdicts(kind="drift", limit=1)[0]["numbers"] == numbers


# ---- once, however often ---------------------------------------------------------------------------------------------


def test_everything_written_twice_is_there_once(place):
    with connect(place) as history:
        assert write_everything(history) == [50, 50, 50, 7, 1, 1, 2, 1]
        once = dump(history)
        assert write_everything(history, at=DAYS[8]) == [0] * 8
        assert dump(history) == once
    assert len(once) == 50 * 3 + 7 + 4 + 5


# A process that writes everything and is killed: once at each step, which is before and after each statement and before
# each commit, each time as a product of its own. Prints how many steps there are. With "two", two processes begin a
# history and write the same at the same time instead.
WRITERS = """
import dataclasses, itertools, os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from churn import config
from churn.history import writing
from churn.history.store import connect
from tests.test_history import unsynced, write_everything

def started(task):
    process = os.fork()
    if not process:
        task()
        os._exit(0)
    return process

def ended(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def write():
    with connect(product) as history:
        write_everything(history)

def write_until(last):
    steps = itertools.count()
    def step(*_):
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, step)
    history.engine.dispose(close=False)  # a connection of its own, but what was compiled stays
    write_everything(dataclasses.replace(history, product=f"killed{last}"))

product = dataclasses.replace(config.load(Path(sys.argv[1]))["corporate"], name=sys.argv[2])
event.listen(Engine, "connect", unsynced)
if sys.argv[3] == "two":
    print([ended(process) for process in [started(write), started(write)]])
else:
    writing.CHUNK = 30
    with connect(product) as history:
        write_everything(history)
        for last in itertools.count(0, int(sys.argv[3])):
            status = ended(started(lambda: write_until(last)))
            if status == 0:
                break
            assert status == -signal.SIGKILL, status
    print(last)
"""


def run_writers(place, what):
    environment = {**os.environ, "CHURN_HISTORY_URL": place.history, "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(place.config_path), place.name, what],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_run_killed_anywhere_and_run_again_leaves_what_an_undisturbed_run_leaves(place, monkeypatch):
    monkeypatch.setattr(writing, "CHUNK", 30)
    stride = 5  # another one each time of: before a statement, after it, before the commit
    steps = int(run_writers(place, str(stride)))
    assert steps > 60
    with connect(place) as history:
        undisturbed, halves = dump(history), 0
        unfinished = [re.sub(r"'rows', \d+", "'rows', None", line) for line in undisturbed]
        for step in range(0, steps, stride):
            killed = dataclasses.replace(history, product=f"killed{step}")
            left = dump(killed)
            assert set(left) <= {*undisturbed, *unfinished}
            seen = {kind: killed.batches(kind) for kind in ("clients", "drop", "labels", "list")}
            assert {batch["rows"] for batches in seen.values() for batch in batches} <= {50, 7}
            assert len(killed.scored("clients")) == 50 * len(seen["clients"])
            halves += any("('rows', None)" in line for line in left)
            write_everything(killed)
            assert dump(killed) == undisturbed
    assert halves > 5, "hardly a run was killed within a batch"


def test_two_that_begin_a_history_at_the_same_time_leave_what_one_leaves(database_of_its_own):
    assert run_writers(database_of_its_own, "two") == "[0, 0]"
    with connect(database_of_its_own) as history:
        both = dump(history)
        alone = dataclasses.replace(history, product="alone")
        write_everything(alone)
        assert both == dump(alone)


def test_two_products_in_one_database_do_not_mix(place, tmp_path):
    shared = f"sqlite:///{tmp_path / 'shared.sqlite'}" if place.history.startswith("sqlite") else place.history
    telco, corporate = (dataclasses.replace(place, name=name, history=shared) for name in ("telco", "corporate"))
    with connect(telco) as one, connect(corporate) as other:
        write_everything(one)
        before = dump(one)
        assert other.clients().batch is None
        assert other.last_list().batch is None
        assert other.memory(["c1"]) is None
        assert other.known(["c1"]) == set()
        assert other.compared().empty
        assert other.scored("clients").empty
        assert other.risks_of("c1") == other.labels_of("c1") == other.contacts() == other.sent_outcomes() == []
        assert other.last_contacts(["c1"]) == {}
        assert other.metrics() == other.verdicts() == []
        other.write_contacts([{"client": "c1", "at": DAYS[2], "kind": "called", "outcome": "another"}])
        other.write_labels("d1", outcomes(c1=False), at=DAYS[3], drop=2)
        other.write_scores("0001-a", "k1", risks(c1=0.123), at=DAYS[4])
        assert dump(one) == before


# ---- names and times -------------------------------------------------------------------------------------------------

ODD = ["null", "NULL", "NA", "None", "nan", "007", " ", "", "O'Neil", '"; DROP TABLE x; --', "%", "_", "\\", "\x1f"]
ODD += ["\N{PARROT}", "e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"]
names = st.lists(
    st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    min_size=1, max_size=8, unique=True,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients=names, data=st.data())
def test_odd_names_and_numbers_come_back_as_they_are(history, clients, data):
    risk = data.draw(st.lists(st.floats(0, 1), min_size=len(clients), max_size=len(clients)))
    given_risks = dict(zip(clients, risk, strict=True))
    key = f"k{len(history.batches('clients'))}"
    history.write_scores("0001-a", key, pd.DataFrame({"client": clients, "risk": risk}), at=DAYS[1], drop=1)
    found = history.scored("clients", key=key)
    assert dict(zip(found["client"], found["risk"], strict=True)) == given_risks
    assert found["client"].tolist() == sorted(clients)
    history.write_contacts([{"client": name, "at": DAYS[1], "kind": "noted", "note": name} for name in clients])
    assert {name: row["note"] for name, row in history.last_contacts(clients).items()} == {n: n for n in clients}
    for name in clients:
        assert history.risks_of(name)[-1]["risk"] == given_risks[name]
    searched = {row["client"] for row in history.clients(search=clients[0], limit=100).rows}
    assert clients[0] in searched


@pytest.mark.parametrize("name", ["bo\0b", "bo\ud800b"])
def test_a_name_that_no_database_keeps_is_refused_before_anything_is_written(history, name):
    for write in (
        lambda: history.write_scores("0001-a", "k1", risks(**{name: 0.1}), at=DAYS[1]),
        lambda: history.write_labels("d1", outcomes(**{name: True}), at=DAYS[1], drop=1),
        lambda: history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted", "note": name}]),
        lambda: history.write_list("0001-a", "k1", [{"client": name, "status": "entered"}], at=DAYS[1]),
    ):
        with pytest.raises(DataError, match="NUL or half a character"):
            write()
    assert history.contacts() == []


@pytest.mark.parametrize("name", ["bo\0b", "bo\ud800b"])
def test_whoever_asks_for_such_a_name_is_told_that_nobody_has_it_or_can(history, name):
    write_everything(history)
    for ask in (
        lambda: history.clients(search=name).rows,
        lambda: history.risks_of(name),
        lambda: history.labels_of(name),
        lambda: history.contacts(name),
        lambda: list(history.last_contacts([name])),
        lambda: list(history.known([name])),
    ):
        try:
            assert ask() == []
        except DataError as error:
            assert "NUL or half a character" in str(error)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moment=st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2090-01-01")),
    offset=st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_times_are_utc_to_the_second_wherever_they_come_from(history, moment, offset):
    written = moment.replace(tzinfo=offset).isoformat()
    history.write_contacts([{"client": written, "at": written, "kind": "noted"}])
    utc = moment.replace(tzinfo=offset or UTC).astimezone(UTC)
    assert [row["at"] for row in history.contacts(written)] == [utc.strftime("%Y-%m-%dT%H:%M:%SZ")]


def test_the_clock_of_the_machine_or_the_session_does_not_matter(place, monkeypatch):
    with connect(place) as history:
        history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}])
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    with connect(place) as history:
        history.write_contacts([{"client": "bob", "at": stage.utc_now(), "kind": "called"}])
        now, then = history.contacts("bob")
    assert then["at"] == DAYS[1]
    assert abs(datetime.fromisoformat(now["at"]) - datetime.now(UTC)) < timedelta(seconds=30)


# ---- the database ----------------------------------------------------------------------------------------------------


def test_the_sqlite_file_is_for_its_owner_alone_and_leaves_nothing_beside_it(product):
    assert not product.models.exists()
    with connect(product) as history:
        write_everything(history)
    assert os.listdir(product.models) == ["history.sqlite"]
    assert stat.S_IMODE((product.models / "history.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["history.sqlite", "a b/it's.sqlite", "what?.sqlite", "50%20#1.sqlite", "ж.sqlite"])
def test_a_path_without_a_slash_in_front_is_one_beside_the_config_file(product, name, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    with connect(dataclasses.replace(product, history=f"sqlite:///{name}")) as history:
        history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}])
    assert (tmp_path / name).is_file()


def test_pages_find_their_rows_through_an_index(product):
    """A list of a million clients is paged as fast as one of a hundred when no table is gone through."""
    with connect(product) as history:
        write_everything(history)
        history.write_scores("0002-b", "k2", risks(c1=0.4, c2=0.2), at=DAYS[3])
        statements = []
        event.listen(history.engine, "before_cursor_execute", lambda *told: statements.append(told[2:4]))
        history.clients(offset=1)
        history.risks_of("c1")
        history.labels_of("c1")
        history.sent_outcomes()
        history.last_list(limit=50)
        history.contacts("c1")
        history.contacts(limit=50)
        history.last_contacts(["c1", "c2"])
        history.snoozed("2026-01-01")
        with history.engine.connect() as connection:
            plans = [
                row.detail
                for statement, values in statements
                if statement.startswith("SELECT")
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            ]
    assert len(plans) > 12
    assert [plan for plan in plans if plan.startswith("SCAN")] == []


def says(error, *words):
    """That a message is for the user, names a remedy and holds no password, in any line of what is printed."""
    assert isinstance(error.value, HistoryError | ChurnError)
    shown = "".join(traceback.format_exception(error.value))
    assert postgres.PASSWORD not in shown
    assert "s3cret" not in shown
    for word in words:
        assert word in str(error.value)


def test_a_wrong_password_is_an_error_without_the_password(product, server):
    wrong = server.url("postgres", "s3cret-but-wrong")
    with pytest.raises(HistoryError) as error:
        connect(dataclasses.replace(product, history=wrong))
    says(error, "password authentication failed", "mend history_url", "postgresql+psycopg://postgres:***@/postgres")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://me:s3cret@127.0.0.1:1/history", ["refused", "127.0.0.1:1/history", "mend history_url"]),
        ("postgresql://me:s3cret@127.0.0.1:1/history?password=s3cret", ["refused", "start it, or mend"]),
        ("postgresql://me:s3cret@no.such.host.invalid/history", ["start it, or mend"]),
        ("postgresql://me:p@s3cret@127.0.0.1:1/history", ["is not of the form", "%40"]),
        ("postgresql://me:p@/s3cret@127.0.0.1:1/history", ["is not of the form", "%40"]),
        ("postgresql://me:s3cret/history", ["is not of the form"]),
        ("postgresql://me:s3cret@127.0.0.1:1", ["is not of the form"]),
        ("postgresql://me:s3cret@127.0.0.1:port/history", ["is not of the form"]),
        ("postgresql://me:s3cret@127.0.0.1:1/history?nonsense=s3cret", ["nonsense", "mend history_url"]),
        ("postgres://me:s3cret@127.0.0.1:1/history", ["'postgres'", "postgresql+psycopg://"]),
        ("postgresql+psycopg2://me:s3cret@127.0.0.1:1/history", ["'postgresql+psycopg2'", "postgresql+psycopg://"]),
        ("mysql://me:s3cret@127.0.0.1:1/history", ["'mysql'", "sqlite:///"]),
        ("s3cret", ["is not of the form"]),
        ("sqlite://", ["is not of the form"]),
        ("sqlite:///:memory:", ["no file"]),
        ("sqlite:///models/", ["no file"]),
        ("sqlite:///config.json/history.sqlite", ["let this user write to the folder"]),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_write_and_shows_no_password(product, url, words):
    product.models.mkdir(parents=True)
    with pytest.raises(HistoryError) as error:
        connect(dataclasses.replace(product, history=url))
    says(error, *words)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), max_size=6))
def test_whatever_is_written_around_a_password_it_is_not_shown(product, odd):
    for url in (f"postgresql://me:{odd}s3cret@127.0.0.1:1/h", f"postgresql://me:s3cret{odd}@127.0.0.1:1/h"):
        with pytest.raises(HistoryError) as error:
            connect(dataclasses.replace(product, history=url))
        says(error)


def test_a_file_that_is_no_database_is_said_to_be_none(product):
    product.models.mkdir(parents=True)
    (product.models / "history.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(HistoryError) as error:
        connect(product)
    says(error, "history.sqlite", "not a database", "move the file away")


def test_a_writer_waits_for_another_one_and_then_says_that_it_is_busy(place, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    with connect(place) as history:
        write_everything(history)
        with connect(place) as other, other.transaction(writes=True) as holding:
            if holding.dialect.name == "postgresql":
                holding.execute(text("LOCK TABLE churn_contacts IN SHARE ROW EXCLUSIVE MODE"))
            with pytest.raises(HistoryError) as error:
                history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}])
            assert len(history.contacts()) == 1, "a reader does not wait"
        says(error, "another program", "the next run")
        assert history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}]) == 1


def test_a_database_that_may_only_be_read_is_read_and_says_so_when_written_to(database_of_its_own, server):
    place = database_of_its_own
    with connect(place) as history:
        write_everything(history)
    if place.history.startswith("sqlite"):
        path = place.models / "history.sqlite"
        engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
        history = History(place.name, False, engine, str(path))
    else:
        name = place.history.partition("@/")[2].partition("?")[0]
        server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        history = connect(place)
    with history:
        assert history.clients().total == 50
        with pytest.raises(HistoryError) as error:
            history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}])
    says(error, "read", "let this user write")


def test_tables_of_a_newer_version_are_left_alone(database_of_its_own):
    with connect(database_of_its_own) as history, history.transaction(writes=True) as connection:
        connection.execute(tables.schema.update().values(version=tables.SCHEMA + 1))
    with pytest.raises(HistoryError) as error:
        connect(database_of_its_own)
    says(error, f"of version {tables.SCHEMA + 1}", "update this one")


def test_a_connection_that_the_server_dropped_is_made_again_once_it_can_be(server, product):
    with connect(dataclasses.replace(product, history=server.new_database())) as history:
        write_everything(history)
        name = history.engine.url.database
        drop = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        server.run(drop)
        assert history.clients().total == 50
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.run(drop)
        with pytest.raises(HistoryError) as error:
            history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}])
        says(error, "not currently accepting connections", "start it, or mend")
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert history.write_contacts([{"client": "bob", "at": DAYS[1], "kind": "noted"}]) == 1


def test_threads_share_a_history(history):
    def note_and_read(number):
        row = {"client": f"c{number % 5}", "at": f"2026-01-01T00:00:{number:02}Z", "kind": "noted"}
        return history.write_contacts([row]), len(history.contacts(row["client"]))

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(note_and_read, range(40)))
    assert [written for written, _ in told] == [1] * 40
    assert max(read for _, read in told) == 8
    assert len(history.contacts()) == 40


def test_a_bug_stays_a_bug_and_shows_no_client(history):
    with pytest.raises(Exception, match="(?i)null") as error:
        history.write_contacts([{"client": "Acme Ltd", "at": DAYS[1], "kind": None}])
    assert not isinstance(error.value, ChurnError)
    assert "Acme" not in re.sub(r"DETAIL:.*", "", str(error.value))


def test_the_words_of_the_tables_are_those_of_sqlite_itself(product):
    """What stands in the file can be read without this program."""
    with connect(product) as history:
        write_everything(history)
    with sqlite3.connect(product.models / "history.sqlite") as file:
        found = file.execute("SELECT at, rows FROM churn_batches WHERE kind = 'clients'").fetchall()
    file.close()
    assert found == [("2026-02-01 06:10:00", 50)]


def test_nothing_that_an_idle_run_imports_brings_the_database_along():
    imports = "import sys, cron, churn.stage, churn.releases, churn.dataset"
    code = f"{imports}; print([name for name in ('sqlalchemy', 'psycopg') if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ten_thousand_scores_take_a_fraction_of_a_second(product):
    frame = pd.DataFrame({"client": [f"c{i}" for i in range(10_000)], "risk": [i / 10_000 for i in range(10_000)]})
    with connect(product) as history:
        began = os.times()
        history.write_scores("0001-a", "k1", frame, at=DAYS[1])
        ended = os.times()
    assert ended.user + ended.system - began.user - began.system < 0.5  # of the processor: others may be at work
    assert Path(product.models / "history.sqlite").stat().st_size < 2_000_000
