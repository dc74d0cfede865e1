"""A client stands on one side of a split, always and everywhere the same one."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn import splits
from churn.columns import Columns
from tests.conftest import HOME

BY_CLIENT = Columns(target="exited", positive="1", negative="0", id="client", numeric=("age",))
WITHOUT_ID = Columns(target="exited", positive="1", negative="0", numeric=("age",), categorical=("plan",))

names = st.sampled_from(
    ["null", "NA", "nan", "None", "7", "007", "7.0", " 7", "Ä", "A\u0308", "日本", "a'b"]
) | st.text(st.characters(codec="utf-8"), min_size=1)


def of_clients(clients):
    return pd.DataFrame({"client": pd.Series(clients, dtype="str"), "age": 1.0, "exited": "0"})


property_test = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


@property_test
@given(st.lists(names, max_size=30), st.data())
def test_a_client_has_one_number_whatever_else_is_in_the_frame(clients, data):
    """The rows of a month, of all months, in another order: a client's number depends on the client alone."""
    whole = dict(zip(clients, splits.groups(of_clients(clients), BY_CLIENT), strict=True))
    part = data.draw(st.lists(st.sampled_from(clients), max_size=10) if clients else st.just([]))
    numbers = splits.groups(of_clients(part), BY_CLIENT)
    assert numbers.dtype == np.uint64
    assert [whole[client] for client in part] == numbers.tolist()
    assert len(set(whole.values())) == len(set(clients))


def test_names_that_look_alike_are_different_clients():
    clients = ["null", "NA", "nan", "", "7", "007", "7.0", "Ä", "A\u0308"]
    assert len(set(splits.groups(of_clients(clients), BY_CLIENT).tolist())) == len(clients)


def test_the_type_in_which_a_frame_holds_its_ids_does_not_matter():
    frame = of_clients(["null", "007", "日本"])
    expected = splits.groups(frame, BY_CLIENT)
    for dtype in ("object", "category"):
        assert (splits.groups(frame.astype({"client": dtype}), BY_CLIENT) == expected).all()


rows = st.lists(
    st.tuples(
        st.sampled_from([0.0, -0.0, 1.0, 1e300, float("nan")]),
        st.sampled_from(["a", "b", "", "nan", None]),
        st.sampled_from(["0", "1"]),
    ),
    min_size=1,
    max_size=20,
)


def without_id(rows):
    frame = pd.DataFrame(rows, columns=["age", "plan", "exited"])
    return frame.astype({"age": "float64", "plan": "str", "exited": "str"})


@property_test
@given(rows, st.data())
def test_without_an_id_identical_rows_have_one_number_in_every_frame(rows, data):
    whole = splits.groups(without_id(rows), WITHOUT_ID)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=10))
    part = splits.groups(without_id([rows[i] for i in chosen]), WITHOUT_ID)
    assert part.tolist() == whole[chosen].tolist()
    keys = [(repr(age + 0.0), plan, exited) for age, plan, exited in rows]
    for i, key in enumerate(keys):
        assert all(whole[i] == whole[j] for j in range(len(keys)) if keys[j] == key)


def test_without_an_id_different_rows_are_spread():
    frame = without_id([(float(i), "a", "0") for i in range(20_000)])
    numbers = splits.groups(frame, WITHOUT_ID)
    assert len(np.unique(numbers)) == 20_000


def test_columns_that_the_contract_does_not_know_do_not_tell_rows_apart():
    frame = without_id([(1.0, "a", "0")] * 2).assign(drop_number=[1, 2])
    assert len(set(splits.groups(frame, WITHOUT_ID))) == 1


# ---- the clients left uncalled ---------------------------------------------------------------------------------------


def test_about_the_share_asked_for_is_left_uncalled_and_shares_are_nested():
    clients = [f"client-{i}" for i in range(50_000)]
    before = np.zeros(50_000, dtype=bool)
    for share in (0.0, 0.05, 0.1, 0.25, 0.5):
        chosen = splits.holdout(clients, share)
        assert chosen.mean() == pytest.approx(share, abs=0.006)
        assert (chosen | ~before).all()
        before = chosen
    assert not splits.holdout(clients, 0.0).any()


