"""POST /prediction takes JSON, forms and CSV files, answers JSON or CSV, and all of them say the same."""

import csv
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import deployment
from churn import estimators, releases
from churn.web.api import asking, predictions, uploads
from churn.web.serving.scorer import FEW, Scorer
from demo import fabricate
from tests import hostile
from tests.serving_site import ROWS, client, make_site

HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = make_site(tmp_path_factory.mktemp("made"), months=(1,))
    deployment.deploy(made.product)
    return made


@pytest.fixture(scope="module")
def app_client(site):
    return client(site)


@pytest.fixture(scope="module")
def world():
    """Many clients, as a table."""
    return fabricate.world(2500, 9, 11, fabricate.Drift(), 5000)


def message(answer):
    return answer.json["error"]["message"]


def as_csv(frame):
    return frame.drop(columns="exited").to_csv(index=False).encode()


def upload(http, content):
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../clients.csv"\r\n\r\n'
    body = head + content + b"\r\n--x--\r\n"
    return http.post("/prediction", data=body, content_type="multipart/form-data; boundary=x")


@pytest.mark.parametrize("model", ["logistic", "lightgbm"])
def test_every_way_in_gives_the_risks_that_the_batch_gives(site, app_client, world, model, tmp_path):
    if model == "lightgbm":
        site = make_site(tmp_path, months=(1,), model=model)
        deployment.deploy(site.product)
        app_client = client(site)
    release = releases.load(releases.current(site.product))
    batch = estimators.risks(release.model, world).tolist()
    (site.product.test / "world.csv").write_bytes(as_csv(world))
    rows = json.loads(world.to_json(orient="records"))
    answers = {
        "rows": app_client.post("/prediction", json={"rows": rows}),
        "path": app_client.post("/prediction", json={"dataset_path": "world.csv"}),
        "form": app_client.post("/prediction", data={"dataset_path": "world.csv"}),
        "csv": app_client.post("/prediction", data=as_csv(world), content_type="text/csv; charset=utf-8"),
        "upload": upload(app_client, as_csv(world)),
    }
    for answer in answers.values():
        said = answer.get_json()
        assert (answer.status_code, said["rows"], said["model_version"]) == (200, len(world), release.version)
        assert [one["risk"] for one in said["predictions"]] == pytest.approx(batch, abs=1e-9)
        assert [one["leaves"] for one in said["predictions"]] == [risk >= release.threshold for risk in batch]
        assert [one["id"] for one in said["predictions"]] == world["corporation"].tolist()
    one_by_one = [app_client.post("/prediction", json={"rows": [row]}).json["predictions"][0] for row in rows[:50]]
    assert one_by_one == answers["rows"].get_json()["predictions"][:50]


def test_a_form_with_the_fields_of_a_row_is_that_row(app_client):
    for row in ROWS[:2]:
        fields = {name: "" if value is None else str(value) for name, value in row.items()}
        by_form = app_client.post("/prediction", data=fields).json
        assert by_form == app_client.post("/prediction", json={"rows": [row]}).json


def test_a_table_has_the_same_numbers_and_no_formulas(app_client):
    rows = [ROWS[0] | {"corporation": name} for name in ("=1+1", "@SUM(1)", 'a"b,c', "-5", "plain", None)]
    table = app_client.post("/prediction?format=csv", json={"rows": rows})
    said = app_client.post("/prediction?format=json", json={"rows": rows}).json["predictions"]
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.headers["Content-Disposition"] == 'attachment; filename="risks-corporate.csv"'
    found = list(csv.DictReader(io.StringIO(table.text)))
    assert [one["id"] for one in found] == ["'=1+1", "'@SUM(1)", 'a"b,c', "'-5", "plain", ""]
    assert [float(one["risk"]) for one in found] == [one["risk"] for one in said]
    assert [one["leaves"] for one in found] == [str(one["leaves"]).lower() for one in said]
    assert table.headers["X-Model-Version"]


@pytest.mark.parametrize("count", [0, 1, predictions.AT_ONCE, predictions.AT_ONCE + 1, 2 * predictions.AT_ONCE + 3])
def test_long_answers_stream_and_have_the_form_of_short_ones(app_client, count):
    answer = app_client.post("/prediction", json={"rows": [ROWS[0]] * count})
    assert ("Content-Length" not in answer.headers) == (count > predictions.AT_ONCE)
    said = json.loads(answer.text)
    assert list(said) == ["product", "model_version", "rows", "threshold", "predictions"]
    assert said["rows"] == len(said["predictions"]) == count
    assert answer.text.endswith("]}\n")


