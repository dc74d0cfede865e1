"""CSV files that come with a request: as the body itself, or as the one file of a form."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from flask import abort, request

MAX_FILE = 16 * 2**20  # bytes; more is work for scoring.py, not for a request
FRAME = 64 * 2**10  # what a form may have around its file
CHUNK = 64 * 2**10
FIELD = "file"
NAME = "the upload"  # for messages


@contextlib.contextmanager
def body() -> Iterator[IO[bytes]]:
    """The body as an open file; it is gone afterwards."""
    request.max_content_length = MAX_FILE
    with tempfile.TemporaryFile() as file:
        taken = 0
        while chunk := request.stream.read(CHUNK):
            taken += len(chunk)
            file.write(chunk)
        if request.content_length is None and taken >= MAX_FILE:
            abort(413)  # Flask refuses what announces its length; what comes in chunks it only cuts off
        file.flush()
        yield file


@contextlib.contextmanager
def field() -> Iterator[IO[bytes]]:
    """The one file of a form as an open file; it is gone afterwards."""
    request.max_content_length = MAX_FILE + FRAME
    files = list(request.files.items(multi=True))
    if len(files) != 1 or files[0][0] != FIELD or request.form:
        abort(422, f"send one CSV file in the field {FIELD!r}, and nothing else")
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(files[0][1].stream, file, CHUNK)
        if file.tell() > MAX_FILE:
            abort(413)
        file.flush()
        yield file
