"""Strangers' files are read right: every cause of a wrong answer that was met, in six languages."""

from __future__ import annotations

import pytest

from tests.diagnosis.accuracy import KINDS, STRANGERS, TABLE, Case, cases, table

CASES = cases()
MET = {"commented-rate", "keras-rate", "interrupted", "failed", "earlier-table", "book-output", "no-log", "warm-up",
       "constant-schedule", "cased-tokenizer", "other-checkpoint", "table-by-step", "column-names", "sagemaker-log",
       "last-evaluation-missing", "other-task", "percent", "decimal-comma", "below-reruns", "epochs"}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_a_strangers_file_gets_the_right_answer(case: Case) -> None:
    outcome, said = case.answer()
    assert outcome in case.expected, said


def test_the_published_accuracy_is_that_of_these_files() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), "run `python -m tests.diagnosis.accuracy`"


def test_the_files_cover_all_causes_languages_and_kinds_a_third_of_them_blind() -> None:
    assert {case.file for case in CASES} == {
        path.relative_to(STRANGERS).as_posix() for path in STRANGERS.rglob("*") if path.suffix in KINDS
    }
    assert {cause for case in CASES for cause in case.causes} >= MET
    assert {case.language for case in CASES} == {"en", "ko", "ja", "zh", "es", "pt", "none"}
    assert sum(bool(case.first) for case in CASES) == sum(case.file.startswith("blind/") for case in CASES) == 32
    assert len(CASES) >= 60
