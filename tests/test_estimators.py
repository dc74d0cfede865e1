"""One encoder for training, scoring and serving: every way in gives the same risk, to the bit."""

import math
import os
import pickle
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from churn import estimators, releases, storage
from churn.columns import Columns, features_of
from churn.errors import ReleaseError
from churn.estimators import Design
from tests.conftest import HOME

KINDS = sorted(estimators.ESTIMATORS)
TELCO = Columns(
    target="Churn",
    positive="Yes",
    negative="No",
    numeric=("Charges", "Total"),
    integer=("tenure",),
    categorical=("Contract", "Senior"),
)


def contract(numeric=(), integer=(), categorical=()):
    return Columns(target="y", positive="1", negative="0", numeric=numeric, integer=integer, categorical=categorical)


def table(rows, columns):
    """The rows as the stored data gives them: numbers float64, text str, both NaN where missing."""
    features = [features_of(row, columns) for row in rows]
    frame = pd.DataFrame([[*numbers, *texts] for numbers, texts in features], columns=list(columns.features))
    types = {name: "float64" if name in columns.numbers else "str" for name in columns.features}
    return frame.astype(types)


def telco_rows(count, seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        tenure = int(generator.integers(0, 72))
        rows.append(
            {
                "Charges": float(np.round(generator.normal(65, 30), 2)),
                "Total": None if tenure == 0 else float(np.round(tenure * generator.exponential(60), 2)),
                "tenure": tenure,
                "Contract": str(generator.choice(["Month-to-month", "One year", "Two year"])),
                "Senior": int(generator.integers(0, 2)),
            }
        )
    return rows


def telco(kind, count=400):
    rows = telco_rows(count)
    generator = np.random.default_rng(1)
    chance = [1 / (1 + math.exp(row["tenure"] / 20 - (row["Contract"][0] == "M"))) for row in rows]
    left = generator.random(count) < chance
    model = estimators.pipeline(Design(kind), TELCO, seed=0, threads=2).fit(table(rows, TELCO), left)
    model.named_steps["estimator"].calibrate(0.8, -0.1)
    return model, rows, left


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    """A model of each kind with the rows that it was fitted on and who left."""
    return telco(request.param)


# ---- one client, one risk --------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(
    st.sampled_from([0, -0.0, 1e300, -1e300, 5e-324, None, "", " ", "1e3", " 2.5\t", "-.5"]),
    finite,
    finite.map(repr),
    st.integers(-(2**53), 2**53),
)
wholes = st.one_of(
    st.sampled_from([None, "", "7", "7.0", "1e3", 3.0]),
    st.integers(-(2**53), 2**53),
    st.integers(0, 50).map(str),
)
categories = st.one_of(
    st.sampled_from(["a", "b", "nan", "None", "missing", "other", "ä", None, "", " ", 0, 1, "0"]),
    st.text(st.characters(codec="utf-8"), max_size=4),
)


@st.composite
def contracts_with_rows(draw):
    """A contract, rows to learn from and rows to score, as JSON gives them."""
    names = [f"{kind} {i}" for kind in "nwc" for i in range(draw(st.integers(0, 3)))] or ["n 0"]
    of = {"n": numbers, "w": wholes, "c": categories}
    rows = st.fixed_dictionaries({name: of[name[0]] for name in names})
    parts = [tuple(name for name in names if name[0] == kind) for kind in "nwc"]
    return contract(*parts), draw(st.lists(rows, min_size=6, max_size=14)), draw(st.lists(rows, max_size=5))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(contracts_with_rows(), st.sampled_from(KINDS))
def test_whatever_the_contract_and_the_values_are_the_matrix_is_finite_and_risks_are_probabilities(drawn, kind):
    columns, known, new = drawn
    left = np.arange(len(known)) % 2 == 0
    model = estimators.pipeline(Design(kind), columns, seed=0, threads=1).fit(table(known, columns), left)
    encoder = model.named_steps["encoder"]
    for rows in (known, new):
        matrix = encoder.transform(table(rows, columns))
        assert matrix.shape == (len(rows), len(encoder.get_feature_names_out()))
        assert np.isfinite(matrix).all()
        risk = estimators.risks(model, table(rows, columns))
        assert ((risk >= 0) & (risk <= 1)).all()


def test_a_client_has_the_same_risk_alone_and_among_all(fitted):
    model, rows, _ = fitted
    together = estimators.risks(model, table(rows, TELCO))
    alone = [estimators.risks(model, table([row], TELCO))[0] for row in rows[:100]]
    assert together[:100].tolist() == alone
    backwards = estimators.risks(model, table(rows[::-1], TELCO))
    assert backwards[::-1].tolist() == together.tolist()


