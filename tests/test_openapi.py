"""Whatever the OpenAPI document allows, and what it forbids, is answered as the document says, and never with a bug.

CHURN_CASES says how many cases of each kind are tried of each operation; with 150 they are 3,000 in all.
"""

import os
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

import app
from churn import stage
from churn.web.api.docs import SAMPLES
from churn.web.guard import tokens
from tests.full_site import ROW, make_full_site

CASES = int(os.environ.get("CHURN_CASES", "10"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
OPERATIONS = [
    "POST /prediction",
    *(f"GET /{name}" for name in ("scoring", "summarystats", "diagnostics", "releases", "drift", "clients")),
    *("GET /clients/{client}", "POST /explain", "POST /outcomes"),
    *(f"GET /{name}" for name in ("openapi.json", "docs", "healthz", "readyz", "metrics")),
]
JSON, FORM, CSV = "application/json", "application/x-www-form-urlencoded", "text/csv"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The app of a product that has everything, and the schema that it serves."""
    site = make_full_site(tmp_path_factory.mktemp("full"))
    token = tokens.make(site.home / tokens.FILE, "tester", tokens.WRITE, stage.utc_now())
    site.headers = {"Authorization": f"Bearer {token}"}
    site.app = app.create_app(site.product.config_path)
    site.schema = schemathesis.openapi.from_wsgi("/openapi.json", site.app, headers=site.headers)
    site.get = lambda path: site.app.test_client().get(path, headers=site.headers)
    site.document = site.get("/openapi.json").json
    site.client = site.get("/clients?limit=1").json["clients"][0]["client"]
    return site


def seeds(site, label):
    """What an operation is asked with so that not everything is refused at the door: (content type, body)."""
    contact = {"client": site.client, "at": "2026-11-20T10:00:00Z", "kind": "called"}
    csv = "corporation,lastmonth_activity,lastyear_activity,number_of_employees\nabcd,1,2,3\n"
    return {
        "POST /prediction": [
            (JSON, {"dataset_path": site.file}),
            (JSON, {"dataset_path": f"testdata/corporate/{site.file}"}),
            (JSON, {"rows": [ROW] * 3}),
            (JSON, {"rows": [ROW] * 1001}),
            (FORM, {"dataset_path": site.file}),
            (FORM, ROW),
            (CSV, csv),
        ],
        "POST /explain": [(JSON, {"rows": [ROW]})],
        "POST /outcomes": [(JSON, {"outcomes": [{"client": site.client, "left": True}], "contacts": [contact]})],
    }.get(label, [])


def tried(served, label, mode):
    """Ask in many ways; the statuses of the answers, each of which is as the document says."""
    method, path = label.split()
    operation = served.schema[path][method]
    statuses = []
    known = seeds(served, label)

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans(), st.booleans(), st.integers(0, 100))
    def ask(case, is_of_product, is_seeded, which):
        if mode is GenerationMode.POSITIVE:
            if is_of_product and "product" in (case.query or {}):
                case.query["product"] = "corporate"
            if is_seeded and known:
                case.media_type, case.body = known[which % len(known)]
            if is_seeded and "client" in (case.path_parameters or {}):
                case.path_parameters["client"] = served.client
        statuses.append(case.call_and_validate(checks=CHECKS, headers=served.headers).status_code)

    ask()
    return statuses


def test_all_operations_are_tried(served):
    documented = {
        f"{method.upper()} {path}" for path, methods in served.document["paths"].items() for method in methods
    }
    assert documented == set(OPERATIONS)


def test_every_view_of_the_api_is_in_the_document(served):
    """What is not: pages, and what a browser needs for them."""
    rules = [rule for rule in served.app.url_map.iter_rules() if not rule.endpoint.startswith(("pages.", "static"))]
    paths = {rule.rule.replace("<path:client>", "{client}") for rule in rules}
    assert paths - {"/login", "/logout", "/theme"} == set(served.document["paths"])


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(served, label):
    statuses = tried(served, label, GenerationMode.POSITIVE)
    assert 200 in statuses
    assert set(statuses) <= {200, 400, 404, 422}


@pytest.mark.parametrize("label", ["POST /prediction", "GET /clients", "GET /drift", "POST /explain", "POST /outcomes"])
def test_what_the_document_forbids_is_refused_as_it_says(served, label):
    statuses = tried(served, label, GenerationMode.NEGATIVE)
    assert set(statuses) <= {200, 400, 401, 404, 413, 415, 422}  # 200: what was forbidden cannot be told on the wire
    assert max(statuses) >= 404


# ---- the document itself, and its page -------------------------------------------------------------------------------


def test_the_document_is_sound_and_made_once(served):
    served.schema.validate()
    made = served.app.extensions["churn.openapi"]
    assert served.get("/openapi.json").json == made
    assert served.app.extensions["churn.openapi"] is made
    assert served.document["openapi"] == "3.1.0"


def test_every_operation_says_what_it_takes_gives_and_needs(served):
    for path, methods in served.document["paths"].items():
        for described in methods.values():
            assert described["summary"].endswith(".")
            assert "200" in described["responses"]
            public = described["x-scope"] == "public"
            assert public == (path in ("/healthz", "/readyz"))
            assert described["security"] == ([] if public else [{"token": []}])
            assert public or {"401", "403"} <= set(described["responses"])
    assert served.document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


def test_a_prediction_is_described_with_every_content_type(served):
    described = served.document["paths"]["/prediction"]["post"]
    kinds = {JSON, FORM, CSV, "multipart/form-data"}
    assert set(described["requestBody"]["content"]) == kinds
    assert set(described["responses"]["200"]["content"]) == {JSON, CSV}
    assert set(described["responses"]) == {"200", "400", "401", "403", "404", "413", "415", "422", "503"}


def test_the_page_shows_every_operation_and_model_and_an_example_and_needs_nothing_from_elsewhere(served):
    page = served.get("/docs")
    assert page.mimetype == "text/html"
    for path, methods in served.document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page.text
            assert f"localhost{path.replace('{client}', 'CLIENT')}" in page.text
    for name in served.document["components"]["schemas"]:
        assert f'id="model-{name}"' in page.text
    assert page.text.count("curl \\\n") == len(OPERATIONS)
    assert page.text.count("-H &#39;Authorization: Bearer TOKEN&#39;") == len(OPERATIONS) - 2
    body = page.text.partition("<body>")[2]
    assert "<style" not in page.text
    assert "<script>" not in page.text
    assert " style=" not in body
    assert " onclick=" not in body
    assert 'src="http' not in page.text


def test_the_examples_on_the_page_are_answered(served):
    http = served.app.test_client()
    for name, sample in SAMPLES.items():
        text = str(sample).replace("CLIENT", served.client)
        assert "VALUE" in text or served.client in text
        answer = http.post(f"/{name}", json=sample, headers=served.headers)
        assert answer.status_code == 422  # the placeholders are nobody's
        assert answer.json["error"]["message"]


def test_the_document_does_not_name_the_machine(served):
    text = served.get("/openapi.json").text
    assert str(Path.home()) not in text
    assert str(served.home) not in text
