"""Frozen encoder as feature extractor: [CLS] states of every tweet (seed, "Transformers as Feature Extractors")."""

from __future__ import annotations

from repro.records.schema import Measurements
from repro.sections.context import Context, Section

SENTENCE = "this is a test"  # the seminar's own


def run(context: Context, _seed: int) -> Measurements:
    """Extract the features, and the hidden state of the seminar's test sentence; another seed changes nothing."""
    import torch

    from repro.assets.loading import load_encoder

    with context.timed("test sentence"), torch.inference_mode():
        inputs = context.tokenizer(SENTENCE, return_tensors="pt")
        hidden = load_encoder(context.checkpoint.folder)(**inputs).last_hidden_state  # (1, T, H)
    with context.timed("tokenize"):
        _ = context.examples
    with context.timed("extract"):
        states = context.cls_states
    shapes = {"inputs": inputs["input_ids"], "hidden": hidden, "cls": hidden[:, 0]}
    ends = {"first row": hidden[0, 0], "last row": hidden[0, -1]}
    return Measurements(
        facts={
            "this_is_a_test": {name: list(tensor.shape) for name, tensor in shapes.items()},
            "corners": {name: [*row[:3].tolist(), *row[-3:].tolist()] for name, row in ends.items()},
            "shape": {split: list(of_split.shape) for split, of_split in states.items()},
        },
    )


SECTION = Section.of(globals(), heading="Features", what="[CLS] states of the frozen encoder")
