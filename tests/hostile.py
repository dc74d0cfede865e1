"""Requests that want from the app what it must not give, and the place where they are tried.

PATHS and BODIES are sent to POST /prediction, REQUESTS wherever they say. `lay_out` makes the files that they aim at;
each of those holds MARKER, which no answer may contain.
"""

import json
import os
from pathlib import Path
from typing import Any

MARKER = "SECRET7f3a"
HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
SECRET = f"{HEADER}{MARKER},1,2,3,0\n"  # it would be predicted on, and named, if it were read
OUTSIDE = "{outside}"  # stands for the absolute path of a folder outside everything
ROW: dict[str, Any] = {"lastmonth_activity": 1, "lastyear_activity": 2, "number_of_employees": 3}


def lay_out(home: Path, test: Path) -> Path:
    """Put what the paths aim at around and into a product's test folder; the folder outside, beside `home`."""
    outside = home.parent / "outside"
    (home.parent / "outside").mkdir()
    (home / "logs" / "corporate").mkdir(parents=True, exist_ok=True)
    (test.parent / "other").mkdir()
    (test / ".git").mkdir()
    (test / "folder.csv").mkdir()
    secrets = [outside / "secret.csv", home / "private.csv", home / "logs" / "corporate" / "runs.csv"]
    secrets += [test.parent / "other" / "clients.csv", test / ".hidden.csv", test / ".git" / "secret.csv"]
    secrets += [test / "notes.txt", test / "clients.csv.bak"]
    for path in secrets:
        path.write_text(SECRET)
    (test / "link.csv").symlink_to(outside / "secret.csv")
    (test / "inner.csv").symlink_to("clients.csv")
    (test / "linked").symlink_to(outside, target_is_directory=True)
    (test / "dangling.csv").symlink_to(outside / "nothing.csv")
    os.mkfifo(test / "pipe.csv")
    return outside


INSIDE = "testdata/corporate"
# Every one of these gets the answer that a file that does not exist gets.
PATHS = {
    "parent": "../outside/secret.csv",
    "absolute": f"{OUTSIDE}/secret.csv",
    "out and in": f"{INSIDE}/../../private.csv",
    "out of the product": f"{INSIDE}/../other/clients.csv",
    "other product": "testdata/other/clients.csv",
    "beside the config": "private.csv",
    "the config": "config.json",
    "logs": "logs/corporate/runs.csv",
    "link to a file": f"{INSIDE}/link.csv",
    "link that stays inside": "inner.csv",
    "link to a folder": f"{INSIDE}/linked/secret.csv",
    "dangling link": "dangling.csv",
    "hidden": f"{INSIDE}/.hidden.csv",
    "in a hidden folder": f"{INSIDE}/.git/secret.csv",
    "no CSV by name": f"{INSIDE}/notes.txt",
    "backup": f"{INSIDE}/clients.csv.bak",
    "pipe": f"{INSIDE}/pipe.csv",
    "folder": f"{INSIDE}/folder.csv",
    "the folder itself": INSIDE,
    "below a file": "clients.csv/secret.csv",
    "slash at the end": "clients.csv/",
    "NUL": f"{OUTSIDE}/secret.csv\0.csv",
    "NUL inside": "clients\0.csv",
    "file URL": f"file://{OUTSIDE}/secret.csv",
    "http URL": "http://127.0.0.1:9/secret.csv",
    "s3 URL": "s3://bucket/secret.csv",
    "doubled slash": f"{INSIDE}//clients.csv",
    "dot": f"./{INSIDE}/clients.csv",
    "backslashes": "..\\outside\\secret.csv",
    "percent-encoded": "%2e%2e/outside/secret.csv",
    "wildcard": f"{INSIDE}/*.csv",
    "process": "/proc/self/cwd/private.csv",
    "descriptor": "/dev/fd/3.csv",
    "home": "~/secret.csv",
    "SQL": f"x'); COPY (SELECT 1) TO '{OUTSIDE}/made.csv",
    "shell": "$(cat /etc/passwd).csv",
    "empty": "",
    "long name": "a" * 300 + ".csv",
    "deep": "a/" * 500 + "x.csv",
}


def _rows(**values: Any) -> bytes:
    return json.dumps({"rows": [ROW, ROW | values]}).encode()


def _raw(value: str) -> bytes:
    return (
        b'{"rows": [{"lastmonth_activity": ' + value.encode() + b', "lastyear_activity": 2, "number_of_employees": 3}]}'
    )


