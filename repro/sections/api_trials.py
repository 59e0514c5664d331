"""The notebook's calls into the libraries as a table, each tried on tiny things built on the spot.

A call runs as the notebook has it, in a namespace that holds the notebook's names. Run as a program the file tries
them all, offline, and writes a JSON list: in a process of its own, because the Trainer changes settings that hold for
the whole process, and WANDB_DISABLED is read from the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from repro.assets.builtin.letter import LETTER, QUESTION
from repro.assets.builtin.tiny import tiny_tour_folder
from repro.records.private import without_private_parts

TRAINER, LOGIN = "Trainer(…, tokenizer=tokenizer)", "huggingface-cli login"
PIPELINES = {
    "text-classification": "sentiment",
    "ner": "entities",
    "question-answering": "answer",
    "summarization": "summary",
    "translation_en_to_nl": "translation",
    "text-generation": "generation",
}


class NoEffectError(Exception):
    """A call that raises nothing and does nothing of what the notebook says."""


@dataclass(frozen=True)
class Trial:
    """A call as the notebook has it, the code that tries it (else the call itself); then what to write instead."""

    call: str
    code: str = ""
    instead: str = ""
    instead_code: str = ""

    def result(self) -> dict[str, Any]:
        """Try the call, and only where it fails what to write instead."""
        error, message = attempt(self.code or self.call)
        result = {"call": self.call, "runs": not error, "error": error, "message": message}
        if not error:
            return {**result, "instead": "", "instead_runs": None}
        code = self.instead_code or self.instead
        return {**result, "instead": self.instead, "instead_runs": not attempt(code)[0] if code else None}


TRIALS = (  # in the notebook's order
    Trial('pipeline("text-classification")', 'pipeline("text-classification")(text)'),
    Trial('pipeline("ner", aggregation_strategy="simple")', 'pipeline("ner", aggregation_strategy="simple")(text)'),
    Trial(
        'pipeline("question-answering")',
        'pipeline("question-answering")(question=question, context=text)',
        "AutoModelForQuestionAnswering, then the best span of start_logits and end_logits",
        "start_logits()",
    ),
    Trial(
        'pipeline("summarization")',
        'pipeline("summarization")(text, min_length=20, max_length=45)',
        "AutoModelForSeq2SeqLM, then generate(**inputs, min_length=20, max_length=45)",
        'generate("summary", min_length=20, max_length=45)',
    ),
    Trial(
        'pipeline("translation_en_to_nl", model=…)',
        'pipeline("translation_en_to_nl")(text, min_length=100)',
        "AutoModelForSeq2SeqLM, then generate(**inputs, min_length=100)",
        'generate("translation", min_length=100, max_length=104)',
    ),
    Trial(
        'pipeline("text-generation")(prompt, max_length=200, truncation=True)',
    ),
    Trial(
        "classifier(custom_tweet, top_k=None)",
        'pipeline("text-classification")(custom_tweet, top_k=None)[0]["label"]',
    ),
    Trial('emotions.set_format(type="pandas"); emotions["train"][:].head()'),
    Trial('tokenizer(emotions["train"][:2]["text"], padding=True, truncation=True)'),
    Trial('train_ds["text"][:5]'),
    Trial(
        'tokenizer(emotions["train"]["text"], padding=True) (one step beyond the notebook: a whole column)',
        'tokenizer(emotions["train"]["text"], padding=True)',
        'tokenizer(emotions["train"]["text"][:], padding=True)',
    ),
    Trial(
        'np.array(emotions_hidden["train"]["hidden_state"])',
        'np.array(emotions_hidden["train"]["hidden_state"]).sum()',
        'emotions_hidden.with_format("numpy")["train"]["hidden_state"][:]',
    ),
    Trial(
        'os.environ["WANDB_DISABLED"] = "true"',
        "disable_wandb()",
        'TrainingArguments(…, report_to="none"), which the notebook has too',
        "trainer()",
    ),
    Trial(
        TRAINER,
        "trainer(tokenizer=tokenizer)",
        "Trainer(…, processing_class=tokenizer)",
        "trainer(processing_class=tokenizer)",
    ),
    Trial(LOGIN, 'command("huggingface-cli", "login")', "hf auth login", 'command("hf", "auth", "login")'),
    Trial("from huggingface_hub import notebook_login"),
)


def attempt(code: str) -> tuple[str, str]:
    """Return the class of the error that the code raises and its message's first line; two empty strings for none."""
    names = notebook_names()
    try:
        exec(code, names)  # noqa: S102 (the table's own)
    except Exception as error:  # noqa: BLE001 (whatever the libraries raise is the finding)
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        return type(error).__name__, without_private_parts((text.strip() or "no message").splitlines()[0])
    return "", ""


