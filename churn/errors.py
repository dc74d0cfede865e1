"""Every error that a user can fix, in one tree.

A message names the file and what mends it. `stage.main` shows a ChurnError without a traceback and exits 1;
anything else is a bug, keeps its traceback and exits 3.
"""


class ChurnError(Exception):
    """Something the user can fix; the message says how."""


class ConfigError(ChurnError):
    """config.json is missing, malformed, or says something that is not allowed."""


class DropError(ChurnError):
    """A file that cannot be used as a whole: it is quarantined and the others go on.

    Args:
        name: the file's name as it lies in its folder.
        reason: what is wrong and what to do about it.
        line: 1-based line of the file, where there is one.
    """

    def __init__(self, name: str, reason: str, line: int | None = None) -> None:
        self.name, self.reason, self.line = name, reason, line
        place = f"{shown(name)}, line {line}" if line else shown(name)
        super().__init__(f"{place}: {reason}")


class ChangingError(DropError):
    """The file changed while it was read: it is left for the next run."""


class DataError(ChurnError):
    """The data at hand does not allow the step: nothing ingested, one class, too few rows."""


class ReleaseError(ChurnError):
    """A version is missing, incomplete, or not the bytes that its manifest lists."""


class NoRelease(ReleaseError):
    """Nothing is in production yet."""


class HistoryError(ChurnError):
    """The history's database cannot be used as it is; everything else works without it."""


class LockedError(ChurnError):
    """Another run holds the product's lock (exit code 75, as in sysexits' EX_TEMPFAIL)."""


class QuarantineError(ChurnError):
    """Drops were set aside in this run; everything else was done."""


def shown(name: str) -> str:
    """A file's name on one printable line, whatever bytes it is made of."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
