"""`repro regress A B` on two results folders: planted faults exit 1, bad input 2, sides not run alike 6."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from repro.assets.corpus import EMOTION
from repro.records.schema import RowResults
from repro.records.store import read_records, write_record
from repro.training.metrics import score
from tests.conftest import CallRepro, MakeRecord
from tests.files import entry, save_benchmarks
from tests.running import cases

Write = Callable[..., Path]
ROUNDS = (1.0, 1.01, 1.02, 0.99)


@pytest.fixture
def tuned(make_record: MakeRecord, tmp_path: Path) -> Write:
    """Write fine-tunings: of 2,000 rows 150 are right with every second seed, and the first `dropped` are wrong."""

    def write(side: str, count: int = 3, *, dropped: int = 0, **parts: Any) -> Path:
        for seed in range(count):
            random = np.random.default_rng(seed + 10 * dropped)
            labels, place = np.arange(2000) % 6, np.arange(2000)
            wrong = (place < dropped) | ((place >= 1850) & (random.random(2000) < 0.5))
            rows = RowResults(labels=labels.tolist(), predictions=np.where(wrong, (labels + 1) % 6, labels).tolist())
            write_record(make_record(seed=seed, rows={"validation": rows}, **parts), tmp_path / side)
        return tmp_path / side

    return write


@pytest.mark.parametrize("case", cases("regression/scores.csv"), ids=lambda case: case["what"])
def test_scores_on_the_same_rows(case: dict[str, str], regress: CallRepro, tuned: Write) -> None:
    dropped = int(case["dropped"])
    before, after = (
        tuned("before", dropped=-min(0, dropped)),
        tuned("after", int(case["count"]), dropped=max(0, dropped)),
    )
    left, out, err = regress(before, after, *case["options"].split())
    assert (left, err) == (int(case["code"]), "")
    assert re.search(case["said"], out)


def test_seeds_of_older_code_dilute_no_regression(regress: CallRepro, tuned: Write) -> None:
    before, after = tuned("before", 5), tuned("after", 5)
    for record in read_records(tuned("newer", 3, dropped=40)):
        provenance = record.provenance.model_copy(update={"commit": "f" * 40, "started": "2026-02-01T00:00:00Z"})
        write_record(record.model_copy(update={"provenance": provenance}), after)
    code, out, _ = regress(before, after)
    assert (code, "(3)" in out) == (1, True)


def test_a_section_that_one_side_lacks_fails(regress: CallRepro, tuned: Write, make_record: MakeRecord) -> None:
    before, after, labels = tuned("before"), tuned("after"), [0, 1, 2, 3, 4, 5] * 20
    write_record(make_record("linear", rows={"logistic": RowResults(labels=labels, predictions=labels)}), before)
    code, out, _ = regress(before, after)
    assert (code, "linear:logistic" in out) == (1, True)
    only = "--only", "linear:*"
    assert regress(before, after, *only)[1].endswith("regression: 1 missing\n")
    assert regress(after, before, *only)[1].endswith("regression: 1 not in the baseline\n")
    assert regress(after, before, "--only", "finetune:*", *only, "--new", "linear:*")[0] == 0


def test_a_score_without_rows_that_one_side_lacks_fails(regress: CallRepro, tuned: Write) -> None:
    name, only = "finetune:epoch-1/validation", ("--only", "finetune:*")
    scores = {"epoch-1/validation": score([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4], classes=6)}
    before, after = tuned("before", scores=scores), tuned("after")
    code, out, _ = regress(before, after, *only)
    assert (code, f"the candidate lacks it: {name}" in out) == (1, True)
    assert regress(before, before, *only)[0] == regress(after, before, *only, "--new", name)[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"precision": "bf16"}}, "precision is bf16 there and fp32 here"),
        ({"settings": {"batching": "packed"}}, "batching is packed there and padded here"),
        ({"corpus": EMOTION.model_copy(update={"name": "other"})}, "corpus is other there and emotion here"),
        ({"recipe": {"learning_rate": 1e-4}}, "recipe.learning_rate differ"),
    ],
)
def test_sides_that_were_not_run_alike_are_one_line_and_exit_6(
    change: dict[str, Any], message: str, regress: CallRepro, tuned: Write, tmp_path: Path
) -> None:
    code, out, err = regress(tuned("before", 1, **change), tuned("after", 1), "--junit", tmp_path / "junit.xml")
    assert (code, out) == (6, "")
    assert f"finetune of the baseline can't be compared: {message}" in err
    assert not (tmp_path / "junit.xml").exists()


def test_two_ways_of_running_are_judged_separately(regress: CallRepro, tuned: Write) -> None:
    both = tuned("both", settings={"batching": "packed"})
    tuned("both", settings={"batching": "dynamic"}, started="2026-01-02T00:00:00Z")
    code, out, _ = regress(both, both, "--json")
    setups = [c["setup"] for c in json.loads(out)["comparisons"] if c["measure"] == "accuracy"]
    assert (code, len(setups), len(set(setups))) == (0, 2, 2)


def test_a_claim_that_no_longer_holds_fails(
    regress: CallRepro, tuned: Write, make_record: MakeRecord, tmp_path: Path
) -> None:
    for side, rows in {"before": [16000, 2000, 2000], "after": [1, 2, 3]}.items():
        write_record(make_record("corpus-facts", facts={"rows": rows, "median_words": 1}), tmp_path / side)
    before, after, only = tmp_path / "before", tmp_path / "after", ("--only", "corpus.rows")
    code, out, _ = regress(before, after, *only)
    assert (code, "deviates" in out) == (1, True)
    assert regress(after, before, *only)[0] == 0
    assert "1 missing" in regress(before, tuned("other"), *only)[1]


def test_stored_seconds_are_shown_and_fail_nothing(regress: CallRepro, tuned: Write) -> None:
    sides = tuned("before"), tuned("after")
    for side, factor in zip(sides, (1, 5), strict=True):
        save_benchmarks(side / "benchmarks" / "0001.json", entry("step", [factor * seconds for seconds in ROUNDS]))
    code, out, _ = regress(*sides)
    assert code == 0
    assert "× 5.00" in out and "measured in different sessions: for information, fails nothing" in out
    code, out, _ = regress(*sides, "--only", "benchmarks/*")
    assert (code, "nothing could be judged: 1 not judged" in out) == (6, True)


@pytest.mark.parametrize("case", cases("regression/damaged.csv"), ids=lambda case: case["message"])
def test_a_damaged_benchmark_file_exits_2(
    case: dict[str, str], regress: CallRepro, tuned: Write, tmp_path: Path
) -> None:
    good, bad = tuned("good", 1), tuned("bad", 1)
    file = save_benchmarks(bad / "benchmarks" / "0001.json", entry("step", ROUNDS))
    before, after = case["before"], case["after"]
    file.write_text(file.read_text().replace(before, after) if before else after)
    code, out, err = regress(good, bad, "--junit", tmp_path / "junit.xml")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 2)
    assert case["message"] in err
    assert not (tmp_path / "junit.xml").exists()


def test_bad_records_folders_and_names_exit_2(regress: CallRepro, tuned: Write, tmp_path: Path) -> None:
    good = tuned("good", 1)
    for name, change in (("old", ('"schema_version": ', '"schema_version": 9')), ("cut", ("}", ""))):
        shutil.copytree(good, tmp_path / name)
        record = next((tmp_path / name).rglob("*.json"))
        record.write_text(record.read_text().replace(*change))
        code, out, err = regress(good, tmp_path / name)
        assert (code, out) == (2, "")
        assert record.name in err
    assert "holds no records" in regress(tmp_path / "nowhere", good)[2]
    assert "Did you mean 'finetune:validation'" in regress(good, good, "--only", "finetune:validaton")[2]
    assert "unknown name 'x'" in regress(good, good, "--new", "x")[2]
    assert "expected a share from 0 to 1" in regress(good, good, "--margin", "nan")[2]
    assert "expected two results folders" in regress(good)[2]


def test_hostile_names_are_text_in_junit_summary_and_json(
    regress: CallRepro, make_record: MakeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, labels = 'x<script>&"]]>|\x1b[31m\x00\u202e', [0, 1, 2, 3, 4, 5] * 100
    for side, predicted in (("before", labels), ("after", [0] * 600)):
        rows = {name: RowResults(labels=labels, predictions=predicted)}
        write_record(make_record("linear", rows=rows), tmp_path / side)
    (tmp_path / "summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    code, out, _ = regress(tmp_path / "before", tmp_path / "after", "--json", "--junit", tmp_path / "junit.xml")
    assert code == 1
    assert json.loads(out)["comparisons"][0]["name"] == f"linear:{name}"
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")  # noqa: S314 (written just now)
    assert suite is not None
    assert [suite.get(key) for key in ("tests", "failures", "skipped")] == ["5", "2", "0"]
    assert 'x<script>&"]]>|' in (suite[0].get("name") or "")
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n### repro regress: regression")
    assert "&lt;script>" in summary
    assert not {"\x1b", "\x00", "\u202e"} & set(summary + regress(tmp_path / "before", tmp_path / "after")[1])


def test_a_terminal_of_80_columns_shows_every_name_whole(
    regress: CallRepro, make_record: MakeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, labels = "a-classifier-whose-name-is-very-long/validation", [0, 1] * 50
    write_record(make_record("linear", rows={name: RowResults(labels=labels, predictions=labels)}), tmp_path)
    for variable, value in (("COLUMNS", "80"), ("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(variable, value)
    table = [line for line in regress(tmp_path, tmp_path)[1].splitlines() if "│" in line]
    assert max(map(len, table)) <= 80
    assert f"linear:{name}" in "".join(line.partition("│")[0].strip() for line in table)
