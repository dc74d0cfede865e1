"""Why a model says what it says: the contributions of the columns add up to the log-odds, exactly."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn import estimators, splits
from churn.columns import Columns
from churn.estimators import Design
from churn.fitting import contributions, selection

DESIGNS = {
    "logistic": Design("logistic"),
    "lightgbm": Design("lightgbm", {"n_estimators": 40}),
    "shallow": Design("lightgbm", {"n_estimators": 60, "num_leaves": 3, "learning_rate": 0.05}),
}
COLUMNS = Columns(
    target="y",
    positive="1",
    negative="0",
    numeric=("charge", "noise"),
    integer=("calls",),
    categorical=("plan", "city"),
)


def clients(count, seed=0):
    """Clients who leave when charged much, calling little or on the plan `basic`; noise and city say nothing."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "charge": generator.normal(50, 20, count),
            "noise": generator.normal(0, 1, count),
            "calls": generator.poisson(5, count).astype(float),
            "plan": pd.Series(generator.choice(["basic", "plus", None], count, p=[0.5, 0.4, 0.1]), dtype="str"),
            "city": pd.Series(generator.choice(list("abcde"), count), dtype="str"),
        }
    )
    frame.loc[generator.random(count) < 0.1, "charge"] = np.nan
    odds = (frame["charge"].fillna(50) - 50) / 15 - (frame["calls"] - 5) / 4 + 1.5 * (frame["plan"] == "basic") - 1
    return frame, (generator.random(count) < 1 / (1 + np.exp(-odds))).to_numpy()


def fit(design, frame, left, columns=COLUMNS):
    return estimators.pipeline(design, columns, seed=0, threads=1).fit(frame, left)


@pytest.fixture(scope="module", params=sorted(DESIGNS))
def fitted(request):
    """A model of each design on 600 clients, and clients whom it has not seen."""
    return fit(DESIGNS[request.param], *clients(600)), clients(100, seed=1)[0]


# ---- they add up -----------------------------------------------------------------------------------------------------


def test_a_row_and_the_base_add_up_to_the_log_odds(fitted):
    model, frame = fitted
    parts, base = contributions.contributions(model, frame)
    assert parts.sum(axis=1).to_numpy() + base == pytest.approx(estimators.log_odds(model, frame), abs=1e-6)


@pytest.mark.parametrize("kind", sorted(estimators.ESTIMATORS))
def test_they_add_up_to_the_log_odds_before_calibration_of_a_model_that_is_calibrated(kind):
    frame, left = clients(400)
    groups = np.arange(400, dtype=np.uint64)
    model = selection.fit(frame, left, COLUMNS, Design(kind), groups=groups, seed=0, threads=1).model
    assert estimators.calibration(model) != (1.0, 0.0)
    parts, base = contributions.contributions(model, frame)
    slope, intercept = estimators.calibration(model)
    whole = parts.sum(axis=1).to_numpy() + base
    assert 1 / (1 + np.exp(-slope * whole - intercept)) == pytest.approx(estimators.risks(model, frame), abs=1e-6)


values = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 5e-324]))
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "missing", "other"]), st.text(max_size=3))


@st.composite
def tables(draw):
    """A contract, rows to learn from and other rows."""
    names = [f"{kind}{i}" for kind in "nc" for i in range(draw(st.integers(0, 3)))] or ["n0"]
    numeric, categorical = ([name for name in names if name[0] == kind] for kind in "nc")
    row = st.fixed_dictionaries({name: values if name in numeric else texts for name in names})
    types = {name: "float64" if name in numeric else "str" for name in names}
    known, new = (
        pd.DataFrame(draw(st.lists(row, min_size=least, max_size=25)), columns=names).astype(types) for least in (6, 0)
    )
    columns = Columns("y", "1", "0", numeric=tuple(numeric), categorical=tuple(categorical))
    return columns, known, new


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from(sorted(estimators.ESTIMATORS)))
def test_they_add_up_for_any_contract_and_any_values(drawn, kind):
    columns, known, new = drawn
    few = {"lightgbm": {"n_estimators": 5, "min_child_samples": 1}}.get(kind, {})
    model = fit(Design(kind, few), known, np.arange(len(known)) % 2 == 0, columns)
    for frame in (known, new):
        parts, base = contributions.contributions(model, frame)
        assert parts.shape == (len(frame), len(columns.features))
        assert list(parts.columns) == list(columns.features)
        # With a number a million times as large as any in training, the last digits count for more than 1e-6.
        error = 1e-6 + 1e-12 * parts.abs().sum(axis=1).to_numpy()
        whole = parts.sum(axis=1).to_numpy() + base
        assert (np.abs(whole - estimators.log_odds(model, frame)) <= error).all()


