"""`repro assets`: which checkpoints and corpora are here; `repro predict` and `repro share`: a saved model is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import AsJson, Checkpoints, CorpusSource, write_json, write_table
from repro.errors import MissingAssetError, ReproError, UsageError, unknown, without_private_parts

if TYPE_CHECKING:
    from repro.assets.recipes import PinnedCheckpoint

Names = Annotated[list[str] | None, typer.Argument(help="Recipes, tour-… or published; all of them, if left out.")]
CORPUS_MEGABYTES = 2.8
BAR = 40  # characters for a probability of 1
SHOWN = 80  # characters of a text


def check(names: Names = None, corpus: CorpusSource = "rehearsal", checkpoints: Checkpoints = None) -> None:
    """Say what is here, what is missing (then exit code 5) and how to get it; nothing is downloaded."""
    _report(names, corpus, checkpoints, use_hub=False)


def fetch(names: Names = None, corpus: CorpusSource = "hub", checkpoints: Checkpoints = None) -> None:
    """Download what is missing from the Hub at its pinned revisions, and check it; exit code 5: not all is here."""
    _report(names, corpus, checkpoints, use_hub=True)


def convert(
    name: Annotated[str, typer.Argument(help="tour-summary, tour-translation, published, …")],
    checkpoints: Annotated[Path, typer.Option("--checkpoints", help="The folder that gets DIR/NAME.")],
) -> None:
    """Turn a checkpoint that is published as a pickle only into safetensors, without running what it holds."""
    from repro.assets.checkpoints import convert_checkpoint
    from repro.assets.recipes import CHECKPOINTS

    if name not in CHECKPOINTS:
        raise unknown("checkpoint", name, list(CHECKPOINTS))
    folder, weights_sha256 = convert_checkpoint(CHECKPOINTS[name], checkpoints)
    typer.echo(f"{folder}: weights of SHA-256 {weights_sha256}; run with --checkpoints {checkpoints}")


def _report(names: list[str] | None, corpus: str, checkpoints: Path | None, *, use_hub: bool) -> None:
    """Write one line for each asset; then, to standard error, each remedy once, whatever it is good for."""
    from repro.assets.recipes import CHECKPOINTS

    known = [*CHECKPOINTS, "corpus"]
    for name in {*(names or ())} - {*known}:
        raise unknown("asset", name, known)
    if remedies := report_assets(names or known, corpus, checkpoints, use_hub=use_hub):
        typer.echo("\n- ".join((f"missing: {', '.join(remedies)}", *dict.fromkeys(remedies.values()))), err=True)
        raise typer.Exit(MissingAssetError.exit_code)


def report_assets(names: Sequence[str], corpus: str, checkpoints: Path | None, *, use_hub: bool) -> dict[str, str]:
    """Write one line for each asset, and return the remedy of each that is missing."""
    from repro.assets.checkpoints import WAYS
    from repro.assets.recipes import CHECKPOINTS

    remedies = dict[str, str]()
    for name in names:
        pinned = CHECKPOINTS.get(name)
        about = f"{pinned.checkpoint}, {pinned.why}: " if pinned else ""
        try:
            state = _checkpoint(pinned, checkpoints, use_hub) if pinned else _corpus(corpus, use_hub)
        except ReproError as error:
            state, remedies[name] = f"missing: {error.what}", error.remedy
            if (megabytes := megabytes_of(name)) and (error.remedy == WAYS or corpus == "hub"):
                state += f"; about {megabytes:,} MB to fetch"
        typer.echo(without_private_parts(f"{name}: {about}{state}"))
    return remedies


def megabytes_of(name: str) -> float | None:
    """Return how much there is to fetch of an asset from the Hub; None where that is not known."""
    from repro.assets.recipes import CHECKPOINTS

    return CHECKPOINTS[name].megabytes if name in CHECKPOINTS else CORPUS_MEGABYTES


def _checkpoint(pinned: PinnedCheckpoint, checkpoints: Path | None, use_hub: bool) -> str:
    from repro.assets.checkpoints import locate_checkpoint
    from repro.assets.recipes import TINY

    if pinned is TINY:  # to build it would take torch
        return "built on the spot"
    checkpoint = locate_checkpoint(pinned, checkpoints, use_hub=use_hub)
    verified = "verified" if pinned.sha256 else "its SHA-256 is not known: revision and configuration are checked"
    mib = sum(file.stat().st_size for file in checkpoint.folder.iterdir() if file.is_file()) / 2**20
    return f"{checkpoint.source}, {verified}, {mib:,.1f} MiB"


def _corpus(source: str, use_hub: bool) -> str:
    from repro.assets.corpus import HUB_CORPUS, HUB_REVISION, read_rows
    from repro.assets.hub import fetch_snapshot

    if source == "hub" and not use_hub:  # what its local cache holds
        where = fetch_snapshot(HUB_CORPUS, revision=HUB_REVISION, files=["*.jsonl"], kind="dataset", use_hub=False)
        source = str(where[0])
    stamp, splits = read_rows(source)
    return f"{stamp.name}, {sum(map(len, splits.values())):,} rows: verified"


def predict(
    texts: Annotated[list[str], typer.Argument(help="One or more texts, each between quotation marks.")],
    model: Annotated[Path, typer.Option(help="A folder that `run finetune --save` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Give the probability of every class for each text, from a fine-tuned model."""
    from repro.sections.inference import load_finetuned, predict

    loaded = load_finetuned(model)
    predictions = predict(loaded, texts)
    if as_json:
        write_json([{**p._asdict(), "label": p.label} for p in predictions])
    for p in () if as_json else predictions:
        typer.echo(f"\n“{p.text if len(p.text) <= SHOWN else p.text[: SHOWN - 1] + '…'}”: {p.label}")
        if p.cut:
            typer.echo("  the text is longer than the model reads: its end was cut off")
        rows = [(label, f"{100 * share:.2f} %", "█" * round(BAR * share)) for label, share in p.probabilities.items()]
        write_table(("class", "probability", ""), rows)
    if loaded.note:
        typer.echo(f"note: {loaded.note}", err=True)


def share(
    model: Annotated[Path, typer.Argument(help="A folder that `run finetune --save` wrote.")],
    push_to_hub: Annotated[str | None, typer.Option(help="USER/NAME on the Hub. Without it nothing is sent.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody read it; private, if left out.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
) -> None:
    """Show what sharing a model would send; send it with --push-to-hub and a token in the environment or the login."""
    from repro.sections.models import read_stamp
    from repro.sections.sharing import files_to_share, push_model

    files = {file.name: file.stat().st_size for file in files_to_share(model)}
    for name, size in files.items():
        typer.echo(f"{size:>12,} bytes  {name}")
    typer.echo(f"{sum(files.values()):>12,} bytes in {len(files)} files")
    if warning := read_stamp(model).warning():
        typer.echo(f"note: {warning}", err=True)
    if push_to_hub is None:
        typer.echo(f"\n{(model / 'README.md').read_text(encoding='utf-8')}")
        typer.echo("Nothing was sent. To send these files: --push-to-hub USER/NAME")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to confirm what is sent", "Say --yes to send it; nothing was sent.")
        if not typer.confirm(f"Send these files to {push_to_hub}, {'public' if public else 'private'}?", err=True):
            raise typer.Exit(1)
    typer.echo(f"sent to {push_model(model, push_to_hub, public=public)}")
