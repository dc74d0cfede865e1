"""Replay drops, one at a time, under a product's policy: what it would have done, and what else could have been done.

Each file is dropped into a scratch folder and fullprocess.py runs there as cron would run it; nothing else is touched.
A line a drop says what the model in production scored on it before anything trained on it, the verdict, the brief's
rule beside it, what was done and why. At the end a picture (replay.png) and its numbers (replay.csv) compare the
policy with never retraining (the first model, kept) and with always retraining (on all rows, after every drop).

    python demo/replay.py        twelve fabricated months, with drift in the seventh: about three minutes
    python demo/replay.py --config config.json --product telco --drops sourcedata/telco

Models are chosen without an eye on the clock (whatever tuning_seconds says, but for 0), so that a slow machine gets the
numbers of a fast one. Interrupted, it leaves the picture of the drops that it has done. Exit codes: 0 done, 1 something
you can fix, 130 interrupted.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from churn import dataset, decisions, releases, storage
from churn.config import Product
from churn.errors import ChurnError
from churn.settings import Drift
from demo import curves, fabricate, replay_lines
from demo.policies import Policies
from demo.replay_lines import Step
from demo.replay_setup import Drops, asked_for, prepare

POLICIES = get_args(Drift.model_fields["policy"].annotation)
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Replay as the arguments say; the exit code."""
    options = arguments().parse_args(argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as churn/stage.py does, and for the same reason
    made = None
    try:
        product, drops = asked_for(options)
        made = options.keep or Path(tempfile.mkdtemp(prefix="churn-replay-"))
        own = prepare(made.resolve(), product, options.policy, with_tests=options.drops is not None)
        return replay(own, drops, options.out)
    except (ChurnError, fabricate.Refused, OSError) as error:
        print(f"replay.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        if made and not options.keep:
            shutil.rmtree(made, ignore_errors=True)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="replay.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config", type=Path, default=HOME / "config.json", metavar="FILE", help="default: config.json")
    add("--product", metavar="NAME", help="of the config (default: its first, for fabricated drops one they fit)")
    add("--drops", type=Path, metavar="DIR", help="its CSV files in the order of their names, 2 before 10")
    add("--policy", choices=POLICIES, help="in place of the config's")
    add("--out", type=Path, default=Path("replay"), metavar="DIR", help="for the picture (default: replay)")
    add("--keep", type=Path, metavar="DIR", help="work in this new folder and leave it there, reports and all")
    add = parser.add_argument_group("without --drops, fabricated ones").add_argument
    add("--clients", type=int, default=2_000, help="in a month (default: 2000)")
    add("--months", type=int, default=12, help="default: 12")
    add("--drift", default="relation", choices=get_args(fabricate.Kind), help="what changes (default: relation)")
    add("--since", type=int, default=7, help="the first month with the drift (default: 7)")
    add("--seed", type=int, default=7, help="another seed, another world (default: 7)")
    return parser


def replay(product: Product, drops: Drops, out: Path) -> int:
    """Run drop after drop, print a line each, and leave the picture of those that were done; the exit code.

    Raises:
        ChurnError: a tick failed, or there is nothing to compare.
    """
    policy = product.settings.drift.policy
    print(f"{product.name}, policy {policy}, {len(drops.files)} drops\n{replay_lines.head()}", flush=True)
    done: list[Step] = []
    trouble: ChurnError | None = None
    code = 0
    try:
        for step in steps(product, drops):
            done.append(step)
            print(replay_lines.line(step), flush=True)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        code = INTERRUPTED
    except ChurnError as error:
        trouble = error
    found = curves.table(done, drops.best, decisions.suspects(product))
    if found["policy_f1"].notna().any():
        picture = curves.picture(found, product.name, policy, drops.change)
        numbers = found.to_csv(index=False, lineterminator="\n")
        for name, content in (("replay.png", picture), ("replay.csv", numbers)):
            storage.write(out / name, content)
            print(f"wrote {out / name}")
        print(f"{product.name}: {curves.headline(found, policy)}")
    elif not (trouble or code):
        trouble = ChurnError(nothing_to_compare(product, done))
    if trouble:
        raise trouble
    return code


def steps(product: Product, drops: Drops) -> Iterator[Step]:
    """What became of each drop, as it happens."""
    policies = Policies(product)
    for place, (label, put) in enumerate(drops.files, start=1):
        _progress(f"{label}: {place} of {len(drops.files)} ...")
        put(product.source / label)
        done = step(product, label, policies)
        _progress("")
        yield done


def step(product: Product, label: str, policies: Policies) -> Step:
    """Run a tick on a drop that has just come; what it came to."""
    judgements, made = len(decisions.judgements(product)), len(decisions.read(product))
    code, said = tick(product, label)
    number, aside = arrived(product, label)
    if code and not aside:
        print(f"{label}: {said}", file=sys.stderr, flush=True)
    if number is not None:
        policies.meet(number)
    policies.learn()
    judged = [line for line in decisions.judgements(product)[judgements:] if line["seen"]["drop"] == number]
    judgement = judged[0] if judged else None
    known = judgement and judgement["scores"] and judgement["scores"]["roc_auc"] is not None
    return Step(
        label,
        judgement,
        next(iter(decisions.read(product)[made:][-1:]), None),
        aside,
        releases.current_version(product),
        policies.scores(judgement["drops"]) if known else {},
    )


def tick(product: Product, label: str) -> tuple[int, str]:
    """Run fullprocess.py as cron would; its exit code (0, or 1 when something could not be done) and its last line.

    Raises:
        ChurnError: it failed.
    """
    command = [sys.executable, str(HOME / "fullprocess.py"), "--config", str(product.config_path)]
    # What is replayed goes into no history but that of the scratch folder.
    environment = {name: value for name, value in os.environ.items() if name != "CHURN_HISTORY_URL"}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="backslashreplace", env=environment, check=False
    )
    if done.returncode not in (0, 1):
        raise ChurnError(
            f"{label}: fullprocess.py ended with exit code {done.returncode}; replay with --keep DIR to look into its "
            f"folder. It said:\n{done.stdout}{done.stderr}"
        )
    return done.returncode, next(iter(done.stdout.splitlines()[-1:]), "").removeprefix(f"{product.name}: ")


def arrived(product: Product, label: str) -> tuple[int | None, str]:
    """The number of the drop that a file became, or why it became none."""
    for drop in dataset.load_record(product).drops:
        if drop.name == label:
            return (drop.number, "") if drop.status == dataset.INGESTED else (None, drop.reason or "it cannot be used")
        if label in [look.name for look in drop.also]:
            return None, f"the same content as {drop.name}"
    return None, "it was not ingested"


def nothing_to_compare(product: Product, done: list[Step]) -> str:
    """Why there is no picture, and what mends it."""
    aside = [one for one in done if one.aside]
    if len(aside) == len(done):
        return (
            f"no drop could be used; {aside[0].label}: {aside[0].aside}; name the product whose columns they have with "
            f"--product, or mend its columns in the config ({product.name} was replayed)"
        )
    if releases.current_version(product) is None:
        return "no model was ever deployed, so there is nothing to compare: the lines above say why"
    return "no drop after the first model has enough labels of both kinds, so there is nothing to compare; add drops"


def _progress(text: str) -> None:
    """Show what is at work on a terminal; the next text takes its place."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
