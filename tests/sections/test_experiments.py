"""The sections, end to end on the tiny recipe: what they measure is right, and the same every time.

At the end the projection's reading of the plane: blind to class size, and enough to draw the panels again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from matplotlib.figure import Figure
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from repro.assets.corpus import EMOTION
from repro.claims.claim import Outcome
from repro.errors import CheckpointError
from repro.records.provenance import collect_provenance
from repro.records.schema import LABELS, RunRecord
from repro.records.store import read_records
from repro.sections import SECTIONS, linear, runner, section_named
from repro.sections.context import Context
from repro.sections.corpus_facts import five_numbers
from repro.sections.projection import (
    GRID,
    NEIGHBOURS,
    hexagons,
    nearest_classes,
    neighbour_lifts,
    neighbour_shares,
    project,
)
from repro.sections.runner import Run, open_context, run_sections
from repro.spec import RunSpec
from tests.running import measure, result_of
from tests.sections.conftest import Measured, verdicts_on


def test_every_section_twice_with_one_seed_gives_the_same_to_the_last_digit(measured: Measured) -> None:
    for name in SECTIONS:  # the two share no cache, and no fine-tuned model
        assert result_of(measured.records[name, 0]) == result_of(measured.again[name]), name


def test_extraction_and_the_published_model_are_fp32_whatever_training_uses(
    tiny_context: Context, measured: Measured
) -> None:
    states, published = measured.context.cls_states["train"], measured.records["published", 0]
    AcceleratorState._reset_state(reset_partial_state=True)
    bf16 = tiny_context.changed(precision="bf16")
    assert bf16.accelerator.mixed_precision == "bf16"
    assert torch.equal(bf16.cls_states["train"], states)
    assert measure("published", bf16).rows == published.rows


def test_fine_tuning_scores_every_epoch_on_validation_and_test_once(measured: Measured) -> None:
    record = measured.records["finetune", 0]
    assert list(record.scores) == ["epoch-1/validation", "epoch-2/validation", "test"]
    assert record.facts["steps"] == 4  # 96 rows in batches of 64: two steps an epoch
    assert [len(record.rows[split].predictions) for split in ("validation", "test")] == [96, 96]
    losses = record.rows["validation"].losses
    assert losses is not None
    assert sum(losses) / 96 == pytest.approx(record.scores["epoch-2/validation"].loss, abs=1e-5)
    assert losses[record.at("facts.hardest_rows")[0]] == max(losses)
    assert record.seconds.keys() - {"states"} == {"tokenize", "load", "train", "evaluate", "test", "save"}
    assert record.epochs[-1].last_learning_rate == pytest.approx(1e-3 / 4)  # 0 is reached after the last step


def test_the_linear_baseline_is_scikit_learns_on_the_same_states(measured: Measured) -> None:
    record = measured.records["linear", 0]
    states, labels = measured.context.cls_states, measured.context.corpus.labels
    reference = LogisticRegression(max_iter=3000).fit(states["train"].numpy(), labels("train"))
    expected = reference.score(states["validation"].numpy(), labels("validation"))
    assert record.scores["logistic/validation"].accuracy == expected
    assert record.facts["n_iter"] == reference.n_iter_.tolist()
    assert (record.facts["solver"], record.facts["converged"]) == ("lbfgs", True)


def test_a_fit_that_does_not_converge_says_so(tiny_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MAX_ITER", 3)
    assert measure("linear", tiny_context).facts["converged"] is False


def test_the_books_token_outputs_are_reproduced_with_the_vocabulary_that_distilbert_uses() -> None:
    context = open_context(RunSpec(recipe="minilm", corpus="rehearsal", limit=8))
    verdicts = verdicts_on(measure("token-facts", context)).items()
    outcomes = {claim.removeprefix("tokens."): v.outcome for claim, v in verdicts if claim.startswith("tokens.")}
    by_construction = ("ids", "pieces", "string", "vocabulary", "special", "inputs")
    others = ("context", "padding", "columns", "truncation")  # need DistilBERT's tokenizer files, or the real corpus
    assert outcomes == dict.fromkeys(by_construction, Outcome.BY_CONSTRUCTION) | dict.fromkeys(
        others, Outcome.NOT_COMPARABLE
    )


def test_the_corpus_is_counted_by_class(measured: Measured) -> None:
    record, corpus = measured.records["corpus-facts", 0], measured.context.corpus
    texts, labels = corpus.texts("train"), corpus.labels("train")
    words = [len(text.split()) for text, label in zip(texts, labels, strict=True) if label == LABELS.index("joy")]
    assert record.facts["rows"] == [96, 96, 96]
    assert record.facts["class_counts"] == {name: labels.count(i) for i, name in enumerate(LABELS)}
    assert record.at("facts.median_words.joy") == float(np.median(words))
    assert record.at("facts.times_rarer.love than joy") == labels.count(1) / labels.count(2)


def test_what_reads_no_checkpoint_runs_without_one_and_is_judged_alike() -> None:
    without, tiny = (open_context(RunSpec(recipe=recipe, corpus="rehearsal")) for recipe in ("distilbert", "tiny"))
    record = measure("corpus-facts", without)  # DistilBERT's checkpoint is not available
    assert record.facts == measure("corpus-facts", tiny).facts
    stamp = record.recipe
    assert (stamp.name, stamp.checkpoint, stamp.revision, stamp.weights_sha256) == ("distilbert", "", "", "")
    facts = {**record.facts, "rows": [16000, 2000, 2000]}
    verdicts = verdicts_on(record.model_copy(update={"corpus": EMOTION, "facts": facts}))
    assert verdicts["corpus.rows"].outcome is Outcome.BY_CONSTRUCTION
    assert {name for name in SECTIONS if not section_named(name).pretrained} == {"tour", "corpus-facts", "api"}
    with pytest.raises(CheckpointError, match="is not available"):
        measure("token-facts", without)


def test_a_dummys_expected_accuracy_is_that_of_scikit_learns(measured: Measured) -> None:
    record = measured.records["corpus-facts", 0]
    train, validation = (np.array(measured.context.corpus.labels(split)) for split in ("train", "validation"))
    expected = record.at("facts.dummy_accuracies")
    for strategy in ("most_frequent", "stratified", "uniform"):
        dummies = [DummyClassifier(strategy=strategy, random_state=seed).fit(train, train) for seed in range(300)]
        scores = [dummy.score(validation, validation) for dummy in dummies]
        assert np.mean(scores) == pytest.approx(expected[strategy], abs=4 * np.std(scores) / 300**0.5 + 1e-9)
    constants = [np.mean(validation == label) for label in range(6) if label != np.bincount(train).argmax()]
    assert expected["constant"] == max(constants)
    assert record.facts["best_dummy"] == max(expected, key=expected.get)


def test_a_box_is_numpys_quartiles_with_whiskers_at_the_last_value_within_one_and_a_half_boxes() -> None:
    values = [1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 40]
    q1, median, q3 = (float(np.percentile(values, q)) for q in (25, 50, 75))
    inside = [v for v in values if q1 - 1.5 * (q3 - q1) <= v <= q3 + 1.5 * (q3 - q1)]
    assert five_numbers(values) == {"whislo": min(inside), "q1": q1, "med": median, "q3": q3, "whishi": max(inside)}
    assert max(inside) == 8


def test_the_first_rows_leave_as_hashes_and_no_sentence_is_in_any_record(measured: Measured) -> None:
    paths = list(measured.results.rglob("*.json"))
    assert len(paths) == len(measured.records) == len(read_records(measured.results)) > len(SECTIONS)
    for text in (path.read_text() for path in paths):
        assert not [t for t in measured.context.corpus.texts("train") if t in text]
    assert [seed for section, seed in measured.records if section == "finetune"] == [0, 1]
    assert [seed for section, seed in measured.records if section == "linear"] == [0]  # seeds do not matter to it


def test_of_two_runs_of_a_section_at_once_one_leaves_a_record(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    section, real = section_named("linear"), Run.measure

    def overtaken(run: Run) -> RunRecord:
        with monkeypatch.context() as patched:
            patched.setattr(Run, "measure", real)
            list(run_sections([section], tiny_context, [0], tmp_path))  # another process, faster
        return real(run)

    monkeypatch.setattr(Run, "measure", overtaken)
    assert list(run_sections([section], tiny_context, [0], tmp_path)) == []
    assert len(read_records(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_tracker_gets_every_epoch_at_its_step_and_is_closed(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context, tracker = replace(tiny_context, track="tensorboard", tracking=tmp_path / "logs"), Mock()
    context.accelerator.trackers.append(tracker)
    for method in ("init_trackers", "log"):
        monkeypatch.setattr(context.accelerator, method, getattr(tracker, method))
    record = measure("finetune", context, 5)
    config = tracker.init_trackers.call_args.kwargs["config"]
    assert (config["learning_rate"], config["seed"], config["corpus"]) == (1e-3, 5, "rehearsal")
    assert context.accelerator.log_with == ["tensorboard"]
    assert context.accelerator.logging_dir == str(tmp_path / "logs")
    logged = [(call.kwargs["step"], call.args[0]) for call in tracker.log.call_args_list]
    assert [(step, values["train_loss"], values["validation_f1"]) for step, values in logged] == [
        (2 * e.epoch, e.train_loss, record.scores[f"epoch-{e.epoch}/validation"].weighted_f1) for e in record.epochs
    ]
    tracker.finish.assert_called_once_with()
    assert context.accelerator.trackers == []


def scatter(sizes: list[int], centres: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = [rng.normal(centre, 1.0, (n, 2)) for n, centre in zip(sizes, centres, strict=True)]
    return np.concatenate(points), np.repeat(np.arange(len(sizes)), sizes)


def test_neighbours_are_those_that_scikit_learn_finds_for_each_point_without_the_point_itself() -> None:
    points, labels = scatter([40, 60, 20, 30, 30, 20], [(0, 0)] * 6)
    counts = np.zeros((6, 6))
    for i, point in enumerate(points):
        rest = np.delete(np.arange(len(points)), i)
        nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points[rest]).kneighbors([point], return_distance=False)
        np.add.at(counts, (labels[i], labels[rest[nearest[0]]]), 1)
    assert neighbour_shares(points, labels) == pytest.approx(counts / counts.sum(axis=1, keepdims=True))


def test_a_projection_leaves_torch_its_number_of_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # numba would set as many as the machine has cores
    try:
        project(np.random.default_rng(0).random((40, 8), dtype=np.float32), seed=0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_small_class_beside_a_large_one_is_still_its_nearest() -> None:
    # love (30) lies beside anger (300), both at the edge of joy (3,000), which a plain count would name for both
    sizes = [300, 3000, 30, 300, 300, 30]
    points, labels = scatter(sizes, [(0, 9), (0, 0), (3, 0), (2.5, 0), (0, 8), (0, 0)])
    shares = neighbour_shares(points, labels)
    nearest = nearest_classes(neighbour_lifts(shares, labels))
    assert [nearest[name] for name in ("love", "anger", "sadness", "fear")] == ["anger", "love", "fear", "sadness"]
    anger = LABELS.index("anger")
    plainly = np.where(np.arange(6) == anger, 0, shares[anger])
    assert LABELS[int(plainly.argmax())] == "joy"


def test_a_random_scatter_has_lifts_around_one_and_surprise_is_nobodys_nearest() -> None:
    points, labels = scatter([2000, 2000, 500, 1000, 1000, 300], [(0, 0)] * 6)
    lifts = neighbour_lifts(neighbour_shares(points, labels), labels)
    assert lifts[~np.eye(6, dtype=bool)] == pytest.approx(1.0, abs=0.15)
    lifts[:, LABELS.index("surprise")] = 9
    assert "surprise" not in nearest_classes(lifts).values()


def test_classes_without_rows_or_without_other_neighbours_are_left_out() -> None:
    points, labels = scatter([50, 50], [(0, 0), (1000, 0)])
    assert nearest_classes(neighbour_lifts(neighbour_shares(points, labels), labels)) == {}


def test_the_hexagons_hold_every_point_once_and_draw_the_same_panels_again() -> None:
    sizes = [400, 50, 3, 0, 20, 1]
    density: dict[str, Any] = hexagons(*scatter(sizes, [(0, 0), (3, 3), (0, 5), (0, 0), (9, 9), (4, 4)]))
    assert [sum(counts) for counts in density["counts"].values()] == sizes
    drawn = Figure().add_subplot().hexbin(
        density["x"], density["y"], C=density["counts"]["sadness"], reduce_C_function=np.sum, gridsize=GRID,
        extent=density["extent"], mincnt=0,
    )  # fmt: skip
    assert np.asarray(drawn.get_array()).tolist() == density["counts"]["sadness"]


def test_the_projection_keeps_every_row_and_another_seed_gives_another_plane(measured: Measured) -> None:
    first, second = (measured.records["projection", seed] for seed in (0, 1))
    assert first.facts["shape"] == [96, 2]
    assert first.facts["density"] != second.facts["density"]


def test_a_gpus_libraries_and_arithmetic_stand_in_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr("torch.version.cuda", "12.8")
    provenance = collect_provenance(started="2026-01-31T12:00:00Z", threads=2, **runner._gpu_facts())
    assert provenance.accelerator == "Tesla T4"
    assert provenance.gpu["CUDA"] == "12.8"
    assert set(provenance.gpu) == {"CUDA", "cuDNN", "TF32 in fp32 products"}
