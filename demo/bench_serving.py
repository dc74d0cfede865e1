"""Measure predictions over HTTP beside an empty Flask route, a usual Flask app, and `mlflow models serve`.

Each side runs with two workers on this machine and is asked by wrk (a Debian package), the sides in turn; the best of
the rounds counts. Ours is what a user gets: the token is compared, the request checked against the column contract,
the answer counted and logged. The empty route runs under the same gunicorn settings and does nothing. The usual app
makes a DataFrame of the rows for a pipeline like that of scikit-learn's own example of mixed types: imputed and scaled
numbers, one-hot categories, LogisticRegression. MLflow gets that pipeline and an environment of its own (in a scratch
folder; minutes, and 1 GB from PyPI).

    python demo/bench_serving.py [--quick]
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from demo import bench_servers as servers
from demo.bench_servers import Side

CONNECTIONS = 16
CLIENTS, MANY = 5_000, 1_000  # rows to train on, and of the larger request
FIRST_PORT = 18_000


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def peers(self) -> bool:
        """Whether MLflow is installed to be measured beside it."""

    @property
    def designs(self) -> Sequence[str]:
        """The kinds of model."""

    @property
    def http_seconds(self) -> int:
        """How long each side is asked in a round."""

    @property
    def http_rounds(self) -> int:
        """How often each side is asked."""


def serving(scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """Requests a second for one row and for many: ours with each kind of model, and the others."""
    if not shutil.which("wrk"):
        raise RuntimeError("wrk is not here; install it with: apt-get install wrk")
    frame = servers.rows(CLIENTS)
    sides = [
        servers.empty(scratch),
        *(servers.ours(scratch, name.lower(), frame) for name in size.designs),
        servers.usual(scratch, frame),
    ]
    trouble = ""
    if size.peers:
        try:
            sides.append(servers.mlflow(scratch))
        except RuntimeError as error:
            trouble = str(error)
    features = [*servers.NUMBERS, *servers.CATEGORIES]
    posted = json.loads(frame[features].head(MANY).to_json(orient="records"))
    for title, found in measured(scratch, sides, {"one row": posted[:1], f"{MANY:,} rows": posted}, size).items():
        yield from lines(title, found, trouble)


# ---- asking ----------------------------------------------------------------------------------------------------------


def measured(
    scratch: Path, sides: Sequence[Side], posted: Mapping[str, list[dict[str, Any]]], size: Sized
) -> dict[str, dict[str, float]]:
    """For each title, the most requests with its rows that each side answered in a second of a round, all of them well.

    The empty route is asked with the first rows only: it leaves them unread, and whoever is still sending when the
    answer comes meets a closed connection.
    """
    best: dict[str, dict[str, float]] = {title: {} for title in posted}
    for turn in range(size.http_rounds):
        for i, side in enumerate(sides):
            with servers.started(scratch, side, FIRST_PORT + 20 * turn + i) as (address, _):
                for title in list(posted)[: 1 if side.name == servers.EMPTY_NAME else None]:
                    rate = _asked(scratch, side, address + side.path, posted[title], size.http_seconds)
                    best[title][side.name] = max(rate, best[title].get(side.name, 0.0))
    return best


def _asked(scratch: Path, side: Side, url: str, posted: list[dict[str, Any]], seconds: int) -> float:
    body = json.dumps({side.key: posted})
    headers = {"Content-Type": "application/json", **side.headers}
    with servers.session() as session:
        session.post(url, data=body, headers=headers).raise_for_status()
    script = scratch / "post.lua"
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    script.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = [==[{body}]==]", *lines]))
    for duration in (1, seconds) if seconds > 1 else (seconds,):  # first to warm up
        command = ["wrk", "-t", "2", "-c", str(CONNECTIONS), "-d", f"{duration}s", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if bad := re.search(r"(Non-2xx.*|Socket errors.*)", said):
        raise RuntimeError(f"{side.name}: {bad[0]}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])


WANTED = {
    ("one row", "ours, logistic"): (">= 0.5 x the empty route", ">= 10 x the usual app"),
    ("one row", "ours, lightgbm"): (">= 0.35 x the empty route", ""),
    (f"{MANY:,} rows", "ours, logistic"): ("", ">= 4 x the usual app"),
}


def lines(title: str, found: Mapping[str, float], trouble: str) -> Iterator[tuple[str, ...]]:
    """How fast each side was, beside the two that all are held against; and why MLflow is not there, if it is not."""
    beside = {"the empty route": servers.EMPTY_NAME, "the usual app": servers.USUAL_NAME}
    for name, rate in found.items():
        ratios = ", ".join(f"{rate / found[side]:.2f} x {said}" for said, side in beside.items() if side in found)
        wanted = " and ".join(filter(None, WANTED.get((title, name), ())))
        yield (f"{title}: {name}", "", f"{rate:,.0f} a second", ratios, wanted)
    if trouble:
        yield (f"{title}: mlflow models serve", trouble, "", "", "")


@dataclass(frozen=True)
class Size:
    """How long is measured, and whether beside MLflow."""

    peers: bool
    designs: Sequence[str]
    http_seconds: int
    http_rounds: int


def main(argv: list[str] | None = None) -> int:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a second each and without MLflow: whether it works")
    options = parser.parse_args(argv)
    size = Size(False, ("logistic",), 1, 1) if options.quick else Size(True, ("logistic", "LightGBM"), 8, 2)
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as scratch:
        for line in serving(Path(scratch), [], size):
            print("; ".join(text for text in line if text), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
