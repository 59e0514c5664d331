"""Run by a test under torchrun: fine-tunes tiny without dropout and writes what the main process holds."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import AutoModelForSequenceClassification, set_seed

from repro.assets.corpus import load_corpus
from repro.assets.recipes import TINY
from repro.training.batches import Examples
from repro.training.loop import fit, make_accelerator
from repro.training.tokens import tokenize


def train(folder: str, batching: str) -> dict[str, object]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    corpus = load_corpus("rehearsal", limit=75)  # 75 rows in batches of 16: four whole ones and one of 11
    examples = {
        split: Examples(
            tokens=tokenize(tokenizer, corpus.texts(split), max_length=512), labels=torch.tensor(corpus.labels(split))
        )
        for split in ("train", "validation")
    }
    set_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=6)
    results = list(
        fit(
            model,
            recipe=replace(TINY, batch_size=16),
            seed=3,
            accelerator=make_accelerator(device="cpu", precision="fp32"),
            batching=batching,
            train=examples["train"],
            validation=examples["validation"],
        )
    )
    return {
        "losses": [result.epoch.train_loss for result in results],
        "logits": results[-1].validation.logits.tolist(),
        "processes": PartialState().num_processes,
    }


if __name__ == "__main__":
    checkpoint, way, output = sys.argv[1:]
    measured = train(checkpoint, way)
    if PartialState().is_main_process:
        Path(output).write_text(json.dumps(measured))
    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()
