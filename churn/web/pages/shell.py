"""What every page is framed in: the products, the tabs of one, light or dark, and what was just done."""

from typing import Any

from flask import Blueprint, abort, g, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from churn.web.guard import access
from churn.web.guard.access import PUBLIC, READ, WRITE, scope
from churn.web.pages import wording
from churn.web.served import Served, product, site

pages = Blueprint("pages", __name__)

TABS = (
    ("Today", "pages.today", ()),
    ("Clients", "pages.clients", ("pages.client", "pages.what_if")),
    ("Model", "pages.model", ()),
    ("Releases", "pages.releases", ("pages.rollback", "pages.confirm_rollback")),
    ("Data", "pages.data", ()),
)
THEMES = ("light", "dark")
YEAR = 365 * 24 * 3600
# What a page that was redirected to says was done, by the name that its address has for it.
DONE = {
    "called": "The call is kept.",
    "noted": "The note is kept.",
    "snoozed": "Snoozed: the client is off the list until the day you gave.",
    "rolled-back": "Rolled back: the release below is in production now, and serves within seconds.",
}

for _filter in wording.FILTERS:
    pages.add_app_template_filter(_filter)
for _function in wording.FUNCTIONS:
    pages.add_app_template_global(_function)


@pages.app_context_processor
def framed() -> dict[str, Any]:
    """`shell`, which base.html lays out; without a product where the request is about none."""
    known = site().products if access.may(READ) else {}
    name = (request.view_args or {}).get("product")
    name = name if name in known else None
    return {
        "shell": {
            "product": name,
            "products": [(other, url_for("pages.today", product=other)) for other in known],
            "tabs": _tabs(name) if name else [],
            "theme": theme_of(request.cookies.get("theme")),
            "here": here(),
            "said": DONE.get(request.args.get("done", "")),
            "version": g.get("model_version"),
            "who": g.get("who", ""),
            "may_write": access.may(WRITE),
            "signed_in": g.get("signed_in", False),
        }
    }


def _tabs(name: str) -> list[tuple[str, str, str | None]]:
    """Title, address, and how it is to be marked: this page, or the page that this one belongs to."""

    def mark(endpoint: str, below: tuple[str, ...]) -> str | None:
        return "page" if request.endpoint == endpoint else "true" if request.endpoint in below else None

    return [(title, url_for(endpoint, product=name), mark(endpoint, below)) for title, endpoint, below in TABS]


def theme_of(text: str | None) -> str | None:
    """light or dark; None for as the system has it."""
    return text if text in THEMES else None


def here() -> str:
    """The address to come back to; of what was posted, the page that it was posted from."""
    if "here" in g:
        return g.here
    return request.full_path.rstrip("?") if request.method == "GET" else "/"


def served(name: str) -> Served:
    """The product that a page is about; 404 where there is none of that name."""
    return product(name)


def known(name: str) -> Served:
    """The same, for what is about its clients; 404 where they have no id, so that nobody is known again."""
    found = product(name)
    if found.product.columns.id is None:
        abort(404, f"{name} has no id column, so that there is no page about a client")
    return found


@pages.post("/theme")
@scope(PUBLIC)
def theme() -> ResponseReturnValue:
    """Remember light or dark for this browser."""
    wanted = theme_of(request.form.get("theme"))
    response = make_response(redirect(access.safe_next(request.form.get("back")), 303))
    if wanted:
        response.set_cookie("theme", wanted, max_age=YEAR, httponly=True, samesite="Lax")
    else:
        response.delete_cookie("theme", httponly=True, samesite="Lax")
    return response
