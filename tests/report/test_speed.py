"""Tables of the benchmarks: ratios and shares are counted from the raw rounds, and a step that got slower shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from repro.report.speed import speed_tables
from repro.report.timings import read_timings


def entry(name: str, group: str, data: list[float], **extra: Any) -> dict[str, Any]:
    ordered = sorted(data)
    stats = {
        "median": ordered[len(data) // 2], "min": ordered[0], "max": ordered[-1], "mean": sum(data) / len(data),
        "rounds": len(data), "data": data,
    }  # fmt: skip
    return {"name": name, "fullname": f"benchmarks/{name}", "group": group, "stats": stats, "extra_info": extra}


def save(folder: Path, entries: tuple[dict[str, Any], ...], *, day: str = "2026-01-01", gpu: str | None = None) -> None:
    file = folder / "benchmarks" / f"{day}.json"
    file.parent.mkdir(exist_ok=True)
    commit = {"id": "abc", "dirty": False}
    machine = {"accelerator": gpu}
    file.write_text(
        json.dumps(
            {"datetime": f"{day}T00:00:00", "machine_info": machine, "commit_info": commit, "benchmarks": list(entries)}
        )
    )


def tables_of(folder: Path, *entries: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    if entries:
        save(folder, entries)
    made = speed_tables(read_timings(folder))
    return {name: [dict(zip(t.columns, row, strict=True)) for row in t.rows] for name, t in made.items()}


def test_ratios_are_of_medians_and_of_all_pieces_and_the_share_is_of_the_fastest_calibration(tmp_path: Path) -> None:
    calibrated = {"calibration_seconds": [0.5, 1.0, 1.0], "calibration_flop": 100, "tweets": 64, "unit": "step"}
    found = tables_of(
        tmp_path,
        entry("test_step[notebook-trainer-fp32]", "a", [8.0, 9.0, 16.0], **calibrated, useful_flop=[400.0] * 3),
        entry("test_stage[encoding-ours]", "b", [1.0], unit="pass"),  # another block between the two
        entry("test_step[notebook-packed-fp32]", "a", [2.0, 2.0, 2.0], **calibrated, useful_flop=[200.0] * 3),
    )
    trainer, ours, other = found["speed"]
    assert (other["what"], other["variant"], other["÷ packed fp32"]) == ("b", "ours", "")
    assert (trainer["variant"], trainer["median s"], trainer["÷ packed fp32"]) == ("trainer-fp32", "9.000", "4.50")
    assert trainer["overall ÷ packed fp32"] == "2.75"  # 33 s for 1,200 against 6 s for 600
    assert trainer["÷ packed bf16"] == ""  # it was not run
    assert ours["share of peak"] == "0.50"  # 200 in 2 s, of 100 in 0.5 s
    assert ours["tweets/s"] == "32.0"


def test_a_gpus_newer_file_leaves_the_cpus_rows_and_each_is_held_against_its_own(tmp_path: Path) -> None:
    names = ("test_step[notebook-trainer-fp32]", "test_step[notebook-packed-fp32]")
    encoding = "test_stage[encoding-ours]"
    cpu = [entry(name, "a", [seconds], unit="step") for name, seconds in zip(names, (8.0, 2.0), strict=True)]
    gpu = [entry(name, "a", [seconds], unit="step") for name, seconds in zip(names, (0.5, 0.25), strict=True)]
    save(tmp_path, (*cpu, entry(encoding, "b", [3.0], unit="pass", device="cpu")))
    save(tmp_path, (*gpu, entry(encoding, "b", [1.0], unit="pass", device="cpu")), day="2026-02-01", gpu="H200")
    found = [(row["what"], row["variant"], row["÷ packed fp32"]) for row in tables_of(tmp_path)["speed"]]
    assert found == [
        ("a", "trainer-fp32", "4.00"),
        ("a", "packed-fp32", "1.00"),
        ("a, H200", "trainer-fp32", "2.00"),
        ("a, H200", "packed-fp32", "1.00"),
        ("b", "ours", ""),  # on the CPU in a GPU's session too: the newer one
    ]


def test_growth_is_sorted_by_size_and_sameness_says_what_differs(tmp_path: Path) -> None:
    packed = {"texts": 3, "logits": 2e-7, "gradients": 3e-6, "architecture": "distilbert", "kind": "tweets"}
    found = tables_of(
        tmp_path,
        entry("test_growth[batch-64]", "growth with batch", [2.0], size=64, tweets=64, peak_mib=[900.0], unit="batch"),
        entry("test_growth[batch-8]", "growth with batch", [1.0], size=8, tweets=8, peak_mib=[700.0], unit="batch"),
        entry("test_packed_beside_padded[x]", "sameness of packed batches", [1.0], **packed),
    )
    assert [(row["size"], row["ms a tweet"]) for row in found["growth"]] == [("8", "125.000"), ("64", "31.250")]
    assert found["sameness"][0]["largest difference"] == "logits 2.0e-07, gradients 3.0e-06 (relative)"
    assert "speed" not in found


def test_the_lengths_that_steps_are_timed_on_are_the_committed_records() -> None:
    root = Path(__file__).parents[2]
    records = sorted((root / "results/runs/emotion/minilm/token-facts").glob("*.json"))
    counted = json.loads(records[-1].read_text())["facts"]["tweets_by_pieces"]
    lengths = json.loads((root / "benchmarks" / "lengths.json").read_text())
    assert {split: lengths[split] for split in counted} == counted
