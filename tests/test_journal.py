"""The access log has a line a request, holds nothing that a client sent, and does not grow without end."""

import json
import multiprocessing
import os
import re
import threading
import time

import pytest

import deployment
from churn import storage
from churn.web.guard import tokens
from churn.web.serving import journal
from tests.serving_site import ROWS, make_site, running, session

KEYS = ["at", "request_id", "method", "route", "status", "ms", "bytes", "who", "product", "version"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = make_site(tmp_path_factory.mktemp("made"), months=[1])
    deployment.deploy(made.product)
    return made


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def lines_but_the_first(path, count):
    """The lines after that of the request which waited for the server; the last may come just after its answer."""
    for _ in range(100):
        if path.exists() and len(found := lines(path)) > count:
            return found[1:]
        time.sleep(0.1)
    raise AssertionError("there are too few lines")


def test_each_request_is_a_line_of_json_that_holds_nothing_a_client_sent(site):
    token = tokens.Token("crm", "read", tokens.digest_of("churn_x"), "2026-01-01T00:00:00Z").line
    headers = {"Authorization": "Bearer churn_x", "X-Request-Id": "mine-1", "User-Agent": "SECRET", "Referer": "SECRET"}
    with running(site.product, CHURN_TOKENS=token) as server, session() as http:
        answer = http.post(f"{server.url}/prediction", json={"rows": ROWS}, headers=headers, timeout=20)
        http.get(f"{server.url}/clients/SECRET?q=SECRET", headers=headers, timeout=20)
        http.get(f"{server.url}/SECRET", headers=headers, timeout=20)
        http.request("SECRET", f"{server.url}/healthz", timeout=20)
        http.get(f"{server.url}/scoring", timeout=20)
        logged = lines_but_the_first(server.logs / journal.FILE, 5)
        text = "".join(path.read_text() for path in server.logs.iterdir() if path.is_file())
    assert [list(line) for line in logged] == [KEYS] * 5
    assert [(line["method"], line["route"], line["status"], line["who"]) for line in logged] == [
        ("POST", "/prediction", 200, "crm"),
        ("GET", "/clients/<path:client>", logged[1]["status"], "crm"),
        ("GET", "none", 404, ""),
        ("other", "none", 405, ""),
        ("GET", "/scoring", 401, ""),
    ]
    first = logged[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["at"])
    assert (first["request_id"], first["product"], first["version"]) == ("mine-1", "corporate", site.versions[0])
    assert first["bytes"] == len(answer.content)
    assert 0 < first["ms"] < 20_000
    assert "SECRET" not in text
    assert "churn_x" not in text


def test_it_goes_to_stdout_where_that_is_wanted(site):
    before = (site.home / "logs" / journal.FILE).stat().st_size
    reading, writing = os.pipe()
    with open(reading) as read:
        stdout = os.dup(1)
        os.dup2(writing, 1)
        os.close(writing)
        try:
            with running(site.product, CHURN_ACCESS_LOG="-"):
                pass
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
        logged = [json.loads(line) for line in read]
    assert ("GET", "/healthz", 200) in [(line["method"], line["route"], line["status"]) for line in logged]
    assert (site.home / "logs" / journal.FILE).stat().st_size == before


def write_many(path, name):
    written = journal.Lines(path)
    for number in range(2000):
        written.write(json.dumps({"name": name, "number": number}))


def test_processes_and_threads_write_whole_lines_and_move_a_long_file_once(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LOG_BYTES", 60_000)
    monkeypatch.setattr(journal, "LOOK_SECONDS", 0.001)
    path = tmp_path / "logs" / "access.jsonl"
    processes = [multiprocessing.get_context("fork").Process(target=write_many, args=(path, n)) for n in range(2)]
    shared = journal.Lines(path)
    threads = [
        threading.Thread(target=lambda n=n: [shared.write(json.dumps({"name": n, "number": 0})) for _ in range(500)])
        for n in range(2, 4)
    ]
    for one in (*processes, *threads):
        one.start()
    for one in (*processes, *threads):
        one.join(60)
    assert [one.exitcode for one in processes] == [0, 0]
    assert sorted(os.listdir(path.parent)) == ["access.jsonl", "access.jsonl.1"]
    kept = lines(path) + lines(path.with_name("access.jsonl.1"))  # each of them JSON
    assert len(kept) > 1000
    assert path.stat().st_size < 120_000


def test_a_file_that_was_moved_or_removed_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "LOOK_SECONDS", 0.01)
    path = tmp_path / "access.jsonl"
    written = journal.Lines(path)
    written.write("1")
    path.rename(tmp_path / "moved")
    time.sleep(0.02)
    written.write("2")
    assert (path.read_text(), (tmp_path / "moved").read_text()) == ("2\n", "1\n")


def test_a_line_costs_next_to_nothing(tmp_path):
    written = journal.Lines(tmp_path / "access.jsonl")
    environ = {"REQUEST_METHOD": "GET"}
    began = time.process_time()
    for _ in range(3000):
        written.write(journal.line(environ, 200, 0.001, 100))
    assert (time.process_time() - began) / 3000 < 100e-6  # some 10 microseconds where nothing else runs
