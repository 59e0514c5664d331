"""One training step of an architecture with random weights, ours and transformers' Trainer, in a worker.

A round is a whole turn of the loop as its user runs it: the batch made, forward, backward, clip, optimizer, schedule.
It says the real pieces (padding not counted) of its batch, the parameters outside the embeddings, and the sum of the
batch's ids (`rows`), by which two checkouts are known to have taken the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.lengths import random_examples, tweet_lengths
from benchmarks.turns import Turn, forget_peak
from repro.regression.workers import WARM_UP

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from repro.training.progress import Advance

BATCH = 64
LONGEST = 87  # the corpus' longest tweet, to which the notebook pads all
GROUP = 50  # batches that the Trainer sorts by length together, longest first
SETTLE = 1  # steps before each timed one


def architecture(shape: str = "distilbert") -> PreTrainedModel:
    """Return the architecture of a recipe with a six-class head and random weights."""
    from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, set_seed

    set_seed(0)
    config = {
        "distilbert": DistilBertConfig(),
        "minilm": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
        "tiny": DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128),
    }[shape]
    config.num_labels = 6
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


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
    lengths: list[int] | None = None,
    device: str = "cpu",
    batch: int = BATCH,
    compiled: bool = False,
) -> None:
    """Our loop on texts of these lengths, else the tweets'; `compiled`: its layers but the last by torch.compile."""
    from dataclasses import replace

    import torch

    from repro.assets.recipes import DISTILBERT
    from repro.training.device import make_accelerator
    from repro.training.loop import fit
    from repro.training.progress import Progress

    examples, model = random_examples(lengths or tweet_lengths()), architecture(shape)
    parameters = model.num_parameters(exclude_embeddings=True)
    if compiled:
        layers: Any = model.base_model.get_submodule("transformer.layer")
        for layer in layers[:-1]:
            layer.compile(dynamic=True)  # each batch has another number of pieces
    parts: list[tuple[Any, Any]] = []  # real pieces and the sum of ids of each part of the step's batch

    def count(module: Any, args: Any, kwargs: Any) -> None:
        del module, args
        packing = kwargs.get("packing")
        pieces = kwargs["attention_mask"].sum() if packing is None else packing.pieces
        parts.append((pieces, kwargs["input_ids"].sum()))

    model.register_forward_pre_hook(count, with_kwargs=True)

    class Turns(Progress):
        @contextmanager
        def bar(self, what: str, total: int) -> Iterator[Advance]:
            del what, total

            def advance(done: int, loss: torch.Tensor | None) -> None:
                del done, loss
                if device == "cuda":
                    torch.cuda.synchronize()
                pieces, rows = (int(sum(counts)) for counts in zip(*parts, strict=True))
                parts.clear()
                turn.done(pieces=pieces, parameters=parameters, rows=rows)
                forget_peak()

            yield advance

    accelerator = make_accelerator(device=device, precision=precision)
    recipe = replace(DISTILBERT, batch_size=batch)
    for _ in fit(
        model, recipe=recipe, train=examples, validation=examples, seed=0, accelerator=accelerator, batching=batching,
        progress=Turns(),
    ):  # fmt: skip
        raise RuntimeError("the epoch ended: more rounds than there are steps")


def train_peer(turn: Turn, *, padding: str, precision: str, rounds: int, device: str = "cpu") -> None:
    """Transformers' Trainer: rows padded to LONGEST as in the notebook, or by its collator, at random or by length.

    By length, `rounds` timed batches lie evenly over a sorted group, from its longest tweets to its shortest.
    """
    import torch
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    from repro.assets.checkpoints import locate_checkpoint
    from repro.assets.loading import load_tokenizer
    from repro.assets.recipes import TINY
    from repro.training.device import leave_out_cudnn
    from repro.training.packing import pad_rows

    leave_out_cudnn(device)  # as ours does
    lengths = tweet_lengths()
    examples, model = random_examples(lengths), architecture()
    parameters = model.num_parameters(exclude_embeddings=True)
    tokenizer = load_tokenizer(locate_checkpoint(TINY).folder, TINY)
    padded = pad_rows(examples.tokens, torch.arange(len(examples)), width=LONGEST)
    columns = {name: rows.tolist() for name, rows in padded.items()}
    if padding != "notebook":
        columns = {name: [row[:n] for row, n in zip(rows, lengths, strict=True)] for name, rows in columns.items()}
    collate = DataCollatorWithPadding(tokenizer)
    counts: list[dict[str, int]] = []

    def counting(features: Any) -> Any:
        batch = collate(features)
        counts.append({"pieces": int(batch["attention_mask"].sum()), "rows": int(batch["input_ids"].sum())})
        return batch

    class Turns(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            del kwargs
            if device == "cuda":
                torch.cuda.synchronize()
            turn.done(**counts[args[1].global_step - 1], parameters=parameters)
            forget_peak()

    class Thinned(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            whole: Any = super()._get_train_sampler(train_dataset)
            if padding != "grouped":
                return whole
            batches = torch.tensor(list(whole)).split(BATCH)
            return [row for number in spread_batches(rounds) for row in batches[number].tolist()]

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=2, learning_rate=2e-5, per_device_train_batch_size=BATCH,
            weight_decay=0.01, eval_strategy="no", save_strategy="no", logging_strategy="no", report_to="none",
            disable_tqdm=True, log_level="error", use_cpu=device == "cpu", bf16=precision == "bf16", seed=0,
            dataloader_pin_memory=device == "cuda",
            train_sampling_strategy="group_by_length" if padding == "grouped" else "random",
        )  # fmt: skip
        dataset = Dataset.from_dict({**columns, "label": examples.labels.tolist()})
        Thinned(
            model=model, args=arguments, train_dataset=dataset, data_collator=counting, processing_class=tokenizer,
            callbacks=[Turns()],
        ).train()  # fmt: skip
    raise RuntimeError("the training ended: more rounds than there are steps")
