"""The look at the corpus: planted repetitions are found, boxes are numpy's quartiles, and no text leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from repro.assets.corpus import Corpus, stamp_of
from repro.sections.context import Context
from repro.sections.corpus_facts import five_numbers
from tests.running import measure

ROWS = {
    "train": [("once", 0), ("twice alike", 1), ("twice alike", 1), ("twice unlike", 2), ("a b c d e f", 3),
              ("twice unlike", 4), ("thrice", 0), ("thrice", 0), ("thrice", 5)],
    "validation": [("new", 0), ("once", 0), ("twice unlike", 1), ("thrice", 5)],
    "test": [("new too", 3), ("once", 1)],
}  # fmt: skip


def facts_of(context: Context, rows: dict[str, list[tuple[str, int]]]) -> dict[str, Any]:
    splits = DatasetDict(
        {split: Dataset.from_dict({"text": [t for t, _ in r], "label": [y for _, y in r]}) for split, r in rows.items()}
    )
    corpus = Corpus(splits=splits, stamp=stamp_of("rehearsal", rows))
    return measure("corpus-facts", replace(context, corpus=corpus), 0).facts


def test_repeated_texts_are_found_by_row_number_with_those_whose_labels_differ(tiny_context: Context) -> None:
    facts = facts_of(tiny_context, ROWS)
    assert facts["repeated_in_train"] == [[1, 2], [3, 5], [6, 7, 8]]
    assert facts["two_labels_in_train"] == [[3, 5], [6, 7, 8]]
    assert facts["also_in_train"] == {"validation": [1, 2, 3], "test": [1]}
    assert facts["other_label_in_train"] == {"validation": [2], "test": [1]}  # thrice is a 5 there, too


def test_the_longest_rows_come_first_and_the_earlier_row_among_equals(tiny_context: Context) -> None:
    longest = facts_of(tiny_context, ROWS)["longest_rows"]
    assert longest[:3] == [{"row": 4, "words": 6}, {"row": 1, "words": 2}, {"row": 2, "words": 2}]
    assert len(longest) == 9


def test_a_box_is_numpys_quartiles_with_whiskers_at_the_last_value_within_one_and_a_half_boxes() -> None:
    values = [1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 40]
    found = five_numbers(values)
    q1, median, q3 = (float(np.percentile(values, q)) for q in (25, 50, 75))
    inside = [v for v in values if q1 - 1.5 * (q3 - q1) <= v <= q3 + 1.5 * (q3 - q1)]
    assert found == {"whislo": min(inside), "q1": q1, "med": median, "q3": q3, "whishi": max(inside)}
    assert max(inside) == 8
