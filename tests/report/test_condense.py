"""A condensed results folder: the report shows the same, and what was superseded stays in its history."""

from __future__ import annotations

from pathlib import Path

from benchmarks.condense import condense
from repro.records.schema import RunRecord
from repro.records.store import read_records, write_record
from repro.report.timings import read_timings
from repro.training.metrics import score
from tests.claims.builders import report
from tests.conftest import MakeRecord
from tests.files import entry, save_benchmarks


def test_superseded_records_become_rows_of_the_history(make_record: MakeRecord, tmp_path: Path) -> None:
    def of(day: int, seed: int, source: str) -> RunRecord:
        scores = {"epoch-2/validation": score([0, 1, 2, 3, 4, 5, day], [0, 1, 2, 3, 4, 5, 1], classes=6)}
        started = f"2026-01-{day:02}T00:00:00Z"
        return make_record(scores=scores, seed=seed, started=started).model_copy(
            update={"source_sha256": source * 64, "seconds": {"train": float(day)}}
        )

    older, newest = [of(1, 0, "a"), of(2, 0, "a"), of(3, 1, "b")], [of(4, 0, "c"), of(5, 1, "c")]
    for record in (*older, *newest):
        write_record(record, tmp_path)
    report([*older, *newest], tmp_path)
    shown = (tmp_path / "tables" / "history.csv").read_text()
    condense(tmp_path)
    assert read_records(tmp_path) == newest
    report(newest, tmp_path)
    lines = (tmp_path / "tables" / "history.csv").read_text().splitlines()
    assert set(shown.splitlines()) < set(lines)  # and what superseded itself within its code
    assert [line.split(",")[0][:10] for line in lines[1:]] == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05"]
    condense(tmp_path)
    assert (tmp_path / "tables" / "history.csv").read_text().splitlines() == lines
    assert read_records(tmp_path) == newest


def test_the_newest_of_each_benchmark_stays_in_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    (tmp_path / "runs").mkdir()
    one, other = entry("test_one[packed-fp32]", [1.0, 2.0], unit="step"), entry("test_other", [3.0])
    save_benchmarks(folder / "a" / "0001.json", one, other, day="2026-01-01")
    save_benchmarks(folder / "b" / "0002.json", entry("test_one[packed-fp32]", [4.0], unit="step"), day="2026-01-02")
    save_benchmarks(folder / "b" / "0003.json", other, day="2026-01-03", gpu="GPU of a kind")
    before = read_timings(tmp_path)
    condense(tmp_path)
    assert read_timings(tmp_path) == before
    assert [path.name for path in folder.rglob("*.json")] == ["benchmarks.json"]
    condense(tmp_path)
    assert read_timings(tmp_path) == before
