"""What the gate says of sessions of unchanged code that were really measured, and of two stacks of libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.aa import IDLE, SESSIONS, failing, read_sessions, slowed, table
from benchmarks.stacks import stack_table
from repro.records.schema import RowResults
from repro.regression.session import Session


@pytest.fixture
def measured() -> Sequence[Any]:
    return read_sessions()


def test_unchanged_code_is_accused_once_at_most_in_all_measured_sessions(measured: Sequence[Any]) -> None:
    assert len(measured) >= 20
    assert sum(s["disturbed"] for s in measured) * 2 == len(measured)
    assert SESSIONS.with_name("table.md").read_text() == table(measured, read_sessions(IDLE)).to_markdown()
    assert sum(len(failing(s)) for s in measured) <= 1


def test_a_fifth_is_caught_in_nine_of_ten_benchmarks_of_an_idle_machine() -> None:
    idle = read_sessions(IDLE)
    factors = [1.0 if s["planted"] else 1.2 for s in idle]
    following = [*idle[1:], idle[0]]
    caught = sum(len(failing(s, factor=f, fresh=t)) for s, f, t in zip(idle, factors, following, strict=True) if f > 1)
    caught += sum(len(failing(s)) for s in idle if s["planted"])
    assert caught >= 0.9 * sum(len(s["first"]) for s in idle)


def test_a_machine_at_half_speed_is_not_accused_on_measured_rounds(measured: Sequence[Any]) -> None:
    for s in measured:
        halved = {n: [[(2 * a, 2 * b) for a, b in launch] for launch in ls] for n, ls in s["first"].items()}
        assert failing({**s, "first": halved}) == failing(s)


def test_two_stacks_say_which_calls_scores_and_times_move(make_record: Any) -> None:
    def stack(version: str, *, runs: bool, predictions: list[int]) -> list[Any]:
        calls = [{"call": "Trainer(tokenizer=…)", "runs": runs, "error": "TypeError"}]
        rows = {"validation": RowResults(labels=[0, 1, 2], predictions=predictions)}
        records = make_record("api", facts={"calls": calls}), make_record("finetune", rows=rows)
        return [
            r.model_copy(update={"provenance": r.provenance.model_copy(update={"versions": {"transformers": version}})})
            for r in records
        ]

    noise = np.random.default_rng(0).lognormal(0, 0.03, (6, 6, 2)).tolist()  # six launches of six rounds
    measured = Session(first=slowed({"step[tiny-packed]": noise}, 1.3), again={})
    pinned, other = stack("5.23.0", runs=False, predictions=[0, 1, 2]), stack("4.57", runs=True, predictions=[0, 1, 1])
    rows = stack_table(pinned, other, measured).rows
    assert ("library transformers", "5.23.0", "4.57", "") in rows
    assert ("call Trainer(tokenizer=…)", "TypeError", "runs", "works again") in rows
    assert ("finetune, validation, predictions", "3", "3", "1 rows are predicted otherwise") in rows
    assert any(row[0] == "time of step[tiny-packed]" and "× 1.3" in row[3] for row in rows)
