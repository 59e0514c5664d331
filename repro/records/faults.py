"""What `nox -s faults` tallied: each fault, how often it was tried, and what was lost, wrong or different after it."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from repro.errors import ResultsError
from repro.records.durable import write_new
from repro.records.provenance import Provenance
from repro.records.seal import sealed
from repro.records.store import inside, read_sealed

Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FaultRow(_Strict):
    """One fault: trials in which it hit, and what came of them.

    `lost` counts records and training states that had been reported or stood before and were gone or unreadable
    after; `wrong` results that read as valid and are not those of the undisturbed run; `identical` of `finished`
    runs were, once finished, those of the undisturbed run bit for bit; `told` is a line that a user read.
    """

    fault: str
    how: str
    tried: Count
    lost: Count
    wrong: Count
    finished: Count
    identical: Count
    told: str

    @model_validator(mode="after")
    def _consistent(self) -> FaultRow:
        if not self.identical <= self.finished <= self.tried:
            raise ValueError("expected identical <= finished <= tried")
        return self


class FaultTally(_Strict):
    """One session of faults: what ran undisturbed, its steps, the seed of the draws, and a row a fault."""

    schema_version: Literal[1] = 1
    run: str
    steps: Count
    drawn_from: Count
    seconds: Annotated[float, Field(ge=0)]
    rows: list[FaultRow]
    provenance: Provenance


def write_tally(tally: FaultTally, folder: Path) -> Path:
    """Write the tally below `folder` durably, under a name of its own, and return its path."""
    stamp = re.sub(r"[-:]", "", tally.provenance.started)
    path = inside(folder.parent, folder) / f"{stamp}-{secrets.token_hex(4)}.json"
    try:
        write_new(path, sealed(tally.model_dump_json(indent=1)).encode())
    except OSError as error:
        raise ResultsError(
            f"cannot write the tally {path}: {error.strerror or error}", "Free space or choose another folder."
        ) from None
    return path


def newest_tally(results: Path) -> FaultTally | None:
    """Return the newest tally below `results/faults`, None where there is none; RecordError names a damaged one."""
    tallies = [read_sealed(path, FaultTally, "tally of faults") for path in sorted((results / "faults").glob("*.json"))]
    return max(tallies, key=lambda tally: tally.provenance.started, default=None)
