"""What the notebook's calls do on the installed libraries: each is tried, offline (seed, all sections).

The calls stand in repro/notebooks/fixes.toml, beside what the repaired notebook has instead. Run as a program this file
tries them all and writes JSON: the Trainer changes settings that hold for the whole process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import Any

from repro import notebooks
from repro.assets.notebook import LETTER, QUESTION
from repro.assets.recipes import TOUR
from repro.assets.tiny import tiny_folder
from repro.display import Table
from repro.errors import without_private_parts
from repro.records.schema import LABELS, Measurements, RunRecord
from repro.sections.context import Context, Section

FIXES = Path(notebooks.__path__[0], "fixes.toml")
SECONDS = 300
MOST_SHOWN = 90  # letters of an error in a table; the record has all
TRAINER, LOGIN = "Trainer(…, tokenizer=tokenizer)", "huggingface-cli login"
TASKS = "text-classification ner question-answering summarization translation_en_to_nl text-generation"
DEFAULTS = ("text-classification", "text-generation")  # the pipelines that the notebook leaves to choose a model
PIPELINES = dict(zip(TASKS.split(), TOUR, strict=True))  # each with its name in the tour


def run(context: Context, _seed: int) -> Measurements:
    """Try every call in a process of its own; no recipe, corpus or seed changes anything."""
    # not torchrun's variables: the process is one by itself
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    with context.timed("try"):
        done = subprocess.run(
            [sys.executable, "-m", "repro.sections.api"],
            env={**alone, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"},
            capture_output=True, encoding="utf-8", check=False, timeout=SECONDS,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the trials ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    facts: dict[str, Any] = json.loads(done.stdout)
    calls: list[dict[str, Any]] = facts["calls"]
    running = [trial["call"] for trial in calls if trial["runs"]]
    instead = {trial["call"]: trial["instead"] for trial in calls if trial["instead_runs"]}
    return Measurements(
        facts={
            **facts,
            "trainer_accepts_tokenizer": TRAINER in running,
            "login_command": LOGIN if LOGIN in running else instead.get(LOGIN, "none"),
            "pipelines": [task for task in PIPELINES if any(f'pipeline("{task}"' in call for call in running)],
            "bar_of_joy": {
                "LABEL_n": bar_of_joy([f"LABEL_{i}" for i in range(len(LABELS))]),
                "class names": bar_of_joy(LABELS),
            },
        },
    )


def bar_of_joy(names: Sequence[str]) -> str:
    """Return under which class the last cell draws joy's probability, for a model whose classes have these names.

    The cell sorts the probabilities by name and writes the classes below them in the order of their ids.
    """
    return LABELS[sorted(names).index(names[LABELS.index("joy")])]


def library_facts() -> dict[str, Any]:
    """Return the pipelines' default models, the model that training leaves, and what the translation needs besides."""
    import transformers
    from transformers.pipelines import PIPELINE_REGISTRY

    with TemporaryDirectory() as folder:  # the notebook sets no argument that is about the best model
        args = transformers.TrainingArguments(folder, report_to="none", use_cpu=True)
    tokenizer: Any = transformers.MarianTokenizer  # where the package is missing, what stands in for the class says so
    needed: Any = getattr(tokenizer, "__backends", None) or getattr(tokenizer, "_backends", ())
    return {
        "default_models": {task: PIPELINE_REGISTRY.check_task(task)[1]["default"]["model"][0] for task in DEFAULTS},
        "model_after_training": "the best" if args.load_best_model_at_end else "the last",
        "translation_needs": ", ".join(needed) or "nothing more",
    }


def try_call(trial: Mapping[str, str], fix: Mapping[str, Any]) -> dict[str, Any]:
    """Try the call, and only where it fails what its fix writes instead, if there is one."""
    call = trial["call"]
    code = trial.get("code") or fix.get("before", call)
    error, message = attempt(code)
    result = {"call": call, "runs": not error, "error": error, "message": message, "instead": "", "instead_runs": None}
    if error and fix:
        instead = replacement = fix["after"]
        if pipeline := re.search(r'pipeline\("(.+?)".*?\)', code):  # a function of that name takes its place
            instead, folder = fix["reason"], str(tiny_folder(PIPELINES[pipeline[1]]))
            replacement = f"{fix['new']}\n{code.replace(pipeline[0], '$NAME')}"
            replacement = replacement.replace("$NAME", "repaired").replace("$MODEL", repr(folder))
        result |= {"instead": instead.removeprefix("$ "), "instead_runs": not attempt(replacement)[0]}
    return result


