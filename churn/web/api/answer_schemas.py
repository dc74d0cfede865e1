"""What the endpoints answer, as pydantic models; the OpenAPI document has them, and tests hold the answers to it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from churn.web.api.schemas import Band

Risk = float


class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class Fault(Told):
    """What went wrong, and how to ask about it."""

    status: int
    message: str
    request_id: str | None = Field(None, description="of this request, as the log has it")


class Refusal(Told):
    """Every error has this form."""

    error: Fault


class ByRelease(Told):
    """What a release in production answers about a product."""

    product: str
    model_version: str


# ---- predictions -----------------------------------------------------------------------------------------------------


class Prediction(Told):
    """One row's."""

    risk: Risk = Field(ge=0, le=1, description="the probability to leave")
    leaves: bool = Field(description="whether the risk reaches the threshold")
    id: str | None = Field(None, description="of the client, where the row has one")


class PredictionAnswer(ByRelease):
    """The rows' risks, in the order of the rows."""

    rows: int
    threshold: float
    predictions: list[Prediction]


class Reason(Told):
    """What one column contributes."""

    column: str
    value: float | str | None
    typical: float | str | None = Field(description="the median, or the most common level, of the training rows")
    part: float = Field(description="added to the log-odds: positive raises the risk")
    words: str


class Explained(Told):
    """One row's risk and why: base and parts add up to log_odds, from which calibration makes the risk."""

    risk: Risk = Field(ge=0, le=1)
    band: Band
    log_odds: float = Field(description="before calibration")
    base: float = Field(description="the log-odds that the parts are added to")
    reasons: list[Reason] = Field(description="a column each, the strongest first")
    id: str | None = None


class ExplainAnswer(ByRelease):
    """Why the rows have the risks they have."""

    threshold: float
    explanations: list[Explained]


# ---- clients ---------------------------------------------------------------------------------------------------------


class RankedClient(Told):
    """A client among the others."""

    rank: int
    client: str
    risk: Risk
    band: Band
    before: Risk | None = Field(description="its risk the time before")
    gain: float | None = Field(description="expected of a call")
    as_of: str | None


class ClientsAnswer(ByRelease):
    """A page of clients, most at risk first."""

    total: int = Field(description="of all that were asked for, on whatever page")
    more: bool = Field(description="whether a search finds more than `total`, up to which it counts")
    page: int
    limit: int
    scored_at: str | None = Field(description="null: nobody has been scored yet")
    scored_by: str | None = Field(description="the version that gave the risks")
    clients: list[RankedClient]


class PastRisk(Told):
    """A risk that a version gave."""

    at: str
    version: str
    risk: Risk
    rank: int | None
    of: int = Field(description="how many were ranked")
    gain: float | None
    as_of: str | None


class KnownLabel(Told):
    """What is known of whether the client left."""

    at: str
    as_of: str | None
    left: bool
    drop: int | None = Field(description="the drop that it came in; null: it was sent")


class PastContact(Told):
    """What was done about the client."""

    at: str
    kind: Literal["called", "noted", "snoozed"]
    outcome: str | None
    note: str | None
    by: str | None
    until: str | None


class ClientAnswer(ByRelease):
    """A client: its risk now and why, over time, and what was done."""

    client: str
    threshold: float
    now: Explained | None = Field(description="null: it is no client any more")
    as_of: str | None = Field(description="the date of the row that now is about")
    risks: list[PastRisk] = Field(description="the oldest first")
    labels: list[KnownLabel] = Field(description="the oldest first")
    contacts: list[PastContact] = Field(description="the newest first")


class Kept(Told):
    """How many of those sent were new or changed."""

    sent: int
    new: int


class OutcomesAnswer(Told):
    """What was kept."""

    product: str
    outcomes: Kept
    contacts: Kept
