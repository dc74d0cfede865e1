"""What every script does alike: arguments, last lines, exit codes, logs, lock and run record, in real processes."""

import importlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from churn import stage, storage
from tests.conftest import CORPORATE, FOLDERS, HOME

SCRIPT = '''"""Greet each product.

A second paragraph, with 100% of the words.
"""

import logging
import os
import sys
import time

from churn import stage
from churn.errors import DataError


def greet(product, how="hello", loud=False):
    print("working")
    logging.getLogger("greet").info("%s: about to greet", product.name)
    if product.name.startswith("fixable"):
        raise DataError("nobody is there; invite somebody")
    if product.name.startswith("bug"):
        return 1 / 0
    if product.name.startswith("odd"):
        return how + os.fsdecode(b" n\\xffame ") + "\\u65e5"
    if product.name.startswith("slow"):
        print("ready", flush=True)
        time.sleep(60)
    return how.upper() if loud else how


def look(product):
    return f"looked at {product.source.name}"


def look_at(product, at):
    return f"looked at it on {at or 'no day'}"


def about(options):
    if options.how == "wrong":
        raise DataError("ask differently")
    return "about greeting"


if __name__ == "__main__":
    sys.exit(
        stage.main(
            greet,
            stage.argument("--how", default="hello", help="what to say"),
            stage.argument("--loud", action="store_true"),
            stage.view("--look", look),
            stage.view("--at", look_at, metavar="DATE"),
            stage.command("--about", about),
        )
    )
'''


def set_up(folder, *names):
    """The script, and a config with products of these names."""
    (folder / "greet.py").write_text(SCRIPT)
    (folder / "config.json").write_text(json.dumps({**FOLDERS, "products": dict.fromkeys(names, CORPORATE)}))
    return folder


def environment(**also):
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME), **also}


def run(folder, *arguments, **also):
    command = [sys.executable, str(folder / "greet.py"), "--config", str(folder / "config.json"), *arguments]
    return subprocess.run(command, cwd="/", env=environment(**also), capture_output=True, text=True, check=False)


def log_of(folder, product):
    return (folder / "logs" / product / "churn.log").read_text(encoding="utf-8")


def records_of(folder, product):
    return storage.read_lines(folder / "logs" / product / "runs.jsonl")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """One run over products of which some fail, and what it left."""
    folder = set_up(tmp_path_factory.mktemp("mixed"), "fixable", "bug", "fine")
    return folder, run(folder, "--how", "good day")


# ---- outcomes --------------------------------------------------------------------------------------------------------


def test_one_broken_product_does_not_stop_the_others_and_the_worst_gives_the_exit_code(mixed):
    _, done = mixed
    assert done.returncode == stage.BUG
    assert [line for line in done.stdout.splitlines() if line != "working"] == [
        "fixable: not done: nobody is there; invite somebody",
        "bug: not done: a bug; the traceback is in the log",
        "fine: good day",
    ]


def test_what_the_user_can_fix_has_no_traceback_and_a_bug_has_one_on_stderr_and_in_the_log(mixed):
    folder, done = mixed
    assert done.stderr.count("Traceback") == 1
    assert "Traceback" not in log_of(folder, "fixable")
    assert "ERROR churn.stage: fixable: nobody is there; invite somebody" in log_of(folder, "fixable")
    assert "ZeroDivisionError: division by zero" in log_of(folder, "bug")
    assert "Traceback" not in log_of(folder, "fine")


def test_every_run_leaves_one_line_with_its_outcome(mixed):
    folder, _ = mixed
    for product, outcome, text in (
        ("fixable", "fixable", "nobody is there; invite somebody"),
        ("bug", "bug", "a bug; the traceback is in the log"),
        ("fine", "done", "good day"),
    ):
        (record,) = records_of(folder, product)
        assert (record["script"], record["outcome"], record["text"]) == ("greet", outcome, text)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["at"])
        assert 0 <= record["seconds"] < 20


def test_exit_codes(tmp_path):
    set_up(tmp_path, "fine", "fixable", "bug")
    assert run(tmp_path, "--product", "fine").returncode == 0
    assert run(tmp_path, "--product", "fixable").returncode == 1
    assert run(tmp_path, "--product", "bug").returncode == 3
    with storage.locked(tmp_path / "logs" / "fine" / "lock", "fine"):
        locked = run(tmp_path, "--product", "fine")
    assert locked.returncode == 75
    assert locked.stdout == (
        f"fine: another run (process {os.getpid()}) is at work; this one left everything as it is\n"
    )
    assert "Traceback" not in locked.stderr
    assert len(records_of(tmp_path, "fine")) == 1


