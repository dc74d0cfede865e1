"""Whoever means harm gets the answer that was designed for it, and nothing that is not theirs."""

import csv
import http.client
import io
import json
import re
import time
from types import SimpleNamespace
from urllib.parse import quote

import pytest

import ingestion
import reporting
import scoring
from churn import stage
from churn.web.api import uploads
from churn.web.guard import tokens
from churn.web.serving import journal
from demo import fabricate
from tests import hostile
from tests.serving_site import ROWS, besiege, make_site, running, session

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def besieged(tmp_path_factory):
    """A site whose clients have odd names, with all around it that the hostile requests aim at."""
    site = make_site(tmp_path_factory.mktemp("made") / "site", months=(1,))
    frame = fabricate.world(400, 2, 11, fabricate.Drift(), 0)
    frame.loc[: len(hostile.NAMES) - 1, "corporation"] = hostile.NAMES
    frame.loc[: len(hostile.NAMES) - 1, "lastmonth_activity"] = 0  # so that they lead the list
    fabricate.save(frame, site.product.source / fabricate.file_name("corporate", 2))
    ingestion.ingest(site.product)
    site.outside = besiege(site)
    scoring.score_clients(site.product)
    reporting.call_list(site.product)
    return site


@pytest.fixture(scope="module")
def served(besieged):
    """The same behind gunicorn, which asks for tokens."""
    made = {
        scope: tokens.make(besieged.home / tokens.FILE, scope, scope, stage.utc_now())
        for scope in (tokens.READ, tokens.WRITE)
    }
    with running(besieged.product, WEB_CONCURRENCY="1") as server, session() as http_session:
        url = server.url
        http_session.headers["Authorization"] = f"Bearer {made[tokens.READ]}"
        with session() as browser:
            browser.post(f"{url}/login", data={"token": made[tokens.WRITE]}, allow_redirects=False, timeout=20)
            cookie = browser.cookies["churn"]
        words = {"{read}": made[tokens.READ], "{write}": made[tokens.WRITE], "{session}": cookie}
        logs = server.logs
        yield SimpleNamespace(**vars(besieged), url=url, logs=logs, session=http_session, words=words)


