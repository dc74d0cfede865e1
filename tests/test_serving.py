"""The release in production: picked up without a restart, never mixed, and files opened only inside data folders."""

import concurrent.futures
import json
import logging
import os
import runpy
import shutil
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import app as app_module
import deployment
from churn import releases
from churn.web.api import datafiles
from churn.web.serving import journal, production
from tests.conftest import HOME
from tests.serving_site import ROWS, VERSION, besiege, client, copy_site, make_site, running, session


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
    assert test_client.get("/readyz").json["status"] == "ready"
    deployment.deploy(site.product, new)
    model = site.product.production / new / releases.MODEL
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    for _ in range(5):
        answer = test_client.post("/prediction", json={"rows": ROWS})
        assert (answer.status_code, answer.headers[VERSION]) == (200, old)
        assert [one["risk"] for one in answer.json["predictions"]] == site.risks[old]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    health = test_client.get("/readyz")
    assert (health.status_code, health.json["status"]) == (200, "degraded")
    assert f"{old} goes on serving" in health.json["products"]["corporate"]["problem"]
    assert str(site.home) not in health.text
    deployment.deploy(site.product, rollback=True)
    assert test_client.get("/readyz").json["status"] == "ready"


def test_without_an_old_one_it_is_503_and_is_tried_again_later(site, monkeypatch):
    deployment.deploy(site.product)
    model = site.product.production / site.versions[-1] / releases.MODEL
    content = model.read_bytes()
    model.write_bytes(b"")
    test_client = client(site)
    answers = [test_client.get("/scoring"), test_client.get("/readyz")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "python deployment.py --product corporate --rollback" in answers[0].json["error"]["message"]
    model.write_bytes(content)
    monkeypatch.setattr(production.time, "monotonic", lambda now=time.monotonic: now() + production.RETRY_SECONDS)
    assert test_client.get("/scoring").status_code == 200


def test_while_production_has_no_link_the_old_release_goes_on_and_that_is_told(site):
    deployment.deploy(site.product)
    app = app_module.create_app(site.product.config_path)
    watched = app.extensions["churn"].products["corporate"].production
    watched.follow()
    watched.watched = True
    (site.product.production / "current").unlink()
    watched.follow()
    assert app.test_client().get("/scoring").headers[VERSION] == site.versions[-1]
    told = app.test_client().get("/readyz").json
    assert told["status"] == "degraded"
    assert "python" in told["products"]["corporate"]["problem"]


def test_what_is_wrong_with_a_release_is_logged_once_however_often_it_is_tried(site, monkeypatch, caplog):
    monkeypatch.setattr(production, "RETRY_SECONDS", 0.0)
    deployment.deploy(site.product)
    (site.product.production / site.versions[-1] / releases.MODEL).write_bytes(b"")
    followed = production.Production(site.product)
    for _ in range(5):
        followed.follow()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_a_new_release_is_ready_to_score_before_any_request_comes(site, monkeypatch):
    deployment.deploy(site.product)
    app = app_module.create_app(site.product.config_path)
    app.extensions["churn"].products["corporate"].production.follow()
    monkeypatch.setattr(production.Scorer, "__init__", lambda *_: 1 / 0)
    answer = app.test_client().post("/prediction", json={"rows": ROWS})
    assert [one["risk"] for one in answer.json["predictions"]] == site.risks[site.versions[-1]]


def test_a_worker_reads_all_of_our_own_code_anew(monkeypatch):
    """Else, after an update and a reload, a part of it would be the master's old one."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    runpy.run_path(str(HOME / "gunicorn.conf.py"))["post_fork"](None, None)
    assert "flask" in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] == "churn"]


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
    assert release.scorer.risks(ROWS) == site.risks[release.version]


def ask(http, url):
    """A prediction: when it was asked for, its status, the version that its header names, and what was said."""
    asked_at = time.monotonic()
    answer = http.post(f"{url}/prediction", json={"rows": ROWS}, timeout=20)
    return SimpleNamespace(
        at=asked_at, status=answer.status_code, named=answer.headers.get(VERSION), said=answer.json()
    )


def keep_asking(url, times, enough):
    """Predictions one after the other, at least so many, until it is enough."""
    with session() as http:
        answers = [ask(http, url) for _ in range(times)]
        while not enough.is_set():
            answers.append(ask(http, url))
    return answers


def wait_for(url, version):
    """How long it takes until ten answers in a row, of whichever worker, name the version."""
    began, in_a_row = time.monotonic(), 0
    while in_a_row < 10 and time.monotonic() < began + 10:
        with session() as http:  # a connection each, so that both workers are asked
            in_a_row = in_a_row + 1 if ask(http, url).named == version else 0
    return time.monotonic() - began


def ask_before_any_model(url):
    asks = [("POST", "/prediction", {"rows": ROWS}), ("GET", "/scoring", None), ("GET", "/summarystats", None)]
    asks += [("GET", "/diagnostics", None), ("GET", "/readyz", None)]
    with session() as http:
        for method, path, body in asks:
            answer = http.request(method, url + path, json=body, timeout=20)
            assert answer.status_code == 503, path
            assert "python fullprocess.py" in answer.text
        assert http.get(f"{url}/healthz", timeout=20).json() == {"status": "ok"}


def deploy_during_requests(site, times, clients=4, rounds=5, pause=0.5):
    """Deploys and reloads of gunicorn while clients ask.

    The answers, the deploys with the time of each, what is counted in the end as several requests are told it, and
    the folders for counts that are left when it runs and when it has ended.
    """
    temporary = site.home.parent / "temporary"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}
    with running(site.product, **environment) as server, concurrent.futures.ThreadPoolExecutor(clients) as pool:
        ask_before_any_model(server.url)
        deployment.deploy(site.product, site.versions[0])
        wait_for(server.url, site.versions[0])
        enough, deploys = threading.Event(), []
        try:
            asked = [pool.submit(keep_asking, server.url, times // clients, enough) for _ in range(clients)]
            for number in range(1, rounds + 1):
                version = site.versions[number % 2]
                deployment.deploy(site.product, version)
                deploys.append((time.monotonic(), version, wait_for(server.url, version)))
                server.process.send_signal(signal.SIGHUP)
                time.sleep(pause)
                with session() as http:  # a new connection waits for a new worker, which may take a busy machine long
                    ask(http, server.url)
        finally:
            enough.set()
        answers = [answer for future in asked for answer in future.result()]
        counts = [counted(server.url) for _ in range(4)]
        folders = [list(temporary.glob("churn-counts-*"))]
    folders.append(list(temporary.glob("churn-counts-*")))
    return SimpleNamespace(answers=answers, deploys=deploys, counts=counts, folders=folders, logs=server.logs)


def counted(url):
    """What whichever worker is asked tells of predictions: requests that were answered, and rows."""
    with session() as http:  # a connection each, so that both workers are asked
        families = list(text_string_to_metric_families(http.get(f"{url}/metrics", timeout=20).text))
    samples = [sample for family in families for sample in family.samples]
    requests = {"route": "/prediction", "method": "POST", "status": "200"}
    return (
        sum(one.value for one in samples if (one.name, one.labels) == ("churn_http_requests_total", requests)),
        sum(one.value for one in samples if one.name == "churn_predictions_total"),
    )


@pytest.fixture(scope="module")
def busy(made, tmp_path_factory):
    return deploy_during_requests(copy_site(made, tmp_path_factory.mktemp("busy") / "site"), 400, rounds=2)


def test_deploys_and_reloads_during_requests_fail_none_and_mix_nothing(made, busy):
    """Each answer is wholly of the release that it names, and two seconds after a deploy that is the new one."""
    site, answers, deploys = made, busy.answers, busy.deploys
    assert len(answers) >= 400
    assert {answer.named for answer in answers} == set(site.versions)
    for answer in answers:
        assert (answer.status, answer.said["model_version"]) == (200, answer.named)
        assert [one["risk"] for one in answer.said["predictions"]] == site.risks[answer.named]
    assert max(taken for _, _, taken in deploys) < 2
    for (at, version, _), after in zip(deploys, [*(at for at, *_ in deploys[1:]), float("inf")], strict=True):
        assert {answer.named for answer in answers if at + 2 < answer.at < after - 1} <= {version}
    assert "serving" in (busy.logs / "app.txt").read_text()


def test_whichever_worker_is_asked_tells_what_all_have_counted_also_those_before_a_reload(busy):
    lines = [json.loads(line) for line in (busy.logs / journal.FILE).read_text().splitlines()]
    predicted = [line for line in lines if (line["route"], line["status"]) == ("/prediction", 200)]
    assert len(predicted) > len(busy.answers)
    assert busy.counts == [(len(predicted), len(predicted) * len(ROWS))] * 4


def test_the_folder_of_the_counts_goes_with_the_server(busy):
    assert list(map(len, busy.folders)) == [1, 0]


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
