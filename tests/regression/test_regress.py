"""`repro regress` as CI meets it: planted faults exit 1, bad input 2 with nothing written, and nothing else fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from repro import cli
from repro.assets.corpus import EMOTION
from repro.records.record import RowResults, RunRecord, write_record

MakeRecord = Callable[..., RunRecord]
Regress = Callable[..., tuple[int, str, str]]
MACHINE = {"cpu": {"brand_raw": "AMD EPYC", "count": 2}, "threads": 2, "libraries": {"torch": "2.13.0"}}
STEADY = [1.0, 1.01, 1.02, 0.99, 1.03, 1.0, 0.98]


@pytest.fixture
def regress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Regress:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["repro", "regress", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


def benchmarks(
    path: Path, *, written: str = "2026-01-01T00:00:00+00:00", gpu: str | None = None, **by_name: Any
) -> Path:
    """Write a file as pytest-benchmark does; a value is its rounds, or `(rounds, calibration)`."""
    entries = []
    for name, value in by_name.items():
        rounds, calibration = value if isinstance(value, tuple) else (value, None)
        extra = {} if calibration is None else {"calibration_seconds": calibration}
        full = f"benchmarks/test_step.py::{name}"
        entries.append({"name": name, "fullname": full, "stats": {"data": rounds}, "extra_info": extra})
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {**MACHINE, "accelerator": gpu}
    path.write_text(json.dumps({"datetime": written, "machine_info": machine, "benchmarks": entries}))
    return path


def seeds(make: MakeRecord, results: Path, count: int = 3, *, dropped: int = 0, **parts: Any) -> Path:
    """Write fine-tunings: of 2,000 rows 150 are right with every second seed, and the first `dropped` are wrong."""
    for seed in range(count):
        random = np.random.default_rng(seed + 10 * dropped)
        labels = np.arange(2000) % 6
        wrong = (np.arange(2000) < dropped) | ((np.arange(2000) >= 1850) & (random.random(2000) < 0.5))
        rows = RowResults(labels=labels.tolist(), predictions=np.where(wrong, (labels + 1) % 6, labels).tolist())
        write_record(make(seed=seed, rows={"validation": rows}, **parts), results)
    return results


def test_the_same_measured_again_exits_0_and_names_the_files_used(
    regress: Regress, make_record: MakeRecord, tmp_path: Path
) -> None:
    for side in ("before", "after"):
        seeds(make_record, tmp_path / side)
        benchmarks(tmp_path / side / "benchmarks" / "m" / "0001.json", written="2026-01-02T00:00:00", step=STEADY)
        benchmarks(tmp_path / side / "benchmarks" / "m" / "0002.json", step=[9.0] * 7, old=STEADY)
    code, out, err = regress(tmp_path / "before", tmp_path / "after")
    assert (code, err) == (0, "")
    assert "3 records; benchmarks: 0001.json (1), 0002.json (1)" in out  # the newest of each benchmark
    assert "1 s (7)" in out
    assert "9 s (7)" not in out


def test_a_drop_of_one_point_exits_1(regress: Regress, make_record: MakeRecord, tmp_path: Path) -> None:
    before, after = seeds(make_record, tmp_path / "before"), seeds(make_record, tmp_path / "after", dropped=20)
    code, out, _ = regress(before, after)
    assert code == 1
    assert "finetune:validation weighted F1" in out
    assert regress(after, before)[0] == 0  # an improvement


def test_one_seed_of_the_candidate_is_undecided_and_fails_where_strict(
    regress: Regress, make_record: MakeRecord, tmp_path: Path
) -> None:
    before, after = seeds(make_record, tmp_path / "before"), seeds(make_record, tmp_path / "after", 1, dropped=7)
    code, out, _ = regress(before, after)
    assert code == 0
    assert "seeds a side would decide" in out
    assert regress(before, after, "--strict")[0] == 1


def test_a_slowdown_of_30_percent_exits_1_unless_the_threshold_allows_it(regress: Regress, tmp_path: Path) -> None:
    before = benchmarks(tmp_path / "a.json", step=STEADY, other=STEADY)
    after = benchmarks(tmp_path / "b.json", step=[1.3 * x for x in STEADY], other=STEADY)
    code, out, _ = regress(before, after)
    assert code == 1
    assert "× 1.30 [1.27, 1.33]" in out
    assert "1 hold, 1 regression" in out
    assert regress(before, after, "--threshold", "1.4")[0] == 0
    assert regress(before, after, "--only", "other")[0] == 0


def test_a_machine_of_half_the_speed_is_no_regression(regress: Regress, tmp_path: Path) -> None:
    before = benchmarks(tmp_path / "a.json", step=(STEADY, [0.1] * 7))
    after = benchmarks(tmp_path / "b.json", step=([2 * x for x in STEADY], [0.2] * 7))
    code, out, _ = regress(before, after)
    assert code == 0
    assert "× 1.00" in out


def test_a_rename_is_caught_both_ways_and_naming_it_new_is_not_enough(regress: Regress, tmp_path: Path) -> None:
    before, after = benchmarks(tmp_path / "a.json", step=STEADY), benchmarks(tmp_path / "b.json", pace=STEADY)
    code, out, _ = regress(before, after)
    assert code == 1
    assert "1 missing, 1 not in the baseline" in out
    assert regress(before, after, "--new", "pace")[0] == 1


def test_what_is_named_new_may_lack_a_baseline(regress: Regress, tmp_path: Path) -> None:
    before = benchmarks(tmp_path / "a.json", step=STEADY)
    after = benchmarks(tmp_path / "b.json", step=STEADY, more=STEADY)
    assert regress(before, after)[0] == 1
    for name in ("more", "benchmarks/test_step.py::more", "mor*"):
        assert regress(before, after, "--new", name)[0] == 0


def test_raw_seconds_of_another_machine_are_not_comparable_and_exit_2(regress: Regress, tmp_path: Path) -> None:
    before, after = benchmarks(tmp_path / "a.json", step=STEADY), benchmarks(tmp_path / "b.json", step=STEADY)
    after.write_text(after.read_text().replace("AMD EPYC", "Xeon"))
    code, out, _ = regress(before, after)
    assert code == 2
    assert "not comparable, because neither is calibrated and processor was AMD EPYC and is Xeon" in out


def on_both_devices(results: Path, cpu: list[float], gpu: list[float]) -> Path:
    benchmarks(results / "benchmarks" / "cpu.json", step=(cpu, [0.1] * 7))
    benchmarks(results / "benchmarks" / "gpu.json", written="2026-02-01T00:00:00", gpu="H200", step=(gpu, [0.1] * 7))
    return results


def test_a_gpus_newer_file_beside_the_cpus_is_neither_the_baseline_nor_missing(
    regress: Regress, tmp_path: Path
) -> None:
    both = on_both_devices(tmp_path / "both", STEADY, [x / 100 for x in STEADY])
    slow = [1.3 * x for x in STEADY]
    cpu = benchmarks(tmp_path / "cpu.json", step=(slow, [0.1] * 7))
    code, out, _ = regress(both, cpu)
    assert code == 1
    assert "× 1.30" in out
    assert "1 regression" in out
    assert "benchmarks: cpu.json (1)" in out
    assert "gpu.json" not in out
    assert regress(cpu, both)[0] == 0  # the other way round it is faster
    gpu = benchmarks(tmp_path / "gpu.json", gpu="T4", step=([x / 100 for x in slow], [0.1] * 7))
    assert "× 1.30" in regress(both, gpu)[1]
    assert "2 hold" in regress(both, both)[1]


def test_a_gpu_alone_against_a_cpu_alone_is_not_comparable_and_exits_2(regress: Regress, tmp_path: Path) -> None:
    gpu = benchmarks(tmp_path / "a.json", gpu="H200", step=(STEADY, [0.1] * 7))
    cpu = benchmarks(tmp_path / "b.json", step=(STEADY, [0.1] * 7))
    code, out, _ = regress(gpu, cpu)
    assert code == 2
    assert "not comparable, because the baseline ran on a GPU and the candidate on the CPU" in out
    assert "missing" not in out


def test_two_devices_are_picked_by_name(regress: Regress, tmp_path: Path) -> None:
    both = on_both_devices(tmp_path, STEADY, [x / 100 for x in STEADY])
    code, out, _ = regress(both, both, "--baseline-where", "device=cpu", "--candidate-where", "device=cuda")
    assert code == 2
    assert "the baseline ran on the CPU and the candidate on a GPU" in out


def test_where_nothing_can_be_judged_nothing_passes(regress: Regress, tmp_path: Path) -> None:
    before, after = benchmarks(tmp_path / "a.json", step=[1.0]), benchmarks(tmp_path / "b.json", step=[5.0])
    code, out, _ = regress(before, after)
    assert code == 2
    assert "one round, no interval: not judged" in out


def test_a_claim_that_was_reproduced_and_deviates_or_is_gone_exits_1(
    regress: Regress, make_record: MakeRecord, tmp_path: Path
) -> None:
    rows = {"before": [16000, 2000, 2000], "after": [1, 2, 3]}
    for side, found in rows.items():
        write_record(make_record("corpus-facts", facts={"rows": found, "median_words": 1}), tmp_path / side)
    code, out, _ = regress(tmp_path / "before", tmp_path / "after", "--only", "corpus.rows")
    assert code == 1
    assert "deviates (different)" in out or "deviates (low)" in out
    assert regress(tmp_path / "after", tmp_path / "before", "--only", "corpus.rows")[0] == 0
    seeds(make_record, tmp_path / "other")
    assert "1 missing" in regress(tmp_path / "before", tmp_path / "other", "--only", "corpus.rows")[1]


def test_two_ways_of_running_are_compared_where_they_are_named(
    regress: Regress, make_record: MakeRecord, tmp_path: Path
) -> None:
    both = seeds(make_record, tmp_path, settings={"batching": "packed"})
    seeds(make_record, both, settings={"batching": "dynamic"}, started="2026-01-02T00:00:00Z")
    pick = "--baseline-where", "batching=packed", "--candidate-where"
    code, out, _ = regress(both, both, *pick, "batching=dynamic")
    assert code == 0
    assert out.count("finetune:validation accuracy") == 1
    assert regress(both, both, "--baseline-where", "seed=0", "--candidate-where", "seed=1,2")[0] == 0
    code, _, err = regress(both, both, *pick[:2])
    assert code == 2
    assert "which one is the candidate?" in err
    assert "nothing in" in regress(both, both, *pick, "batching=padded")[2]
    assert "unknown setting 'batch'" in regress(both, both, *pick, "batch=packed")[2]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: text[:-40], "EOF while parsing"),
        (lambda text: text.replace("1.03", "NaN"), "stats.data.4: Input should be a finite number"),
        (lambda text: text.replace("1.03", "-1.03"), "greater than 0"),
        (lambda text: text.replace('"data"', '"mean"'), "stats.data: Field required"),
        (lambda text: text.replace("0.1, ", "", 1), "7 rounds and 6 calibrations"),
        (lambda text: text.replace("2026-01-01T", "yesterday "), "datetime"),
        (lambda _: "[]", "is no benchmark file"),
        (lambda _: "", "is no benchmark file"),
    ],
)
def test_a_damaged_benchmark_file_exits_2_and_nothing_is_written(
    damage: Callable[[str], str], told: str, regress: Regress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = benchmarks(tmp_path / "good.json", step=(STEADY, [0.1] * 7))
    bad = tmp_path / "bad.json"
    bad.write_text(damage(good.read_text()))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    code, out, err = regress(good, bad, "--junit", tmp_path / "junit.xml")
    assert (code, out) == (2, "")
    assert told in err
    assert "bad.json" in err
    assert len(err.strip().splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "good.json"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"corpus": EMOTION.model_copy(update={"name": "other"})}, "of another corpus than the candidate: name is"),
        ({"recipe": {"learning_rate": 1e-4}}, "of another recipe than the candidate: learning_rate is"),
    ],
)
def test_a_baseline_of_another_corpus_or_recipe_exits_2(
    change: dict[str, Any], told: str, regress: Regress, make_record: MakeRecord, tmp_path: Path
) -> None:
    before, after = seeds(make_record, tmp_path / "before", 1, **change), seeds(make_record, tmp_path / "after", 1)
    code, out, err = regress(before, after, "--junit", tmp_path / "junit.xml")
    assert (code, out) == (2, "")
    assert told in err
    assert not (tmp_path / "junit.xml").exists()


def test_bad_records_folders_and_names_exit_2(regress: Regress, make_record: MakeRecord, tmp_path: Path) -> None:
    good = seeds(make_record, tmp_path / "good", 1)
    for name, change in (("old", ('"schema_version": 2', '"schema_version": 3')), ("cut", ("}", ""))):
        shutil.copytree(good, tmp_path / name)
        record = next((tmp_path / name).rglob("*.json"))
        record.write_text(record.read_text().replace(*change))
        code, out, err = regress(good, tmp_path / name)
        assert (code, out) == (2, "")
        assert f"{record.name} is no valid record (schema 2)" in err
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    assert "holds neither records" in regress(good, tmp_path / "empty")[2]
    assert "there is no file or folder" in regress(tmp_path / "nowhere", good)[2]
    assert "Did you mean 'finetune:validation'" in regress(good, good, "--only", "finetune:validaton")[2]
    assert "unknown name 'x'" in regress(good, good, "--new", "x")[2]
    assert "expected a ratio of at least 1" in regress(good, good, "--threshold", "nan")[2]


def test_hostile_names_are_text_in_junit_summary_and_json(
    regress: Regress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'x<script>&"]]>|\x1b[31m\x00\u202e'
    rounds: dict[str, Any] = {name: STEADY}
    before = benchmarks(tmp_path / "a.json", **rounds)
    after = benchmarks(tmp_path / "b.json", **(rounds | {name: [2 * x for x in STEADY]}))
    (tmp_path / "summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    code, out, _ = regress(before, after, "--json", "--junit", tmp_path / "junit.xml")
    assert code == 1
    assert json.loads(out)["findings"][0]["name"] == f"benchmarks/test_step.py::{name}"
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")  # noqa: S314 (written just now)
    assert suite is not None
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["1", "1", "0", "0"]
    assert 'x<script>&"]]>|' in (suite[0].get("name") or "")
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n### repro regress: regression")
    assert "&lt;script>" in summary
    assert not {"\x1b", "\x00", "\u202e"} & set(summary + regress(before, after)[1])


def test_a_terminal_of_80_columns_shows_every_name_whole(
    regress: Regress, make_record: MakeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = seeds(make_record, tmp_path)
    rounds: dict[str, Any] = {"test_a_name_that_is_very_long[packed-bf16-cpu]": STEADY}
    benchmarks(both / "benchmarks" / "0001.json", **rounds)
    for name, value in (("COLUMNS", "80"), ("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    out = regress(both, both)[1]
    table = [line for line in out.splitlines() if "│" in line]
    assert max(map(len, table)) <= 80
    assert "test_a_name_that_is_very_long[packed-bf16-cpu]" in "".join(line.partition("│")[0].strip() for line in table)


def test_it_loads_neither_torch_nor_scipy(make_record: MakeRecord, tmp_path: Path) -> None:
    both = seeds(make_record, tmp_path)
    program = (
        f"import sys; sys.argv = ['repro', 'regress', {str(both)!r}, {str(both)!r}]\n"
        "from repro.cli import main\n"
        "try: main()\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
