"""What the endpoints take and give, as pydantic models; the OpenAPI document is made of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_ROWS = 10_000  # in one request


class PredictionRequest(BaseModel):
    """The body of POST /prediction: a file's path, or the rows themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset_path: str | None = Field(None, max_length=1024)
    rows: list[dict[str, Any]] | None = Field(None, max_length=MAX_ROWS, fail_fast=True)

    @model_validator(mode="after")
    def _one_of_two(self) -> "PredictionRequest":
        if (self.dataset_path is None) == (self.rows is None):
            raise ValueError("send either dataset_path or rows")
        return self
