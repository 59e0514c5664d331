"""`repro assets check` and `repro assets fetch`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from repro.commands.options import Checkpoints, CorpusSource
from repro.errors import ReproError


def check(corpus: CorpusSource = "rehearsal", checkpoints: Checkpoints = None) -> None:
    """Tell what is here, what is missing (then exit code 2) and how to get it; nothing is downloaded."""
    _report_assets(corpus, checkpoints, use_hub=False)


def fetch(corpus: CorpusSource = "hub", checkpoints: Checkpoints = None) -> None:
    """Download what is missing from the Hub at its pinned revisions, and check it."""
    _report_assets(corpus, checkpoints, use_hub=True)


def _report_assets(corpus: str, checkpoints: Path | None, *, use_hub: bool) -> None:
    from repro.assets.checkpoints import locate_checkpoint
    from repro.assets.corpus import read_rows, stamp_of
    from repro.assets.recipes import RECIPES, TINY
    from repro.assets.tour import PUBLISHED, TOUR

    missing: dict[str, ReproError] = {}
    for recipe in RECIPES.values():
        if recipe is TINY:  # to build it would take torch
            sys.stdout.write(f"recipe {recipe.name}: built on the spot; {recipe.why}\n")
            continue
        try:
            found = locate_checkpoint(recipe, checkpoints, use_hub=use_hub)
            sys.stdout.write(f"recipe {recipe.name}: {recipe.checkpoint} from {found.source}, verified; {recipe.why}\n")
        except ReproError as error:
            missing[f"recipe {recipe.name}"] = error
            sys.stdout.write(f"recipe {recipe.name}: {error}\n")
    for pinned in (*TOUR.values(), PUBLISHED):  # each is needed by one part of the seminar only
        unpinned = "" if pinned.sha256 else ", no SHA-256 known: its revision and configuration alone are checked"
        try:
            found = locate_checkpoint(pinned, checkpoints, use_hub=use_hub)
            told = f"{pinned.checkpoint} from {found.source}{unpinned}"
        except ReproError as error:
            missing[pinned.name] = error
            told = str(error)
        sys.stdout.write(f"{pinned.name}: {told}; {pinned.why}\n")
    if corpus == "hub" and not use_hub:
        sys.stdout.write("corpus hub: not looked at, `assets fetch` downloads it\n")
    else:
        try:
            stamp = stamp_of(*read_rows(corpus))
            sys.stdout.write(f"corpus {stamp.name}: {sum(s.rows for s in stamp.splits.values()):,} rows, verified\n")
        except ReproError as error:
            missing["corpus"] = error
            sys.stdout.write(f"corpus: {error}\n")
    if missing:
        sys.stderr.write(f"missing: {', '.join(missing)}; the ways to each stand above\n")
        raise typer.Exit(next(iter(missing.values())).exit_code)
