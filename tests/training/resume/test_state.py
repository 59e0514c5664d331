"""States on the disk: whole or not there, set aside where damaged, refused where they are another run's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from repro.errors import StateError
from repro.records.durable import digest_of
from repro.training.resume import state as states
from repro.training.resume.checkpointer import Checkpointer, CheckpointPolicy
from repro.training.resume.state import states_in, write_state
from tests.files import flip_a_bit
from tests.training.trial import Killed, accelerator

DECIDED_BY: dict[str, Any] = {"recipe": {"name": "tiny"}, "settings": {"seed": 0}}


def tensor(step: int) -> torch.Tensor:
    return torch.full((3, 2), float(step))


def save(folder: Path, step: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"at": step, "weights": {"a": [tensor(step)]}, "random": torch.get_rng_state()}
    return write_state(folder, content, decided_by=DECIDED_BY, step=step, steps=9)


def newest_step(own: Checkpointer) -> int | None:
    """The step of the newest whole state, once it holds what was saved."""
    if (state := own._newest_state()) is None:
        return None
    assert (state.steps, state.content["at"]) == (9, state.step)
    assert torch.equal(state.content["weights"]["a"][0], tensor(state.step))
    return state.step


def checkpointer(folder: Path, lines: list[str]) -> Checkpointer:
    policy = CheckpointPolicy(tell=lines.append)
    return Checkpointer(folder, "finetune, seed 0", DECIDED_BY, accelerator(), policy)


def test_a_machine_that_does_not_see_the_main_ones_state_is_told_to_share_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(files: list[str]) -> None:
        files[0] = f"step-000003-{'a' * 64}.safetensors"

    own = checkpointer(tmp_path, [])
    monkeypatch.setattr(own, "accelerator", SimpleNamespace(is_main_process=False, num_processes=2))
    monkeypatch.setattr("repro.training.resume.checkpointer.broadcast_object_list", send)
    with pytest.raises(StateError, match=r"does not see\nLet all machines share one results folder"):
        own._read()


def test_a_state_sets_nothing_but_what_a_checkpointer_saves(tmp_path: Path) -> None:
    own = checkpointer(tmp_path, [])
    folder, content = own.folder, {"notes": {"a": 1}, "seconds": 2.0, "resumed_after": [], "not_saved": 0}
    folder.mkdir()
    content |= {"training": {}, "folder": "elsewhere"}
    write_state(folder, content, decided_by=DECIDED_BY, step=3, steps=9)
    own._read()
    assert (own.folder, own.notes, own.seconds, own.resumed_after) == (folder, {"a": 1}, 2.0, [3])


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def other_metadata(file: Path) -> None:
    save_file({name: tensor.clone() for name, tensor in load_file(file).items()}, file, {"manifest": "{}"})


@pytest.mark.parametrize("damage", [flip_a_bit, cut, other_metadata])
def test_a_damaged_state_is_set_aside_and_the_one_before_it_read(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    lines: list[str] = []
    own = checkpointer(tmp_path, lines)
    older, newer = save(own.folder, 3), save(own.folder, 6)
    damage(newer)
    assert newest_step(own) == 3
    assert newer.with_name(f"{newer.name}.damaged").is_file()
    assert len(lines) == 1
    assert f"{newer} is damaged" in lines[0]
    damage(older)
    assert newest_step(own) is None
    assert lines[-1] == "every state of finetune, seed 0 is damaged: it starts at step 0"


def test_the_two_newest_states_stay(tmp_path: Path) -> None:
    saved = [save(tmp_path, step) for step in (3, 6, 9)]
    assert states_in(tmp_path) == [saved[2], saved[1]]


def test_a_state_that_cannot_be_read_now_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = checkpointer(tmp_path, [])
    state = save(own.folder, 3)

    def stale(path: Path) -> str:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(states, "digest_of", stale)
        with pytest.raises(StateError, match=r"cannot be read .*Stale file handle.*stays as it is"):
            own._newest_state()
    assert states_in(own.folder) == [state]
    assert newest_step(own) == 3


def test_a_disk_that_gives_back_other_bytes_leaves_the_older_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [save(tmp_path, step) for step in (3, 6)]
    monkeypatch.setattr(states, "_forget_cached", flip_a_bit)
    with pytest.raises(StateError, match=r"step-000009\S+ is damaged \(it is not the file that was saved"):
        save(tmp_path, 9)
    assert states_in(tmp_path) == older[::-1]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_disk_that_refuses_the_tensors_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = save(tmp_path, 3)

    def full(*arguments: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(states, "save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        save(tmp_path, 6)
    assert list(tmp_path.iterdir()) == [older]


@pytest.mark.parametrize("call", ["fsync", "rename", "unlink"])
def test_cut_off_at_any_call_of_a_save_a_whole_state_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)
    for number in range(4):
        own = checkpointer(tmp_path / str(number), [])
        save(own.folder, 3)
        calls = iter(range(10))

        def killed(*arguments: Any, at: int = number, calls: Any = calls, **named: Any) -> None:
            if next(calls) >= at:  # nobody is left to clean up
                raise Killed
            real(*arguments, **named)

        with monkeypatch.context() as patched:
            patched.setattr(os, call, killed)
            with suppress(Killed):
                save(own.folder, 6)
        assert newest_step(own) in (3, 6)
        assert digest_of(save(own.folder, 9)) in states_in(own.folder)[0].name
        assert not list(own.folder.glob(".step-*"))


def test_the_newest_state_of_a_completed_run_is_removed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, real, calls = checkpointer(tmp_path, []), os.unlink, iter(range(9))
    saved = [save(own.folder, step) for step in (3, 6)]

    def killed(*arguments: Any, **named: Any) -> None:
        if next(calls):
            raise Killed
        real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", killed)
        with suppress(Killed):
            own.discard()
    assert states_in(own.folder) == saved[1:]  # an older one would look like a run that is not complete


def test_a_folder_is_locked_while_a_run_has_it(tmp_path: Path) -> None:
    own, other = checkpointer(tmp_path, []), checkpointer(tmp_path, [])
    with own.locked():
        save(own.folder, 3)
        for _ in range(2):
            with pytest.raises(StateError, match="seed 0 is being run by another process"), other.locked():
                pass
            own.discard()  # as a completed run does: until it ends, nobody else makes it
    with other.locked():
        assert own.folder.is_dir()
    assert not own.folder.exists()
