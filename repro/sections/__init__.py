"""The sections of the seminar, one file each, and what runs them.

A file here imports from its own room and from rooms above it, never from report or commands; heavy libraries inside
functions, so that `report` works without torch. Begin with context.py (what a section is and what it is given), then
runner.py (from a command to a record), then any section.

To add one: a file that ends in SECTION = Section.of(globals(), ...), and its name in SECTIONS.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from repro.errors import unknown

if TYPE_CHECKING:
    from repro.sections.context import Section

SECTIONS: tuple[str, ...] = (  # in the seminar's order
    "tour",
    "corpus-facts",
    "token-facts",
    "features",
    "projection",
    "linear",
    "baselines",
    "finetune",
    "inference",
    "published",
    "api",
)


def section_named(name: str) -> Section:
    """Return the section of that name; UsageError names the nearest."""
    if name not in SECTIONS:
        raise unknown("section", name, list(SECTIONS))
    from repro.sections.context import module_of

    section: Section = import_module(module_of(name)).SECTION
    return section


def sections_named(names: list[str]) -> list[Section]:
    """Return the named sections in the seminar's order, all of them for no name; UsageError for an unknown one."""
    chosen = {section_named(name).name for name in names or SECTIONS}
    return [section_named(name) for name in SECTIONS if name in chosen]
