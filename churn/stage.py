"""Arguments, logging, lock, run record and exit code for every script.

Exit codes: 0 done, 1 something the user can fix, 3 a bug (with its traceback), 75 another run holds the lock.
One product that fails does not stop the others; the worst outcome gives the code.
"""

import argparse
import errno
import gc
import io
import json
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from churn import config, storage
from churn.config import Product
from churn.errors import ChurnError, LockedError, QuarantineError

logger = logging.getLogger(__name__)

DONE, FIXABLE, BUG, LOCKED = 0, 1, 3, 75
OUTCOMES = {DONE: "done", FIXABLE: "fixable", BUG: "bug", None: "stopped"}  # as runs.jsonl has them
# When to look for garbage: Python's own 700 objects take an eighth of a tick, for much is made and little is garbage.
GARBAGE = 50_000, 20, 100
HOME = Path(__file__).resolve().parent.parent
Verb = Callable[..., str]


@dataclass(frozen=True)
class Outcome:
    """What became of a step: its exit code (None: it was stopped), and what there is to say."""

    code: int | None
    text: str = ""
    all_else_done: bool = False  # drops were set aside, and nothing else went wrong


@dataclass(frozen=True)
class Argument:
    """One more argument of a script; `kind` says what becomes of it (see the three functions below)."""

    flag: str
    kind: str
    run: Callable[..., str] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The keyword under which argparse stores it."""
        return self.flag.lstrip("-").replace("-", "_")


def argument(flag: str, **options: Any) -> Argument:
    """An argument that the script's verb gets as a keyword."""
    return Argument(flag, "argument", options=options)


def view(flag: str, function: Verb, **options: Any) -> Argument:
    """A flag that runs `function` on each product instead of the verb: it changes no file, so without the lock."""
    return Argument(flag, "view", function, options or {"action": "store_true"})


def command(flag: str, function: Callable[[argparse.Namespace], str], **options: Any) -> Argument:
    """A flag that runs `function` once, with the arguments and without any config; it prints what that returns."""
    return Argument(flag, "command", function, options or {"action": "store_true"})


