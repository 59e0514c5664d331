"""`repro diagnose` as a student meets it: the sentence first, exit codes 0, 1 and 2, nothing written, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import cli


@pytest.fixture
def diagnose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["repro", "diagnose", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


Diagnose = Callable[..., tuple[int, str, str]]


def test_a_normal_run_leaves_with_0_and_says_its_percentile_first(diagnose: Diagnose) -> None:
    code, out, err = diagnose("--f1", "0.9226")
    assert (code, err) == (0, "")
    assert out.startswith("Normal: F1 0.9226 is at percentile 27 of the 94 reruns")
    assert "0.9191 to 0.9303" in out


def test_a_run_that_is_not_normal_leaves_with_1_the_mistake_and_its_remedy(diagnose: Diagnose) -> None:
    code, out, _ = diagnose("--f1", "0.9345", "--train-loss", "0.17,0.11")
    assert code == 1
    assert "trained twice" in out.splitlines()[0]
    assert out.splitlines()[1].startswith("Restart the kernel")
    assert diagnose("--f1", "0.8824", "--steps", "944")[0] == 1


def test_json_holds_the_same_answer(diagnose: Diagnose) -> None:
    code, out, _ = diagnose("--f1", "0.9345", "--train-loss", "0.17,0.11", "--json")
    found = json.loads(out)
    assert (code, found["outcome"], found["mistakes"][0]["id"]) == (1, "suspiciously high", "trained-twice")
    assert found["joint"]["figures"] == ["train_loss_1", "train_loss_2", "f1_2"]
    assert [figure["name"] for figure in found["figures"]] == ["train_loss_1", "train_loss_2", "f1_2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--f1", "92.4"), "Did you mean 0.924?"),
        (("--f1", "nan"), "F1 is nan"),
        (("--f1", "0.92", "--accuracy", "0.35"), "contradictory"),
        ((), "no figure of a run"),
        (("--f1", "0.92", "--split", "train"), "unknown split 'train'"),
        (("nowhere.json",), "No such file"),
        (("broken.json",), "is no complete JSON"),
        (("empty.ipynb",), "holds no outputs"),
        (("old.json",), "is no valid record"),
        (("broken.json", "--f1", "0.92"), "a file and figures beside it"),
        ((".",), "is a folder"),
    ],
)
def test_bad_input_is_two_lines_and_exit_code_2_and_nothing_is_written(
    arguments: tuple[str, ...], told: str, diagnose: Diagnose, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text('{"log_history": [')
    (tmp_path / "empty.ipynb").write_text('{"cells": []}')
    (tmp_path / "old.json").write_text('{"schema_version": 7}')
    before = sorted(tmp_path.rglob("*"))
    code, out, err = diagnose(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().splitlines()) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_option_is_told_with_exit_code_2(diagnose: Diagnose) -> None:
    code, _, err = diagnose("--f2", "0.9")
    assert code == 2
    assert "--f2" in err


def test_diagnose_loads_no_torch() -> None:
    program = (
        "import sys; sys.argv = ['repro', 'diagnose', '--f1', '0.9226', '--train-loss', '0.83,0.25']\n"
        "from repro.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'matplotlib', 'scipy.stats'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