LONG, LARGE = " " * asking.LONG, " " * asking.LARGE


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (HEADER + "abcd,1,2,3\n", "text/csv"),
        (json.dumps({"rows": [ROWS[0]]}) + LONG, asking.JSON),
        (json.dumps({"rows": [ROWS[0]]}) + LARGE, asking.JSON),
        (json.dumps({"dataset_path": fabricate.file_name("corporate", 9)}) + LARGE, asking.JSON),
    ],
    ids=["file", "long rows", "large rows", "path"],
)
def test_of_files_and_long_bodies_a_worker_has_one_at_a_time_in_its_hands(app_client, monkeypatch, content, kind):
    at_once, most = [], []

    def slowly(risks):
        def slow(*given):
            at_once.append(1)
            most.append(len(at_once))
            time.sleep(0.05)
            at_once.pop()
            return risks(*given)

        return slow

    monkeypatch.setattr(estimators, "risks", slowly(estimators.risks))
    monkeypatch.setattr(Scorer, "risks", slowly(Scorer.risks))
    monkeypatch.setattr(Scorer, "read", slowly(Scorer.read))

    def ask(_):
        http = app_client.application.test_client()
        return http.post("/prediction", data=content, content_type=kind).status_code

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == [200] * 4
    assert len(most) >= 4  # a path is looked for as rows first
    assert max(most) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"lastmonth_activity": ', '"lastmonth_activity": "many", "": '),
        ('"lastmonth_activity": ', '"lastmonth_activity": 1, "lastmonth_activity": '),
        ('"lastmonth_activity": ', '"lastmonth_activity": 1.5, "": '),
        ('"lastmonth_activity": ', '"lastmonth_activity": NaN, "": '),
        ('"lastmonth_activity"', '"last month"'),
        ('"corporation": ', '"corporation": true, "": '),
        ('"corporation": ', '"corporation": [1], "": '),
        ('{"rows": ', '{"rows": [], "rows": '),
        ('{"rows": ', '{"else": 1, "rows": '),
        ("]}", "]"),
    ],
)
def test_what_is_wrong_with_many_rows_is_told_as_of_few(app_client, old, new):
    answers = []
    for count in (FEW, 500):
        content = json.dumps({"rows": [ROWS[0] | {"corporation": "a"}] * count})
        head, found, tail = content.rpartition(old) if old == "]}" else content.partition(old)
        assert found
        answers.append(app_client.post("/prediction", data=head + new + tail, content_type=asking.JSON))
    few, many = answers
    assert few.status_code in {400, 422}
    assert many.status_code == few.status_code
    assert message(many).partition("column")[0] == message(few).partition("column")[0]


def test_a_file_in_which_a_row_does_not_fit_is_refused_with_its_line(app_client):
    content = (HEADER + "abcd,1,2,3\nefgh,1,x,3\n").encode()
    for answer in (app_client.post("/prediction", data=content, content_type="text/csv"), upload(app_client, content)):
        assert answer.status_code == 422
        assert "the upload, line 3: " in message(answer)
        assert "lastyear_activity" in message(answer)


