"""Who may ask for what: every view names its scope, and one that names none is refused."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import abort, current_app, request

PUBLIC, READ, WRITE = "public", "read", "write"

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


def check() -> None:
    """Refuse, before any view runs, what is not allowed."""
    if request.endpoint is not None and scope_of(request.endpoint) is None:
        abort(403, "this is open to nobody")
