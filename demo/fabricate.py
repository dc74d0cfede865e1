"""Fabricate monthly drops of corporate clients from a known probability of leaving.

Because the probability behind every label is known, so is the best score that any model can reach: it is printed
beside each file. The same arguments give the same bytes. The data in the repository is made, from its root, by

    python demo/fabricate.py --out sourcedata/corporate
    python demo/fabricate.py --out testdata/corporate --clients 3000 --first-client 10000 --name heldout

A client is a number (0, 1, 2, ...), and has the name, the size and the usual activity that belong to its number and
the seed, however many clients are asked for: the held-out clients above live in the same world as the source clients
and are none of them. Every client stands in every month, with new activity and a new label. One that exits is won
back by the next month; without that the loyal ones would be left over and the churn rate would fall month by month,
a drift nobody asked for. About one row in 4,000 is repeated exactly in the next month.

Drift of strength 1, from the month given by --since on; less strength moves proportionally less:

    inputs    clients half as large (37 to 19 employees in the median) and less active; who leaves follows the same
              rule as before, so a model stays right (best AUC .80 to .83, churn 20% to 22%)
    relation  falling activity now says more about the large clients than about the small ones, and much activity
              last year protects no longer: the best model falls from AUC .80 to .70, a new one can reach .78
    rate      everyone is likelier to leave: churn 20% to 30%; the order of the clients stays the same
"""

import argparse
import contextlib
import dataclasses
import os
import sys
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

COLUMNS = ("corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited")
NAMES = 26**4
FIRST_YEAR = 2026
# Each thousand clients has random streams of its own, so that a client does not depend on which others are asked for.
BLOCK = 1_000

Kind = Literal["none", "inputs", "relation", "rate"]


class Refused(ValueError):
    """Something was asked for that cannot be made; the message says what can."""


@dataclasses.dataclass(frozen=True)
class Law:
    """The parameters of the world: of the inputs, then of the log-odds of leaving (see `true_probability`)."""

    size_mean: float = 3.6
    trend_mean: float = -0.1
    intercept: float = -1.496
    trend: float = -1.6
    trend_by_size: float = 0.5
    history: float = -0.6
    size_extremes: float = 0.175
    silence: float = 1.0


# What a drift of strength 1 adds to the law. The intercept of "relation" holds the churn rate at 20%.
DRIFTS: dict[Kind, dict[str, float]] = {
    "none": {},
    "inputs": {"size_mean": -0.65, "trend_mean": 0.1},
    "relation": {"trend_by_size": -1.0, "history": 0.6, "intercept": -0.37},
    "rate": {"intercept": 0.7},
}


@dataclasses.dataclass(frozen=True)
class Drift:
    """A lasting change of the world from month `since` on.

    Raises:
        Refused: for an unknown kind, a month before the first or a strength outside 0 to 3.
    """

    kind: Kind = "none"
    since: int = 1
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in DRIFTS:
            raise Refused(f"drift {self.kind!r} is unknown: choose one of {', '.join(DRIFTS)}")
        if self.since < 1:
            raise Refused(f"drift since month {self.since}: months count from 1, give 1 or more")
        if not 0 <= self.strength <= 3:
            raise Refused(f"drift strength {self.strength}: give a number from 0 to 3")

    def law(self, month: int) -> Law:
        """The law that holds in a month (counted from 1)."""
        base = Law()
        if month < self.since:
            return base
        added = {name: getattr(base, name) + self.strength * by for name, by in DRIFTS[self.kind].items()}
        return dataclasses.replace(base, **added)


def names(first: int, count: int) -> np.ndarray:
    """The four-letter names of clients `first` .. `first + count - 1`, one each, in an order that looks shuffled.

    Two affine permutations of 0 .. 26^4 - 1 with the two halves of the digits exchanged in between: each step is
    one-to-one (the factors share no divisor with 26), so the names are unique.

    Raises:
        Refused: for a number that has no four-letter name.
    """
    if first < 0 or first + count > NAMES:
        raise Refused(
            f"clients {first} to {first + count - 1}: four letters name the {NAMES} clients 0 to {NAMES - 1}; ask for "
            "fewer clients or another first client, and for more months if it is rows that you need"
        )
    # Any offsets would do; with these the 13,000 names in the repository spell nothing rude.
    places = (np.arange(first, first + count) * 170_141 + 90_001) % NAMES
    high, low = np.divmod(places, 26**2)
    places = ((low * 26**2 + high) * 266_897 + 31_340) % NAMES
    letters = places[:, None] // 26 ** np.arange(3, -1, -1) % 26 + ord("a")
    return letters.astype(np.uint8).view("S4").ravel().astype("U4")


def _block(block: int, month: int, seed: int, law: Law) -> np.ndarray:
    """Employees, last year's and last month's activity and a uniform draw: 4 rows of BLOCK clients."""

    def stream(when: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block, when)))

    lasting, monthly = stream(0), stream(month)
    employees = np.exp(law.size_mean + 1.3 * lasting.standard_normal(BLOCK)).round().clip(min=1)
    usual = np.exp(1.2 + 0.8 * lasting.standard_normal(BLOCK)) * employees**0.55
    # The luck that decides on leaving is drawn first: a drift changes the odds of a client and not its luck.
    luck = monthly.random(BLOCK)
    trend = np.exp(law.trend_mean + 0.55 * monthly.standard_normal(BLOCK))
    wobble = monthly.gamma(6, 1 / 6, BLOCK), monthly.gamma(8, 1 / 8, BLOCK)
    lastyear = monthly.poisson(12 * usual * wobble[0])
    lastmonth = monthly.poisson(usual * trend * wobble[1])
    return np.stack([employees, lastyear, lastmonth, luck])


