"""A corpus of as many rows as one likes, from the disk to packed batches: the memory of its process, stage by stage."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from benchmarks.turns import forget_peak
from repro.assets.corpus import load_corpus, read_rows, stamp_of
from repro.records.provenance import peak_mib
from repro.records.schema import LABELS, CorpusStamp

STAMP = "stamp.json"


def write_corpus(source: str, folder: Path, rows: int) -> None:
    """Write a folder whose training split has `rows` rows, those of a corpus again and again, with its stamp."""
    _, splits = read_rows(source)

    def repeated(split: str) -> Iterator[tuple[str, int]]:
        return islice(cycle(splits[split]), rows if split == "train" else len(splits[split]))

    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for text, label in repeated(split):
                file.write(json.dumps({"text": text, "label": label, "label_text": LABELS[label]}) + "\n")
    stamp = stamp_of("repeated", {split: repeated(split) for split in splits})
    (folder / STAMP).write_text(stamp.model_dump_json(), encoding="utf-8")


def peak_of(folder: Path) -> float:
    """Load, check, tokenize and pack the training split; return the peak in MiB, the libraries' included."""
    import torch

    from repro.assets.loading import load_classifier
    from repro.sections.runner import open_context
    from repro.spec import RunSpec
    from repro.training.data import tokenize
    from repro.training.packing import pack_rows

    context = open_context(RunSpec(recipe="tiny", corpus="rehearsal"))
    load_classifier(context.checkpoint.folder)  # what is imported and freed before is no row's
    forget_peak()
    corpus = load_corpus(str(folder), expected=CorpusStamp.model_validate_json((folder / STAMP).read_bytes()))
    tokens = tokenize(context.tokenizer, corpus.texts("train"), max_length=context.recipe.max_length)
    for rows in torch.arange(len(tokens)).split(context.recipe.batch_size):
        pack_rows(tokens, rows)
    return peak_mib()


if __name__ == "__main__":
    sys.stdout.write(json.dumps([peak_of(Path(folder)) for folder in sys.argv[1:]]))
