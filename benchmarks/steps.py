"""What a worker times: a training step, ours and the Trainer's, texts through an encoder, whole runs.

Of a step (architectures with random weights) a round is a whole turn of the loop as its user runs it: the batch made,
forward, backward, clip, optimizer, schedule. It says the real pieces (padding not counted) of its batch, the parameters
outside the embeddings, and the sum of the batch's ids (`rows`), by which two checkouts are known to have taken the same
rows.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peer import BATCH, architecture, as_dataset, random_examples, trainer, tweet_lengths
from benchmarks.turns import Turn, forget_peak
from repro.regression.workers import WARM_UP

GROUP = 50  # batches that the Trainer sorts by length together, longest first
SETTLE = 1  # steps before each timed one


def spread_batches(rounds: int) -> list[int]:
    """Return the numbers of a sorted group's batches to take: warming up, then SETTLE before each of `rounds` timed."""
    timed = [int((i + 0.5) * GROUP / rounds) for i in range(rounds)]
    return [max(0, number - back) for number in [0] * WARM_UP + timed for back in range(SETTLE, -1, -1)]


def train_ours(
    turn: Turn,
    *,
    batching: str,
    precision: str,
    shape: str = "distilbert",
    device: str = "cpu",
    batch: int = BATCH,
    vocabulary: int = 30_522,
) -> None:
    """Our loop on texts of the tweets' lengths."""
    from dataclasses import replace

    from repro.assets.recipes import DISTILBERT
    from repro.training.device import make_accelerator
    from repro.training.loop import fit

    examples = random_examples(tweet_lengths(), vocabulary=vocabulary)
    model = architecture(shape, vocabulary)
    parameters = model.num_parameters(exclude_embeddings=True)
    parts: list[tuple[Any, Any]] = []  # real pieces and the sum of ids of the step's batch

    def count(module: Any, args: Any, kwargs: Any) -> None:
        """Take note of a batch that enters the model: the step before it has ended."""
        del module, args
        if parts:
            _end(turn, device, lambda: map(int, parts.pop()), parameters)
        packing = kwargs.get("packing")
        pieces = kwargs["attention_mask"].sum() if packing is None else packing.pieces
        parts.append((pieces, kwargs["input_ids"].sum()))

    model.register_forward_pre_hook(count, with_kwargs=True)
    for _ in fit(
        model, recipe=replace(DISTILBERT, batch_size=batch), train=examples, validation=examples, seed=0,
        accelerator=make_accelerator(device=device, precision=precision), batching=batching,
    ):  # fmt: skip
        raise RuntimeError("the epoch ended: more rounds than there are steps")


def train_peer(turn: Turn, *, padding: str, precision: str, rounds: int, device: str = "cpu") -> None:
    """Transformers' Trainer: rows padded as in the notebook, or by its collator, at random or by length.

    By length, `rounds` timed batches lie evenly over a sorted group, from its longest tweets to its shortest.
    """
    import torch
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback

    from repro.assets.checkpoints import locate_checkpoint
    from repro.assets.loading import load_tokenizer
    from repro.assets.recipes import TINY
    from repro.training.device import leave_out_cudnn

    leave_out_cudnn(device)  # as ours does
    model, tokenizer = architecture(), load_tokenizer(locate_checkpoint(TINY).folder, TINY)
    parameters = model.num_parameters(exclude_embeddings=True)
    collate = DataCollatorWithPadding(tokenizer)
    counts: list[list[int]] = []

    def counting(features: Any) -> Any:
        batch = collate(features)
        counts.append([int(batch["attention_mask"].sum()), int(batch["input_ids"].sum())])
        return batch

    class Turns(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            del kwargs
            _end(turn, device, lambda: counts[args[1].global_step - 1], parameters)

    class Thinned(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            whole: Any = super()._get_train_sampler(train_dataset)
            if padding != "grouped":
                return whole
            batches = torch.tensor(list(whole)).split(BATCH)
            return [row for number in spread_batches(rounds) for row in batches[number].tolist()]

    given = {
        "train_dataset": as_dataset(random_examples(tweet_lengths()), padded=padding == "notebook"),
        "data_collator": counting, "processing_class": tokenizer, "callbacks": [Turns()],
    }  # fmt: skip
    sampling = "group_by_length" if padding == "grouped" else "random"
    arithmetic = {} if precision == "fp32" else {precision: True}
    with TemporaryDirectory() as folder:
        settings: dict[str, Any] = {**arithmetic, "seed": 0, "train_sampling_strategy": sampling}
        trainer(model, folder, kind=Thinned, given=given, device=device, **settings).train()
    raise RuntimeError("the training ended: more rounds than there are steps")


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


def _end(turn: Turn, device: str, count: Any, parameters: int) -> None:
    """End a step once the device has done it; `count` returns its pieces and the sum of its ids."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    pieces, rows = count()
    turn.done(pieces=pieces, parameters=parameters, rows=rows)
    forget_peak()
