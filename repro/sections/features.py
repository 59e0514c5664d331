"""Frozen encoder as feature extractor: [CLS] states of every tweet (seed, "Transformers as Feature Extractors")."""

from __future__ import annotations

from repro.records.schema import Measurements
from repro.sections.context import Context
from repro.sections.section import Section

SENTENCE = "this is a test"  # the seminar's own


def run(context: Context, _seed: int) -> Measurements:
    """Extract the features, and the hidden state of the seminar's test sentence; another seed changes nothing."""
    import torch

    from repro.assets.loading import load_encoder

    with context.timed("test sentence"):
        encoder = load_encoder(context.checkpoint.folder)
        inputs = context.tokenizer(SENTENCE, return_tensors="pt")
        with torch.inference_mode():
            hidden = encoder(**inputs).last_hidden_state  # (1, T, H)
    with context.timed("tokenize"):
        _ = context.examples
    with context.timed("extract"):
        states = context.cls_states
    return Measurements(
        facts={
            "this_is_a_test": {
                "inputs": list(inputs["input_ids"].shape),
                "hidden": list(hidden.shape),
                "cls": list(hidden[:, 0].shape),
            },
            "corners": {
                name: [*row[:3].tolist(), *row[-3:].tolist()]
                for name, row in (("first row", hidden[0, 0]), ("last row", hidden[0, -1]))
            },
            "shape": {split: list(of_split.shape) for split, of_split in states.items()},
        },
    )


SECTION = Section(name="features", heading="Features", what="[CLS] states of the frozen encoder", run=run)