def notebook_names() -> dict[str, Any]:
    """Return what the calls refer to by the notebook's names, and what tries those that it writes in several cells."""
    import numpy as np
    from datasets import Dataset, DatasetDict

    rows = {"text": ["i feel sad", "i feel so happy"], "label": [0, 1], "hidden_state": [[0.0, 1.0], [1.0, 0.0]]}
    emotions = DatasetDict({"train": Dataset.from_dict(rows)})
    texts = {"text": LETTER, "question": QUESTION, "prompt": LETTER[:200], "custom_tweet": "It was really good."}
    data = {"emotions": emotions, "train_ds": emotions["train"], "emotions_hidden": emotions.with_format("torch")}
    functions = (pipeline, start_logits, generate, trainer, disable_wandb, command)
    ours = {function.__name__: function for function in functions}
    return {"np": np, "tokenizer": _tiny("AutoTokenizer", "sentiment"), **texts, **data, **ours}


def pipeline(task: str, **options: Any) -> Any:
    """Return the library's pipeline for the task, around a tiny model."""
    import transformers

    make: Any = transformers.pipeline  # typed for the tasks that exist
    return make(task, model=str(tiny_tour_folder(PIPELINES[task])), **options)


def start_logits() -> object:
    """Answer the question on the letter as a model class does it."""
    inputs = _tiny("AutoTokenizer", "answer")(QUESTION, LETTER, return_tensors="pt")
    return _tiny("AutoModelForQuestionAnswering", "answer")(**inputs).start_logits


def generate(task: str, **lengths: int) -> object:
    """Rewrite the letter as a model class does it."""
    inputs = _tiny("AutoTokenizer", task)(LETTER, return_tensors="pt", return_token_type_ids=False)
    return _tiny("AutoModelForSeq2SeqLM", task).generate(**inputs, **lengths)


def trainer(**given: Any) -> object:
    """Make a Trainer as the notebook does."""
    from transformers import Trainer, TrainingArguments

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=2, learning_rate=2e-5, weight_decay=0.01, eval_strategy="epoch",
            report_to="none", log_level="error", use_cpu=True,
        )  # fmt: skip
        model = _tiny("AutoModelForSequenceClassification", "sentiment")
        return Trainer(model=model, args=arguments, eval_dataset=[], **given)


def disable_wandb() -> None:
    """Ask for the trackers with the variable set; where wandb is not installed, an empty module stands in for it."""
    if find_spec("wandb") is None:
        stand_in: Any = ModuleType("wandb")
        stand_in.__spec__, stand_in.run, stand_in.__version__ = ModuleSpec("wandb", None), None, "0"
        sys.modules["wandb"] = stand_in
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    os.environ["WANDB_DISABLED"] = "true"
    if "wandb" in get_available_reporting_integrations():
        raise NoEffectError("the variable is not read: wandb is still among the trackers that report_to='all' takes")


def command(*words: str) -> None:
    """Ask a command of this Python for its help; FileNotFoundError where there is none, OSError where it fails."""
    with TemporaryDirectory() as home:  # no token of the user's is read or written
        environment = {**os.environ, "HF_HOME": home, "PATH": sysconfig.get_path("scripts")}
        done = subprocess.run([*words, "--help"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError((done.stdout + done.stderr).strip() or f"exit code {done.returncode}")


def _tiny(kind: str, task: str) -> Any:
    import transformers

    return getattr(transformers, kind).from_pretrained(tiny_tour_folder(task))


if __name__ == "__main__":
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with redirect_stdout(sys.stderr):  # standard output is the answer's alone
        results = [trial.result() for trial in TRIALS]
    sys.stdout.write(json.dumps(results, ensure_ascii=False))
