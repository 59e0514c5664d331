"""Quality by pairs: against scikit-learn and McNemar, and by simulation of runs whose truth is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from repro.errors import RecordError
from repro.records.record import RowResults
from repro.regression import paired
from repro.regression.paired import Difference, differences, pooled_sd

SHARES = (0.29, 0.35, 0.08, 0.135, 0.115, 0.03)  # of the six labels, about those of the corpus
ROWS = 2000


def rows(labels: Any, predictions: Any) -> RowResults:
    return RowResults(labels=np.asarray(labels).tolist(), predictions=np.asarray(predictions).tolist())


class World:
    """Rows of which 89 % are always right, 4 % always wrong and 7 % right with every second seed: SD 0.0030."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.labels = self.random.choice(6, size=ROWS, p=SHARES)
        self.right = self.random.choice([1.0, 0.0, 0.5], size=ROWS, p=[0.89, 0.04, 0.07])

    def seeds(self, count: int, *, dropped: int = 0) -> list[RowResults]:
        """Runs of `count` seeds, of code that gets `dropped` rows wrong which were always right."""
        right = self.right.copy()
        right[self.random.choice(np.flatnonzero(right == 1), dropped, replace=False)] = 0
        runs = []
        for _ in range(count):
            hit = self.random.random(ROWS) < right
            wrong = (self.labels + 1 + self.random.integers(0, 5, ROWS)) % 6
            runs.append(rows(self.labels, np.where(hit, self.labels, wrong)))
        return runs


def judge(baseline: Sequence[RowResults], candidate: Sequence[RowResults], *, seeded: bool = True) -> list[Difference]:
    return differences(baseline, candidate, seeded=seeded, where="here")


def test_both_measures_are_those_of_scikit_learn_averaged_over_the_seeds() -> None:
    world = World(0)
    before, after = world.seeds(2), world.seeds(3, dropped=50)
    one_class = rows(world.labels, np.zeros(ROWS))  # five classes are never predicted: their F1 counts as 0
    accuracy, f1 = judge(before, [*after, one_class])
    for side, found in ((before, (accuracy.baseline, f1.baseline)), ([*after, one_class], None)):
        wanted = (
            np.mean([accuracy_score(r.labels, r.predictions) for r in side]),
            np.mean([f1_score(r.labels, r.predictions, average="weighted", zero_division=0) for r in side]),
        )
        assert found is None or found == pytest.approx(wanted, abs=1e-12)
    assert (accuracy.candidate, f1.candidate) == pytest.approx(wanted, abs=1e-12)
    assert f1.seeds == (2, 4)


def test_the_error_over_rows_is_mcnemars_and_not_that_of_two_unpaired_samples() -> None:
    labels = np.zeros(ROWS, dtype=int)
    before, after = labels.copy(), labels.copy()
    before[:130], after[30:180] = 1, 1  # 100 rows are wrong with both, 30 only before, 50 only after
    accuracy = judge([rows(labels, before)], [rows(labels, after)], seeded=False)[0]
    assert accuracy.value == pytest.approx(-20 / ROWS)
    mcnemar = sqrt(30 + 50 - 20**2 / ROWS) / ROWS
    assert accuracy.error == pytest.approx(mcnemar, rel=0.1)
    unpaired = sqrt((0.065 * 0.935 + 0.075 * 0.925) / ROWS)
    assert accuracy.error < 0.7 * unpaired


def test_seeds_count_even_where_one_a_side_shows_no_spread() -> None:
    run = World(0).seeds(1)
    accuracy, f1 = judge(run, run)
    assert accuracy.error == pytest.approx(0.0031 * sqrt(2))
    assert f1.error == pytest.approx(0.0030 * sqrt(2))
    assert [found.error for found in judge(run, run, seeded=False)] == [0, 0]


def test_seeds_that_spread_more_than_is_known_widen_the_interval() -> None:
    labels = np.zeros(ROWS, dtype=int)
    runs = [rows(labels, np.arange(ROWS) < wrong) for wrong in (100, 140, 180)]  # SD 40 rows: 0.02
    accuracy = judge(runs, runs)[0]
    assert accuracy.error == pytest.approx(0.02 * sqrt(2 / 3))


def test_the_pooled_spread_is_within_the_sides() -> None:
    assert pooled_sd([1.0, 3.0], [10.0, 12.0, 14.0]) == pytest.approx(sqrt((2 + 8) / 3))
    assert pooled_sd([1.0], [5.0]) == 0


def outcomes(runs: int, baseline: int, candidate: int, dropped: int) -> dict[str, float]:
    """Shares of what a gate on two splits, each judged by both measures, says of simulated runs."""
    found = {"accused": 0.0, "undecided": 0.0, "passed": 0.0}
    for i in range(runs):
        worlds = World(2 * i), World(2 * i + 1)
        all_hold = {d.holds for w in worlds for d in judge(w.seeds(baseline), w.seeds(candidate, dropped=dropped))}
        found["accused" if False in all_hold else "undecided" if None in all_hold else "passed"] += 1
    return {outcome: count / runs for outcome, count in found.items()}


@pytest.mark.parametrize(("baseline", "candidate"), [(3, 3), (3, 1), (1, 1)])
def test_noise_alone_is_accused_in_at_most_5_of_100(
    baseline: int, candidate: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paired, "DRAWS", 200)
    found = outcomes(150, baseline, candidate, dropped=0)
    with capsys.disabled():
        sys.stdout.write(f"\nnoise alone, {baseline} against {candidate} seeds: {found}\n")
    assert found["accused"] <= 0.05


def test_a_drop_of_one_point_is_caught_with_three_seeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paired, "DRAWS", 200)
    found = outcomes(100, 3, 3, dropped=ROWS // 100)
    with capsys.disabled():
        sys.stdout.write(f"\na drop of one point, 3 against 3 seeds: {found}\n")
    assert found["accused"] >= 0.95
    assert found["passed"] <= 0.025


def test_what_one_seed_cannot_tell_is_undecided_and_says_how_many_could() -> None:
    found = [judge(World(i).seeds(1), World(i).seeds(1, dropped=10))[1] for i in range(20)]
    open_ones = [difference for difference in found if difference.holds is None]
    assert open_ones
    assert all(2 <= difference.seeds_to_decide <= 8 for difference in open_ones)


def test_an_improvement_holds() -> None:
    world = World(0)
    assert all(found.holds for found in judge(world.seeds(3, dropped=40), world.seeds(3)))


def test_rows_that_are_not_the_same_are_refused() -> None:
    one = rows([0, 1, 2], [0, 1, 2])
    for other in (rows([0, 1, 1], [0, 1, 2]), rows([0, 1], [0, 1]), rows([0, 1, 2], [0, 1]), rows([], [])):
        with pytest.raises(RecordError, match="the rows of here are not the same"):
            judge([one], [other])
