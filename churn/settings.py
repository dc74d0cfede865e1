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
    """When the model in production has drifted, and what then happens."""

    policy: Literal["raw", "statistical", "always", "never"] = Field(
        "statistical",
        description="`statistical`: challengers meet the champion on every drop, on the rows since the onset once it "
        "has drifted; `raw`: only when the new F1 is below the deployed score; `always`: retrain on everything and "
        "deploy it untested; `never`: watch only.",
    )
    auc_z: float = Field(
        2.88, gt=0, description="Standard errors that the ROC AUC of the last 1, 2 or 4 drops may lie below before."
    )
    psi: float = Field(0.1, gt=0, description="The population stability index from which a column's shift matters.")
    label_points: float = Field(
        0.05, gt=0, lt=1, description="How far the share that left may move (0.05: five points)."
    )


class Promotion(_Strict):
    """When a challenger replaces the champion; both are measured on rows that neither trained on."""

    confidence: float = Field(
        0.975,
        gt=0.5,
        lt=1,
        description="How sure the better average precision must be, one-sided; divided among the challengers.",
    )
    guard: Literal["f1", "precision_at_capacity", "expected_profit"] = Field(
        "f1", description="The product's own metric, which must not be worse beyond noise."
    )
    groups: list[Name] = Field([], description="Categorical columns in whose groups it must not be worse either.")
    group_rows: int = Field(200, ge=20, description="Groups with fewer rows are not looked at.")
    cool_down: int = Field(
        5,
        ge=0,
        description="Drops after a promotion in which there is no other, unless two in a row show a sudden loss.",
    )
    min_class_rows: int = Field(
        10, ge=1, description="Rows needed of each label; with fewer they decide nothing, and wait for more."
    )
    min_rows: int = Field(
        2000, ge=1, description="Below so many rows, no difference found means: too few rows to tell."
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
    model: Literal["auto", "logistic", "lightgbm"] = Field(
        "auto",
        description="The kind of model; `auto`: the simplest within one standard error of the best, cross-validated.",
    )
    tuning_seconds: float = Field(
        30.0, ge=0, le=86_400, description="Time for choosing the model's settings; 0: the defaults of its kind."
    )
    threshold: Literal["f1", "capacity"] = Field(
        "f1", description="From which risk a client counts as leaving: the best F1, or the share that `capacity` is."
    )
    late_labels: bool = Field(
        False, description="Rows may come without a label, and again with it under the same `id` and `as_of`."
    )
    capacity: int | None = Field(
        None, ge=1, description="Clients the team can call in a period; without it, all from the threshold on."
    )
    value: Name | float = Field(
        1.0, description="What keeping a client is worth: a column of numbers, or one number for all."
    )
    contact_cost: float = Field(0.0, ge=0, description="What a call costs, in the unit of `value`.")
    success_rate: float = Field(
        0.15, gt=0, le=1, description="The share of leavers that a call keeps; `reporting.py --effect` measures it."
    )
    holdout: float = Field(
        0.2, ge=0, lt=1, description="The share of clients left uncalled, so that the effect can be measured."
    )
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
        if self.late_labels and not self.as_of:
            raise ValueError("late_labels needs as_of: a label finds its row by id and as_of")
        if not isinstance(self.value, str) and self.value <= 0:
            raise ValueError("value must be above 0: nothing can be gained from keeping a client who is worth nothing")
        if isinstance(self.value, str) and self.value not in [*self.numeric, *self.integer]:
            raise ValueError(f"value names {self.value!r}, which is no column of numeric or integer")
        unknown = sorted(set(self.promotion.groups) - set(self.categorical))
        if unknown:
            raise ValueError(f"promotion.groups names what is no categorical column: {', '.join(unknown)}")
        if self.threshold == "capacity" and self.capacity is None:
            raise ValueError("threshold is 'capacity': say what capacity is")
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
    history_url: Name | None = Field(
        None,
        description="A database for what was scored, called and decided, as `postgresql+psycopg://user@host/name`; "
        "without it, an SQLite file beside the models. The environment's CHURN_HISTORY_URL comes first.",
    )
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
    nested = 'Each product (`drift.policy` is the key `policy` of a block: `"drift": {"policy": "raw"}`)'
    for title, model in (("The file", Config), (nested, ProductSettings)):
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
    words = {int: "whole number", float: "number", bool: "`true` or `false`"}.get(kind, "text")
    bounds = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = [
        f"{bounds[mark]} {getattr(rule, mark)}" for rule in key.metadata for mark in bounds if hasattr(rule, mark)
    ]
    return ", ".join([words, " and ".join(limits)] if limits else [words])


def _default(key: FieldInfo) -> str:
    if key.is_required():
        return "must be given"
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    return "none" if key.default in (None, []) else f"`{key.default}`"


if __name__ == "__main__":
    print(tables())
