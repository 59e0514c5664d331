"""A first look at the corpus: classes, words a tweet, longest tweets, and tweets that stand in it more than once.

Seed, "A First Look at Hugging Face Datasets" to "How Long Are Our Tweets?"; the book and the seminar do not look for
repeated tweets. Texts leave as row numbers, lengths and SHA-256 only.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from pydantic import JsonValue

from repro.assets.corpus import SPLITS, row_line
from repro.records.record import LABELS, Measurements
from repro.sections.context import Context, timed

LONGEST = 10


def run(context: Context, seed: int) -> Measurements:
    """Count what the seminar says of the corpus; `seed` changes nothing."""
    del seed
    seconds: dict[str, float] = {}
    with timed(seconds, "count"):
        texts = {split: context.corpus.texts(split)[:] for split in SPLITS}
        labels = {split: context.corpus.labels(split) for split in SPLITS}
        counts = {name: labels["train"].count(i) for i, name in enumerate(LABELS)}
        lengths = [len(text.split()) for text in texts["train"]]
        words = {name: [n for n, y in zip(lengths, labels["train"], strict=True) if y == i]
                 for i, name in enumerate(LABELS)}  # fmt: skip
        first = [row_line(text, label) for text, label in zip(texts["train"][:5], labels["train"][:5], strict=True)]
        repeated = repeated_rows(texts, labels)
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
            "words": {name: five_numbers(found) for name, found in words.items() if found},
            "longest_rows": longest_rows(lengths),
            **repeated,
        },
        seconds=seconds,
    )


def five_numbers(values: Sequence[int]) -> dict[str, JsonValue]:
    """Return what a box plot without outliers draws, as matplotlib counts it: whiskers within 1.5 boxes of the box."""
    from matplotlib.cbook import boxplot_stats

    found = boxplot_stats(values)[0]
    return {name: float(found[name]) for name in ("whislo", "q1", "med", "q3", "whishi")}


def longest_rows(lengths: Sequence[int]) -> list[JsonValue]:
    """Return the rows with the most words, most first, the earlier row first among equals."""
    rows = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))[:LONGEST]
    return [{"row": row, "words": lengths[row]} for row in rows]


def repeated_rows(texts: Mapping[str, Sequence[str]], labels: dict[str, list[int]]) -> dict[str, JsonValue]:
    """Find texts that stand in the corpus more than once, as row numbers.

    `repeated_in_train` are training rows that share their text, a list a text; `two_labels_in_train` those of them
    whose labels differ; `also_in_train` the rows of the other splits whose text is a training row's, and
    `other_label_in_train` those of them whose label no such training row has.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts["train"]):
        places[text].append(row)
    shared = [rows for rows in places.values() if len(rows) > 1]
    also: dict[str, JsonValue] = {}
    conflicting: dict[str, JsonValue] = {}
    for split in SPLITS[1:]:
        rows = [row for row, text in enumerate(texts[split]) if text in places]
        also[split] = list(rows)
        conflicting[split] = [
            row for row in rows if labels[split][row] not in {labels["train"][i] for i in places[texts[split][row]]}
        ]
    return {
        "repeated_in_train": [list(rows) for rows in shared],
        "two_labels_in_train": [list(rows) for rows in shared if len({labels["train"][row] for row in rows}) > 1],
        "also_in_train": also,
        "other_label_in_train": conflicting,
    }
