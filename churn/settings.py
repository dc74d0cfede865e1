"""What config.json may say: every key with its type, its default and what it is for.

`python -m churn.settings` prints the tables of keys that stand in the README.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.fields import FieldInfo

from churn.columns import Columns

# The only label pairs that need not be spelt out: given the positive label, the negative one is evident.
OPPOSITES = {"1": "0", "yes": "no", "y": "n", "true": "false", "t": "f"}
# What the brief's five-key config stands for.
CORPORATE = {
    "id": "corporation",
    "target": "exited",
    "positive": "1",
    "integer": ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
}
Name = Annotated[str, StringConstraints(min_length=1)]
FolderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Drift(_Strict):
    """When new labelled rows call for a challenger."""

    policy: Literal["raw", "always", "never"] = Field(
        "raw",
        description="`raw`: the brief's rule, the new rows' F1 is below the deployed score; "
        "`always` or `never` train on every new drop, or on none.",
    )


class Promotion(_Strict):
    """When a challenger replaces the champion; both are measured on the same held-out rows."""

    metric: Literal["average_precision", "roc_auc", "f1"] = Field(
        "average_precision", description="What the paired bootstrap compares."
    )
    confidence: float = Field(
        0.975, gt=0.5, lt=1, description="The share of resamples in which the challenger must be better."
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="Bootstrap resamples.")
    min_class_rows: int = Field(
        10, ge=1, description="Held-out rows needed of each label; with fewer they decide nothing."
    )
    min_rows: int = Field(
        2000,
        ge=1,
        description="Below so many held-out rows, no difference found means: too few rows to tell.",
    )


class ProductSettings(_Strict):
    """One product: its columns and its policy."""

    id: Name | None = Field(None, description="The column that says which client a row is about, if there is one.")
    target: Name = Field(description="The column that says whether the client left.")
    positive: Name = Field(description="The label that means: left.")
    negative: Name | None = Field(
        None, description="The other label; may be left out when `positive` is 1, Yes, Y, True or T."
    )
    as_of: Name | None = Field(
        None, description="The column with the observation date (YYYY-MM-DD); with `id` it is the row's key."
    )
    numeric: list[Name] = Field([], description="Columns of numbers.")
    integer: list[Name] = Field([], description="Columns of whole numbers: 1.5 is an error there.")
    categorical: list[Name] = Field([], description="Columns of text, yes/no and codes.")
    source: Literal["folder"] = Field("folder", description="Where drops come from.")
    clients_path: Name | None = Field(
        None, description="A CSV of the current clients; without it, the newest stored row of each client."
    )
    model: Literal["logistic", "lightgbm"] = Field("logistic", description="The kind of model.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random.")
    threads: int = Field(2, ge=1, le=256, description="Threads for fitting and for reading data.")
    memory_limit_mb: int = Field(
        1024, ge=128, description="Memory for reading and storing data, in MB; past it, it spills to disk."
    )
    max_rejected: float = Field(
        0.1, ge=0, le=1, description="The largest share of rejected rows; a drop with more is quarantined."
    )
    settle_seconds: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="A file changed less than so long ago is looked at again after the wait.",
    )
    test_share: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="The share of clients that no model trains on, by a hash of the id: "
        "fresh held-out rows in every drop, and the test set where there is no test file.",
    )
    package_check_days: int = Field(
        7, ge=0, description="How often diagnostics asks the package index what is behind, in days; 0: never."
    )
    keep_versions: int = Field(10, ge=2, description="How many versions stay in models and in production.")
    drift: Drift = Field(Drift(), description=Drift.__doc__)
    promotion: Promotion = Field(Promotion(), description=Promotion.__doc__)

    @model_validator(mode="after")
    def _columns_make_sense(self) -> "ProductSettings":
        names = [n for n in (self.id, self.as_of, self.target) if n]
        names += [*self.numeric, *self.integer, *self.categorical]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"columns named twice: {', '.join(twice)}; a column has one role")
        if not (self.numeric or self.integer or self.categorical):
            raise ValueError("no columns to learn from: fill numeric, integer or categorical")
        if self.negative is None and self.positive.lower() not in OPPOSITES:
            raise ValueError(f"positive is {self.positive!r}: say what negative is")
        if self.negative == self.positive:
            raise ValueError("positive and negative are the same label")
        if self.as_of and not self.id:
            raise ValueError("as_of needs an id: together they are the row's key")
        return self

    def columns(self) -> Columns:
        """The column contract, with the evident negative label filled in."""
        negative = self.negative
        if negative is None:
            negative = OPPOSITES[self.positive.lower()]
            negative = negative.upper() if self.positive.isupper() else negative
            negative = negative.capitalize() if self.positive.istitle() and len(self.positive) > 1 else negative
        return Columns(
            target=self.target,
            positive=self.positive,
            negative=negative,
            id=self.id,
            as_of=self.as_of,
            numeric=tuple(self.numeric),
            integer=tuple(self.integer),
            categorical=tuple(self.categorical),
        )


class Config(_Strict):
    """The whole file."""

    input_folder_path: Name = Field(description="Where drops appear.")
    output_folder_path: Name = Field(description="Where ingested data is kept.")
    test_data_path: Name = Field(description="Where held-out labelled files lie; may be empty.")
    output_model_path: Name = Field(description="Where model versions are kept.")
    prod_deployment_path: Name = Field(description="What is in production.")
    logs_folder_path: Name = Field("logs", description="Logs, run records and locks.")
    reports_folder_path: Name = Field("reports", description="Reports, pictures and the scored clients.")
    products: dict[FolderName, ProductSettings] | None = Field(
        None,
        min_length=1,
        description="A block for each product under its name, which its folders get too; "
        "without it, the corporate columns.",
    )


# ---- the tables of keys in the README --------------------------------------------------------------------------------


def tables() -> str:
    """All keys in Markdown: those of the file, then those of a product."""
    parts = []
    for title, model in (("The file", Config), ("Each product", ProductSettings)):
        lines = [f"{title}:", "", "| key | takes | default | what it is |", "|---|---|---|---|", *_rows(model)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, key in model.model_fields.items():
        if isinstance(key.annotation, type) and issubclass(key.annotation, BaseModel):
            yield from _rows(key.annotation, f"{prefix}{name}.")
        else:
            yield f"| `{prefix}{name}` | {_takes(key)} | {_default(key)} | {key.description} |"


def _takes(key: FieldInfo) -> str:
    """What a key's value may be, in words."""
    kind = next((part for part in get_args(key.annotation) if part is not type(None)), key.annotation)
    if get_origin(key.annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(key.annotation))
    if get_origin(key.annotation) is list:
        return "column names"
    if get_origin(kind) is dict:
        return "blocks"
    words = {int: "whole number", float: "number"}.get(kind, "text")
    bounds = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = [
        f"{bounds[mark]} {getattr(rule, mark)}" for rule in key.metadata for mark in bounds if hasattr(rule, mark)
    ]
    return ", ".join([words, " and ".join(limits)] if limits else [words])


def _default(key: FieldInfo) -> str:
    if key.is_required():
        return "must be given"
    return "none" if key.default in (None, []) else f"`{key.default}`"


if __name__ == "__main__":
    print(tables())
