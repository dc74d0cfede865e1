"""What the endpoints take, as pydantic models: requests are checked by them, and the OpenAPI document has them."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from churn.web.serving.scorer import MAX_ROWS
from churn.words import BANDS

MAX_EXPLAINED = 100  # reasons of a boosted model cost half a millisecond a row
MAX_PAGE = 500  # clients on a page
MAX_NAME, MAX_WORDS, MAX_NOTE = 1_000, 200, 2_000
OLDEST = date(2000, 1, 1)  # nobody was called before

Band = Literal[BANDS]  # type: ignore[valid-type]


class Asked(BaseModel):
    """A request: nothing is taken for something else, and nothing unknown is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ---- in the address --------------------------------------------------------------------------------------------------


class Of(Asked):
    """Which product is asked about."""

    product: str | None = Field(None, max_length=64, description="the product; needed where there are several")


class PredictionQuery(Of):
    """How predictions are answered."""

    format: Literal["json", "csv"] = Field("json", description="csv: a table with the columns id, risk and leaves")


class ClientsQuery(Of):
    """Which clients, most at risk first."""

    page: int = Field(1, ge=1, le=1_000_000, description="from 1")
    limit: int = Field(50, ge=1, le=MAX_PAGE, description="clients on a page")
    search: str = Field("", max_length=MAX_WORDS, description="only clients in whose id this stands, in any case")
    lowest: float = Field(0.0, ge=0, le=1, description="only risks from here on")
    highest: float = Field(1.0, ge=0, le=1, description="only risks up to here")
    band: Band | None = Field(None, description="only risks of this band")


class DriftQuery(Of):
    """How many judgements."""

    limit: int = Field(10, ge=1, le=100, description="the newest so many")


# ---- in the body -----------------------------------------------------------------------------------------------------

Rows = list[dict[str, Any]]


class PredictionRequest(Asked):
    """Either rows, or the path of a CSV file in the product's data folders."""

    model_config = ConfigDict(
        strict=True,
        # What the validator below says, where a document can show it.
        json_schema_extra={
            "oneOf": [
                {"required": ["rows"], "properties": {"dataset_path": {"type": "null"}, "rows": {"type": "array"}}},
                {
                    "required": ["dataset_path"],
                    "properties": {"rows": {"type": "null"}, "dataset_path": {"type": "string"}},
                },
            ]
        },
    )

    dataset_path: str | None = Field(
        None, max_length=1024, description="a CSV file, from the config's folder or from one of the data folders"
    )
    rows: Rows | None = Field(
        None,
        max_length=MAX_ROWS,
        fail_fast=True,
        description="objects with a value for each feature; null, or blank text, is a missing value",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "PredictionRequest":
        if (self.dataset_path is None) == (self.rows is None):
            raise ValueError("send either dataset_path or rows")
        return self


class FormRequest(BaseModel):
    """A form: dataset_path alone, or one row, a field a column."""

    model_config = ConfigDict(extra="allow")

    dataset_path: str | None = Field(None, max_length=1024, description="a CSV file, as in JSON")


class UploadRequest(BaseModel):
    """A form with one file."""

    model_config = ConfigDict(extra="forbid")

    file: bytes = Field(description="a CSV file with a header and a row a client")


class ExplainRequest(Asked):
    """Rows whose risk is to be explained."""

    model_config = ConfigDict(strict=True)

    rows: Rows = Field(max_length=MAX_EXPLAINED, fail_fast=True, description="as for a prediction")


def _in_utc(moment: datetime) -> datetime:
    if not OLDEST.year <= moment.year < 9000:  # beyond, the zone may lead out of the calendar
        raise ValueError(f"lies before {OLDEST.year}, or too far ahead")
    return moment.astimezone(UTC).replace(microsecond=0)


def _in_our_time(day: date) -> date:
    if day.year < 1900:
        raise ValueError("lies before 1900")
    return day


def _kept_by_databases(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL, which no database keeps")
    return text


Text = Annotated[str, AfterValidator(_kept_by_databases), Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})]
Name = Annotated[Text, Field(min_length=1, max_length=MAX_NAME)]
Day = Annotated[date, AfterValidator(_in_our_time)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Outcome(Asked):
    """Whether a client left. Of two for one client and date, the later one counts."""

    model_config = ConfigDict(strict=True)

    client: Name
    as_of: Day | None = Field(None, description="the date of the row it is about; none where rows have no date")
    left: bool


class Contact(Asked):
    """What was done about a client. A client, time and kind is one contact; sent again, its words are replaced."""

    model_config = ConfigDict(strict=True)

    client: Name
    at: Moment = Field(description=f"when, with its time zone; since {OLDEST} and not in the future")
    kind: Literal["called", "noted", "snoozed"]
    outcome: Text | None = Field(None, max_length=MAX_WORDS, description="what came of a call")
    note: Text | None = Field(None, max_length=MAX_NOTE)
    until: Day | None = Field(None, description="for snoozed: the day from which the client may be listed again")

    @model_validator(mode="after")
    def _snoozed_until(self) -> "Contact":
        if (self.kind == "snoozed") != (self.until is not None):
            raise ValueError("until belongs to snoozed, which needs it")
        return self


class OutcomesRequest(Asked):
    """What became of clients, and what was done about them; all of it is kept, or none."""

    model_config = ConfigDict(strict=True)

    outcomes: list[Outcome] = Field([], max_length=MAX_ROWS, fail_fast=True)
    contacts: list[Contact] = Field([], max_length=MAX_ROWS, fail_fast=True)
