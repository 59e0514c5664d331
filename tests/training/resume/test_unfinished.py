"""Unfinished runs as a user meets them: what is not this run's state is refused in two lines, and stays as it is."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import cli
from repro.records.seal import sealed, unsealed

FINETUNE = ("run", "finetune", "--recipe", "tiny", "--corpus", "rehearsal", "--limit", "64", "--device", "cpu")
Repro = Callable[..., tuple[int, str, str]]


class Killed(BaseException):
    """The process is gone before its record was written."""


@pytest.fixture
def repro(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Repro:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["repro", *map(str, arguments)])
        with pytest.raises((SystemExit, Killed)) as left:
            cli.main()
        out, err = capsys.readouterr()
        code = left.value.code if isinstance(left.value, SystemExit) else 137
        return int(code or 0), out, err

    return call


def unfinished(repro: Repro, results: Path, *options: str) -> Path:
    """Start a run that is killed after its last step; return the newer of the states that it leaves."""

    def killed(*_: object) -> None:
        raise Killed

    before = set(results.glob("unfinished/*/step-*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.sections.runner.keep_record", killed)
        assert repro(*FINETUNE, "--results", results, *options)[0] == 137
    _, newer = sorted(set(results.glob("unfinished/*/step-*")) - before)
    return newer


def everything_in(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file but locks, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def test_a_state_of_a_newer_version_is_refused_and_stays(repro: Repro, tmp_path: Path) -> None:
    state = unfinished(repro, tmp_path)
    manifest = state / "manifest.json"
    content = json.loads(unsealed(manifest.read_bytes()))
    manifest.write_text(sealed(json.dumps({**content, "schema_version": content["schema_version"] + 1}, indent=1)))
    before = everything_in(tmp_path)
    code, _, err = repro(*FINETUNE, "--results", tmp_path)
    assert code == 2
    assert "newer version" in err
    assert "--fresh" in err.splitlines()[1]
    assert everything_in(tmp_path) == before


def test_a_state_of_another_recipe_is_refused_with_what_differs(repro: Repro, tmp_path: Path) -> None:
    mine, other = unfinished(repro, tmp_path), unfinished(repro, tmp_path, "--epochs", "3")
    for file in (*mine.iterdir(), mine):
        file.rmdir() if file.is_dir() else file.unlink()
    other.rename(mine.with_name(other.name))
    before = everything_in(tmp_path)
    code, _, err = repro(*FINETUNE, "--results", tmp_path)
    assert code == 2
    assert "another run: it differs in recipe.epochs" in err
    assert len(err.splitlines()) == 2
    assert everything_in(tmp_path) == before


def test_resuming_nothing_is_refused_and_writes_nothing(repro: Repro, tmp_path: Path) -> None:
    code, _, err = repro(*FINETUNE, "--results", tmp_path, "--resume")
    assert code == 2
    assert "there is nothing to resume of finetune, seed 0" in err
    assert len(err.splitlines()) == 2
    assert everything_in(tmp_path) == {}


def test_resuming_with_other_options_names_what_differs(repro: Repro, tmp_path: Path) -> None:
    unfinished(repro, tmp_path)
    before = everything_in(tmp_path)
    code, _, err = repro(*FINETUNE, "--results", tmp_path, "--resume", "--batching", "dynamic")
    assert code == 2
    assert "differs in batching" in err
    assert everything_in(tmp_path) == before
    code, out, err = repro(*FINETUNE, "--results", tmp_path, "--resume")
    assert code == 0
    assert "resuming finetune, seed 0 after step 2 of 2" in err
    assert "finetune, seed 0" in out


def test_resuming_from_a_damaged_state_is_refused(repro: Repro, tmp_path: Path) -> None:
    newer = unfinished(repro, tmp_path)
    for state in newer.parent.glob("step-*"):
        tensors = state / "tensors.safetensors"
        tensors.write_bytes(tensors.read_bytes()[:-9])
    code, _, err = repro(*FINETUNE, "--results", tmp_path, "--resume")
    assert code == 2
    assert "tensors.safetensors" in err
    names = sorted(path.name for path in newer.parent.glob("step-*"))
    assert names == ["step-000001.damaged", "step-000002.damaged"]
    assert not list((tmp_path / "runs").rglob("*.json"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--save-every", "0"), "--save-every 0: expected at least 1 step"),
        (("--fresh", "--resume"), "--fresh and --resume exclude each other"),
    ],
)
def test_contradicting_options_are_refused_before_anything_runs(
    options: tuple[str, ...], message: str, repro: Repro, tmp_path: Path
) -> None:
    code, _, err = repro(*FINETUNE, "--results", tmp_path / "results", *options)
    assert code == 2
    assert message in err
    assert not (tmp_path / "results").exists()


def test_a_file_in_the_place_of_the_states_is_reported(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "unfinished").write_text("")
    code, _, err = repro(*FINETUNE, "--results", tmp_path)
    assert code == 2
    assert "cannot save the states" in err
    assert everything_in(tmp_path) == {"unfinished": hashlib.sha256(b"").hexdigest()}
