"""`repro assets check`, `repro assets fetch` and `repro assets convert`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from repro.commands.options import Checkpoints, CorpusSource
from repro.errors import ReproError, unknown
from repro.records.private import without_private_parts

Names = Annotated[list[str] | None, typer.Argument(help="Recipes, tour-… or published; all of them, if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
WAYS = (
    "put config.json, model.safetensors and the tokenizer's files of each into DIR/NAME and give --checkpoints DIR, or "
    "run `repro assets fetch NAME` where the Hub is reachable"
)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """What is known of one asset: where it is from and how large, or what is wrong with it and the ways out."""

    name: str
    what: str
    source: str = ""
    mib: float | None = None
    problem: str = ""
    remedy: str = ""


def check(
    names: Names = None, corpus: CorpusSource = "rehearsal", checkpoints: Checkpoints = None, as_json: AsJson = False
) -> None:
    """Say what is here, what is missing (then exit code 2) and how to get it; nothing is downloaded."""
    _report(names, corpus, checkpoints, use_hub=False, as_json=as_json)


def fetch(
    names: Names = None, corpus: CorpusSource = "hub", checkpoints: Checkpoints = None, as_json: AsJson = False
) -> None:
    """Download what is missing from the Hub at its pinned revisions, and check it."""
    _report(names, corpus, checkpoints, use_hub=True, as_json=as_json)


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


def _report(names: list[str] | None, corpus: str, checkpoints: Path | None, *, use_hub: bool, as_json: bool) -> None:
    from repro.assets.recipes import CHECKPOINTS

    for name in names or ():
        if name not in (*CHECKPOINTS, "corpus"):
            raise unknown("asset", name, [*CHECKPOINTS, "corpus"])
    assets = []
    for name in names or (*CHECKPOINTS, "corpus"):
        assets.append(_corpus(corpus, use_hub) if name == "corpus" else _checkpoint(name, checkpoints, use_hub))
        if not as_json:
            _write(assets[-1])
    missing = [asset for asset in assets if asset.problem]
    if as_json:
        sys.stdout.write(json.dumps([asdict(asset) for asset in assets], indent=1, ensure_ascii=False) + "\n")
    elif missing:
        sys.stderr.write(f"missing: {', '.join(asset.name for asset in missing)}\n")
        for remedy in dict.fromkeys(asset.remedy for asset in missing):  # each once, whatever it is good for
            sys.stderr.write(f"- {remedy}\n")
    if missing:
        raise typer.Exit(ReproError.exit_code)


def _checkpoint(name: str, checkpoints: Path | None, use_hub: bool) -> Asset:
    from repro.assets.checkpoints import locate_checkpoint, ways_to_provide
    from repro.assets.recipes import CHECKPOINTS, TINY

    pinned = CHECKPOINTS[name]
    what = f"{pinned.checkpoint}, {pinned.why}"
    if pinned is TINY:  # to build it would take torch
        return Asset(name=name, what=what, source="built on the spot")
    try:
        found = locate_checkpoint(pinned, checkpoints, use_hub=use_hub)
    except ReproError as error:
        remedy = WAYS if error.remedy == ways_to_provide(pinned) else error.remedy
        return Asset(name=name, what=what, problem=error.what, remedy=remedy)
    verified = ", verified" if pinned.sha256 else ", its SHA-256 is not known: revision and configuration are checked"
    size = sum(file.stat().st_size for file in found.folder.iterdir() if file.is_file())
    return Asset(name=name, what=what, source=f"{found.source}{verified}", mib=round(size / 2**20, 1))


def _corpus(source: str, use_hub: bool) -> Asset:
    from repro.assets.corpus import read_rows, stamp_of

    if source == "hub" and not use_hub:
        return Asset(name="corpus", what="hub", source="not looked at, `repro assets fetch corpus` downloads it")
    try:
        stamp = stamp_of(*read_rows(source))
    except ReproError as error:
        return Asset(name="corpus", what=source, problem=error.what, remedy=error.remedy)
    rows = sum(split.rows for split in stamp.splits.values())
    return Asset(name="corpus", what=f"{stamp.name}, {rows:,} rows", source="verified")


def _write(asset: Asset) -> None:
    size = "" if asset.mib is None else f", {asset.mib:,.1f} MiB"
    source = f"missing: {asset.problem}" if asset.problem else f"{asset.source}{size}"
    sys.stdout.write(without_private_parts(f"{asset.name}: {asset.what}: {source}\n"))
