"""The form of every answer, and of every error: JSON for programs, a page for people."""

import contextlib
import logging
from typing import Any

from flask import Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from churn.errors import DataError, DropError, HistoryError, ReleaseError
from churn.releases import Release
from churn.web.served import Served

logger = logging.getLogger(__name__)

MAX_BODY = 8 * 2**20  # bytes of a request; 10,000 rows (the most) of twenty columns are about 6 MB
CHUNK = 64 * 2**10
VERSION_HEADER = "X-Model-Version"


def answer(served: Served, release: Release, **found: Any) -> Response:
    """An answer about a product by a release."""
    return jsonify({"product": served.product.name, "model_version": release.version, **found})


def name_version(response: Response) -> Response:
    """Say in a header which release answered."""
    if "model_version" in g:
        response.headers[VERSION_HEADER] = g.model_version
    return response


def error(error: Exception) -> Response:
    """Any error as JSON of one form; a bug says nothing of the inside, its traceback is in the log."""
    headers: list[tuple[str, str]] = []
    if isinstance(error, HTTPException):
        status, message = error.code, error.description
        headers = [(key, value) for key, value in error.get_headers() if key != "Content-Type"]
    elif isinstance(error, DropError | DataError):
        status, message = 422, str(error)
    elif isinstance(error, ReleaseError | HistoryError):
        status, message = 503, str(error)
    else:
        logger.error("a bug in %s", request.endpoint, exc_info=error)
        status, message = 500, "a bug; the traceback is in the log"
    if isinstance(error, RequestEntityTooLarge):
        _drain()
    response = jsonify({"error": {"status": status, "message": message}})
    response.status_code = status
    response.headers.extend(headers)
    return response


def _drain() -> None:
    """Take in what a client is still sending, up to a bound: else it meets a reset connection, not the answer."""
    with contextlib.suppress(OSError):
        for _ in range(4 * MAX_BODY // CHUNK):
            if not request.environ["wsgi.input"].read(CHUNK):
                break
