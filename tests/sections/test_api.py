"""What the notebook's calls do today: every finding is one that a call really made."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from typing import Any

import pytest
import transformers
from transformers.pipelines import get_supported_tasks

from repro.claims.claim import Outcome
from repro.records.schema import LABELS, RunRecord
from repro.sections.api import PIPELINES, attempt, bar_of_joy, tables, try_call
from tests.sections.conftest import Measured, verdicts_on


@pytest.fixture
def record(measured: Measured) -> RunRecord:
    return measured.records["api", 0]


def call_starting(record: RunRecord, start: str) -> dict[str, Any]:
    (call,) = (call for call in record.at("facts.calls") if call["call"].startswith(start))
    return dict(call)


def test_what_a_call_says_is_what_the_library_says_itself(record: RunRecord) -> None:
    trainer: Any = transformers.Trainer
    with pytest.raises(TypeError) as raised:
        trainer(tokenizer=None)
    assert record.facts["trainer_accepts_tokenizer"] is False
    call = call_starting(record, "Trainer(")
    assert (call["error"], call["message"]) == ("TypeError", str(raised.value))
    gone = call_starting(record, 'pipeline("question-answering"')
    assert gone["error"] == "KeyError"
    assert not gone["message"].startswith("'")  # the message, and not its repr
    wandb = call_starting(record, "os.environ")
    assert (wandb["runs"], wandb["error"]) == (False, "NoEffectError")


def test_the_pipelines_that_are_gone_are_those_that_the_library_does_not_know(record: RunRecord) -> None:
    known = {*get_supported_tasks(), "ner"}  # an alias of token-classification
    assert record.facts["pipelines"] == [task for task in PIPELINES if task in known]


def test_what_the_prose_says_of_the_libraries_is_judged_by_what_they_do(record: RunRecord) -> None:
    verdicts = verdicts_on(record)
    for name in ("api.trainer", "api.login", "api.pipelines", "api.defaults"):
        assert verdicts[name].outcome is Outcome.NO_LONGER
        assert verdicts[name].shown
    assert verdicts["api.login"].shown == "hf auth login"
    assert verdicts["api.pipelines"].shown == "text-classification, ner, text-generation"
    assert "text-generation: HuggingFaceTB/SmolLM3-3B" in verdicts["api.defaults"].why
    for name in ("finetune.best-model", "inference.bars", "api.requirements"):
        assert verdicts[name].outcome is Outcome.KNOWN
    assert "class names: love, expected joy" in verdicts["inference.bars"].why
    assert record.facts["translation_needs"] == "sentencepiece"


@pytest.mark.parametrize("names", [[f"LABEL_{i}" for i in range(6)], [*LABELS]], ids=["LABEL_n", "class names"])
def test_the_bar_of_joy_is_the_one_that_the_last_cell_draws(names: list[str]) -> None:
    pd = pytest.importorskip("pandas")  # untyped
    scores = pd.DataFrame({"label": names, "score": [i == LABELS.index("joy") for i in range(6)]})
    drawn = dict(zip(LABELS, scores.sort_values("label", ascending=True)["score"], strict=True))  # plt.bar(labels, …)
    assert drawn[bar_of_joy(names)]


def test_the_login_command_that_is_named_is_installed_here(record: RunRecord) -> None:
    command = str(record.facts["login_command"]).split()
    program = shutil.which(command[0], path=sysconfig.get_path("scripts"))
    assert program
    assert subprocess.run([program, *command[1:], "--help"], capture_output=True, check=False).returncode == 0


def test_the_rest_of_the_notebook_still_runs(record: RunRecord) -> None:
    for start in ("emotions.set_format", "np.array(", "classifier(custom_tweet", 'tokenizer(emotions["train"][:2]'):
        assert call_starting(record, start)["runs"], start
    assert not call_starting(record, 'tokenizer(emotions["train"]["text"]')["runs"]


def test_the_table_names_each_call_that_fails_and_a_way_that_was_tried(record: RunRecord) -> None:
    rows = tables([record])["api"].rows
    assert [row[0] for row in rows] == [call["call"] for call in record.at("facts.calls") if not call["runs"]]
    assert all(row[2] and "tried" not in row[2] for row in rows)
    assert "trainer = Trainer(model=model, args=args, processing_class=tokenizer)" in [row[2] for row in rows]


def test_a_way_that_fails_as_well_is_not_sold_as_the_remedy(record: RunRecord) -> None:
    fail = 'raise ValueError("first\\nsecond")'
    assert attempt(fail) == ("ValueError", "first")
    call = try_call({"call": "a()", "code": fail}, {"after": fail})
    (row,) = tables([record.model_copy(update={"facts": {"calls": [call]}})])["api"].rows
    assert row == ("a()", "ValueError: first", f"{fail} (tried: fails as well)")