def true_probability(frame: pd.DataFrame, drift: Drift, month: int) -> np.ndarray:
    """The probability of leaving that each row's label was drawn from, shape (rows,)."""
    law = drift.law(month)
    lastmonth, lastyear, employees = (frame[name].to_numpy(np.float64) for name in COLUMNS[1:4])
    ratio = np.log((lastmonth + 1) / (lastyear / 12 + 1))
    size = np.log(employees) - 3.6
    log_odds = (
        law.intercept
        + law.trend * np.tanh(1.5 * (ratio + 0.15)) * (1 - law.trend_by_size * np.tanh(size))
        + law.history * (np.log1p(lastyear) - 4.9) / 1.1
        + law.size_extremes * (size / 1.3) ** 2
        + law.silence * (lastmonth == 0)
    )
    return 1 / (1 + np.exp(-log_odds))


def world(clients: int, month: int, seed: int, drift: Drift, first_client: int = 0) -> pd.DataFrame:
    """One month (counted from 1) of clients `first_client` .. `first_client + clients - 1`, with COLUMNS.

    Raises:
        Refused: when there are no such clients or there is no such month.
    """
    for what, given, least in (("clients", clients, 1), ("month", month, 1), ("seed", seed, 0)):
        if given < least:
            raise Refused(f"{what} {given}: give {least} or more")
    corporation = names(first_client, clients)
    stop = first_client + clients
    first_block = first_client // BLOCK
    blocks = [_block(block, month, seed, drift.law(month)) for block in range(first_block, -(-stop // BLOCK))]
    drawn = np.concatenate(blocks, axis=1)[:, first_client - first_block * BLOCK :][:, :clients]
    employees, lastyear, lastmonth = drawn[:3].astype(np.int64)
    frame = pd.DataFrame(dict(zip(COLUMNS, (corporation, lastmonth, lastyear, employees), strict=False)))
    frame["exited"] = (drawn[3] < true_probability(frame, drift, month)).astype(np.int64)
    return frame


def best_possible(frame: pd.DataFrame, drift: Drift, month: int) -> tuple[float, float]:
    """ROC AUC and average precision of the true probability on these very labels; NaN with one class only."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if frame["exited"].nunique() < 2:
        return float("nan"), float("nan")
    probability = true_probability(frame, drift, month)
    return roc_auc_score(frame["exited"], probability), average_precision_score(frame["exited"], probability)


def file_name(name: str, month: int) -> str:
    """Month 1 is January of FIRST_YEAR, month 13 the January after."""
    return f"{name}-{FIRST_YEAR + (month - 1) // 12}-{(month - 1) % 12 + 1:02d}.csv"


def save(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV under a temporary name and rename it: whoever watches the folder sees all of it or nothing.

    Raises:
        Refused: when the folder cannot be written to.
    """
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(temporary, index=False, lineterminator="\n")
        os.replace(temporary, path)
    except OSError as error:
        raise Refused(f"{error}: give --out a folder that can be written to") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="fabricate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(option: str, default: object, text: str, **more: object) -> None:
        kind = type(default)
        parser.add_argument(option, type=kind, default=default, help=f"{text} (default: %(default)s)", **more)

    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write; made if absent")
    add("--clients", 10_000, "rows in each file", metavar="N")
    add("--months", 2, "number of files", metavar="N")
    add("--first-month", 1, f"1 is January {FIRST_YEAR}, 13 the January after", metavar="M")
    add("--seed", 7, "another seed, another world", metavar="N")
    add("--first-client", 0, "number of the first client", metavar="N")
    add("--drift", "none", "what changes", choices=get_args(Kind))
    add("--since", 7, "the first month with the drift", metavar="M")
    add("--strength", 1.0, "0 is no drift, 3 the most", metavar="X")
    add("--name", "corporate", "files are called NAME-YEAR-MONTH.csv", metavar="NAME")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the files and print a line for each; exit code 1 for what the user can mend."""
    options = arguments().parse_args(argv)
    try:
        if options.months < 1:
            raise Refused(f"--months {options.months}: give 1 or more")
        if not options.name or Path(options.name).name != options.name:
            raise Refused(f"--name {options.name!r}: give a plain file name; the folder goes to --out")
        drift = Drift(options.drift, options.since, options.strength)
        for month in range(options.first_month, options.first_month + options.months):
            frame = world(options.clients, month, options.seed, drift, options.first_client)
            path = options.out / file_name(options.name, month)
            save(frame, path)
            auc, precision = best_possible(frame, drift, month)
            print(
                f"{path}: {len(frame)} rows, churn {frame['exited'].mean():.1%}, "
                f"best possible AUC {auc:.3f}, AP {precision:.3f}",
                flush=True,
            )
    except Refused as error:
        print(f"fabricate.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
