"""Reading CSV files by the column contract: values, rejected rows with their lines, files refused as a whole."""

import contextlib
import csv
import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn import columns
from churn.columns import Columns
from churn.errors import ChangingError, ConfigError, DataError, DropError
from churn.intake import content, reading

CONTRACT = Columns(
    id="id", target="left", positive="1", negative="0", numeric=("x",), integer=("n",), categorical=("kind",)
)
HEADER = "id,x,n,kind,left\n"


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with reading.connect(256, 2, tmp_path_factory.mktemp("spill")) as connection:
        yield connection


@contextlib.contextmanager
def examined(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield content.examine(descriptor, path.name)
    finally:
        os.close(descriptor)


def read(connection, path, contract=CONTRACT, **options):
    """The reading of a file, and its rows as a frame."""
    with examined(path) as found:
        result = reading.read(connection, found, contract, "incoming", **options)
    return result, reading.frame(connection, "incoming", contract)


@pytest.fixture
def read_text(connection, tmp_path):
    """Write a text (or bytes) to a file and read it; by default any share of rows may be rejected."""

    def of(text, contract=CONTRACT, *, max_rejected=1.0, **options):
        path = tmp_path / "drop.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(connection, path, contract, max_rejected=max_rejected, **options)

    return of


def lines(result):
    return [(reject.line, reject.column) for reject in result.rejects]


def test_values_are_typed_and_texts_stay_what_they_are(read_text):
    result, frame = read_text(
        HEADER + '007,1.5,12,null,1\nNA, -2e3 ,\t7 ,Yes,0\nnull,.5,1.0,NaN,1\n"a,""b",5.,+3, x ,0\n'
    )
    assert (result.rows, result.accepted, result.rejected) == (4, 4, 0)
    assert frame["id"].tolist() == ["007", "NA", "null", 'a,"b']
    assert frame["x"].tolist() == [1.5, -2000, 0.5, 5]
    assert frame["n"].tolist() == [12, 7, 1, 3]
    assert frame["kind"].tolist() == ["null", "Yes", "NaN", " x "]
    assert frame["left"].tolist() == ["1", "0", "1", "0"]
    assert [str(kind) for kind in frame.dtypes] == ["str", "float64", "float64", "str", "str"]


def test_blank_features_are_missing_values(read_text):
    result, frame = read_text(HEADER + 'a,,,,1\nb, ,\t," ",0\nc,"","","",1\n')
    assert result.rejected == 0
    assert frame[["x", "n", "kind"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "cell", ["1_000", "0x1F", "inf", "-Infinity", "nan", "1e400", "1,5", "ten", "1 000", "--1", "١"]
)
def test_what_is_no_plain_finite_number_is_rejected_with_its_line(read_text, cell):
    for column, row in (("x", f'b,"{cell}",1,k,0'), ("n", f'b,1,"{cell}",k,0')):
        result, frame = read_text(HEADER + f"a,1,1,k,1\n{row}\nc,2,2,k,1\n")
        assert lines(result) == [(3, column)]
        assert frame["id"].tolist() == ["a", "c"]
        assert cell not in result.rejects[0].reason


def test_a_fraction_is_no_whole_number(read_text):
    result, frame = read_text(HEADER + "a,1,1.5,k,1\nb,1,2.0,k,1\nc,1,9007199254740994,k,1\nd,1,1e15,k,0\n")
    assert lines(result) == [(2, "n"), (4, "n")]
    assert {reject.reason for reject in result.rejects} == {"not a whole number"}
    assert frame["n"].tolist() == [2, 1e15]


@pytest.mark.parametrize("label", ["2", "yes", "", " ", "1.0", "01"])
def test_unknown_and_blank_labels_are_rejected_rows(read_text, label):
    result, frame = read_text(HEADER + f"a,1,1,k,1\nb,1,1,k,{label}\nc,1,1,k, 0 \n")
    assert lines(result) == [(3, "left")]
    assert frame["left"].tolist() == ["1", "0"]


@pytest.mark.parametrize("cell", ["", " ", "\t", '""', '" "'])
def test_with_late_labels_a_blank_label_is_a_missing_value(read_text, cell):
    text = HEADER + f"a,1,1,k,1\nb,1,1,k,{cell}\nc,?,1,k,{cell}\nd,1,1,k,perhaps\n"
    result, frame = read_text(text, late_labels=True)
    assert lines(result) == [(4, "x"), (5, "left")]
    assert frame["id"].tolist() == ["a", "b"] and frame["left"].notna().tolist() == [True, False]
    with pytest.raises(DropError, match="no column 'left'"):
        read_text("id,x,n,kind\na,1,1,k\n", late_labels=True)


def test_rows_without_an_id_are_rejected(read_text):
    result, _ = read_text(HEADER + ',1,1,k,1\n  ,1,1,k,1\n"a\nb",1,1,k,1\n')
    assert [(r.line, r.reason) for r in result.rejects] == [
        (2, "blank"),
        (3, "blank"),
        (4, "a line break in it: is a quote not closed?"),
    ]


def test_dates_are_read_and_checked(read_text):
    contract = Columns(id="id", as_of="day", target="left", positive="1", negative="0", numeric=("x",))
    result, frame = read_text(
        "id,day,x,left\na,2026-01-31,1,1\nb, 2026-02-28 ,1,1\nc,2026-02-30,1,1\nd,31.1.2026,1,1\ne,,1,1\n", contract
    )
    assert frame["day"].dt.strftime("%Y-%m-%d").tolist() == ["2026-01-31", "2026-02-28"]
    assert lines(result) == [(4, "day"), (5, "day"), (6, "day")]


def test_the_order_of_columns_bom_crlf_and_extra_columns_do_not_matter(read_text):
    plain, wanted = read_text(HEADER + "a,1,2,k,1\nb,3,4,m,0\n")
    result, frame = read_text("\ufeffleft,note,kind,n,x,id\r\n1,q,k,2,1,a\r\n0,,m,4,3,b\r\n".encode())
    assert frame.equals(wanted)
    assert plain.extra == () and result.extra == ("note",)


def test_header_names_that_differ_in_case_are_two_columns(read_text):
    _, frame = read_text("ID,id,x,n,kind,left\nA,a,1,2,k,1\n")
    assert frame["id"].tolist() == ["a"]


def test_without_labels_target_and_date_may_be_absent_and_labels_may_be_unknown(read_text):
    contract = Columns(id="id", as_of="day", target="left", positive="1", negative="0", numeric=("x",))
    for text in ("id,x\na,1\n", "id,x,left\na,1,\n", "id,x,left\na,1,perhaps\n"):
        result, frame = read_text(text, contract, labelled=False)
        assert result.accepted == 1 and frame["left"].isna().all() and frame["day"].isna().all()
    with pytest.raises(DropError, match="no column 'left'"):
        read_text("id,day,x\na,2026-01-01,1\n", contract)


# ---- lines -----------------------------------------------------------------------------------------------------------


def test_lines_are_right_after_blank_lines_parser_errors_and_line_breaks_in_quotes(read_text):
    contract = Columns(id="id", target="left", positive="1", negative="0", numeric=("x",))
    text = (
        'id,"a\nnote",x,left\n'  # lines 1 and 2
        "a,,1,1\n"
        "\n"
        'b,"two\nlines",bad,1\n'  # lines 5 and 6
        "c,,1\n"  # 7: too few
        "\n\n"
        "d,,bad,0\n"  # 10
        'e,"three\n\nlines",1,1\n'  # 11 to 13
        "f,,1,1,1,1\n"  # 14: too many
        "g,,1,9\n"  # 15
    )
    for ends in ("\n", "\r\n"):
        result, frame = read_text(text.replace("\n", ends), contract)
        assert lines(result) == [(5, "x"), (7, None), (10, "x"), (14, None), (15, "left")]
        assert (result.rows, result.accepted) == (7, 2)
        assert frame["id"].tolist() == ["a", "e"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_lines_are_right_where_every_record_is_one_line(read_text, ends):
    text = HEADER + "a,1,1,k,1\nb,1\nc,?,1,k,1\nd\ne\nf,1,1,k,7\ng,1,1,k,1\n,1,1,k,1"
    result, frame = read_text(text.replace("\n", ends))
    assert lines(result) == [(3, None), (4, "x"), (5, None), (6, None), (7, "left"), (9, "id")]
    assert frame["id"].tolist() == ["a", "g"]


def test_only_the_first_rejects_are_listed_and_all_are_counted(read_text):
    result, _ = read_text(HEADER + "a,?,1,k,1\n" * 1500 + "a\n" * 700)
    assert (result.rows, result.rejected, len(result.rejects)) == (2200, 2200, reading.KEPT)
    assert result.rejects[-1].line == 1001


RECORDS = st.lists(
    st.sampled_from(
        (
            "a,1,2,k,1",
            "b,?,2,k,1",
            "c,1",
            "d,1,2,k,1,5",
            "",
            '"e,\n""x""",1,2,k,1',
            'f,1,2,"k\n\nl",9',
            "g,1,2,k,",
            '" h",1,2,k,0',
        )
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_record_is_accepted_or_rejected_on_its_own_line(read_text, records, ends, last_ends):
    line, wanted, good = 2, [], 0
    for record in records:
        if record:
            good += record[0] == "a" or record.startswith('" h')
            if not (record[0] == "a" or record.startswith('" h')):
                wanted.append(line)
        line += 1 + record.count("\n")
    text = HEADER + "".join(record + "\n" for record in records)
    text = (text if last_ends else text[:-1]).replace("\n", ends)
    result, _ = read_text(text)
    assert [reject.line for reject in result.rejects] == wanted
    assert result.accepted == good and result.rows == good + len(wanted)


# ---- the same answer as columns.number and columns.category ----------------------------------------------------------

WRITTEN = r"\A[ \t]?[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]+)([eE][+-]?[0-9]{1,3})?[ \t]?\Z"
NUMBERISH = st.one_of(
    st.text("0123456789+-.eE_ \txXinfNa,\n\r\v\u0661", max_size=8),
    st.from_regex(WRITTEN),
    st.integers(-(2**54), 2**54).map(str),
    st.floats().map(repr),
)
CATEGORIES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


def by_python(function, cell, *arguments, **options):
    """What the function makes of a cell; None where it refuses it."""
    try:
        return function(cell, *arguments, **options)
    except DataError:
        return None


def same(one, other):
    if one is None or other is None:
        return one is other
    return (math.isnan(one) and math.isnan(other)) or one == other


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NUMBERISH, min_size=1, max_size=40))
def test_sql_reads_numbers_exactly_as_python_does(connection, tmp_path, cells):
    path = tmp_path / "numbers.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerow(["id", "x", "n", "left"])
        table.writerows([f"x{i}", cell, "1", "1"] for i, cell in enumerate(cells))
        table.writerows([f"n{i}", "1", cell, "1"] for i, cell in enumerate(cells))
    contract = Columns(id="id", target="left", positive="1", negative="0", numeric=("x",), integer=("n",))
    _, frame = read(connection, path, contract, max_rejected=1.0)
    found = frame.set_index("id")
    for i, cell in enumerate(cells):
        for column, whole in (("x", False), ("n", True)):
            key = f"{column}{i}"
            ours = float(found.loc[key, column]) if key in found.index else None
            assert same(ours, by_python(columns.number, cell, column, whole=whole)), (cell, column)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CATEGORIES | st.sampled_from(["", " ", "\t "]), max_size=20))
def test_sql_reads_categories_exactly_as_python_does(connection, tmp_path, cells):
    path = tmp_path / "categories.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerow(["kind", "left"])
        table.writerows([cell, "1"] for cell in cells)
    contract = Columns(target="left", positive="1", negative="0", categorical=("kind",))
    result, frame = read(connection, path, contract)
    assert result.accepted == len(cells)
    assert [None if isinstance(kind, float) else kind for kind in frame["kind"]] == [
        columns.category(cell, "kind") for cell in cells
    ]


# ---- files refused as a whole ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"", None, "empty"),
        (b"\xef\xbb\xbf \n", None, "empty"),
        (b"\x1f\x8b\x08\x00abc", None, "gzip"),
        (b"PK\x03\x04abc", None, "Excel"),
        (b"PAR1abc", None, "Parquet"),
        ((HEADER + "a,1,1,k,1\n").encode("utf-16"), None, "UTF-16"),
        ((HEADER + "a,1,1,k,1\n").encode("utf-16-le"), 1, "NUL"),
        (b"<!DOCTYPE html><p>404", 1, "HTML"),
        ((HEADER + "a,1,1,k,1\nb,1,\0,k,1\n").encode(), 3, "NUL"),
        ((HEADER + "a,1,1,k,1\nb,1,1,caf\xe9,1\n").encode("latin-1"), 3, "UTF-8"),
        ((HEADER + "a,1,1,k,1\nb,1,1,k,1\xe2").encode("latin-1"), 3, "UTF-8"),
        ((HEADER + "a,1,1,k,1\n").replace("\n", "\r").encode(), None, "carriage return"),
        ((HEADER + "a,1,1,k,1\r\nb,1,1,k,1\n").encode(), 2, "several ways"),
        ((HEADER + "a,1,1,k,1\nb,1,1,k\r,1\n").encode(), 3, "several ways"),
        (HEADER.replace(",", ";").encode(), 1, "semicolons"),
        (HEADER.replace(",", "\t").encode(), 1, "tabs"),
        (b"id,x,n,left\na,1,1,1\n", 1, "no column 'kind'"),
        (b"Id,X,n,kind,left\n", 1, "'id' (but 'Id'); the header has no column 'x' (but 'X')"),
        (b"id,x,n,kind,left,n\na,1,1,k,1,1\n", 1, "'n' twice"),
        (b",id,x,n,kind,left\n0,a,1,1,k,1\n", 1, "column 1 of the header has no name"),
        (b"\n" + HEADER.encode() + b"a,1,1,k,1\n", 1, "no header"),
        (b"a,1,1,k,1\nb,1,1,k,1\n", 1, "no header of this product: it has none of 'id', 'x'"),
        (b'"id,x,n,kind,left\na,1,1,k,1\n', 1, ""),
        ((HEADER + 'a,1,1,k,1\n"b,1,1,k,1\nc,1,1,k,1\n').encode(), 3, "a quote is not closed"),
        ((HEADER + 'a,1,1,k,1\nb,1,1,k,"1').encode(), 3, "a quote is not closed"),
        ((HEADER + 'a,1,1,k,1\n"b,1,1,k,1\nc"x,1,1,k,1\nd,1,1,k,1\n').encode(), 3, "a quote is not closed"),
    ],
)
def test_a_file_that_is_no_usable_csv_is_refused_with_its_reason(read_text, text, line, reason):
    with pytest.raises(DropError) as caught:
        read_text(text)
    assert reason in caught.value.reason
    assert caught.value.line == line


