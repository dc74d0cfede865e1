"""A file made for people opens in a spreadsheet as what it is, and nothing in it is run."""

import csv
import io
import re
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn import sheet

# What a spreadsheet would run, or would take for the start of it.
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
STARTS = SIGNS + "\t\r\n\0"
texts = st.text(st.sampled_from([*STARTS, "'", " ", "\u00a0", "a", "1", ",", ";", '"', "日"]), max_size=6) | st.text(
    st.characters(codec="utf-8"), max_size=10
)
property_test = settings(deadline=None, max_examples=300)


@property_test
@given(texts)
def test_no_cell_starts_like_a_formula_and_every_text_comes_back(text):
    cell = sheet.cell(text)
    assert not cell.startswith(tuple(STARTS))
    for part in re.split("[;\t\r\n]", cell):  # where lines are split at semicolons, each of these is a cell
        assert not part.lstrip(' "\u00a0').startswith(tuple(SIGNS))
    assert sheet.plain(cell) == text
    assert cell.replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize(
    "text", ["ACME", "o'Neil", "'quoted'", "7", "007", "null", "", " ACME", "a=b", "3-4", "a, -b", "a; b", "日本"]
)
def test_what_is_no_formula_stays_as_it_is(text):
    assert sheet.cell(text) == text
    assert sheet.plain(text) == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\0=1", " =1", "＝1", "＋1", "－1", "＠x", "'=1"]
)
def test_a_formula_gets_an_apostrophe(text):
    assert sheet.cell(text) == f"'{text}"


def test_where_lines_are_split_at_semicolons_a_formula_hides_behind_none():
    assert sheet.cell('ACME; "=1+1"') == 'ACME;\' "=1+1"'
    assert sheet.cell("a\n=1\r\n@x") == "a\n'=1\r\n'@x"


def test_a_long_text_takes_no_long_time():
    for text in ("\n" * 100_000, " " * 100_000, "; " * 50_000, "'" * 100_000):
        before = time.perf_counter()
        assert sheet.plain(sheet.cell(text)) == text
        assert time.perf_counter() - before < 2


@property_test
@given(st.lists(st.tuples(texts, st.floats(-1e6, 1e6), texts), min_size=1, max_size=5))
def test_the_whole_file_is_safe_and_its_numbers_are_numbers(rows):
    frame = pd.DataFrame(rows, columns=["=client", "amount", "-plan"]).astype({"=client": "str", "-plan": "str"})
    text = sheet.csv(frame).decode("utf-8-sig")
    header, *cells = csv.reader(io.StringIO(text, newline=""))
    assert header == ["'=client", "amount", "'-plan"]
    for (client, amount, plan), (first, second, third) in zip(rows, cells, strict=True):
        assert [sheet.plain(first), sheet.plain(third)] == [client, plan]
        assert not first.startswith(tuple(STARTS)) and not third.startswith(tuple(STARTS))
        assert float(second) == amount


def test_missing_cells_stay_empty_and_other_types_are_left_alone():
    frame = pd.DataFrame(
        {
            "text": pd.Series(["=a", None, "b"], dtype="str"),
            "mixed": ["=a", None, -3],
            "whole": pd.Series([-1, None, 2], dtype="Int64"),
            "number": [-1.5, np.nan, 0.0],
            "day": pd.to_datetime(["2026-01-31", None, "2026-02-28"]),
            "yes": [True, False, True],
        }
    )
    before = frame.copy(deep=True)
    shown = sheet.safe(frame)
    assert shown["text"].iloc[0] == "'=a" and shown["text"].isna().tolist() == [False, True, False]
    assert shown["mixed"].tolist() == ["'=a", None, -3]
    for name in ("whole", "number", "day", "yes"):
        pd.testing.assert_series_equal(shown[name], frame[name])
    pd.testing.assert_frame_equal(frame, before)


def test_two_columns_of_one_name_are_both_safe():
    frame = pd.DataFrame([["=a", "=b"]], columns=["plan", "plan"])
    assert sheet.safe(frame).to_numpy().tolist() == [["'=a", "'=b"]]


def test_equal_tables_give_equal_bytes_and_excel_knows_that_they_are_utf_8(tmp_path):
    frame = pd.DataFrame({"client": ["Ä", "=b"], "risk": [0.25, 0.5]})
    expected = "\ufeffclient,risk\r\nÄ,0.25\r\n'=b,0.5\r\n".encode()
    assert sheet.csv(frame) == sheet.csv(frame.copy()) == expected
    sheet.write(frame, tmp_path / "list.csv")
    assert (tmp_path / "list.csv").read_bytes() == expected


def test_a_carriage_return_in_an_id_does_not_begin_a_line():
    text = sheet.csv(pd.DataFrame({"client": ["a\rb"], "risk": [0.5]})).decode("utf-8-sig")
    assert text == 'client,risk\r\n"a\rb",0.5\r\n'
