"""What is counted and told to Prometheus, without anything that a client sent; across workers see test_serving."""

import json
import time
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

import app as app_module
import deployment
from churn import decisions, releases, stage
from churn.web.serving.counters import Counters
from tests.conftest import make_product
from tests.serving_site import make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = make_site(tmp_path_factory.mktemp("made"), months=[1])
    deployment.deploy(made.product)
    return made


def samples(text):
    """Each sample's value by its name and labels."""
    families = text_string_to_metric_families(text)
    return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


def value(found, name, **labels):
    return found.get((name, *sorted(labels.items())))


def test_requests_are_counted_by_route_method_and_status_and_nothing_that_a_client_sent(product):
    client = app_module.create_app(product.config_path).test_client()
    client.get("/healthz")
    client.get("/healthz?SECRET=1")
    client.get("/SECRET")
    client.open("/healthz", method="SECRET")
    client.get("/clients/SECRET")
    client.get("/healthz", headers={"Host": "SECRET"})
    answer = client.get("/metrics")
    assert answer.mimetype == "text/plain"
    assert "SECRET" not in answer.text
    found = samples(answer.text)
    assert value(found, "churn_http_requests_total", route="/healthz", method="GET", status="200") == 2
    assert value(found, "churn_http_requests_total", route="none", method="GET", status="404") == 1
    assert value(found, "churn_http_requests_total", route="none", method="other", status="405") == 1
    assert value(found, "churn_http_request_seconds_count", route="/healthz") == 2
    routes = {dict(key[1:]).get("route") for key in found if key[0] == "churn_http_requests_total"}
    assert routes == {"/healthz", "none", "/clients/<path:client>"}


def test_predictions_are_counted_by_product_version_and_tenth_of_risk():
    counted = Counters()
    counted.predicted("corporate", "1", [0.0, 0.09, 0.1, 0.55, 0.99, 1.0])
    counted.predicted("corporate", "2", [0.55])
    counted.predicted("corporate", "2", [])
    found = samples(counted.text().decode())
    assert value(found, "churn_predictions_total", product="corporate", version="1") == 6
    assert value(found, "churn_predictions_total", product="corporate", version="2") == 1
    deciles = {
        dict(key[1:])["decile"]: count for key, count in found.items() if key[0] == "churn_prediction_risk_total"
    }
    assert len(deciles) == 10
    assert {name: count for name, count in deciles.items() if count} == {
        **{"0.0-0.1": 2, "0.1-0.2": 1},
        **{"0.5-0.6": 2, "0.9-1.0": 2},
    }


def test_a_request_costs_next_to_nothing_to_count():
    counted = Counters()
    began = time.process_time()
    for _ in range(5000):
        counted.answered("/prediction", "POST", 200, 0.001)
        counted.predicted("corporate", "1", [0.3])
    assert (time.process_time() - began) / 5000 < 50e-6  # some 5 microseconds where nothing else runs


def test_what_the_files_say_is_told_as_it_is_at_that_moment(site):
    product = site.product
    runs = product.logs / "runs.jsonl"
    runs.parent.mkdir(parents=True, exist_ok=True)
    at = datetime.fromtimestamp(time.time() - 100, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tick = json.dumps({"at": at, "script": "fullprocess", "outcome": "fixable", "seconds": 1, "text": "x"})
    other = json.dumps({"at": at, "script": "scoring", "outcome": "done", "seconds": 1, "text": "x"})
    runs.write_text(f"{tick}\n{other}\n{{torn")
    decisions.write_judgement(product, {"champion": "x", "drops": [1], "verdict": "drifted"})
    found = samples(app_module.create_app(product.config_path).test_client().get("/metrics").text)
    assert 99 < value(found, "churn_last_tick_age_seconds", product="corporate") < 130
    outcomes = {
        name: value(found, "churn_last_tick_outcome", product="corporate", outcome=name)
        for name in stage.OUTCOMES.values()
    }
    assert outcomes == dict.fromkeys(stage.OUTCOMES.values(), 0) | {"fixable": 1}
    assert value(found, "churn_drift", product="corporate") == 2
    version = releases.current_version(product)
    assert value(found, "churn_release_info", product="corporate", version=version) == 1
    assert value(found, "churn_rows_waiting", product="corporate") == 0
    assert value(found, "churn_files_quarantined", product="corporate") == 0


def test_what_the_files_do_not_say_is_left_out(tmp_path):
    product = make_product(tmp_path)
    found = samples(app_module.create_app(product.config_path).test_client().get("/metrics").text)
    told = {key[0] for key in found if not key[0].startswith("churn_http")}
    assert told == {"churn_rows_waiting", "churn_files_quarantined"}
