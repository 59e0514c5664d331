"""What all are measured beside: an architecture with random weights, and transformers' Trainer as the seminar sets it.

Also the machine's own matrix multiplication, of which the report gives every variant's share.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

    from benchmarks.turns import Turn
    from repro.training.data import Examples

BATCH = 64
LONGEST = 87  # the corpus' longest tweet, to which the notebook pads all
SEMINARS_RATE = 2e-5
PIECES, WIDTH, INNER = 1_440, 768, 3_072  # a batch of 64 tweets through DistilBERT's feed-forward layer
FLOP = 2 * PIECES * WIDTH * INNER  # of one multiplication
REPEATS = 8
ON_GPU = 100  # multiplications between two looks at a GPU: launch and wait would rule one alone


def architecture(shape: str = "distilbert", vocab_size: int = 30_522) -> PreTrainedModel:
    """Return the architecture of a recipe with a six-class head and random weights."""
    from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, set_seed

    set_seed(0)
    config = {
        "distilbert": DistilBertConfig(),
        "minilm": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
        "tiny": DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128),
    }[shape]
    config.num_labels, config.vocab_size = 6, vocab_size
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


def as_dataset(examples: Examples, *, width: int = LONGEST, padded: bool = True) -> Any:
    """Return the examples as a datasets.Dataset, each row padded to `width` or as long as its text."""
    import torch
    from datasets import Dataset

    from repro.training.data import pad_rows

    rows = pad_rows(examples.tokens, torch.arange(len(examples)), width=width)
    columns = {name: values.tolist() for name, values in rows.items()}
    if not padded:
        lengths = examples.tokens.lengths.tolist()
        columns = {name: [row[:n] for row, n in zip(rows, lengths, strict=True)] for name, rows in columns.items()}
    return Dataset.from_dict({**columns, "label": examples.labels.tolist()})


def trainer(
    model: PreTrainedModel,
    folder: str | Path,
    *,
    kind: Any = None,
    device: str = "cpu",
    given: Any = None,
    **settings: Any,
) -> Trainer:
    """Return a Trainer with the seminar's arguments and `settings` of its own; `given` goes to its constructor."""
    from transformers import Trainer, TrainingArguments

    seminars: dict[str, Any] = {
        "num_train_epochs": 2, "learning_rate": SEMINARS_RATE, "weight_decay": 0.01,
        "per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH,
    }  # fmt: skip
    quiet: dict[str, Any] = {
        "eval_strategy": "no", "save_strategy": "no", "logging_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "log_level": "error",
    }  # fmt: skip
    on: dict[str, Any] = {"use_cpu": device == "cpu", "dataloader_pin_memory": device != "cpu"}
    arguments = TrainingArguments(output_dir=str(folder), **{**seminars, **quiet, **on, **settings})
    peer: Trainer = (kind or Trainer)(model=model, args=arguments, **(given or {}))
    return peer


def multiply(turn: Turn, *, precision: str, device: str) -> None:
    """Say how many seconds the fastest multiplication of a round takes; on a GPU the mean of the fastest ON_GPU."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    left = torch.randn(PIECES, WIDTH, dtype=dtype, device=device)
    right = torch.randn(WIDTH, INNER, dtype=dtype, device=device)
    times = ON_GPU if device == "cuda" else 1
    while True:
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            for _ in range(times):
                left @ right
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append((time.perf_counter() - start) / times)
        turn.done(fastest=min(seconds))
