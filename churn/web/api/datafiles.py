"""CSV files that a request names, opened only inside the product's data folders."""

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from churn.config import Product

logger = logging.getLogger(__name__)

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def open_data(product: Product, path: str) -> int | None:
    """Open a CSV inside the product's data folders for reading; None when there is none, whatever the reason.

    Args:
        path: relative to the config's folder, or to one of the product's data folders. Below those the way is opened
            component by component and no link is followed, so that nothing outside is ever touched.

    Returns:
        The descriptor, which the caller closes.
    """
    parts = path.split("/")
    if not parts[-1].lower().endswith(".csv") or any(not part or part.startswith(".") for part in parts):
        return None
    for folder, way in _ways(product, parts):
        try:
            return _open_below(folder, way)
        except ValueError:  # a name that no file system takes, as one with a NUL
            return None
        except OSError as error:
            if error.errno not in ABSENT:  # the client is not told, the operator is
                logger.warning("%s: a data file could not be opened: %s", product.name, error.strerror)
    return None


def _ways(product: Product, parts: Sequence[str]) -> Iterator[tuple[Path, Sequence[str]]]:
    """The data folders that a path may start from, each with what is left of the path below it."""
    home = product.config_path.parent
    for folder in (product.test, product.source, product.ingested):
        named = folder.relative_to(home).parts if folder.is_relative_to(home) else ()
        if named and tuple(parts[: len(named)]) == named and len(parts) > len(named):
            yield folder, parts[len(named) :]
        yield folder, parts


def _open_below(folder: Path, way: Sequence[str]) -> int:
    # O_NONBLOCK: opening a pipe that nobody writes to must not hang the request.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.ExitStack() as opened:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in way[:-1]:
            opened.callback(os.close, here)
            here = os.open(name, flags | os.O_DIRECTORY, dir_fd=here)
        opened.callback(os.close, here)
        descriptor = os.open(way[-1], flags, dir_fd=here)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return descriptor
