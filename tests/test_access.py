"""Who may ask for what: the scope of every address, tokens, sessions, hosts, and what pages of other sites may not."""

import os
import re
import stat
import subprocess
import sys
import time

import pytest

import app as app_module
from churn.errors import ChurnError, ConfigError
from churn.web.guard import access, tokens
from churn.web.guard.tokens import Token, Tokens
from churn.web.serving import edge
from tests.conftest import HOME, make_product

ADDRESSES = {
    "GET /": "read",
    "GET /clients": "read",
    "GET /clients/<path:client>": "read",
    "GET /diagnostics": "read",
    "GET /docs": "read",
    "GET /drift": "read",
    "POST /explain": "read",
    "GET /healthz": "public",
    "GET /login": "public",
    "POST /login": "public",
    "POST /logout": "public",
    "GET /metrics": "read",
    "GET /openapi.json": "read",
    "POST /outcomes": "write",
    "POST /prediction": "read",
    "GET /products/<product>/": "read",
    "GET /products/<product>/calllist.csv": "read",
    "GET /products/<product>/clients": "read",
    "GET /products/<product>/clients/<path:client>": "read",
    "POST /products/<product>/clients/<path:client>/contacts": "write",
    "POST /products/<product>/clients/<path:client>/what-if": "read",
    "GET /products/<product>/data": "read",
    "GET /products/<product>/model": "read",
    "GET /products/<product>/pictures/<name>": "read",
    "GET /products/<product>/rejects/<name>": "read",
    "GET /products/<product>/releases": "read",
    "GET /products/<product>/rollback": "read",
    "POST /products/<product>/rollback": "write",
    "GET /readyz": "public",
    "GET /releases": "read",
    "GET /scoring": "read",
    "GET /static/<path:filename>": "public",
    "GET /summarystats": "read",
    "POST /theme": "public",
}
READER, WRITER = "churn_reader-of-the-tests", "churn_writer-of-the-tests"
SAME = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}


def line(name, scope, token):
    return Token(name, scope, tokens.digest_of(token), "2026-01-01T00:00:00Z").line


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A fifth of the time until a changed file is noticed."""
    monkeypatch.setattr(tokens, "LOOK_SECONDS", tokens.LOOK_SECONDS / 5)


def with_tokens(product):
    """A file of tokens, beside the config, with a reader's and a writer's."""
    path = product.config_path.parent / tokens.FILE
    path.write_text(f"# who\n{line('crm', 'read', READER)}\n\n{line('anna', 'write', WRITER)}\n")
    return path


@pytest.fixture
def file(product):
    """The file of tokens of an app of one's own."""
    return with_tokens(product)


