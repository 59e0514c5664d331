"""The layouts of strangers' files, with made-up figures: the Trainer's HTML, logs, cards and states, six languages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TRAIN, VALID, ACCURACY, F1 = (0.8247, 0.2466), (0.318204, 0.217733), (0.9045, 0.9265), (0.901883, 0.926312)
SOUND = [(i + 1, 250 * (i + 1), TRAIN[i], VALID[i], ACCURACY[i], F1[i]) for i in range(2)]
BOOK = [(1, 250, 0.8409, 0.327445, 0.8965, 0.892285), (2, 500, 0.2550, 0.220472, 0.9225, 0.922550)]
Row = Sequence[Any]

ARGUMENTS = """batch_size = 64
logging_steps = len(emotions_encoded["train"]) // batch_size
model_name = f"{model_ckpt}-finetuned-emotion"
training_args = TrainingArguments(output_dir=model_name, num_train_epochs=2, learning_rate=2e-5,
    per_device_train_batch_size=batch_size, per_device_eval_batch_size=batch_size, weight_decay=0.01,
    evaluation_strategy="epoch", disable_tqdm=False, logging_steps=logging_steps, log_level="error")"""
SETUP = """from transformers import AutoTokenizer, AutoModelForSequenceClassification, Trainer, TrainingArguments
model_ckpt = "distilbert-base-uncased"
tokenizer = AutoTokenizer.from_pretrained(model_ckpt)
emotions = load_dataset("emotion")
def tokenize(batch):
    return tokenizer(batch["text"], padding=True, truncation=True)
emotions_encoded = emotions.map(tokenize, batched=True, batch_size=None)
model = AutoModelForSequenceClassification.from_pretrained(model_ckpt, num_labels=6).to(device)"""
METRICS = """def compute_metrics(pred):
    preds = pred.predictions.argmax(-1)
    f1 = f1_score(pred.label_ids, preds, average="weighted")
    return {"accuracy": accuracy_score(pred.label_ids, preds), "f1": f1}"""
TRAINING = """trainer = Trainer(model=model, args=training_args, compute_metrics=compute_metrics, tokenizer=tokenizer,
    train_dataset=emotions_encoded["train"], eval_dataset=emotions_encoded["validation"])
trainer.train();"""
HEAD = ("Epoch", "Training Loss", "Validation Loss", "Accuracy", "F1")


@dataclass(frozen=True)
class File:
    """A file's name and content."""

    name: str
    content: str


def bar(done: int = 500, steps: int = 500, epoch: float = 2, epochs: int = 2) -> str:
    rest = "" if done == steps else " < 01:22, 4.41 it/s"
    return (
        f"\n    <div>\n      <progress value='{done}' max='{steps}' style='width:300px; height:20px;'></progress>\n"
        f"      [{done:>{len(str(steps))}}/{steps} 01:48{rest}, Epoch {epoch:g}/{epochs}]\n    </div>\n    "
    )


def html(
    rows: Sequence[Row] = SOUND, head: Sequence[str] = HEAD, progress: str | None = None, form: str = "{:.6f}"
) -> dict[str, Any]:
    """The Trainer's display: its progress bar above its table; rows lose their step where the head has none."""
    at = 1 if head[0].lower() == "step" else 0
    shown = [[row[at], *row[2:]] if "Step" not in head[1:] else list(row) for row in rows]
    cells = [[form.format(c) if isinstance(c, float) else str(c) for c in row] for row in shown]
    body = "".join("    <tr>\n" + "".join(f"      <td>{c}</td>\n" for c in row) + "    </tr>\n" for row in cells)
    top = "".join(f"      <th>{name}</th>\n" for name in head)
    table = '<table border="1" class="dataframe">\n  <thead>\n <tr style="text-align: left;">\n'
    table += f"{top}    </tr>\n  </thead>\n  <tbody>\n{body}  </tbody>\n</table><p>"
    text = (bar() if progress is None else progress) + table
    data = {"text/html": text.splitlines(keepends=True), "text/plain": ["<IPython.core.display.HTML object>"]}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}


def failed(error: str = "KeyboardInterrupt", message: str = "") -> dict[str, Any]:
    return {"output_type": "error", "ename": error, "evalue": message, "traceback": [f"\x1b[0;31m{error}\x1b[0m"]}