def sent(served, method, address, headers, body):
    """Ask exactly that, with nothing added that is given; the answer, and its text."""

    def filled(text):
        for name, value in served.words.items():
            text = text.replace(name, value)
        return text

    body = filled(body.decode("latin-1")).encode("latin-1")
    headers = {name: filled(value) for name, value in headers.items()}
    place = served.url.removeprefix("http://")
    connection = http.client.HTTPConnection(place, timeout=30)
    try:
        connection.putrequest(method, address, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": place, "Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer, answer.read().decode("utf-8")
    finally:
        connection.close()


def leaks_nothing(served, answer, text):
    told = f"{answer.headers}\n{text}"
    for secret in (hostile.MARKER, str(served.home), str(served.outside), "Traceback", 'File "', "evil=1\r", "root:x:"):
        assert secret not in told
    assert served.words["{read}"] not in told
    assert served.words["{write}"] not in told
    assert "<script>alert" not in told
    assert not re.search(r"(?im)^(set-cookie|location):.*evil", str(answer.headers))
    assert not re.search(r"(?im)^evil", str(answer.headers))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", hostile.REQUESTS)
def test_a_hostile_request_gets_its_answer_and_nothing_else(served, name):
    method, address, headers, body, status = hostile.REQUESTS[name]
    answer, text = sent(served, method, address, headers, body)
    assert answer.status == status, text[:500]
    leaks_nothing(served, answer, text)
    if status >= 400 and answer.headers.get_content_type() == "application/json":
        fault = json.loads(text)["error"]
        assert fault["status"] == status
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", fault["request_id"])
        assert fault["request_id"] == answer.headers["X-Request-Id"]
        assert len(text) < 1000
    if status == 303:
        assert answer.headers["Location"].startswith(("/login?next=/products/", "/"))
        assert not answer.headers["Location"].startswith(("//", "/\\"))


def test_there_are_more_than_a_hundred_hostile_requests():
    assert len(hostile.REQUESTS) + len(hostile.PATHS) + len(hostile.BODIES) > 100


def test_what_is_refused_to_others_is_given_to_whom_it_belongs(served):
    """Or the refusals above would say nothing."""
    own = {"Sec-Fetch-Site": "same-origin", "Origin": served.url}
    for headers in (hostile.MAY_WRITE, hostile.COOKIE | own, hostile.MAY_WRITE | own):
        answer, text = sent(served, "POST", "/outcomes", headers | JSON, hostile.NOTHING)
        assert answer.status == 200, text
    for headers in (hostile.BEARER, hostile.MAY_WRITE, hostile.COOKIE):
        assert sent(served, "GET", "/scoring", headers, b"")[0].status == 200


# ---- POST /prediction ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", hostile.PATHS)
def test_hostile_paths_get_the_answer_of_a_file_that_is_not_there(served, name):
    path = hostile.PATHS[name].replace(hostile.OUTSIDE, str(served.outside))
    answers = [
        served.session.post(
            f"{served.url}/prediction", json={"dataset_path": asked}, headers={"X-Request-Id": "same"}, timeout=20
        )
        for asked in (path, "absent.csv")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert not (served.outside / "made.csv").exists()


@pytest.mark.parametrize("name", hostile.BODIES)
def test_hostile_bodies_get_an_error_that_fits(served, name):
    body, status, message = hostile.BODIES[name]
    answer = served.session.post(f"{served.url}/prediction", data=body, headers=JSON, timeout=20)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["status"] == status
    assert message in answer.json()["error"]["message"]
    assert len(answer.content) < 1000


def test_bodies_without_a_length_meet_the_same_limits(served):
    def answered(kind, chunks):
        return served.session.post(
            f"{served.url}/prediction", data=iter(chunks), headers={"Content-Type": kind}, timeout=30
        )

    def long(size):
        return [b"a" * 2**16] * (size // 2**16 + 2)

    assert answered("application/json", long(8 * 2**20)).status_code == 413
    assert answered("text/csv", long(uploads.MAX_FILE)).status_code == 413
    assert answered("text/csv", long(2**17)).status_code == 422
    whole = answered("application/json", [b'{"rows"', b": []}"])
    assert (whole.status_code, whole.json()["rows"]) == (200, 0)


# ---- names that browsers and spreadsheets would run ------------------------------------------------------------------


PAGES = ("/", "/products/corporate/", "/products/corporate/clients", "/products/corporate/clients?q=script")


@pytest.mark.parametrize("name", hostile.NAMES)
def test_a_clients_name_is_text_wherever_it_stands(served, name):
    quoted = quote(name, safe="")
    found = served.session.get(f"{served.url}/clients", params={"search": name}, timeout=20).json()["clients"]
    assert name in [one["client"] for one in found]
    answer, text = sent(served, "GET", f"/products/corporate/clients?q={quoted}", hostile.BEARER, b"")
    assert answer.status == 200
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert 'href="javascript:' not in text
    assert "1338337" not in text
    answer, text = sent(served, "GET", f"/clients/{quoted}", hostile.BEARER, b"")
    if name != "..":  # which a browser would not even send
        assert answer.status == 200, text
        assert json.loads(text)["client"] == name
    assert answer.headers.get_content_type() == "application/json"


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_names_as_text(served, page):
    answer = served.session.get(f"{served.url}{page}", headers={"Accept": "text/html"}, timeout=20)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    assert 'href="javascript:' not in answer.text


def test_tables_for_spreadsheets_hold_no_formulas(served):
    rows = [ROWS[0] | {"corporation": name} for name in hostile.NAMES]
    by_api = served.session.post(f"{served.url}/prediction?format=csv", json={"rows": rows}, timeout=20)
    by_page = served.session.get(f"{served.url}/products/corporate/calllist.csv", timeout=20)
    assert (by_api.status_code, by_page.status_code) == (200, 200)
    for answer in (by_api, by_page):
        lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
        assert len(lines) > len(hostile.NAMES) / 2
        for cell in (cell for line in lines for cell in line):
            assert not cell.startswith(("=", "+", "@", "\t", "\r"))
            assert not cell.startswith("-") or re.fullmatch(r"-[0-9.e-]+", cell)
    assert "'=cmd|'/c calc'!A1" in by_api.text


# ---- the access log --------------------------------------------------------------------------------------------------


KEYS = ["at", "request_id", "method", "route", "status", "ms", "bytes", "who", "product", "version"]


def logged(served, count):
    """The lines of the requests "mine-1" to "mine-<count>"; the last may come just after its answer."""
    for _ in range(100):
        lines = map(json.loads, (served.logs / journal.FILE).read_text().splitlines())
        found = {line["request_id"]: line for line in lines if line["request_id"].startswith("mine-")}
        if len(found) == count:
            return [found[f"mine-{number}"] for number in range(1, count + 1)]
        time.sleep(0.1)
    raise AssertionError("there are too few lines")


def test_each_request_is_a_line_of_json_that_holds_nothing_a_client_sent(served):
    def ask(number, method, address, http=served.session, **more):
        headers = {"X-Request-Id": f"mine-{number}", "User-Agent": "VALUE", "Referer": "VALUE"}
        return http.request(method, f"{served.url}{address}", headers=headers, timeout=20, **more)

    answer = ask(1, "POST", "/prediction", json={"rows": ROWS})
    ask(2, "GET", "/clients/VALUE?search=VALUE")
    ask(3, "GET", "/VALUE")
    ask(4, "VALUE", "/healthz")
    with session() as nobody:
        ask(5, "GET", "/scoring", nobody)
    lines = logged(served, 5)
    assert [list(line) for line in lines] == [KEYS] * 5
    assert [(line["method"], line["route"], line["status"], line["who"]) for line in lines] == [
        ("POST", "/prediction", 200, "read"),
        ("GET", "/clients/<path:client>", 422, "read"),
        ("GET", "none", 404, ""),
        ("other", "none", 405, ""),
        ("GET", "/scoring", 401, ""),
    ]
    first = lines[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["at"])
    assert (first["product"], first["version"]) == ("corporate", served.versions[0])
    assert first["bytes"] == len(answer.content)
    assert 0 < first["ms"] < 20_000
    assert all("VALUE" not in path.read_text() for path in served.logs.glob("*.*"))


# ---- and then --------------------------------------------------------------------------------------------------------


def test_after_all_that_it_still_serves_and_its_logs_hold_no_values(served):
    answer = served.session.post(f"{served.url}/prediction", json={"dataset_path": "clients.csv"}, timeout=20)
    assert (answer.status_code, answer.json()["rows"]) == (200, 50)
    assert hostile.MARKER not in answer.text
    for path in served.logs.glob("*.*"):
        log = path.read_text()
        assert not re.search(r"\bERROR\b|Traceback", log), path.name
        for secret in (hostile.MARKER, "evil", "alert(", served.words["{read}"], served.words["{write}"]):
            assert secret not in log, (path.name, secret)
