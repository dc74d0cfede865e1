"""The demo: what the system does month after month, in a folder of its own that it leaves as it found it."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import HOME


def replay(*arguments):
    command = [sys.executable, str(HOME / "demo" / "replay.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_line_a_month_says_what_was_decided_and_nothing_is_left_behind():
    scratch = Path(tempfile.gettempdir())
    before = {path.name for path in scratch.glob("churn-demo-*")}
    lines = replay("--clients", "500", "--months", "3", "--since", "3")
    assert [line.split()[0] for line in lines[2:]] == ["2026-01", "2026-02", "2026-03"]
    assert " deployed " in lines[2] and "0001-" in lines[2]
    assert all("0.5" in line or "0.4" in line or "0.3" in line for line in lines[3:])  # an F1 of the new month
    assert {path.name for path in scratch.glob("churn-demo-*")} == before


def test_a_kept_folder_has_the_report(tmp_path):
    lines = replay("--clients", "500", "--months", "1", "--keep", str(tmp_path / "kept"))
    report = tmp_path / "kept" / "reports" / "corporate" / "report.html"
    assert report.is_file() and str(report) in lines[-1]
