"""A corpus of as many rows as one likes: the memory that a process needs for it.

`python -m benchmarks.load peak FOLDER …` goes from the disk to packed batches; `python -m benchmarks.load score ROWS
FILE` writes a corpus, trains an epoch on it, scores the other splits, and notes peak and seconds in the file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.turns import forget_peak
from repro.assets.corpus import Corpus, load_corpus, read_rows, stamp_of
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
    from repro.training.data import pack_rows, tokenize

    context = open_context(RunSpec(recipe="tiny", corpus="rehearsal"))
    load_classifier(context.checkpoint.folder)  # what is imported and freed before is no row's
    forget_peak()
    corpus = _load(folder)
    tokens = tokenize(context.tokenizer, corpus.texts("train"), max_length=context.recipe.max_length)
    for rows in torch.arange(len(tokens)).split(context.recipe.batch_size):
        pack_rows(tokens, rows)
    return peak_mib()


def _load(folder: Path) -> Corpus:
    return load_corpus(str(folder), expected=CorpusStamp.model_validate_json((folder / STAMP).read_bytes()))


def score(folder: Path) -> dict[str, Any]:
    """Load the corpus, fine-tune `tiny` for an epoch and score; return peak in MiB, seconds, scores and provenance."""
    from repro.sections import section_named
    from repro.sections.runner import Run, open_context
    from repro.spec import RunSpec

    start, context = time.perf_counter(), open_context(RunSpec(recipe="tiny", corpus="rehearsal", epochs=1))
    record = Run.prepare(section_named("finetune"), replace(context, corpus=_load(folder)), 0).measure()
    return {
        "rows": record.corpus.splits["train"].rows,
        "bytes": sum(file.stat().st_size for file in folder.glob("*.jsonl")),
        "peak_mib": peak_mib(),
        "seconds": {"all": time.perf_counter() - start, **record.seconds},
        "weighted_f1": {name: scores.weighted_f1 for name, scores in record.scores.items()},
        "provenance": record.provenance.model_dump(mode="json", exclude_none=True),
    }


def score_repeated(rows: int, output: Path) -> None:
    """Write a corpus of that many rows, and let a process of its own load and score it."""
    with TemporaryDirectory() as folder:
        write_corpus("rehearsal", Path(folder), rows)
        command = [sys.executable, "-m", "benchmarks.load", "scored", folder]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    output.write_text(json.dumps(json.loads(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "score":
        score_repeated(int(arguments[0]), Path(arguments[1]))
    else:
        answer = [peak_of(Path(name)) for name in arguments] if what == "peak" else score(Path(arguments[0]))
        sys.stdout.write(json.dumps(answer))
