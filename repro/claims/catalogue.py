"""Claims as data: a folder of `catalogue.toml`, `claims.toml` and reference tables, read, checked and typed."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from repro.claims.references import REMEDY, Figure, Population, ReferenceTable, read_population
from repro.errors import CatalogueError, unknown
from repro.records.schema import RunRecord

SHARED_FIELDS = ("name", "recipe", "command", "sections", "texts", "needs", "corroboration", "headline")
PACKAGED = ("seminar", "minilm", "rehearsal")


class Kind(StrEnum):
    """How a claim is judged; the head of the seminar's `claims.toml` says when each kind holds."""

    EXACT = "exact"
    VALUE = "value"
    DISTRIBUTION = "distribution"
    REFERENCE = "reference"
    RANGE = "range"
    ONE_OF = "one-of"
    OVERLAP = "overlap"
    ORDERING = "ordering"
    INFORMATION = "information"


class Evidence(StrEnum):
    """What a claim rests on, which decides the word of its verdict."""

    CONSTRUCTION = "construction"  # it follows from pinned files or arithmetic
    MEASUREMENT = "measurement"  # it could have come out otherwise
    LIBRARY = "library"  # it was true of a version
    INFORMATION = "information"


class Outcome(StrEnum):
    """The words of a verdict; there is no bare pass."""

    REPRODUCED = "reproduced"
    BY_CONSTRUCTION = "holds by construction"
    STAND_IN = "holds on the stand-in"
    MATCHES = "matches the reference"
    DEVIATES = "deviates"
    KNOWN = "known deviation"
    NO_LONGER = "no longer so"
    INCONCLUSIVE = "inconclusive"
    INFORMATION = "for information"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"


