"""What all are measured on and beside: real lengths, an architecture with random weights, the Trainer as the seminar's.

`lengths.json` says how many tweets of the corpus have how many word pieces: a fact of a committed token-facts record (a
test holds that), so that a step can be timed on real lengths where the corpus is not at hand. Also the machine's own
matrix multiplication, of which the report gives every variant's share.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

    from benchmarks.turns import Turn
    from repro.training.data import Examples

FIRST_WORD = 1_000  # ids below are special or unused
CLS, SEP = 101, 102
BATCH = 64
LONGEST = 87  # the corpus' longest tweet, to which the notebook pads all
SEMINARS_RATE = 2e-5
PIECES, WIDTH, INNER = 1_440, 768, 3_072  # a batch of 64 tweets through DistilBERT's feed-forward layer
FLOP = 2 * PIECES * WIDTH * INNER  # of one multiplication
REPEATS = 8
ON_GPU = 100  # multiplications between two looks at a GPU: launch and wait would rule one alone


def architecture(shape: str = "distilbert", vocab_size: int = 30_522, *, dropout: bool = True) -> PreTrainedModel:
    """Return the architecture of a recipe, with random weights and a six-class head; `dropout` is DistilBERT's."""
    from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, set_seed

    set_seed(0)
    config = {
        "distilbert": DistilBertConfig(),
        "minilm": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
        "tiny": DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128),
    }[shape]
    config.num_labels, config.vocab_size = 6, vocab_size
    if not dropout:
        config.dropout = config.attention_dropout = config.seq_classif_dropout = 0.0
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


def tweet_lengths() -> list[int]:
    """Word pieces of each of the 16,000 training tweets, special tokens counted, in a fixed random order."""
    import torch

    counts = json.loads(Path(__file__).with_name("lengths.json").read_text())["train"]
    sorted_lengths = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = torch.randperm(len(sorted_lengths), generator=torch.Generator().manual_seed(0))
    return [int(length) for length in sorted_lengths[order]]


def random_examples(lengths: list[int], *, vocabulary: int = 30_522) -> Examples:
    """Random word pieces of these lengths, between [CLS] and [SEP], with random labels."""
    import torch

    from repro.training.data import Examples, TokenizedTexts

    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor(lengths)
    ends = sizes.cumsum(0)
    ids = torch.randint(min(FIRST_WORD, vocabulary // 2), vocabulary, (int(ends[-1]),), generator=random)
    ids[ends - sizes], ids[ends - 1] = CLS % vocabulary, SEP % vocabulary
    tokens = TokenizedTexts(ids=ids, offsets=torch.nn.functional.pad(ends, (1, 0)), pad_id=0, truncated=0)
    return Examples(tokens=tokens, labels=torch.randint(0, 6, (len(lengths),), generator=random))


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
