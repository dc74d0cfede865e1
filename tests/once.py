"""What takes seconds to make is made once for all test files of a run, which get copies of it."""

import fcntl
import re
import shutil
from collections.abc import Callable
from pathlib import Path

RUN = re.compile(r"pytest-\d+")  # the folder of a run, in which each process of it has its own


def made(name: str, folder: Path, make: Callable[[Path], object]) -> Path:
    """Fill a folder of a test with what `make(folder)` leaves there; the folder."""
    run = next((parent for parent in folder.parents if RUN.fullmatch(parent.name)), None)
    folder.mkdir(parents=True, exist_ok=True)
    if run is None:  # as with --basetemp: nowhere to share it
        make(folder)
        return folder
    kept = run / f"once-{name}"
    with (run / f"once-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes meanwhile waits for it
        if not kept.exists():
            half = run / f"half-{name}"
            shutil.rmtree(half, ignore_errors=True)  # of one that failed
            half.mkdir()
            make(half)
            half.rename(kept)
    shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
    return folder
