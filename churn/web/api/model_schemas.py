"""What the endpoints about the server, the model and its data answer, as pydantic models, see `answer_schemas`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from churn.web.api.answer_schemas import ByRelease, Told

# ---- the server ------------------------------------------------------------------------------------------------------


class HealthAnswer(Told):
    """It answers."""

    status: Literal["ok"]


class State(Told):
    """What serves a product, and what is wrong with it."""

    model_version: str | None
    problem: str | None


class ReadyAnswer(Told):
    """Whether a release can serve; with a token of scope read, that of each product."""

    status: Literal["ready", "degraded", "unavailable"]
    products: dict[str, State] | None = None


# ---- the model and its data ------------------------------------------------------------------------------------------


class Scores(BaseModel):
    """How well a version does on rows that it was not trained on; null where it is not defined."""

    model_config = ConfigDict(extra="allow")

    rows: int
    f1: float


class Verdict(BaseModel):
    """What was decided about a version when it was new, and why."""

    model_config = ConfigDict(extra="allow")

    yes: bool
    reason: str


class ScoringAnswer(ByRelease):
    """The model in production: its F1 and other scores, and why it was deployed."""

    f1: float
    scores: Scores
    trained_at: str
    model: str
    rival: str | None
    verdict: Verdict | None


class SummaryStatsAnswer(ByRelease):
    """Each column of the ingested data."""

    made_at: str
    rows: int
    statistics: dict[str, dict[str, float | str | None]]


class DiagnosticsAnswer(ByRelease):
    """Missing data in percent, seconds that ingestion and training took, and packages that are behind."""

    made_at: str
    missing_percent: dict[str, float]
    timings: dict[str, Any]
    packages: Any


class ReleaseEntry(Told):
    """A version's time in production."""

    version: str
    since: str = Field(alias="from")
    until: str | None = Field(description="null: it is there now")
    why: str
    by: str | None = Field(description="who did it, where that is known")
    scores: Scores | None = Field(description="null where the version is no longer kept")
    verdict: Verdict | None


class ReleasesAnswer(Told):
    """What was in production when, the newest first."""

    product: str
    model_version: str | None = Field(description="in production now")
    releases: list[ReleaseEntry]


class ShiftedColumn(Told):
    """A column that looks different from the training rows."""

    column: str
    words: str
    list_moved: float | None = Field(description="the share of the riskiest clients that it changes")


class Compared(Told):
    """A score as it was estimated before labels came, and as it turned out."""

    metric: str
    estimated: float
    lower: float
    upper: float
    realised: float
    widened: float = Field(description="by how much the interval was widened, for earlier estimates were wrong")


class Judgement(Told):
    """What new drops showed of the model that was in production then."""

    at: str
    version: str
    drops: list[int]
    rows: int
    labelled: int
    verdict: Literal["ok", "warning", "drifted"]
    said: str
    reasons: list[str]
    shifts: list[ShiftedColumn]
    scores: Scores | None
    deployed_f1: float
    below_deployed: bool | None = Field(description="the plain rule: the new F1 is below the deployed one")
    compared: list[Compared]
    estimate: dict[str, float | None] | None = Field(description="of the rows whose labels are still to come")


class DriftAnswer(Told):
    """Whether the model in production has drifted."""

    product: str
    model_version: str
    verdict: Literal["ok", "warning", "drifted"] | None = Field(description="null: it has not been judged yet")
    judgements: list[Judgement] = Field(description="the newest first")
