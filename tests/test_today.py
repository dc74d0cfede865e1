"""The newest call list as a page asks for it: the same in SQLite and in a real PostgreSQL."""

import dataclasses

import pandas as pd
import pytest

from churn.history import today
from churn.history.store import connect
from churn.history.today import Counts, Wanted
from tests import postgres
from tests.conftest import make_product

FIRST, SECOND = "2026-03-01T06:00:00Z", "2026-04-01T06:00:00Z"
NAMES = ["ada", "Bea", "cy%", "d_e", "eve", "fay", "gil", "hal"]
RISK = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
BEFORE = [0.5, 0.9, None, 0.6, 0.1, 0.4, 0.3, 0.2]
STATUS = ["entered", "stayed", "entered", "stayed", "stayed", "held out", "snoozed", "removed"]
DAY = "2026-04-02"


@pytest.fixture(scope="module")
def server():
    with postgres.server() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def book(request, tmp_path_factory):
    """Two scorings, a list of five to call, and what was done about some of them."""
    product = make_product(tmp_path_factory.mktemp("today"))
    if request.param == "postgresql":
        url = request.getfixturevalue("server").new_database()
        product = dataclasses.replace(product, history=url)
    with connect(product) as made:
        known = [(name, risk) for name, risk in zip(NAMES, BEFORE, strict=True) if risk is not None]
        made.write_scores("1", "old", pd.DataFrame(known, columns=["client", "risk"]), at=FIRST)
        made.write_scores("1", "new", pd.DataFrame({"client": NAMES, "risk": RISK}), at=SECOND)
        made.write_list("1", "new:terms", [row(i) for i in range(len(NAMES))], at=SECOND)
        made.write_contacts(
            [
                {"client": "ada", "at": "2026-03-05T09:00:00Z", "kind": "called", "outcome": "before this list"},
                {"client": "Bea", "at": "2026-04-01T09:00:00Z", "kind": "called", "outcome": "will stay"},
                {"client": "Bea", "at": "2026-04-01T10:00:00Z", "kind": "noted", "note": "asked again"},
                {"client": "cy%", "at": "2026-04-01T09:00:00Z", "kind": "snoozed", "until": "2026-04-09"},
                {"client": "eve", "at": "2026-04-01T09:00:00Z", "kind": "snoozed", "until": "2026-04-09"},
                {"client": "eve", "at": "2026-04-01T11:00:00Z", "kind": "snoozed", "until": "2026-04-02"},
                {"client": "hal", "at": "2026-04-01T09:00:00Z", "kind": "called"},
                {"client": "cy%", "at": "2026-04-01T12:00:00Z", "kind": "noted", "note": "on leave"},
            ]
        )
        yield made


def row(i):
    reasons = [{"column": "xyz"[i % 3], "words": "words", "part": 1.0}]
    rank = i + 1 if STATUS[i] in ("entered", "stayed") else None
    return {"client": NAMES[i], "status": STATUS[i], "rank": rank, "risk": RISK[i], "value": i % 4, "reasons": reasons}


def names(book, **wanted):
    found = today.page(book, Wanted(**wanted), DAY)
    assert found.total == len(found.rows) or "limit" in wanted
    return [row["client"] for row in found.rows]


def test_who_is_to_be_called_stands_in_order_without_who_is_snoozed(book):
    found = today.page(book, Wanted(), DAY)
    assert [(row["client"], row["rank"], row["before"]) for row in found.rows] == [
        *(("ada", 1, 0.5), ("Bea", 2, 0.9), ("d_e", 4, 0.6), ("eve", 5, 0.1))
    ]
    assert [row["last"] and row["last"]["at"] for row in found.rows] == [
        *("2026-03-05T09:00:00Z", "2026-04-01T10:00:00Z", None, "2026-04-01T11:00:00Z")
    ]
    assert found.batch["at"] == SECOND


def test_who_is_snoozed_comes_back_on_the_day(book):
    assert [row["client"] for row in today.page(book, Wanted(), "2026-04-01").rows] == ["ada", "Bea", "d_e"]
    assert len(today.page(book, Wanted(), "2026-04-09").rows) == 5