def test_times_in_the_log_are_utc_wherever_the_machine_stands(tmp_path):
    set_up(tmp_path, "fine")
    before = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    run(tmp_path, TZ="Pacific/Kiritimati")
    lines = log_of(tmp_path, "fine").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO greet: fine: about to greet", lines[0])
    assert before <= lines[0][:16] <= time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    assert records_of(tmp_path, "fine")[0]["at"][:13] == lines[0][:13]


def test_names_of_odd_bytes_do_not_end_a_run_not_even_on_an_old_terminal(tmp_path):
    set_up(tmp_path, "odd", "fine")
    done = run(tmp_path, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == r"odd: hello n\udcffame \u65e5"
    assert done.stdout.splitlines()[3] == "fine: hello"
    assert records_of(tmp_path, "odd")[0]["text"] == os.fsdecode(b"hello n\xffame \xe6\x97\xa5")


def test_a_run_that_is_interrupted_says_so_in_its_record(tmp_path):
    set_up(tmp_path, "slow")
    command = [sys.executable, str(tmp_path / "greet.py"), "--config", str(tmp_path / "config.json")]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout.readline() == "working\n"
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        running.wait(20)
    (record,) = records_of(tmp_path, "slow")
    assert (record["outcome"], record["text"]) == ("stopped", "")


# ---- what is wrong with the surroundings -----------------------------------------------------------------------------


def test_a_file_where_the_logs_should_go_is_told_with_its_path(tmp_path):
    set_up(tmp_path, "fine")
    (tmp_path / "logs").write_text("a file")
    done = run(tmp_path)
    assert done.returncode == stage.FIXABLE
    assert done.stdout.startswith("fine: not done: ")
    assert str(tmp_path / "logs") in done.stdout
    assert "Traceback" not in done.stderr


def test_a_config_that_is_wrong_is_told_and_nothing_is_written(tmp_path):
    set_up(tmp_path)
    done = run(tmp_path)
    assert done.returncode == stage.FIXABLE
    assert done.stdout == f"not done: {tmp_path}/config.json: products: must not be empty (it is {{}})\n"
    assert sorted(os.listdir(tmp_path)) == ["config.json", "greet.py"]


def test_a_product_that_there_is_not_is_told_with_those_that_there_are(tmp_path):
    set_up(tmp_path, "fine", "odd")
    done = run(tmp_path, "--product", "finn")
    assert done.returncode == stage.FIXABLE
    assert done.stdout == f"not done: {tmp_path}/config.json: no product 'finn'; it has fine, odd\n"


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_help_is_the_docstring_and_the_arguments(tmp_path):
    set_up(tmp_path, "fine")
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert "Greet each product.\n\nA second paragraph, with 100% of the words.\n" in done.stdout
    assert re.search(r"--how HOW +what to say", done.stdout)
    assert re.search(r"--product NAME +only this product", done.stdout)
    assert not (tmp_path / "logs").exists()


def test_arguments_reach_the_verb_and_one_product_can_be_chosen(tmp_path):
    set_up(tmp_path, "fine", "fixable")
    done = run(tmp_path, "--product", "fine", "--how", "hey", "--loud")
    assert (done.returncode, done.stdout) == (0, "working\nfine: HEY\n")


def test_a_view_only_reads_so_it_needs_no_lock_and_leaves_no_record(tmp_path):
    set_up(tmp_path, "fine")
    done = run(tmp_path, "--look")
    assert (done.returncode, done.stdout) == (0, "fine: looked at fine\n")
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(("at", "said"), [("2026-11-21", "2026-11-21"), ("", "no day")])
def test_a_view_with_a_value_never_falls_through_to_the_verb(tmp_path, at, said):
    """As when a shell variable is empty: `deployment.py --at "$DATE"` must not deploy."""
    set_up(tmp_path, "fine")
    assert run(tmp_path, "--at", at).stdout == f"fine: looked at it on {said}\n"


def test_a_command_needs_no_config(tmp_path):
    set_up(tmp_path, "fine")
    (tmp_path / "config.json").write_text("{")
    assert run(tmp_path, "--about").stdout == "about greeting\n"
    wrong = run(tmp_path, "--about", "--how", "wrong")
    assert (wrong.returncode, wrong.stdout) == (1, "not done: ask differently\n")


def test_logging_is_set_up_for_the_run_alone(tmp_path, capsys, monkeypatch):
    """fullprocess, the app and tests call it within a process of their own: nothing may pile up."""
    set_up(tmp_path, "fine")
    monkeypatch.syspath_prepend(str(tmp_path))
    greet = importlib.import_module("greet")
    before = list(logging.getLogger().handlers)
    for _ in range(2):
        assert stage.main(greet.greet, argv=["--config", str(tmp_path / "config.json")]) == 0
    assert logging.getLogger().handlers == before
    assert log_of(tmp_path, "fine").count("about to greet") == 2
    assert capsys.readouterr().out == "working\nfine: hello\n" * 2
