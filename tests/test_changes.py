"""What changed on the call list is told with the reason that made the difference."""

import numpy as np
import pandas as pd

from churn import sheet, splits
from churn.calls import calllist, changes
from churn.columns import Columns
from churn.settings import ProductSettings

COLUMNS = Columns(target="left", positive="1", negative="0", id="client_id", numeric=("value",))
SETTINGS = {"id": "client_id", "target": "left", "positive": "1", "numeric": ["value"], "success_rate": 0.5}
NAMES = [name for name in "abcdefghijklmnop" if not splits.holdout([name], 0.5)[0]]
A, B, C, D, E = NAMES[:5]
HELD = next(name for name in "abcdefghijklmnop" if splits.holdout([name], 0.5)[0])


def choose(risks, *, threshold=0.5, gone=(), snoozed=(), values=None, **keys):
    frame = pd.DataFrame({"client_id": pd.Series(list(risks), dtype="str")})
    frame["value"] = [float((values or {}).get(name, 1.0)) for name in risks]
    settings = ProductSettings(**{**SETTINGS, "holdout": 0.0, "value": "value", **keys})
    left = np.array([name in gone for name in risks], dtype=bool)
    risk = np.array(list(risks.values()), dtype=float)
    return calllist.choose(frame, risk, settings, COLUMNS, threshold, gone=left, snoozed=set(snoozed))


def memory(choice):
    """What the history remembers of a list: everyone's risk and gain, and the places."""
    people = choice.population
    rank = pd.Series(pd.NA, index=range(len(people.names)), dtype="Int64")
    rank[choice.listed] = range(1, len(choice.listed) + 1)
    aside = np.isin(np.arange(len(rank)), choice.compared) & rank.isna()
    known = {"client": people.names, "risk": people.risk, "gain": people.gain}
    return pd.DataFrame({**known, "rank": rank, "aside": aside})


def whys(then, now, **terms):
    """Client -> (what, why), of those that entered and of those that came off."""
    before = memory(then)
    table = changes.changes(now, COLUMNS, changes.status(now, COLUMNS, before, **terms), before, **terms)
    return {row.client_id: (row.change, row.why) for row in table.itertuples()}


def test_on_the_first_list_everyone_is_new():
    choice = choose({A: 0.9, B: 0.5}, capacity=2)
    assert changes.status(choice, COLUMNS, None) == [("entered", "first list")] * 2


def test_who_was_on_it_before_has_stayed():
    choice = choose({A: 0.9, B: 0.5}, capacity=2)
    assert changes.status(choice, COLUMNS, memory(choice)) == [("stayed", "")] * 2
    assert whys(choice, choice) == {}


def test_a_client_whose_risk_rose_drives_out_another():
    then = choose({A: 0.9, B: 0.3, C: 0.21}, capacity=2)
    now = choose({A: 0.9, B: 0.3, C: 0.48}, capacity=2)
    assert whys(then, now) == {
        C: ("entered", "risk rose from 21% to 48%"),
        B: ("removed", "pushed out by capacity: rank 3"),
    }


def test_a_client_whose_risk_fell_makes_room_for_another():
    then = choose({A: 0.9, B: 0.48, C: 0.21}, capacity=2)
    now = choose({A: 0.9, B: 0.12, C: 0.21}, capacity=2)
    assert whys(then, now) == {
        C: ("entered", "a place became free"),
        B: ("removed", "risk fell from 48% to 12%"),
    }


def test_a_risk_that_rose_is_no_reason_where_the_client_would_be_listed_without_that():
    then = choose({A: 0.9, B: 0.48, C: 0.21, D: 0.1}, capacity=2)
    now = choose({A: 0.9, B: 0.05, C: 0.3, D: 0.1}, capacity=2)
    assert whys(then, now)[C] == ("entered", "a place became free")


def test_a_client_who_left_is_gone_from_the_list_and_from_the_clients():
    then = choose({A: 0.9, B: 0.48, C: 0.3}, capacity=2)
    now = choose({A: 0.9, C: 0.3}, capacity=2, gone={A})
    assert whys(then, now) == {
        C: ("entered", "a place became free"),
        A: ("removed", "left"),
        B: ("removed", "no longer a client"),
    }


def test_a_new_client_may_enter_at_once():
    assert whys(choose({A: 0.9}, capacity=2), choose({A: 0.9, B: 0.8}, capacity=2)) == {B: ("entered", "new client")}


def test_a_snoozed_client_comes_back():
    free, waits = choose({A: 0.9, B: 0.5}, capacity=1), choose({A: 0.9, B: 0.5}, capacity=1, snoozed={A})
    assert whys(free, waits) == {B: ("entered", "a place became free"), A: ("removed", "snoozed")}
    assert whys(waits, free) == {
        A: ("entered", "may be called again"),
        B: ("removed", "pushed out by capacity: rank 2"),
    }


