"""A corpus of as many rows as one likes, from the disk to scores, stage by stage in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.turns import forget_peak
from repro.assets.corpus import load_corpus, read_rows, stamp_of
from repro.records.schema import LABELS, CorpusStamp

STAMP = "stamp.json"


def write_corpus(source: str, folder: Path, rows: int) -> None:
    """Write a folder whose training split has `rows` rows, those of a corpus again and again, with its stamp."""
    _, splits = read_rows(source)

    def repeated(split: str) -> Iterator[tuple[str, int]]:
        wanted = rows if split == "train" else len(splits[split])
        return (splits[split][i % len(splits[split])] for i in range(wanted))

    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for text, label in repeated(split):
                file.write(json.dumps({"text": text, "label": label, "label_text": LABELS[label]}) + "\n")
    stamp = stamp_of("repeated", {split: repeated(split) for split in splits})
    (folder / STAMP).write_text(stamp.model_dump_json(), encoding="utf-8")


def run_through(folder: Path, stamp: CorpusStamp, *, score: bool = True) -> dict[str, dict[str, float]]:
    """Load, check, tokenize, pack and score the training split; return seconds and peak MiB so far of each stage."""
    import torch

    from repro.assets.loading import load_classifier
    from repro.records.provenance import peak_mib
    from repro.sections.runner import open_context
    from repro.spec import RunSpec
    from repro.training.data import Examples, tokenize
    from repro.training.metrics import score as score_rows
    from repro.training.packing import pack_rows
    from repro.training.predict import predict_rows

    context = open_context(RunSpec(recipe="tiny", corpus="rehearsal"))
    model = load_classifier(context.checkpoint.folder)
    stages: dict[str, dict[str, float]] = {"libraries": {"seconds": 0.0, "peak_mib": peak_mib()}}
    forget_peak()

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        stages[name] = {"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}

    with stage("load and check"):
        corpus = load_corpus(str(folder), expected=stamp)
    with stage("tokenize"):
        tokens = tokenize(context.tokenizer, corpus.texts("train"), max_length=context.recipe.max_length)
        examples = Examples(tokens=tokens, labels=torch.tensor(corpus.labels("train")))
    with stage("pack"):
        for rows in torch.arange(len(examples)).split(context.recipe.batch_size):
            pack_rows(tokens, rows)
    if score:
        with stage("score"):
            outputs = predict_rows(model, examples, batch_size=256, accelerator=context.accelerator)
            labels = corpus.labels("train")
            scores = score_rows(labels, outputs.predictions, classes=len(LABELS), loss=outputs.mean_loss)
        if scores.n != len(examples):
            raise ValueError(f"{scores.n} rows were scored of {len(examples)}")
    return stages


def main(folders: list[Path], *, score: bool) -> None:
    """Run through the corpora of some folders, one after the other, and write what each stage cost."""
    stamps = [CorpusStamp.model_validate_json((folder / STAMP).read_bytes()) for folder in folders]
    passes = [run_through(folder, stamp, score=score) for folder, stamp in zip(folders, stamps, strict=True)]
    sys.stdout.write(json.dumps(passes))


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[2:]], score=sys.argv[1] == "score")
