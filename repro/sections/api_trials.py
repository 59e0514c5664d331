"""The notebook's calls into the libraries, each tried on tiny things built on the spot, and what to write instead.

Run as a program it tries them all, offline, and writes a JSON list. The experiment runs it in a process of its own:
the Trainer changes settings that hold for the whole process, and WANDB_DISABLED is read from the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from repro.assets.builtin.letter import LETTER, QUESTION
from repro.assets.builtin.tiny import tiny_tour_folder
from repro.records.private import without_private_parts

PIPELINES = {
    "text-classification": "sentiment",
    "ner": "entities",
    "question-answering": "answer",
    "summarization": "summary",
    "translation_en_to_nl": "translation",
    "text-generation": "generation",
}
TRAINER, LOGIN = "Trainer(…, tokenizer=tokenizer)", "huggingface-cli login"


class NoEffectError(Exception):
    """A call that raises nothing and does nothing of what the notebook says."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A call as the notebook has it, what to write `instead` where it fails, and both as functions that try them."""

    call: str
    does: Callable[[], object]
    instead: str = ""
    instead_does: Callable[[], object] | None = None

    def result(self) -> dict[str, Any]:
        """Try the call, and only where it fails what to write instead."""
        error, message = attempt(self.does)
        result = {"call": self.call, "runs": not error, "error": error, "message": message}
        if not error:
            return {**result, "instead": "", "instead_runs": None}
        works = self.instead_does and not attempt(self.instead_does)[0]
        return {**result, "instead": self.instead, "instead_runs": works}


def attempt(does: Callable[[], object]) -> tuple[str, str]:
    """Return the class of the error that the call raises and its message's first line; two empty strings for none."""
    try:
        does()
    except Exception as error:  # noqa: BLE001 (whatever the libraries raise is the finding)
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        return type(error).__name__, without_private_parts((text.strip() or "no message").splitlines()[0])
    return "", ""


def all_trials() -> list[Trial]:
    """Return every trial, in the notebook's order."""
    return [*_pipeline_trials(), *_dataset_trials(), *_training_trials(), *_sharing_trials()]


def _pipeline_trials() -> list[Trial]:
    return [
        Trial(call='pipeline("text-classification")', does=lambda: _pipeline("text-classification")(LETTER)),
        Trial(
            call='pipeline("ner", aggregation_strategy="simple")',
            does=lambda: _pipeline("ner", aggregation_strategy="simple")(LETTER),
        ),
        Trial(
            call='pipeline("question-answering")',
            does=lambda: _pipeline("question-answering")(question=QUESTION, context=LETTER),
            instead="AutoModelForQuestionAnswering, then the best span of start_logits and end_logits",
            instead_does=_start_logits,
        ),
        Trial(
            call='pipeline("summarization")',
            does=lambda: _pipeline("summarization")(LETTER, min_length=20, max_length=45),
            instead="AutoModelForSeq2SeqLM, then generate(**inputs, min_length=20, max_length=45)",
            instead_does=lambda: _generate("summary", min_length=20, max_length=45),
        ),
        Trial(
            call='pipeline("translation_en_to_nl", model=…)',
            does=lambda: _pipeline("translation_en_to_nl")(LETTER, min_length=100),
            instead="AutoModelForSeq2SeqLM, then generate(**inputs, min_length=100)",
            instead_does=lambda: _generate("translation", min_length=100, max_length=104),
        ),
        Trial(
            call='pipeline("text-generation")(prompt, max_length=200, truncation=True)',
            does=lambda: _pipeline("text-generation")(LETTER[:200], max_length=200, truncation=True),
        ),
        Trial(
            call="classifier(custom_tweet, top_k=None)",
            does=lambda: _pipeline("text-classification")("It was really good.", top_k=None)[0]["label"],
        ),
    ]


def _pipeline(task: str, **options: Any) -> Any:
    from transformers import pipeline

    make: Any = pipeline  # typed for the tasks that exist
    return make(task, model=str(tiny_tour_folder(PIPELINES[task])), **options)


def _start_logits() -> object:
    from transformers import AutoModelForQuestionAnswering

    inputs = _tokenizer("answer")(QUESTION, LETTER, return_tensors="pt")
    return AutoModelForQuestionAnswering.from_pretrained(tiny_tour_folder("answer"))(**inputs).start_logits


def _generate(task: str, **lengths: int) -> object:
    from transformers import AutoModelForSeq2SeqLM

    inputs = _tokenizer(task)(LETTER, return_tensors="pt", return_token_type_ids=False)
    return AutoModelForSeq2SeqLM.from_pretrained(tiny_tour_folder(task)).generate(**inputs, **lengths)


