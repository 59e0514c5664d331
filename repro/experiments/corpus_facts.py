"""A first look at the corpus: rows, labels, classes, words a tweet (seed, "A First Look at Hugging Face Datasets")."""

from __future__ import annotations

import hashlib
from statistics import median

from repro.assets.corpus import SPLITS, row_line
from repro.experiments.context import Context, timed
from repro.records.record import LABELS, Measurements


def run(context: Context, seed: int) -> Measurements:
    """Count what the seminar says of the corpus; `seed` changes nothing. Row texts leave as SHA-256 only."""
    del seed
    seconds: dict[str, float] = {}
    with timed(seconds, "count"):
        texts, labels = context.corpus.texts("train"), context.corpus.labels("train")
        counts = {name: labels.count(i) for i, name in enumerate(LABELS)}
        words = {name: [len(t.split()) for t, y in zip(texts, labels, strict=True) if y == i]
                 for i, name in enumerate(LABELS)}  # fmt: skip
        first = [row_line(text, label) for text, label in zip(texts[:5], labels[:5], strict=True)]
    return Measurements(
        facts={
            "rows": [context.corpus.stamp.splits[split].rows for split in SPLITS],
            "label_names": list(LABELS),
            "first_rows": [hashlib.sha256(line.encode()).hexdigest() for line in first],
            "class_counts": dict(counts),
            "times_rarer": {
                f"{rare} than {common}": counts[common] / counts[rare]
                for rare in ("love", "surprise")
                for common in ("joy", "sadness")
                if counts[rare]
            },
            "median_words": {name: float(median(found)) for name, found in words.items() if found},
        },
        seconds=seconds,
    )
