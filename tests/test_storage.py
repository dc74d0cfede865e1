"""Files are wholly there or not at all, whoever is killed when; and two runs never write at once."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn import storage
from churn.errors import LockedError
from tests.conftest import HOME


@contextlib.contextmanager
def process(code, *arguments):
    """A Python process that has come as far as to print `ready`; it is gone at the end of the block."""
    lines = "import sys, time\nfrom pathlib import Path\nfrom churn import storage\n" + code
    command = [sys.executable, "-c", lines, *map(str, arguments)]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- whole files -----------------------------------------------------------------------------------------------------


def test_a_write_makes_the_folders_on_its_way_and_leaves_nothing_but_the_file(tmp_path):
    storage.write(tmp_path / "a" / "b" / "file.txt", "zwölf\n")
    assert (tmp_path / "a" / "b" / "file.txt").read_bytes() == "zwölf\n".encode()
    assert names(tmp_path / "a" / "b") == ["file.txt"]


def test_an_error_while_writing_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "file.txt"
    storage.write(path, "old")
    with pytest.raises(ZeroDivisionError), storage.replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    storage.write(path, "old")
    with pytest.raises(FileNotFoundError), storage.replacing(path):
        pass
    assert path.read_text() == "old"


def test_readers_see_the_old_content_or_the_new_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    contents = {letter * 200_000 for letter in "ab"}
    storage.write(path, "a" * 200_000)
    code = "print('ready', flush=True)\ntexts = ['a' * 200_000, 'b' * 200_000]\n"
    code += "while True: storage.write(Path(sys.argv[1]), texts[0]); storage.write(Path(sys.argv[1]), texts[1])"
    seen, soon = set(), time.monotonic() + 0.7
    with process(code, path):
        while time.monotonic() < (soon if len(seen) > 1 else soon + 20):
            seen.add(path.read_text())
    assert seen == contents


def test_a_file_that_holds_just_that_already_is_not_touched(tmp_path):
    path = tmp_path / "file.txt"
    assert storage.write_if_changed(path, "one")
    before = path.stat()
    assert not storage.write_if_changed(path, b"one")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert storage.write_if_changed(path, "two")
    assert path.read_text() == "two"


def test_json_is_readable_and_has_no_nan():
    assert storage.to_json({"b": "ü", "a": [1]}) == '{\n  "b": "ü",\n  "a": [\n    1\n  ]\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        storage.to_json({"score": float("nan")})


def test_names_of_odd_bytes_survive_in_json(tmp_path):
    odd = os.fsdecode(b"drop-\xff.csv")
    storage.write(tmp_path / "record.json", storage.to_json([odd]))
    assert json.loads((tmp_path / "record.json").read_text()) == [odd]


# ---- whole folders ---------------------------------------------------------------------------------------------------


def test_a_folder_appears_with_everything_in_it(tmp_path):
    with storage.building(tmp_path / "version") as folder:
        (folder / "model").write_text("m")
        assert names(tmp_path) == [f"{storage.TEMPORARY}version"]
        (folder / "manifest").write_text("n")
    assert names(tmp_path) == ["version"]
    assert names(tmp_path / "version") == ["manifest", "model"]


def test_an_error_while_building_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), storage.building(tmp_path / "version") as folder:
        (folder / "model").write_text("m")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_what_a_killed_build_left_is_not_built_upon(tmp_path):
    (tmp_path / f"{storage.TEMPORARY}version").mkdir()
    (tmp_path / f"{storage.TEMPORARY}version" / "stale").write_text("from an earlier run")
    with storage.building(tmp_path / "version") as folder:
        (folder / "model").write_text("m")
    assert names(tmp_path / "version") == ["model"]


def test_a_folder_that_is_there_is_never_overwritten(tmp_path):
    with storage.building(tmp_path / "version") as folder:
        (folder / "model").write_text("first")
    with pytest.raises(OSError, match="not empty"), storage.building(tmp_path / "version") as folder:
        (folder / "model").write_text("second")
    assert (tmp_path / "version" / "model").read_text() == "first"
    assert names(tmp_path) == ["version"]


@pytest.mark.parametrize(
    "code",
    [
        "with storage.replacing(Path(sys.argv[1]) / 'file') as path:\n path.write_text('ha')",
        "with storage.building(Path(sys.argv[1]) / 'folder') as path:\n (path / 'model').write_text('ha')",
    ],
)
def test_sigkill_in_the_middle_leaves_only_temporary_names_which_are_swept(tmp_path, code):
    (tmp_path / "file").write_text("old")
    (tmp_path / "kept").symlink_to("file")
    with process(f"{code}\n print('ready', flush=True)\n time.sleep(60)", tmp_path) as running:
        running.send_signal(signal.SIGKILL)
        running.wait()
    litter = [name for name in names(tmp_path) if name not in ("file", "kept")]
    assert len(litter) == 1
    assert litter[0].startswith(storage.TEMPORARY)
    assert storage.sweep(tmp_path) == litter
    assert names(tmp_path) == ["file", "kept"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_swept_link_is_removed_and_what_it_points_to_is_not(tmp_path):
    (tmp_path / "version").mkdir()
    (tmp_path / f"{storage.TEMPORARY}current").symlink_to("version")
    assert storage.sweep(tmp_path) == [f"{storage.TEMPORARY}current"]
    assert names(tmp_path) == ["version"]


def test_sweeping_a_folder_that_is_not_there_is_nothing(tmp_path):
    assert storage.sweep(tmp_path / "nowhere") == []


# ---- the link --------------------------------------------------------------------------------------------------------


def test_readers_of_a_link_that_is_moved_never_find_it_absent_or_half(tmp_path):
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "name").write_text(version)
    storage.point(tmp_path / "current", "one")
    code = "print('ready', flush=True)\nlink = Path(sys.argv[1])\n"
    code += "while True: storage.point(link, 'two'); storage.point(link, 'one')"
    seen, soon = set(), time.monotonic() + 0.7
    with process(code, tmp_path / "current"):
        while time.monotonic() < (soon if len(seen) > 1 else soon + 20):
            seen.add((tmp_path / "current" / "name").read_text())
    assert seen == {"one", "two"}


def test_a_link_that_already_points_there_is_not_touched(tmp_path):
    storage.point(tmp_path / "current", "one")
    before = (tmp_path / "current").lstat()
    storage.point(tmp_path / "current", "one")
    assert (tmp_path / "current").lstat().st_ino == before.st_ino


def test_a_link_takes_the_place_of_a_file_but_not_of_a_folder_and_leaves_no_litter(tmp_path):
    (tmp_path / "file").write_text("copied here by hand")
    storage.point(tmp_path / "file", "current/file")
    assert os.readlink(tmp_path / "file") == "current/file"
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        storage.point(tmp_path / "folder", "elsewhere")
    assert names(tmp_path) == ["file", "folder"]


# ---- lines -----------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=6,
)
records = st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=3), max_size=6)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(records)
def test_lines_come_back_as_they_were_written(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lines") / "logs" / "runs.jsonl"
    assert storage.read_lines(path) == []
    for line in lines:
        storage.append_line(path, json.dumps(line, ensure_ascii=False))
    assert storage.read_lines(path) == lines


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_line_torn_at_any_byte_costs_that_line_and_no_other(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "runs.jsonl"
    storage.append_line(path, '{"text": "whole, 完了"}')
    whole = path.read_bytes()
    kept = data.draw(st.integers(0, len(whole) - 2), label="bytes of the second line that reached the disk")
    path.write_bytes(whole + whole[:kept])
    storage.append_line(path, '{"text": "after"}')
    assert storage.read_lines(path) == [{"text": "whole, 完了"}, {"text": "after"}]
    assert path.read_bytes().endswith(b'\n{"text": "after"}\n')


def test_what_cannot_be_text_is_escaped_and_does_not_stop_the_log(tmp_path):
    line = {"text": os.fsdecode(b"drop-\xff.csv is empty")}
    storage.append_line(tmp_path / "runs.jsonl", json.dumps(line, ensure_ascii=False))
    assert storage.read_lines(tmp_path / "runs.jsonl") == [line]


def test_the_last_lines_come_newest_first_from_the_end_of_the_file_alone(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert list(storage.last_lines(path)) == []
    for i in range(100):
        storage.append_line(path, f'{{"n": {i}}}')
    assert [line["n"] for line in storage.last_lines(path)] == list(range(99, -1, -1))
    assert [line["n"] for line in storage.last_lines(path, 25)] == [99, 98]  # the third one's beginning is not read
    with path.open("ab") as file:
        file.write('{"n": "torn \u00e9'.encode()[:-1])
    assert next(storage.last_lines(path)) == {"n": 99}


def test_lines_of_two_processes_are_not_mixed(tmp_path):
    path = tmp_path / "runs.jsonl"
    code = "print('ready', flush=True)\n"
    code += "for i in range(300): storage.append_line(Path(sys.argv[1]), '{\"n\": \"' + sys.argv[2] * 3000 + '\"}')"
    with process(code, path, "a") as one, process(code, path, "b") as other:
        assert one.wait(30) == other.wait(30) == 0
    found = [record["n"] for record in storage.read_lines(path)]
    assert sorted(found) == ["a" * 3000] * 300 + ["b" * 3000] * 300


def test_a_log_that_has_grown_large_moves_aside_and_a_new_one_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LOG_BYTES", 100)
    path = tmp_path / "runs.jsonl"
    for number in range(40):
        storage.append_line(path, json.dumps({"n": number}))
    assert names(tmp_path) == ["runs.jsonl", "runs.jsonl.1"]
    assert path.stat().st_size <= 110
    kept = storage.read_lines(tmp_path / "runs.jsonl.1") + storage.read_lines(path)
    assert [record["n"] for record in kept] == list(range(kept[0]["n"], 40))


# ---- the lock --------------------------------------------------------------------------------------------------------

HOLD = "with storage.locked(Path(sys.argv[1]), 'corporate'):\n print('ready', flush=True)\n time.sleep(60)"


def test_a_second_process_is_turned_away_at_once_and_told_who_is_at_work(tmp_path):
    lock = tmp_path / "logs" / "lock"
    with process(HOLD, lock) as holder:
        began = time.monotonic()
        said = rf"^corporate: another run \(process {holder.pid}\)"
        with pytest.raises(LockedError, match=said), storage.locked(lock, "corporate"):
            pytest.fail("two were let in")
        assert time.monotonic() - began < 0.5


def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path):
    with process(HOLD, tmp_path / "lock") as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with storage.locked(tmp_path / "lock", "corporate"):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_the_lock_is_free_after_the_block_and_after_an_error_in_it(tmp_path):
    with pytest.raises(ZeroDivisionError), storage.locked(tmp_path / "lock", "corporate"):
        raise ZeroDivisionError
    with storage.locked(tmp_path / "lock", "corporate"):
        pass


def test_a_child_of_the_holder_does_not_keep_the_lock(tmp_path):
    code = "import subprocess\nwith storage.locked(Path(sys.argv[1]), 'corporate'):\n"
    code += " subprocess.Popen(['sleep', '2'], stdout=subprocess.DEVNULL)\nprint('ready', flush=True)"
    with process(code, tmp_path / "lock"), storage.locked(tmp_path / "lock", "corporate"):
        pass


def test_threads_of_one_process_exclude_each_other_too(tmp_path):
    turned_away = []

    def second():
        try:
            with storage.locked(tmp_path / "lock", "corporate"):
                pass
        except LockedError as error:
            turned_away.append(error)

    with storage.locked(tmp_path / "lock", "corporate"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(turned_away) == 1
