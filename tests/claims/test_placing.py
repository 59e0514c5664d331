"""A catalogue of this suite's own runs: made from records, then a machine is placed among them or judged."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.reference_runs import describe, reference_rows
from repro.assets.corpus import load_corpus
from repro.assets.recipes import MINILM
from repro.claims.catalogue import Catalogue, load_catalogue, read_header
from repro.claims.claim import Outcome
from repro.claims.distribution import judge_placed
from repro.claims.judge import Verdict, judge_all, reference_line
from repro.errors import ResultsError
from repro.records.schema import CorpusStamp, RunRecord
from repro.spec import RunSpec
from tests.claims.builders import scored
from tests.conftest import MakeRecord, epoch

MakeRun = Callable[..., RunRecord]
ROWS = 150
RECIPE = {
    "name": "minilm", "weights_sha256": MINILM.sha256["model.safetensors"], "learning_rate": 1e-4, "epochs": 6,
}  # fmt: skip


def figures(seed: int, n: int = 1) -> Any:
    """Nine figures of n runs as the rehearsal might give them: losses, then scores in whole rows."""
    random = np.random.default_rng(seed)
    losses = random.normal((1.6, 1.4, 0.5, 0.6), (0.02, 0.03, 0.02, 0.03), size=(n, 4))
    scores = np.round(random.normal((0.5, 0.49, 0.85, 0.84, 0.84), 0.02, size=(n, 5)) * ROWS) / ROWS
    return np.hstack([losses, scores])


@pytest.fixture(scope="module")
def rehearsal() -> CorpusStamp:
    return load_corpus("rehearsal").stamp


@pytest.fixture
def make_run(make_record: MakeRecord, rehearsal: CorpusStamp) -> MakeRun:
    """Make a fine-tuning of six epochs on the rehearsal corpus that gave these nine figures."""

    def make(values: Sequence[float], seed: int = 0, *, precision: str = "fp32", **parts: Any) -> RunRecord:
        first, first_loss, last, last_loss, accuracy, f1, last_accuracy, last_f1, test = map(float, values)
        scores = {
            "epoch-1/validation": scored(f1, accuracy, n=ROWS, loss=first_loss),
            "epoch-6/validation": scored(last_f1, last_accuracy, n=ROWS, loss=last_loss),
            "test": scored(test, n=ROWS),
        }
        epochs = [epoch(number, first if number == 1 else last) for number in range(1, 7)]
        settings = {"batching": "packed", "precision": precision}
        fields = {"source_sha256": "a" * 64, "scores": scores, "epochs": epochs, **parts}
        return make_record(seed=seed, recipe=RECIPE, corpus=rehearsal, settings=settings, **fields)

    return make


@pytest.fixture
def catalogue(make_run: MakeRun, tmp_path: Path) -> Catalogue:
    """The rehearsal catalogue with a table of 50 runs, made from records as the suite's own is."""
    read = read_header("rehearsal")
    rows = reference_rows(read, [make_run(row, 1000 + i) for i, row in enumerate(figures(0, 50))])
    copy = Path(shutil.copytree(read.folder, tmp_path / "rehearsal"))
    (copy / "references").mkdir(exist_ok=True)
    with (copy / "references" / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return load_catalogue(str(copy))


def placed(catalogue: Catalogue, *records: RunRecord) -> tuple[list[Verdict], str]:
    verdicts = judge_all(catalogue, records, ["finetune"])
    return verdicts, reference_line(catalogue, verdicts)


def test_a_sound_run_matches_the_reference_in_all_nine_figures(catalogue: Catalogue, make_run: MakeRun) -> None:
    verdicts, line = placed(catalogue, make_run(figures(1)[0]))
    assert {v.outcome for v in verdicts} == {Outcome.MATCHES}
    assert verdicts[0].why.startswith("1 run placed: inside the prediction interval in 4 of 4 figures")
    assert line == "this machine matches the suite's reference in 9 of 9 figures (rehearsal, n = 50)"


def test_a_run_that_learned_too_little_is_outside_and_says_in_what(catalogue: Catalogue, make_run: MakeRun) -> None:
    values = figures(1)[0]
    values[[2, 7]] += (0.4, -0.3)  # the last epoch's training loss and F1
    verdicts, line = placed(catalogue, make_run(values))
    assert [v.label for v in verdicts] == ["matches the reference", "deviates", "matches the reference"]
    assert "weighted_f1 0." in verdicts[1].why and "train_loss 0.9" in verdicts[1].why
    assert "does not match the suite's reference in 7 of 9 figures" in line


def test_three_runs_are_judged_by_their_mean(catalogue: Catalogue, make_run: MakeRun) -> None:
    values = figures(2, 3)
    verdicts, _ = placed(catalogue, *(make_run(row, i) for i, row in enumerate(values)))
    assert verdicts[0].why.startswith("3 runs judged: inside")
    high = values + np.array([0.06, *[0] * 8])  # three standard deviations: one run may lie there, no mean of three
    assert placed(catalogue, *(make_run(row, i) for i, row in enumerate(high)))[0][0].label == "deviates (high)"


def test_another_recipe_or_precision_is_not_compared(
    catalogue: Catalogue, make_record: MakeRecord, make_run: MakeRun
) -> None:
    verdicts, line = placed(catalogue, make_record("linear"))
    assert {v.outcome for v in verdicts} == {Outcome.NOT_RUN}
    assert line.startswith("this machine was not compared with the suite's reference")
    verdicts, _ = placed(catalogue, make_run(figures(1)[0], precision="bf16"))
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
    for beyond, outcome in ((-1e-9, Outcome.MATCHES), (1e-9, Outcome.DEVIATES)):
        assert judge_placed(claim, catalogue, RunSpec(), [figure.mean + half + beyond]).outcome is outcome


def test_a_table_is_made_of_runs_of_one_source_only(make_run: MakeRun) -> None:
    read = read_header("rehearsal")
    values = figures(0, 3)
    runs = [make_run(row, i, facts={"hardest_rows": [i, 1, 2]}) for i, row in enumerate(values)]
    rows = reference_rows(read, runs)
    assert [row["seed"] for row in rows] == ["0", "1", "2"]
    assert float(rows[0]["train_loss_first"]) == pytest.approx(values[0][0], abs=1e-6)
    assert "train_loss_first: 1." in "\n".join(describe(read, rows))
    commits = [runs[0].provenance.model_copy(update={"commit": letter * 40, "dirty": False}) for letter in "cd"]
    one = runs[0].model_copy(update={"provenance": commits[0]})
    other = runs[1].model_copy(update={"provenance": commits[1], "source_sha256": "b" * 64})
    with pytest.raises(ResultsError, match="expected runs of one source"):
        reference_rows(read, [one, other])
    alike = other.model_copy(update={"provenance": commits[0]})
    assert len(reference_rows(read, [one, alike])) == 2  # one commit is one source, whatever Python made of it
