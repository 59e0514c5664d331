"""A look at the corpus from the records of `corpus-facts`: its two figures, and what its repeated tweets cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from repro.display.figure import BARS, Drawing, corpus_caption_of, new_figure, way_of
from repro.display.table import Table
from repro.records.record import LABELS, RowResults, RunRecord


def corpus_figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw class frequencies and words a tweet, as the notebook does."""
    limited = f"-first-{record.settings.limit}" if record.settings.limit else ""
    base, of = f"{record.corpus.name}{limited}", corpus_caption_of(record)
    counts: Any = record.facts.get("class_counts")
    if counts:
        yield _frequencies(counts, f"frequencies-{base}", of)
    words: Any = record.facts.get("words")
    if words:
        yield _words(words, sum(counts.values()), f"words-{base}", of)


def _frequencies(counts: dict[str, int], name: str, of: str) -> Drawing:
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    ascending = sorted(counts, key=lambda label: counts[label])
    bars = axes.barh(ascending, [counts[label] for label in ascending], color=BARS)
    total = sum(counts.values())
    axes.bar_label(bars, [f"{counts[label]:,} ({counts[label] / total:.1%})" for label in ascending], padding=3)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("tweets")
    title = f"Frequency of classes, {of}, n = {total:,}"
    axes.set_title(title, fontsize=10)
    said = ", ".join(f"{label} {counts[label]:,}" for label in reversed(ascending))
    return Drawing(name=name, figure=figure, title=title, description=f"Tweets of each class: {said}.")


def _words(words: dict[str, dict[str, float]], total: int, name: str, of: str) -> Drawing:
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
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
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("words a tweet")
    title = f"Words a tweet, {of}, n = {total:,}"
    axes.set_title(title + "\n(boxes: quartiles and median; whiskers within 1.5 boxes; no outliers)", fontsize=10)
    said = ", ".join(f"{label} {words[label]['med']:g}" for label in labels)
    return Drawing(name=name, figure=figure, title=title, description=f"Median words of each class: {said}.")


def overlap_table(records: Sequence[RunRecord], runs: Sequence[RunRecord]) -> Table:
    """One row a run and split: its scores on all rows, and without those whose text also stands in training.

    The row numbers are those that a record of `corpus-facts` among `records` found in the same corpus.
    """
    found = {
        r.corpus.model_dump_json(): r.facts.get("also_in_train") for r in records if r.experiment == "corpus-facts"
    }
    rows = []
    for run in runs:
        repeated: Any = found.get(run.corpus.model_dump_json()) or {}
        for name, results in run.rows.items():
            dropped = set(repeated.get(name.rpartition("/")[2], []))
            if not dropped or name.startswith("dummy"):
                continue
            kept = [row for row in range(len(results.labels)) if row not in dropped]
            whole, without = _scores(results, range(len(results.labels))), _scores(results, kept)
            wrong = sum(results.labels[row] != results.predictions[row] for row in dropped)
            rows.append(
                (way_of(run), run.experiment, str(run.settings.seed), name, str(len(results.labels)), str(len(dropped)),
                 str(wrong), *(f"{value:.4f}" for pair in zip(whole, without, strict=True) for value in pair),
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
    true, said = labels == classes, predictions == classes  # (classes, rows)
    f1 = 2 * (true & said).sum(axis=1) / np.maximum(true.sum(axis=1) + said.sum(axis=1), 1)
    return float((labels == predictions).mean()), float((f1 * true.sum(axis=1)).sum() / len(labels))
