"""The scorer gives rows, one or many, the risks that a table of them gets, to the bit, and names what does not fit."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn import estimators
from churn.columns import features_of
from churn.errors import DataError
from churn.estimators import Design
from churn.web.serving.scorer import FEW, Scorer
from tests.test_estimators import KINDS, TELCO, contracts_with_rows, table, telco


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    return telco(request.param)


@settings(deadline=None, max_examples=60)
@given(contracts_with_rows(), st.sampled_from(KINDS), st.integers(1, 4))
def test_rows_get_the_bits_that_a_table_gets_for_any_contract_any_values_and_any_number_of_rows(drawn, kind, times):
    columns, known, new = drawn
    left = [i % 2 == 0 for i in range(len(known))]
    model = estimators.pipeline(Design(kind), columns, seed=0, threads=1).fit(table(known, columns), left)
    model.named_steps["estimator"].calibrate(0.7, 0.2)
    made = Scorer(model, columns)
    for rows in (known, new * times, *([row] for row in new)):
        expected = estimators.risks(model, table(rows, columns)).tolist() if rows else []
        assert made.risks(rows) == expected


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 400])
def test_how_many_rows_come_at_once_makes_no_difference(fitted, count):
    model, rows, _ = fitted
    expected = estimators.risks(model, table(rows[:count], TELCO)).tolist()
    assert len(set(expected)) > 1 or count == 1
    assert Scorer(model, TELCO).risks(rows[:count]) == expected


ODD = {
    "Charges": ["1e3", " 12 ", "", None, 10**400, float("nan"), float("inf"), "inf", "1_000", True, [1], 1e300],
    "tenure": [1.5, 2.0, "3", "", None, 2**53, 2**53 + 2, float("nan"), 1e20, False, {}],
    "Contract": ["", " \t", None, 5, 5.0, True, "nobody has this", "One year", ["One year"]],
}


@pytest.mark.parametrize(("column", "value"), [(column, value) for column in ODD for value in ODD[column]], ids=repr)
@pytest.mark.parametrize("count", [1, 40])
def test_an_odd_value_is_taken_or_refused_as_the_contract_says_however_many_rows_there_are(
    fitted, column, value, count
):
    model, rows, _ = fitted
    rows = [*rows[: count - 1], rows[0] | {column: value}]
    try:
        for row in rows:
            features_of(row, TELCO)
    except DataError as error:
        with pytest.raises(DataError) as raised:
            Scorer(model, TELCO).risks(rows)
        assert str(raised.value) == str(error)
    else:
        assert Scorer(model, TELCO).risks(rows) == estimators.risks(model, table(rows, TELCO)).tolist()


def test_a_column_missing_from_one_row_of_many_is_named(fitted):
    model, rows, _ = fitted
    torn = [*rows[:20], {name: value for name, value in rows[0].items() if name != "tenure"}]
    with pytest.raises(DataError, match="missing: tenure"):
        Scorer(model, TELCO).risks(torn)


def test_threads_that_share_a_scorer_get_the_risks_of_their_own_rows(fitted):
    model, rows, _ = fitted
    made, expected = Scorer(model, TELCO), estimators.risks(model, table(rows, TELCO)).tolist()

    def ask(start):
        return [made.risks([row])[0] for row in rows[start::4] * 5]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(4)))
    assert found == [expected[start::4] * 5 for start in range(4)]
