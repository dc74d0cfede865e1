"""POST /prediction: the risks of the rows, or of the file, that a request sends."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, abort, request
from msgspec.json import encode  # in a tenth of the time of the standard library's
from pydantic import ValidationError

from churn import columns, dataset, estimators, sheet
from churn.config import Product
from churn.errors import DataError
from churn.web.api import asking, datafiles, uploads
from churn.web.api.answer_schemas import PredictionAnswer
from churn.web.api.document import operation
from churn.web.api.schemas import FormRequest, PredictionQuery, PredictionRequest, Rows, UploadRequest
from churn.web.api.uploads import MAX_FILE
from churn.web.guard.access import READ, scope
from churn.web.served import Served, asked, site
from churn.web.serving.production import Serving

api = Blueprint("predictions", __name__)
AT_ONCE = 1_000  # rows; longer answers are made while they are sent

FORM, UPLOAD, CSV = "application/x-www-form-urlencoded", "multipart/form-data", "text/csv"


@dataclass(frozen=True)
class Scored:
    """Rows' risks, and the ids of those that have one."""

    risks: Sequence[float]
    ids: Sequence[str | None]


@api.post("/prediction")
@scope(READ)
@operation(
    query=PredictionQuery,
    json=PredictionRequest,
    bodies={FORM: FormRequest, UPLOAD: UploadRequest, CSV: "a CSV file with a header and a row a client"},
    answer=PredictionAnswer,
    answers={CSV: "with the columns id (where rows have one), risk and leaves"},
    refusals=(503,),
)
def prediction() -> Response:
    """Each row's risk to leave, for rows or a CSV file.

    Send {"rows": [{...}, ...]} or {"dataset_path": "<a CSV in the data folders>"} as JSON, either of them as a form, or
    the CSV file itself: as the body (text/csv), or in the field `file` of a multipart form. Labels are not needed. One
    row that breaks the contract refuses them all, and the answer names it.
    """
    asks = request._get_current_object()  # type: ignore[attr-defined]  the proxy looks it up anew each time
    as_csv = bool(asks.query_string) and asking.query(PredictionQuery).format == "csv"
    served, release = asked()
    read = READERS.get(asks.environ.get("CONTENT_TYPE", "")) or READERS.get(asks.mimetype)
    if read is None:
        abort(415, f"send JSON, with the header Content-Type: {asking.JSON}; or {', '.join(list(READERS)[1:])}")
    scored = read(served, release)
    site().counters.predicted(served.product.name, release.version, scored.risks)
    return (_table if as_csv else _json)(served.product, release, scored)


# ---- what is sent ----------------------------------------------------------------------------------------------------


def _of_json(served: Served, release: Serving) -> Scored:
    content = asking.sent()
    with asking.alone(content):
        if found := release.scorer.read(content):
            return Scored(*found)
        wanted = asking.parsed(PredictionRequest, content)
        rows = wanted.rows
        scored = of_file(served.product, release, wanted.dataset_path) if rows is None else of_rows(release, rows)
        # Rows that break the contract have been named by now, NaN among them; this is for what was not looked at.
        if asking.may_be_loose(content, 1 + sum(map(len, rows or ()))):
            asking.check_strictly(content)
    return scored


def _of_form(served: Served, release: Serving) -> Scored:
    fields = asking.single(request.form)
    try:
        wanted = FormRequest.model_validate(fields)
    except ValidationError as error:
        asking.refuse(error)
    if wanted.dataset_path is None:
        return of_rows(release, [fields])
    if len(fields) > 1:
        abort(422, "send either dataset_path or the fields of one row")
    return of_file(served.product, release, wanted.dataset_path)


def _of_csv(served: Served, release: Serving) -> Scored:
    with uploads.body() as file:
        return of_descriptor(served.product, release, file.fileno(), uploads.NAME)


def _of_upload(served: Served, release: Serving) -> Scored:
    with uploads.field() as file:
        return of_descriptor(served.product, release, file.fileno(), uploads.NAME)


READERS: Mapping[str, Callable[[Served, Serving], Scored]] = {
    asking.JSON: _of_json,
    FORM: _of_form,
    UPLOAD: _of_upload,
    CSV: _of_csv,
}


