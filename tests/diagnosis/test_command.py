"""`repro diagnose` as a student meets it: the sentence first, exit codes 0, 1 and 2, nothing written."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import CallRepro


@pytest.fixture
def diagnose(call_repro: CallRepro, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CallRepro:
    monkeypatch.chdir(tmp_path)
    return partial(call_repro, "diagnose")


def test_a_normal_run_leaves_with_0_and_says_its_percentile_first(diagnose: CallRepro) -> None:
    code, out, err = diagnose("--f1", "0.9226")
    assert (code, err) == (0, "")
    assert out.startswith("Normal: F1 0.9226 is at percentile 27 of the 94 reruns")
    assert "0.9191 to 0.9303" in out


def test_a_run_that_is_not_normal_leaves_with_1_the_mistake_and_its_remedy(diagnose: CallRepro) -> None:
    code, out, _ = diagnose("--f1", "0.9345", "--train-loss", "0.17,0.11")
    assert code == 1
    assert "trained twice" in out.splitlines()[0]
    assert out.splitlines()[1].startswith("Restart the kernel")
    assert diagnose("--f1", "0.8824", "--steps", "944")[0] == 1


def test_json_holds_the_same_answer(diagnose: CallRepro) -> None:
    code, out, _ = diagnose("--f1", "0.9345", "--train-loss", "0.17,0.11", "--json")
    answer = json.loads(out)
    assert (code, answer["outcome"], answer["mistakes"][0]["id"]) == (1, "suspiciously high", "trained-twice")
    assert answer["joint"]["figures"] == ["train_loss_1", "train_loss_2", "f1_2"]
    assert [figure["name"] for figure in answer["figures"]] == ["train_loss_1", "train_loss_2", "f1_2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--f1", "92.4"), "Did you mean 0.924?"),
        (("--f1", "0.92", "--split", "train"), "unknown split 'train'"),
        ((), "no figure of a run"),
        (("broken.json",), "is no complete JSON"),
        (("broken.json", "--f1", "0.92"), "a file and figures beside it"),
    ],
)
def test_bad_input_is_two_lines_and_exit_code_2_and_nothing_is_written(
    arguments: tuple[str, ...], message: str, diagnose: CallRepro, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text('{"log_history": [')
    code, out, err = diagnose(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["broken.json"]
