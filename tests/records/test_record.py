"""Records: what is written comes back, nothing is overwritten, nothing broken is a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repro.errors import RecordError
from repro.records.durable import sealed, unsealed
from repro.records.schema import RowResults, Scores
from repro.records.store import find_finished, newest_runs, read_record, read_records, write_record
from tests.conftest import MakeRecord
from tests.running import ROOT, cases

RESULTS = ROOT / "results"
ROWS = {"validation": RowResults(labels=[0, 1], predictions=[0, 5], losses=[0.1, 2.5])}


def test_a_record_comes_back_as_it_was_written(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(rows=ROWS, facts={"text": "a [1, 2] in words", "nested": {"x": [1, [2.5]]}})
    path = write_record(record, tmp_path)
    assert read_record(path) == record
    assert path.parent == tmp_path / "runs" / "emotion" / "distilbert" / "finetune"
    assert "[0,5]" in path.read_text()  # predictions stay on one line


def test_no_record_replaces_another_and_the_oldest_is_read_first(make_record: MakeRecord, tmp_path: Path) -> None:
    days = ("03", "01", "02", "02", "02")
    paths = {write_record(make_record(started=f"2026-01-{day}T00:00:00Z"), tmp_path) for day in days}
    assert [r.provenance.started[8:10] for r in read_records(tmp_path)] == sorted(days)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == paths  # and no partial file stays


@pytest.mark.parametrize("case", cases("records/malformed.csv"), ids=lambda case: case["after"])
def test_a_malformed_record_is_named_with_what_is_wrong(
    case: dict[str, str], make_record: MakeRecord, tmp_path: Path
) -> None:
    path = write_record(make_record("linear"), tmp_path)
    good = write_record(make_record("linear", seed=1), tmp_path)
    after = case["after"].replace("LONG", str(10**400))
    path.write_text(sealed(unsealed(path.read_bytes()).decode().replace(case["before"], after)))
    content = good.read_bytes()
    with pytest.raises(RecordError, match=f"(?s){path.name}.*{case['message']}"):
        read_records(tmp_path)
    assert good.read_bytes() == content


SCORES: dict[str, Any] = {  # of three classes, the last of which has no row
    "n": 10, "accuracy": 0.7, "accuracy_interval": (0.4, 0.9), "weighted_f1_interval": (0.4, 0.9),
    "confusion": [[4, 1, 1], [1, 3, 0], [0, 0, 0]], "weighted_f1": 0.6 * 8 / 11 + 0.4 * 6 / 8,
    "macro_f1": (8 / 11 + 6 / 8) / 3, "class_f1": [8 / 11, 6 / 8, 0.0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", 0.7 + 2e-6),
        ("weighted_f1", 0.9999),
        ("weighted_f1", SCORES["weighted_f1"] - 2e-6),
        ("macro_f1", SCORES["weighted_f1"]),
        ("class_f1", [6 / 8, 8 / 11, 0.0]),
        ("class_f1", [8 / 11, 6 / 8]),
    ],
)
def test_a_score_that_its_confusion_matrix_does_not_give_is_refused(
    name: str, value: object, make_record: MakeRecord, tmp_path: Path
) -> None:
    right, wrong = (make_record(scores={"test": Scores(**scores)}) for scores in (SCORES, SCORES | {name: value}))
    assert read_record(write_record(right, tmp_path)) == right
    path = write_record(wrong, tmp_path)
    with pytest.raises(RecordError, match=rf"{path.name}: scores\.test: the {name} is not that of the confusion"):
        read_record(path)


def test_a_record_without_seal_is_refused(make_record: MakeRecord, tmp_path: Path) -> None:
    path = write_record(make_record(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n", b"\r\n"))  # as a checkout may write it
    assert read_record(path) == make_record()
    path.write_bytes(unsealed(content))
    with pytest.raises(RecordError, match=rf"{path.name} .*no seal"):
        read_record(path)


def test_the_committed_records_are_sound() -> None:
    assert read_records(RESULTS)


def test_a_path_into_a_record_finds_values_or_fails(make_record: MakeRecord) -> None:
    record = make_record(facts={"a b": {"c": [10, 20]}})
    assert (record.at("facts.a b.c.1"), record.at("corpus.splits.train.rows")) == (20, 16000)
    for wrong in ("facts.none", "facts.a b.c.9", "facts.a b.c.x", "settings.none", "seconds.train.x", "at"):
        with pytest.raises(KeyError):
            record.at(wrong)


def test_no_flipped_bit_and_no_cut_of_a_record_reads_as_a_result(make_record: MakeRecord, tmp_path: Path) -> None:
    path = write_record(make_record(rows=ROWS), tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 7):  # the last byte is the file's newline
        for content in (whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], whole[:place]):
            path.write_bytes(content)
            with pytest.raises(RecordError, match=path.name):
                read_record(path)
    path.write_bytes(whole.replace(b"\n", b"\r\n"))  # which a checkout may do
    assert read_record(path) == make_record(rows=ROWS)


def test_a_record_of_schema_1_is_read_without_what_it_lacks(make_record: MakeRecord, tmp_path: Path) -> None:
    path = write_record(make_record(), tmp_path)
    fields = json.loads(unsealed(path.read_bytes()))
    for name in ("run_key", "source_sha256", "declared_seeds", "precision_reason"):
        del fields[name]
    del fields["recipe"]["behaviour"]
    path.write_text(sealed(json.dumps({**fields, "schema_version": 1}, indent=1)))
    record = read_record(path)
    assert (record.schema_version, record.source_sha256, record.declared_seeds) == (1, None, None)
    assert record.spec == make_record().spec


def test_a_finished_run_is_the_newest_whole_record_of_its_key(make_record: MakeRecord, tmp_path: Path) -> None:
    key, folder = "a" * 64, make_record().folder

    def write(day: int, **parts: Any) -> Path:
        return write_record(make_record(run_key=key, started=f"2026-01-0{day}T00:00:00Z", **parts), tmp_path)

    assert find_finished(tmp_path, folder, key) is None
    older, newest = write(1), write(2)
    write(3, facts={"not_run": {"x": "y"}})
    assert find_finished(tmp_path, folder, key) == newest
    newest.write_bytes(newest.read_bytes()[:-20])
    assert find_finished(tmp_path, folder, key) == older
    assert find_finished(tmp_path, folder, "b" * 64) is None


def test_the_newest_run_of_each_setup_and_seed_is_kept(make_record: MakeRecord) -> None:
    days = [(0, 1, "fp32"), (1, 2, "fp32"), (0, 3, "bf16"), (0, 4, "fp32")]
    records = [
        make_record(seed=seed, started=f"2026-01-0{day}T00:00:00Z", settings={"precision": precision})
        for seed, day, precision in days
    ]
    newest = newest_runs(records, "finetune")
    assert [(r.settings.precision, r.settings.seed, r.provenance.started[9]) for r in newest] == [
        ("fp32", 0, "4"), ("fp32", 1, "2"), ("bf16", 0, "3"),
    ]  # fmt: skip
    assert newest_runs(records, "linear") == []
