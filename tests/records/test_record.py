"""Records: what is written comes back, nothing is overwritten, nothing broken is read as a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.errors import RecordError, ResultsError
from repro.records.schema import RowResults, RunRecord
from repro.records.seal import sealed, unsealed
from repro.records.store import (
    find_finished,
    newest_runs,
    prepare_results,
    read_record,
    read_records,
    write_record,
)

MakeRecord = Callable[..., RunRecord]


def test_a_record_comes_back_as_it_was_written(make_record: MakeRecord, tmp_path: Path) -> None:
    rows = {"validation": RowResults(labels=[0, 1], predictions=[0, 5], losses=[0.1, 2.5])}
    record = make_record(rows=rows, facts={"text": "a [1, 2] in words", "nested": {"x": [1, [2.5]]}})
    path = write_record(record, tmp_path)
    assert read_record(path) == record
    assert path.parent == tmp_path / "runs" / "emotion" / "distilbert" / "finetune"
    assert "[0,5]" in path.read_text()  # predictions stay on one line


def test_the_same_run_twice_is_two_records_and_no_partial_file_stays(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record()
    paths = {write_record(record, tmp_path) for _ in range(5)}
    assert len(paths) == 5
    assert set(tmp_path.rglob("*.*")) >= paths
    assert not list(tmp_path.rglob("*.partial"))
    assert len(read_records(tmp_path)) == 5


def test_records_are_read_oldest_first(make_record: MakeRecord, tmp_path: Path) -> None:
    for started in ("2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"):
        write_record(make_record(started=started), tmp_path)
    assert [r.provenance.started[5:7] for r in read_records(tmp_path)] == ["01", "02", "03"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[: len(text) // 2], "EOF"),
        (lambda text: text.replace('"schema_version": 2', '"schema_version": 99'), "schema_version"),
        (lambda text: text.replace('"peak_mib"', '"peak_mb"'), "peak_mi?b"),
        (lambda text: text.replace('"experiment": "finetune"', '"experiment": "../../etc"'), "experiment"),
        (lambda text: "", "EOF"),
        (lambda text: text.replace('"seed": 0', '"seed": -1'), "seed"),
        (lambda text: text.replace('"facts": {}', '"facts": {"x": [1, {"y": 1e999}]}'), "not finite"),
        (lambda text: text.replace('"facts": {}', f'"facts": {{"x": {10**400}}}'), "not finite"),
    ],
)
def test_a_malformed_record_is_named_with_what_is_wrong(
    change: Callable[[str], str], told: str, make_record: MakeRecord, tmp_path: Path
) -> None:
    path = write_record(make_record(), tmp_path)
    good = write_record(make_record(seed=1), tmp_path)
    path.write_text(change(unsealed(path.read_bytes()).decode()))  # as one from before there were seals
    before = good.read_bytes()
    with pytest.raises(RecordError, match=f"(?s){path.name}.*{told}"):
        read_records(tmp_path)
    assert good.read_bytes() == before


def test_a_results_folder_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ResultsError, match="cannot write to the results folder"):
        prepare_results(blocked / "results")


def test_a_folder_without_records_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="repro run"):
        read_records(tmp_path)


def test_a_record_tells_no_host_no_user_and_no_path(
    make_record: MakeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted_secret")
    monkeypatch.setenv("USER", "planted-user")
    monkeypatch.setenv("HOME", "/home/planted-user")
    monkeypatch.setattr("socket.gethostname", lambda: "planted-host")
    monkeypatch.setattr("platform.node", lambda: "planted-host")
    text = write_record(make_record(), tmp_path).read_text()
    assert "planted" not in text
    for path in (Path.cwd(), tmp_path):
        assert str(path) not in text


def test_a_path_into_a_record_finds_values_or_fails(make_record: MakeRecord) -> None:
    record = make_record(facts={"a b": {"c": [10, 20]}})
    assert record.at("facts.a b.c.1") == 20
    assert record.at("corpus.splits.train.rows") == 16000
    for wrong in ("facts.none", "facts.a b.c.9", "facts.a b.c.x", "settings.none", "seconds.train.x", "at"):
        with pytest.raises(KeyError):
            record.at(wrong)


def test_no_flipped_bit_and_no_cut_of_a_record_reads_as_a_result(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(rows={"validation": RowResults(labels=[0, 1], predictions=[0, 5], losses=[0.1, 2.5])})
    path = write_record(record, tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 7):  # the last byte is the file's newline
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(RecordError, match=path.name):
            read_record(path)
        path.write_bytes(whole[:place])
        with pytest.raises(RecordError, match=path.name):
            read_record(path)


def test_a_changed_score_is_told_as_a_change_and_line_ends_are_none(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(seconds={"train": 279.8125})
    path = write_record(record, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"279.8125", b"179.8125"))
    with pytest.raises(RecordError, match="changed or damaged after it was written"):
        read_record(path)
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    assert read_record(path) == record


def test_a_seal_is_the_hash_of_what_stands_before_it_and_leaves_json(tmp_path: Path) -> None:
    file = tmp_path / "sealed.json"
    file.write_text(sealed('{\n "a": 1\n}\n'))
    assert json.loads(file.read_text()) == {"a": 1, "sha256": hashlib.sha256(b'{\n "a": 1').hexdigest()}
    assert json.loads(unsealed(file.read_bytes())) == {"a": 1}


def test_a_record_of_schema_1_is_read_without_what_it_lacks(make_record: MakeRecord, tmp_path: Path) -> None:
    path = write_record(make_record(), tmp_path)
    held = json.loads(unsealed(path.read_bytes()))
    for name in ("run_key", "source_sha256", "declared_seeds", "precision_reason"):
        del held[name]
    del held["recipe"]["behaviour"]
    path.write_text(json.dumps({**held, "schema_version": 1}))
    record = read_record(path)
    assert (record.schema_version, record.source_sha256, record.declared_seeds) == (1, None, None)
    assert record.spec == make_record().spec


def test_a_finished_run_is_the_newest_whole_record_of_its_key(make_record: MakeRecord, tmp_path: Path) -> None:
    key, folder = "a" * 64, make_record().folder
    assert find_finished(tmp_path, folder, key) is None
    older, newest = (
        write_record(make_record(run_key=key, started=f"2026-01-0{day}T00:00:00Z"), tmp_path) for day in (1, 2)
    )
    write_record(make_record(run_key=key, started="2026-01-03T00:00:00Z", facts={"not_run": {"x": "y"}}), tmp_path)
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
    newest = [
        (r.settings.precision, r.settings.seed, r.provenance.started[9]) for r in newest_runs(records, "finetune")
    ]
    assert newest == [("fp32", 0, "4"), ("fp32", 1, "2"), ("bf16", 0, "3")]
    assert newest_runs(records, "linear") == []