def test_the_rows_keep_their_names_and_no_rows_have_no_contributions(fitted):
    model, frame = fitted
    some = frame.iloc[[7, 3]]
    parts, base = contributions.contributions(model, some)
    whole, same_base = contributions.contributions(model, frame)
    assert parts.index.tolist() == [7, 3]
    assert parts.to_numpy() == pytest.approx(whole.loc[[7, 3]].to_numpy(), abs=1e-12)
    none, base_of_none = contributions.contributions(model, frame[:0])
    assert none.shape == (0, 5)
    assert base == same_base == base_of_none


# ---- what they are ---------------------------------------------------------------------------------------------------


def test_logistic_ones_are_the_coefficient_times_the_distance_to_the_average_client():
    frame, left = clients(600)
    model = fit(Design("logistic"), frame, left)
    parts, base = contributions.contributions(model, frame)
    assert parts.mean().to_numpy() == pytest.approx(np.zeros(5), abs=1e-12)
    assert base == pytest.approx(estimators.log_odds(model, frame).mean())
    encoder, logistic = model.named_steps["encoder"], model.named_steps["estimator"].estimator_
    basic = list(encoder.get_feature_names_out()).index("plan=basic")
    of_plan = dict(zip(encoder.get_feature_names_out(), logistic.coef_[0], strict=True))
    average = sum(of_plan[f"plan{level}"] * share for level, share in shares(frame["plan"]).items())
    row = frame.index[frame["plan"] == "basic"][0]
    assert parts["plan"][row] == pytest.approx(logistic.coef_[0][basic] - average)


def shares(column):
    found = {f"={level}": (column == level).mean() for level in column.dropna().unique()}
    return found | {" missing": column.isna().mean()}


def test_a_row_that_counts_twice_is_as_good_as_two_rows():
    frame, left = clients(200)
    weights = np.where(np.arange(200) < 50, 2.0, 1.0)
    encoder = estimators.Encoder(COLUMNS.numbers, COLUMNS.categorical).fit(frame)
    matrix = encoder.transform(frame)
    weighted = estimators.Calibrated(estimators.Logistic(solver="newton-cholesky")).fit(matrix, left, weights)
    twice = np.concatenate([np.arange(200), np.arange(50)])
    repeated = estimators.Calibrated(estimators.Logistic(solver="newton-cholesky")).fit(matrix[twice], left[twice])
    assert weighted.means_ == pytest.approx(repeated.means_)
    assert weighted.log_odds(matrix) == pytest.approx(repeated.log_odds(matrix), abs=1e-3)


def test_what_makes_a_client_likelier_to_leave_is_positive(fitted):
    model, frame = fitted
    low = frame.assign(charge=20.0, calls=12.0, plan=pd.Series("plus", index=frame.index, dtype="str"))
    high = frame.assign(charge=90.0, calls=1.0, plan=pd.Series("basic", index=frame.index, dtype="str"))
    decisive = ["charge", "calls", "plan"]
    assert (contributions.contributions(model, high)[0][decisive].to_numpy() > 0).all()
    assert (contributions.contributions(model, low)[0][decisive].to_numpy() < 0).all()


# ---- importance ------------------------------------------------------------------------------------------------------


def test_importance_is_each_columns_share_of_the_absolute_contributions_the_largest_first(fitted):
    model, frame = fitted
    found = contributions.importance(model, frame)
    sizes = contributions.contributions(model, frame)[0].abs().mean()
    assert found == pytest.approx((sizes / sizes.sum()).to_dict())
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert set(list(found)[:3]) == {"charge", "calls", "plan"}


def test_of_many_rows_a_sample_is_looked_at_and_always_the_same(monkeypatch):
    model = fit(Design("logistic"), *clients(600))
    frame, _ = clients(5000, seed=2)
    found = contributions.importance(model, frame)
    assert found == contributions.importance(model, frame)
    assert found != contributions.importance(model, frame, seed=1)
    monkeypatch.setattr(contributions, "ENOUGH_ROWS", 5000)
    assert found == pytest.approx(contributions.importance(model, frame), abs=0.02)


def test_a_model_that_found_nothing_gives_no_column_any_importance():
    columns = Columns("y", "1", "0", numeric=("n",))
    frame = pd.DataFrame({"n": [1.0] * 8})
    for kind in estimators.ESTIMATORS:
        model = fit(Design(kind), frame, np.arange(8) < 4, columns)
        assert contributions.importance(model, frame) == {"n": 0}


def test_importance_of_no_rows_is_nothing(fitted):
    model, frame = fitted
    assert set(contributions.importance(model, frame[:0]).values()) == {0.0}


def test_groups_and_ids_are_no_part_of_it():
    """The id is known to the contract and no feature."""
    columns = Columns("y", "1", "0", id="name", numeric=("charge", "noise"), integer=("calls",), categorical=("plan",))
    frame, left = clients(200)
    frame["name"] = pd.Series([f"client-{i}" for i in range(200)], dtype="str")
    groups = splits.groups(frame, columns)
    model = selection.fit(frame, left, columns, Design("logistic"), groups=groups, seed=0, threads=1).model
    assert list(contributions.contributions(model, frame)[0].columns) == ["charge", "noise", "calls", "plan"]
