"""A first look at the corpus: its rows, columns and classes, the words of a tweet, and what a dummy gets right.

Seed, "A First Look at Hugging Face Datasets" to "How Long Are Our Tweets?", and the dummy of "Training a simple
classifier". Texts leave as SHA-256 only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from repro.assets.corpus import SPLITS, row_line
from repro.claims.cohorts import Cohort
from repro.display import BARS, Drawing, bars, panels
from repro.records.schema import LABELS, Measurements
from repro.sections.context import Context, Section


def run(context: Context, _seed: int) -> Measurements:
    """Count what the seminar says of the corpus; another seed changes nothing."""
    with context.timed("count"):
        texts, labels = context.corpus.texts("train")[:], context.corpus.labels("train")
        counts = {name: labels.count(i) for i, name in enumerate(LABELS)}
        words: dict[str, list[int]] = {name: [] for name in LABELS if counts[name]}
        for text, label in zip(texts, labels, strict=True):
            words[LABELS[label]].append(len(text.split()))
        boxes = {name: five_numbers(values) for name, values in words.items()}
        first = [row_line(text, label) for text, label in zip(texts[:5], labels[:5], strict=True)]
        features, stamps = context.corpus.splits["train"].features, context.corpus.stamp.splits
        dummies = dummy_accuracies(stamps["train"].labels, stamps["validation"].labels)
    return Measurements(
        facts={
            "rows": [stamps[split].rows for split in SPLITS],
            "columns": list(features),
            "features": {name: type(feature).__name__ for name, feature in features.items()},
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
            "dummy_accuracies": dict(dummies),
            "best_dummy": max(dummies, key=lambda strategy: dummies[strategy]),
        },
    )


def dummy_accuracies(train: Sequence[int], validation: Sequence[int]) -> dict[str, float]:
    """Return the accuracy that scikit-learn's DummyClassifier can be expected to have, by strategy.

    From the rows of each label in training and validation. `constant` answers the best label that is not the most
    frequent one; `prior` is left out, it answers as `most_frequent` does.
    """
    weights, shares = np.array(train) / sum(train), np.array(validation) / sum(validation)
    frequent = weights.argmax()
    return {
        "most_frequent": float(shares[frequent]),
        "stratified": float(weights @ shares),
        "uniform": float(shares[weights > 0].mean()),
        "constant": float(np.delete(shares, frequent).max()),
    }


def five_numbers(values: Sequence[int]) -> dict[str, JsonValue]:
    """Return what a box plot without outliers draws, as matplotlib counts it: whiskers within 1.5 boxes of the box."""
    from matplotlib.cbook import boxplot_stats

    stats = boxplot_stats(values)[0]
    return {name: float(stats[name]) for name in ("whislo", "q1", "med", "q3", "whishi")}


def figures(cohort: Cohort) -> Iterator[Drawing]:
    """Draw class frequencies and words per tweet, as the notebook does."""
    record = cohort.records[0]
    limit = record.settings.limit  # no other setting changes what is counted
    counts: Any = record.facts.get("class_counts")
    words: Any = record.facts.get("words")
    if not counts or not words:
        return
    of = f"training split of {record.corpus.name}" + (f", first {limit} rows" if limit else "")
    of += f", n = {sum(counts.values()):,}"
    shown = {label: counts[label] for label in sorted(counts, key=lambda label: counts[label])}
    figure, axes = bars(shown, [f"{n:,} ({n / sum(shown.values()):.1%})" for n in shown.values()], across=True)
    axes.margins(x=0.18)
    title = f"Frequency of classes, {of}"
    axes.set(xlabel="tweets", title=title)
    listed = ", ".join(f"{label} {n:,}" for label, n in reversed(shown.items()))
    yield Drawing(name="frequencies", figure=figure, title=title, description=f"Tweets of each class: {listed}.")
    figure, (axes,) = panels(5.9, 3.4)
    boxes = [{**words[label], "label": label} for label in sorted(words)]  # the notebook's order
    line, middle = {"color": BARS, "linewidth": 1.4}, {"color": "black", "linewidth": 2.2}
    axes.bxp(boxes, showfliers=False, boxprops=line, whiskerprops=line, capprops=line, medianprops=middle)
    for place, box in enumerate(boxes, 1):
        axes.annotate(
            f"{box['med']:g}", (place, box["med"]), (0, 4), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_ylim(bottom=0)
    title = f"Words per tweet, {of}"
    explained = "(boxes: quartiles and median; whiskers within 1.5 boxes; no outliers)"
    axes.set(ylabel="words per tweet", title=f"{title}\n{explained}")
    listed = ", ".join(f"{box['label']} {box['med']:g}" for box in boxes)
    yield Drawing(name="words", figure=figure, title=title, description=f"Median words of each class: {listed}.")


SECTION = Section.of(globals(), heading="Dataset", what="rows, labels, classes and words per tweet", pretrained=False)
