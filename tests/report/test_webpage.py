"""What the page is made of: times from files, figures by section, strips to scale, commands that run it again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Kind, Outcome
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.claims.reruns import reference
from repro.commands.run import run
from repro.errors import RecordError
from repro.records.schema import RunRecord
from repro.report.charts import Strip, bars
from repro.report.pages import write_report
from repro.report.strips import strips
from repro.report.timings import grouped_bars, read_timings, seconds
from repro.report.webpage import RULES, commands
from repro.sections import SECTIONS, section_named

MakeRecord = Callable[..., RunRecord]
CATALOGUE = load_catalogue()


def benchmark_file(folder: Path, number: int, when: str, **rounds: list[float]) -> Path:
    """Write what pytest-benchmark writes, as far as the page reads it."""
    found = [
        {
            "name": name, "fullname": f"benchmarks/x.py::{name}", "group": None, "params": None,
            "extra_info": {"recipe": "tiny", "seeds": [0]},
            "stats": {"data": data},
        }
        for name, data in rounds.items()
    ]  # fmt: skip
    path = folder / "benchmarks" / "machine" / f"{number:04}_x.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {"datetime": when, "machine_info": {}, "commit_info": {"id": "a" * 40, "dirty": False}, "benchmarks": found}
        )
    )
    return path


def verdict(claim: str, **estimates: Figure) -> Verdict:
    return Verdict(
        claim=CATALOGUE.claim_named(claim), outcome=Outcome.REPRODUCED, why="", estimates=estimates, seeds=(0,)
    )


def test_of_each_benchmark_the_newest_file_counts_and_one_that_was_not_run_again_stays(tmp_path: Path) -> None:
    benchmark_file(tmp_path, 2, "2026-01-02T00:00:00", linear=[5.0, 4.0, 9.0])
    benchmark_file(tmp_path, 1, "2026-01-01T00:00:00", linear=[100.0], features=[7.0])
    found = {t.name: (t.median, t.rounds) for t in read_timings(tmp_path)}
    assert found == {"linear": (5.0, (5.0, 4.0, 9.0)), "features": (7.0, (7.0,))}
    ((_, members),) = grouped_bars(read_timings(tmp_path))
    assert [(t.name, bar.median, bar.high) for t, bar in members] == [
        ("features", 77.78, 77.78),
        ("linear", 55.56, 100.0),
    ]
    assert read_timings(tmp_path / "nothing here") == []


@pytest.mark.parametrize("text", ['{"datetime": "2026', "[]", '{"datetime": "x", "commit_info": {}}'])
def test_a_damaged_benchmark_file_is_named_and_nothing_is_written(
    text: str, make_record: MakeRecord, tmp_path: Path
) -> None:
    path = benchmark_file(tmp_path, 1, "2026-01-01T00:00:00", linear=[1.0])
    path.write_text(text)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        write_report(CATALOGUE, [], [make_record("linear")], tmp_path)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


def test_times_read_in_the_unit_that_suits_them() -> None:
    assert [seconds(t) for t in (1234.5, 61.04, 3.14159, 0.0421, 0.00042, 4.2e-8)] == [
        "1,234 s", "61.0 s", "3.14 s", "42.1 ms", "420 µs", "0.04 µs",
    ]  # fmt: skip


def test_bars_of_no_time_at_all_are_empty() -> None:
    assert [bar.median for bar in bars([(0.0, 0.0, 0.0)])] == [0.0]


def test_a_figures_section_is_a_section_of_the_claims() -> None:
    assert {section_named(name).heading for name in SECTIONS} <= {claim.section for claim in load_catalogue().claim}


def test_a_strip_holds_the_reruns_the_margin_and_the_interval_to_scale() -> None:
    measured = Figure((0.9241, 0.9246, 0.9251, 0.9256, 0.9261))
    (strip,) = strips(CATALOGUE, verdict("finetune.f1", **{"": measured}))
    assert strip.reference == reference("f1_2").values
    assert strip.allowed == pytest.approx((0.9197, 0.9297), abs=5e-5)  # about the reruns' mean, not the reported run
    low, high = strip.axis
    assert low < min(strip.reference) and high > max(strip.reference)
    assert strip.x(low) == 24 and strip.x(high) == 576 and strip.x((low + high) / 2) == 300
    assert max(height for _, _, height in strip.bins) == 1
    lefts = [left for left, _, _ in strip.bins]
    assert lefts == sorted(lefts) and lefts[0] == strip.x(min(strip.reference))
    assert 3 <= len(strip.ticks) <= 9
    assert all(x == strip.x(float(text)) for x, text in strip.ticks)
    assert "94 reruns" in strip.description and "n = 5" in strip.description


def test_a_claim_of_several_numbers_has_a_strip_each_and_one_of_words_has_none() -> None:
    parts: Any = {name: Figure((0.9,)) for name in ("accuracy", "weighted_f1")}
    assert [s.label for s in strips(CATALOGUE, verdict("published.model", **parts))] == ["accuracy", "weighted F1"]
    assert strips(CATALOGUE, verdict("tokens.string")) == ()
    assert strips(CATALOGUE, verdict("linear.matrix", **{"": Figure((0.9,))})) == ()


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 7.2e14])
def test_a_strip_of_one_lone_value_still_has_an_axis(value: float) -> None:
    strip = Strip(label="x", n=1, mean=value)
    assert strip.axis[0] < value < strip.axis[1]
    assert strip.ticks


def test_every_kind_of_claim_says_when_it_holds() -> None:
    assert set(RULES) == {str(kind) for kind in Kind}


def test_every_way_of_running_has_a_command_that_names_all_that_differs(make_record: MakeRecord) -> None:
    records = [make_record("finetune", seed=seed) for seed in (0, 1, 2, 7)]
    records += [make_record("linear", settings={"batching": "packed", "limit": 64}, recipe={"epochs": 6})]
    found = [command for _, command in commands(records)]
    assert found == [
        "python -m repro run finetune --recipe distilbert --corpus hub --precision fp32 --batching padded --device cpu "
        "--seeds 0-2,7",
        "python -m repro run linear --recipe distilbert --corpus hub --precision fp32 --batching packed --device cpu "
        "--epochs 6 --limit 64 --seeds 0",
    ]
    options = set(re.findall(r"--([a-z-]+)", " ".join(found)))
    assert {name.replace("-", "_") for name in options} <= set(run.__annotations__)