def notebook(*cells: tuple[str, Sequence[dict[str, Any]]], text: str = "") -> File:
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": None,
            "source": source.splitlines(keepends=True),
            "outputs": list(outputs),
        }
        for source, outputs in cells
    ]
    words = {"cell_type": "markdown", "metadata": {}, "source": [text]}
    whole = {"cells": [words, *made], "metadata": {}, "nbformat": 4, "nbformat_minor": 0}
    return File("notebook.ipynb", json.dumps(whole, ensure_ascii=False))


def seminar(
    *outputs: dict[str, Any],
    setup: str = SETUP,
    arguments: str = ARGUMENTS,
    training: str = TRAINING,
    metrics: str = METRICS,
    after: Sequence[tuple[str, Sequence[dict[str, Any]]]] = (),
    text: str = "",
) -> File:
    """The seminar's training cells, the last with these outputs, and cells after it."""
    return notebook((setup, ()), (metrics, ()), (arguments, ()), (training, outputs), *after, text=text)


def logs(rows: Sequence[Row] = SOUND, rates: Sequence[float] = (1e-5, 0.0)) -> list[dict[str, float]]:
    entries: list[dict[str, float]] = []
    for (epoch, step, train, valid, accuracy, f1), rate in zip(rows, rates, strict=True):
        entries.append({"loss": train, "learning_rate": rate, "epoch": float(epoch), "step": step})
        entries.append(
            {"eval_loss": valid, "eval_accuracy": accuracy, "eval_f1": f1, "eval_runtime": 1.61,
             "eval_samples_per_second": 1240.2, "epoch": float(epoch), "step": step}
        )  # fmt: skip
    return entries


def state(history: Sequence[dict[str, Any]] | None = None, **parts: Any) -> File:
    fields = {"best_metric": None, "best_model_checkpoint": None, "epoch": 2.0, "global_step": 500,
              "log_history": list(history if history is not None else logs()), "max_steps": 500,
              "num_train_epochs": 2, "total_flos": 720342861696000.0, "train_batch_size": 64}  # fmt: skip
    return File("trainer_state.json", json.dumps(fields | parts, indent=2))


def card(
    rows: Sequence[Row] = SOUND,
    *,
    base: str = "distilbert-base-uncased",
    dataset: str = "emotion",
    head: Sequence[str] = ("Training Loss", "Epoch", "Step", "Validation Loss", "Accuracy", "F1"),
    prose: str = "",
    comma: bool = False,
    **settings: Any,
) -> File:
    """A card as the Trainer writes it: front matter, the evaluation, hyper-parameters, and the table."""
    stated = {"learning_rate": "2e-05", "train_batch_size": 64, "eval_batch_size": 64, "seed": 42,
              "optimizer": "Adam with betas=(0.9,0.999) and epsilon=1e-08", "lr_scheduler_type": "linear",
              "num_epochs": 2}  # fmt: skip
    lines = [f"- {name}: {value}" for name, value in (stated | settings).items() if value is not None]

    def shown(value: Any) -> str:
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        return text.replace(".", ",") if comma else text

    table = [f"| {' | '.join(head)} |", f"|{'|'.join(':---:' for _ in head)}|"]
    table += [f"| {' | '.join(map(shown, (r[2], float(r[0]), r[1], *r[3:])))} |" for r in rows]
    _, _, _, valid, accuracy, f1 = rows[-1]
    text = f"""---
license: apache-2.0
tags:
- generated_from_trainer
model-index:
- name: {base}-finetuned-emotion
  results: []
---
# {base}-finetuned-emotion

{prose}

This model is a fine-tuned version of [{base}](https://huggingface.co/{base}) on the {dataset} dataset.
It achieves the following results on the evaluation set:
- Loss: {shown(valid)}
- {head[-2]}: {shown(accuracy)}
- {head[-1]}: {shown(f1)}

### Training hyperparameters

The following hyperparameters were used during training:
{chr(10).join(lines)}

### Training results

{chr(10).join(table)}

### Framework versions

- Transformers 4.30.2
- Pytorch 2.0.1
"""
    return File("README.md", text)