def test_a_quote_that_swallows_the_rest_of_a_large_file_is_found_at_its_line(read_text):
    rows = ["a,1,1,k,1\n"] * 500_000
    rows[300_000] = '"a,1,1,k,1\n'
    with pytest.raises(DropError, match="not closed") as caught:
        read_text(HEADER + "".join(rows))
    assert caught.value.line == 300_002


def test_a_header_alone_is_no_error(read_text):
    for text in (HEADER, HEADER[:-1], HEADER + "\n\n"):
        result, frame = read_text(text)
        assert (result.rows, len(frame)) == (0, 0)


def test_too_many_rejected_rows_refuse_the_file_and_are_listed(connection, read_text):
    good, bad = "a,1,1,k,1\n", "b,?,1,k,1\n"
    assert read_text(HEADER + good * 9 + bad, max_rejected=0.1)[0].rejected == 1
    with pytest.raises(reading.TooManyRejectedError) as caught:
        read_text(HEADER + good * 8 + bad, max_rejected=0.1)
    assert caught.value.line == 10
    assert "1 of 9 rows do not fit" in caught.value.reason and "x: not a number" in caught.value.reason
    assert lines(caught.value.reading) == [(10, "x")]


def test_a_large_file_of_garbage_costs_a_few_looks(read_text):
    with pytest.raises(DropError, match="most of its lines") as caught:
        read_text(HEADER + "no commas in here\n" * 300_000, max_rejected=0.1)
    assert caught.value.line == 2
    text = HEADER + "no commas in here\n" * 300 + "a,1,1,k,1\n" * 500_000
    assert read_text(text, max_rejected=0.1)[0].rejected == 300


