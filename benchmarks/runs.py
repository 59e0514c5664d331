"""Whole runs, the notebook's and ours, and texts through the tiny encoder, in a worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.turns import Turn


def encode_and_run(turn: Turn, *, tweets: int, precision: str, device: str) -> None:
    """Tokenize that many texts of the rehearsal corpus, repeated, and run the tiny encoder over all of them."""
    from repro.assets.loading import load_encoder
    from repro.sections.runner import open_context
    from repro.spec import Device, Precision, RunSpec
    from repro.training.data import tokenize
    from repro.training.predict import cls_states

    spec = RunSpec(recipe="tiny", corpus="rehearsal", precision=Precision(precision), device=Device(device))
    context = open_context(spec)
    texts = context.corpus.texts("train")[:]
    repeated = [texts[i % len(texts)] for i in range(tweets)]
    encoder = load_encoder(context.checkpoint.folder)
    while True:
        tokens = tokenize(context.tokenizer, repeated, max_length=context.recipe.max_length)
        cls_states(encoder, tokens, accelerator=context.accelerator)
        turn.done(tweets=tweets)


def run_command(
    turn: Turn,
    *,
    command: list[str],
    recipe: str,
    corpus: str,
    checkpoints: str | None,
    device: str,
    precision: str,
) -> None:
    """Run a module in a process of its own, a round each, our records into a folder that is removed."""
    on = {"recipe": recipe, "corpus": corpus, "checkpoints": checkpoints, "device": device}
    options = [f"--{name}={value}" for name, value in on.items() if value]
    with TemporaryDirectory() as results:
        if command[0] == "repro":
            options += [f"--precision={precision}", f"--results={results}"]
        while True:
            whole = [sys.executable, "-m", *command, *options]
            subprocess.run(whole, cwd=Path(__file__).parents[1], check=True, stdout=subprocess.DEVNULL)
            turn.done()
