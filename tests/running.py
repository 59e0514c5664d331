"""One section measured, without a results folder."""

from __future__ import annotations

from repro.records.schema import RunRecord
from repro.sections import section_named
from repro.sections.context import Context
from repro.sections.runner import Run


def measure(name: str, context: Context, seed: int = 0) -> RunRecord:
    """Run the section of that name once and return its record, not written."""
    return Run.prepare(section_named(name), context, seed).measure()