def test_the_spelling_of_a_value_does_not_matter(fitted):
    model, *_ = fitted
    plain = {"Charges": 70.5, "Total": 1000.0, "tenure": 14, "Contract": "One year", "Senior": "0"}
    as_text = {**plain, "Charges": "70.50", "Total": "1e3", "tenure": "14.0", "Senior": 0, "ignored": [1, 2]}
    first, second = estimators.risks(model, table([plain, as_text], TELCO))
    assert first == second


def test_risks_are_those_that_a_notebook_gets_from_the_pickle(fitted):
    model, rows, _ = fitted
    notebook = pickle.loads(pickle.dumps(model))
    theirs = notebook.predict_proba(table(rows, TELCO))
    assert estimators.risks(model, table(rows, TELCO)).tobytes() == theirs[:, 1].tobytes()
    assert theirs.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    assert (notebook.predict(table(rows, TELCO)) == (theirs[:, 1] > 0.5)).all()


def test_no_rows_have_no_risks(fitted):
    model, *_ = fitted
    assert estimators.risks(model, table([], TELCO)).shape == (0,)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def encoded(columns, known, new):
    """What an encoder fitted on the known rows makes of the new ones: a dict of columns."""
    encoder = estimators.Encoder(columns.numbers, columns.categorical).fit(table(known, columns))
    matrix = encoder.transform(table(new, columns))
    return {name: matrix[:, i].tolist() for i, name in enumerate(encoder.get_feature_names_out())}


def test_a_number_is_standardised_and_a_missing_one_is_the_median_with_a_flag():
    known = [{"n": value} for value in (-1, 0, 1, 10, None)]
    found = encoded(contract(("n",)), known, [{"n": -1}, {"n": 0.5}, {"n": None}])
    filled = np.array([-1, 0, 1, 10, 0.5])
    assert found["n"] == pytest.approx((np.array([-1, 0.5, 0.5]) - filled.mean()) / filled.std())
    assert found["n missing"] == [0, 0, 1]


def test_a_skewed_amount_enters_by_its_logarithm_and_one_below_zero_as_zero():
    known = [{"n": value} for value in (0, 1, 2, 3, 5, 8, 1000)]
    found = encoded(contract(("n",)), known, [{"n": 0}, {"n": math.e - 1}, {"n": -5}])
    logs = np.log1p([0, 1, 2, 3, 5, 8, 1000])
    assert found["n"] == pytest.approx((np.array([0, 1, 0]) - logs.mean()) / logs.std())


def test_a_skewed_column_with_negative_values_stays_as_it_is():
    known = [{"n": value} for value in (-1, 1, 2, 3, 5, 8, 1000)]
    found = encoded(contract(("n",)), known, [{"n": 1000}])
    assert found["n"] == pytest.approx(
        [(1000 - np.mean([-1, 1, 2, 3, 5, 8, 1000])) / np.std([-1, 1, 2, 3, 5, 8, 1000])]
    )


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 65.3, 1e300, 0, None])
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_never_varied_says_nothing_about_a_client_in_whom_it_does(kind, constant):
    """The deviation of a hundred times 0.1 is 1e-17, not 0: divided by it, 0.2 would outweigh everything."""
    columns = contract(("same", "n"))
    known = [{"same": constant, "n": i % 7} for i in range(100)]
    left = np.arange(100) % 7 > 4
    model = estimators.pipeline(Design(kind), columns, seed=0, threads=1).fit(table(known, columns), left)
    usual, new = estimators.risks(model, table([{"same": constant, "n": 3}, {"same": 0.2, "n": 3}], columns))
    assert new == pytest.approx(usual, abs=0.05)


def test_one_absurd_number_in_the_training_data_breaks_nothing():
    columns = contract(("n", "m"))
    known = [{"n": 1e308 if i == 5 else -1e308 if i == 6 else i, "m": i % 7} for i in range(100)]
    left = np.arange(100) % 7 > 4
    model = estimators.pipeline(Design("logistic"), columns, seed=0, threads=1).fit(table(known, columns), left)
    low, high = estimators.risks(model, table([{"n": 1, "m": 0}, {"n": 1, "m": 6}], columns))
    assert low < 0.2
    assert high > 0.8


