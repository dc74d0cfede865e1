"""The call list holds whom it pays most to call, nobody who is left uncalled, and is the same for equal inputs."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from churn import estimators, sheet, splits
from churn.calls import calllist, changes
from churn.calls.reasons import Reason, reasons
from churn.columns import Columns
from churn.settings import ProductSettings
from demo.fabricate import Drift, world

FEATURES = ("lastmonth_activity", "lastyear_activity", "number_of_employees")
COLUMNS = Columns(target="exited", positive="1", negative="0", id="corporation", integer=FEATURES)
WITHOUT_ID = Columns(target="exited", positive="1", negative="0", integer=FEATURES)


def policy(**keys):
    given = {"id": "corporation", "target": "exited", "positive": "1", "integer": list(FEATURES), "capacity": 3}
    return ProductSettings(**{**given, **keys})


def clients(names, value=None):
    frame = pd.DataFrame({"corporation": pd.Series(list(names), dtype="str")})
    return frame.assign(**dict.fromkeys(FEATURES, 1.0)) if value is None else frame.assign(number_of_employees=value)


def listed(frame, risk, *, gone=None, snoozed=(), **keys):
    keys = {"holdout": 0.0, **keys}
    choice = calllist.choose(frame, np.array(risk), policy(**keys), COLUMNS, 0.5, gone=gone, snoozed=snoozed)
    return choice.population.names[choice.listed].tolist()


# ---- who is on it ----------------------------------------------------------------------------------------------------


def test_those_most_at_risk_are_called_as_many_as_the_team_can_call():
    assert listed(clients("abcde"), [0.1, 0.9, 0.5, 0.7, 0.3]) == ["b", "d", "c"]


def test_what_a_client_is_worth_counts_as_much_as_the_risk():
    frame = clients("abc", value=[10.0, 100.0, 1000.0])
    assert listed(frame, [0.9, 0.5, 0.01], value="number_of_employees") == ["b", "c", "a"]


def test_nobody_is_called_whose_call_costs_more_than_it_can_keep():
    frame = clients("abcd", value=[10.0, 100.0, 0.0, -50.0])
    keys = {"value": "number_of_employees", "contact_cost": 2.0, "success_rate": 0.2}
    assert listed(frame, [0.9, 0.5, 0.9, 0.9], **keys) == ["b"]  # 0.2 x 0.9 x 10 is less than 2


def test_a_value_that_is_not_known_counts_as_the_median_of_the_others():
    frame = clients("abcd", value=[np.nan, 10.0, 30.0, 20.0])
    assert listed(frame, [0.5] * 4, value="number_of_employees") == ["c", "a", "d"]
    assert calllist.values(clients("a", value=[np.nan]), policy(value="number_of_employees")).tolist() == [0.0]


def test_without_a_capacity_everyone_is_called_whose_risk_reaches_the_threshold():
    assert listed(clients("abcde"), [0.1, 0.9, 0.5, 0.7, 0.3], capacity=None) == ["b", "d", "c"]


def test_who_has_left_or_is_snoozed_is_not_called_and_others_take_the_places():
    gone = np.array([False, True, False, False, False])
    assert listed(clients("abcde"), [0.1, 0.9, 0.5, 0.7, 0.3], gone=gone, snoozed={"d"}) == ["c", "e", "a"]


def test_ties_are_broken_by_gain_then_risk_then_name_whatever_the_order_of_the_rows():
    frame = clients("dcba", value=[1.0, 1.0, 1.0, 2.0])
    risk = np.array([0.4, 0.4, 0.4, 0.2])
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        shuffled = frame.iloc[order].reset_index(drop=True)
        assert listed(shuffled, risk[order], value="number_of_employees", capacity=4) == ["b", "c", "d", "a"]


def test_no_clients_make_an_empty_list():
    assert listed(clients(""), []) == []
    assert listed(clients("ab"), [0.0, 0.0]) == []


# ---- who is left uncalled --------------------------------------------------------------------------------------------


def test_nobody_in_the_holdout_is_called_and_the_next_in_rank_take_the_places():
    names = [f"client-{i}" for i in range(1000)]
    frame, risk = clients(names), np.linspace(0.9, 0.1, 1000)
    choice = calllist.choose(frame, risk, policy(capacity=100, holdout=0.2), COLUMNS, 0.5)
    uncalled = splits.holdout(names, 0.2)
    assert len(choice.listed) == 100
    assert not uncalled[choice.listed].any()
    assert choice.listed.tolist() == np.flatnonzero(~uncalled)[:100].tolist()
    assert choice.next.tolist() == np.flatnonzero(~uncalled)[100:101].tolist()


def test_those_down_to_the_cutoff_are_compared_whether_called_held_out_or_snoozed():
    names = [f"client-{i}" for i in range(1000)]
    risk = np.linspace(0.9, 0.1, 1000)
    waiting = next(name for name in names if not splits.holdout([name], 0.2)[0])
    choice = calllist.choose(clients(names), risk, policy(capacity=100), COLUMNS, 0.5, snoozed={waiting})
    assert choice.compared.tolist() == list(range(choice.listed[-1] + 1))
    assert choice.held_out.tolist() == splits.holdout(names, 0.2)[choice.compared].tolist()
    assert set(choice.listed) | {names.index(waiting)} == set(choice.compared[~choice.held_out])


def test_fewer_held_out_clients_are_some_of_those_before():
    names = [f"client-{i}" for i in range(1000)]
    risk = np.linspace(0.9, 0.1, 1000)
    spared = [
        set(choice.compared[choice.held_out])
        for choice in (
            calllist.choose(clients(names), risk, policy(capacity=100, holdout=share), COLUMNS, 0.5)
            for share in (0.1, 0.2)
        )
    ]
    assert spared[0] and spared[0] < spared[1]


def test_without_an_id_rows_are_numbered_and_nobody_is_left_uncalled():
    frame = clients("abcde").drop(columns="corporation")
    choice = calllist.choose(
        frame, np.array([0.1, 0.9, 0.5, 0.7, 0.3]), policy(id=None, holdout=0.9), WITHOUT_ID, 0.5, snoozed={"1"}
    )
    assert choice.population.names[choice.listed].tolist() == [2, 4, 3]
    assert not choice.held_out.any()
    table = calllist.table(choice, WITHOUT_ID, [[]] * 3, changes.status(choice, WITHOUT_ID, None), "0001-a")
    assert table["row"].tolist() == [2, 4, 3]
    assert "rows are numbered, nobody is left uncalled" in calllist.words(choice, WITHOUT_ID)


cases = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.2, 0.5, 0.9]), st.sampled_from([0.0, 1.0, 3.0]), st.booleans()), max_size=40
)


@hypothesis_settings(deadline=None, max_examples=150)
@given(cases, st.integers(1, 12), st.sampled_from([0.0, 0.3, 0.8]), st.sets(st.integers(0, 39)), st.data())
def test_whatever_the_clients_the_list_is_the_best_of_those_who_may_be_called(rows, capacity, share, waiting, data):
    names = [f"c{i}" for i in range(len(rows))]
    snoozed = {f"c{i}" for i in waiting}
    risk, value = np.array([r for r, _, _ in rows]), [v for _, v, _ in rows]
    gone = np.array([g for _, _, g in rows], dtype=bool)
    keys = {"value": "number_of_employees", "contact_cost": 0.1, "success_rate": 0.5, "holdout": share}
    order = data.draw(st.permutations(range(len(rows))))
    frame = clients(names, value=np.array(value, dtype=float)).iloc[order].reset_index(drop=True)
    found = listed(frame, risk[order], gone=gone[order], snoozed=snoozed, capacity=capacity, **keys)
    gain = 0.5 * risk * value - 0.1
    uncalled = dict(zip(names, splits.holdout(names, share), strict=True))
    may = [i for i in range(len(rows)) if gain[i] > 0 and not (gone[i] or names[i] in snoozed or uncalled[names[i]])]
    assert found == [names[i] for i in sorted(may, key=lambda i: (-gain[i], -risk[i], names[i]))[:capacity]]


def test_the_place_of_a_client_beyond_the_list_is_counted_among_those_who_may_be_called():
    names = [f"client-{i}" for i in range(200)]
    choice = calllist.choose(clients(names), np.linspace(0.9, 0.1, 200), policy(capacity=10), COLUMNS, 0.5)
    free = np.flatnonzero(~splits.holdout(names, 0.2))
    assert choice.ranks(free).tolist() == list(range(1, len(free) + 1))
    held = np.flatnonzero(splits.holdout(names, 0.2))[:3]
    assert choice.ranks(held).tolist() == [0, 0, 0]
    assert choice.ranks(np.array([], dtype=int)).tolist() == []


# ---- what is written -------------------------------------------------------------------------------------------------


def test_the_file_says_who_what_why_and_by_which_model():
    frame = clients(["=cmd", "b"], value=[1500.0, 20.0])
    keys = {"value": "number_of_employees", "contact_cost": 1.0, "success_rate": 0.1, "holdout": 0.0}
    choice = calllist.choose(frame, np.array([0.123456, 0.9]), policy(**keys), COLUMNS, 0.5)
    words = "number of employees 1,500, typical 36: raises the risk most"
    told = [[Reason("number_of_employees", words, 1.2)], []]
    table = calllist.table(choice, COLUMNS, told, [("stayed", ""), ("entered", "new client")], "0007-ab")
    assert sheet.csv(table).decode("utf-8-sig").splitlines() == [
        "rank,corporation,risk,value,expected_gain,reason_1,reason_2,reason_3,status,why,model_version",
        "1,'=cmd,0.1235,1500.0,17.5184,"
        '"number of employees 1,500, typical 36: raises the risk most",,,stayed,,0007-ab',
        "2,b,0.9,20.0,0.8,,,,entered,new client,0007-ab",
    ]


def test_an_id_column_that_is_called_like_another_one_is_shown_as_client():
    for name in ("rank", "risk", "why", "model_version", "reason_2", "rank_before"):
        assert calllist.key(Columns(target="t", positive="1", negative="0", id=name)) == "client"
    assert calllist.key(COLUMNS) == "corporation"


def test_the_list_is_told_in_one_sentence():
    names = [f"client-{i}" for i in range(1000)]
    choice = calllist.choose(clients(names), np.linspace(0.9, 0.1, 1000), policy(capacity=100), COLUMNS, 0.5)
    spared = int(choice.held_out.sum())
    assert calllist.words(choice, COLUMNS) == (
        f"100 of 1,000 clients to call; {spared} who rank as high are left uncalled, to measure what calling does"
    )


# ---- how long it takes -----------------------------------------------------------------------------------------------


def month(number):
    frame = world(10_000, number, 7, Drift())
    return frame.astype({**dict.fromkeys(FEATURES, "float64"), "corporation": "str", "exited": "str"})


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_the_list_of_10_000_clients_takes_less_than_three_times_as_long_as_scoring_them(kind, tmp_path):
    """Scoring is the risk of each client and the file with all of them; side by side, the best of several rounds."""
    from churn.fitting.contributions import contributions

    before, now = month(1), month(2)
    model = estimators.pipeline(estimators.Design(kind), COLUMNS, seed=0, threads=2).fit(
        before, before["exited"] == "1"
    )
    settings = policy(capacity=300, value="number_of_employees", contact_cost=1.0)
    typical = before[list(FEATURES)].median().to_dict()
    first = calllist.choose(before, estimators.risks(model, before), settings, COLUMNS, 0.5)
    memory = pd.DataFrame(
        {
            "client": before["corporation"],
            "risk": first.population.risk,
            "gain": first.population.gain,
            "rank": np.nan,
            "aside": False,
        }
    )
    memory.loc[first.listed, "rank"] = np.arange(1.0, 301)

    def score():
        risk = estimators.risks(model, now)
        sheet.write(now.assign(risk=risk).sort_values("risk", ascending=False, kind="stable"), tmp_path / "clients.csv")
        return risk

    def call(risk):
        choice = calllist.choose(now, risk, settings, COLUMNS, 0.5)
        rows = now.iloc[choice.listed]
        why = reasons(contributions(model, rows)[0], rows, typical, COLUMNS)
        status = changes.status(choice, COLUMNS, memory)
        return [
            sheet.csv(calllist.table(choice, COLUMNS, why, status, "0001-a")),
            sheet.csv(changes.changes(choice, COLUMNS, status, memory)),
        ]

    took, made = [[], []], []
    for _ in range(7):
        start = time.perf_counter()
        risk = score()
        middle = time.perf_counter()
        made.append(call(risk))
        took[0].append(middle - start)
        took[1].append(time.perf_counter() - middle)
    assert all(files == made[0] for files in made)
    assert made[0][0].count(b"\r\n") == 301
    assert min(took[1]) < 3 * min(took[0])
