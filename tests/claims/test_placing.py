"""A catalogue of this suite's own runs: made from records, then a machine is placed among them or judged."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from benchmarks.reference_runs import describe, reference_rows
from repro.assets.corpus import load_corpus
from repro.assets.recipes import MINILM
from repro.claims.catalogue import Catalogue, load_catalogue, read_header
from repro.claims.claim import Outcome
from repro.claims.distribution import judge_placed
from repro.claims.headline import reference_line
from repro.claims.judge import Verdict, judge_all
from repro.errors import ResultsError
from repro.records.schema import CorpusStamp, Epoch, RunRecord, Scores
from repro.spec import RunSpec

MakeRecord = Callable[..., RunRecord]
SOURCE = "a" * 64
ROWS = 150


def figures(random: np.random.Generator, n: int) -> Any:
    """Nine figures of n runs as the rehearsal might give them: losses, then scores in whole rows."""
    losses = random.normal((1.6, 1.4, 0.5, 0.6), (0.02, 0.03, 0.02, 0.03), size=(n, 4))
    scores = np.round(random.normal((0.5, 0.49, 0.85, 0.84, 0.84), 0.02, size=(n, 5)) * ROWS) / ROWS
    return np.hstack([losses, scores])


@pytest.fixture(scope="module")
def rehearsal() -> CorpusStamp:
    return load_corpus("rehearsal").stamp


@pytest.fixture
def make_run(make_record: MakeRecord, rehearsal: CorpusStamp) -> Callable[..., RunRecord]:
    """Make a fine-tuning of six epochs on the rehearsal corpus that gave these nine figures."""

    def make(
        values: Sequence[float], seed: int = 0, *, settings: Any = MappingProxyType({}), **parts: Any
    ) -> RunRecord:
        first, first_loss, last, last_loss, accuracy, f1, last_accuracy, last_f1, test = map(float, values)
        recipe = {"name": "minilm", "weights_sha256": MINILM.sha256["model.safetensors"], "learning_rate": 1e-4}
        scores = {
            "epoch-1/validation": scored(accuracy, f1, first_loss),
            "epoch-6/validation": scored(last_accuracy, last_f1, last_loss),
            "test": scored(test, test, 0.5),
        }
        return make_record(
            seed=seed, recipe={**recipe, "epochs": 6}, corpus=rehearsal, settings={"batching": "packed", **settings},
            source_sha256=SOURCE, scores=scores, epochs=[epoch(e, first if e == 1 else last) for e in range(1, 7)],
            **parts,
        )  # fmt: skip

    return make


MakeRun = Callable[..., RunRecord]


def epoch(number: int, loss: float) -> Epoch:
    return Epoch(
        epoch=number, steps=10, train_loss=loss, first_learning_rate=1e-4, last_learning_rate=0, train_seconds=1,
        tweets_per_second=600,
    )  # fmt: skip


def scored(accuracy: float, f1: float, loss: float) -> Scores:
    right = round(accuracy * ROWS)
    return Scores(
        n=ROWS, accuracy=right / ROWS, accuracy_interval=(0, 1), weighted_f1=f1, weighted_f1_interval=(0, 1),
        macro_f1=f1, class_f1=[f1] * 6, confusion=[[right, ROWS - right], [0, 0]], loss=loss,
    )  # fmt: skip


@pytest.fixture
def catalogue(make_run: MakeRun, tmp_path: Path) -> Catalogue:
    """The rehearsal catalogue with a table of 50 runs, made from records as the suite's own is."""
    read, folder = read_header("rehearsal")
    values = figures(np.random.default_rng(0), 50)
    records = [make_run(row, 1000 + i, facts={"hardest_rows": [i, 1, 2]}) for i, row in enumerate(values)]
    rows = reference_rows(read, records)
    copy = tmp_path / "rehearsal"
    shutil.copytree(folder, copy)
    (copy / "references").mkdir(exist_ok=True)
    with (copy / "references" / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return load_catalogue(str(copy))


def judged(catalogue: Catalogue, *records: RunRecord) -> list[Verdict]:
    return judge_all(catalogue, records, ["finetune"])


def test_a_sound_run_matches_the_reference_in_all_nine_figures(catalogue: Catalogue, make_run: MakeRun) -> None:
    verdicts = judged(catalogue, make_run(figures(np.random.default_rng(1), 1)[0]))
    assert {v.outcome for v in verdicts} == {Outcome.MATCHES}
    assert verdicts[0].why.startswith("1 run placed: inside the prediction interval in 4 of 4 figures")
    assert reference_line(catalogue, verdicts) == (
        "this machine matches the suite's reference in 9 of 9 figures (rehearsal, n = 50)"
    )


def test_a_run_that_learned_too_little_is_outside_and_says_in_what(catalogue: Catalogue, make_run: MakeRun) -> None:
    values = figures(np.random.default_rng(1), 1)[0]
    values[[2, 7]] += (0.4, -0.3)  # the last epoch's training loss and F1
    verdicts = judged(catalogue, make_run(values))
    assert [v.label for v in verdicts] == ["matches the reference", "deviates", "matches the reference"]
    assert "weighted_f1 0." in verdicts[1].why and "train_loss 0.9" in verdicts[1].why
    assert "does not match the suite's reference in 7 of 9 figures" in reference_line(catalogue, verdicts)


def test_three_runs_are_judged_by_their_mean(catalogue: Catalogue, make_run: MakeRun) -> None:
    values = figures(np.random.default_rng(2), 3)
    verdicts = judged(catalogue, *(make_run(row, i) for i, row in enumerate(values)))
    assert verdicts[0].why.startswith("3 runs judged: inside")
    high = values + np.array([0.06, *[0] * 8])  # three standard deviations: one run may lie there, no mean of three
    assert judged(catalogue, *(make_run(row, i) for i, row in enumerate(high)))[0].label == "deviates (high)"


def test_another_recipe_is_not_compared_and_the_line_says_so(catalogue: Catalogue, make_record: MakeRecord) -> None:
    verdicts = judged(catalogue, make_record("linear"))
    assert {v.outcome for v in verdicts} == {Outcome.NOT_RUN}
    assert reference_line(catalogue, verdicts).startswith("this machine was not compared with the suite's reference")


def test_a_run_is_compared_with_runs_of_its_own_precision_only(catalogue: Catalogue, make_run: MakeRun) -> None:
    verdicts = judged(catalogue, make_run(figures(np.random.default_rng(1), 1)[0], settings={"precision": "bf16"}))
    assert {v.outcome for v in verdicts} == {Outcome.NOT_COMPARABLE}
    assert verdicts[0].why == "the reference holds 0 bf16 runs of this suite, at least 8 are needed"


@pytest.mark.parametrize("n", [1, 3, 5])
def test_nine_figures_together_raise_at_most_1_percent_of_false_alarms(n: int, catalogue: Catalogue) -> None:
    random, alarms, draws = np.random.default_rng(n), 0, 1000
    claims, names = catalogue.claim, [name for claim in catalogue.claim for name in claim.figures.values()]
    means = np.array([catalogue.figure(name).mean for name in names])
    spreads = np.array([catalogue.figure(name).sd for name in names])
    for runs in random.normal(means, spreads, size=(draws, n, len(names))):
        columns = dict(zip(names, runs.T, strict=True))
        outcomes = set()
        for claim in claims:
            measured: Any = [{part: columns[name][i] for part, name in claim.figures.items()} for i in range(n)]
            values = [row[""] for row in measured] if "" in claim.figures else measured
            outcomes.add(judge_placed(claim, catalogue, RunSpec(), values).outcome)
        alarms += Outcome.DEVIATES in outcomes
    print(f"n = {n}: {alarms / draws:.3f} of sound machines fail")  # noqa: T201 (shown with -s)
    assert alarms / draws <= 0.015  # 1 %, and two standard errors of a rate over 1,000 draws


def test_a_figure_that_never_varied_still_leaves_one_row_of_room(catalogue: Catalogue) -> None:
    claim = next(c for c in catalogue.claim if c.id == "rehearsal.test")
    figure = catalogue.figure("runs:test_f1")
    half = max(claim.tolerance_of(""), figure.half_width(1, 1 - 0.01 / 9))
    assert judge_placed(claim, catalogue, RunSpec(), [figure.mean + half - 1e-9]).outcome is Outcome.MATCHES
    assert judge_placed(claim, catalogue, RunSpec(), [figure.mean + half + 1e-9]).outcome is Outcome.DEVIATES


def test_a_table_is_made_of_runs_of_one_source_only(make_run: MakeRun) -> None:
    read, _ = read_header("rehearsal")
    values = figures(np.random.default_rng(0), 3)
    runs = [make_run(row, i, facts={"hardest_rows": [i, 1, 2]}) for i, row in enumerate(values)]
    rows = reference_rows(read, runs)
    assert [row["seed"] for row in rows] == ["0", "1", "2"]
    assert float(rows[0]["train_loss_first"]) == pytest.approx(values[0][0], abs=1e-6)
    said = "\n".join(describe(read, rows))
    assert "train_loss_first: 1." in said and "of 3 pairs: 2: 3" in said
    other = runs[1].model_copy(update={"source_sha256": "b" * 64})
    with pytest.raises(ResultsError, match="expected runs of one source"):
        reference_rows(read, [runs[0], other])
