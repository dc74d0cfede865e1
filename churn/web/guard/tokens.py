"""Tokens: who may use the app, each a line of a file that holds no token but the hash of one.

A line is `name scope sha256 created`; empty lines and those that start with # are passed over. The environment's
CHURN_TOKENS holds such lines as well.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn import storage
from churn.config import Product
from churn.errors import ChurnError, ConfigError

logger = logging.getLogger(__name__)

READ, WRITE = "read", "write"  # who may write may read, too
PREFIX = "churn_"  # so that a token that leaked into a file or a log can be recognised as one
FILE = "tokens.txt"
LOOK_SECONDS = 1.0  # how long a removed token may go on
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LINE = re.compile(rf"({NAME.pattern}) ({READ}|{WRITE}) ([0-9a-f]{{64}}) (\S{{1,40}})")


@dataclass(frozen=True)
class Token:
    """One token: whose it is, what it is good for, its SHA-256 in hex, and since when."""

    name: str
    scope: str
    digest: str
    created: str

    @property
    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name} {self.scope} {self.digest} {self.created}"


def parse(text: str, where: str) -> tuple[Token, ...]:
    """The tokens of a file's text.

    Raises:
        ConfigError: a line that is none, or a name that stands twice.
    """
    found: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ConfigError(
                f"{where}, line {number}: not of the form 'name {READ}|{WRITE} sha256 created'; remove the line and "
                "make a new token with: python app.py --new-token"
            )
        token = Token(*match.groups())
        if token.name in found:
            raise ConfigError(f"{where}, line {number}: the name {token.name} stands twice; remove one of the lines")
        found[token.name] = token
    return tuple(found.values())


def digest_of(token: str) -> str:
    """The hash that the file holds for a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_file(config_path: Path, products: Iterable[Product], named: Path | None = None) -> Path:
    """Where the tokens are: the file that is named here, or by CHURN_TOKENS_FILE, else the one beside the config.

    Raises:
        ConfigError: that is inside a folder of data, which clients may read or stages may sweep.
    """
    path = Path(named or os.environ.get("CHURN_TOKENS_FILE") or config_path.resolve().parent / FILE)
    for product in products:
        folders = (product.source, product.ingested, product.test, product.models, product.production)
        for folder in (*folders, product.logs, product.reports):
            if path.resolve().is_relative_to(folder.resolve()):
                raise ConfigError(f"{path}: tokens must not lie in {folder}; name another file with CHURN_TOKENS_FILE")
    return path


class Tokens:
    """The tokens that count now: of a file, read again within a second of a change, and of the environment.

    When the file turns unreadable nobody is let in. An app that has known a token asks for one to its end: a file
    that vanishes must not open what it was there to close.
    """

    def __init__(self, path: Path | None = None, listed: str = "") -> None:
        """`path`: of the file, which need not exist; `listed`: lines, as CHURN_TOKENS has them.

        Raises:
            ConfigError: either is not what it should be.
        """
        self._path = path
        self._listed = parse(listed, "CHURN_TOKENS")
        # The master's, so that all workers know a session; without one, sessions end with the process.
        self._key = (os.environ.get("CHURN_SESSION_KEY") or secrets.token_hex(32)).encode()
        self._reading = threading.Lock()
        self._look: tuple[int, ...] | None = None
        self._next_look = 0.0
        self._fault: str | None = None
        self._known: tuple[Token, ...] = ()
        self._ever = False
        self.all()

    def all(self) -> tuple[Token, ...]:
        """Every token that counts now.

        Raises:
            ConfigError: they cannot be told; nobody may be let in.
        """
        if time.monotonic() >= self._next_look:
            with self._reading:
                self._follow()
        if self._fault is not None:
            raise ConfigError(self._fault)
        return self._known

    def none_yet(self) -> bool:
        """Whether there is no token and has been none: a file without one shows that there was, until it is deleted.

        Raises:
            ConfigError: they cannot be told.
        """
        return not self.all() and not self._ever

    def presented(self, token: str) -> Token | None:
        """Whose token that is; None when it is nobody's. The time it takes does not tell how near it comes."""
        digest, found = digest_of(token), None
        for known in self.all():
            if hmac.compare_digest(known.digest, digest):
                found = known
        return found

    def session_key(self) -> bytes:
        """What sessions are signed with: another one as soon as any token is removed or made."""
        return hmac.digest(self._key, "\n".join(token.line for token in self._known).encode(), "sha256")

    def _follow(self) -> None:
        if time.monotonic() < self._next_look:
            return  # another thread has just looked
        try:
            look, text = _read(self._path, self._look)
            if text is not None:
                known = _joined(self._listed, parse(text, str(self._path)))
                self._known, self._fault, self._look = known, None, look
                self._ever = self._ever or bool(known) or look != ()
        except ConfigError as error:
            if str(error) != self._fault:
                logger.error("nobody is let in: %s", error)
            self._fault, self._look = str(error), None
        self._next_look = time.monotonic() + LOOK_SECONDS


def _read(path: Path | None, seen: tuple[int, ...] | None) -> tuple[tuple[int, ...], str | None]:
    """What a file looks like, and its text unless it looks as it did (`seen`); without a file, no text."""
    try:
        facts = path.stat() if path else None
        look = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns) if facts else ()
        if look == seen:
            return look, None
        return look, path.read_text(encoding="utf-8") if path else ""
    except FileNotFoundError:
        return (), "" if seen != () else None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; make it anew with: python app.py --new-token") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from None


def _joined(listed: Sequence[Token], of_file: Sequence[Token]) -> tuple[Token, ...]:
    twice = {token.name for token in listed} & {token.name for token in of_file}
    if twice:
        raise ConfigError(f"CHURN_TOKENS and the file both name {', '.join(sorted(twice))}; remove one of each")
    return (*listed, *of_file)


# ---- making and removing them ----------------------------------------------------------------------------------------


def make(path: Path, name: str, scope: str, created: str, taken: Iterable[str] = ()) -> str:
    """Add a new token to the file and return it; it cannot be told again.

    Args:
        taken: names that are in use elsewhere.

    Raises:
        ChurnError: the name cannot be had.
    """
    if NAME.fullmatch(name) is None:
        raise ChurnError(f"{name!r} is no name for a token: letters, digits, '.', '_' and '-', at most 64")
    token = PREFIX + secrets.token_urlsafe(32)
    with storage.locked(path.with_name(f"{path.name}.lock"), "tokens"):
        known = listed(path)
        if name in {*taken, *(one.name for one in known)}:
            raise ChurnError(f"the name {name} is in use; take another, or first: python app.py --remove-token {name}")
        _write(path, (*known, Token(name, scope, digest_of(token), created)))
    return token


def remove(path: Path, name: str) -> int:
    """Take a token out of the file; within a second it is good for nothing. How many are left.

    Raises:
        ChurnError: there is none of that name.
    """
    with storage.locked(path.with_name(f"{path.name}.lock"), "tokens"):
        known = listed(path)
        if name not in {one.name for one in known}:
            raise ChurnError(f"{path}: no token {name}; see them with: python app.py --list-tokens")
        left = tuple(one for one in known if one.name != name)
        _write(path, left)
        return len(left)


def listed(path: Path) -> tuple[Token, ...]:
    """The tokens of a file.

    Raises:
        ConfigError: it cannot be read, or a line is none.
    """
    return parse(_read(path, None)[1] or "", str(path))


def _write(path: Path, known: Sequence[Token]) -> None:
    with storage.replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{token.line}\n" for token in known)