def test_the_largest_number_that_there_is_can_be_scored(fitted):
    model, rows, _ = fitted
    for largest in (sys.float_info.max, -sys.float_info.max):
        risk = estimators.risks(model, table([{**rows[0], "Charges": largest, "Total": largest}], TELCO))
        assert 0 <= risk[0] <= 1


# ---- categories ------------------------------------------------------------------------------------------------------


def test_levels_have_an_indicator_each_and_missing_rare_and_unseen_ones_too():
    known = [{"c": "a"}] * 600 + [{"c": "b"}] * 385 + [{"c": None}] * 10 + [{"c": "rare"}] * 5
    found = encoded(
        contract(categorical=("c",)), known, [{"c": value} for value in ("a", "b", None, "rare", "new", "")]
    )
    assert found == {
        "c missing": [0, 0, 1, 0, 0, 1],
        "c other": [0, 0, 0, 1, 1, 0],
        "c=a": [1, 0, 0, 0, 0, 0],
        "c=b": [0, 1, 0, 0, 0, 0],
    }


def test_in_little_data_one_row_makes_a_level():
    found = encoded(contract(categorical=("c",)), [{"c": "a"}, {"c": "b"}], [{"c": "a"}, {"c": "b"}, {"c": "z"}])
    assert found == {"c missing": [0, 0, 0], "c other": [0, 0, 1], "c=a": [1, 0, 0], "c=b": [0, 1, 0]}


def test_levels_that_look_like_nothing_are_levels():
    values = ["nan", "None", "NA", "null", "missing", "other"]
    known = [{"c": value} for value in values] * 3 + [{"c": None}]
    found = encoded(contract(categorical=("c",)), known, [{"c": value} for value in [*values, None]])
    assert found["c missing"] == [0, 0, 0, 0, 0, 0, 1]
    assert found["c other"] == [0] * 7
    assert [sum(found[f"c={value}"]) for value in values] == [1] * 6


def test_a_column_in_which_nothing_was_ever_said_is_fine():
    known, new = [{"c": None, "n": None}] * 5, [{"c": None, "n": None}, {"c": "a", "n": 3}]
    found = encoded(contract(("n",), (), ("c",)), known, new)
    assert found == {"n": [0, 3], "n missing": [1, 0], "c missing": [1, 0], "c other": [0, 1]}


# ---- the model -------------------------------------------------------------------------------------------------------


def test_every_encoded_column_belongs_to_a_column_of_the_contract(fitted):
    model, *_ = fitted
    encoder = model.named_steps["encoder"]
    names, sources = encoder.get_feature_names_out(), encoder.sources()
    assert len(names) == len(sources)
    assert all(name.startswith(source) for name, source in zip(names, sources, strict=True))


