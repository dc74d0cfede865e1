"""Where drops come from: what is listed, what can be opened, and which files are still being written."""

import os
import socket
import subprocess
import sys
import time

import pytest

from churn import sources
from churn.errors import ChangingError, DropError


@pytest.fixture
def source(tmp_path):
    return sources.Folder(tmp_path)


def names(candidates):
    return [candidate.name for candidate in candidates]


def test_files_are_listed_oldest_first_then_by_name(source):
    for name, age in (("b", 2), ("c", 1), ("a", 2), ("d", 3)):
        (source.folder / name).write_text("x")
        os.utime(source.folder / name, (100 - age, 100 - age))
    assert names(source.list()) == ["d", "a", "b", "c"]


def test_folders_and_dotted_names_are_no_candidates_and_a_missing_folder_is_empty(source, tmp_path):
    (source.folder / "folder.csv").mkdir()
    (source.folder / ".hidden.csv").write_text("x")
    assert source.list() == []
    assert sources.Folder(tmp_path / "nowhere").list() == []


def test_any_change_makes_another_candidate(source):
    path = source.folder / "a.csv"
    path.write_text("x")
    seen = source.list()
    (source.folder / "b.csv").write_text("y")
    os.replace(source.folder / "b.csv", path)  # the same name and size
    os.utime(path, ns=(0, seen[0].mtime_ns))  # and the same time
    replaced = source.list()
    assert replaced != seen
    path.write_text("z")  # in place, with the time set back
    os.utime(path, ns=(0, seen[0].mtime_ns))
    assert source.list() != replaced


def test_a_plain_file_opens_and_nothing_else_does(source):
    (source.folder / "a.csv").write_text("x")
    descriptor = source.open("a.csv")
    assert os.read(descriptor, 10) == b"x"
    os.close(descriptor)
    os.mkfifo(source.folder / "pipe")
    (source.folder / "link").symlink_to(source.folder / "a.csv")
    (source.folder / "folder").mkdir()
    for name, reason in (("pipe", "not a regular file"), ("link", "symbolic link"), ("folder", "not a regular file")):
        began = time.perf_counter()
        with pytest.raises(DropError, match=reason):
            source.open(name)
        assert time.perf_counter() - began < 1
    with pytest.raises(ChangingError, match="no longer there"):
        source.open("gone")


def test_a_socket_and_an_unreadable_file_are_refused(source, monkeypatch):
    monkeypatch.chdir(source.folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    with pytest.raises(DropError, match="not a regular file"):
        source.open("socket")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("churn.sources.os.open", refuse)
    with pytest.raises(DropError, match="Permission denied.*mend its permissions"):
        source.open("a.csv")


def test_a_file_that_is_open_for_writing_is_not_complete(source):
    (source.folder / "done.csv").write_text("x")
    with (source.folder / "growing.csv").open("w") as file:
        file.write("half")
        file.flush()
        complete, growing = sources.settled(source, source.list(), 0)
        assert (names(complete), growing) == (["done.csv"], ["growing.csv"])
    complete, growing = sources.settled(source, source.list(), 0)
    assert sorted(names(complete)) == ["done.csv", "growing.csv"] and growing == []


def test_young_files_are_waited_for_once_and_old_ones_not_at_all(source, monkeypatch):
    waits = []
    monkeypatch.setattr("churn.sources.time.sleep", waits.append)
    for name in ("a.csv", "b.csv"):
        (source.folder / name).write_text("x")
    sources.settled(source, source.list(), 5)
    assert waits == [5]
    for name in ("a.csv", "b.csv"):
        os.utime(source.folder / name, (1, 1))
    sources.settled(source, source.list(), 5)
    assert waits == [5]
    assert sources.settled(source, [], 5) == ([], [])


def test_what_changes_or_goes_during_the_wait_is_not_complete(source, monkeypatch):
    for name in ("stays.csv", "grows.csv", "goes.csv"):
        (source.folder / name).write_text("x")

    def change(_):
        (source.folder / "grows.csv").write_text("xy")
        (source.folder / "goes.csv").unlink()

    monkeypatch.setattr("churn.sources.time.sleep", change)
    complete, growing = sources.settled(source, source.list(), 1)
    assert names(complete) == ["stays.csv"] and sorted(growing) == ["goes.csv", "grows.csv"]


WRITER = "import sys\nwhile True:\n    open(sys.argv[1], 'r+').close()\n"


def test_looking_for_writers_is_safe_while_they_come_and_go(source):
    """The kernel signals whoever holds a lease when a writer comes; by default that would end this process."""
    path = source.folder / "busy.csv"
    path.write_text("x")
    with subprocess.Popen([sys.executable, "-c", WRITER, path]) as writer:
        try:
            until = time.perf_counter() + 0.7
            while time.perf_counter() < until:
                complete, growing = sources.settled(source, source.list(), 0)
                assert [*names(complete), *growing] == ["busy.csv"]
        finally:
            writer.kill()
