"""Call every endpoint of the running app (`make serve`) and save the answers in logs/apireturns.txt beside the config.

What there is to call the app says itself, in /openapi.json; each answer is held against that document. A prediction is
asked for a file of the product's test folder or, where there is none, for a few ingested rows; nothing is written.
Exit code 1 when a call fails, or an answer is not of the form that the document gives it.
"""

import argparse
import csv
import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from churn import config, idle, stage, storage
from churn.config import Product
from churn.errors import ChurnError, DataError

ANSWERS = "apireturns.txt"
URL = "http://127.0.0.1:8000"
TOKEN = "CHURN_TOKEN"
DOCUMENT = "/openapi.json"
TIMEOUT = (5, 60)  # seconds to connect, and to wait for an answer
FEW = 5
WIDTH = 110
NOT_LISTENING = "nothing listens there; run: make serve"


@dataclass(frozen=True)
class Answer:
    """What came of one call; `status` is None when there was no answer, and `text` then says why."""

    call: str
    status: int | None
    seconds: float
    text: str
    fault: str = ""  # what is wrong with the answer; "": it is as the document says

    @property
    def cells(self) -> list[str]:
        """The call as a row of the table."""
        time = f"{self.seconds * 1000:.0f} ms" if self.status is not None else ""
        return [self.call, str(self.status or "none"), time, "yes" if not self.fault else f"no: {self.fault}"[:WIDTH]]


class Caller:
    """Asks one app as its document says."""

    def __init__(self, session: requests.Session, url: str, token: str | None) -> None:
        self.session, self.url = session, url
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        self.document: dict[str, Any] = {}

    def learn(self) -> Answer:
        """Ask for the document."""
        answer = self._send("GET", DOCUMENT, {})
        if not answer.fault:
            try:
                self.document = json.loads(answer.text)
            except json.JSONDecodeError:
                return Answer(answer.call, answer.status, answer.seconds, answer.text, "no JSON")
        return answer

    def call_all(self, product: Product, *, with_general: bool) -> Iterator[Answer]:
        """Call every endpoint for a product; `with_general`: also those that are about no product.

        Raises:
            DataError: there is nothing to ask a prediction for.
        """
        client = None
        for path, methods in self.document["paths"].items():
            for method, described in methods.items():
                takes = {one["name"] for one in described.get("parameters", ())}
                if path == DOCUMENT or not ("product" in takes or "requestBody" in described or with_general):
                    continue
                options = {"params": {"product": product.name}} if "product" in takes else {}
                place = path
                if "client" in takes:
                    if client is None:
                        continue  # there is none yet
                    place = path.replace("{client}", requests.utils.quote(client, safe=""))
                if "requestBody" in described:
                    options["json"] = body(product, described["operationId"])
                answer = self._send(method.upper(), place, options, path, described)
                if path == "/clients" and not answer.fault:
                    client = next((one["client"] for one in json.loads(answer.text)["clients"]), None)
                yield answer

    def _send(
        self,
        method: str,
        place: str,
        options: Mapping[str, Any],
        path: str | None = None,
        described: Mapping[str, Any] | None = None,
    ) -> Answer:
        product = options.get("params", {}).get("product")
        call = f"{method} {self.url}{path or place}" + (f"?product={product}" if product else "")
        try:
            answer = self.session.request(method, f"{self.url}{place}", timeout=TIMEOUT, **options)
        except requests.ConnectionError:
            return Answer(call, None, 0.0, NOT_LISTENING, NOT_LISTENING)
        except requests.RequestException as error:
            return Answer(call, None, 0.0, str(error), str(error))
        fault = ""
        if answer.status_code != requests.codes.ok:
            fault = " ".join(answer.text.split())
        elif described is not None:
            fault = fault_of(answer, described, self.document)
        return Answer(call, answer.status_code, answer.elapsed.total_seconds(), answer.text, fault)


def fault_of(answer: requests.Response, described: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """How an answer differs from what the document says of its operation; "": not at all."""
    import jsonschema_rs

    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    content = described["responses"].get(str(answer.status_code), {}).get("content", {})
    if kind not in content:
        return f"{kind or 'no content type'}, not {' or '.join(content)}"
    if kind != "application/json":
        return ""
    schema = content[kind]["schema"] | {"components": document["components"]}
    try:
        value = json.loads(answer.text)
    except json.JSONDecodeError as error:
        return f"no JSON: {error}"
    found = next(jsonschema_rs.Draft202012Validator(schema).iter_errors(value), None)
    return f"{'.'.join(map(str, found.instance_path)) or 'the answer'}: {found.message}" if found else ""


# ---- what is asked ---------------------------------------------------------------------------------------------------


def body(product: Product, operation: str) -> dict[str, Any]:
    """A request that changes nothing.

    Raises:
        DataError: there are no rows to ask for.
    """
    if operation == "outcomes":
        return {"outcomes": [], "contacts": []}
    files = [path for path in sorted(product.test.glob("[!.]*.csv")) if path.is_file() and not path.is_symlink()]
    # The smallest, as this is a test of the app and not of its patience.
    smallest = min(files, key=lambda path: path.stat().st_size) if files else None
    if smallest is not None and operation == "prediction":
        return {"dataset_path": smallest.name}
    stored = smallest or product.ingested / "finaldata.csv"
    if not stored.is_file():
        raise DataError(f"{product.name}: neither a test file nor ingested data; run: python fullprocess.py")
    with stored.open(newline="", encoding="utf-8-sig") as rows:
        return {"rows": list(itertools.islice(csv.DictReader(rows), FEW))}


# ---- what is told ----------------------------------------------------------------------------------------------------


def table(answers: Sequence[Answer]) -> str:
    """All calls for the screen."""
    from prettytable import PrettyTable

    made = PrettyTable(["call", "status", "time", "as documented"], align="l")
    made.add_rows([answer.cells for answer in answers])
    return made.get_string()


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
    """Call, print a table of the calls, save the answers; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL, help=f"where the app listens (default: {URL})")
    parser.add_argument("--product", metavar="NAME", help="only this product (default: all in the config)")
    parser.add_argument("--token", help=f"where the app asks for one; better in {TOKEN}, which nobody sees in a list")
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
        names = [options.product] if options.product else list(products)
        with requests.Session() as session:
            caller = Caller(session, options.url.rstrip("/"), options.token or os.environ.get(TOKEN))
            answers.append(caller.learn())
            for name in names if caller.document else ():
                answers += caller.call_all(products[name], with_general=name == names[0])
    except ChurnError as error:
        trouble = f"not done: {error}"
    path = Path(idle.logs_beside(str(options.config.resolve()))) / ANSWERS
    if answers:
        storage.write(path, report(answers))
        print(table(answers))
    print(trouble or f"the answers are in {path}")
    return 0 if answers and not trouble and not any(answer.fault for answer in answers) else 1


if __name__ == "__main__":
    sys.exit(main())
