"""The checker of histories sees bugs that are planted in runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from repro.sections import finetune
from repro.sections.models import model_folder
from repro.training.resume import state as states
from tests.faults.histories import play, reference
from tests.faults.launch import Place, Plant, warm_up


def older_states_removed_first() -> None:
    write_state = states.write_state

    def write(folder: Path, *arguments: Any, **named: Any) -> Path:
        for older in states.states_in(folder):
            older.unlink()
        return write_state(folder, *arguments, **named)

    vars(states)["write_state"] = write


BUGS: Mapping[str, tuple[Plant, int, str]] = {  # the first history in which it is seen, and a part of what is said
    "two owners of a model": (lambda: vars(finetune).update(own_model=lambda *run: nullcontext()), 18, "model"),
    "a record without its model": (
        lambda: vars(finetune).update(save_model=lambda _, context, seed, scores: model_folder(context, seed)),
        0,
        "no model folder",
    ),
    "older states removed first": (older_states_removed_first, 2, "a state was lost"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught_in_a_history(bug: str, tmp_path: Path) -> None:
    warm_up()
    plant, first, expected = BUGS[bug]
    histories = (play(seed, Place(tmp_path / str(seed)), reference(), plant) for seed in range(first, first + 40))
    assert any(expected in remark for outcome in histories for remark in outcome.remarks)
