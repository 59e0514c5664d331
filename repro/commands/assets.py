"""`repro assets check`, `repro assets fetch` and `repro assets convert`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.commands.options import Checkpoints, CorpusSource
from repro.errors import ReproError, unknown
from repro.records.private import without_private_parts

Names = Annotated[list[str] | None, typer.Argument(help="Recipes, tour-… or published; all of them, if left out.")]
WAYS = (
    "put config.json, model.safetensors and the tokenizer's files of each into DIR/NAME and give --checkpoints DIR, or "
    "run `repro assets fetch NAME` where the Hub is reachable"
)


def check(names: Names = None, corpus: CorpusSource = "rehearsal", checkpoints: Checkpoints = None) -> None:
    """Say what is here, what is missing (then exit code 2) and how to get it; nothing is downloaded."""
    _report(names, corpus, checkpoints, use_hub=False)


def fetch(names: Names = None, corpus: CorpusSource = "hub", checkpoints: Checkpoints = None) -> None:
    """Download what is missing from the Hub at its pinned revisions, and check it."""
    _report(names, corpus, checkpoints, use_hub=True)


def convert(
    name: Annotated[str, typer.Argument(help="tour-summary, tour-translation, published, …")],
    checkpoints: Annotated[Path, typer.Option("--checkpoints", help="The folder that gets DIR/NAME.")],
) -> None:
    """Turn a checkpoint that is published as a pickle only into safetensors, without running what it holds."""
    from repro.assets.convert import convert_checkpoint
    from repro.assets.recipes import CHECKPOINTS

    if name not in CHECKPOINTS:
        raise unknown("checkpoint", name, list(CHECKPOINTS))
    folder, weights_sha256 = convert_checkpoint(CHECKPOINTS[name], checkpoints)
    sys.stdout.write(f"{folder}: weights of SHA-256 {weights_sha256}; run with --checkpoints {checkpoints}\n")


def _report(names: list[str] | None, corpus: str, checkpoints: Path | None, *, use_hub: bool) -> None:
    """Write one line for each asset; then, to standard error, each remedy once, whatever it is good for."""
    from repro.assets.recipes import CHECKPOINTS

    for name in names or ():
        if name not in (*CHECKPOINTS, "corpus"):
            raise unknown("asset", name, [*CHECKPOINTS, "corpus"])
    remedies: dict[str, str] = {}
    for name in names or (*CHECKPOINTS, "corpus"):
        try:
            about = _corpus(corpus, use_hub) if name == "corpus" else _checkpoint(name, checkpoints, use_hub)
        except ReproError as error:
            what = corpus if name == "corpus" else f"{CHECKPOINTS[name].checkpoint}, {CHECKPOINTS[name].why}"
            about, remedies[name] = f"{what}: missing: {error.what}", error.remedy
        sys.stdout.write(without_private_parts(f"{name}: {about}\n"))
    if remedies:
        sys.stderr.write(f"missing: {', '.join(remedies)}\n")
        for remedy in dict.fromkeys(remedies.values()):
            sys.stderr.write(f"- {remedy}\n")
        raise typer.Exit(ReproError.exit_code)


def _checkpoint(name: str, checkpoints: Path | None, use_hub: bool) -> str:
    from repro.assets.checkpoints import locate_checkpoint, ways_to_provide
    from repro.assets.recipes import CHECKPOINTS, TINY

    pinned = CHECKPOINTS[name]
    what = f"{pinned.checkpoint}, {pinned.why}"
    if pinned is TINY:  # to build it would take torch
        return f"{what}: built on the spot"
    try:
        checkpoint = locate_checkpoint(pinned, checkpoints, use_hub=use_hub)
    except ReproError as error:
        if error.remedy == ways_to_provide(pinned):
            error.remedy = WAYS
        raise
    verified = "verified" if pinned.sha256 else "its SHA-256 is not known: revision and configuration are checked"
    mib = sum(file.stat().st_size for file in checkpoint.folder.iterdir() if file.is_file()) / 2**20
    return f"{what}: {checkpoint.source}, {verified}, {mib:,.1f} MiB"


def _corpus(source: str, use_hub: bool) -> str:
    from repro.assets.corpus import read_rows

    if source == "hub" and not use_hub:
        return "hub: not looked at, `repro assets fetch corpus` downloads it"
    name, splits = read_rows(source)
    return f"{name}, {sum(map(len, splits.values())):,} rows: verified"