def test_a_file_that_changes_while_it_is_read_is_left_alone(connection, tmp_path):
    path = tmp_path / "drop.csv"
    path.write_text(HEADER + "a,1,1,k,1\n")
    with examined(path) as found, path.open("a") as file:
        file.write("b,1,1,")
        file.flush()
        with pytest.raises(ChangingError):
            reading.read(connection, found, CONTRACT, "incoming")


def test_column_names_that_sql_cannot_tell_apart_are_refused(read_text):
    for names in (("age", "Age"), ("row_hash",)):
        contract = Columns(target="left", positive="1", negative="0", numeric=names)
        with pytest.raises(ConfigError, match="rename"):
            read_text("left\n1\n", contract)


def test_names_and_labels_may_hold_anything(read_text):
    contract = Columns(
        id="it's",
        target='"left"',
        positive="don't",
        negative="it's",
        numeric=("Call  Failure", "ü,x"),
        categorical=("%s",),
    )
    _, frame = read_text('it\'s,"""left""",Call  Failure,"ü,x",%s\na,don\'t,1,2,z\n', contract)
    assert frame.iloc[0].tolist() == ["a", 1, 2, "z", "don't"]


def test_long_texts_are_read_and_longer_records_rejected(read_text):
    long = "x" * 500_000
    _, frame = read_text(HEADER + f'a,1,1,"{long}",1\n')
    assert frame["kind"].iloc[0] == long
    result, _ = read_text(HEADER + f'a,1,1,"{long * 5}",1\nb,1,1,k,1\n')
    assert lines(result) == [(2, None)] and "longer" in result.rejects[0].reason


