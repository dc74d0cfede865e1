"""The record of what was ingested: every drop in order, and what became of its rows.

`record.json` is the commit point: a part that it does not list does not exist. Nothing heavy is imported here, because
every run starts with a look at the record.
"""

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from churn import storage
from churn.errors import ConfigError, DataError, shown
from churn.sources import Candidate, Folder

if TYPE_CHECKING:
    from churn.config import Product

RECORD = "record.json"
PARTS = "parts"
INGESTED, QUARANTINED = "ingested", "quarantined"


@dataclass(frozen=True)
class Drop:
    """One file's content and what became of it; `rows == accepted + duplicate + rejected`.

    `number` grows from drop to drop and is never given twice. `look` is the file as it was last seen, `also` holds
    other files of the same content. `superseded` counts rows, of earlier drops or its own, that its rows replaced.
    `late_labels` says whether its rows were read as ones that may come without a label: `unlabelled` of the accepted
    and `superseded_unlabelled` of the superseded had none.
    """

    number: int
    name: str
    status: str
    sha256: str | None
    look: Candidate
    also: tuple[Candidate, ...] = ()
    reason: str | None = None
    line: int | None = None
    part: str | None = None
    rows: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    superseded: int = 0
    unlabelled: int = 0
    superseded_unlabelled: int = 0
    late_labels: bool = False
    extra: tuple[str, ...] = ()
    ingested_at: str = ""
    seconds: float = 0.0

    @property
    def stem(self) -> str:
        """How the files of this drop among the parts start."""
        return f"{self.number:05d}-{(self.sha256 or '')[:8]}"

    @property
    def dead(self) -> str | None:
        """The file that lists the rows which this drop superseded: number of their drop, position in its part."""
        return f"{self.stem}.dead.parquet" if self.superseded else None


@dataclass(frozen=True)
class Record:
    """Every drop in order, with what the stored hashes and counts depend on.

    `seconds` is how long the last ingestion that found something took, `duckdb` the version that made the hashes.
    """

    columns: dict[str, Any]
    max_rejected: float
    late_labels: bool = False
    duckdb: str = ""
    seconds: float | None = None
    ingested_at: str | None = None
    drops: tuple[Drop, ...] = ()

    @property
    def ingested(self) -> tuple[Drop, ...]:
        """The drops whose rows are stored."""
        return tuple(drop for drop in self.drops if drop.status == INGESTED)

    @property
    def quarantined(self) -> tuple[Drop, ...]:
        """The files that were set aside."""
        return tuple(drop for drop in self.drops if drop.status == QUARANTINED)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the ingested drops, printable, in order, each once."""
        return tuple(dict.fromkeys(shown(drop.name) for drop in self.ingested))

    @property
    def last_number(self) -> int:
        """The number of the newest ingested drop, 0 without any: `frame(product, since=that)` gives what came later."""
        return max((drop.number for drop in self.ingested), default=0)

    @property
    def superseded(self) -> int:
        """Stored rows that newer ones replaced."""
        return sum(drop.superseded for drop in self.drops)

    @property
    def rows(self) -> int:
        """The rows that count: accepted and not superseded."""
        return sum(drop.accepted for drop in self.drops) - self.superseded

    @property
    def waiting(self) -> int:
        """The rows that count and have no label yet."""
        return sum(drop.unlabelled - drop.superseded_unlabelled for drop in self.drops)

    @property
    def data_hash(self) -> str:
        """16 hex digits for the column contract and every drop that added rows, in order; "" while there are none."""
        # The same file gives other rows where those without a label are rejected.
        contents = [f"{d.sha256}{' unlabelled' if d.unlabelled else ''}" for d in self.ingested if d.accepted]
        if not contents:
            return ""
        contract = json.dumps(self.columns, sort_keys=True)
        return hashlib.sha256("\n".join([contract, *contents]).encode()).hexdigest()[:16]

    def up_to(self, number: int) -> "Record":
        """The record as it was when the drop of that number was the last."""
        return replace(self, drops=tuple(drop for drop in self.drops if drop.number <= number))


def load_record(product: "Product") -> Record:
    """Read the record of what is ingested; an empty one where nothing is.

    Raises:
        ConfigError: the product's columns are not those with which its data was ingested.
        DataError: the record is damaged.
    """
    path = product.ingested / RECORD
    settings = product.settings
    empty = Record(_contract(product), settings.max_rejected, settings.late_labels)
    try:
        raw = json.loads(path.read_bytes())
        drops = tuple(_drop(entry) for entry in raw.pop("drops"))
        record = Record(**raw, drops=drops)
    except FileNotFoundError:
        if any((product.ingested / PARTS).glob("*.parquet")):
            raise DataError(
                f"{path}: missing, though rows are stored in {product.ingested / PARTS}; restore it from a backup, "
                f"or move {product.ingested} aside to ingest again what still lies in {product.source}"
            ) from None
        return empty
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: damaged ({error}); restore it from a backup, or move {product.ingested} aside and ingest again"
        ) from None
    if _comparable(record.columns) != _comparable(empty.columns):
        if record.ingested:
            raise ConfigError(_changed_columns(product, record, empty))
        return empty
    judged_by = {"max_rejected": empty.max_rejected, "late_labels": empty.late_labels}
    if replace(record, **judged_by) != record:  # what was set aside gets another chance
        record = replace(record, **judged_by, drops=record.ingested)
    return replace(record, columns=empty.columns)


def save_record(product: "Product", record: Record) -> None:
    """Commit a record: whatever it lists is ingested from then on."""
    facts = {field.name: getattr(record, field.name) for field in fields(record) if field.name != "drops"}
    lines = [f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in facts.items()]
    drops = ",\n".join(_line(drop) for drop in record.drops)
    storage.write(product.ingested / RECORD, f'{{\n{"".join(lines)}"drops": [\n{drops}\n]\n}}\n')


def unknown(record: Record, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that look like nothing that the record has seen; the cheap first look."""
    known = {look for drop in record.drops for look in (drop.look, *drop.also)}
    return [candidate for candidate in candidates if candidate not in known]


@functools.lru_cache(maxsize=10_000)
def _line(drop: Drop) -> str:
    """A drop as a line of the record, which is written anew after every drop."""
    return json.dumps(asdict(drop))


def _drop(entry: dict[str, Any]) -> Drop:
    also = tuple(Candidate(**look) for look in entry.pop("also"))
    return Drop(**(entry | {"look": Candidate(**entry["look"]), "also": also, "extra": tuple(entry["extra"])}))


def _contract(product: "Product") -> dict[str, Any]:
    return json.loads(json.dumps(asdict(product.columns)))


def _comparable(columns: dict[str, Any]) -> dict[str, Any]:
    """Which label is the positive one does not change what is stored."""
    return columns | {"positive": None, "negative": sorted([columns["positive"], columns["negative"]])}


def _changed_columns(product: "Product", record: Record, empty: Record) -> str:
    changed = ", ".join(key for key, value in empty.columns.items() if record.columns.get(key) != value)
    there = {candidate.name for candidate in Folder(product.source).list()}
    gone = [drop.name for drop in record.ingested if drop.name not in there]
    lost = f"; no longer in {product.source}, so lost by that: {', '.join(gone)}" if gone else ""
    return (
        f"{product.config_path}: product {product.name!r}: the columns ({changed}) are not those with which its data "
        f"was ingested; put them back, or move {product.ingested} aside and run python ingestion.py "
        f"--product {product.name}, which reads every file of {product.source} again{lost}"
    )
