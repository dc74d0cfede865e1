"""The access log goes where it is wanted, in whole lines, and does not grow without end; see also test_hostile."""

import json
import multiprocessing
import os
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from churn import storage
from churn.web.serving import journal


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("to_stdout", [True, False])
def test_it_goes_to_a_file_or_to_stdout_where_that_is_wanted(to_stdout, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "config.json"))
    monkeypatch.setenv("CHURN_ACCESS_LOG", "-" if to_stdout else "")
    answered = SimpleNamespace(status="200 OK", sent=12)
    journal.Logger(Config()).access(answered, None, {"REQUEST_METHOD": "GET"}, timedelta(milliseconds=1.5))
    path, printed = tmp_path / "logs" / journal.FILE, capfd.readouterr().out
    text = printed if to_stdout else path.read_text()
    assert (path.exists(), bool(printed)) == (not to_stdout, to_stdout)
    told = json.loads(text)
    assert (text[-1], told["method"], told["status"], told["ms"], told["bytes"]) == ("\n", "GET", 200, 1.5, 12)


def test_a_log_that_cannot_be_written_fails_no_request_and_is_told_of_once(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "config.json"))
    (tmp_path / "logs").write_text("no folder")
    logger = journal.Logger(Config())
    for _ in range(3):
        logger.access(SimpleNamespace(status="200 OK", sent=1), None, {}, timedelta())
    assert capfd.readouterr().err.count("the access log cannot be written") == 1


def write_many(path, name):
    written = journal.Lines(path)
    for number in range(2000):
        written.write(json.dumps({"name": name, "number": number}))


def test_processes_and_threads_write_whole_lines_and_move_a_long_file_once(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LOG_BYTES", 60_000)
    monkeypatch.setattr(journal, "LOOK_SECONDS", 0.001)
    path = tmp_path / "logs" / "access.jsonl"
    processes = [multiprocessing.get_context("fork").Process(target=write_many, args=(path, n)) for n in range(2)]
    shared = journal.Lines(path)
    threads = [
        threading.Thread(target=lambda n=n: [shared.write(json.dumps({"name": n, "number": 0})) for _ in range(500)])
        for n in range(2, 4)
    ]
    for one in (*processes, *threads):
        one.start()
    for one in (*processes, *threads):
        one.join(60)
    assert [one.exitcode for one in processes] == [0, 0]
    assert sorted(os.listdir(path.parent)) == ["access.jsonl", "access.jsonl.1"]
    kept = lines(path) + lines(path.with_name("access.jsonl.1"))  # each of them JSON
    assert len(kept) > 1000
    assert path.stat().st_size < 120_000


def test_a_file_that_was_moved_or_removed_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "LOOK_SECONDS", 0.01)
    path = tmp_path / "access.jsonl"
    written = journal.Lines(path)
    written.write("1")
    path.rename(tmp_path / "moved")
    time.sleep(0.02)
    written.write("2")
    assert (path.read_text(), (tmp_path / "moved").read_text()) == ("2\n", "1\n")


def test_a_line_costs_next_to_nothing(tmp_path):
    written = journal.Lines(tmp_path / "access.jsonl")
    environ = {"REQUEST_METHOD": "GET"}
    began = time.process_time()
    for _ in range(3000):
        written.write(journal.line(environ, 200, 0.001, 100))
    assert (time.process_time() - began) / 3000 < 100e-6  # some 10 microseconds where nothing else runs
