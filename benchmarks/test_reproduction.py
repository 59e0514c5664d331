"""The seminar's sections under pytest-benchmark: one round is one seed, and every round writes its record.

What is timed: the whole section, evaluation included; seconds by phase stand in the record. Loading the corpus and the
checkpoint's hash check happen before. Tokens and hidden states are made once and shared, so their time goes to the
first section that asks (`features`), and a round of `linear` alone is longer. No warm-up: a run of minutes has none in
the notebook either. Every round measures afresh, but for a training that an earlier session left unfinished: it is
resumed, its seed stands under `resumed`, and its own seconds are those of its record.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from repro.errors import InterruptedRunError, MissingAssetError
from repro.records.provenance import peak_mib
from repro.records.schema import RunRecord
from repro.sections import SECTIONS, section_named
from repro.sections.context import Context
from repro.sections.runner import run_once
from repro.training.resume.checkpointer import CheckpointPolicy

WIDE_MARGIN = 0.15  # of accuracy over the dummy: four standard errors of a difference on the 150 rehearsal rows


@pytest.fixture(scope="session")
def dummy_accuracy(context: Context) -> float:
    """Share of the majority class of the training split among the validation rows, counted without scikit-learn."""
    labels = context.corpus.labels("train")
    majority = max(set(labels), key=labels.count)
    validation = context.corpus.labels("validation")
    return validation.count(majority) / len(validation)


@pytest.mark.parametrize("name", SECTIONS)
def test_section(
    name: str,
    context: Context,
    seeds: list[int],
    results: Path,
    dummy_accuracy: float,
    benchmark: BenchmarkFixture,
) -> None:
    records: list[RunRecord] = []
    peaks: list[float] = []
    section = section_named(name)
    wanted = section.seeds(seeds)

    def measure_next_seed() -> None:
        finished = run_once(section, context, wanted[len(records)], results, CheckpointPolicy(again=True))
        assert finished is not None
        records.append(finished[0])
        peaks.append(peak_mib())

    try:
        benchmark.pedantic(measure_next_seed, rounds=len(wanted))
    except MissingAssetError as error:
        pytest.skip(f"{name} did not run: {error}")  # the others do, as under `repro run`
    except InterruptedRunError as stopped:
        pytest.exit(str(stopped), returncode=stopped.exit_code)
    benchmark.extra_info.update(
        records[0].spec.setup.as_json(),
        seeds=[record.settings.seed for record in records],
        resumed=[record.settings.seed for record in records if "resumed_after_steps" in record.facts],
        peak_mib=peaks,
        scores=[
            {
                name: {"n": s.n, "accuracy": s.accuracy, "weighted_f1": s.weighted_f1, "macro_f1": s.macro_f1}
                for name, s in record.scores.items()
            }
            for record in records
        ],
        seconds=[record.seconds for record in records],
    )
    for record in records:
        assert_plausible(record, context, dummy_accuracy)


def assert_plausible(record: RunRecord, context: Context, dummy_accuracy: float) -> None:
    """A benchmark asserts that what it timed was right; whether a claim holds is for the verdicts."""
    for name, scores in record.scores.items():
        assert (
            scores.n == context.corpus.stamp.splits["test" if name.rpartition("/")[2] == "test" else "validation"].rows
        )
    if record.experiment == "linear":
        assert record.scores["dummy/validation"].accuracy == pytest.approx(dummy_accuracy, abs=1e-12)
    if record.epochs:
        assert len(record.epochs) == context.recipe.epochs
        assert record.epochs[-1].train_loss < record.epochs[0].train_loss or len(record.epochs) == 1
        if context.recipe.name != "tiny" and context.spec.limit is None:  # those learn nothing worth asserting
            final = record.scores[f"epoch-{len(record.epochs)}/validation"]
            assert final.accuracy > dummy_accuracy + WIDE_MARGIN
