"""A tick that finds nothing new is told from the looks of things, and never when anything is new."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from churn import idle
from tests.conftest import HOME


class Installation:
    """A config, its folders, and what a tick would do about them."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "config.json"
        self.config.write_text("{}")
        for name in ("source", "models", "production", "logs/corporate"):
            (folder / name).mkdir(parents=True)
        (folder / "source" / "one.csv").write_text("a,b\n1,2\n")
        (folder / "models" / "0001").mkdir()
        (folder / "production" / "current").symlink_to("0001")
        self.runs = folder / "logs" / "corporate" / "runs.jsonl"
        self.note = folder / "logs" / "config.json.idle"
        self.inputs = [str(self.config), f"{folder}/source/"]
        self.paths = [*self.inputs, f"{folder}/models/", f"{folder}/production/current"]

    def remember(self, before=None):
        before = idle.look(self.inputs) if before is None else before
        idle.remember(str(self.config), {"corporate": str(self.runs)}, self.paths, before, self.inputs)

    def nothing_new(self):
        return idle.nothing_new(["--config", str(self.config)])


@pytest.fixture
def noted(tmp_path):
    """An installation after a tick that left nothing pending."""
    installation = Installation(tmp_path)
    installation.remember()
    return installation


def same_size(path, content):
    """Change a file in place, and set its time back to what it was."""
    facts = path.stat()
    path.write_text(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


# ---- when nothing is new ---------------------------------------------------------------------------------------------


def test_without_a_note_the_tick_looks_closely(tmp_path, capsys):
    installation = Installation(tmp_path)
    assert not installation.nothing_new()
    assert not installation.runs.exists()
    assert capsys.readouterr().out == ""


def test_as_long_as_nothing_changes_it_says_and_records_so(noted, capsys):
    for _ in range(3):
        assert noted.nothing_new()
    assert capsys.readouterr().out == "corporate: nothing new\n" * 3
    records = [json.loads(line) for line in noted.runs.read_text().splitlines()]
    assert [record["text"] for record in records] == ["nothing new"] * 3
    assert records[0].keys() == {"at", "script", "outcome", "seconds", "text"}
    assert (records[0]["script"], records[0]["outcome"]) == ("fullprocess", "done")
    assert abs(time.time() - time.mktime(time.strptime(records[0]["at"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60


def test_reading_a_file_and_writing_logs_change_nothing(noted):
    (noted.folder / "source" / "one.csv").read_text()
    (noted.folder / "logs" / "cron.txt").write_text("a line")
    assert noted.nothing_new()


# ---- when something is -----------------------------------------------------------------------------------------------

CHANGES = {
    "a new drop": lambda at: (at / "source" / "two.csv").write_text(""),
    "a drop removed": lambda at: (at / "source" / "one.csv").unlink(),
    "a drop renamed": lambda at: (at / "source" / "one.csv").rename(at / "source" / "other.csv"),
    "a drop that grew": lambda at: (at / "source" / "one.csv").write_text("a,b\n1,2\n3,4\n"),
    "a drop touched": lambda at: os.utime(at / "source" / "one.csv"),
    "other content, same size and time": lambda at: same_size(at / "source" / "one.csv", "a,b\n1,3\n"),
    "a drop replaced by a copy": lambda at: (
        (at / "source" / "copy").write_text("a,b\n1,2\n")
        and os.replace(at / "source" / "copy", at / "source" / "one.csv")
    ),
    "the source folder removed": lambda at: (at / "source").rename(at / "moved"),
    "the config changed": lambda at: same_size(at / "config.json", "[]"),
    "the config removed": lambda at: (at / "config.json").unlink(),
    "a model removed": lambda at: (at / "models" / "0001").rmdir(),
    "a new model": lambda at: (at / "models" / "0002").mkdir(),
    "another release current": lambda at: (
        (at / "production" / "current").unlink() or (at / "production" / "current").symlink_to("0002")
    ),
    "no release current": lambda at: (at / "production" / "current").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_makes_the_tick_look_closely(noted, change, capsys):
    CHANGES[change](noted.folder)
    assert not noted.nothing_new()
    assert capsys.readouterr().out == ""
    assert not noted.runs.exists()


def test_a_source_folder_that_is_a_link_elsewhere_by_now_is_new(noted):
    (noted.folder / "source").rename(noted.folder / "first")
    (noted.folder / "second").mkdir()
    (noted.folder / "source").symlink_to("first")
    noted.remember()
    assert noted.nothing_new()
    (noted.folder / "source").unlink()
    (noted.folder / "source").symlink_to("second")
    assert not noted.nothing_new()


def test_a_config_that_is_a_link_elsewhere_by_now_is_new(noted):
    link = noted.folder / "link.json"
    link.symlink_to("config.json")
    idle.remember(str(link), {}, noted.paths, idle.look(noted.inputs), noted.inputs)
    assert idle.nothing_new(["--config", str(link)])
    (noted.folder / "other.json").write_text("{}")
    link.unlink()
    link.symlink_to("other.json")
    assert not idle.nothing_new(["--config", str(link)])


def test_what_arrived_during_the_tick_is_not_noted_as_seen(tmp_path):
    installation = Installation(tmp_path)
    before = idle.look(installation.inputs)
    (tmp_path / "source" / "late.csv").write_text("")
    installation.remember(before)
    assert not installation.note.exists()
    assert not installation.nothing_new()


def test_what_arrives_while_the_note_is_made_is_not_noted_as_seen(tmp_path, monkeypatch):
    installation = Installation(tmp_path)
    before, look, calls = idle.look(installation.inputs), idle.look, []

    def look_and_then_a_drop_comes(paths):
        calls.append(paths)
        looked = look(paths)
        (tmp_path / "source" / f"late-{len(calls)}.csv").write_text("")
        return looked

    monkeypatch.setattr(idle, "look", look_and_then_a_drop_comes)
    installation.remember(before)
    monkeypatch.undo()
    assert not installation.nothing_new()


# ---- odd names, odd notes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"line\nfeed.csv", b"tab\tname", b"bytes-\xff\xfe.csv", "日本.csv".encode(), b"'\"\\ "]
)
def test_odd_names_in_a_folder_are_seen_like_any_other(noted, name):
    path = os.path.join(os.fsencode(noted.folder / "source"), name)
    os.close(os.open(path, os.O_CREAT))
    assert not noted.nothing_new()
    noted.remember()
    assert noted.nothing_new()
    os.unlink(path)
    assert not noted.nothing_new()


@pytest.mark.parametrize("name", [b"bytes-\xff", "zwölf monate".encode(), b"carriage\rreturn"])
def test_the_folder_itself_may_have_an_odd_name(tmp_path, name):
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    installation = Installation(folder)
    installation.remember()
    assert installation.nothing_new()
    (folder / "source" / "one.csv").unlink()
    assert not installation.nothing_new()


@pytest.mark.parametrize("name", ["line\nfeed", "a\ttab"])
def test_where_the_note_could_not_be_read_back_there_is_none(tmp_path, name):
    (tmp_path / name).mkdir()
    installation = Installation(tmp_path / name)
    installation.remember()
    assert not installation.note.exists()
    assert not installation.nothing_new()


FIRST = object()  # the first line that the note should have
DAMAGED = {
    "empty": [],
    "zeros": [b"\0" * 500],
    "bytes": [b"\xff\xfe\x00"],
    "only the first line": [FIRST],
    "no looks": [FIRST, b"x\n\n\n"],
    "an older format": [b"churn idle note 1\n", b"look\t/nowhere\n\n'/nowhere' error 2\n"],
    "another config's": [b"churn idle note 2 of '/nowhere'\n", b"look\t/nowhere\n\n'/nowhere' error 2\n"],
    "a line without its field": [FIRST, b"look\n\n"],
    "a product without its log": [FIRST, b"product\tx\nlook\t/nowhere\n\n'/nowhere' error 2\n"],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_note_is_as_good_as_none(noted, kind, capsys):
    first = noted.note.read_bytes().split(b"\n")[0] + b"\n"
    noted.note.write_bytes(b"".join(first if part is FIRST else part for part in DAMAGED[kind]))
    assert not noted.nothing_new()
    assert capsys.readouterr().out == ""


def test_a_note_cut_anywhere_is_as_good_as_none(noted):
    whole = noted.note.read_bytes()
    for kept in [*range(0, len(whole), 9), len(whole) - 1]:
        noted.note.write_bytes(whole[:kept])
        assert not noted.nothing_new()


def test_where_the_record_cannot_be_written_the_tick_looks_closely(noted):
    """The logs are no part of the look: whoever clears them away must not stop every run from then on."""
    noted.runs.parent.rmdir()
    assert not noted.nothing_new()


# ---- which run is meant ----------------------------------------------------------------------------------------------


def test_only_a_plain_run_can_be_saved(noted, monkeypatch):
    monkeypatch.chdir(noted.folder)
    assert idle.config_of([]) == str(HOME / "config.json")
    assert idle.config_of(["--config", "config.json"]) == str(noted.config)
    for arguments in (
        ["--force"],
        ["--product", "x"],
        ["--config"],
        ["--config", "config.json", "--force"],
        ["--help"],
    ):
        assert idle.config_of(arguments) is None
        assert not idle.nothing_new(arguments)


def test_a_note_that_was_copied_along_with_its_folder_is_about_another_one(noted, tmp_path):
    (tmp_path / "copy" / "logs").mkdir(parents=True)
    (tmp_path / "copy" / "config.json").write_text("{}")
    shutil.copy(noted.note, tmp_path / "copy" / "logs")
    assert not idle.nothing_new(["--config", str(tmp_path / "copy" / "config.json")])


def test_each_config_of_a_folder_has_its_own_note(noted):
    other = noted.folder / "practice.json"
    other.write_text("{}")
    assert not idle.nothing_new(["--config", str(other)])


# ---- what it costs ---------------------------------------------------------------------------------------------------


def test_it_imports_next_to_nothing(noted):
    code = f"""
import sys
before = set(sys.modules)
from churn import idle
assert idle.nothing_new(["--config", {str(noted.config)!r}])
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["corporate: nothing new", "churn churn.idle"]


def test_a_look_at_five_hundred_files_takes_milliseconds(noted):
    for number in range(500):
        (noted.folder / "source" / f"{number}.csv").write_text("")
    noted.remember()
    began = time.process_time()
    for _ in range(20):
        assert noted.nothing_new()
    assert (time.process_time() - began) / 20 < 0.02