def _dataset_trials() -> list[Trial]:
    import numpy as np
    from datasets import Dataset, DatasetDict

    rows = {"text": ["i feel sad", "i feel so happy"], "label": [0, 1], "hidden_state": [[0.0, 1.0], [1.0, 0.0]]}
    emotions = DatasetDict({"train": Dataset.from_dict(rows)})
    tokenizer = _tokenizer("sentiment")

    def to_pandas() -> object:
        emotions.set_format(type="pandas")
        try:
            return emotions["train"][:].head()
        finally:
            emotions.reset_format()

    def column_to_numpy() -> object:
        return emotions["train"].with_format("numpy")["hidden_state"][:].sum()

    return [
        Trial(call='emotions.set_format(type="pandas"); emotions["train"][:].head()', does=to_pandas),
        Trial(
            call='tokenizer(emotions["train"][:2]["text"], padding=True, truncation=True)',
            does=lambda: tokenizer(emotions["train"][:2]["text"], padding=True, truncation=True),
        ),
        Trial(call='train_ds["text"][:5]', does=lambda: len(emotions["train"]["text"][:5])),
        Trial(
            call='tokenizer(emotions["train"]["text"], padding=True) (one step beyond the notebook: a whole column)',
            does=lambda: tokenizer(emotions["train"]["text"], padding=True),
            instead='tokenizer(emotions["train"]["text"][:], padding=True)',
            instead_does=lambda: tokenizer(emotions["train"]["text"][:], padding=True),
        ),
        Trial(
            call='np.array(emotions_hidden["train"]["hidden_state"])',
            does=lambda: np.array(emotions["train"].with_format("torch")["hidden_state"]).sum(),
            instead='emotions_hidden.with_format("numpy")["train"]["hidden_state"][:]',
            instead_does=column_to_numpy,
        ),
    ]


def _training_trials() -> list[Trial]:
    return [
        Trial(
            call='os.environ["WANDB_DISABLED"] = "true"',
            does=_disable_wandb,
            instead='TrainingArguments(…, report_to="none"), which the notebook has too',
            instead_does=_make_trainer,
        ),
        Trial(
            call=TRAINER,
            does=lambda: _make_trainer(tokenizer=_tokenizer("sentiment")),
            instead="Trainer(…, processing_class=tokenizer)",
            instead_does=lambda: _make_trainer(processing_class=_tokenizer("sentiment")),
        ),
    ]


def _tokenizer(task: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_tour_folder(task))


def _make_trainer(**given: Any) -> object:
    from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

    model = AutoModelForSequenceClassification.from_pretrained(tiny_tour_folder("sentiment"))
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=2, learning_rate=2e-5, weight_decay=0.01, eval_strategy="epoch",
            report_to="none", log_level="error", use_cpu=True,
        )  # fmt: skip
        return Trainer(model=model, args=arguments, eval_dataset=[], **given)


def _disable_wandb() -> None:
    """Ask for the trackers with the variable set; where wandb is not installed, an empty module stands in for it."""
    if find_spec("wandb") is None:
        stand_in: Any = ModuleType("wandb")
        stand_in.__spec__, stand_in.run, stand_in.__version__ = ModuleSpec("wandb", None), None, "0"
        sys.modules["wandb"] = stand_in
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    os.environ["WANDB_DISABLED"] = "true"
    if "wandb" in get_available_reporting_integrations():
        raise NoEffectError("the variable is not read: wandb is still among the trackers that report_to='all' takes")


def _sharing_trials() -> list[Trial]:
    return [
        Trial(
            call=LOGIN,
            does=lambda: _command(*LOGIN.split(), "--help"),
            instead="hf auth login",
            instead_does=lambda: _command("hf", "auth", "login", "--help"),
        ),
        Trial(
            call="from huggingface_hub import notebook_login",
            does=lambda: import_module("huggingface_hub").notebook_login,
        ),
    ]


def _command(*words: str) -> None:
    """Run a command of this Python's installation; FileNotFoundError where it has none, OSError where it fails."""
    scripts = sysconfig.get_path("scripts")
    with TemporaryDirectory() as home:  # no token of the user's is read or written
        environment = {**os.environ, "HF_HOME": home, "PATH": scripts}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise OSError((done.stdout + done.stderr).strip() or f"exit code {done.returncode}")


if __name__ == "__main__":
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with redirect_stdout(sys.stderr):  # standard output is the answer's alone
        results = [trial.result() for trial in all_trials()]
    sys.stdout.write(json.dumps(results, ensure_ascii=False))