def main(verb: Verb, *arguments: Argument, argv: Sequence[str] | None = None) -> int:
    """Run a stage's verb for the products asked for; its exit code.

    The verb takes a Product (and the script's own arguments) and returns what happened in a line, which is
    printed as `<product>: <line>`.
    """
    script = Path(sys.modules[verb.__module__].__file__ or verb.__module__).stem
    parser = argparse.ArgumentParser(
        prog=f"{script}.py",
        description=sys.modules[verb.__module__].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--product", metavar="NAME", help="only this product (default: all in the config)")
    parser.add_argument(
        "--config", type=Path, default=HOME / "config.json", metavar="FILE", help="default: config.json"
    )
    for extra in arguments:
        parser.add_argument(extra.flag, **extra.options)
    options = parser.parse_args(argv)
    # Given, if only as "": `--at "$DATE"` without a date must not fall through to the verb.
    given = [a for a in arguments if getattr(options, a.name) not in (None, False)]
    chosen = next((a for a in given if a.kind != "argument"), None)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name of odd bytes must not end a run
    # Before LightGBM is loaded: threads that spin while they wait make a fit on a busy machine forty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.set_threshold(*GARBAGE)  # packages are imported from here on
    with _logging_to_stderr():
        if chosen and chosen.kind == "command":
            return _said(_attempt(lambda: Outcome(DONE, chosen.run(options))))
        keywords = {a.name: getattr(options, a.name) for a in arguments if a.kind == "argument"}
        if chosen:
            verb = chosen.run
            keywords = {} if getattr(options, chosen.name) is True else {chosen.name: getattr(options, chosen.name)}
        return run(verb, options.config, options.product, keywords, script, reads_only=bool(chosen))


def run(
    verb: Verb,
    config_path: Path,
    only: str | None,
    keywords: dict[str, Any],
    script: str,
    *,
    reads_only: bool = False,
) -> int:
    """Run a verb over the products of a config; the worst exit code."""
    products: dict[str, Product] = {}

    def load() -> Outcome:
        products.update(_chosen(config.load(config_path), only, config_path))
        return Outcome(DONE)

    loaded = _attempt(load)
    if loaded.code != DONE:
        return _said(loaded)
    step = _plain if reads_only else _recorded
    codes = []
    for name, product in products.items():
        codes.append(_said(_attempt(lambda p=product: step(verb, p, keywords, script), name), name))
    return max(codes, key=[DONE, LOCKED, FIXABLE, BUG].index)


def _chosen(products: dict[str, Product], only: str | None, path: Path) -> dict[str, Product]:
    if only is None:
        return products
    if only not in products:
        raise ChurnError(f"{path}: no product {only!r}; it has {', '.join(products)}")
    return {only: products[only]}


def _plain(verb: Verb, product: Product, keywords: dict[str, Any], _script: str) -> Outcome:
    return Outcome(DONE, verb(product, **keywords))


def _recorded(verb: Verb, product: Product, keywords: dict[str, Any], script: str) -> Outcome:
    """Run a verb under the product's lock, with its log, and leave a line in runs.jsonl."""
    with storage.locked(product.logs / "lock", product.name), _logging_to_file(product):
        began, clock, outcome = utc_now(), time.perf_counter(), Outcome(None)
        try:
            # Here, and not only outside: its log is to have the error too.
            outcome = _attempt(lambda: _plain(verb, product, keywords, script), product.name)
        finally:
            seconds = round(time.perf_counter() - clock, 3)
            line = {"at": began, "script": script, "outcome": OUTCOMES[outcome.code], "seconds": seconds}
            line["text"] = outcome.text
            storage.append_line(product.logs / "runs.jsonl", json.dumps(line, ensure_ascii=False))
    return outcome


def _attempt(step: Callable[[], Outcome], product: str = "") -> Outcome:
    """Do a step; what it raises is logged and becomes an outcome."""
    where = f"{product}: " if product else ""
    try:
        return step()
    except LockedError as error:
        return Outcome(LOCKED, str(error))
    except (ChurnError, OSError) as error:
        text = str(error) if isinstance(error, ChurnError) else _of_the_system(error)
        logger.error("%s%s", where, text)
        return Outcome(FIXABLE, text, isinstance(error, QuarantineError))
    except Exception:  # noqa: BLE001  the outermost boundary: a bug in one product must not stop the others
        logger.exception("%sa bug: please report it with this traceback", where)
        return Outcome(BUG, "a bug; the traceback is in the log")


def _of_the_system(error: OSError) -> str:
    """What the operating system refused, on which file, and what to do."""
    remedies = {
        errno.ENOSPC: "free space on that disk, and run again",
        errno.EDQUOT: "free space on that disk, and run again",
        errno.EROFS: "mount it for writing",
        errno.EACCES: "mend its permissions",
        errno.EEXIST: "a file stands where a folder belongs; move it away",
        errno.ENOTDIR: "a file stands where a folder belongs; move it away",
    }
    place = f"{error.filename}: " if error.filename else ""
    remedy = remedies.get(error.errno, "see to it")
    return f"{place}{error.strerror or error}; {remedy}. Nothing that was complete is lost"


def _said(outcome: Outcome, product: str = "") -> int:
    """Print an outcome, its first line last: that is the one which says what happened; return its exit code."""
    where = f"{product}: " if product and outcome.code != LOCKED else ""  # the lock's message names it
    failed = "not done: " if outcome.code in (FIXABLE, BUG) and not outcome.all_else_done else ""
    first, *details = outcome.text.split("\n")
    print("\n".join([*details, f"{where}{failed}{first}"]), flush=True)
    return outcome.code


def utc_now() -> str:
    """The time now, UTC, to the second, as every record of this system writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def formatter() -> logging.Formatter:
    """How a log line looks: its time is UTC."""
    lines = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    lines.converter = time.gmtime
    return lines


class _handling:  # noqa: N801  reads as a statement: with _handling(...)
    """Attach a handler to the root logger for the length of a block."""

    def __init__(self, handler: logging.Handler) -> None:
        self.handler = handler
        handler.setFormatter(formatter())

    def __enter__(self) -> None:
        root = logging.getLogger()
        root.addHandler(self.handler)
        root.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self.handler)
        self.handler.close()


def _logging_to_stderr() -> _handling:
    return _handling(logging.StreamHandler())


def _logging_to_file(product: Product) -> _handling:
    product.logs.mkdir(parents=True, exist_ok=True)
    path = product.logs / "churn.log"
    options = {"maxBytes": 5_000_000, "backupCount": 3, "encoding": "utf-8", "errors": "backslashreplace"}
    return _handling(logging.handlers.RotatingFileHandler(path, **options))
