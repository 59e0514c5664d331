"""What a run leaves behind is read as its own libraries write it; what is broken or hostile is refused, in seconds."""

from __future__ import annotations

import importlib
import json
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from repro.diagnosis.diagnose import diagnose_run, run_from_file
from repro.errors import ReproError, UsageError
from tests.running import cases

HOSTILE = tomllib.loads(Path(__file__).with_name("hostile.toml").read_text(encoding="utf-8"))
LOSSES, VALID, ACCURACY, F1 = (0.8247, 0.2466), (0.318204, 0.217733), (0.9045, 0.9265), (0.901883, 0.926312)
FIGURES = {
    (kind, epoch): value
    for kind, values in {"train_loss": LOSSES, "valid_loss": VALID, "accuracy": ACCURACY, "f1": F1}.items()
    for epoch, value in enumerate(values, 1)
}


def log_history() -> list[dict[str, float]]:
    logs: list[dict[str, float]] = []
    for i, loss in enumerate(LOSSES):
        epoch, step = float(i + 1), 250 * (i + 1)
        logs.append({"loss": loss, "learning_rate": (1e-5, 0.0)[i], "epoch": epoch, "step": step})
        logs.append(
            {"eval_loss": VALID[i], "eval_accuracy": ACCURACY[i], "eval_f1": F1[i], "eval_runtime": 1.6,
             "eval_samples_per_second": 1222.7, "eval_steps_per_second": 19.6, "epoch": epoch, "step": step}
        )  # fmt: skip
    return [*logs, {"train_runtime": 108.0, "train_loss": 0.548, "total_flos": 7.2e14, "epoch": 2.0, "step": 500}]


def state(path: Path, **parts: Any) -> Path:
    from transformers import TrainerState

    fields = {"epoch": 2.0, "global_step": 500, "max_steps": 500, "num_train_epochs": 2, "train_batch_size": 64}
    found = TrainerState(**{**fields, "total_flos": 720342861696000, "log_history": log_history(), **parts})
    found.save_to_json(str(path))
    return path


def card(path: Path, **parts: Any) -> Path:
    from transformers.modelcard import TrainingSummary, parse_log_history

    _, lines, results = parse_log_history(log_history())
    hyperparameters = {"learning_rate": 2e-05, "train_batch_size": 64, "eval_batch_size": 64, "seed": 42,
                       "num_epochs": 2}  # fmt: skip
    summary = TrainingSummary(
        **{"model_name": "distilbert-base-uncased-finetuned-emotion", "finetuned_from": "distilbert-base-uncased",
           "dataset": ["emotion"], "eval_results": results, "eval_lines": lines, "hyperparameters": hyperparameters,
           **parts}
    )  # fmt: skip
    path.write_text(summary.to_model_card())
    return path


@pytest.fixture
def trainer_table(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[list[Any]]], str]:
    """The Trainer's own HTML, which it draws in notebooks only."""
    display = ModuleType("IPython.display")
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(sys.modules["IPython"], "display", display, raising=False)
    found = importlib.import_module("transformers.utils.notebook")
    monkeypatch.delitem(sys.modules, "transformers.utils.notebook")

    def make(rows: list[list[Any]]) -> str:
        bar = found.html_progress_bar(500, 500, "", "[500/500 01:48, Epoch 2/2]")
        return str(bar + found.text_to_html_table(rows))

    return make


