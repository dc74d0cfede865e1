"""apicalls asks for all that the app's document lists, holds the answers against it, and fails when one does."""

import contextlib
import http.server
import json
import threading
from urllib.parse import unquote

import pytest
from werkzeug.serving import make_server

import apicalls
import app
from churn import stage
from churn.web.guard import tokens
from tests.conftest import CORPORATE, FOLDERS, HOME
from tests.full_site import make_full_site

PAGES = ("/prediction", "/scoring", "/clients", "/clients/{client}", "/outcomes", "/healthz")
PRODUCT = {"name": "product", "in": "query"}
ANSWER = {"type": "object", "required": ["page"], "properties": {"page": {"$ref": "#/components/schemas/Page"}}}


def described(page):
    """An operation as the document has it."""
    found = {
        "operationId": page.strip("/"),
        "parameters": [] if page == "/healthz" else [PRODUCT],
        "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}}},
    }
    if "{client}" in page:
        found["parameters"] = [{"name": "client", "in": "path"}, PRODUCT]
    if page in ("/prediction", "/outcomes"):
        return {"post": found | {"requestBody": {}}}
    return {"get": found}


DOCUMENT = {
    "paths": {page: described(page) for page in PAGES},
    "components": {"schemas": {"Answer": ANSWER, "Page": {"type": "string"}}},
}


