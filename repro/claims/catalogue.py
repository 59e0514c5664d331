"""Claims as data: a folder of `catalogue.toml`, `claims.toml` and reference tables, read, checked and typed."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from repro.claims.claim import Claim, Data, Need
from repro.claims.references import REMEDY, Figure, Population, ReferenceTable, read_population
from repro.errors import UsageError, unknown

PACKAGED = ("seminar", "minilm", "rehearsal")


class Headline(Data):
    """The claim that is answered in one sentence, what is said in it, and the command that measures it."""

    claim: str
    said: str
    command: str


class Texts(Data):
    """What pages say of the whole: `rates` are those of false alarms, where a catalogue has simulated them."""

    title: str
    lead: str
    sources: str
    rates: str = ""


class _Header(Data):
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


def _of_different_ids(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    for name, count in Counter(claim.id for claim in claims).items():
        if count > 1:
            raise ValueError(f"two claims have the id {name!r}")
    return claims


class _Claims(Data):
    claim: Annotated[tuple[Claim, ...], Field(min_length=1), AfterValidator(_of_different_ids)]


class Catalogue(_Header, _Claims):
    """All claims in their order, with the needs and figures of reference that they name."""

    folder: Path

    @cached_property
    def populations(self) -> Mapping[str, Population]:
        """The tables of raw runs, read when they are first asked for; UsageError names what is wrong in one."""
        paths = {key: inside(self.folder, table.file) for key, table in self.references.items()}
        return {key: read_population(path, self.references[key]) for key, path in paths.items()}

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
    catalogue, folder = read_header(name)
    for file, place, kind, named in _dangling(catalogue):
        raise UsageError(f"{folder / file}: {place}: {kind} {named!r} is not defined", REMEDY)
    return catalogue


def read_header(name: str) -> tuple[Catalogue, Path]:
    """Read a catalogue's two files and no table; return it with its folder."""
    folder = Path(str(files("repro.catalogues"))) / name if name in PACKAGED else Path(name)
    if not (folder / "catalogue.toml").is_file():
        raise unknown("catalogue", name, [*PACKAGED, "a folder with catalogue.toml and claims.toml"])
    header = _read(_Header, inside(folder, "catalogue.toml"))
    claims = _read(_Claims, inside(folder, "claims.toml"))
    return Catalogue(**dict(header), **dict(claims), folder=folder), folder


def inside(folder: Path, name: str) -> Path:
    """Return the path of a catalogue's file; UsageError where it leads out of the folder, by name or by link."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{folder / 'catalogue.toml'}: {name!r} leads out of the catalogue's folder", REMEDY)
    return path


def _dangling(catalogue: Catalogue) -> Iterator[tuple[str, str, str, str]]:
    """Yield file, place, kind and name of everything that one part of a catalogue names and another does not define."""
    figures = {f"{key}:{name}" for key, table in catalogue.populations.items() for name in table.figures}
    ids = [claim.id for claim in catalogue.claim]
    header: list[tuple[str, str, str | None, Collection[str]]] = [
        *((f"need {name!r}", "figure", need.fresh_start, figures) for name, need in catalogue.needs.items()),
        *(("corroboration", "reference", name, catalogue.references) for name in catalogue.corroboration),
        ("headline", "claim", catalogue.headline.claim if catalogue.headline else None, ids),
    ]
    yield from (
        ("catalogue.toml", place, kind, name) for place, kind, name, known in header if name and name not in known
    )
    for claim in catalogue.claim:
        named = {"section": [claim.section], "need": claim.needs, "figure": claim.figures.values()}
        known: dict[str, Collection[str]] = {"section": catalogue.sections, "need": catalogue.needs, "figure": figures}
        for kind, names in named.items():
            yield from (("claims.toml", claim.id, kind, name) for name in names if name not in known[kind])


Model = TypeVar("Model", bound=BaseModel)


def _read(model: type[Model], path: Path) -> Model:
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return model.model_validate(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        steps = list(first["loc"])
        if steps[0] == "claim" and len(steps) > 1 and isinstance(steps[1], int):  # a claim is named by its id
            steps[1] = data["claim"][steps[1]].get("id", steps[1] + 1)
        problem = f"{'.'.join(map(str, steps))}: {first['msg'].removeprefix('Value error, ')}"
    raise UsageError(f"{path}: {problem}", REMEDY)
