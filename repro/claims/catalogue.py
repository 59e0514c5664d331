"""Claims as data: a folder of `catalogue.toml`, `claims.toml` and reference tables, read, checked and typed."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from repro.claims.claim import Claim, Need
from repro.claims.references import REMEDY, Figure, Population, ReferenceTable, read_population
from repro.errors import UsageError, unknown
from repro.records.schema import Strict

PACKAGED = ("seminar", "minilm", "rehearsal")


class Headline(Strict):
    """The claim that is answered in one sentence, the question, and the command that measures it."""

    claim: str
    question: str
    command: str


class Texts(Strict):
    """What pages say of the whole: `rates` are those of false alarms, where a catalogue has simulated them."""

    title: str
    lead: str
    sources: str
    rates: str = ""


class Catalogue(Strict):
    """All claims in their order, with the needs and figures of reference that they name."""

    schema_version: Literal[2]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    recipe: str
    command: str
    sections: tuple[str, ...]
    corroboration: tuple[str, ...] = ()
    texts: Texts
    headline: Headline | None = None
    references: dict[str, ReferenceTable] = Field(default_factory=dict)
    needs: dict[str, Need]
    claim: Annotated[tuple[Claim, ...], Field(min_length=1)]
    folder: Path

    @model_validator(mode="after")
    def _nothing_dangles(self) -> Catalogue:
        ids = [claim.id for claim in self.claim]
        figures = {f"{key}:{name}" for key, table in self.references.items() for name in table.figures}
        names: list[tuple[str, str, Iterable[str | None], Collection[str]]] = [
            *(
                ("catalogue.toml: need " + repr(n), "figure", [need.fresh_start], figures)
                for n, need in self.needs.items()
            ),
            ("catalogue.toml: corroboration", "reference", self.corroboration, self.references),
            ("catalogue.toml: headline", "claim", [self.headline.claim if self.headline else None], ids),
        ]
        for claim in self.claim:
            if ids.count(claim.id) > 1:
                raise ValueError(f"claims.toml: claim: two claims have the id {claim.id!r}")
            place = f"claims.toml: {claim.id}"
            names += [(place, "section", [claim.section], self.sections), (place, "need", claim.needs, self.needs)]
            names.append((place, "figure", claim.figures.values(), figures))
        for place, kind, used, known in names:
            for name in filter(None, used):
                if name not in known:
                    raise ValueError(f"{place}: {kind} {name!r} is not defined")
        if self.headline and not (self.corroboration and self.claim_named(self.headline.claim).figures.get("")):
            raise ValueError("catalogue.toml: headline: it needs a claim with one figure, and corroboration of it")
        return self

    @cached_property
    def populations(self) -> Mapping[str, Population]:
        """The tables of raw runs, read when they are first asked for; UsageError names what is wrong in one."""
        paths = {key: inside(self.folder, table.file) for key, table in self.references.items()}
        return {key: read_population(path, self.references[key]) for key, path in paths.items()}

    @cached_property
    def public_runs(self) -> Population:
        """The runs of all references that corroborate, as one population."""
        tables = [self.populations[name] for name in self.corroboration]
        runs = tuple(run for table in tables for run in table.runs)
        return replace(tables[0], runs=runs, rows=sum(table.rows for table in tables))

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
    """Read and check a catalogue that comes with the suite, or a folder; UsageError names file and place."""
    catalogue = read_header(name)
    others = () if name in PACKAGED else PACKAGED  # those that come with the suite are compared by a test
    for other in (read_header(packaged) for packaged in others if packaged != catalogue.name):
        if twice := sorted({claim.id for claim in catalogue.claim} & {claim.id for claim in other.claim}):
            problem = f"{twice[0]}: the catalogue {other.name!r} has a claim of that id"
            raise UsageError(f"{catalogue.folder}/claims.toml: {problem}", REMEDY)
    dict(catalogue.populations)  # what is wrong in a table is said before anything is judged
    return catalogue


def reruns() -> Population:
    """Return the public reruns of the seminar's fine-tuning, as its catalogue holds them."""
    return load_catalogue().populations["reruns"]


def read_header(name: str) -> Catalogue:
    """Read a catalogue's two files and no table."""
    folder = Path(str(files("repro.catalogues"))) / name if name in PACKAGED else Path(name)
    if not (folder / "catalogue.toml").is_file():
        raise unknown("catalogue", name, [*PACKAGED, "a folder with catalogue.toml and claims.toml"])
    header, claims = (_toml(inside(folder, file)) for file in ("catalogue.toml", "claims.toml"))
    if twice := header.keys() & claims.keys():
        raise UsageError(f"{folder}: both files define {', '.join(sorted(twice))}", REMEDY)
    try:
        return Catalogue.model_validate({**header, **claims, "folder": folder})
    except ValidationError as error:
        first = error.errors()[0]
        steps = list(first["loc"])
    file = "claims.toml" if steps and steps[0] in {"claim", *claims} else "catalogue.toml"
    if len(steps) > 1 and steps[0] == "claim" and isinstance(steps[1], int):  # a claim is named by its id, or counted
        claim = claims["claim"][steps[1]]
        steps[1] = (claim.get("id") if isinstance(claim, dict) else None) or steps[1] + 1
    problem = first["msg"].removeprefix("Value error, ")
    where = f"{file}: {'.'.join(map(str, steps))}: " if steps else ""  # what dangles names its file itself
    raise UsageError(f"{folder}/{where}{problem}", REMEDY)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a catalogue's file; UsageError where it leads out of the folder, by name or by link."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{folder / 'catalogue.toml'}: {name!r} leads out of the catalogue's folder", REMEDY)
    return path


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}", REMEDY) from None