def test_reading_leaves_the_limit_of_other_readers_as_it_was(read_text):
    before = csv.field_size_limit(100_000)  # one for the whole process
    try:
        result, _ = read_text(HEADER + f'a,1,1,"{"x" * 200_000}",1\n\nb,?,1,k,1\n')  # the blank line: it is walked
        assert (lines(result), csv.field_size_limit()) == ([(4, "x")], 100_000)
    finally:
        csv.field_size_limit(before)


def test_real_files_read_whole(connection, shared_data):
    telco = Columns(
        id="customerID",
        target="Churn",
        positive="Yes",
        negative="No",
        numeric=("MonthlyCharges", "TotalCharges"),
        integer=("tenure", "SeniorCitizen"),
        categorical=("Contract", "MultipleLines"),
    )
    result, frame = read(connection, shared_data / "telco" / "telco_churn_7043.csv", telco)
    assert (result.rows, result.rejected, len(result.extra)) == (7043, 0, 13)
    assert frame["TotalCharges"].isna().sum() == 11 and frame["TotalCharges"].sum() == pytest.approx(16056168.7)
    assert (frame["Churn"] == "Yes").sum() == 1869
    iranian = Columns(
        target="Churn", positive="1", negative="0", numeric=("Customer Value",), integer=("Call  Failure",)
    )
    for path in sorted((shared_data / "iranian").glob("customer_churn_[012].csv")):
        assert read(connection, path, iranian)[0].accepted == 1050
