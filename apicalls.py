"""Call every endpoint of the running app (`make serve`) and save the answers in logs/apireturns.txt beside the config.

The prediction is asked for a file of the product's test folder or, where there is none, for a few ingested rows.
Exit code 1 when a call fails.
"""

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from churn import config, idle, stage, storage
from churn.config import Product
from churn.errors import ChurnError, DataError

ANSWERS = "apireturns.txt"
URL = "http://127.0.0.1:8000"
TIMEOUT = (5, 60)  # seconds to connect, and to wait for an answer
FEW = 5
WIDTH = 110


@dataclass(frozen=True)
class Answer:
    """What came of one call; `status` is None when there was no answer, and `text` then says why."""

    call: str
    status: int | None
    seconds: float
    text: str

    @property
    def line(self) -> str:
        """The call in one line, for the screen."""
        if self.status is None:
            return f"{self.call}: no answer: {self.text}"
        if self.status != requests.codes.ok:
            return f"{self.call}: {self.status}: {' '.join(self.text.split())[:WIDTH]}"
        return f"{self.call}: {self.status} in {self.seconds:.3f} s"


def call_all(product: Product, url: str) -> list[Answer]:
    """Call the four endpoints for one product.

    Raises:
        DataError: there is nothing to ask a prediction for.
    """
    asked = {"params": {"product": product.name}, "timeout": TIMEOUT}
    with requests.Session() as session:
        return [
            _call(session, "POST", f"{url}/prediction", json=_body(product), **asked),
            *(_call(session, "GET", f"{url}/{page}", **asked) for page in ("scoring", "summarystats", "diagnostics")),
        ]


def _call(session: requests.Session, method: str, url: str, **options: Any) -> Answer:
    call = f"{method} {url}?product={options['params']['product']}"
    try:
        answer = session.request(method, url, **options)
    except requests.ConnectionError:
        return Answer(call, None, 0.0, "nothing listens there; run: make serve")
    except requests.RequestException as error:
        return Answer(call, None, 0.0, str(error))
    return Answer(call, answer.status_code, answer.elapsed.total_seconds(), answer.text)


def _body(product: Product) -> dict[str, Any]:
    """A prediction request: for the smallest test file, as this is a test of the app and not of its patience."""
    files = [path for path in sorted(product.test.glob("[!.]*.csv")) if path.is_file() and not path.is_symlink()]
    if files:
        return {"dataset_path": min(files, key=lambda path: path.stat().st_size).name}
    stored = product.ingested / "finaldata.csv"
    if not stored.is_file():
        raise DataError(f"{product.name}: neither a test file nor ingested data; run: python fullprocess.py")
    with stored.open(newline="", encoding="utf-8") as rows:
        return {"rows": list(itertools.islice(csv.DictReader(rows), FEW))}


def report(answers: Sequence[Answer]) -> str:
    """All answers for a person to read: the call, its status, its JSON."""
    parts = [f"{stage.utc_now()}\n"]
    for answer in answers:
        try:
            text = pretty(json.loads(answer.text))
        except json.JSONDecodeError:
            text = answer.text
        parts.append(f"{answer.call}\nstatus {answer.status}, {answer.seconds:.3f} s\n{text}\n")
    return "\n".join(parts)


def pretty(value: Any, indent: str = "") -> str:
    """JSON that is read by people: what fits on a line stands on one, the rest is broken into its items."""
    flat = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or len(indent) + len(flat) <= WIDTH:
        return flat
    inner = f"{indent}  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, inner)}" for key, item in value.items()]
    else:
        items = [pretty(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + ",".join(f"\n{inner}{item}" for item in items) + f"\n{indent}{closing}"


def main(argv: Sequence[str] | None = None) -> int:
    """Call, print a line per call, save the answers; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL, help=f"where the app listens (default: {URL})")
    parser.add_argument("--product", metavar="NAME", help="only this product (default: all in the config)")
    parser.add_argument(
        "--config", type=Path, default=stage.HOME / "config.json", metavar="FILE", help="default: config.json"
    )
    options = parser.parse_args(argv)
    answers: list[Answer] = []
    trouble = ""
    try:
        products = config.load(options.config)
        if options.product not in (None, *products):
            raise ChurnError(f"{options.config}: no product {options.product!r}; it has {', '.join(products)}")
        for name in [options.product] if options.product else products:
            answers += call_all(products[name], options.url.rstrip("/"))
    except ChurnError as error:
        trouble = f"not done: {error}"
    path = Path(idle.logs_beside(str(options.config.resolve()))) / ANSWERS
    if answers:
        storage.write(path, report(answers))
    print("\n".join([*(answer.line for answer in answers), trouble or f"the answers are in {path}"]))
    return 0 if answers and not trouble and all(answer.status == requests.codes.ok for answer in answers) else 1


if __name__ == "__main__":
    sys.exit(main())