def test_it_is_counted_without_a_walk_through_it(book):
    assert today.counts(book, DAY) == Counts(to_call=4, called=1, snoozed=1)
    assert today.counts(book, "2026-04-01") == Counts(to_call=3, called=1, snoozed=2)


@pytest.mark.parametrize(
    ("sort", "up"),
    [
        ("rank", ["ada", "Bea", "d_e", "eve"]),
        ("client", ["ada", "Bea", "d_e", "eve"]),
        ("risk", ["eve", "d_e", "Bea", "ada"]),
        ("trend", ["Bea", "d_e", "ada", "eve"]),
        ("value", ["ada", "eve", "Bea", "d_e"]),
        ("reasons", ["ada", "d_e", "Bea", "eve"]),
        ("status", ["ada", "Bea", "d_e", "eve"]),
    ],
)
def test_it_is_sorted_by_each_column(book, sort, up):
    assert names(book, sort=sort) == up
    down = today.page(book, Wanted(sort=sort, down=True), DAY).rows
    assert sorted(row["client"] for row in down) == sorted(up)
    if sort in ("rank", "client", "risk", "trend"):
        assert [row["client"] for row in down] == up[::-1]


def test_who_was_never_contacted_comes_last_whichever_way_contacts_are_sorted(book):
    assert names(book, sort="contact") == ["ada", "Bea", "eve", "d_e"]
    assert names(book, sort="contact", down=True) == ["eve", "Bea", "ada", "d_e"]


def test_it_is_searched_as_text_whatever_the_case(book):
    assert names(book, search="b") == ["Bea"]
    assert names(book, search="_") == ["d_e"]
    assert names(book, search="%") == []
    assert names(book, search="%", only="snoozed") == ["cy%"]
    assert names(book, search="E", lowest=0.55) == ["Bea", "d_e"]


def test_it_is_filtered_by_what_was_done(book):
    assert names(book, only="waiting") == ["ada", "d_e", "eve"]
    assert names(book, only="called") == ["Bea"]
    assert names(book, only="new") == ["ada"]
    assert names(book, only="snoozed") == ["cy%"]


def test_a_page_of_it_knows_the_whole(book):
    for wanted in (Wanted(limit=2), Wanted(limit=2, offset=2), Wanted(limit=2, only="waiting"), Wanted(limit=9)):
        found = today.page(book, wanted, DAY)
        assert found.total == (3 if wanted.only else 4)
        assert len(found.rows) == min(wanted.limit, found.total - wanted.offset)


def test_it_says_who_was_called_and_who_is_snoozed_whatever_was_noted_since(book):
    said = {row["client"]: (bool(row["called"]), row["until"]) for row in today.page(book, Wanted(), DAY).rows}
    assert said == {"ada": (False, None), "Bea": (True, None), "d_e": (False, None), "eve": (False, None)}
    assert [row["until"] for row in today.page(book, Wanted(only="snoozed"), DAY).rows] == ["2026-04-09"]


def test_issued_again_for_the_same_risks_it_forgets_no_calls(tmp_path):
    with connect(make_product(tmp_path)) as book:
        book.write_scores("1", "k", pd.DataFrame({"client": NAMES, "risk": RISK}), at=FIRST)
        book.write_list("1", "k:terms", [row(i) for i in range(2)], at=FIRST)
        book.write_contacts([{"client": "ada", "at": "2026-03-05T09:00:00Z", "kind": "called"}])
        book.write_list("1", "k:terms:snoozed", [row(i) for i in range(2)], at=SECOND)
        assert today.counts(book, DAY) == Counts(to_call=2, called=1, snoozed=0)
        assert names(book, only="called") == ["ada"]
        book.write_scores("1", "new", pd.DataFrame({"client": NAMES, "risk": RISK}), at=SECOND)
        book.write_list("1", "new:terms", [row(i) for i in range(2)], at=SECOND)
        assert names(book, only="waiting") == ["ada", "Bea"]


def test_before_the_first_list_there_is_nothing(tmp_path):
    with connect(make_product(tmp_path)) as book:
        assert (today.page(book, Wanted(), DAY).batch, today.counts(book, DAY)) == (None, Counts())
