"""`repro diagnose` as a student meets it: the mistake and its remedy first, exit code 1, and the same as JSON."""

from __future__ import annotations

import json

from tests.conftest import CallRepro

TWICE = ("--f1", "0.9345", "--train-loss", "0.17,0.11")


def test_a_run_that_is_not_normal_leaves_with_1_the_mistake_and_its_remedy(call_repro: CallRepro) -> None:
    code, out, _ = call_repro("diagnose", *TWICE)
    assert code == 1
    assert "trained twice" in out.splitlines()[0]
    assert out.splitlines()[1].startswith("Restart the kernel")


def test_json_holds_the_same_answer(call_repro: CallRepro) -> None:
    code, out, _ = call_repro("diagnose", *TWICE, "--json")
    answer = json.loads(out)
    assert (code, answer["outcome"], answer["mistakes"][0]["id"]) == (1, "suspiciously high", "trained-twice")
    assert answer["joint"]["figures"] == ["train_loss_1", "train_loss_2", "f1_2"]
    assert [figure["name"] for figure in answer["figures"]] == ["train_loss_1", "train_loss_2", "f1_2"]