Direction = Literal["low", "high", "different"]
TOLERANCED = {Kind.VALUE, Kind.DISTRIBUTION, Kind.REFERENCE, Kind.OVERLAP, Kind.ORDERING}
POPULATION = {Kind.DISTRIBUTION, Kind.REFERENCE}
Address = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*:[^.:]+(\.[^.]+)*$")]  # experiment:dotted.path
FigureName = Annotated[str, Field(pattern=r"^[a-z0-9_-]+:[A-Za-z0-9_]+$")]  # reference:column
Tolerance = Annotated[float, Field(ge=0)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Need(_Data):
    """What a record must hold, address by address, for a claim to be comparable at all; a list is any of its values.

    What it holds as `stand_in` is comparable too, on a stand-in. `fresh_start` names the figure of reference that the
    training loss of epoch 1 is drawn from if training started fresh.
    """

    text: str
    holds: dict[str, JsonValue]
    stand_in: dict[str, JsonValue] = {}
    fresh_start: FigureName | None = None

    @model_validator(mode="after")
    def _of_a_record(self) -> Need:
        for path in (*self.holds, *self.stand_in):
            if path.split(".")[0] not in RunRecord.model_fields:
                raise ValueError(f"no record has a field {path!r}")
        return self


class KnownDeviation(_Data):
    """Parts of a claim that were known not to hold before any record showed it, and why."""

    parts: tuple[str, ...]
    reason: str


class Claim(_Data):
    """One thing that is reported; its version rises with its tolerance or rule."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    version: Annotated[int, Field(ge=1)]
    section: str
    text: str
    reported: Any = None
    shown: str
    source: str
    kind: Kind
    evidence: Evidence
    experiment: str
    measure: Address | dict[str, Address]
    rows: Address | None = None
    than: Address | None = None
    than_rows: Address | None = None
    reference: FigureName | dict[str, FigureName] | None = None
    tolerance: Tolerance | dict[str, Tolerance] | None = None
    reason: str | None = None
    gated: bool = False
    needs: tuple[str, ...] = ()
    elsewhere: bool = True  # False: what another checkpoint or corpus gives says nothing of it
    known_deviation: KnownDeviation | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        toleranced = self.kind in TOLERANCED
        if toleranced != (self.tolerance is not None) or toleranced != (self.reason is not None):
            raise ValueError(f"a tolerance and its reason belong to {', '.join(sorted(TOLERANCED))}, to no other kind")
        for name in ("rows", "than", "than_rows"):
            if (self.kind is Kind.ORDERING) != (getattr(self, name) is not None):
                raise ValueError(f"`{name}` belongs to an ordering, to no other kind")
        if (self.kind in POPULATION) != (self.reference is not None):
            raise ValueError("`reference` belongs to a distribution and to a reference, to no other kind")
        if self.reference is not None and isinstance(self.reference, dict) != isinstance(self.tolerance, dict):
            raise ValueError("its margins and its figures of reference are tables both, or neither is")
        if (self.kind is Kind.REFERENCE) != (self.reported is None):
            raise ValueError("something is reported by every kind but a reference")
        if (self.kind is Kind.INFORMATION) != (self.evidence is Evidence.INFORMATION):
            raise ValueError("kind and evidence are information both, or neither is")
        if any(not address.startswith(f"{self.experiment}:") for address in self.addresses):
            raise ValueError(f"it measures something of another experiment than {self.experiment!r}")
        return self

    @model_validator(mode="after")
    def _of_one_shape(self) -> Claim:
        parts = self.reference if self.kind is Kind.REFERENCE else self.reported
        for table in (self.measure, self.reference, self.tolerance):
            if isinstance(table, dict) and (not isinstance(parts, dict) or table.keys() != parts.keys()):
                raise ValueError("its tables name different parts")
        if any(isinstance(leaf, float) and not math.isfinite(leaf) for leaf in _leaves(self.reported)):
            raise ValueError("a reported number is not finite")
        ranges = self.reported.values() if isinstance(self.reported, dict) else [self.reported]
        if self.kind is Kind.RANGE and not all(map(_is_range, ranges)):
            raise ValueError("a range is [low, high]")
        if self.kind in {Kind.OVERLAP, Kind.ONE_OF} and not all(isinstance(r, list) for r in ranges):
            raise ValueError(f"what is reported to be {self.kind} is a list")
        return self

    @property
    def addresses(self) -> list[str]:
        """Where what it measures stands in a record."""
        return [self.measure] if isinstance(self.measure, str) else list(self.measure.values())

    @property
    def reads_seconds(self) -> bool:
        """Whether it is about time, which machine and threads decide."""
        return any(address.partition(":")[2].startswith("seconds.") for address in self.addresses)

    @property
    def figures(self) -> dict[str, str]:
        """Its figures of reference by part, `""` for a claim of one figure."""
        return self.reference if isinstance(self.reference, dict) else {"": self.reference} if self.reference else {}

    def tolerance_of(self, part: str) -> float:
        """Return the tolerance of a part, or the one that all parts share; ValueError where it has none."""
        tolerance = self.tolerance.get(part) if isinstance(self.tolerance, dict) else self.tolerance
        if tolerance is None:
            raise ValueError(f"{self.id} has no tolerance for {part!r}")
        return tolerance


class Headline(_Data):
    """The claim that is answered in one sentence, what is said in it, and the command that measures it."""

    claim: str
    said: str
    command: str


class Texts(_Data):
    """What pages say of the whole: `rates` are those of false alarms, where a catalogue has simulated them."""

    title: str
    lead: str
    sources: str
    rates: str = ""


class _Header(_Data):
    schema_version: Literal[2]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    recipe: str
    command: str
    sections: tuple[str, ...]
    corroboration: tuple[str, ...] = ()
    texts: Texts
    headline: Headline | None = None
    references: dict[str, ReferenceTable] = {}
    needs: dict[str, Need]


class _Claims(_Data):
    claim: Annotated[tuple[Claim, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All claims in their order, with the needs and figures of reference that they name."""

    name: str
    recipe: str
    command: str
    sections: tuple[str, ...]
    texts: Texts
    needs: Mapping[str, Need]
    claim: tuple[Claim, ...]
    tables: Mapping[str, ReferenceTable]
    populations: Mapping[str, Population]
    corroboration: tuple[str, ...] = ()
    headline: Headline | None = None

    def claim_named(self, name: str) -> Claim:
        """Return the claim of that id; UsageError names the nearest."""
        for claim in self.claim:
            if claim.id == name:
                return claim
        raise unknown("claim", name, [claim.id for claim in self.claim])

    def figure(self, name: str) -> Figure:
        """Return a figure of reference by `reference:column`."""
        table, _, column = name.partition(":")
        return self.populations[table].figure(column)


@cache
def load_catalogue(name: str = "seminar") -> Catalogue:
    """Read and check a catalogue that comes with the suite, or a folder; CatalogueError names file and place."""
    catalogue, folder = read_header(name)
    tables = {key: (inside(folder, table.file), table) for key, table in catalogue.tables.items()}
    catalogue = replace(catalogue, populations={key: read_population(*of) for key, of in tables.items()})
    for place, problem in _inconsistencies(catalogue):
        raise CatalogueError(f"{folder / place}: {problem}", REMEDY)
    return catalogue


def read_header(name: str) -> tuple[Catalogue, Path]:
    """Read a catalogue's two files and no table, and return it with its folder."""
    folder = Path(str(files("repro.catalogues"))) / name if name in PACKAGED else Path(name)
    if not (folder / "catalogue.toml").is_file():
        raise unknown("catalogue", name, [*PACKAGED, "a folder with catalogue.toml and claims.toml"])
    header = _read(_Header, inside(folder, "catalogue.toml"))
    claims = _read(_Claims, inside(folder, "claims.toml")).claim
    shared = {key: getattr(header, key) for key in SHARED_FIELDS}
    return Catalogue(claim=claims, tables=header.references, populations={}, **shared), folder


def inside(folder: Path, name: str) -> Path:
    """Return the path of a catalogue's file; CatalogueError where it leads out of the folder, by name or by link."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CatalogueError(f"{folder / 'catalogue.toml'}: {name!r} leads out of the catalogue's folder", REMEDY)
    return path


def _inconsistencies(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Yield file and problem of everything that one part of a catalogue says and another does not know."""
    known = {f"{key}:{name}" for key, table in catalogue.populations.items() for name in table.figures}
    for name, need in catalogue.needs.items():
        if need.fresh_start and need.fresh_start not in known:
            yield "catalogue.toml", f"need {name!r}: no reference has a figure {need.fresh_start!r}"
    for name in catalogue.corroboration:
        if name not in catalogue.populations:
            yield "catalogue.toml", f"corroboration: there is no reference {name!r}"
    ids = [claim.id for claim in catalogue.claim]
    for claim in catalogue.claim:
        if ids.count(claim.id) > 1:
            yield "claims.toml", f"two claims have the id {claim.id!r}"
        if claim.section not in catalogue.sections:
            yield "claims.toml", f"{claim.id}: section {claim.section!r} is not among those of catalogue.toml"
        for name in claim.needs:
            if name not in catalogue.needs:
                yield "claims.toml", f"{claim.id}: need {name!r} is not defined in catalogue.toml"
        for figure in claim.figures.values():
            if figure not in known:
                yield "claims.toml", f"{claim.id}: no reference has a figure {figure!r}"
    if catalogue.headline and catalogue.headline.claim not in ids:
        yield "catalogue.toml", f"headline: there is no claim {catalogue.headline.claim!r}"


Model = TypeVar("Model", bound=BaseModel)


def _read(model: type[Model], path: Path) -> Model:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return model.model_validate(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(_place(data, first["loc"]))
        problem = f"{place}: {first['msg'].removeprefix('Value error, ')}"
    raise CatalogueError(f"{path}: {problem}", REMEDY)


def _place(data: Mapping[str, Any], steps: tuple[int | str, ...]) -> Iterator[str]:
    """Name a place in the file, a claim by its id."""
    for i, step in enumerate(steps):
        if i == 1 and steps[0] == "claim" and isinstance(step, int):
            yield str(data["claim"][step].get("id", step + 1))
        else:
            yield str(step)


def _is_range(value: Any) -> bool:
    match value:
        case [int() | float() as low, int() | float() as high]:
            return low <= high
    return False


def _leaves(value: Any) -> Iterator[Any]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if members is None:
        yield value
    else:
        for member in members:
            yield from _leaves(member)