def test_a_larger_share_left_uncalled_takes_clients_off_the_list():
    then = choose({HELD: 0.9, B: 0.5}, capacity=1)
    now = choose({HELD: 0.9, B: 0.5}, capacity=1, holdout=0.5)
    assert whys(then, now)[HELD] == ("removed", "in the holdout now")
    assert whys(now, then)[HELD] == ("entered", "may be called again")


def test_who_was_known_to_have_left_and_is_back_is_said_to_have_been():
    then, now = choose({A: 0.9, B: 0.5}, capacity=1, gone={A}), choose({A: 0.9, B: 0.5}, capacity=1)
    assert whys(then, now)[A] == ("entered", "was known to have left")


def test_where_the_list_is_made_by_other_terms_these_are_the_reason_and_not_the_gain():
    then = choose({A: 0.9, B: 0.5, C: 0.4}, capacity=2)
    now = choose({A: 0.9, B: 0.5, C: 0.4, D: 0.3}, capacity=3, values={C: 20.0, D: 30.0}, gone={A})
    terms = "the list is made by other terms now (capacity, value or costs)"
    found = whys(then, now, other_terms=True)
    assert found == {C: ("entered", terms), D: ("entered", "new client"), A: ("removed", "left")}
    assert whys(now, choose({C: 0.4, D: 0.3}, capacity=1), other_terms=True)[D] == ("removed", terms)


def test_where_the_risk_is_the_same_it_was_the_value():
    risks = {A: 0.5, B: 0.5}
    then = choose(risks, capacity=1, values={A: 10, B: 1})
    now = choose(risks, capacity=1, values={A: 1, B: 10})
    assert whys(then, now) == {
        B: ("entered", "expected gain rose from 0.25 to 2.5"),
        A: ("removed", "expected gain fell from 2.5 to 0.25"),
    }


def test_a_call_that_no_longer_pays_is_no_longer_listed():
    then = choose({A: 0.9}, capacity=5, contact_cost=0.2)
    assert whys(then, choose({A: 0.3}, capacity=5, contact_cost=0.2)) == {A: ("removed", "risk fell from 90% to 30%")}


def test_without_capacity_the_threshold_decides():
    then = choose({A: 0.9, B: 0.6, C: 0.4}, threshold=0.5)
    assert whys(then, choose({A: 0.9, B: 0.6, C: 0.55}, threshold=0.5)) == {C: ("entered", "risk rose from 40% to 55%")}
    assert whys(then, choose({A: 0.9, B: 0.6, C: 0.4}, threshold=0.7)) == {
        B: ("removed", "risk 60% is below the threshold, now 70%")
    }
    assert whys(then, choose({A: 0.9, B: 0.2, C: 0.4}, threshold=0.5)) == {B: ("removed", "risk fell from 60% to 20%")}
    assert whys(then, choose({A: 0.9, B: 0.6, C: 0.4}, threshold=0.3)) == {
        C: ("entered", "the threshold is lower, now 30%")
    }


def test_the_file_of_changes_has_those_that_entered_and_then_those_that_came_off():
    then = choose({A: 0.9, B: 0.48, C: 0.21}, capacity=2)
    now = choose({A: 0.12345678, B: 0.48, C: 0.3, D: 0.2}, capacity=2)
    before = memory(then)
    table = changes.changes(now, COLUMNS, changes.status(now, COLUMNS, before), before)
    assert sheet.csv(table).decode("utf-8-sig").splitlines() == [
        "change,client_id,rank_before,rank,risk_before,risk,why",
        f"entered,{C},,2,0.21,0.3,a place became free",
        f"removed,{A},1,4,0.9,0.1235,risk fell from 90% to 12%",
    ]


def test_without_changes_the_file_is_only_its_header():
    choice = choose({A: 0.9}, capacity=1)
    before = memory(choice)
    table = changes.changes(choice, COLUMNS, changes.status(choice, COLUMNS, before), before)
    assert sheet.csv(table).decode("utf-8-sig") == "change,client_id,rank_before,rank,risk_before,risk,why\r\n"


def test_without_an_id_nothing_is_remembered():
    columns = Columns(target="left", positive="1", negative="0", numeric=("value",))
    settings = ProductSettings(**{**SETTINGS, "id": None, "value": "value", "capacity": 1})
    choice = calllist.choose(pd.DataFrame({"value": [1.0, 2.0]}), np.array([0.5, 0.5]), settings, columns, 0.5)
    status = changes.status(choice, columns, None)
    assert status == [("", "")]
    assert not len(changes.changes(choice, columns, status, None))
