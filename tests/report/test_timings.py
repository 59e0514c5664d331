"""Times from pytest-benchmark's files and their tables: counted from the raw rounds, the newest of each machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.claims.catalogue import load_catalogue
from repro.claims.judge import judge_all
from repro.errors import RecordError
from repro.records.schema import RunRecord
from repro.report.pages import write_report
from repro.report.timings import read_timings, seconds, speed_tables

MakeRecord = Callable[..., RunRecord]
ROOT = Path(__file__).parents[2]
TRAINED = {
    "case": "tiny, packed", "threads": 1, "between": "127.0.0.1", "rows": 600, "losses_difference": 2e-7,
    "row_losses_difference": 3e-7, "predictions": 150, "predictions_differing": 0, "machines": 1,
}  # fmt: skip


def entry(name: str, group: str | None, data: list[float], **extra: Any) -> dict[str, Any]:
    """What pytest-benchmark writes of one benchmark, as far as it is read."""
    return {"name": name, "fullname": f"b/{name}", "group": group, "stats": {"data": data}, "extra_info": extra}


def save(folder: Path, *entries: dict[str, Any], day: str = "2026-01-01", gpu: str | None = None) -> Path:
    file = folder / "benchmarks" / f"{day}.json"
    file.parent.mkdir(exist_ok=True)
    written = {"datetime": f"{day}T00:00:00", "commit_info": {"id": "abc", "dirty": False}}
    file.write_text(json.dumps({**written, "machine_info": {"accelerator": gpu}, "benchmarks": entries}))
    return file


def tables_of(folder: Path, *entries: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    if entries:
        save(folder, *entries)
    tables = speed_tables(read_timings(folder)).items()
    return {name: [dict(zip(t.columns, row, strict=True)) for row in t.rows] for name, t in tables}


def test_of_each_benchmark_the_newest_file_counts_and_one_that_was_not_run_again_stays(tmp_path: Path) -> None:
    save(tmp_path, entry("linear", None, [5.0, 4.0, 9.0]), day="2026-01-02")
    save(tmp_path, entry("linear", None, [100.0]), entry("features", None, [7.0]))
    assert {t.name: t.rounds for t in read_timings(tmp_path)} == {"linear": (5.0, 4.0, 9.0), "features": (7.0,)}
    assert read_timings(tmp_path / "nothing here") == []


def test_bars_on_the_page_share_an_axis_from_zero_to_the_longest_round(make_record: MakeRecord, tmp_path: Path) -> None:
    save(tmp_path, entry("linear", None, [5.0, 4.0, 9.0]), entry("features", None, [7.0]))
    records = [make_record("linear")]
    write_report(load_catalogue(), judge_all(load_catalogue(), records, []), records, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert re.findall(r'<rect y="3" width="([\d.]+)%"', page) == ["55.56", "77.78"]
    assert '<line x1="44.44%" x2="100.0%"' in page


@pytest.mark.parametrize("text", ['{"datetime": "2026', "[]", '{"datetime": "x", "commit_info": {}}'])
def test_a_damaged_benchmark_file_is_named_and_nothing_is_written(
    text: str, make_record: MakeRecord, tmp_path: Path
) -> None:
    path = save(tmp_path, entry("linear", None, [1.0]))
    path.write_text(text)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        write_report(load_catalogue(), [], [make_record("linear")], tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_times_read_in_the_unit_that_suits_them() -> None:
    assert [seconds(t) for t in (1234.5, 61.04, 3.14159, 0.0421, 0.00042, 4.2e-8)] == [
        "1,234 s", "61.0 s", "3.14 s", "42.1 ms", "420 µs", "0.04 µs",
    ]  # fmt: skip


def test_ratios_are_of_medians_and_of_all_pieces_and_the_share_is_of_the_fastest_calibration(tmp_path: Path) -> None:
    calibrated = {"calibration_seconds": [0.5, 1.0, 1.0], "calibration_flop": 100, "tweets": 64, "unit": "step"}
    trainer, ours, other = tables_of(
        tmp_path,
        entry("test_step[notebook-trainer-fp32]", "a", [8.0, 9.0, 16.0], **calibrated, useful_flop=[400.0] * 3),
        entry("test_stage[encoding-ours]", "b", [1.0], unit="pass"),  # another block between the two
        entry("test_step[notebook-packed-fp32]", "a", [2.0, 2.0, 2.0], **calibrated, useful_flop=[200.0] * 3),
    )["speed"]
    assert (other["what"], other["variant"], other["÷ packed fp32"], other["tweets/s"]) == ("b", "ours", "", "")
    assert (trainer["variant"], trainer["median s"], trainer["÷ packed fp32"]) == ("trainer-fp32", "9.000", "4.50")
    assert trainer["overall ÷ packed fp32"] == "2.75"  # 33 s for 1,200 against 6 s for 600
    assert trainer["÷ packed bf16"] == ""  # it was not run
    assert (ours["share of peak"], ours["tweets/s"]) == ("0.50", "32.0")  # 200 in 2 s, of 100 in 0.5 s


def test_a_gpus_newer_file_leaves_the_cpus_rows_and_each_is_compared_with_its_own(tmp_path: Path) -> None:
    def steps(*times: float) -> list[dict[str, Any]]:
        names = ("test_step[notebook-trainer-fp32]", "test_step[notebook-packed-fp32]")
        return [entry(name, "a", [time], unit="step") for name, time in zip(names, times, strict=True)]

    encoding = [entry("test_stage[encoding-ours]", "b", [time], unit="pass", device="cpu") for time in (3.0, 1.0)]
    save(tmp_path, *steps(8.0, 2.0), encoding[0])
    save(tmp_path, *steps(0.5, 0.25), encoding[1], day="2026-02-01", gpu="H200")
    assert [(row["what"], row["variant"], row["÷ packed fp32"]) for row in tables_of(tmp_path)["speed"]] == [
        ("a", "trainer-fp32", "4.00"),
        ("a", "packed-fp32", "1.00"),
        ("a, H200", "trainer-fp32", "2.00"),
        ("a, H200", "packed-fp32", "1.00"),
        ("b", "ours", ""),  # on the CPU in a GPU's session too: the newer one
    ]


def test_growth_is_sorted_by_size_and_sameness_says_what_differs(tmp_path: Path) -> None:
    packed = {"texts": 3, "logits": 2e-7, "gradients": 3e-6, "architecture": "distilbert", "kind": "tweets"}
    tables = tables_of(
        tmp_path,
        entry("batch-64", "growth with batch", [2.0], size=64, tweets=64, peak_mib=[900.0], unit="batch"),
        entry("batch-8", "growth with batch", [1.0], size=8, tweets=8, peak_mib=[700.0], unit="batch"),
        entry("test_packed_beside_padded[x]", "sameness of packed batches", [1.0], **packed),
    )
    sizes = [(row["growth with"], row["size"], row["ms a tweet"], row["peak MiB"]) for row in tables["growth"]]
    assert sizes == [("batch", "8", "125.000", "700"), ("batch", "64", "31.250", "900")]
    assert tables["sameness"][0]["largest difference"] == "logits 2.0e-07, gradients 3.0e-06 (relative)"
    assert "speed" not in tables


def test_processes_are_compared_with_one_and_a_killed_one_says_how_it_ended(tmp_path: Path) -> None:
    killed = {"killed": True, "processes": 2, "machines": 1, "between": "", "step": 3, "exit_codes": [1]}
    rows = tables_of(
        tmp_path,
        entry("a", "processes", [2.0], **TRAINED, processes=1),
        entry("b", "processes", [1.0], **TRAINED, processes=2),
        entry("c", "processes", [4.0], **{**TRAINED, "machines": 2}, processes=2),
        entry("d", "processes", [1.5], **killed),
    )["processes"]
    assert [row["processes"] for row in rows] == ["1", "2", "2 on 2 machines (127.0.0.1)", "2"]
    assert [row["tweets/s"] for row in rows] == ["300.0", "600.0", "150.0", ""]
    assert [row["of one process"] for row in rows] == ["1.00", "2.00", "0.50", ""]
    assert list(rows[1].values())[3:6] == ["2.0e-07", "3.0e-07", "0 of 150"]
    assert rows[3]["training"] == "one process killed before step 3: ended after 1.5 s, exit code 1"


def test_a_load_says_its_size_its_speed_and_its_memory(tmp_path: Path) -> None:
    (row,) = tables_of(tmp_path, entry("x", "load: corpus", [4.0], what="pack", size=2_000_000, peak_mib=[1536.0]))[
        "load"
    ]
    assert list(row.values()) == ["pack", "2,000,000", "4.00", "500,000", "1536", "abc"]


def test_the_lengths_that_steps_are_timed_on_are_the_committed_records() -> None:
    records = sorted((ROOT / "results/runs/emotion/minilm/token-facts").glob("*.json"))
    counted = json.loads(records[-1].read_text())["facts"]["tweets_by_pieces"]
    lengths = json.loads((ROOT / "benchmarks" / "lengths.json").read_text())
    assert {split: lengths[split] for split in counted} == counted
