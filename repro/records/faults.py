"""What `nox -s faults` tallied: each fault, how often it was tried, and what was lost, wrong or different after it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from repro.records.provenance import Provenance
from repro.records.schema import Count, Strict
from repro.records.store import inside, read_sealed, write_sealed


class FaultRow(Strict):
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


class FaultTally(Strict):
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
    started = re.sub("[-:]", "", tally.provenance.started)
    return write_sealed(tally.model_dump_json(indent=1), inside(folder.parent, folder), started, "tally")


def newest_tally(results: Path) -> FaultTally | None:
    """Return the newest tally below `results/faults`, None where there is none; RecordError names a damaged one."""
    tallies = [read_sealed(path, FaultTally, "tally of faults") for path in sorted((results / "faults").glob("*.json"))]
    return max(tallies, key=lambda tally: tally.provenance.started, default=None)
