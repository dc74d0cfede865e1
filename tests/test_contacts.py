"""The file of calls is read as people write it, and what is wrong with it is said with its line."""

import pandas as pd
import pytest

from churn.calls import contacts
from churn.columns import Columns
from churn.errors import DataError

COLUMNS = Columns(target="left", positive="1", negative="0", id="client_id")
WITHOUT_ID = Columns(target="left", positive="1", negative="0")


def read(tmp_path, content, columns=COLUMNS):
    path = tmp_path / "contacts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return contacts.read(path, columns)


def fault(tmp_path, content):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    return str(caught.value).removeprefix(str(tmp_path / "contacts.csv"))


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_a_call_is_a_client_a_date_and_perhaps_an_outcome(tmp_path):
    found = read(tmp_path, "client_id,date,outcome\nACME,2026-01-31,reached\n007,2026-02-01,\n")
    assert found["client"].tolist() == ["ACME", "007"]
    assert found["date"].tolist() == [pd.Timestamp("2026-01-31"), pd.Timestamp("2026-02-01")]
    assert found["outcome"].tolist() == ["reached", ""]
    assert found["line"].tolist() == [2, 3]


@pytest.mark.parametrize(
    "content",
    [
        "client,date\nACME,2026-01-31\n",
        "Date,Manager,Client_ID\n2026-01-31,Ann,ACME\n",
        "client_id;date\nACME;2026-01-31\n",
        "\ufeffclient_id,date\r\nACME,2026-01-31\r\n",
        "client_id,date\n\n,\nACME, 2026-01-31 \n",
        '"client_id","date"\n"ACME","2026-01-31"',
    ],
)
def test_files_are_taken_as_spreadsheets_save_them(tmp_path, content):
    found = read(tmp_path, content)
    assert found["client"].tolist() == ["ACME"]
    assert found["date"].tolist() == [pd.Timestamp("2026-01-31")]


def test_a_header_without_calls_is_no_call(tmp_path):
    found = read(tmp_path, "client_id,date\n")
    assert len(found) == 0
    assert list(found) == ["client", "date", "outcome", "line"]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    content = 'client_id,date,note\nACME,2026-01-31,"two\nlines"\nB,31.1.2026,x\n'
    assert fault(tmp_path, content) == ", line 4: '31.1.2026' is no date; write it as YYYY-MM-DD"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ", line 1: no column client_id or client; the header needs client_id or client and date"),
        ("client_id\nACME\n", ", line 1: no column date; the header needs client_id or client and date"),
        ("who,date\nACME,2026-01-31\n", ", line 1: no column client_id or client; the header needs"),
        ("client_id,date\nACME\n", ", line 2: 1 cells under a header of 2; write one call a line"),
        ("client_id,date\n ,2026-01-31\n", ", line 2: no client; fill it in, or remove the line"),
        ("client_id,date\nACME,\n", ", line 2: '' is no date"),
        ("client_id,date\nACME,2026-02-30\n", ", line 2: '2026-02-30' is no date"),
        ("client_id,date\nACME,20260131\n", ", line 2: '20260131' is no date"),
        (b"client_id,date\nACM\xc9,2026-01-31\n", ", line 2: not UTF-8; save it as 'CSV UTF-8'"),
        ("client_id,date\n".encode("utf-16"), ", line 1: not UTF-8"),
        ('client_id,date\n"' + "a" * 200_000 + "\n", ", line 2: field larger than field limit"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_what_mends_it(tmp_path, content, said):
    assert fault(tmp_path, content).startswith(said)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv: No such file or directory; give a CSV file"):
        contacts.read(tmp_path / "nothing.csv", COLUMNS)
    with pytest.raises(DataError, match="Is a directory"):
        contacts.read(tmp_path, COLUMNS)


def test_without_an_id_column_the_header_says_client(tmp_path):
    assert read(tmp_path, "client,date\n7,2026-01-31\n", WITHOUT_ID)["client"].tolist() == ["7"]
    with pytest.raises(DataError, match="no column client; the header needs client and date"):
        read(tmp_path, "id,date\n7,2026-01-31\n", WITHOUT_ID)


def test_calls_marked_on_the_page_are_calls_too():
    row = {"client": "ACME", "at": "2026-01-31T09:30:00Z", "kind": "called", "outcome": None}
    found = contacts.recorded([row, row | {"kind": "noted"}, row | {"client": "B", "outcome": "reached"}])
    assert found["client"].tolist() == ["ACME", "B"]
    assert found["date"].tolist() == [pd.Timestamp("2026-01-31")] * 2
    assert len(contacts.recorded([])) == 0


# ---- which list they were made from ----------------------------------------------------------------------------------


def calls(*made):
    return contacts.recorded(
        [{"client": c, "at": f"{day}T00:00:00Z", "kind": "called", "outcome": ""} for c, day in made]
    )


LISTS = pd.DataFrame(
    {
        "client": ["a", "b", "a", "=c"],
        "issued": pd.to_datetime(["2026-01-10", "2026-01-10", "2026-02-10", "2026-02-10"]),
    }
)
KNOWN = {"a", "b", "=c", "d"}


def test_a_call_belongs_to_the_list_that_was_the_newest_on_its_day():
    for day, called in (
        ("2026-01-10", [True, False, False, False]),
        ("2026-02-09", [True, False, False, False]),
        ("2026-02-10", [False, False, True, False]),
        ("2027-01-01", [False, False, True, False]),
    ):
        assert contacts.match(calls(("a", day)), LISTS, KNOWN).called.tolist() == called


def test_several_calls_in_a_period_are_one_and_unknown_early_and_other_ones_are_counted():
    made = [("a", "2026-01-11"), ("a", "2026-01-12"), ("b", "2026-01-09"), ("d", "2026-01-11"), ("b", "2026-02-11")]
    made = calls(*made, ("x", "2026-01-11"))
    found = contacts.match(made.assign(line=range(2, 8)), LISTS, KNOWN)
    assert found.called.tolist() == [True, False, False, False]
    assert (found.unknown, found.unknown_line, found.early, found.elsewhere) == (1, 7, 1, 2)


def test_an_id_may_come_back_with_the_apostrophe_that_a_spreadsheet_needs():
    made = calls(("'=c", "2026-02-11"))
    assert contacts.names(made) == {"'=c", "=c"}
    assert contacts.match(made, LISTS, KNOWN).called.tolist() == [False, False, False, True]
    assert contacts.match(made, LISTS, KNOWN | {"'=c"}).called.tolist() == [False] * 4  # there is one of that very name


def test_no_calls_were_made_from_no_list():
    found = contacts.match(calls(), LISTS, KNOWN)
    assert not found.called.any()
    assert (found.unknown, found.unknown_line, found.early, found.elsewhere) == (0, None, 0, 0)
