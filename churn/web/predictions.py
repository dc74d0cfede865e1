"""POST /prediction: the risks of the rows, or of the file, that a request sends."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, abort, request
from pydantic import ValidationError

from churn import columns, dataset, estimators
from churn.config import Product
from churn.errors import DataError
from churn.releases import Release
from churn.web import datafiles
from churn.web.access import READ, scope
from churn.web.answers import MAX_BODY, answer
from churn.web.schemas import PredictionRequest
from churn.web.served import asked, site

api = Blueprint("predictions", __name__)

MAX_FILE = 16 * 2**20  # bytes of a file; more is work for scoring.py, not for a request


@api.post("/prediction")
@scope(READ)
def prediction() -> Response:
    """Each row's risk to leave, for {"dataset_path": "<a CSV in the data folders>"} or {"rows": [{...}, ...]}."""
    served, release = asked()
    wanted = _body()
    if wanted.rows is not None:
        risks, ids = _risks_of_rows(release, wanted.rows)
    else:
        risks, ids = _risks_of_file(served.product, release, wanted.dataset_path)
    predictions: list[dict[str, Any]] = [{"risk": risk, "leaves": risk >= release.threshold} for risk in risks]
    for one, client in zip(predictions, ids, strict=True):
        if client is not None:
            one["id"] = client
    return answer(served, release, rows=len(risks), threshold=release.threshold, predictions=predictions)


def _body() -> PredictionRequest:
    if request.mimetype != "application/json":
        abort(415, "send JSON, with the header Content-Type: application/json")
    content = request.get_data(cache=False)
    if request.content_length is None and len(content) >= MAX_BODY:
        abort(413)  # Flask refuses what announces its length; what comes in chunks it only cuts off
    try:
        return PredictionRequest.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = list(fault["loc"])
        if len(place) > 1 and place[0] == "rows":
            place = [f"row {place[1] + 1}", *place[2:]]
        where = "".join(f"{str(part)[:100]}: " for part in place)
        abort(400 if fault["type"] == "json_invalid" else 422, where + fault["msg"].removeprefix("Value error, "))


def _risks_of_rows(release: Release, rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[str | None]]:
    try:
        risks = estimators.risks_of_rows(release.model, rows, release.columns)
        return risks.tolist(), [_id(row, release.columns) for row in rows]
    except DataError:
        for number, row in enumerate(rows, start=1):  # checked again one by one, to name the row
            try:
                columns.features_of(row, release.columns)
                _id(row, release.columns)
            except DataError as fault:
                abort(422, f"row {number}: {fault}")
        raise


def _id(row: Mapping[str, Any], contract: columns.Columns) -> str | None:
    return columns.category(row.get(contract.id), contract.id) if contract.id else None


def _risks_of_file(product: Product, release: Release, path: str) -> tuple[list[float], list[str | None]]:
    descriptor = datafiles.open_data(product, path)
    if descriptor is None:
        abort(404, f"no such CSV file in the data folders of {product.name}")
    try:
        if os.fstat(descriptor).st_size > MAX_FILE:
            abort(422, f"the file is larger than {MAX_FILE // 2**20} MB; that is work for scoring.py (clients_path)")
        # The contract is the release's: what config.json says by now may be meant for the next one.
        contract = replace(product, columns=release.columns)
        with site().file_reading:
            frame = dataset.read_file(contract, descriptor, path.rpartition("/")[2])
    finally:
        os.close(descriptor)
    risks = estimators.risks(release.model, frame).tolist()
    if release.columns.id is None:
        return risks, [None] * len(risks)
    clients = frame[release.columns.id]
    return risks, clients.astype(object).where(clients.notna(), None).tolist()
