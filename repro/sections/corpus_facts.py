"""A first look at the corpus: classes, words a tweet, longest tweets, and tweets that stand in it more than once.

Seed, "A First Look at Hugging Face Datasets" to "How Long Are Our Tweets?"; the book and the seminar do not look for
repeated tweets. Texts leave as row numbers, lengths and SHA-256 only.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from repro.assets.corpus import SPLITS, row_line
from repro.display.figure import BARS, Drawing, plain_axes
from repro.display.table import Table
from repro.records.schema import LABELS, Measurements, RowResults, RunRecord
from repro.records.store import newest_runs
from repro.sections.context import Context
from repro.sections.section import Section

LONGEST = 10
CLASSIFIERS = ("linear", "finetune")  # the sections whose scores are counted again without repeated tweets


def run(context: Context, _seed: int) -> Measurements:
    """Count what the seminar says of the corpus; another seed changes nothing."""
    with context.timed("count"):
        texts = {split: context.corpus.texts(split)[:] for split in SPLITS}
        labels = {split: context.corpus.labels(split) for split in SPLITS}
        counts = {name: labels["train"].count(i) for i, name in enumerate(LABELS)}
        lengths = [len(text.split()) for text in texts["train"]]
        words: dict[str, list[int]] = defaultdict(list)
        for number, label in zip(lengths, labels["train"], strict=True):
            words[LABELS[label]].append(number)
        boxes = {name: five_numbers(words[name]) for name in LABELS if words[name]}
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
            "median_words": {name: box["med"] for name, box in boxes.items()},
            "words": dict(boxes),
            "longest_rows": longest_rows(lengths),
            **repeated,
        },
    )


def five_numbers(values: Sequence[int]) -> dict[str, JsonValue]:
    """Return what a box plot without outliers draws, as matplotlib counts it: whiskers within 1.5 boxes of the box."""
    from matplotlib.cbook import boxplot_stats

    stats = boxplot_stats(values)[0]
    return {name: float(stats[name]) for name in ("whislo", "q1", "med", "q3", "whishi")}


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

    def train_labels(text: str) -> set[int]:
        return {labels["train"][row] for row in places[text]}

    shared = {text: rows for text, rows in places.items() if len(rows) > 1}
    also = {split: [row for row, text in enumerate(texts[split]) if text in places] for split in SPLITS[1:]}
    return {
        "repeated_in_train": [list(rows) for rows in shared.values()],
        "two_labels_in_train": [list(rows) for text, rows in shared.items() if len(train_labels(text)) > 1],
        "also_in_train": {split: list(rows) for split, rows in also.items()},
        "other_label_in_train": {
            split: [row for row in rows if labels[split][row] not in train_labels(texts[split][row])]
            for split, rows in also.items()
        },
    }


def figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw class frequencies and words a tweet, as the notebook does."""
    limit = record.settings.limit  # no other setting changes what is counted
    base = record.corpus.name + (f"-first-{limit}" if limit else "")
    of = f"training split of {record.corpus.name}" + (f", first {limit} rows" if limit else "")
    counts: Any = record.facts.get("class_counts")
    if counts:
        yield _frequencies(counts, f"frequencies-{base}", of)
    words: Any = record.facts.get("words")
    if words:
        yield _words(words, sum(counts.values()), f"words-{base}", of)


def _frequencies(counts: dict[str, int], name: str, of: str) -> Drawing:
    figure, axes = plain_axes(6.4, 3.6)
    ascending = sorted(counts, key=lambda label: counts[label])
    bars = axes.barh(ascending, [counts[label] for label in ascending], color=BARS)
    total = sum(counts.values())
    axes.bar_label(bars, [f"{counts[label]:,} ({counts[label] / total:.1%})" for label in ascending], padding=3)
    axes.margins(x=0.18)
    title = f"Frequency of classes, {of}, n = {total:,}"
    axes.set_xlabel("tweets")
    axes.set_title(title, fontsize=10)
    listed = ", ".join(f"{label} {counts[label]:,}" for label in reversed(ascending))
    return Drawing(name=name, figure=figure, title=title, description=f"Tweets of each class: {listed}.")