# name -> (body, status, what the message must say)
BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "Invalid JSON"),
    "half": (b'{"rows": [', 400, "Invalid JSON"),
    "not UTF-8": (b'{"dataset_path": "\xff\xfe"}', 400, "Invalid JSON"),
    "UTF-16": (json.dumps({"rows": [ROW]}).encode("utf-16"), 400, "Invalid JSON"),
    "half a surrogate": (b'{"dataset_path": "\\ud800.csv"}', 400, "Invalid JSON"),
    "deep": (b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "recursion"),
    "deep in a row": (_raw('{"a":' * 50_000 + "1" + "}" * 50_000), 400, "recursion"),
    "5,000 digits": (_raw("9" * 5000), 400, "out of range"),
    "list": (b"[]", 422, "object"),
    "null": (b"null", 422, "object"),
    "no key": (b"{}", 422, "either dataset_path or rows"),
    "both keys": (b'{"dataset_path": "clients.csv", "rows": []}', 422, "either dataset_path or rows"),
    "unknown key": (b'{"rows": [], "threshold": 0}', 422, "threshold"),
    "key of a million letters": (b'{"' + b"k" * 1_000_000 + b'": 1}', 422, "kkk"),
    "path is a number": (b'{"dataset_path": 5}', 422, "dataset_path"),
    "path is a list": (b'{"dataset_path": ["clients.csv"]}', 422, "dataset_path"),
    "path of 2,000 letters": (b'{"dataset_path": "' + b"a" * 2000 + b'.csv"}', 422, "dataset_path"),
    "rows are an object": (b'{"rows": {"lastmonth_activity": 1}}', 422, "rows"),
    "row is a number": (b'{"rows": [{}, 7]}', 422, "row 2"),
    "million numbers": (b'{"rows": [' + b"1," * 1_000_000 + b"1]}", 422, "row 1"),
    "10,001 rows": (b'{"rows": [' + b"{}," * 10_000 + b"{}]}", 422, "10000"),
    "missing column": (b'{"rows": [{"lastmonth_activity": 1}]}', 422, "row 1: missing: lastyear_activity"),
    "text": (_rows(lastmonth_activity="many"), 422, "row 2: lastmonth_activity"),
    "underscore": (_rows(lastmonth_activity="1_000"), 422, "row 2: lastmonth_activity"),
    "hexadecimal": (_rows(lastyear_activity="0x1F"), 422, "row 2: lastyear_activity"),
    "not whole": (_rows(number_of_employees=1.5), 422, "row 2: number_of_employees"),
    "true": (_rows(number_of_employees=True), 422, "row 2: number_of_employees"),
    "list in a row": (_rows(number_of_employees=[1]), 422, "row 2: number_of_employees"),
    "object in a row": (_rows(number_of_employees={"a": 1}), 422, "row 2: number_of_employees"),
    "id is an object": (_rows(corporation={"a": 1}), 422, "row 2: corporation"),
    "NaN": (_raw("NaN"), 422, "row 1: lastmonth_activity"),
    "infinity": (_raw("-Infinity"), 422, "row 1: lastmonth_activity"),
    "1e400": (_raw("1e400"), 422, "row 1: lastmonth_activity"),
    "400 digits": (_raw("9" * 400), 422, "row 1: lastmonth_activity"),
    "9 MB": (b'{"rows": [{"x": "' + b"a" * 9_000_000 + b'"}]}', 413, "at most 8 MB"),
    "30 MB": (b" " * 30_000_000, 413, "at most 8 MB"),
}

# Clients whose names are meant for browsers, spreadsheets, shells and databases.
NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{1337*1001}}",
    "=cmd|'/c calc'!A1",
    "@SUM(1+1)",
    "+1+1",
    "-1+1",
    "a/b?c=d#e",
    "..",
    "' OR 1=1 --",
    "javascript:alert(3)",
]

READ, WRITE, SESSION = "{read}", "{write}", "{session}"  # stand for two tokens and a session cookie of the second
JSON = {"Content-Type": "application/json"}
BEARER, MAY_WRITE, COOKIE = (
    {"Authorization": f"Bearer {READ}"},
    {"Authorization": f"Bearer {WRITE}"},
    {"Cookie": f"churn={SESSION}"},
)
EVIL = "http://evil.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOTHING = b"{}"  # kept: nothing

