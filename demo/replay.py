"""Replay twelve months of fabricated clients, a drop at a time, with drift in the seventh: what the system does.

Each month's file is dropped into a scratch folder and fullprocess.py runs as cron would run it; a line says what it
decided. "best" is the ROC AUC of the true probabilities, which no model can beat; "deployed" is that of the model
in production on the new month's rows before anything is trained on them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from demo import fabricate

FOLDERS = {
    "input_folder_path": "sourcedata",
    "output_folder_path": "ingesteddata",
    "test_data_path": "testdata",
    "output_model_path": "models",
    "prod_deployment_path": "production_deployment",
}
LINE = "{month:<9} {rows:>7}  {best:>5}  {deployed:>8}  {f1:>6}  {score:>8}  {action:<9} {version:<14} {why}"
HEADINGS = {
    "month": "month",
    "rows": "rows",
    "best": "best",
    "deployed": "deployed",
    "f1": "F1 new",
    "score": "F1 depl.",
}


def main(argv: list[str] | None = None) -> int:
    """Replay as the arguments say; 0, or 1 when a tick failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000, help="clients in a month (default: 10000)")
    parser.add_argument("--months", type=int, default=12, help="default: 12")
    parser.add_argument("--drift", default="relation", choices=("none", "inputs", "relation", "rate"))
    parser.add_argument("--since", type=int, default=7, help="the first month that drifts (default: 7)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", default="logistic", choices=("logistic", "lightgbm"))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this new folder and leave it there")
    options = parser.parse_args(argv)
    scratch = options.keep or Path(tempfile.mkdtemp(prefix="churn-demo-"))
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        return replay(scratch.resolve(), options)
    finally:
        if not options.keep:
            shutil.rmtree(scratch)


def replay(scratch: Path, options: argparse.Namespace) -> int:
    """Run month after month in a folder and print a line each."""
    drift = fabricate.Drift(options.drift, options.since)
    config = prepare(scratch, options)
    print(f"{options.clients:,} clients a month, {options.drift} drift from month {options.since}, in {scratch}")
    print(LINE.format(**HEADINGS, action="decision", version="in production", why="why"), flush=True)
    for month in range(1, options.months + 1):
        frame = fabricate.world(options.clients, month, options.seed, drift)
        name = fabricate.file_name("corporate", month)
        fabricate.save(frame, scratch / "sourcedata" / "corporate" / name)
        tick = [sys.executable, str(HOME / "fullprocess.py"), "--config", str(config)]
        done = subprocess.run(tick, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: exit {done.returncode}\n{done.stdout}{done.stderr}")
            return 1
        best, _ = fabricate.best_possible(frame, drift, month)
        print(line(scratch, month, len(frame), best), flush=True)
    if options.keep:
        print(f"look at {scratch / 'reports' / 'corporate' / 'report.html'}")
    return 0


def prepare(scratch: Path, options: argparse.Namespace) -> Path:
    """Write the config of the replay and its held-out test file, of clients who are in no drop."""
    block = json.loads((HOME / "config.json").read_text())["products"]["corporate"]
    block |= {"model": options.model, "settle_seconds": 0.0, "package_check_days": 0}
    config = scratch / "config.json"
    config.write_text(json.dumps({**FOLDERS, "products": {"corporate": block}}, indent=2))
    for folder in ("sourcedata", "testdata"):
        (scratch / folder / "corporate").mkdir(parents=True, exist_ok=True)
    held_out = fabricate.world(max(options.clients // 3, 300), 1, options.seed, fabricate.Drift(), options.clients)
    fabricate.save(held_out, scratch / "testdata" / "corporate" / "heldout.csv")
    return config


def line(scratch: Path, month: int, rows: int, best: float) -> str:
    """What the newest decision was, as one line of the table."""
    models = scratch / "models" / "corporate"
    decision: dict[str, Any] = json.loads((models / "decisions.jsonl").read_text().splitlines()[-1])
    link = scratch / "production_deployment" / "corporate" / "current"
    new = ((decision["drift"] or {}).get("numbers") or {}).get("new")
    return LINE.format(
        month=fabricate.file_name("", month).strip("-").removesuffix(".csv"),
        rows=f"{rows:,}",
        best=f"{best:.3f}",
        deployed=f"{new['roc_auc']:.3f}" if new else "-",
        f1=f"{new['f1']:.3f}" if new else "-",
        score=f"{decision['drift']['numbers']['deployed_f1']:.3f}" if new else "-",
        action=decision["action"],
        version=link.readlink().name if link.is_symlink() else "nothing yet",
        why=short(decision),
    )


def short(decision: dict[str, Any]) -> str:
    """The reason in a few words: the comparison's numbers, or that there was no drift."""
    promotion = decision["promotion"]
    if not promotion:
        return "no drift by the raw rule" if decision["drift"] else decision["reason"]
    numbers = promotion["numbers"]
    return (
        f"{numbers['metric'].replace('_', ' ')} {numbers['challenger']:.3f} against {numbers['champion']:.3f} "
        f"on {numbers['rows']:,} rows, {numbers['lower']:+.3f} to {numbers['upper']:+.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
