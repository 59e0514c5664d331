"""The checkpoints of the tour's six tasks, and the book's own fine-tuned model: pinned, from the Hub or a folder.

The revisions are those that transformers 4.57 gave its pipelines as defaults; the translation model's is the one
seen in use. No SHA-256 of their weights is known to us: from the Hub the revision pins them, and files in a folder
are taken at their word once their configuration fits. The SHA-256 of what was read stands in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from repro.assets.recipes import PinnedCheckpoint, Recipe

_DISTILBERT = {"model_type": "distilbert", "dim": 768, "n_layers": 6}

TOUR: Mapping[str, PinnedCheckpoint] = MappingProxyType(
    {
        task: PinnedCheckpoint(
            name=f"tour-{task}", why=why, checkpoint=checkpoint, revision=revision, config=config
        )
        for task, why, checkpoint, revision, config in (
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
                "translation", "the letter in Dutch", "Helsinki-NLP/opus-mt-en-nl",
                "cb106147f56946f00045d2f9768539949e660489",
                {"model_type": "marian", "d_model": 512, "encoder_layers": 6, "decoder_layers": 6},
            ),
            (
                "generation", "the reply, continued", "openai-community/gpt2", "607a30d",
                {"model_type": "gpt2", "n_embd": 768, "n_layer": 12},
            ),
        )
    }
)  # fmt: skip

PUBLISHED = Recipe(
    name="published",
    why="the book's own fine-tuned model, scored without training",
    checkpoint="transformersbook/distilbert-base-uncased-finetuned-emotion",
    revision="main",  # none is stated anywhere; the record holds the commit that the Hub gave
    config={**_DISTILBERT, "vocab_size": 30_522},
)