# ---- the risks -------------------------------------------------------------------------------------------------------


def of_rows(release: Serving, rows: Rows) -> Scored:
    """Plain rows' risks; 422 names the row that breaks the contract."""
    try:
        return Scored(release.scorer.risks(rows), ids_of(rows, release.columns))
    except DataError:
        check(rows, release.columns)
        raise


def check(rows: Rows, contract: columns.Columns) -> None:
    """Answer 422 for the first row that breaks the contract."""
    for number, row in enumerate(rows, start=1):
        try:
            columns.features_of(row, contract)
            ids_of([row], contract)
        except DataError as fault:
            abort(422, f"row {number}: {fault}")


def ids_of(rows: Rows, contract: columns.Columns) -> list[str | None]:
    """Each row's id, where it has one.

    Raises:
        DataError: an id is none; the message names the column.
    """
    name = contract.id
    return [columns.category(row.get(name), name) if name else None for row in rows]


def of_file(product: Product, release: Serving, path: str) -> Scored:
    """The risks of the rows of a CSV file in the data folders."""
    descriptor = datafiles.open_data(product, path)
    if descriptor is None:
        abort(404, f"no such CSV file in the data folders of {product.name}")
    try:
        if os.fstat(descriptor).st_size > MAX_FILE:
            abort(422, f"the file is larger than {MAX_FILE // 2**20} MB; that is work for scoring.py (clients_path)")
        return of_descriptor(product, release, descriptor, path.rpartition("/")[2])
    finally:
        os.close(descriptor)


def of_descriptor(product: Product, release: Serving, descriptor: int, name: str) -> Scored:
    """The risks of the rows of an open CSV file.

    Raises:
        DropError: a row breaks the contract; the message names the line.
    """
    # The contract is the release's: what config.json says by now may be meant for the next one.
    contract = replace(product, columns=release.columns)
    with site().large_work:
        frame = dataset.read_file(contract, descriptor, name)
        risks = estimators.risks(release.model, frame).tolist()
        if release.columns.id is None:
            return Scored(risks, [None] * len(risks))
        clients = frame[release.columns.id]
        return Scored(risks, clients.astype(object).where(clients.notna(), None).tolist())


# ---- what is answered ------------------------------------------------------------------------------------------------


def _json(product: Product, release: Serving, scored: Scored) -> Response:
    threshold, count = release.threshold, len(scored.risks)
    head = {"product": product.name, "model_version": release.version, "rows": count, "threshold": threshold}

    def told(start: int) -> list[dict[str, Any]]:
        part = slice(start, start + AT_ONCE)
        found: list[dict[str, Any]] = [{"risk": risk, "leaves": risk >= threshold} for risk in scored.risks[part]]
        for prediction, client in zip(found, scored.ids[part], strict=True):
            if client is not None:
                prediction["id"] = client
        return found

    def pieces() -> Iterator[bytes]:
        yield encode(head)[:-1] + b',"predictions":['
        for start in range(0, count, AT_ONCE):
            yield (b"," if start else b"") + encode(told(start))[1:-1]
        yield b"]}\n"

    if count > AT_ONCE:
        return Response(pieces(), content_type=asking.JSON)
    return Response(encode(head | {"predictions": told(0)}) + b"\n", content_type=asking.JSON)


def _table(product: Product, release: Serving, scored: Scored) -> Response:
    named = release.columns.id is not None

    def pieces() -> Iterator[bytes]:
        yield b"id,risk,leaves\r\n" if named else b"risk,leaves\r\n"
        for start in range(0, len(scored.risks), AT_ONCE):
            text = io.StringIO(newline="")
            writer, part = csv.writer(text), slice(start, start + AT_ONCE)
            for risk, client in zip(scored.risks[part], scored.ids[part], strict=True):
                cells = [repr(risk), str(risk >= release.threshold).lower()]
                writer.writerow([sheet.cell(client or ""), *cells] if named else cells)
            yield text.getvalue().encode()

    headers = {"Content-Disposition": f'attachment; filename="risks-{product.name}.csv"'}
    return Response(pieces(), mimetype=CSV, headers=headers)