def attempt(code: str) -> tuple[str, str]:
    """Return the class of the error that the code raises and its message's first line; two empty strings for none."""
    with TemporaryDirectory() as folder:
        try:
            if code.startswith("$ "):
                _ask_for_help(code.split()[1:], folder)
            else:
                exec(code, _notebook_names(folder))  # noqa: S102 (the table's own)
        except Exception as error:  # noqa: BLE001 (whatever the libraries raise is the finding)
            text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
            return type(error).__name__, without_private_parts((text.strip() or "no message").splitlines()[0])
    return "", ""


def _ask_for_help(command: Sequence[str], home: str) -> None:
    """Ask a command of this Python for its help; FileNotFoundError where there is none, OSError where it fails."""
    # no token of the user's is read or written
    environment = {**os.environ, "HF_HOME": home, "PATH": sysconfig.get_path("scripts")}
    done = subprocess.run([*command, "--help"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError((done.stdout + done.stderr).strip() or f"exit code {done.returncode}")


def _notebook_names(folder: str) -> dict[str, Any]:
    """Return what the calls refer to by the notebook's names; its pipelines and models are tiny ones."""
    import numpy as np
    import transformers
    from datasets import Dataset, DatasetDict

    def pipeline(task: str, **options: Any) -> Any:
        make: Any = transformers.pipeline  # typed for the tasks that exist
        return make(task, model=str(tiny_folder(PIPELINES[task])), **options)

    sentiment, classifier = tiny_folder("sentiment"), transformers.AutoModelForSequenceClassification
    rows = {"text": ["i feel sad", "i feel so happy"], "label": [0, 1], "hidden_state": [[0.0, 1.0], [1.0, 0.0]]}
    emotions = DatasetDict({"train": Dataset.from_dict(rows)})
    return {
        "np": np, "os": os, "pipeline": pipeline, "Trainer": transformers.Trainer,
        "args": transformers.TrainingArguments(folder, report_to="none", log_level="error", use_cpu=True),
        "model": classifier.from_pretrained(sentiment),
        "tokenizer": transformers.AutoTokenizer.from_pretrained(sentiment),
        "text": LETTER, "question": QUESTION, "prompt": LETTER[:200], "custom_tweet": "It was really good.",
        "emotions": emotions, "train_ds": emotions["train"], "emotions_hidden": emotions.with_format("torch"),
    }  # fmt: skip


def tables(runs: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the newest record's calls that fail or have no effect, what they say and what to write instead."""
    rows = []
    for record in runs[-1:]:
        for trial in (trial for trial in record.at("facts.calls") if not trial["runs"]):
            tried = {True: "", False: " (tried: fails as well)", None: " (not tried)"}[trial["instead_runs"]]
            kind = "no effect" if trial["error"] == "NoEffectError" else trial["error"]
            says = shorten(f"{kind}: {trial['message']}", MOST_SHOWN, placeholder=" …")
            rows.append((trial["call"], says, trial["instead"] + tried))
    return {"api": Table(("what no longer runs", "what it says", "what to write instead"), tuple(rows))}


SECTION = Section.of(
    globals(),
    heading="Libraries",
    what="the notebook's calls, tried on the installed libraries",
    pretrained=False,
    reads=lambda context, seed: FIXES,
)

if __name__ == "__main__":
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with redirect_stdout(sys.stderr):  # standard output is the answer's alone
        tables_of = tomllib.loads(FIXES.read_text(encoding="utf-8"))
        fixes = {fix["id"]: fix for fix in tables_of["fix"]}
        results = [try_call(trial, fixes.get(trial.get("fix"), {})) for trial in tables_of["trial"]]
        answer = {"calls": results, **library_facts()}
    sys.stdout.write(json.dumps(answer, ensure_ascii=False))