# name -> (method, address, headers, body, status); Host and Content-Length are added where they are not given
REQUESTS: dict[str, tuple[str, str, dict[str, str], bytes, int]] = {
    # tokens
    "no token": ("GET", "/scoring", {}, b"", 401),
    "no token for a page": ("GET", "/products/corporate/", {}, b"", 303),
    "empty token": ("GET", "/scoring", {"Authorization": "Bearer "}, b"", 401),
    "unknown token": ("GET", "/scoring", {"Authorization": "Bearer churn_" + "a" * 43}, b"", 401),
    "half a token": ("GET", "/scoring", {"Authorization": f"Bearer {READ}x"}, b"", 401),
    "token of a megabyte": ("GET", "/scoring", {"Authorization": "Bearer " + "a" * 5000}, b"", 401),
    "another scheme": ("GET", "/scoring", {"Authorization": f"Basic {READ}"}, b"", 401),
    "token that is no text": ("GET", "/scoring", {"Authorization": "Bearer \xff\xfe"}, b"", 401),
    "token in the address": ("GET", f"/scoring?token={READ}", {}, b"", 401),
    "token in a cookie": ("GET", "/scoring", {"Cookie": f"churn={READ}"}, b"", 401),
    "forged session": ("GET", "/scoring", {"Cookie": "churn=eyJ0b2tlbiI6WyJ3IiwiYSJdfQ.aaaa.bbbb"}, b"", 401),
    "read token writes": ("POST", "/outcomes", BEARER | JSON, NOTHING, 403),
    "read token rolls back": ("POST", "/products/corporate/rollback", BEARER | FORM, b"", 403),
    "this machine through a proxy": ("GET", "/scoring", {"X-Forwarded-For": "127.0.0.1"}, b"", 401),
    # CSRF
    "session without an origin": ("POST", "/outcomes", COOKIE | JSON, NOTHING, 403),
    "session from another site": ("POST", "/outcomes", COOKIE | JSON | {"Sec-Fetch-Site": "cross-site"}, NOTHING, 403),
    "session from a neighbour": ("POST", "/outcomes", COOKIE | JSON | {"Sec-Fetch-Site": "same-site"}, NOTHING, 403),
    "session of another origin": ("POST", "/outcomes", COOKIE | JSON | {"Origin": EVIL}, NOTHING, 403),
    "session of no origin": ("POST", "/outcomes", COOKIE | JSON | {"Origin": "null"}, NOTHING, 403),
    "token of another origin": ("POST", "/outcomes", MAY_WRITE | JSON | {"Origin": EVIL}, NOTHING, 403),
    "origin that begins like ours": (
        "POST",
        "/outcomes",
        COOKIE | JSON | {"Origin": "http://127.0.0.1.evil.example"},
        NOTHING,
        403,
    ),
    "rollback from another site": (
        "POST",
        "/products/corporate/rollback",
        COOKIE | FORM | {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
        b"",
        403,
    ),
    "write by GET": ("GET", "/outcomes", MAY_WRITE, b"", 405),
    "write by another method's name": ("GET", "/outcomes", MAY_WRITE | {"X-HTTP-Method-Override": "POST"}, b"", 405),
    # Host
    "another host": ("GET", "/scoring", BEARER | {"Host": "evil.example"}, b"", 400),
    "host with a name before it": ("GET", "/scoring", BEARER | {"Host": "127.0.0.1@evil.example"}, b"", 400),
    "host that begins like ours": ("GET", "/scoring", BEARER | {"Host": "127.0.0.1.evil.example"}, b"", 400),
    "no host": ("GET", "/scoring", BEARER | {"Host": ""}, b"", 400),
    "host of a proxy": ("GET", "/scoring", BEARER | {"X-Forwarded-Host": "evil.example"}, b"", 200),
    "host in the address": ("GET", "http://evil.example/scoring", BEARER | {"Host": "evil.example"}, b"", 400),
    # addresses
    "slash at the end": ("GET", "/scoring/", BEARER, b"", 404),
    "NUL in the address": ("GET", "/scoring%00", BEARER, b"", 404),
    "up": ("GET", "/scoring/..", BEARER, b"", 404),
    "two slashes": ("GET", "//evil.example/", BEARER, b"", 404),
    "up to a source": ("GET", "/%2e%2e/app.py", BEARER, b"", 404),
    "source by static": ("GET", "/static/..%2fapp.py", {}, b"", 404),
    "source by static, twice encoded": ("GET", "/static/%252e%252e/app.py", {}, b"", 404),
    "absolute by static": ("GET", "/static//etc/passwd", {}, b"", 404),
    "up through the rejects": ("GET", "/products/corporate/rejects/..%2f..%2fprivate.csv", BEARER, b"", 404),
    "absolute rejects": ("GET", "/products/corporate/rejects//etc/passwd", BEARER, b"", 404),
    "client above": ("GET", "/clients/../../private.csv", BEARER, b"", 404),
    "client in SQL": ("GET", "/clients/'%20UNION%20SELECT%201--", BEARER, b"", 404),
    "client of NUL": ("GET", "/clients/%00", BEARER, b"", 404),
    "client of half a letter": ("GET", "/clients/%ed%a0%80", BEARER, b"", 404),
    "search in SQL": ("GET", "/clients?search='%20OR%201=1--", BEARER, b"", 200),
    "search for everything": ("GET", "/clients?search=%25", BEARER, b"", 200),
    "page beyond": ("GET", "/clients?page=99999999999999999999", BEARER, b"", 422),
    "product above": ("GET", "/scoring?product=..%2fother", BEARER, b"", 404),
    "strange method": ("PROPFIND", "/scoring", BEARER, b"", 405),
    "trace": ("TRACE", "/scoring", BEARER, b"", 405),
    # headers
    "header in a client": ("GET", "/clients/a%0d%0aSet-Cookie:%20evil=1", BEARER, b"", 404),
    "header in a product": ("GET", "/scoring?product=a%0d%0aSet-Cookie:%20evil=1", BEARER, b"", 404),
    "header in a page": ("GET", "/products/a%0d%0aSet-Cookie:%20evil=1/", BEARER, b"", 404),
    "header after signing in": ("POST", "/login", FORM, b"token={write}&next=%0d%0aSet-Cookie:%20evil=1", 303),
    "elsewhere after signing in": ("POST", "/login", FORM, b"token={write}&next=//evil.example/", 303),
    "elsewhere, with backslashes": ("POST", "/login", FORM, b"token={write}&next=/%5cevil.example/", 303),
    "wrong token to sign in": ("POST", "/login", FORM, b"token=churn_wrong&next=/", 401),
    "request id of markup": ("GET", "/nothing", BEARER | {"X-Request-Id": "<script>alert(1)</script>"}, b"", 404),
    "request id of a kilobyte": ("GET", "/nothing", BEARER | {"X-Request-Id": "a" * 1000}, b"", 404),
    "theme of a header": ("POST", "/theme", FORM, b"theme=dark%0d%0aevil=1&back=//evil.example", 303),
    # bodies of other endpoints
    "outcomes that are deep": (
        "POST",
        "/outcomes",
        MAY_WRITE | JSON,
        b'{"outcomes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        400,
    ),
    "outcomes of a stranger": (
        "POST",
        "/outcomes",
        MAY_WRITE | JSON,
        b'{"outcomes": [{"client": "SECRET", "left": true}]}',
        422,
    ),
    "outcomes twice in one": ("POST", "/outcomes", MAY_WRITE | JSON, b'{"outcomes": [], "outcomes": []}', 400),
    "outcomes as a form": ("POST", "/outcomes", MAY_WRITE | FORM, b"outcomes=1", 415),
    "explain a file": ("POST", "/explain", BEARER | JSON, b'{"dataset_path": "clients.csv"}', 422),
    "explain a million": ("POST", "/explain", BEARER | JSON, b'{"rows": [' + b"{}," * 1_000_000 + b"{}]}", 422),
    "form of a thousand fields": (
        "POST",
        "/prediction",
        BEARER | FORM,
        b"&".join(b"f%d=1" % i for i in range(20_000)),
        422,
    ),
    "path in a form": ("POST", "/prediction", BEARER | FORM, b"dataset_path=..%2Fprivate.csv", 404),
    "CSV that is gzip": ("POST", "/prediction", BEARER | {"Content-Type": "text/csv"}, b"\x1f\x8b" + b"a" * 100, 422),
    "CSV of NULs": ("POST", "/prediction", BEARER | {"Content-Type": "text/csv"}, b"\0" * 10_000, 422),
    "CSV of one endless line": ("POST", "/prediction", BEARER | {"Content-Type": "text/csv"}, b"a," * 2_000_000, 422),
    "upload without a boundary": ("POST", "/prediction", BEARER | {"Content-Type": "multipart/form-data"}, b"x", 422),
    "upload that never ends": (
        "POST",
        "/prediction",
        BEARER | {"Content-Type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../a.csv"\r\n\r\n' + b"a" * 1000,
        422,
    ),
}
