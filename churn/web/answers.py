"""The form of every answer, and of every error: JSON for programs, a page for people."""

import contextlib
import logging
from typing import Any

from flask import Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from churn.errors import DataError, DropError, HistoryError, ReleaseError
from churn.releases import Release
from churn.web.api.uploads import MAX_FILE
from churn.web.guard import access
from churn.web.served import Served

logger = logging.getLogger(__name__)

MAX_BODY = 8 * 2**20  # bytes of a request; 10,000 rows (the most) of twenty columns are about 6 MB
CHUNK = 64 * 2**10


def answer(served: Served, release: Release, **found: Any) -> Response:
    """An answer about a product by a release."""
    return jsonify({"product": served.product.name, "model_version": release.version, **found})


def error(error: Exception) -> Response:
    """Any error in one form; a bug says nothing of the inside, its traceback is in the log."""
    headers: list[tuple[str, str]] = []
    if isinstance(error, RequestRedirect):
        return error.get_response()
    if isinstance(error, HTTPException):
        status, message = error.code, error.description
        headers = [(key, value) for key, value in error.get_headers() if key != "Content-Type"]
    elif isinstance(error, DropError | DataError):
        status, message = 422, str(error)
    elif isinstance(error, ReleaseError | HistoryError):
        status, message = 503, str(error)
    else:
        logger.error("a bug in %s (request %s)", request.endpoint, g.get("request_id"), exc_info=error)
        status, message = 500, "a bug; the traceback is in the log"
    if isinstance(error, RequestEntityTooLarge):
        json, csv, fields = (size / 2**20 for size in (MAX_BODY, MAX_FILE, request.max_form_memory_size or 0))
        most = f"{json:g} MB of JSON, {csv:g} MB of CSV or {fields:.1f} MB of form fields"
        message = f"the request is too large: at most {most}; send it in parts"
        _drain()
    told = {"status": status, "message": message, "request_id": g.get("request_id")}
    response = _page(told) if access.is_page() else jsonify({"error": told})
    response.status_code = status
    response.headers.extend(headers)
    return response


def _page(told: dict[str, Any]) -> Response:
    try:
        return Response(render_template("error.html", error=told, **told), mimetype="text/html")
    except Exception as error:  # noqa: BLE001  what went wrong for the page may go wrong for its error, too
        logger.error("the error's page cannot be made (request %s)", told["request_id"], exc_info=error)
        words = f"{told['status']}: {told['message']}\nrequest {told['request_id']}\n"
        return Response(words, mimetype="text/plain")


def _drain() -> None:
    """Take in what a client is still sending, up to a bound: else it meets a reset connection, not the answer."""
    with contextlib.suppress(OSError):
        for _ in range(4 * MAX_BODY // CHUNK):
            if not request.environ["wsgi.input"].read(CHUNK):
                break