def _words(words: dict[str, dict[str, float]], total: int, name: str, of: str) -> Drawing:
    figure, axes = plain_axes(6.4, 4.2)
    labels = sorted(words)  # the notebook's order
    line = {"color": BARS, "linewidth": 1.4}
    axes.bxp(
        [{**words[label], "label": label} for label in labels], showfliers=False,
        boxprops=line, whiskerprops=line, capprops=line, medianprops={"color": "black", "linewidth": 2.2},
    )  # fmt: skip
    for place, label in enumerate(labels, 1):
        axes.annotate(f"{words[label]['med']:g}", (place, words[label]["med"]), (0, 4), textcoords="offset points",
                      ha="center", fontsize=9)  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_ylabel("words a tweet")
    title = f"Words a tweet, {of}, n = {total:,}"
    axes.set_title(title + "\n(boxes: quartiles and median; whiskers within 1.5 boxes; no outliers)", fontsize=10)
    listed = ", ".join(f"{label} {words[label]['med']:g}" for label in labels)
    return Drawing(name=name, figure=figure, title=title, description=f"Median words of each class: {listed}.")


def tables(records: Sequence[RunRecord]) -> dict[str, Table]:
    """Return what the repeated tweets cost each classifier."""
    classified = [run for section in CLASSIFIERS for run in newest_runs(records, section)]
    return {"repeated": overlap_table(records, classified)}


def overlap_table(records: Sequence[RunRecord], runs: Sequence[RunRecord]) -> Table:
    """One row a run and split: its scores on all rows, and without those whose text is also in the training split.

    The row numbers are those that a record of this section among `records` has for the same corpus.
    """
    also_in_train = {r.corpus.model_dump_json(): r.facts.get("also_in_train")
                     for r in records if r.experiment == SECTION.name}  # fmt: skip
    rows = []
    for run in runs:
        repeated: Any = also_in_train.get(run.corpus.model_dump_json()) or {}
        for name, results in run.rows.items():
            dropped = set(repeated.get(name.rpartition("/")[2], []))
            if not dropped or name.startswith("dummy"):
                continue
            left = [row for row in range(len(results.labels)) if row not in dropped]
            whole, without = _scores(results, range(len(results.labels))), _scores(results, left)
            wrong = sum(results.labels[row] != results.predictions[row] for row in dropped)
            rows.append(
                (run.spec.slug, run.experiment, str(run.settings.seed), name, str(len(results.labels)),
                 str(len(dropped)), str(wrong),
                 *(f"{value:.4f}" for pair in zip(whole, without, strict=True) for value in pair),
                 f"{without[1] - whole[1]:+.4f}")
            )  # fmt: skip
    return Table(
        ("run", "experiment", "seed", "scored", "n", "also in train", "of these wrong", "accuracy", "accuracy without",
         "weighted F1", "weighted F1 without", "difference"),
        tuple(rows),
    )  # fmt: skip


def _scores(results: RowResults, rows: Sequence[int]) -> tuple[float, float]:
    """Return accuracy and weighted F1 over these rows, without scikit-learn."""
    labels, predictions = np.array(results.labels)[rows], np.array(results.predictions)[rows]
    classes = np.arange(len(LABELS))[:, None]
    true, predicted = labels == classes, predictions == classes  # (classes, rows)
    f1 = 2 * (true & predicted).sum(axis=1) / np.maximum(true.sum(axis=1) + predicted.sum(axis=1), 1)
    return float((labels == predictions).mean()), float((f1 * true.sum(axis=1)).sum() / len(labels))


SECTION = Section(
    name="corpus-facts",
    heading="Dataset",
    what="rows, labels, classes and words a tweet",
    run=run,
    figures=figures,
    tables=tables,
)