def test_a_risk_is_the_sigmoid_of_the_log_odds(fitted):
    model, rows, _ = fitted
    log_odds = estimators.log_odds(model, table(rows, TELCO))
    assert estimators.calibration(model) == (0.8, -0.1)
    assert estimators.risks(model, table(rows, TELCO)).tolist() == expit(0.8 * log_odds - 0.1).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_nobody_calibrated_says_what_its_estimator_says(kind):
    rows = telco_rows(100)
    left = np.arange(100) % 3 == 0
    model = estimators.pipeline(Design(kind), TELCO, seed=0, threads=1).fit(table(rows, TELCO), left)
    assert estimators.calibration(model) == (1.0, 0.0)
    matrix = pd.DataFrame(model.named_steps["encoder"].transform(table(rows, TELCO)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # scikit-learn and LightGBM mind names, or their absence
        theirs = model.named_steps["estimator"].estimator_.predict_proba(matrix)[:, 1]
    assert estimators.risks(model, table(rows, TELCO)) == pytest.approx(theirs, abs=1e-12)


def test_logistic_regression_reaches_the_optimum_though_indicators_say_the_same_twice():
    """At the optimum the gradient is 0: of the log loss, plus half the squared coefficients."""
    model, rows, left = telco("logistic")
    matrix = model.named_steps["encoder"].transform(table(rows, TELCO))
    logistic = model.named_steps["estimator"].estimator_
    off = expit(estimators.log_odds(model, table(rows, TELCO))) - left
    assert off @ matrix + logistic.coef_[0] == pytest.approx(np.zeros(matrix.shape[1]), abs=0.01)
    assert off.sum() == pytest.approx(0, abs=0.01)
    assert (logistic.coef_[0][~matrix.any(axis=0)] == 0).all()


def test_settings_reach_the_estimator_and_the_rest_stays():
    weak = estimators.pipeline(Design("logistic", {"C": 0.1}), TELCO, seed=0, threads=1).named_steps["estimator"]
    assert (weak.estimator.C, weak.estimator.random_state) == (0.1, 0)
    few = estimators.pipeline(Design("lightgbm", {"n_estimators": 7}), TELCO, seed=3, threads=1).named_steps[
        "estimator"
    ]
    assert (few.estimator.n_estimators, few.estimator.num_leaves, few.estimator.random_state) == (7, 31, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_may_weigh_less(kind):
    rows = [{"Charges": i % 10, "Total": 0, "tenure": 0, "Contract": "a", "Senior": "0"} for i in range(200)]
    frame = table(rows, TELCO)
    recent = np.arange(200) >= 100
    left = np.where(recent, frame["Charges"] > 4, frame["Charges"] < 5)  # the relation turned round
    encoder = estimators.Encoder(TELCO.numbers, TELCO.categorical).fit(frame)
    estimator = estimators.pipeline(Design(kind), TELCO, seed=0, threads=1).named_steps["estimator"]
    found = estimator.fit(encoder.transform(frame), left, np.where(recent, 1.0, 0.01)).risk(encoder.transform(frame))
    assert found[frame["Charges"] == 9].min() > 0.8
    assert found[frame["Charges"] == 0].max() < 0.2


def test_threads_are_said_and_not_left_to_the_machine():
    for threads in (1, 3):
        model = estimators.pipeline(Design("lightgbm"), TELCO, seed=0, threads=threads)
        assert model.named_steps["estimator"].estimator.n_jobs == threads


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_gives_what_scikit_learn_can_copy(kind):
    model = estimators.pipeline(Design(kind), TELCO, seed=5, threads=1)
    assert str(clone(model).get_params()) == str(model.get_params())


WIDE = contract(tuple(f"n{i}" for i in range(40)), (), ("c",))


def wide_risks(kind):
    """Risks of a model on data so wide that a matrix product's last bits depend on the number of threads."""
    generator = np.random.default_rng(0)
    rows = 1500 if kind == "lightgbm" else 40_000
    frame = pd.DataFrame(generator.normal(size=(rows, 40)), columns=list(WIDE.numeric))
    frame["c"] = pd.Series(generator.choice(list("abc"), rows), dtype="str")
    left = generator.random(rows) < 1 / (1 + np.exp(-frame["n0"].to_numpy()))
    return estimators.risks(estimators.pipeline(Design(kind), WIDE, seed=0, threads=1).fit(frame, left), frame)


def test_the_same_data_gives_the_same_risks_to_the_bit_again_and_in_a_process_with_other_threads():
    code = "import tests.test_estimators as t\nfor kind in t.KINDS: print(t.wide_risks(kind).tobytes().hex())"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=HOME, env=environment, stdout=subprocess.PIPE, text=True) as other:
        here = [wide_risks(kind).tobytes().hex() for kind in KINDS]
        there = other.communicate()[0].split()
    assert here == there


# ---- the file --------------------------------------------------------------------------------------------------------


def save_version(folder, content):
    folder.mkdir(parents=True)
    (folder / releases.MODEL).write_bytes(content)
    manifest = {
        "format": releases.FORMAT,
        "version": folder.name,
        "columns": asdict(TELCO),
        "threshold": 0.4,
        "files": {releases.MODEL: releases.digest(content)},
    }
    (folder / releases.MANIFEST).write_text(storage.to_json(manifest))
    return folder


def test_a_model_comes_back_from_its_file_to_the_bit(fitted, tmp_path):
    model, rows, _ = fitted
    release = releases.load(save_version(tmp_path / "0001-abcdef01", skops.io.dumps(model)))
    assert release.columns == TELCO
    assert release.threshold == 0.4
    kept = estimators.risks(release.model, table(rows, release.columns))
    assert kept.tobytes() == estimators.risks(model, table(rows, TELCO)).tobytes()


def test_nothing_is_trusted_that_no_model_needs(fitted):
    needed = set()
    for kind in KINDS:
        needed |= set(skops.io.get_untrusted_types(data=skops.io.dumps(telco(kind, 60)[0])))
    assert needed == set(estimators.TRUSTED)


def test_a_file_with_anything_else_in_it_is_refused_before_it_is_built(tmp_path):
    hostile = Pipeline([("encoder", FunctionTransformer(os.system, kw_args={}))])
    folder = save_version(tmp_path / "0001-abcdef01", skops.io.dumps(hostile))
    with pytest.raises(ReleaseError, match=r"model\.skops: .*posix\.system"):
        releases.load(folder)
