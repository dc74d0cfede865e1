"""Signing in with a token, for people: the browser keeps a session, never the token."""

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from churn.errors import ConfigError
from churn.web.guard import access
from churn.web.guard.access import PUBLIC, scope
from churn.web.served import site

api = Blueprint("login", __name__)

WRONG = "That is not a token of this app. It may have been removed: ask the operator for a new one."
UNSURE = "The tokens cannot be read, so nobody can sign in now. The operator finds the reason in the log."
LONGEST = 200  # characters; a token has 49


@api.get("/login")
@scope(PUBLIC)
def login() -> str:
    """The form that takes a token."""
    return _form("")


@api.post("/login")
@scope(PUBLIC)
def log_in() -> Response:
    """Begin a session, for half a day, and go on to where one came from."""
    try:
        found = site().tokens.presented(request.form.get("token", "").strip()[:LONGEST])
    except ConfigError:
        return make_response(_form(UNSURE), 503)
    if found is None:
        return make_response(_form(WRONG), 401)
    access.sign_in(found)
    return redirect(access.safe_next(request.form.get("next")), 303)


@api.post("/logout")
@scope(PUBLIC)
def log_out() -> Response:
    """End the session."""
    access.sign_out()
    return redirect("/login", 303)


def _form(fault: str) -> str:
    onward = access.safe_next(request.values.get("next"))
    return render_template("login.html", fault=fault, onward=onward)