@contextlib.contextmanager
def listening(statuses=None, answers=None, clients=("a/b",)):
    """A server on this machine that answers as its document says; its URL and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802  the name that http.server looks for
            page, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, page, query, json.loads(body) if body else None, self.headers))
            told = {"page": page, "values": [{"risk": 0.5, "id": "Zoë"}] * 10}
            told |= {"clients": [{"client": name} for name in clients]} if page == "/clients" else {}
            told = DOCUMENT if page == apicalls.DOCUMENT else (answers or {}).get(page, told)
            self.send_response((statuses or {}).get(page, 200))
            self.send_header("Content-Type", "application/json" if told != "plain" else "text/plain")
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(apicalls.TOKEN, raising=False)


@pytest.fixture
def filled(product):
    """A product with a test file."""
    (product.test / "some.csv").write_text("corporation,lastmonth_activity\nabcd,\n")
    return product


def call(product, url, *arguments):
    return apicalls.main(["--url", url, "--config", str(product.config_path), *arguments])


def saved(product):
    return (product.config_path.parent / "logs" / apicalls.ANSWERS).read_text()


def test_everything_in_the_document_is_called_for_every_product_and_saved(product, capsys):
    (product.test / "large.csv").write_text("x" * 100)
    (product.test / "small.csv").write_text("x")
    (product.test / ".hidden.csv").write_text("")
    raw = json.loads(product.config_path.read_text())
    raw["products"]["other"] = CORPORATE
    product.config_path.write_text(json.dumps(raw))
    stored = product.ingested.parent / "other" / "finaldata.csv"
    stored.parent.mkdir(parents=True)
    stored.write_text("corporation,lastmonth_activity\n" + "abcd,\n" * 8)
    with listening() as (url, asked):
        assert call(product, f"{url}/") == 0
    assert asked[0][:2] == ("GET", apicalls.DOCUMENT)
    both = [unquote(page).replace("a/b", "{client}") for _, page, *_ in asked[1:]]
    assert both == [*PAGES, *PAGES[:-1]]  # what is about no product is called once
    assert asked[1][:4] == ("POST", "/prediction", "product=corporate", {"dataset_path": "small.csv"})
    assert asked[4][:3] == ("GET", "/clients/a%2Fb", "product=corporate")
    assert asked[5][3] == {"outcomes": [], "contacts": []}
    row = {"corporation": "abcd", "lastmonth_activity": ""}
    assert asked[7][2:4] == ("product=other", {"rows": [row] * apicalls.FEW})
    text = saved(product)
    assert text.count("status 200") == 12
    assert f"POST {url}/prediction?product=other\n" in text
    assert '    {"risk": 0.5, "id": "Zoë"},\n' in text
    printed = capsys.readouterr().out
    assert printed.count(" | yes ") == 12
    assert "a/b" not in printed
    assert "apireturns.txt" in printed.splitlines()[-1]


@pytest.mark.parametrize("page", [page for page in PAGES if "{" not in page])
def test_one_that_fails_makes_exit_code_1_and_is_saved_too(filled, page, capsys):
    with listening({page: 503}) as (url, _):
        assert call(filled, url, "--product", "corporate") == 1
    assert saved(filled).count("status 503") == 1
    assert capsys.readouterr().out.count("no: {") == 1


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"page": 5}, "no: page: 5 is not of type"),
        ({"values": []}, 'no: the answer: "page" is a required property'),
        ("plain", "no: text/plain, not application/json"),
    ],
)
def test_an_answer_that_is_not_as_documented_makes_exit_code_1(filled, told, fault, capsys):
    with listening(answers={"/scoring": told}) as (url, _):
        assert call(filled, url) == 1
    printed = capsys.readouterr().out
    assert fault in printed
    assert printed.count(" | yes ") == 6


def test_without_any_client_none_is_asked_for(filled):
    with listening(clients=()) as (url, asked):
        assert call(filled, url) == 0
    assert [page for _, page, *_ in asked[1:]] == [page for page in PAGES if "{" not in page]


def test_the_token_is_sent_and_shown_nowhere(filled, capsys, monkeypatch):
    with listening() as (url, asked):
        assert call(filled, url, "--token", "churn_secret") == 0
        monkeypatch.setenv(apicalls.TOKEN, "churn_other")
        assert call(filled, url) == 0
    sent = [headers["Authorization"] for *_, headers in asked]
    assert sent == ["Bearer churn_secret"] * 7 + ["Bearer churn_other"] * 7
    assert "churn_" not in capsys.readouterr().out + saved(filled)


def test_when_nothing_listens_it_says_what_to_run(filled, capsys):
    with listening() as (url, _):
        pass
    assert call(filled, url) == 1
    assert "nothing listens there; run: make serve" in capsys.readouterr().out
    assert saved(filled).count("status None") == 1


def test_what_is_no_such_app_is_told(filled, capsys):
    with listening({apicalls.DOCUMENT: 404}) as (url, asked):
        assert call(filled, url) == 1
    assert len(asked) == 1
    assert "| 404" in capsys.readouterr().out


def test_what_cannot_be_asked_is_said_without_a_traceback(product, tmp_path, capsys):
    with listening() as (url, asked):
        assert call(product, url) == 1
        assert call(product, url, "--product", "nobody") == 1
        assert apicalls.main(["--url", url, "--config", str(tmp_path / "absent.json")]) == 1
        assert [page for _, page, *_ in asked] == [apicalls.DOCUMENT]
    said = capsys.readouterr().out
    assert "neither a test file nor ingested data; run: python fullprocess.py" in said
    assert "no product 'nobody'; it has corporate" in said
    assert "absent.json: no such file" in said
    assert call(product, "no-url") == 1
    assert "Invalid URL" in capsys.readouterr().out


def test_a_flat_config_has_one_product(tmp_path):
    config_path = tmp_path / "flat.json"
    config_path.write_text(json.dumps(FOLDERS))
    (tmp_path / "testdata").mkdir()
    (tmp_path / "testdata" / "testdata.csv").write_text("")
    with listening() as (url, asked):
        assert apicalls.main(["--url", url, "--config", str(config_path)]) == 0
    assert asked[1][3] == {"dataset_path": "testdata.csv"}


def test_help_is_the_docstring_and_the_default_is_what_make_serve_binds(capsys):
    with pytest.raises(SystemExit):
        apicalls.main(["--help"])
    said = capsys.readouterr().out
    assert apicalls.__doc__ in said
    assert f'"{apicalls.URL.removeprefix("http://")}"' in (HOME / "gunicorn.conf.py").read_text()


@contextlib.contextmanager
def serving(product):
    """The app behind a server of this process; its URL."""
    server = make_server("127.0.0.1", 0, app.create_app(product.config_path), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_the_app_itself_passes_with_a_token_and_fails_without(tmp_path, capsys, monkeypatch):
    site = make_full_site(tmp_path / "site")
    token = tokens.make(site.home / tokens.FILE, "smoke", tokens.WRITE, stage.utc_now())
    with serving(site.product) as url:
        assert call(site.product, url) == 1
        assert "| 401" in capsys.readouterr().out
        monkeypatch.setenv(apicalls.TOKEN, token)
        assert call(site.product, url) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert printed.count(" | yes ") == 15
    assert "no: " not in printed
    assert saved(site.product).count("status 200") == 15
    assert token not in saved(site.product)
