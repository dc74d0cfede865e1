"""Make an installation with two products in a scratch folder, serve it, and write screenshots of its pages.

    python demo/screenshots.py --to docs

Nothing outside the scratch folder and the folder of the screenshots is touched. Needs Chromium and the tools of
requirements-dev.txt; takes two minutes.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from churn import config, stage
from churn.history.store import connect
from demo import fabricate
from demo.replay_setup import FOLDERS

QUICK = {"settle_seconds": 0.0, "package_check_days": 0, "tuning_seconds": 0}
PRODUCTS = {
    "corporate": {
        "id": "corporation",
        "target": "exited",
        "positive": "1",
        "integer": ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
        "capacity": 120,
        "value": "number_of_employees",
        "contact_cost": 0.5,
        **QUICK,
    },
    "subscribers": {
        "id": "customer",
        "target": "churned",
        "positive": "Yes",
        "numeric": ["monthly_charges"],
        "integer": ["tenure_months"],
        "categorical": ["contract", "payment", "internet", "support"],
        "capacity": 80,
        **QUICK,
    },
}
MONTHS, CLIENTS = 3, 3000
DESK, PHONE = (1280, 900), (390, 844)
LIGHT, DARK = "light", "dark"
# Name, address (CLIENT: the first of the subscribers' list), theme, size of the window.
SHOTS = [
    ("overview", "/", LIGHT, DESK),
    ("today", "/products/corporate/?shade=1", LIGHT, DESK),
    ("today-dark", "/products/corporate/?shade=1", DARK, DESK),
    ("today-phone", "/products/corporate/", LIGHT, PHONE),
    ("client", "/products/subscribers/clients/CLIENT", LIGHT, (1280, 1200)),
    ("client-phone-dark", "/products/subscribers/clients/CLIENT", DARK, PHONE),
    ("model", "/products/corporate/model#part-5", LIGHT, DESK),
    ("model-dark", "/products/corporate/model#part-4", DARK, DESK),
    ("releases", "/products/corporate/releases", LIGHT, DESK),
    ("data", "/products/corporate/data", LIGHT, DESK),
]


def subscribers(month: int) -> pd.DataFrame:
    """A month of fabricated subscribers of a telecom company: the same people, a month older."""
    lasting, monthly = np.random.default_rng(5), np.random.default_rng(100 + month)
    tenure = np.clip(lasting.integers(0, 60, CLIENTS) + month, 0, 72)
    contract = lasting.choice(["Month-to-month", "One year", "Two year"], CLIENTS, p=[0.55, 0.25, 0.2])
    payment = lasting.choice(["Card", "Transfer", "Cheque", ""], CLIENTS, p=[0.4, 0.3, 0.25, 0.05])
    internet = lasting.choice(["Fibre", "DSL", "None"], CLIENTS, p=[0.45, 0.35, 0.2])
    support = monthly.choice(["Yes", "No"], CLIENTS, p=[0.4, 0.6])
    charges = (20 + 45 * (internet == "Fibre") + 25 * (internet == "DSL") + monthly.normal(0, 6, CLIENTS)).round(2)
    odds = -1.6 + 1.3 * (contract == "Month-to-month") - 0.9 * (contract == "Two year") - 0.03 * tenure
    odds += 0.6 * (internet == "Fibre") + 0.5 * (payment == "Cheque") - 0.4 * (support == "Yes")
    left = monthly.random(CLIENTS) < 1 / (1 + np.exp(-odds))
    features = {"tenure_months": tenure, "monthly_charges": charges, "contract": contract, "payment": payment}
    features |= {"internet": internet, "support": support, "churned": np.where(left, "Yes", "No")}
    return pd.DataFrame({"customer": [f"C-{i:05}" for i in range(CLIENTS)], **features})


def make(home: Path) -> Path:
    """An installation after three months, with a second release and some calls made; its config."""
    path = home / "config.json"
    path.write_text(json.dumps({**FOLDERS, "products": PRODUCTS}), encoding="utf-8")
    unseen = fabricate.world(800, 1, 7, fabricate.Drift(), 10_000)
    fabricate.save(unseen, home / "testdata/corporate" / fabricate.file_name("heldout", 1))
    for month in range(1, MONTHS + 1):
        frame = fabricate.world(CLIENTS, month, 7, fabricate.Drift(), 0)
        fabricate.save(frame, home / "sourcedata/corporate" / fabricate.file_name("corporate", month))
        fabricate.save(subscribers(month), home / "sourcedata/subscribers" / fabricate.file_name("subscribers", month))
        if month == MONTHS:
            few = fabricate.world(40, 1, 7, fabricate.Drift(), 9_000).astype(str)
            few.loc[3, "number_of_employees"] = "many"
            fabricate.save(few, home / "sourcedata/corporate/late-arrivals.csv")
        _run("fullprocess.py", path)
    for script in ("training.py", "scoring.py", "deployment.py", "scoring.py", "reporting.py"):
        _run(script, path, "--product", "corporate")
    with connect(config.load(path)["corporate"]) as book:
        first, second, third = (row["client"] for row in book.last_list(limit=3).rows)
        at = stage.utc_now()
        book.write_contacts(
            [
                {"client": first, "at": at, "kind": "called", "outcome": "will stay", "by": "anna"},
                {"client": second, "at": at, "kind": "called", "outcome": "not reached", "by": "anna"},
                {"client": third, "at": at, "kind": "noted", "note": "ask for the new contact person", "by": "ben"},
            ]
        )
    return path


def _run(script: str, path: Path, *arguments: str) -> None:
    command = [sys.executable, str(stage.HOME / script), "--config", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(
        f"{script}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]}", flush=True
    )


@contextlib.contextmanager
def serving(path: Path) -> Iterator[str]:
    """The app under gunicorn, as `make serve` starts it; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--log-level", "warning"]
        command += ["--bind", f"fd://{listener.fileno()}"]
        environment = os.environ | {"CHURN_CONFIG": str(path), "WEB_CONCURRENCY": "1"}
        process = subprocess.Popen(command, cwd=stage.HOME, env=environment, pass_fds=[listener.fileno()])
    try:
        _wait(f"{url}/healthz")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        with contextlib.suppress(urllib.error.URLError, OSError):
            opener.open(url, timeout=60).close()
            return
        time.sleep(0.2)


def shoot(url: str, client: str, folder: Path) -> None:
    """Write a screenshot of each page."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-first-run"])
        for name, path, theme, (width, height) in SHOTS:
            page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": height})
            page.goto(url + path.replace("CLIENT", client))
            if name == "client":  # with something tried out
                page.locator(".choices button[aria-pressed=false]").first.click()
                page.locator("tr.changed").wait_for()
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}.png")
            page.close()
            print(folder / f"{name}.png", flush=True)
        browser.close()


def main(argv: list[str] | None = None) -> int:
    """Make, serve, shoot; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="for the screenshots (default: a temporary one)")
    options = parser.parse_args(argv)
    folder = options.to or Path(tempfile.mkdtemp(prefix="churn-screenshots-"))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="churn-demo-") as home:
        path = make(Path(home))
        with connect(config.load(path)["subscribers"]) as book:
            client = book.last_list(limit=1).rows[0]["client"]
        with serving(path) as url:
            shoot(url, client, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
