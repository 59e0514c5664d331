"""States on the disk: whole or not there, set aside where damaged, refused where they are another run's."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from repro.errors import StateError
from repro.records.seal import sealed
from repro.spec import run_key
from repro.training.resume import state as states
from repro.training.resume.lock import locked
from repro.training.resume.state import MANIFEST, State, read_newest, states_in, write_state

DECIDED_BY: dict[str, Any] = {"recipe": {"name": "tiny"}, "settings": {"seed": 0}}
KEY = run_key(DECIDED_BY)


def save(folder: Path, step: int) -> Path:
    tensors = {"model/weight": torch.full((3, 2), float(step)), "process-0/torch": torch.get_rng_state()}
    return write_state(folder, {"at": step}, tensors, key=KEY, decided_by=DECIDED_BY, step=step, steps=9)


def read(folder: Path, lines: list[str] | None = None) -> State | None:
    return read_newest(folder, key=KEY, decided_by=DECIDED_BY, tell=(lines if lines is not None else []).append)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink], ids=["flipped bit", "cut off", "missing"])
@pytest.mark.parametrize("name", ["manifest.json", "tensors.safetensors"])
def test_a_damaged_state_is_set_aside_and_the_one_before_it_read(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    older, newer = save(tmp_path, 3), save(tmp_path, 6)
    damage(newer / name)
    lines: list[str] = []
    state = read(tmp_path, lines)
    assert state is not None
    assert (state.manifest.step, state.manifest.numbers) == (3, {"at": 3})
    assert torch.equal(state.part("model")["weight"], torch.full((3, 2), 3.0))
    assert newer.with_name("step-000006.damaged").is_dir()
    assert len(lines) == 1
    assert f"{newer} is damaged" in lines[0]
    assert name in lines[0]
    damage(older / name)
    assert read(tmp_path) is None


def test_the_two_newest_states_stay(tmp_path: Path) -> None:
    saved = [save(tmp_path, step) for step in (3, 6, 9)]
    assert states_in(tmp_path) == [saved[2], saved[1]]


def test_a_disk_that_gives_back_other_bytes_leaves_the_older_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [save(tmp_path, 3), save(tmp_path, 6)]
    monkeypatch.setattr(states, "_forget_cached", lambda file: flip(file) if file.suffix == ".safetensors" else None)
    with pytest.raises(StateError, match=r"step-000009 is damaged \(\S+ is not the file that was saved"):
        save(tmp_path, 9)
    assert states_in(tmp_path) == older[::-1]


def test_a_state_of_a_newer_version_is_refused_and_stays(tmp_path: Path) -> None:
    manifest = save(tmp_path, 3) / MANIFEST
    found = json.loads(manifest.read_text())
    del found["sha256"]
    manifest.write_text(sealed(json.dumps({**found, "schema_version": 3, "news": 1}, indent=1)))
    with pytest.raises(StateError, match=r"newer version of the suite \(schema 3, this one reads 2\)"):
        read(tmp_path)
    assert states_in(tmp_path)


def test_a_state_of_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    save(tmp_path, 3)
    other: dict[str, Any] = {"recipe": {"name": "minilm"}, "settings": {"seed": 0}}
    with pytest.raises(StateError, match=r"another run: it differs in recipe\.name"):
        read_newest(tmp_path, key=run_key(other), decided_by=other, tell=print)
    assert states_in(tmp_path)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_cut_off_at_any_call_of_a_save_a_whole_state_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        save(folder, 3)
        calls = iter(range(10))

        def killed(*arguments: Any, at: int = number, calls: Any = calls) -> None:
            if next(calls) == at:
                raise Killed
            real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(os, call, killed)
            patched.setattr(shutil, "rmtree", lambda *arguments, **named: None)  # nobody is left to clean up
            with suppress(Killed):
                save(folder, 6)
        state = read(folder)
        assert state is not None
        assert state.manifest.numbers["at"] == state.manifest.step
        assert torch.equal(state.part("model")["weight"], torch.full((3, 2), float(state.manifest.step)))
        assert save(folder, 9).exists()


def test_a_disk_that_refuses_the_tensors_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 3)

    def full(*arguments: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(states, "save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        save(tmp_path, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000003"]


def test_a_folder_is_locked_until_its_process_dies(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom repro.training.resume.lock import locked\n"
        f"with locked(Path({str(folder)!r}), 'finetune, seed 0'):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(StateError, match="seed 0 is being run by another process"),
            locked(folder, "finetune, seed 0"),
        ):
            pass
        other.kill()
        other.wait()
    with locked(folder, "finetune, seed 0"):
        shutil.rmtree(folder)  # as a finished run does
    with locked(folder, "finetune, seed 0"):
        assert folder.is_dir()


def test_a_state_that_cannot_be_read_now_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = save(tmp_path, 3)

    def stale(path: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("repro.training.resume.state.digest_of", stale)
        with pytest.raises(StateError, match=r"cannot be read .*Stale file handle.*stays as it is"):
            read(tmp_path)
    assert states_in(tmp_path) == [state]
    assert read(tmp_path) is not None