BAD_FORMS = {
    "a field twice": ("lastmonth_activity=1&lastmonth_activity=2", 422, "lastmonth_activity: stands there 2 times"),
    "path twice": ("dataset_path=a.csv&dataset_path=b.csv", 422, "dataset_path: stands there 2 times"),
    "path and a row": ("dataset_path=a.csv&lastmonth_activity=1", 422, "either dataset_path or"),
    "nothing": ("", 422, "row 1: missing"),
    "half a row": ("lastmonth_activity=1", 422, "row 1: missing: lastyear_activity"),
    "text for a number": ("lastmonth_activity=1&lastyear_activity=x&number_of_employees=1", 422, "row 1: lastyear_act"),
    "path outside": ("dataset_path=../private.csv", 404, "no such CSV file"),
    "the older name": ("filepath=clients.csv", 422, "row 1: missing"),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_form_that_does_not_fit_is_refused(app_client, name):
    body, status, said = BAD_FORMS[name]
    answer = app_client.post("/prediction", data=body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, said in message(answer)) == (status, True), message(answer)


def test_an_upload_is_one_file_in_its_field_and_nothing_else(app_client):
    good = (HEADER + "abcd,1,2,3\n").encode()
    forms = [
        {},
        {"file": "text, not a file"},
        {"data": (io.BytesIO(good), "a.csv")},
        {"file": [(io.BytesIO(good), "a.csv"), (io.BytesIO(good), "b.csv")]},
        {"file": (io.BytesIO(good), "a.csv"), "dataset_path": "a.csv"},
    ]
    for form in forms:
        answer = app_client.post("/prediction", data=form, content_type="multipart/form-data")
        assert (answer.status_code, "send one CSV file in the field 'file'" in message(answer)) == (422, True)


def test_files_may_be_larger_than_json_and_have_a_bound_of_their_own(site, app_client):
    line = b"abcd,1,2,3\n"
    large = HEADER.encode() + line * (9 * 2**20 // len(line))
    assert app_client.post("/prediction", data=large, content_type="text/csv").status_code == 200
    assert app_client.post("/prediction", data=large, content_type="application/json").status_code == 413
    huge = b"a" * (uploads.MAX_FILE + 1)
    assert app_client.post("/prediction", data=huge, content_type="text/csv").status_code == 413
    assert upload(app_client, huge).status_code == 413
    assert "at most 8 MB of JSON, 16 MB of CSV or 0.5 MB" in upload(app_client, huge).json["error"]["message"]
    form = b"dataset_path=" + b"a" * 9 * 2**20
    answer = app_client.post("/prediction", data=form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "", "application/json+x", "text/csv2"])
def test_other_content_types_are_refused(app_client, kind):
    answer = app_client.post("/prediction", data=b"{}", content_type=kind)
    assert answer.status_code == 415
    assert "application/json" in message(answer)
    assert "text/csv" in message(answer)


@pytest.mark.parametrize("query", ["format=xml", "format=json&format=csv", "fromat=csv", "product=x&product=y"])
def test_a_query_that_does_not_fit_is_refused(app_client, query):
    answer = app_client.post(f"/prediction?{query}", json={"rows": []})
    assert (answer.status_code, message(answer).partition(":")[0]) == (422, query.partition("=")[0])


LOOSE = {
    "a key of a row twice": ('{"rows": [{"a": 1, "a": 2, ROW}]}', 400, "'a' stands twice"),
    "a column twice": ('{"rows": [{"lastmonth_activity": 9, ROW}]}', 400, "'lastmonth_activity' stands twice"),
    "twice, once escaped": ('{"rows": [{"\\u0061": 1, "a": 2, ROW}]}', 400, "'a' stands twice"),
    "rows twice": ('{"rows": [], "rows": [{ROW}]}', 400, "'rows' stands twice"),
    "twice deep inside": ('{"rows": [{"a": [{"b": 1, "b": 2}], ROW}]}', 400, "'b' stands twice"),
    "twice behind colons": ('{"rows": [{"a": "::::", "b": 1, "b": 2, ROW}]}', 400, "'b' stands twice"),
    "path twice": ('{"dataset_path": "../x.csv", "dataset_path": "absent.csv"}', 404, "no such CSV"),
    "NaN where nobody looks": ('{"rows": [{"a": NaN, ROW}]}', 400, "NaN is no number"),
    "infinity where nobody looks": ('{"rows": [{"a": -Infinity, ROW}]}', 400, "-Infinity is no number"),
}


@pytest.mark.parametrize("name", LOOSE)
def test_what_json_does_not_have_is_refused(app_client, name):
    body, status, said = LOOSE[name]
    answer = app_client.post(
        "/prediction", data=body.replace("ROW", json.dumps(hostile.ROW)[1:-1]), content_type="application/json"
    )
    assert (answer.status_code, said in message(answer)) == (status, True), message(answer)


def test_colons_nan_and_infinity_in_text_are_text(app_client):
    rows = [ROWS[0] | {"corporation": "a: NaN", "when": "12:30:00", "Infinity": {"b": [1]}}] * 2
    answer = app_client.post("/prediction", json={"rows": rows})
    assert (answer.status_code, answer.json["predictions"][1]["id"]) == (200, "a: NaN")


def test_predictions_are_counted_by_version_and_risk(site, app_client):
    def counted():
        lines = app_client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("churn_predictions_total{"))

    before = counted()
    app_client.post("/prediction", json={"rows": ROWS})
    app_client.post("/prediction", json={"rows": [{}]})
    assert counted() == before + len(ROWS)
