"""Who may ask for what: every view names its scope, and one that names none is refused.

Without any token, whoever sits at this machine may do everything and nobody else anything.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import quote

from flask import Flask, Request, abort, current_app, g, redirect, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import URLSafeTimedSerializer
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response

from churn.errors import ConfigError
from churn.web.guard.tokens import READ, WRITE, Token, Tokens
from churn.web.served import site
from churn.web.serving.edge import NOTED

PUBLIC = "public"
SAFE = ("GET", "HEAD", "OPTIONS")
ALLOWED = {READ: (READ,), WRITE: (READ, WRITE)}  # what a token's scope is good for
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")  # what a proxy's headers start with
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SESSION_HOURS = 12

View = TypeVar("View", bound=Callable[..., Any])


def scope(needed: str) -> Callable[[View], View]:
    """Say what a view needs: PUBLIC, READ or WRITE. It stands nearest to the function."""

    def mark(view: View) -> View:
        view.scope = needed  # type: ignore[attr-defined]
        return view

    return mark


def scope_of(endpoint: str) -> str | None:
    """What the view of an endpoint needs; None where it does not say."""
    return getattr(current_app.view_functions.get(endpoint), "scope", None)


def may(needed: str) -> bool:
    """Whether whoever asks may do what needs that scope; for templates, and for views that show more to some."""
    return needed == PUBLIC or needed in g.get("may", ())


def hosts(also: str | None) -> frozenset[str]:
    """The names under which the app answers: those of this machine, and those listed with commas between."""
    return frozenset((*LOCAL_HOSTS, *(name.strip().lower() for name in (also or "").split(",") if name.strip())))


def check() -> Response | None:
    """Refuse, before any view runs, what is not allowed.

    Who asks is then in g.who ("" for whoever sits at this machine), and in g.signed_in whether a session said so.
    """
    now, asked = g._get_current_object(), request._get_current_object()  # their proxies look them up at every use
    environ, here = asked.environ, site()
    environ[NOTED] = now
    given = environ.get("HTTP_X_REQUEST_ID")
    now.request_id = given if given is not None and REQUEST_ID.fullmatch(given) else here.new_request_id()
    host = HOST.fullmatch(environ.get("HTTP_HOST", ""))
    if host is None or host[1].lower() not in here.hosts:
        abort(400, "not a host name of this app; the operator adds names with CHURN_HOSTS")
    rule = asked.url_rule
    if rule is None:
        return None  # no such address: the answer says so
    now.route = rule.rule
    needed = scope_of(rule.endpoint)
    if needed is None:
        abort(403, "this is open to nobody")
    who, allowed, by_cookie, unsure = _asker(environ, here.tokens)
    now.who, now.may, now.signed_in = who, allowed, by_cookie
    if needed != PUBLIC and needed not in allowed:
        return _refuse(needed, allowed, unsure)
    if environ["REQUEST_METHOD"] not in SAFE:
        _same_origin_only(environ, by_cookie)
    return None


def _asker(environ: dict[str, Any], known: Tokens) -> tuple[str, tuple[str, ...], bool, bool]:
    """Whose request it is: name, what that is good for, whether a cookie said so, whether it cannot be told."""
    try:
        header = environ.get("HTTP_AUTHORIZATION")
        if header is not None:
            scheme, _, presented = header.partition(" ")
            found = known.presented(presented.strip()) if scheme.lower() == "bearer" else None
            return (found.name, ALLOWED[found.scope], False, False) if found else ("", (), False, False)
        if "HTTP_COOKIE" in environ and (found := _of_session(known)):
            return found.name, ALLOWED[found.scope], True, False
        if known.none_yet() and _is_local(environ):
            return "", ALLOWED[WRITE], False, False
    except ConfigError:
        return "", (), False, True
    return "", (), False, False


def _is_local(environ: dict[str, Any]) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    if any(key.startswith(FORWARDED) for key in environ):
        return False
    try:
        return ipaddress.ip_address(environ.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _refuse(needed: str, allowed: tuple[str, ...], unsure: bool) -> Response:
    if unsure:
        abort(503, "the tokens cannot be read, so nobody is let in; the log says why")
    if allowed:
        abort(403, f"this needs a token of scope {needed}")
    if is_page() and request.method == "GET":
        return redirect(f"/login?next={quote(request.full_path.rstrip('?'))}", 303)
    message = "send a token: Authorization: Bearer ...; the operator makes one with: python app.py --new-token"
    raise Unauthorized(message, www_authenticate=WWWAuthenticate("bearer"))


def _same_origin_only(environ: dict[str, Any], by_cookie: bool) -> None:
    """Refuse what a page of another site asked for; a browser says which page it was."""
    site_of, origin = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_ORIGIN")
    if site_of is None and origin is None:
        strange = by_cookie  # only a program sends neither, and those bring a token
    else:
        strange = site_of not in (None, "same-origin") or origin not in (None, request.host_url.rstrip("/"))
    if strange:
        abort(403, "only a page of this app may ask for that")


def is_page() -> bool:
    """Whether the answer is for a person: by the address, or because the browser prefers HTML."""
    path = request.path
    if path == "/" or path.startswith("/products/"):
        return True
    accepted = request.environ.get("HTTP_ACCEPT", "")
    return (
        "text/html" in accepted
        and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    )


def safe_next(path: str | None) -> str:
    """Where to go after signing in: an address of this app, else its start."""
    path = path or "/"
    plain = path.isprintable() and "\\" not in path and path.startswith("/") and not path.startswith("//")
    return path if plain else "/"


# ---- sessions --------------------------------------------------------------------------------------------------------


class Sessions(SecureCookieSessionInterface):
    """Signed cookies whose key changes with the tokens: no session outlives the token that it came from."""

    digest_method = staticmethod(sha256)

    def __init__(self, known: Tokens) -> None:
        self._tokens = known

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer:
        """What signs and reads the cookies now."""
        options = {"key_derivation": self.key_derivation, "digest_method": self.digest_method}
        key = self._tokens.session_key()
        return URLSafeTimedSerializer(key, salt=self.salt, serializer=self.serializer, signer_kwargs=options)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        """The session of a request; an empty one, at no cost, where it has no cookie at all."""
        return super().open_session(app, request) if "HTTP_COOKIE" in request.environ else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie where it changed; nothing, at no cost, where nobody looked at the session."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Only over https, where the request came that way."""
        return request.is_secure


def set_up(app: Flask, known: Tokens) -> None:
    """Make an app check every request, and keep sessions."""
    app.config.update(
        SESSION_COOKIE_NAME="churn",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
    )
    app.session_interface = Sessions(known)
    app.ensure_sync = lambda view: view  # type: ignore[method-assign]  no view is async; to find that out takes time
    app.before_request(check)


def sign_in(token: Token) -> None:
    """Let the browser that asks do, for half a day, what the token is good for."""
    session.clear()
    session.permanent = True
    session["token"] = [token.name, token.digest[:16]]


def sign_out() -> None:
    """End the session of the browser that asks."""
    session.clear()


def _of_session(known: Tokens) -> Token | None:
    said = session.get("token")
    return next((one for one in known.all() if said == [one.name, one.digest[:16]]), None)
