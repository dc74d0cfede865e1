"""apicalls asks for all four endpoints, saves what they said, and fails when one of them does."""

import contextlib
import http.server
import json
import threading

import pytest

import apicalls
from tests.conftest import CORPORATE, FOLDERS, HOME

PAGES = ("/prediction", "/scoring", "/summarystats", "/diagnostics")


@contextlib.contextmanager
def listening(statuses=None):
    """A server on this machine that answers every call, by default with 200; its URL and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802  the name that http.server looks for
            page, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, page, query, json.loads(body) if body else None))
            self.send_response((statuses or {}).get(page, 200))
            self.end_headers()
            self.wfile.write(json.dumps({"page": page, "values": [{"risk": 0.5, "id": "Zoë"}] * 10}).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def call(product, url, *arguments):
    return apicalls.main(["--url", url, "--config", str(product.config_path), *arguments])


def saved(product):
    return (product.config_path.parent / "logs" / apicalls.ANSWERS).read_text()


def test_all_four_are_called_for_every_product_and_saved(product, capsys):
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
    assert [page for _, page, _, _ in asked] == [*PAGES, *PAGES]
    assert asked[0] == ("POST", "/prediction", "product=corporate", {"dataset_path": "small.csv"})
    row = {"corporation": "abcd", "lastmonth_activity": ""}
    assert asked[4] == ("POST", "/prediction", "product=other", {"rows": [row] * apicalls.FEW})
    text = saved(product)
    assert text.count("status 200") == 8
    assert f"POST {url}/prediction?product=other\n" in text
    assert '    {"risk": 0.5, "id": "Zoë"},\n' in text
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 9
    assert "apireturns.txt" in printed[-1]


@pytest.mark.parametrize("page", PAGES)
def test_one_that_fails_makes_exit_code_1_and_is_saved_too(product, page, capsys):
    (product.test / "some.csv").write_text("")
    with listening({page: 503}) as (url, _):
        assert call(product, url, "--product", "corporate") == 1
    assert saved(product).count("status 200") == 3
    assert saved(product).count("status 503") == 1
    assert f"{page}?product=corporate: 503: {{" in capsys.readouterr().out


def test_when_nothing_listens_it_says_what_to_run(product, capsys):
    (product.test / "some.csv").write_text("")
    with listening() as (url, _):
        pass
    assert call(product, url) == 1
    assert capsys.readouterr().out.count("nothing listens there; run: make serve") == 4
    assert saved(product).count("status None") == 4


def test_what_cannot_be_asked_is_said_without_a_traceback(product, tmp_path, capsys):
    with listening() as (url, asked):
        assert call(product, url) == 1
        assert call(product, url, "--product", "nobody") == 1
        assert apicalls.main(["--url", url, "--config", str(tmp_path / "absent.json")]) == 1
        assert not asked
    said = capsys.readouterr().out
    assert "neither a test file nor ingested data; run: python fullprocess.py" in said
    assert "no product 'nobody'; it has corporate" in said
    assert "absent.json: no such file" in said
    (product.test / "some.csv").write_text("")
    assert call(product, "no-url") == 1
    assert "Invalid URL" in capsys.readouterr().out


def test_a_flat_config_has_one_product(tmp_path):
    config_path = tmp_path / "flat.json"
    config_path.write_text(json.dumps(FOLDERS))
    (tmp_path / "testdata").mkdir()
    (tmp_path / "testdata" / "testdata.csv").write_text("")
    with listening() as (url, asked):
        assert apicalls.main(["--url", url, "--config", str(config_path)]) == 0
    assert asked[0][3] == {"dataset_path": "testdata.csv"}


def test_help_is_the_docstring_and_the_default_is_what_make_serve_binds(capsys):
    with pytest.raises(SystemExit):
        apicalls.main(["--help"])
    said = capsys.readouterr().out
    assert apicalls.__doc__ in said
    address = apicalls.URL.removeprefix("http://")
    assert f"--bind {address}" in (HOME / "Makefile").read_text()
