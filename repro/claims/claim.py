"""What a claim is: its kind, what it rests on, what it needs, and the words of a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from repro.display import is_number
from repro.records.schema import RunRecord, Strict


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


POPULATION = {Kind.DISTRIBUTION, Kind.REFERENCE}
_TOLERANCED = {*POPULATION, Kind.VALUE, Kind.OVERLAP, Kind.ORDERING}
_BELONGS: Mapping[str, set[Kind]] = {  # what these kinds have and no other has
    **dict.fromkeys(("tolerance", "reason"), _TOLERANCED),
    **{name: {Kind.ORDERING} for name in ("rows", "than", "than_rows")},
    "reference": POPULATION,
    "reported": set(Kind) - {Kind.REFERENCE},
}


def _finite(value: Any) -> Any:
    json.dumps(value, allow_nan=False, default=str)
    return value


Direction = Literal["low", "high", "different"]
Address = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*:[^.:]+(\.[^.]+)*$")]  # experiment:dotted.path
FigureName = Annotated[str, Field(pattern=r"^[a-z0-9_-]+:[A-Za-z0-9_]+$")]  # reference:column
Tolerance = Annotated[float, Field(ge=0)]
AnyOf = Annotated[list[JsonValue], BeforeValidator(lambda value: value if isinstance(value, list) else [value])]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An outcome and why; `placed` says of each part on which side it misses, None for one that holds.

    `among` is how many runs of a reference the parts were placed among.
    """

    outcome: Outcome
    why: str
    placed: Mapping[str, Direction | None] = field(default_factory=dict)
    among: int = 0

    @property
    def direction(self) -> Direction | None:
        """The side on which it deviates, `different` where its parts do so on several."""
        return common(direction for direction in self.placed.values() if direction)


def common(directions: Iterable[Direction]) -> Direction | None:
    """Return the one direction of all, `different` where there are several, None where there is none."""
    met = set(directions)
    return "different" if len(met) > 1 else next(iter(met), None)


class Need(Strict):
    """What a record must hold, address by address, for a claim to be comparable at all; a list is any of its values.

    What it holds as `stand_in` is comparable too, on a stand-in. `fresh_start` names the figure of reference that the
    training loss of epoch 1 is drawn from if training started fresh.
    """

    text: str
    holds: dict[str, AnyOf]
    stand_in: dict[str, AnyOf] = Field(default_factory=dict)
    fresh_start: FigureName | None = None

    @model_validator(mode="after")
    def _of_a_record(self) -> Need:
        for path in (*self.holds, *self.stand_in):
            if path.split(".")[0] not in RunRecord.model_fields:
                raise ValueError(f"no record has a field {path!r}")
        return self


class KnownDeviation(Strict):
    """Parts of a claim that were known not to hold before any record showed it, and why."""

    parts: tuple[str, ...]
    reason: str


class Claim(Strict):
    """One thing that is reported; its version rises with its tolerance or rule."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    version: Annotated[int, Field(ge=1)]
    section: str
    text: str
    reported: Annotated[Any, AfterValidator(_finite)] = None
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
    def _consistent(self) -> Claim:
        for name, kinds in _BELONGS.items():
            if (self.kind in kinds) != (getattr(self, name) is not None):
                raise ValueError(f"`{name}` belongs to {', '.join(sorted(kinds))}, to no other kind")
        if self.reference is not None and isinstance(self.reference, dict) != isinstance(self.tolerance, dict):
            raise ValueError("its margins and its figures of reference are tables both, or neither is")
        if (self.kind is Kind.INFORMATION) != (self.evidence is Evidence.INFORMATION):
            raise ValueError("kind and evidence are information both, or neither is")
        if any(not address.startswith(f"{self.experiment}:") for address in self.addresses):
            raise ValueError(f"it measures something of another experiment than {self.experiment!r}")
        parts = self.reference if self.kind is Kind.REFERENCE else self.reported
        for table in (self.measure, self.reference, self.tolerance):
            if isinstance(table, dict) and (not isinstance(parts, dict) or table.keys() != parts.keys()):
                raise ValueError("its tables name different parts")
        for reported in self.reported.values() if isinstance(self.reported, dict) else [self.reported]:
            if self.kind is Kind.RANGE and not _is_range(reported):
                raise ValueError("a range is [low, high]")
            if self.kind in {Kind.OVERLAP, Kind.ONE_OF} and not isinstance(reported, list):
                raise ValueError(f"what is reported to be {self.kind} is a list")
        return self

    @property
    def addresses(self) -> list[str]:
        """Where what it measures stands in a record."""
        return [self.measure] if isinstance(self.measure, str) else list(self.measure.values())

    @property
    def figures(self) -> dict[str, str]:
        """Its figures of reference by part, `""` for a claim of one figure."""
        return self.reference if isinstance(self.reference, dict) else {"": self.reference} if self.reference else {}

    def tolerance_of(self, part: str) -> float:
        """Return the tolerance of a part, or the one that all parts share."""
        return self.tolerance[part] if isinstance(self.tolerance, dict) else self.tolerance or 0.0

    def reported_of(self, part: str) -> Any:
        """Return what is reported of a part, or of all parts."""
        return self.reported.get(part) if isinstance(self.reported, dict) else self.reported


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value)) and value[0] <= value[1]  # noqa: PLR2004
