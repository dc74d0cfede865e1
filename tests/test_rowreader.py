"""Rows read by columns mean what they mean as objects, and what is not plain is left to those who say what is wrong."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn import estimators
from churn.columns import category, features_of
from churn.errors import DataError
from churn.estimators import Design
from churn.web.api.asking import may_be_loose
from churn.web.serving.rowreader import RowReader
from churn.web.serving.scorer import Scorer
from tests.test_estimators import KINDS, TELCO, contracts_with_rows, table, telco

COLUMNS = replace(TELCO, id="client", as_of="day")


@pytest.fixture(scope="module", params=KINDS)
def scorer(request):
    return Scorer(telco(request.param)[0], COLUMNS)


@pytest.fixture(scope="module")
def rows():
    return telco("logistic")[1]


def body(rows, **more):
    return json.dumps({"rows": rows, **more}).encode()


def plain(row, columns):
    """Whether a row holds nothing that needs a closer look."""
    return not any(isinstance(row[name], str) for name in columns.numbers)


@settings(deadline=None, max_examples=150)
@given(contracts_with_rows(), st.sampled_from(KINDS), st.booleans())
def test_what_is_read_gets_the_bits_of_the_same_rows_as_objects(drawn, kind, ascii_only):
    columns, known, new = drawn
    left = [i % 2 == 0 for i in range(len(known))]
    made = Scorer(
        estimators.pipeline(Design(kind), columns, seed=0, threads=1).fit(table(known, columns), left), columns
    )
    for sent in (known, new):
        found = made.read(json.dumps({"rows": sent}, ensure_ascii=ascii_only).encode())
        expected = None
        if sent and all(plain(row, columns) for row in sent) and not may_be_loose(body(sent), 1 + sum(map(len, sent))):
            expected = made.risks(sent), [None] * len(sent)
        assert found == expected


def test_ids_come_with_the_risks_and_columns_that_the_model_does_not_use_are_left_alone(scorer, rows):
    given = [7, "abc", " ", None]
    sent = [rows[i] | {"client": one, "day": ["2026-01-01", [1]], "Churn": 1.5} for i, one in enumerate(given)]
    sent.append(rows[4])  # without any
    assert scorer.read(body(sent)) == (scorer.risks(sent), ["7", "abc", None, None, None])
    assert [category(row.get("client"), "client") for row in sent] == ["7", "abc", None, None, None]


NUMBERS = ["0", "-0", "1e2", "1.5E-3", "9007199254740993", "123456789012345678901234567890", "1e-400", "null"]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_read_to_the_bit(scorer, rows, number):
    content = body([rows[0] | {"Charges": "NUMBER"}, *rows[1:5]]).replace(b'"NUMBER"', number.encode())
    assert scorer.read(content) == (scorer.risks(json.loads(content)["rows"]), [None] * 5)


LEFT_ALONE = {
    "text for a number": {"Charges": "1.5"},
    "blank for a number": {"Total": " "},
    "truth for a number": {"tenure": True},
    "a part of a whole number": {"tenure": 1.5},
    "too large for a whole number": {"tenure": 2**53 + 2},
    "a number for a level": {"Contract": 5.0},
    "truth for a level": {"Contract": True},
    "a list": {"Contract": ["One year"]},
    "an unknown column": {"colour": "red"},
    "an id that is none": {"client": True},
    "a colon in a text": {"Contract": "a:b"},
    "a key twice, further in": {"day": "NESTED"},
}


@pytest.mark.parametrize("odd", LEFT_ALONE.values(), ids=LEFT_ALONE)
@pytest.mark.parametrize("place", [0, 17])
def test_what_is_not_plain_is_left_to_a_closer_look(scorer, rows, odd, place):
    sent = [*rows[:place], rows[place] | odd, *rows[place + 1 : 30]]
    assert scorer.read(body(sent).replace(b'"NESTED"', b'{"a": 1, "a": 2}')) is None


@pytest.mark.parametrize("missing", TELCO.features)
def test_a_row_without_a_feature_is_left_to_a_closer_look(scorer, rows, missing):
    torn = {name: value for name, value in rows[3].items() if name != missing}
    with pytest.raises(DataError):
        features_of(torn, COLUMNS)
    assert scorer.read(body([*rows[:3], torn])) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b'"tenure"', b'"tenure": 1, "tenure"', 1),
        lambda content: content.replace(b'"tenure"', b'"ten\\u0075re": 1, "tenure"', 1),
        lambda content: content.replace(b'{"rows"', b'{"rows": [], "rows"'),
        lambda content: content.replace(b'{"rows"', b'{"dataset_path": null, "rows"'),
        lambda content: content.replace(b'"Charges": ', b'"Charges": NaN, "tenure": ', 1),
        lambda content: content.replace(b'"Charges": ', b'"Charges": 1e999, "tenure": ', 1),
        lambda content: content.replace(b"One year", b"\xff", 1),
        lambda content: content.replace(b"One year", b"\\ud800", 1),
        lambda content: content.replace(b'"tenure"', b'"day": ' + b"[" * 100_000 + b"]" * 100_000 + b', "tenure"', 1),
        lambda content: b'{"rows": []}',
        lambda content: b"[]",
        lambda content: b"",
    ],
)
def test_what_is_no_body_of_rows_is_left_to_a_closer_look(scorer, rows, spoil):
    content = body(rows[:20])
    assert scorer.read(content) is not None
    assert spoil(content) != content
    assert scorer.read(spoil(content)) is None


def test_more_rows_than_may_be_sent_are_left_to_be_refused(rows):
    reader = RowReader(COLUMNS, 3)
    assert reader.read(body(rows[:3])) is not None
    assert reader.read(body(rows[:4])) is None


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\tb"])
def test_of_columns_that_cannot_be_named_nothing_is_read_this_way(name):
    columns = replace(COLUMNS, numeric=(name,), integer=(), categorical=())
    assert RowReader(columns, 10).read(body([{name: 1.0}])) is None


@pytest.mark.parametrize("name", ["für", "日本", "class", "f0", "self", "with spaces", "$ref", "__init__"])
def test_columns_may_have_any_other_name(name):
    columns = replace(COLUMNS, numeric=(name,), integer=(), categorical=())
    for content in (body([{name: 1.5}]), json.dumps({"rows": [{name: 1.5}]}, ensure_ascii=False).encode()):
        assert RowReader(columns, 10).read(content).numbers == [(1.5,)]
