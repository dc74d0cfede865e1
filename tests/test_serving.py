"""The release in production: picked up without a restart, never mixed, and files opened only inside data folders."""

import concurrent.futures
import logging
import os
import shutil
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import app as app_module
import deployment
from churn import estimators, releases
from churn.web import datafiles, production
from tests.serving_site import ROWS, VERSION, besiege, client, copy_site, gunicorn, make_site, session


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made, tmp_path):
    return copy_site(made, tmp_path / "site")


@pytest.fixture(scope="module")
def besieged(made, tmp_path_factory):
    site = copy_site(made, tmp_path_factory.mktemp("besieged") / "site")
    site.outside = besiege(site)
    return site


def test_a_version_that_cannot_be_verified_leaves_the_old_one_serving(site, caplog):
    old, new = site.versions
    deployment.deploy(site.product, old)
    test_client = client(site)
    assert test_client.get("/health").json["status"] == "ok"
    deployment.deploy(site.product, new)
    model = site.product.production / new / releases.MODEL
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    for _ in range(5):
        answer = test_client.post("/prediction", json={"rows": ROWS})
        assert (answer.status_code, answer.headers[VERSION]) == (200, old)
        assert [one["risk"] for one in answer.json["predictions"]] == site.risks[old]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    health = test_client.get("/health")
    assert (health.status_code, health.json["status"]) == (200, "degraded")
    assert f"{old} goes on serving" in health.json["products"]["corporate"]["problem"]
    assert str(site.home) not in health.text
    deployment.deploy(site.product, rollback=True)
    assert test_client.get("/health").json["status"] == "ok"


def test_without_an_old_one_it_is_503_and_is_tried_again_later(site, monkeypatch):
    deployment.deploy(site.product)
    model = site.product.production / site.versions[-1] / releases.MODEL
    content = model.read_bytes()
    model.write_bytes(b"")
    test_client = client(site)
    answers = [test_client.get("/scoring"), test_client.get("/health")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "python deployment.py --product corporate --rollback" in answers[0].json["error"]["message"]
    model.write_bytes(content)
    monkeypatch.setattr(production.time, "monotonic", lambda now=time.monotonic: now() + production.RETRY_SECONDS)
    assert test_client.get("/scoring").status_code == 200


def test_a_release_replaced_and_pruned_while_it_loads_is_looked_for_again(site, monkeypatch):
    old, new = site.versions
    deployment.deploy(site.product, old)
    load, asked = releases.load, []

    def pruned_meanwhile(folder):
        asked.append(folder.name)
        if len(asked) == 1:
            deployment.deploy(site.product, new)
            shutil.rmtree(folder)
        return load(folder)

    monkeypatch.setattr(releases, "load", pruned_meanwhile)
    answer = client(site).get("/scoring")
    assert (answer.status_code, answer.headers[VERSION], asked) == (200, new, [old, new])


def test_the_old_release_serves_while_the_new_one_loads(site, monkeypatch):
    old, new = site.versions
    deployment.deploy(site.product, old)
    app = app_module.create_app(site.product.config_path)
    assert app.test_client().get("/scoring").headers[VERSION] == old
    load, started, go_on = releases.load, threading.Event(), threading.Event()

    def slowly(folder):
        started.set()
        assert go_on.wait(10)
        return load(folder)

    monkeypatch.setattr(releases, "load", slowly)
    deployment.deploy(site.product, new)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: app.test_client().get("/scoring").headers[VERSION])
        assert started.wait(10)
        meanwhile = [app.test_client().get("/scoring").headers[VERSION] for _ in range(3)]
        go_on.set()
        assert (meanwhile, first.result(10)) == ([old] * 3, new)


def test_a_version_made_anew_under_the_same_name_is_noticed(site):
    old, new = site.versions
    deployment.deploy(site.product, old)
    test_client = client(site)
    test_client.get("/scoring")
    folder = site.product.production / old
    shutil.rmtree(folder)
    shutil.copytree(site.product.models / new, folder)
    answer = test_client.post("/prediction", json={"rows": ROWS})
    assert [one["risk"] for one in answer.json["predictions"]] == site.risks[new]


def test_lightgbm_serves_on_one_thread_what_it_gives_elsewhere(tmp_path):
    site = make_site(tmp_path, months=[1], model="lightgbm", threads=2)
    deployment.deploy(site.product)
    release = production.Production(site.product).release()
    assert release.model.named_steps["estimator"].estimator_.n_jobs == 1
    assert estimators.risks_of_rows(release.model, ROWS, release.columns).tolist() == site.risks[release.version]


def ask(url, times):
    """Predictions one after the other; status, version named, and what was said, of each."""
    with session() as http:
        answers = [http.post(f"{url}/prediction", json={"rows": ROWS}, timeout=20) for _ in range(times)]
    return [(answer.status_code, answer.headers.get(VERSION), answer.json()) for answer in answers]


def ask_before_any_model(url):
    asks = [("POST", "/prediction", {"rows": ROWS}), ("GET", "/scoring", None), ("GET", "/summarystats", None)]
    asks += [("GET", "/diagnostics", None), ("GET", "/health", None)]
    with session() as http:
        for method, path, body in asks:
            answer = http.request(method, url + path, json=body, timeout=20)
            assert answer.status_code == 503, path
            assert "python fullprocess.py" in answer.text
        assert http.get(url, timeout=20).status_code == 200


def test_from_no_model_through_deploys_during_2000_requests_without_a_restart(site):
    """No request fails, and each answer is wholly of the release that it names."""
    with gunicorn(site.product) as url, concurrent.futures.ThreadPoolExecutor(4) as pool:
        ask_before_any_model(url)
        for version in site.versions:
            deployment.deploy(site.product, version)
            assert {named for _, named, _ in ask(url, 6)} == {version}
        asked = [pool.submit(ask, url, 500) for _ in range(4)]
        deploys = 0
        while not all(future.done() for future in asked):
            deployment.deploy(site.product, site.versions[deploys % 2])
            deploys += 1
            time.sleep(0.1)
        answers = [answer for future in asked for answer in future.result()]
    assert len(answers) == 2000
    assert deploys >= 3
    assert {named for _, named, _ in answers} == set(site.versions)
    for status, named, said in answers:
        assert (status, said["model_version"]) == (200, named)
        assert [one["risk"] for one in said["predictions"]] == site.risks[named]
    assert "serving" in (site.home / "logs" / "app.txt").read_text()


parts = st.sampled_from(
    ["", ".", "..", "~", "testdata", "sourcedata", "corporate", "other", "linked", ".git", "folder.csv", "outside"]
    + ["clients.csv", "secret.csv", "private.csv", "link.csv", "inner.csv", "pipe.csv", "config.json", "a\0.csv"]
)


@given(path=st.lists(parts, min_size=1, max_size=6).map("/".join))
def test_whatever_path_is_sent_opens_a_plain_file_inside_or_nothing(besieged, path):
    descriptor = datafiles.open_data(besieged.product, path)
    if descriptor is None:
        return
    try:
        opened = os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    assert opened == str(besieged.product.test / "clients.csv")
    assert path in ("clients.csv", "testdata/corporate/clients.csv")
