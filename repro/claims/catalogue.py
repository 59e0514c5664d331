"""Claims as data: `claims.toml` read, checked and typed."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

from repro.errors import unknown


class Kind(StrEnum):
    """How a claim is judged; `claims.toml` says in its head when each kind holds."""

    EXACT = "exact"
    VALUE = "value"
    DISTRIBUTION = "distribution"
    RANGE = "range"
    ONE_OF = "one-of"
    OVERLAP = "overlap"
    ORDERING = "ordering"
    INFORMATION = "information"


class Outcome(StrEnum):
    """The five answers; there is no bare pass."""

    REPRODUCED = "reproduced"
    DEVIATES = "deviates"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"


Direction = Literal["low", "high", "different"]


class Need(BaseModel):
    """What a record must hold, address by address, for a claim to be comparable at all; a list is any of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    holds: dict[str, JsonValue]


class Claim(BaseModel):
    """One thing that the seminar or the book reports; an address is `experiment:dotted.path` into a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    section: str
    text: str
    reported: Any
    shown: str
    source: str
    kind: Kind
    experiment: str
    measure: str | dict[str, str]
    rows: str | None = None
    than: str | None = None
    than_rows: str | None = None
    reference: str | dict[str, str] | None = None
    tolerance: float | dict[str, float] | None = None
    reason: str | None = None
    gated: bool = False
    needs: tuple[str, ...] = ()
    note: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        toleranced = self.kind in {Kind.VALUE, Kind.DISTRIBUTION, Kind.OVERLAP, Kind.ORDERING}
        if toleranced != (self.tolerance is not None) or toleranced != (self.reason is not None):
            raise ValueError(
                f"{self.id}: a tolerance and its reason belong to value, distribution, overlap and ordering, "
                "to no other"
            )
        for name in ("rows", "than", "than_rows"):
            if (self.kind is Kind.ORDERING) != (getattr(self, name) is not None):
                raise ValueError(f"{self.id}: `{name}` belongs to an ordering, to no other")
        if (self.kind is Kind.DISTRIBUTION) != (self.reference is not None):
            raise ValueError(f"{self.id}: `reference` belongs to a distribution, to no other")
        if self.reference is not None and isinstance(self.reference, dict) != isinstance(self.tolerance, dict):
            raise ValueError(f"{self.id}: its margins and its figures of reference are tables both, or neither is")
        for table in (self.measure, self.reference, self.tolerance):
            if isinstance(table, dict) and (
                not isinstance(self.reported, dict) or table.keys() != self.reported.keys()
            ):
                raise ValueError(f"{self.id}: its tables name different parts")
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
    def margin(self) -> float:
        """The one tolerance of a claim of one figure."""
        if isinstance(self.tolerance, dict) or self.tolerance is None:
            raise ValueError(f"{self.id}: one tolerance is needed, not a table of them")
        return self.tolerance


class Catalogue(BaseModel):
    """All claims in the seminar's order, and the needs that they name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    needs: dict[str, Need]
    claim: tuple[Claim, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        ids = [claim.id for claim in self.claim]
        if len(set(ids)) != len(ids):
            raise ValueError("two claims have the same id")
        for claim in self.claim:
            for need in claim.needs:
                if need not in self.needs:
                    raise ValueError(f"{claim.id} needs {need!r}, which is not defined")
        return self

    def claim_named(self, name: str) -> Claim:
        """Return the claim of that id; UsageError names the nearest."""
        for claim in self.claim:
            if claim.id == name:
                return claim
        raise unknown("claim", name, [claim.id for claim in self.claim])


@cache
def load_catalogue() -> Catalogue:
    """Read and check the claims that come with the suite."""
    text = files("repro.catalogues").joinpath("seminar", "claims.toml").read_text(encoding="utf-8")
    return Catalogue.model_validate(tomllib.loads(text))
