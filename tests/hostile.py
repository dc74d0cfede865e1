"""Paths and bodies that want from POST /prediction what it must not give, and the place where they are tried.

`lay_out` makes the files that they aim at; each of those holds MARKER, which no answer may contain.
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
    "9 MB": (b'{"rows": [{"x": "' + b"a" * 9_000_000 + b'"}]}', 413, "capacity"),
    "30 MB": (b" " * 30_000_000, 413, "capacity"),
}