@property_test
@given(st.lists(names, max_size=20), st.floats(0, 0.99), st.floats(0, 0.99))
def test_whoever_is_left_uncalled_at_a_smaller_share_is_so_at_a_larger(clients, one, other):
    small, large = splits.holdout(clients, min(one, other)), splits.holdout(clients, max(one, other))
    assert (large | ~small).all()


@property_test
@given(st.lists(names, max_size=30), st.data())
def test_whether_a_client_is_called_depends_on_the_client_alone(clients, data):
    whole = dict(zip(clients, splits.holdout(clients, 0.5), strict=True))
    order = data.draw(st.permutations(clients))
    assert splits.holdout(pd.Series(order, dtype="str"), 0.5).tolist() == [whole[client] for client in order]


def test_who_is_left_uncalled_has_nothing_to_do_with_the_groups_of_rows():
    """Were it one hash, the folds would see the called and the uncalled as two kinds of clients."""
    clients = [f"client-{i}" for i in range(20_000)]
    low = splits.groups(of_clients(clients), BY_CLIENT) < 2**63
    uncalled = splits.holdout(clients, 0.2)
    assert uncalled[low].mean() == pytest.approx(uncalled[~low].mean(), abs=0.02)


# ---- folds -----------------------------------------------------------------------------------------------------------


@property_test
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=60), st.integers(2, 6), st.data())
def test_folds_share_out_the_clients_evenly_and_never_cut_one_in_two(rows, count, data):
    numbers = np.array([number for number, _ in rows], dtype=np.uint64)
    left = np.array([label for _, label in rows])
    fold = splits.folds(numbers, left, count, seed=3)
    of = {number: set(fold[numbers == number].tolist()) for number in numbers.tolist()}
    assert all(len(folds) == 1 for folds in of.values())
    leavers = {number for number in of if left[numbers == number].any()}
    for clients in (of, leavers, set(of) - leavers):
        dealt = [sum(of[client] == {number} for client in clients) for number in range(count)]
        assert max(dealt) - min(dealt) <= 1
    order = data.draw(st.permutations(range(len(rows))))
    assert splits.folds(numbers[order], left[order], count, seed=3).tolist() == fold[order].tolist()


def test_another_seed_deals_other_folds():
    numbers, left = np.arange(200, dtype=np.uint64), np.arange(200) % 4 == 0
    dealt = [splits.folds(numbers, left, 5, seed).tolist() for seed in (1, 1, 2)]
    assert dealt[0] == dealt[1] != dealt[2]


# ---- for ever --------------------------------------------------------------------------------------------------------


def test_the_numbers_are_the_same_in_every_process_and_for_ever():
    """Were a hash to change, the clients left uncalled until now would be called from now on."""
    code = "import tests.test_splits as t\nprint(t.splits.groups(t.of_clients(['ACME', '007', 'null']), t.BY_CLIENT))"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    numbers = splits.groups(of_clients(["ACME", "007", "null"]), BY_CLIENT)
    assert done.stdout.strip() == str(numbers)
    assert numbers.tolist() == RECORDED
    assert splits.groups(without_id([(1.5, "a", "0"), (float("nan"), None, "1")]), WITHOUT_ID).tolist() == RECORDED_ROWS
    clients = [f"client-{i}" for i in range(40)]
    assert [client for client in clients if splits.holdout([client], 0.2)[0]] == RECORDED_UNCALLED


RECORDED = [6089834173721509769, 9618101907711478673, 8882926182454576745]
RECORDED_ROWS = [11179787641724120771, 17337250928723762706]
RECORDED_UNCALLED = [f"client-{i}" for i in (2, 7, 10, 19, 20, 23, 25, 28, 29, 33, 37)]
