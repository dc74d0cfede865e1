"""Files that are either wholly there or not at all, and the lock that keeps writers apart.

Every write goes to a temporary name in the same folder, is flushed to the disk and renamed; a reader, or the
next run after a power cut, sees the old file or the new one. Temporary names start with `TEMPORARY`, so that
whatever a killed run left behind can be told apart and swept.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from churn.errors import LockedError

TEMPORARY = ".tmp-"
LOG_BYTES = 5_000_000
END_BYTES = 131_072  # of a log, which hold its last few hundred lines


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, on an error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        yield temporary
        sync_file(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes(text: str) -> bytes:
    """Text as UTF-8. What UTF-8 cannot say, as in a file name of odd bytes, becomes the escape that JSON has for it."""
    return text.encode("utf-8", "backslashreplace")


def write(path: Path, content: bytes | str) -> None:
    """Write a whole file atomically; text is UTF-8."""
    data = _bytes(content) if isinstance(content, str) else content
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_if_changed(path: Path, content: bytes | str) -> bool:
    """Write a whole file atomically unless it already holds just that; True when it wrote."""
    data = _bytes(content) if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    write(path, data)
    return True


def to_json(value: Any) -> str:
    """The one way this project writes JSON files: readable, stable order of insertion, no NaN."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def append_line(path: Path, line: str, *, log: bool = True) -> None:
    """Append one line. A log past LOG_BYTES is moved to `<name>.1` first; what is no log is kept whole and synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if log and path.exists() and path.stat().st_size > LOG_BYTES:
        os.replace(path, path.with_name(path.name + ".1"))
    with path.open("ab+") as file:
        torn = file.tell() > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
        file.write((b"\n" if torn else b"") + _bytes(line.rstrip("\n")) + b"\n")
    if not log:
        sync_file(path)
        sync_folder(path.parent)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; a torn line (a run killed while it wrote) is passed over."""
    records = []
    if path.exists():
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError):  # torn within a line, or within a letter of it
                records.append(json.loads(line.decode()))
    return records


def last_lines(path: Path, most: int = END_BYTES) -> Iterator[dict[str, Any]]:
    """The last lines of a file of JSON lines, the newest first, from so many bytes at its end; none without a file."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - most)
        file.seek(start)
        lines = file.read().split(b"\n")[1 if start else 0 :]  # the first one's beginning was not read
        for line in reversed(lines):
            with contextlib.suppress(ValueError):
                yield json.loads(line.decode())


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Give an empty staging folder; on success it becomes `folder` in one rename."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        for path in staging.iterdir():
            sync_file(path)
        sync_folder(staging)
        os.rename(staging, folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target` in one rename, whether or not it was there."""
    if link.is_symlink() and os.readlink(link) == target:
        return
    temporary = link.with_name(f"{TEMPORARY}{link.name}")
    temporary.unlink(missing_ok=True)
    os.symlink(target, temporary)
    try:
        os.replace(temporary, link)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(link.parent)


def sweep(folder: Path) -> list[str]:
    """Remove what a killed run left half-made in a folder; the names removed. Only under the lock."""
    swept = []
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.startswith(TEMPORARY):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept.append(path.name)
    return swept


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock for the length of the block; the kernel frees it however the process ends.

    Raises:
        LockedError: at once, when another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            message = f"{what}: another run (process {holder}) is at work; this one left everything as it is"
            raise LockedError(message) from None
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield
