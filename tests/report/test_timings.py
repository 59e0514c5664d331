"""Times from pytest-benchmark's files and their tables: counted from the raw rounds, the newest of each machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.claims.catalogue import load_catalogue
from repro.errors import RecordError
from repro.records.schema import RunRecord
from repro.report.pages import write_report
from repro.report.timings import growth_drawing, ratio_drawings, ratios_of, read_timings, speed_tables

MakeRecord = Callable[..., RunRecord]
ROOT = Path(__file__).parents[2]
CASES = json.loads((Path(__file__).parent / "timings.json").read_text())


def entry(name: str, group: str | None, data: list[float], **extra: Any) -> dict[str, Any]:
    """What pytest-benchmark writes of one benchmark, as far as it is read."""
    return {"name": name, "fullname": f"b/{name}", "group": group, "stats": {"data": data}, "extra_info": extra}


def save(folder: Path, *entries: dict[str, Any], day: str = "2026-01-01", gpu: str | None = None) -> Path:
    file = folder / "benchmarks" / f"{day}.json"
    file.parent.mkdir(exist_ok=True)
    written = {"datetime": f"{day}T00:00:00", "commit_info": {"id": "abc", "dirty": False}}
    file.write_text(json.dumps({**written, "machine_info": {"accelerator": gpu}, "benchmarks": entries}))
    return file


def test_of_each_benchmark_the_newest_file_counts_and_one_that_was_not_run_again_stays(tmp_path: Path) -> None:
    save(tmp_path, entry("linear", None, [5.0, 4.0, 9.0]), day="2026-01-02")
    save(tmp_path, entry("linear", None, [100.0]), entry("features", None, [7.0]))
    assert {t.name: t.rounds for t in read_timings(tmp_path)} == {"linear": (5.0, 4.0, 9.0), "features": (7.0,)}
    assert read_timings(tmp_path / "nothing here") == []


@pytest.mark.parametrize("text", ['{"datetime": "2026', "[]", '{"datetime": "x", "commit_info": {}}'])
def test_a_damaged_benchmark_file_is_named_and_nothing_is_written(
    text: str, make_record: MakeRecord, tmp_path: Path
) -> None:
    path = save(tmp_path, entry("linear", None, [1.0]))
    path.write_text(text)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        write_report(load_catalogue(), [], [make_record("linear")], tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["behaviour"])
def test_tables_of_times(case: dict[str, Any], tmp_path: Path) -> None:
    for day, entries in case["files"].items():  # a file a day, on the CPU or the GPU that stands behind the day
        date, _, gpu = day.partition(" ")
        written = [entry(name, group, data, **extra) for name, group, data, extra in entries]
        save(tmp_path, *written, day=date, gpu=gpu or None)
    tables = speed_tables(read_timings(tmp_path))
    assert tables.keys() == case["tables"].keys()
    for name, expected in case["tables"].items():
        rows = [dict(zip(tables[name].columns, row, strict=True)) for row in tables[name].rows]
        assert [{column: row[column] for column in part} for row, part in zip(rows, expected, strict=True)] == expected


def test_a_setting_is_compared_with_ours_in_its_own_precision(tmp_path: Path) -> None:
    measured = {"unit": "step", "calibration_seconds": [1.0] * 3, "calibration_flop": 100, "useful_flop": [80.0] * 3}
    group = "step beside the Trainer, grouped"
    of = {
        "trainer-fp32": 4.0,
        "trainer-bf16": 1.02,
        "packed-fp32": 1.0,
        "packed-bf16": 1.0,
        "dynamic-fp32": 3.0,
    }
    entries = [entry(f"x[grouped-{name}]", group, [s, s, s], **measured) for name, s in of.items()]
    save(tmp_path, *entries)
    ratios = ratios_of(read_timings(tmp_path))
    assert [(r.setting, r.precision, r.value) for r in ratios] == [
        ("Trainer, grouped by length", "fp32", 4.0), ("Trainer, grouped by length", "bf16", 1.02),
    ]  # fmt: skip
    assert ratios[0].interval == (4.0, 4.0)
    assert ratios[0].limit == pytest.approx(5.0)  # 80 of 400 multiplications that 4 s had room for
    (drawing,) = ratio_drawings(read_timings(tmp_path))
    assert "grouped by length, bf16: 1.02 [1.02, 1.02]" in drawing.description


def test_growth_is_drawn_in_numeric_order_under_names_for_people(tmp_path: Path) -> None:
    sizes = (1024, 8, 64)
    save(tmp_path, *(entry(f"test_growth[batch-{n}]", "growth with batch", [n / 8], size=n, tweets=n) for n in sizes))
    drawing = growth_drawing(read_timings(tmp_path))
    assert drawing is not None and drawing.description == "batch 8 to 1,024: 1 to 128 s."
    assert [label.get_text() for label in drawing.figure.axes[0].get_xticklabels()] == ["8", "64", "1,024"]


def test_the_lengths_that_steps_are_timed_on_are_the_committed_records() -> None:
    records = sorted((ROOT / "results/runs/emotion/minilm/token-facts").glob("*.json"))
    counted = json.loads(records[-1].read_text())["facts"]["tweets_by_pieces"]
    lengths = json.loads((ROOT / "benchmarks" / "lengths.json").read_text())
    assert {split: lengths[split] for split in counted} == counted
