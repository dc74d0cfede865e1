"""The app answers by its contract, and gives no byte from outside a product's data folders."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import app as app_module
import deployment
import diagnostics
from churn import releases
from churn.errors import ReleaseError
from churn.web.api import predictions
from churn.web.serving import scorer
from demo import fabricate
from tests import hostile
from tests.conftest import CORPORATE
from tests.serving_site import ROWS, VERSION, client, copy_site, make_site


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made, tmp_path):
    return copy_site(made, tmp_path / "site")


@pytest.fixture(scope="module")
def deployed(made, tmp_path_factory):
    """The app of a site that nobody changes."""
    site = copy_site(made, tmp_path_factory.mktemp("deployed") / "site")
    deployment.deploy(site.product)
    return client(site)


def files(folder):
    """Everything below a folder but the logs: path, kind, content, time of change."""
    paths = [path for path in sorted(folder.rglob("*")) if "logs" not in path.relative_to(folder).parts]
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() and not path.is_symlink() else None)
        for path in [folder, *paths]
    }


# ---- what it answers -------------------------------------------------------------------------------------------------


def test_rows_get_the_risks_of_the_model_with_their_ids(site):
    deployment.deploy(site.product)
    answer = client(site).post("/prediction", json={"rows": ROWS})
    version = site.versions[-1]
    assert (answer.status_code, answer.headers[VERSION]) == (200, version)
    said = answer.json
    threshold = releases.load(site.product.models / version).threshold
    assert [said[key] for key in ("product", "model_version", "rows", "threshold")] == [
        "corporate",
        version,
        3,
        threshold,
    ]
    assert [one["risk"] for one in said["predictions"]] == site.risks[version]
    assert [one["leaves"] for one in said["predictions"]] == [risk >= threshold for risk in site.risks[version]]
    assert [one.get("id") for one in said["predictions"]] == ["abcd", "007", None]
    assert client(site).post("/prediction", json={"rows": []}).json["predictions"] == []


@pytest.mark.parametrize("path", ["testdata/corporate/{name}", "{name}", "sourcedata/corporate/{name}"])
def test_a_file_gets_the_risks_that_its_rows_get(site, path):
    deployment.deploy(site.product)
    name = fabricate.file_name("corporate", 9)
    shutil.copyfile(site.product.test / name, site.product.source / name)
    test_client = client(site)
    by_file = test_client.post("/prediction", json={"dataset_path": path.format(name=name)}).json
    frame = fabricate.world(50, 9, 11, fabricate.Drift(), 1000)
    by_rows = test_client.post("/prediction", json={"rows": json.loads(frame.to_json(orient="records"))}).json
    assert by_file["rows"] == 50
    assert by_file["predictions"] == by_rows["predictions"]


def test_a_file_that_breaks_the_contract_is_answered_with_its_line(site):
    deployment.deploy(site.product)
    (site.product.test / "bad.csv").write_text(hostile.HEADER + "abcd,1,2,3,0\nefgh,1,x,3,0\n")
    (site.product.test / "wide.csv").write_bytes(b"a" * (predictions.MAX_FILE + 1))
    answers = [client(site).post("/prediction", json={"dataset_path": name}) for name in ("bad.csv", "wide.csv")]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert "bad.csv, line 3" in answers[0].json["error"]["message"]
    assert "larger than 16 MB" in answers[1].json["error"]["message"]


def test_the_other_endpoints_tell_what_production_and_the_reports_hold(site):
    deployment.deploy(site.product, site.versions[0])
    test_client = client(site)
    told = {path: test_client.get(path) for path in ("/scoring", "/summarystats", "/diagnostics")}
    assert {answer.status_code for answer in told.values()} == {200}
    assert {answer.json["model_version"] for answer in told.values()} == {site.versions[0]}
    manifest = releases.read_manifest(site.product.production / site.versions[0])
    assert told["/scoring"].json["f1"] == manifest["scores"]["f1"]
    assert told["/scoring"].json["scores"] == manifest["scores"]
    assert told["/scoring"].json["trained_at"] == manifest["trained_at"]
    kept = json.loads((site.product.reports / diagnostics.FILE).read_text())
    for path, keys in {
        "/summarystats": ["statistics"],
        "/diagnostics": ["missing_percent", "timings", "packages"],
    }.items():
        assert {key: told[path].json[key] for key in keys} == {key: kept[key] for key in keys}


def test_results_not_made_yet_are_503_with_the_command(site):
    deployment.deploy(site.product)
    (site.product.reports / diagnostics.FILE).unlink()
    for path in ("/summarystats", "/diagnostics"):
        answer = client(site).get(path)
        assert answer.status_code == 503
        assert "python diagnostics.py --product corporate" in answer.json["error"]["message"]


def test_several_products_must_be_told_apart(site):
    raw = json.loads(site.product.config_path.read_text())
    raw["products"]["other"] = CORPORATE
    site.product.config_path.write_text(json.dumps(raw))
    deployment.deploy(site.product)
    test_client = client(site)
    said = {
        query: test_client.get(f"/scoring{query}")
        for query in ("", "?product=corporate", "?product=x", "?product=other")
    }
    assert [answer.status_code for answer in said.values()] == [400, 200, 404, 503]
    assert "corporate, other" in said[""].json["error"]["message"]
    assert "python fullprocess.py" in said["?product=other"].json["error"]["message"]
    assert test_client.get("/readyz").json["status"] == "degraded"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/app.py", 404),
        ("GET", "/prediction", 405),
        ("POST", "/scoring", 405),
        ("PUT", "/prediction", 405),
        ("POST", "/prediction", 415),
    ],
)
def test_errors_are_json_of_one_form(deployed, method, path, status):
    answer = deployed.open(path, method=method, data="rows")
    assert answer.status_code == status
    assert set(answer.json) == {"error"}
    assert answer.json["error"].keys() == {"status", "message", "request_id"}
    assert answer.json["error"]["status"] == status
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_bug_is_a_json_500_without_internals_and_a_traceback_in_the_log(site, monkeypatch, caplog):
    deployment.deploy(site.product)
    monkeypatch.setattr(scorer.Scorer, "risks", lambda *_: 1 / 0)
    answer = client(site).post("/prediction", json={"rows": ROWS})
    assert answer.status_code == 500
    assert "zero" not in answer.text
    assert "ZeroDivisionError" in caplog.text
    assert "abcd" not in caplog.text


def test_nothing_outside_logs_changes_when_everything_is_asked(site):
    deployment.deploy(site.product)
    name = fabricate.file_name("corporate", 9)
    before = files(site.home)
    test_client = client(site)
    for path in ("/", "/readyz", "/scoring", "/summarystats", "/diagnostics", "/nothing"):
        test_client.get(path)
    assert test_client.post("/prediction", json={"dataset_path": name}).status_code == 200
    assert files(site.home) == before


def test_smoke_passes_before_and_after_diagnostics_and_tells_a_release_that_fails(site):
    with pytest.raises(ReleaseError, match="no model is in production"):
        app_module.smoke(site.product)
    deployment.deploy(site.product)
    assert app_module.smoke(site.product) == f"4 endpoints answer with {site.versions[-1]}"
    (site.product.reports / diagnostics.FILE).unlink()
    assert "not made yet" in app_module.smoke(site.product)
    (site.product.production / site.versions[-1] / releases.MODEL).write_bytes(b"")
    with pytest.raises(ReleaseError, match="/prediction: version"):
        app_module.smoke(site.product)


# ---- what is sent at random -----------------------------------------------------------------------------------------


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
row_values = st.fixed_dictionaries({}, optional=dict.fromkeys([*ROWS[0]], json_values))
bodies = st.fixed_dictionaries(
    {}, optional={"rows": json_values | st.lists(row_values, max_size=3), "dataset_path": json_values}
)


@settings(deadline=None)
@given(body=bodies)
def test_whatever_json_is_sent_is_predicted_or_refused(deployed, body):
    answer = deployed.post("/prediction", data=json.dumps(body), content_type="application/json")
    assert answer.status_code in (200, 400, 404, 422)
    if answer.status_code == 200:
        assert len(answer.json["predictions"]) == answer.json["rows"] == len(body["rows"])
        assert all(0 <= one["risk"] <= 1 for one in answer.json["predictions"])
