"""What a worker times: a training step, ours and the Trainer's, texts through an encoder, whole runs.

Of a step (architectures with random weights) a round is a whole turn of the loop as its user runs it: the batch made,
forward, backward, clip, optimizer, schedule. It says the real pieces (padding not counted) of its batch, the parameters
outside the embeddings, and the sum of the batch's ids (`rows`), by which two checkouts are known to have taken the same
rows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peer import BATCH, architecture, as_dataset, random_examples, trainer, tweet_lengths
from benchmarks.turns import Turn, forget_peak
from repro.regression.workers import WARM_UP

GROUP = 50  # batches that the Trainer sorts by length together, longest first
SETTLE = 1  # steps before each timed one


def spread_batches(rounds: int, steps: int = 1) -> list[int]:
    """Return the numbers of a sorted group's batches to take: warming up, then SETTLE before each of `rounds` timed.

    A round is `steps` batches that follow each other.
    """
    timed = [int((i + 0.5) * (GROUP - steps + 1) / rounds) for i in range(rounds)]
    return [max(0, number + i) for number in [0] * WARM_UP + timed for i in range(-SETTLE, steps)]


def train_ours(
    turn: Turn,
    *,
    batching: str,
    precision: str,
    shape: str = "distilbert",
    device: str = "cpu",
    batch: int = BATCH,
    vocabulary: int = 30_522,
    varlen: bool | None = None,
) -> None:
    """Our loop on texts of the tweets' lengths; where `varlen` is given, without dropout, and if so on torch's."""
    from dataclasses import replace
    from unittest.mock import patch

    from repro.assets.recipes import DISTILBERT
    from repro.training import encoder, loop
    from repro.training.data import to_device
    from repro.training.device import make_accelerator

    examples = random_examples(tweet_lengths(), vocabulary=vocabulary)
    model = architecture(shape, vocabulary, dropout=varlen is None)
    parameters = model.num_parameters(exclude_embeddings=True)
    parts: list[dict[str, int]] = []  # of the step under way

    def count(taken: Any, on: Any) -> Any:
        """Take note of a batch on its way to the device: the step before it has ended."""
        if parts:
            _end(turn, device, parts.pop, parameters)
        packing = taken.get("packing")
        real = [taken["attention_mask"]] if packing is None else [group.real for group in packing.groups]
        parts.append({"pieces": sum(int(part.sum()) for part in real), "rows": int(taken["input_ids"].sum())})
        return to_device(taken, on)

    with (
        patch.object(loop, "to_device", count),
        patch.object(encoder, "_attention", attend_by_varlen if varlen else encoder._attention),
    ):
        for _ in loop.fit(
            model, recipe=replace(DISTILBERT, batch_size=batch), train=examples, validation=examples, seed=0,
            accelerator=make_accelerator(device=device, precision=precision), batching=batching,
        ):  # fmt: skip
            raise RuntimeError("the epoch ended: more rounds than there are steps")


def attend_by_varlen(
    _: Any, query: Any, key: Any, value: Any, *args: Any, packing: Any, **kwargs: Any
) -> tuple[Any, None]:
    """Attend within each text by torch.nn.attention.varlen, which has no dropout and takes 16-bit states alone.

    As `repro.training.encoder._attention`; the filler is a text of its own.
    """
    import torch
    from torch.nn.attention import varlen

    pieces = query.shape[2]
    filler = packing.cells == len(packing.places) - 1
    ends = torch.cat([packing.starts[1:], (~filler).sum()[None]])
    bounds = torch.nn.functional.pad(torch.nn.functional.pad(ends, (1, 0)), (0, 1), value=pieces).int()
    states = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))  # (N, heads, D)
    queries, keys, values = states
    attended: Any = varlen.varlen_attn(queries, keys, values, bounds, bounds, pieces, pieces)
    return attended.unsqueeze(0), None


def train_peer(turn: Turn, *, padding: str, precision: str, rounds: int, device: str = "cpu", steps: int = 1) -> None:
    """Transformers' Trainer: rows padded as in the notebook, or by its collator, at random or by length.

    By length, `rounds` timed batches, or runs of `steps`, lie evenly over a sorted group, from its longest tweets on.
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
    counts: list[dict[str, int]] = []

    def counting(features: Any) -> Any:
        batch = collate(features)
        counts.append({"pieces": int(batch["attention_mask"].sum()), "rows": int(batch["input_ids"].sum())})
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
            return [row for number in spread_batches(rounds, steps) for row in batches[number].tolist()]

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


def train_whole(turn: Turn, *, replayed: bool, precision: str, device: str) -> None:
    """Train on the seminar's number of tweets for two epochs, kernels replayed as graphs or launched one by one.

    Each round has two parts: the model is made, which is not timed, and trained.
    """
    from unittest.mock import patch

    import torch

    from repro.assets.recipes import DISTILBERT
    from repro.training import loop
    from repro.training.device import make_accelerator
    from repro.training.graphs import GraphedPass

    lengths, accelerator = tweet_lengths(), make_accelerator(device=device, precision=precision)
    train, few = random_examples(lengths), random_examples(lengths[:BATCH])
    with patch.object(loop, "GraphedPass", GraphedPass if replayed else lambda run, model: run):
        while True:
            epochs = loop.fit(
                architecture(), recipe=DISTILBERT, train=train, validation=few, seed=0, accelerator=accelerator
            )
            turn.done()
            seconds = sum(result.epoch.train_seconds for result in epochs)
            torch.cuda.synchronize()
            turn.done(training_seconds=seconds, gpu_peak_mib=torch.cuda.max_memory_allocated() / 2**20)
            accelerator.free_memory()


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


def _end(turn: Turn, device: str, count: Callable[[], dict[str, int]], parameters: int) -> None:
    """End a step; `count` returns its pieces and the sum of its ids. A GPU is waited for where the clock is read."""
    facts: dict[str, float] = {"parameters": parameters, **count()}
    if device == "cuda" and turn.at_reading:
        import torch

        torch.cuda.synchronize()
        facts["gpu_peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
    turn.done(**facts)
    forget_peak()
