"""Times from pytest-benchmark's files, counted from the raw rounds, and what F1 costs: McNemar's p as scipy has it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import chi2

from repro.records.schema import RowResults, RunRecord
from repro.report.costs import cost_drawings, cost_table, costs_of
from repro.report.timings import (
    growth_drawings,
    ratio_drawings,
    ratios_of,
    read_timings,
    share_of_peak,
    speed_tables,
    variant,
)
from repro.training.metrics import score
from tests.conftest import MakeRecord
from tests.files import entry, save_benchmarks

ROOT = Path(__file__).parents[2]
CASES = json.loads((Path(__file__).parent / "timings.json").read_text())
FILE = "benchmarks/0001.json"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["behaviour"])
def test_tables_of_times(case: dict[str, Any], tmp_path: Path) -> None:
    for day, entries in case["files"].items():  # a file a day, on the CPU or the GPU that stands behind the day
        date, _, gpu = day.partition(" ")
        written = [entry(name, data, group=group, **extra) for name, group, data, extra in entries]
        save_benchmarks(tmp_path / "benchmarks" / f"{date}.json", *written, day=date, gpu=gpu or None)
    tables = {name: table for name, table in speed_tables(read_timings(tmp_path)).items() if table.rows}
    assert tables.keys() == case["tables"].keys()
    for name, expected in case["tables"].items():
        rows = [dict(zip(tables[name].columns, row, strict=True)) for row in tables[name].rows]
        assert [{column: row[column] for column in part} for row, part in zip(rows, expected, strict=True)] == expected


def test_a_setting_is_compared_with_ours_in_its_own_precision(tmp_path: Path) -> None:
    measured: dict[str, Any] = {
        "unit": "step",
        "calibration_seconds": [1.0] * 3,
        "calibration_flop": 100,
        "useful_flop": [80.0] * 3,
    }
    group = "step beside the Trainer, grouped"
    of = {
        "trainer-fp32": 4.0,
        "trainer-bf16": 1.02,
        "packed-fp32": 1.0,
        "packed-bf16": 1.0,
        "dynamic-fp32": 3.0,
    }
    entries = [entry(f"x[grouped-{name}]", [s, s, s], group=group, **measured) for name, s in of.items()]
    save_benchmarks(tmp_path / FILE, *entries)
    ratios = ratios_of(read_timings(tmp_path))
    assert [(r.setting, r.where, r.value) for r in ratios] == [
        ("Trainer, grouped by length", "fp32", 4.0), ("Trainer, grouped by length", "bf16", 1.02),
    ]  # fmt: skip
    assert ratios[0].interval == (4.0, 4.0)
    assert ratios[0].limit == pytest.approx(5.0)  # 80 of 400 multiplications that 4 s had room for
    (drawing,) = ratio_drawings(read_timings(tmp_path))
    assert "grouped by length, bf16: 1.02 [1.02, 1.02]" in drawing.description


def test_growth_is_drawn_in_numeric_order_under_names_for_people(tmp_path: Path) -> None:
    sizes = (1024, 8, 64)
    grown = {n: entry(f"test_growth[batch-{n}]", [n / 8], group="growth with batch", size=n, tweets=n) for n in sizes}
    save_benchmarks(tmp_path / FILE, *grown.values())
    (drawing,) = growth_drawings(read_timings(tmp_path))
    assert drawing.description == "batch 8 to 1,024: 1 to 128 s."
    assert [label.get_text() for label in drawing.figure.axes[0].get_xticklabels()] == ["8", "64", "1,024"]


def test_the_lengths_that_steps_are_timed_on_are_the_committed_records() -> None:
    records = sorted((ROOT / "results/runs/emotion/minilm/token-facts").glob("*.json"))
    counted = json.loads(records[-1].read_text())["facts"]["tweets_by_pieces"]
    lengths = json.loads((ROOT / "benchmarks" / "lengths.json").read_text())
    assert {split: lengths[split] for split in counted} == counted


TRUE = [0, 1] * 100
WRONG = {"dummy": range(1, 200, 2), "logistic": range(40), "bag-of-words": range(30, 60)}


def classified(make_record: MakeRecord, section: str, *names: str, **options: object) -> RunRecord:
    rows = {
        f"{name}/validation": RowResults(labels=TRUE, predictions=[t ^ (i in WRONG[name]) for i, t in enumerate(TRUE)])
        for name in names
    }
    scores = {name: score(TRUE, row.predictions, classes=6) for name, row in rows.items()}
    return make_record(section, rows=rows, scores=scores, **options)


def test_classifiers_of_one_machine_are_compared_by_f1_seconds_and_mcnemar(make_record: MakeRecord) -> None:
    linear = classified(make_record, "linear", "dummy", "logistic", seconds={"dummy": 0.1, "extract": 9, "logistic": 3})
    words = classified(make_record, "baselines", "bag-of-words", "bag-of-words", seconds={"bag-of-words": 2})
    ((title, costs),) = costs_of([linear, words])
    assert costs["[CLS] states"].seconds == 12
    assert costs["bag of words"].f1 == words.scores["bag-of-words/validation"].weighted_f1
    row = next(row for row in cost_table([(title, costs)]).rows if row[1] == "bag of words")
    only_words, only_states = 30, 20  # rows 0 to 29 and 40 to 59
    p = chi2.sf((abs(only_words - only_states) - 1) ** 2 / (only_words + only_states), 1)
    assert row[5] == f"[CLS] states 30:20, p = {p:.4f}"
    (drawing,) = cost_drawings([(title, costs)])
    assert "bag of words 0." in drawing.description
    assert costs_of([linear]) == []  # nothing of this machine to compare it with
    took = {"features": {"extract": 80.0}, "linear": {"extract": 0.01, "logistic": 2.0}}
    features, after = (
        linear.model_copy(update={"experiment": section, "seconds": seconds, "scores": linear.scores})
        for section, seconds in took.items()
    )
    ((_, costs),) = costs_of([features, after, words])  # in one session, where the first section makes the states
    assert costs["[CLS] states"].seconds == 82


def test_the_page_on_gpus_says_what_was_measured() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    timed = {t.name: t for t in read_timings(ROOT / "results") if "H100" in (t.gpu or "")}
    seconds = [timed[f"test_two_epochs[replayed-{precision}]"].median for precision in ("bf16", "fp16")]
    assert "{:.2f} s, in fp16 {:.2f} s".format(*seconds) in page
    steps = {name: 1000 * t.median for name, t in timed.items() if name.startswith("test_step")}
    for name in ("notebook-packed", "notebook-trainer", "grouped-trainer", "varlen-varlen", "varlen-packed"):
        assert f"{steps[f'test_step[{name}-bf16]']:.2f} ms" in page, name
    for name in ("notebook-packed", "notebook-trainer"):
        assert f"{share_of_peak(timed[f'test_step[{name}-bf16]']):.2f}" in page
    peaks = [max(t.series("peak_mib")) for name, t in timed.items() if "replayed-bf16" in name]
    assert f"{max(peaks):,.0f} MiB" in page
    twice = timed["test_one_seed_twice"]
    assert [twice.number(name) for name in ("parameters", "logits", "train_loss")] == [0, 0, 0]


def test_the_page_on_speed_says_what_fine_tuning_took() -> None:
    lines = (ROOT / "results" / "tables" / "costs.csv").read_text(encoding="utf-8").splitlines()
    [fine_tuning] = [row for row in csv.DictReader(lines) if row["classifier"] == "fine-tuning"]
    assert f"take {float(fine_tuning['seconds']):.0f} s" in (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


def test_the_page_on_speed_says_how_long_the_whole_seminar_takes() -> None:
    page = " ".join((ROOT / "docs" / "speed.md").read_text(encoding="utf-8").split())
    timed = [t for t in read_timings(ROOT / "results") if t.name.startswith("test_seminar")]
    took = {(t.number("limit"), variant(t)): t.median for t in timed}  # by rows of each split
    notebook, ours = (took[16_000, way] for way in ("notebook", "packed-fp32"))
    assert f"take {notebook:,.0f} s and this suite's sections {ours:.0f} s, {notebook / ours:.2f} times" in page
    assert f"would be {notebook / 6:.0f} s" in page
    assert f"{notebook:,.0f}" in {row[3] for row in speed_tables(timed)["speed"].rows}  # as the report writes it
    assert f"it is {took[1_600, 'notebook'] / took[1_600, 'packed-fp32']:.2f} times" in page