@pytest.fixture
def own_app(product, file):
    """An app whose tokens the test changes."""
    return app_module.create_app(product.config_path)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app with a reader's and a writer's token."""
    product = make_product(tmp_path_factory.mktemp("closed"))
    with_tokens(product)
    return app_module.create_app(product.config_path)


@pytest.fixture(scope="module")
def open_app(tmp_path_factory):
    """The app without any token."""
    return app_module.create_app(make_product(tmp_path_factory.mktemp("open")).config_path)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def routes(app):
    for rule in app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield f"{method} {rule.rule}", rule


# ---- the scope of every address --------------------------------------------------------------------------------------


def test_every_address_has_the_scope_that_stands_here(open_app):
    scopes = {name: open_app.view_functions[rule.endpoint].scope for name, rule in routes(open_app)}
    assert scopes == ADDRESSES


def test_a_view_that_names_no_scope_is_open_to_nobody(product, file):
    for made in (app_module.create_app(product.config_path), app_module.create_app(product.config_path, Tokens())):
        made.add_url_rule("/forgotten", view_func=lambda: "secret")
        answers = [made.test_client().get("/forgotten", headers=headers) for headers in ({}, bearer(WRITER))]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert "secret" not in answers[1].text


def path_of(name):
    return re.sub(r"<[^>]+>", "corporate", name.partition(" ")[2])


@pytest.mark.parametrize("name", [name for name, scope in ADDRESSES.items() if scope != "public"])
def test_what_is_not_public_needs_a_token_of_its_scope(app, name):
    client, method, path = app.test_client(), name.partition(" ")[0], path_of(name)
    nobody = client.open(path, method=method)
    reader, writer = (client.open(path, method=method, headers=bearer(token)) for token in (READER, WRITER))
    page = method == "GET" and (path == "/" or path.startswith("/products/"))
    assert nobody.status_code == (303 if page else 401)
    assert (reader.status_code == 403) == (ADDRESSES[name] == "write")
    assert writer.status_code not in (401, 403)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/login", "/static/icon.svg"])
def test_what_is_public_needs_none(app, path):
    assert app.test_client().get(path, buffered=True).status_code == (503 if path == "/readyz" else 200)


def test_readiness_is_told_to_everybody_and_its_details_to_readers(app):
    client = app.test_client()
    assert client.get("/readyz").json == {"status": "unavailable"}
    told = client.get("/readyz", headers=bearer(READER)).json
    assert "python fullprocess.py" in told["products"]["corporate"]["problem"]


# ---- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer churn_wrong",
        f"Basic {READER}",
        READER,
        f"Bearer {READER}x",
        f"Bearer {READER[:-1]}",
        f"Bearer {tokens.digest_of(READER)}",
        "Bearer \xe9\xff",
        "Bearer " + "a" * 5000,
    ],
)
def test_anything_but_a_token_is_401_and_says_what_to_send(app, header):
    answer = app.test_client().get("/scoring", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "python app.py --new-token" in answer.json["error"]["message"]


def test_the_environment_may_hold_tokens_too(product, monkeypatch):
    monkeypatch.setenv("CHURN_TOKENS", f"{line('crm', 'read', READER)}\n{line('anna', 'write', WRITER)}\n")
    client = app_module.create_app(product.config_path).test_client()
    statuses = [client.get("/clients", headers=headers).status_code for headers in ({}, bearer(READER))]
    assert statuses[0] == 401
    assert statuses[1] != 401


def test_a_token_that_is_removed_is_soon_good_for_nothing_without_a_restart(own_app, file):
    client = own_app.test_client()
    assert client.get("/metrics", headers=bearer(READER)).status_code == 200
    tokens.remove(file, "crm")
    time.sleep(tokens.LOOK_SECONDS)
    assert client.get("/metrics", headers=bearer(READER)).status_code == 401
    assert client.get("/metrics", headers=bearer(WRITER)).status_code == 200
    made = tokens.make(file, "new", "read", "2026-01-01T00:00:00Z")
    time.sleep(tokens.LOOK_SECONDS)
    assert client.get("/metrics", headers=bearer(made)).status_code == 200


@pytest.mark.parametrize("bad", [b"crm read\n", b"\xff\xfe\n", b"crm admin " + b"0" * 64 + b" 2026\n"])
def test_a_damaged_file_lets_nobody_in_until_it_is_mended(own_app, file, caplog, bad):
    client, good = own_app.test_client(), file.read_bytes()
    file.write_bytes(good + bad)
    time.sleep(tokens.LOOK_SECONDS)
    for headers in ({}, bearer(READER)):
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == 503
        assert str(file) not in answer.text
    assert [record for record in caplog.records if str(file) in record.getMessage()]
    assert client.get("/healthz").status_code == 200
    file.write_bytes(good)
    time.sleep(tokens.LOOK_SECONDS)
    assert client.get("/metrics", headers=bearer(READER)).status_code == 200


def test_a_file_that_vanishes_opens_nothing(own_app, file):
    client = own_app.test_client()
    file.unlink()
    time.sleep(tokens.LOOK_SECONDS)
    assert [client.get("/metrics", headers=headers).status_code for headers in ({}, bearer(READER))] == [401, 401]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x\n", "line 1: not of the form"),
        (f"# fine\n\n{line('a', 'read', 'b')} more\n", "line 3"),
        (f"{line('a', 'read', 'b')}\n{line('a', 'write', 'c')}\n", "line 2: the name a stands twice"),
    ],
)
def test_the_app_does_not_start_with_a_damaged_file_and_names_the_line(product, text, said):
    path = product.config_path.parent / tokens.FILE
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{path}, {said}")):
        app_module.create_app(product.config_path)


def test_tokens_do_not_lie_among_the_data(product, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").symlink_to(product.test)
    for place in (product.test / "tokens.txt", product.source / "a" / ".." / "t.csv", tmp_path / "elsewhere" / "t.txt"):
        monkeypatch.setenv("CHURN_TOKENS_FILE", str(place))
        with pytest.raises(ConfigError, match="name another file with CHURN_TOKENS_FILE"):
            app_module.create_app(product.config_path)


# ---- python app.py ---------------------------------------------------------------------------------------------------


def run(product, *arguments):
    command = [sys.executable, "app.py", "--config", str(product.config_path), *arguments]
    return subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)


def test_a_new_token_is_printed_once_and_only_its_hash_is_kept(product):
    path = product.config_path.parent / tokens.FILE
    done = run(product, "--new-token", "--name", "crm", "--scope", "write")
    token = done.stdout.strip()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"churn_[A-Za-z0-9_-]{43}", token)  # 256 bits
    assert token not in path.read_text()
    assert re.fullmatch(rf"crm write {tokens.digest_of(token)} \S+Z\n", path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = app_module.create_app(product.config_path).test_client()
    assert client.get("/metrics", headers=bearer(token)).status_code == 200


def test_tokens_can_be_listed_and_removed_and_names_are_given_once(product, file, capsys):
    config = ["--config", str(product.config_path)]
    assert app_module.main([*config, "--list-tokens"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "crm  read  since 2026-01-01T00:00:00Z",
        "anna  write  since 2026-01-01T00:00:00Z",
    ]
    assert app_module.main([*config, "--new-token", "--name", "crm"]) == 1
    assert "--remove-token crm" in capsys.readouterr().err
    assert app_module.main([*config, "--remove-token", "crm"]) == 0
    assert app_module.main([*config, "--remove-token", "crm"]) == 1
    assert "no token crm" in capsys.readouterr().err
    assert app_module.main([*config, "--new-token", "--name", "crm"]) == 0
    assert [one.name for one in tokens.listed(file)] == ["anna", "crm"]
    assert capsys.readouterr()
    for name, said in (("anna", "removed anna; 1 left"), ("crm", "removed crm; none is left and nobody is let in; ")):
        assert app_module.main([*config, "--remove-token", name]) == 0
        assert capsys.readouterr().out.startswith(said)
    # An app that is started now asks for a token just as one that has seen them go.
    assert app_module.create_app(product.config_path).test_client().get("/metrics").status_code == 401
    assert os.listdir(file.parent).count(file.name) == 1


@pytest.mark.parametrize("name", ["", "a b", "a\nb write 0", "../x", "-x", "x" * 65])
def test_a_name_that_would_break_the_file_is_refused(file, name):
    before = file.read_bytes()
    with pytest.raises(ChurnError, match="is no name for a token"):
        tokens.make(file, name, "read", "2026-01-01T00:00:00Z")
    assert file.read_bytes() == before


def test_help_says_how_without_a_config(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "absent.json"))
    with pytest.raises(SystemExit) as ended:
        app_module.main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--new-token" in said
    assert "make serve" in said


# ---- without any token -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "headers", "status"),
    [
        ({}, {}, 200),
        ({"REMOTE_ADDR": "::1"}, {"Host": "[::1]:8000"}, 200),
        ({}, {"Host": "127.0.0.1:8000"}, 200),
        ({"REMOTE_ADDR": "127.8.8.8"}, {}, 200),
        ({"REMOTE_ADDR": "192.168.1.5"}, {}, 401),
        ({"REMOTE_ADDR": ""}, {}, 401),
        ({}, {"X-Forwarded-For": "127.0.0.1"}, 401),
        ({}, {"X-Forwarded-Proto": "http"}, 401),
        ({}, {"X-Forwarded-Anything": ""}, 401),
        ({}, {"Forwarded": "for=127.0.0.1"}, 401),
        ({}, {"X-Real-Ip": "127.0.0.1"}, 401),
        ({"REMOTE_ADDR": "192.168.1.5"}, {"X-Forwarded-For": "127.0.0.1"}, 401),
    ],
)
def test_without_a_token_only_this_machine_is_let_in_and_no_proxy(open_app, environ, headers, status):
    answer = open_app.test_client().get("/metrics", headers=headers, environ_overrides=environ)
    assert answer.status_code == status


# ---- hosts -----------------------------------------------------------------------------------------------------------

EVIL_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "",
    "localhost:x",
    "127.0.0.1@evil",
    "[::1",
    "a b",
    "localhost\\",
    "::1",
]


@pytest.mark.parametrize("host", EVIL_HOSTS)
def test_another_host_is_refused_whatever_is_asked_for(app, host):
    for path in ("/metrics", "/healthz", "/login", "/nothing", "/static/icon.svg"):
        answer = app.test_client().get(path, headers={**bearer(WRITER), "Host": host}, buffered=True)
        assert answer.status_code == 400, path


def test_the_operator_adds_host_names(product, monkeypatch):
    monkeypatch.setenv("CHURN_HOSTS", "churn.example.com, Other")
    client = app_module.create_app(product.config_path).test_client()
    hosts = ("churn.example.com", "CHURN.example.com:443", "other:1", "localhost", "x.churn.example.com")
    assert [client.get("/healthz", headers={"Host": host}).status_code for host in hosts] == [200] * 4 + [400]


# ---- sessions --------------------------------------------------------------------------------------------------------


def signed_in(app, token, **options):
    client = app.test_client()
    answer = client.post("/login", data={"token": f" {token}\n", "next": "/metrics"}, headers=SAME, **options)
    return client, answer


def test_a_page_without_a_token_leads_to_the_sign_in_and_back(app):
    client = app.test_client()
    answer = client.get("/products/corporate/clients?q=a&sort=risk")
    assert (answer.status_code, answer.location) == (
        303,
        "/login?next=/products/corporate/clients%3Fq%3Da%26sort%3Drisk",
    )
    form = client.get(answer.location)
    assert form.status_code == 200
    assert 'name="next" value="/products/corporate/clients?q=a&amp;sort=risk"' in form.text
    api = client.get("/scoring", headers={"Accept": "application/json"})
    assert (api.status_code, api.location) == (401, None)


def test_a_session_may_what_its_token_may(app):
    client, answer = signed_in(app, READER)
    assert (answer.status_code, answer.location) == (303, "/metrics")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert READER not in cookie
    assert client.get("/metrics").status_code == 200
    assert client.post("/products/corporate/rollback", headers=SAME).status_code == 403
    writer, _ = signed_in(app, WRITER)
    assert writer.post("/products/corporate/rollback", headers=SAME).status_code not in (401, 403)


def test_over_https_the_cookie_is_secure_and_browsers_are_told_to_stay_there(app):
    secure = {**SAME, "Origin": "https://localhost"}
    answer = app.test_client().post("https://localhost/login", data={"token": READER}, headers=secure)
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")
    assert "max-age=" in answer.headers["Strict-Transport-Security"]


def test_a_wrong_token_begins_no_session(app):
    client, answer = signed_in(app, "churn_wrong")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert "not a token of this app" in answer.text
    assert "churn_wrong" not in answer.text
    assert client.get("/metrics").status_code == 401


def test_signing_out_and_removing_the_token_end_the_session(own_app, file):
    client, _ = signed_in(own_app, READER)
    assert client.post("/logout", headers=SAME).status_code == 303
    assert client.get("/metrics").status_code == 401
    client, _ = signed_in(own_app, READER)
    tokens.remove(file, "crm")
    time.sleep(tokens.LOOK_SECONDS)
    assert client.get("/metrics").status_code == 401


def test_workers_know_each_others_sessions_and_nobody_who_only_read_the_file_can_make_one(product, file, monkeypatch):
    monkeypatch.setenv("CHURN_SESSION_KEY", "of the master")
    client, answer = signed_in(app_module.create_app(product.config_path), READER)
    cookie = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    statuses = []
    for key in ("of the master", "of another"):
        monkeypatch.setenv("CHURN_SESSION_KEY", key)
        other = app_module.create_app(product.config_path).test_client()
        other.set_cookie("churn", cookie)
        statuses.append(other.get("/metrics").status_code)
    assert statuses == [200, 401]


@pytest.mark.parametrize(
    "onward",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil", "/\r\nX: y", ""]
    + ["//[", "//\u2100.example"],  # which urllib takes for broken addresses
)
def test_signing_in_leads_nowhere_else(app, onward):
    assert access.safe_next(onward) == "/"
    answer = app.test_client().post("/login", data={"token": READER, "next": onward}, headers=SAME)
    assert (answer.status_code, answer.location) == (303, "/")


# ---- what pages of other sites may not -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "by_cookie", "by_token"),
    [
        ({}, False, True),
        (SAME, True, True),
        ({"Origin": "http://localhost"}, True, True),
        ({"Sec-Fetch-Site": "same-origin"}, True, True),
        ({"Sec-Fetch-Site": "cross-site"}, False, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, False, False),
        ({"Origin": "http://evil.example"}, False, False),
        ({"Origin": "null"}, False, False),
        ({"Origin": "https://localhost"}, False, False),
        ({"Origin": "http://localhost:8001"}, False, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, False, False),
    ],
)
def test_what_changes_state_is_not_done_for_a_page_of_another_site(app, headers, by_cookie, by_token):
    client, _ = signed_in(app, WRITER)
    path = "/products/corporate/rollback"
    assert (client.post(path, headers=headers).status_code != 403) == by_cookie
    answer = app.test_client().post(path, headers={**headers, **bearer(WRITER)})
    assert (answer.status_code != 403) == by_token


def test_without_any_token_another_site_gets_nothing_done_either(open_app):
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = open_app.test_client().post("/products/corporate/rollback", headers=headers)
        assert answer.status_code == 403


# ---- headers and errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/healthz", "/metrics", "/scoring", "/nothing", "/login", "/", "/static/icon.svg", "/static/no"]
)
def test_every_answer_has_the_headers_that_keep_browsers_in_bounds(app, path):
    for headers in ({}, bearer(READER), {"Host": "evil.example"}):
        answer = app.test_client().get(path, headers=headers, buffered=True)
        for name, value in edge.HEADERS:
            assert answer.headers.getlist(name) == [value]
        assert ("no-store" in answer.headers.get("Cache-Control", "")) == (not path.startswith("/static/"))
        assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_X", True), ("a" * 65, False), ("a b", False), ("<x>", False)])
def test_every_answer_names_its_request_and_every_error_says_it(app, given, kept):
    answers = [app.test_client().get(path, headers={"X-Request-Id": given}) for path in ("/scoring", "/healthz")]
    named = [answer.headers["X-Request-Id"] for answer in answers]
    assert [name == given for name in named] == [kept, kept]
    assert answers[0].json["error"]["request_id"] == named[0]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) for name in named)


def test_people_get_a_page_where_programs_get_json(open_app):
    client = open_app.test_client()
    page = client.get("/products/nothing/", headers={"Accept": "text/html"})
    browser = client.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    for answer in (page, browser):
        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert answer.headers["X-Request-Id"] in answer.text
    assert client.get("/nothing", headers={"Accept": "*/*"}).json["error"]["status"] == 404


def test_a_bug_says_nothing_of_the_inside(product, caplog):
    broken = app_module.create_app(product.config_path)
    broken.add_url_rule("/bug", view_func=access.scope("public")(lambda: {}["a secret"]))
    for accept in ("application/json", "text/html"):
        answer = broken.test_client().get("/bug", headers={"Accept": accept})
        assert answer.status_code == 500
        assert "a secret" not in answer.text
        assert answer.headers["X-Request-Id"] in answer.text
        assert answer.headers["X-Request-Id"] in caplog.text
    assert "KeyError" in caplog.text
