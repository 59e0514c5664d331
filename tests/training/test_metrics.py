"""Scores against ways to compute them that are not the suite's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from repro.training.metrics import confusion_rates, most_often_taken_for, score

RNG = np.random.default_rng(3)
LABELS = RNG.choice(6, size=400, p=[0.29, 0.33, 0.09, 0.14, 0.11, 0.04])
PREDICTIONS = np.where(RNG.random(400) < 0.8, LABELS, RNG.integers(0, 6, 400))


def test_the_bootstrap_interval_is_that_of_resampled_rows() -> None:
    found = score(LABELS.tolist(), PREDICTIONS.tolist(), classes=6)

    def weighted(y: np.ndarray, p: np.ndarray) -> float:
        return float(f1_score(y, p, average="weighted", zero_division=0))

    rows = bootstrap(
        (LABELS, PREDICTIONS), weighted, paired=True, vectorized=False, n_resamples=1000, method="percentile", rng=1
    ).confidence_interval
    assert found.weighted_f1 == weighted(LABELS, PREDICTIONS)
    assert found.weighted_f1_interval == pytest.approx((rows.low, rows.high), abs=0.006)


def test_wilson_on_a_worked_example() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263 gives 0.2553 to 0.3662
    found = score([1] * 263, [1] * 81 + [0] * 182, classes=2)
    assert found.accuracy_interval == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_perfect_and_a_collapsed_classifier() -> None:
    perfect = score([0, 1, 2], [0, 1, 2], classes=6)
    assert (perfect.accuracy, perfect.weighted_f1, perfect.weighted_f1_interval[1]) == (1.0, 1.0, 1.0)
    assert perfect.macro_f1 == 0.5  # three of six classes have no row and score 0
    collapsed = score([0, 1, 1], [1, 1, 1], classes=2, loss=0.5)
    assert collapsed.confusion == [[0, 1], [0, 2]]
    assert collapsed.class_f1 == [0.0, 0.8]
    assert collapsed.loss == 0.5


def test_rates_and_the_class_taken_for() -> None:
    confusion = [[8, 1, 1], [0, 0, 0], [5, 0, 0]]
    assert confusion_rates(confusion) == [[0.8, 0.1, 0.1], [0, 0, 0], [1, 0, 0]]
    assert most_often_taken_for(confusion, ("a", "b", "c")) == {"a": "b", "b": "nothing", "c": "a"}