def notebook(path: Path, *cells: tuple[str, dict[str, Any] | None]) -> Path:
    made = [
        {"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": [output] if output else []}
        for source, output in cells
    ]
    path.write_text(json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    return path


def html(text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/html": text.splitlines(keepends=True), "text/plain": "x"}}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": [text]}


TABLE: list[list[Any]] = [["Epoch", "Training Loss", "Validation Loss", "Accuracy", "F1"],
         *([i + 1, LOSSES[i], VALID[i], ACCURACY[i], F1[i]] for i in range(2))]  # fmt: skip


def test_a_trainer_state_tells_everything(tmp_path: Path) -> None:
    run = run_from_file(state(tmp_path / "trainer_state.json"))
    assert run.figures == FIGURES
    assert (run.epochs, run.steps, run.flos) == (2, 500, 720342861696000)
    assert run.recipe == {"schedule": "linear", "learning_rate": 2e-5, "batch_size": 64, "epochs": 2}
    assert run.remarks == ()
    assert diagnose_run(run).outcome == "normal"


def test_losses_logged_more_often_are_averaged_over_their_epoch_and_one_over_both_belongs_to_none(
    tmp_path: Path,
) -> None:
    often = [{"loss": loss, "epoch": (i + 1) / 2, "step": 125 * (i + 1)} for i, loss in enumerate((1.2, 0.4, 0.3, 0.2))]
    run = run_from_file(state(tmp_path / "a.json", log_history=often))
    assert run.figures == {("train_loss", 1): pytest.approx(0.8), ("train_loss", 2): pytest.approx(0.25)}
    once = [{"loss": 0.55, "epoch": 2.0, "step": 500}, *log_history()[3:4]]
    assert ("train_loss", 2) not in run_from_file(state(tmp_path / "b.json", log_history=once)).figures


def test_a_model_card_as_the_trainer_writes_it_is_read_to_its_four_decimals(tmp_path: Path) -> None:
    run = run_from_file(card(tmp_path / "README.md"))
    assert run.figures == pytest.approx(FIGURES, abs=5e-5)
    assert (run.epochs, run.steps) == (2, 500)
    assert run.recipe == {"learning_rate": 2e-5, "batch_size": 64, "checkpoint": "distilbert-base-uncased",
                          "corpus": "emotion", "epochs": 2}  # fmt: skip
    assert diagnose_run(run).outcome == "normal"


def test_a_card_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    path = card(tmp_path / "README.md", eval_results={"Loss": 0.217733, "F1": 0.9345})
    with pytest.raises(UsageError, match=r"contradicts itself: f1 is 0\.9345"):
        run_from_file(path)


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_card_without_its_table_is_read_by_its_head(epochs: int, tmp_path: Path) -> None:
    settings = {"learning_rate": 2e-05, "num_epochs": epochs}
    run = run_from_file(card(tmp_path / "README.md", eval_lines=None, hyperparameters=settings))
    assert run.figures["f1", epochs] == pytest.approx(0.9263, abs=1e-4)


def test_the_trainers_table_in_a_notebook_is_read_with_the_recipe_that_its_cells_state(
    tmp_path: Path, trainer_table: Callable[[list[list[Any]]], str]
) -> None:
    code = "args = TrainingArguments(*a, learning_rate=2e-5, per_device_train_batch_size=64, **unknown)"
    frame = "<table><tr><th></th><th>label</th></tr><tr><td>1</td><td>0.5</td></tr></table>"
    path = notebook(
        tmp_path / "run.ipynb", (code, None), ("trainer.train()", html(trainer_table(TABLE))), ("df", html(frame))
    )
    run = run_from_file(path)
    assert run.figures == FIGURES
    assert (run.epochs, run.steps) == (2, 500)
    assert run.recipe == {"learning_rate": 2e-5}  # what hides behind ** may divide the batch
    assert diagnose_run(run).outcome == "normal"


def test_printed_logs_are_read_also_where_the_trainer_prints_numbers_as_words(tmp_path: Path) -> None:
    logs = "\n".join(str({k: f"{v:.6g}" for k, v in entry.items()}) for entry in log_history())
    assert run_from_file(notebook(tmp_path / "a.ipynb", ("trainer.train()", printed(logs)))).figures == FIGURES


TRAINED = 'Trainer(model, args, train_dataset=corpus["train"], eval_dataset=corpus["train"], **more).train()'


@pytest.mark.parametrize("case", cases("diagnosis/arguments.csv"), ids=lambda case: case["code"])
def test_the_arguments_of_the_trainer_that_was_trained_count(case: dict[str, str], tmp_path: Path) -> None:
    code, expected = case["code"].replace("\\n", "\n"), json.loads(case["expected"])
    losses = printed("\n".join(str({"loss": loss, "epoch": i + 1.0}) for i, loss in enumerate(LOSSES)))
    run = run_from_file(notebook(tmp_path / "a.ipynb", (code, None), (TRAINED, losses)))
    assert {part: run.recipe.get(part) for part in expected} == expected
    assert run.split == ("train" if "corpus =" in code else None)


def test_metrics_printed_of_the_test_split_are_told_by_the_cells_code(tmp_path: Path) -> None:
    metrics = printed(str({"test_loss": 0.21, "test_accuracy": 0.9265, "test_f1": 0.9263}))
    asked = notebook(tmp_path / "a.ipynb", ('trainer.predict(emotions_encoded["test"]).metrics', metrics))
    assert diagnose_run(run_from_file(asked)).mistakes[0].id == "test-split"
    own = notebook(tmp_path / "b.ipynb", ('trainer.predict(emotions_encoded["validation"]).metrics', metrics))
    assert diagnose_run(run_from_file(own)).outcome == "normal"


@pytest.mark.parametrize(("name", "content", "message"), [(name, *case) for name, case in HOSTILE["refused"].items()])
def test_a_file_that_tells_of_no_run_is_refused_and_named(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    if content:
        (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        run_from_file(tmp_path / name)


def repeated(parts: Sequence[Any]) -> str:
    text = ""
    for part, times in zip(parts, [*parts[1:], 1], strict=True):
        text += part * (times if isinstance(times, int) else 1) if isinstance(part, str) else ""
    return text


def hostile(kind: str, name: str) -> tuple[str, str]:
    case = HOSTILE[kind][name]
    if kind == "files":
        return name, repeated(case)
    output = {"output_type": "display_data", "data": {f"text/{kind}": repeated(case["text"])}}
    cell = {"cell_type": "code", "source": repeated(case.get("source", ["trainer.train()"])), "outputs": [output]}
    return f"{name}.ipynb", json.dumps({"cells": [cell] * case.get("times", 1)})


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("html", "plain", "files") for name in HOSTILE[kind]]
)
def test_a_hostile_file_is_answered_or_refused_in_seconds(kind: str, name: str, tmp_path: Path) -> None:
    file, content = hostile(kind, name)
    (tmp_path / file).write_text(content, encoding="utf-8")
    started = time.process_time()
    try:
        diagnose_run(run_from_file(tmp_path / file))
    except ReproError as error:  # to refuse it is right too
        assert str(error)
    assert time.process_time() - started < 4  # of 3 MB; the promise is 5 s for 10 MB
