"""`repro claims`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from repro.commands.options import CatalogueName, write_table


def claims(
    claim: Annotated[str | None, typer.Argument(help="One claim, in full.")] = None,
    catalogue: CatalogueName = "seminar",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every claim, its source and what a run must have for it to be comparable."""
    from repro.claims.catalogue import load_catalogue

    read = load_catalogue(catalogue)
    chosen = [read.claim_named(claim)] if claim else list(read.claim)
    if as_json:
        sys.stdout.write(json.dumps([c.model_dump(mode="json") for c in chosen], indent=1, ensure_ascii=False) + "\n")
        return
    if claim:
        for name, value in chosen[0].model_dump(mode="json", exclude_none=True).items():
            sys.stdout.write(f"{name:>15}  {value}\n")
        return
    write_table(
        ("claim", "version", "reported", "source", "needs"),
        [(c.id, str(c.version), c.shown, c.source, ", ".join(c.needs)) for c in chosen],
    )
