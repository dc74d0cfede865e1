"""Where drops come from: a folder today, by a closed table of names.

A source lists the files that could be drops with the cheap facts about them, and opens one for reading. It never
changes what it lists: the operator's files stay as they are.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from churn.errors import ChangingError, ConfigError, DropError

NO_FILE = "not a regular file; only files are read"


def check(folder: Path, product: str, key: str) -> None:
    """Make sure that a configured folder is there: a mistyped path or a lost mount must not look like no news.

    A product's own folder may be absent, as a new product's is, but not the one above it.

    Raises:
        ConfigError: it is absent, or no folder.
    """
    above = folder.parent if folder.name == product and not folder.exists() else folder
    if not above.is_dir():
        raise ConfigError(f"{above}: no such folder; mend {key} in the config, or mount or make it")


@dataclass(frozen=True)
class Candidate:
    """A file as a first look sees it; a drop itself is identified by its content.

    `changed_ns` is the time of the last change of anything about it, permissions included: unlike `mtime_ns`, by
    which drops are ordered, nobody can set it back.
    """

    name: str
    size: int
    mtime_ns: int
    inode: int
    changed_ns: int

    @classmethod
    def of(cls, name: str, facts: os.stat_result) -> "Candidate":
        """The candidate that a file's status describes."""
        return cls(name, facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_ctime_ns)


class Folder:
    """The regular files of one folder; names that start with a dot belong to somebody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> list[Candidate]:
        """What lies in the folder, oldest first (then by name): the order in which drops are ingested."""
        if not self.folder.is_dir():
            return []
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_dir(follow_symlinks=False):
                    continue
                with contextlib.suppress(FileNotFoundError):  # moved away since it was listed
                    found.append(Candidate.of(entry.name, entry.stat(follow_symlinks=False)))
        return sorted(found, key=lambda candidate: (candidate.mtime_ns, candidate.name))

    def open(self, name: str) -> int:
        """Open a file of the folder for reading; the descriptor, which the caller closes.

        Raises:
            DropError: it is not a plain, readable file: a link, a pipe, a device, or without permission.
            ChangingError: it was moved away.
        """
        try:
            # O_NONBLOCK: opening a pipe that nobody writes to must not hang the tick.
            descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise ChangingError(name, "it is no longer there") from None
            if error.errno == errno.ELOOP:
                raise DropError(name, "a symbolic link; put the file itself here") from None
            if error.errno == errno.ENXIO:  # a socket
                raise DropError(name, NO_FILE) from None
            raise DropError(name, f"cannot be opened ({error.strerror}); mend its permissions") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DropError(name, NO_FILE)
        return descriptor


SOURCES: dict[str, Callable[[Path], Folder]] = {"folder": Folder}


def settled(source: Folder, candidates: Iterable[Candidate], seconds: float) -> tuple[list[Candidate], list[str]]:
    """Split candidates into those that are complete and the names of those still being written.

    A file is taken to be complete when nobody on this machine has it open for writing and it has not changed for
    `seconds`; when the youngest is younger than that, this waits once and looks again.
    """
    candidates = list(candidates)
    youngest = max((candidate.mtime_ns for candidate in candidates), default=0)
    if candidates and time.time_ns() - youngest < seconds * 1e9:
        time.sleep(seconds)
        still = set(source.list())
    else:
        still = set(candidates)
    complete, growing = [], []
    for candidate in candidates:
        if candidate in still and not _open_for_writing(source, candidate.name):
            complete.append(candidate)
        else:
            growing.append(candidate.name)
    return complete, growing


def _open_for_writing(source: Folder, name: str) -> bool:
    """Whether a process of this machine holds the file open for writing (Linux tells through a read lease)."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = source.open(name)
    except DropError:
        return False  # ingestion opens it again and says why it cannot
    try:
        # A writer that comes while the lease is held makes the kernel signal us: by one that is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN  # anything else: this file system has no leases
    finally:
        os.close(descriptor)
    return False
