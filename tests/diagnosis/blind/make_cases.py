#!/usr/bin/env python3
"""Write 32 made-up student files (notebooks, model cards, trainer states) into cases/, and expected.toml beside it.

The layouts are those of real Jupyter, Colab, Kaggle, VS Code and SageMaker notebooks, of the Trainer's model card
and of trainer_state.json; every figure is invented, except the book's own in case 18. Nothing is random.
"""

# fmt: off
# ruff: noqa: E501 (made-up files, a line a part: read as a table)
import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
Row = tuple[float | str, ...]  # training loss ("No log" if absent), validation loss, accuracy, weighted F1
Rows = tuple[Row, ...]

# ---------------------------------------------------------------- texts: layouts.toml, with <word> to be filled in
LAYOUTS = tomllib.loads((HERE / "layouts.toml").read_text(encoding="utf-8"))
WORDS: dict[str, list[str]] = LAYOUTS["words"]
TEXT: dict[str, str] = LAYOUTS["text"]
SPLITS = "DatasetDict({\n" + "".join(
    f"    {split}: Dataset({{\n        features: ['text', 'label'],\n        num_rows: {rows}\n    }})\n"
    for split, rows in (("train", 16000), ("validation", 2000), ("test", 2000))) + "})"
CKPT = 'model_ckpt = "distilbert-base-uncased"\n'
TOKENIZER = "tokenizer = AutoTokenizer.from_pretrained(model_ckpt)\n"
INDENT = "\n" + " " * 34
ARGS_COMMENTED = TEXT["ARGS"].replace("learning_rate=2e-5,", f"# learning_rate=5e-5,{INDENT}learning_rate=2e-5,")
ARGS_TRIAL = TEXT["ARGS"].replace("2e-5", "5e-5").replace("epochs=2", "epochs=1")
ARGS_BY_STEP = TEXT["ARGS"].replace('"epoch"', f'"steps",{INDENT}eval_steps=125').replace("=logging_steps", "=125")
ARGS_NO_LOGGING = TEXT["ARGS"].replace(f"{INDENT}logging_steps=logging_steps,", "")

def fill(template: str, **words: str | float) -> str:
    for word, value in words.items():
        template = template.replace(f"<{word}>", str(value))
    return template

def full(value: float | str) -> float | str:
    """The value with the further digits that logs show and tables round off: decimals 8 to 16, from its own hash."""
    if isinstance(value, str) or round(value, 4) == value:  # accuracies are exact multiples of 1/2000
        return value
    return value + int(hashlib.sha1(str(value).encode(), usedforsecurity=False).hexdigest()[:6], 16) / 2**24 * 4e-7

# ---------------------------------------------------------------- cells and outputs (nbformat 4)
def md(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}

def code(text: str, *outputs: dict[str, Any], run: bool = True) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": 1 if run else None, "metadata": {}, "outputs": list(outputs),
            "source": text.splitlines(keepends=True)}

def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"name": name, "output_type": "stream", "text": text.splitlines(keepends=True)}

def html(text: str) -> dict[str, Any]:
    return {"data": {"text/html": text.splitlines(keepends=True), "text/plain": ["<IPython.core.display.HTML object>"]},
            "metadata": {}, "output_type": "display_data"}

def result(text: str) -> dict[str, Any]:
    return {"data": {"text/plain": text.splitlines(keepends=True)}, "execution_count": 1, "metadata": {},
            "output_type": "execute_result"}

def error(name: str, value: str, deepest: str) -> dict[str, Any]:
    red, green, off = "\x1b[0;31m", "\x1b[0;32m", "\x1b[0m"
    frames = [f"{green}<ipython-input-9-3435b262f1ae>{off} in \x1b[0;36m<module>{off}\n{green}----> 6{off} trainer.train()\n",
              f"{green}/usr/local/lib/python3.10/dist-packages/transformers/trainer.py{off} in {deepest}\n"]
    return {"ename": name, "evalue": value, "output_type": "error",
            "traceback": [red + "-" * 75 + off, f"{red}{name}{off}{' ' * 33}Traceback (most recent call last)", *frames,
                          f"{red}{name}{off}: {value}"]}

INTERRUPTED = error("KeyboardInterrupt", "", "training_step\n-> 2735         self.accelerator.backward(loss)")
OUT_OF_MEMORY = error("OutOfMemoryError", "CUDA out of memory. Tried to allocate 22.00 MiB (GPU 0; 14.76 GiB total capacity; 13.41 GiB "
                      "already allocated; 13.75 MiB free; 13.69 GiB reserved in total by PyTorch)",
                      "compute_loss\n-> 2767         outputs = model(**inputs)")

def bar(step: int, total: int, epoch: str, clock: str) -> str:
    """The HTML of NotebookProgressBar; `clock` is '01:48' when done, '00:31 < 01:24, 4.31 it/s' on the way."""
    return (f"\n    <div>\n      \n      <progress value='{step}' max='{total}' style='width:300px; height:20px; "
            f"vertical-align: middle;'></progress>\n      [{step:>{len(str(total))}}/{total} {clock}, Epoch {epoch}]\n    </div>\n    ")

def table(head: Sequence[str], rows: Sequence[Sequence[float | int | str]]) -> str:
    """The HTML of transformers' text_to_html_table, its odd indentation included."""
    cells = "".join(f"      <th>{name}</th>\n" for name in head)
    body = "".join("    <tr>\n" + "".join(f"      <td>{f'{x:.6f}' if isinstance(x, float) else x}</td>\n" for x in row)
                   + "    </tr>\n" for row in rows)
    return ('<table border="1" class="dataframe">\n  <thead>\n <tr style="text-align: left;">\n' + cells
            + "    </tr>\n  </thead>\n  <tbody>\n" + body + "  </tbody>\n</table><p>")

def trained(rows: Rows, *, names: Sequence[str] = ("Accuracy", "F1"), first: str = "Epoch", at: Sequence[int] = (),
            steps: int = 500, epochs: int = 2, stop: tuple[int, str, str] | None = None, clock: str = "02:37",
            parameters: int = 43123974) -> list[dict[str, Any]]:
    """What trainer.train() leaves under its cell: bar, table and, unless stopped, the TrainOutput.

    total_flos is 6 x `parameters` outside the embeddings x 87 pieces x 16,000 tweets an epoch.
    """
    step, epoch, clock = stop or (steps, f"{epochs}/{epochs}", clock)
    head = [first, "Training Loss", "Validation Loss", *(names if rows else ())]
    numbered = [(n, *row) for n, row in zip(at or range(1, len(rows) + 1), rows, strict=False)]
    shown = html(bar(step, steps, epoch, clock) + table(head, numbered))
    if stop:
        return [shown]
    losses = [row[0] for row in rows if isinstance(row[0], float)]
    mean, seconds = sum(losses) / len(losses) + 2.4137271e-5, 60 * int(clock[:2]) + int(clock[3:]) + 0.6021
    return [shown, result(f"TrainOutput(global_step={steps}, training_loss={mean}, metrics={{'train_runtime': {seconds}, "
                          f"'train_samples_per_second': {16000 * epochs / seconds:.3f}, 'train_steps_per_second': {steps / seconds:.3f}, "
                          f"'total_flos': {6.0 * parameters * 87 * 16000 * epochs}, 'train_loss': {mean}, 'epoch': {epochs}.0}})")]

# ---------------------------------------------------------------- whole files
HOSTS: dict[str, tuple[int, dict[str, Any]]] = {  # nbformat_minor and notebook metadata
    "jupyter": (4, {"language_info": {"name": "python", "version": "3.9.13"}}),
    "colab": (0, {"accelerator": "GPU", "colab": {"provenance": [], "gpuType": "T4"}, "language_info": {"name": "python"}}),
    "kaggle": (4, {"language_info": {"name": "python", "version": "3.10.12"}, "papermill": {"duration": 341.7, "version": "2.4.0"},
                   "kaggle": {"accelerator": "nvidiaTeslaT4", "dataSources": [], "isGpuEnabled": True, "language": "python"}}),
    "vscode": (5, {"language_info": {"name": "python", "version": "3.11.9"}, "vscode": {"interpreter": {"hash": "0" * 64}}}),
    "sagemaker": (5, {"instance_type": "ml.t3.medium", "language_info": {"name": "python", "version": "3.10.6"}}),
}

def notebook(host: str, cells: Sequence[dict[str, Any]]) -> str:
    minor, extra = HOSTS[host]
    count = 0
    for number, cell in enumerate(cells):
        name = hashlib.sha1(f"{host}{number}".encode(), usedforsecurity=False).hexdigest()
        if minor >= 5:
            cell["id"] = name[:8]
        if host == "colab":
            cell["metadata"] = {"id": name[:12], **({"outputId": name[-12:]} if cell.get("outputs") else {})}
        if host == "kaggle":
            cell["metadata"] = {"papermill": {"duration": 0.02, "exception": False, "status": "completed"}, "tags": []}
        if cell.get("execution_count"):
            count += 1
            for counted in (cell, *(output for output in cell["outputs"] if "execution_count" in output)):
                counted["execution_count"] = count
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, **extra}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"

def course(lang: str, host: str, outputs: list[dict[str, Any]], *, data: str = "emotion", ckpt: str = CKPT, tokenizer: str = TOKENIZER,
           prepare: Sequence[dict[str, Any]] = (), keys: tuple[str, str] = ("accuracy", "f1"), before: Sequence[dict[str, Any]] = (), args: str = TEXT["ARGS"],
           split: str = "validation", last: Row | None = None, after: Sequence[dict[str, Any]] = ()) -> str:
    """The course's notebook as a student of `lang` ran it; `last` adds the predict() metrics of that row."""
    title, load, tokens, model, metrics, train, question, comment = WORDS[lang]
    name = ckpt.split('"')[1]
    cls = "BertForSequenceClassification" if name.startswith("bert") else "DistilBertForSequenceClassification"
    train_cell = fill(TEXT["TRAIN"], split=split, args="args" if "\nargs = " in args else "training_args")
    cells = [md(f"# {title}"), code("!pip install -q transformers datasets"), md(f"## {load}"),
             code(f'from datasets import load_dataset\n\nemotions = load_dataset("{data}")\nemotions', result(SPLITS)), md(f"## {tokens}"),
             code("from transformers import AutoTokenizer\n\n" + ckpt + tokenizer + TEXT["ENCODE"],
                  stream(f"{TEXT['TWEET'].split()}\n")), *prepare, md(f"## {model}"),
             code(TEXT["MODEL"], stream(fill(TEXT["HEAD_WARNING"], cls=cls, ckpt=name), "stderr")), md(f"## {metrics}"),
             code(fill(TEXT["METRICS"], acc=keys[0], f1=keys[1])), *before, md(f"## {train}"), code(fill(args, comment=comment)),
             code(train_cell, *outputs), md(f"**{question}**")]
    if last:
        cells.append(code(f'preds_output = trainer.predict(emotions_encoded["{split}"])\npreds_output.metrics', html(""), result(
            f"{{'test_loss': {full(last[1])},\n 'test_{keys[0]}': {last[2]},\n 'test_{keys[1]}': {full(last[3])},\n "
            "'test_runtime': 2.9131,\n 'test_samples_per_second': 686.553,\n 'test_steps_per_second': 10.985}")))
    return notebook(host, [*cells, *after])

def log_lines(rows: Rows) -> list[str]:
    """The dictionaries that the Trainer prints where there is no notebook widget (rates 1e-05 and 0.0: linear)."""
    out = []
    for epoch, (row, rate) in enumerate(zip(rows, ("1e-05", "0.0"), strict=False), 1):
        out.append(f"{{'loss': {row[0]}, 'learning_rate': {rate}, 'epoch': {epoch}.0}}")
        out.append(f"{{'eval_loss': {full(row[1])}, 'eval_accuracy': {row[2]}, 'eval_f1': {full(row[3])}, 'eval_runtime': 2.8102, "
                   f"'eval_samples_per_second': 711.69, 'eval_steps_per_second': 11.387, 'epoch': {epoch}.0}}")
    mean = sum(row[0] for row in rows if isinstance(row[0], float)) / len(rows)
    total = (f"{{'train_runtime': 171.4417, 'train_samples_per_second': 186.652, 'train_steps_per_second': 2.916, "
             f"'train_loss': {mean + 2.4137271e-5}, 'epoch': {len(rows)}.0}}")
    return [*out, "100%|██████████| 500/500 [02:51<00:00,  2.92it/s]", total]

def script(split: str) -> dict[str, Any]:
    return code(fill(TEXT["SCRIPT"], split=split, metrics=fill(TEXT["METRICS"], acc="accuracy", f1="f1")), stream("Writing train.py\n"))

def sagemaker(lang: str, rows: Rows) -> str:
    job = ['SM_HPS={"epochs":2,"learning_rate":2e-05,"train_batch_size":64}',
           "/opt/conda/bin/python3.9 train.py --epochs 2 --learning_rate 2e-05 --train_batch_size 64",
           "***** Running training *****", "  Num examples = 16000", "  Total optimization steps = 500"]
    log = ["2023-05-02 09:14:51 Starting - Starting the training job...", *(f"\x1b[34m{line}\x1b[0m" for line in (*job, *log_lines(rows))),
           "2023-05-02 09:24:10 Completed - Training job completed", ""]
    return notebook("sagemaker", [md(f"# {WORDS[lang][0]} (SageMaker)"), code("import sagemaker\nrole = sagemaker.get_execution_role()"),
                                  script("validation"), code(TEXT["ESTIMATOR"], stream("\n".join(log)))])

def shell(lang: str, rows: Rows, split: str) -> str:
    run = code("!python train.py --epochs 2 --learning_rate 2e-5 --train_batch_size 64", stream("\n".join(log_lines(rows)) + "\n"))
    return notebook("colab", [md("# " + WORDS[lang][0]), script(split), md("## " + WORDS[lang][5]), run, md(f"**{WORDS[lang][6]}**")])

LINK = "[distilbert-base-uncased](https://huggingface.co/distilbert-base-uncased)"
OPEN_EN = f"This model is a fine-tuned version of {LINK} on the <data> dataset.\nIt achieves the following results on the evaluation set:"
OPEN_ES = f"Este modelo es una versión ajustada de {LINK} con el conjunto de datos <data>.\nResultados en la evaluación:"
OPEN_JA = f"このモデルは {LINK} を <data> データセットでファインチューニングしたものです。\n評価データでの結果:"

def card(rows: Rows, *, data: str = "emotion", config: str = "split", split: str = "validation", batch: int = 64, per_epoch: int = 250,
         opening: str = OPEN_EN, recipe: bool = True, mark: str = "") -> str:
    """A Trainer model card; mark "%" writes accuracy and F1 in per cent, "," writes decimal commas."""
    def number(value: float | str) -> str:
        return f"{float(value):.4f}".replace(".", mark if mark == "," else ".")
    def share(value: float | str) -> str:
        return f"{100 * float(value):.2f}%" if mark == "%" else number(value)
    cells = [["Training Loss", "Epoch", "Step", "Validation Loss", "Accuracy", "F1"]]
    cells += [[number(train), f"{n}.0", str(n * per_epoch), number(valid), share(accuracy), share(f1)]
              for n, (train, valid, accuracy, f1) in enumerate(rows, 1)]
    widths = [max(len(row[i]) for row in cells) for i in range(6)]
    ruled = ["| " + " | ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)) + " |" for row in cells]
    ruled.insert(1, "|" + "|".join(f":{'-' * w}:" for w in widths) + "|")
    _, loss, accuracy, f1 = rows[-1]
    tops = [f"{100 * float(x):.2f} %".replace(".", ",") if mark == "," else share(x) for x in (accuracy, f1)]
    return fill(TEXT["CARD"], opening=opening, hyperparameters=TEXT["HYPERPARAMETERS"] if recipe else "", batch=batch,
                epochs=len(rows), data=data, config=config, split=split, accuracy=accuracy, f1=full(f1), loss=number(loss),
                shown_accuracy=tops[0], shown_f1=tops[1], results="\n".join(ruled))

def dump_state(history: list[dict[str, Any]], steps: int = 500, every: int = 500, flos: float = 720342861696000.0) -> str:
    return json.dumps({"best_metric": None, "best_model_checkpoint": None, "epoch": 2.0, "eval_steps": 500, "global_step": steps,
                       "is_hyper_param_search": False, "is_local_process_zero": True, "is_world_process_zero": True,
                       "log_history": history, "logging_steps": every, "max_steps": steps, "num_input_tokens_seen": 0,
                       "num_train_epochs": 2, "save_steps": 500, "total_flos": flos, "train_batch_size": 64, "trial_name": None,
                       "trial_params": None}, indent=2) + "\n"

def state(rows: Rows, losses: Sequence[float], rates: Sequence[float], *, evaluations: int = 2) -> str:
    """trainer_state.json of 500 steps whose training losses and rates were logged at even distances."""
    every = 500 // len(losses)
    history: list[dict[str, Any]] = []
    for n, (loss, rate) in enumerate(zip(losses, rates, strict=True), 1):
        step = n * every
        history.append({"epoch": step / 250, "grad_norm": 4.0 + n / 8, "learning_rate": rate, "loss": loss, "step": step})
        if step % 250 == 0 and step // 250 <= evaluations:
            _, value, accuracy, f1 = rows[step // 250 - 1]
            history.append({"epoch": step / 250, "eval_accuracy": accuracy, "eval_f1": full(f1), "eval_loss": full(value),
                            "eval_runtime": 2.7415, "eval_samples_per_second": 729.528, "eval_steps_per_second": 11.672, "step": step})
    history.append({"epoch": 2.0, "step": 500, "total_flos": 720342861696000.0, "train_loss": round(sum(losses) / len(losses), 6),
                    "train_runtime": 163.2204, "train_samples_per_second": 196.054, "train_steps_per_second": 3.063})
    return dump_state(history, every=every)

# ---------------------------------------------------------------- figures: the sound runs (by case), then the others
SOUND: dict[int, Rows] = {
    1: ((0.8301, 0.319516, 0.9035, 0.899452), (0.2491, 0.216044, 0.9265, 0.926606)),
    2: ((0.8195, 0.307293, 0.9095, 0.907594), (0.2456, 0.212567, 0.9260, 0.926305)),
    3: ((0.8091, 0.301301, 0.9125, 0.910196), (0.2417, 0.216184, 0.9235, 0.923457)),
    4: ((0.8325, 0.318522, 0.9010, 0.897785, 2.8105, 711.617), (0.2549, 0.215027, 0.9285, 0.928420, 2.7944, 715.717)),
    5: ((0.8287, 0.322013, 0.9075, 0.904106), (0.2529, 0.221393, 0.9245, 0.924362)),
    6: ((0.8176, 0.310085, 0.9095, 0.908219), (0.2418, 0.214043, 0.9260, 0.925917)),
    7: (("No log", 0.311971, 0.9100, 0.908405), (0.5332, 0.217319, 0.9235, 0.924095)),
    8: ((0.8449, 0.327903, 0.9005, 0.896711), (0.2569, 0.225086, 0.9205, 0.920394)),
    9: ((0.8180, 0.311980, 0.9050, 0.901882), (0.2417, 0.212999, 0.9295, 0.929355)),
    10: ((0.8552, 0.333051, 0.9010, 0.897921), (0.2578, 0.229970, 0.9215, 0.921493)),
    11: ((0.8122, 0.304190, 0.9090, 0.907470), (0.2425, 0.213609, 0.9265, 0.926756)),
    12: ((0.8293, 0.314077, 0.9055, 0.902070), (0.2505, 0.216466, 0.9260, 0.925967)),
    13: ((1.1903, 0.569214, 0.8220, 0.797351), (0.4559, 0.300535, 0.9140, 0.912482), (0.2641, 0.237306, 0.9200, 0.919542),
         (0.2277, 0.213732, 0.9245, 0.924376)),
    16: ((0.8074, 0.310289, 0.9100, 0.906595), (0.2445, 0.215204, 0.9220, 0.922344)),
    17: ((0.8209, 0.310547, 0.9080, 0.905385),),
}
BOOK: Rows = ((0.8409, 0.327445, 0.8965, 0.892285), (0.2550, 0.220472, 0.9225, 0.922550))
TRIAL: Rows = ((0.6213, 0.241905, 0.9195, 0.918274),)
CASED: Rows = ((1.0423, 0.451207, 0.8555, 0.848911), (0.3591, 0.311745, 0.9015, 0.901038))
BERT: Rows = ((0.7368, 0.235914, 0.9195, 0.918302), (0.1761, 0.169308, 0.9345, 0.934627))
FAST: Rows = ((0.5716, 0.200314, 0.9270, 0.926513), (0.1611, 0.157342, 0.9340, 0.934205), (0.1052, 0.149418, 0.9380, 0.938117))
LARGE_BATCH: Rows = ((1.0987, 0.483226, 0.8455, 0.827304), (0.3601, 0.246815, 0.9180, 0.917211), (0.2104, 0.199047, 0.9275, 0.927426),
                     (0.1612, 0.181233, 0.9310, 0.931078), (0.1389, 0.176829, 0.9330, 0.933152))
SLIGHTLY_LOW: Rows = ((0.8467, 0.340218, 0.8985, 0.895103), (0.2631, 0.233842, 0.9165, 0.916917))
ON_TRAIN: Rows = ((0.8312, 0.253406, 0.9220625, 0.920741), (0.2498, 0.126914, 0.9605625, 0.960488))
ON_TEST: Rows = ((0.8296, 0.314449, 0.9035, 0.900371), (0.2487, 0.218705, 0.9230, 0.923086))
SHUFFLED: Rows = ((1.5869, 1.560427, 0.3520, 0.183290), (1.5781, 1.557103, 0.3520, 0.183290))
FROZEN: Rows = ((1.6543, 1.606841, 0.3520, 0.183290), (1.5912, 1.577316, 0.3545, 0.189427))
WARM: Rows = ((0.9417, 0.336205, 0.8985, 0.894907), (0.2638, 0.224518, 0.9225, 0.922341))
STEADY: Rows = ((0.8129, 0.298417, 0.9090, 0.907325), (0.2402, 0.204166, 0.9275, 0.927604))
IMDB: Rows = ((0.3012, 0.203118, 0.9212, 0.921193), (0.1587, 0.194702, 0.9262, 0.926184))
DENSE = (1.5842, 1.1213, 0.6702, 0.4398, 0.3311, 0.2872, 0.2580, 0.2496, 0.2361, 0.2214)  # means of 50 steps
SLOW_START = (1.7103, 1.3825, 0.8176, 0.4671, 0.3310, 0.3029, 0.2718, 0.2611, 0.2477, 0.2355)
LINEAR = tuple(round(2e-5 * (1 - (50 * n - 1) / 500), 10) for n in range(1, 11))  # as logged before the scheduler's step
WARM_UP = (1e-5, 2e-5, *(round(2e-5 * (500 - 50 * n) / 400, 10) for n in range(3, 11)))  # 100 steps of warm-up
ROUGE = [{"epoch": float(n), "eval_loss": loss, "eval_rouge1": r1, "eval_rouge2": r2, "eval_rougeL": rl, "step": 1842 * n}
         for n, loss, r1, r2, rl in ((1, 1.7923, 27.413, 8.912, 22.104), (2, 1.7561, 28.036, 9.345, 22.618))]

# ---------------------------------------------------------------- the cases
class Case(NamedTuple):
    """One file and its right answer; the file's name ends in its language, `also` lists other outcomes that are defensible."""

    file: str
    causes: str
    outcome: str
    why: str
    text: str
    says: Sequence[str] = ()
    also: Sequence[str] = ()

TRAIN = fill(TEXT["TRAIN"], split="validation", args="training_args")

def variables(lr: str, bs: int, epochs: int, extra: str = "") -> str:
    return fill(TEXT["ARGS_IN_VARIABLES"], lr=lr, bs=bs, epochs=epochs, extra=extra)

def sound_cases() -> list[Case]:
    s = SOUND
    short = fill(ARGS_TRIAL, comment="先试一个 epoch") + "\n" + TRAIN
    trial = [md("## 试跑"), code(short, *trained(TRIAL, steps=250, epochs=1, clock="01:19")),
             md("## 重新加载模型"), code(TEXT["MODEL"])]
    losses = table(("Step", "Training Loss"), [(500, 2.6514), (1000, 2.5377), (1500, 2.4916)])
    masked = [md("## Extra: modelo de linguagem com IMDB"), code(TEXT["MLM"], html(bar(1563, 1563, "1/1", "09:41") + losses))]
    return [
        Case("01-colab-ko.ipynb", "commented-rate keras-rate", "normal",
             "5e-5 stands only in a comment and in the unrun TensorFlow cell.",
             course("ko", "colab", trained(s[1]), args=ARGS_COMMENTED, last=s[1][-1], after=[code(TEXT["KERAS"], run=False)])),
        Case("02-vscode-ja.ipynb", "constants", "normal", "lr, bs and n_epochs are variables, with the course's values.",
             course("ja", "vscode", trained(s[2]), data="dair-ai/emotion", args=variables("2e-5", 64, 2), last=s[2][-1])),
        Case("03-kaggle-es.ipynb", "recipe-dict column-names", "normal",
             "The recipe is an unpacked dict; the columns are Acc and F1 Score.",
             course("es", "kaggle", trained(s[3], names=("Acc", "F1 Score")), args=TEXT["ARGS_IN_DICT"], keys=("acc", "f1_score"))),
        Case("04-jupyter-pt.ipynb", "later-arguments later-table", "normal",
             "The later TrainingArguments (5e-5, batch 16) made the masked-language-model table, which has no validation figures.",
             course("pt", "jupyter", trained(s[4], names=("Accuracy", "F1", "Runtime", "Samples Per Second")), after=masked)),
        Case("05-colab-zh.ipynb", "earlier-trial several-rates", "normal",
             "The one-epoch trial at 5e-5 above had a model of its own; the last table follows the course's recipe.",
             course("zh", "colab", trained(s[5]), before=trial, last=s[5][-1])),
        Case("06-jupyter-ko.ipynb", "localized-header later-arguments", "normal",
             "The accuracy column is 정확도; the cell with 5e-5 was never run.",
             course("ko", "jupyter", trained(s[6], names=("정확도", "F1")), keys=("정확도", "f1"), after=[code(TEXT["LATER"], run=False)])),
        Case("07-colab-en.ipynb", "no-log column-names", "normal",
             "The only training loss is the mean over both epochs, 0.5332, which is sound.",
             course("en", "colab", trained(s[7], names=("Eval Acc", "Eval F1")), keys=("Eval_Acc", "Eval_F1"), args=ARGS_NO_LOGGING)),
        Case("08-sagemaker-en.ipynb", "sagemaker-log script-defaults", "normal",
             "The job overrides the script's defaults (5e-5, 3 epochs, batch 32); the coloured log is sound, at the lower end.",
             sagemaker("en", s[8])),
        Case("09-card-en.md", "sound-card", "normal",
             "A complete card of the course's recipe, at the upper end of the sound range.",
             card(s[9])),
        Case("10-card-es.md", "decimal-comma percent", "normal",
             "Decimal commas in the table, per cent in the list; the figures are sound.",
             card(s[10], opening=OPEN_ES, mark=",")),
        Case("11-card-ja.md", "percent no-hyperparameters", "normal",
             "Figures in per cent, no recipe stated; 250 and 500 steps, all sound.",
             card(s[11], opening=OPEN_JA, recipe=False, mark="%")),
        Case("12-linear-trainer_state.json", "linear-schedule dense-log", "normal",
             "Logged every 50 steps; the rate falls linearly to 4e-08; the epochs' mean training losses are 0.829 and 0.250.",
             state(s[12], DENSE, LINEAR)),
        Case("13-steps-pt.ipynb", "table-by-step", "normal",
             "Row 250 ends epoch 1 (mean loss 0.823), row 500 ends epoch 2; both are sound.",
             course("pt", "kaggle", trained(s[13], first="Step", at=(125, 250, 375, 500)), data="SetFit/emotion", args=ARGS_BY_STEP)),
    ]

def faulty_cases() -> list[Case]:
    partial = trained(((0.8327, 0.318854, 0.9045, 0.901766),), stop=(318, "1.27/2", "02:11 < 01:15, 2.41 it/s"))
    again = code(TRAIN, *trained((), stop=(61, "0.24/2", "00:14 < 01:47, 4.09 it/s")), INTERRUPTED)
    return [
        Case("14-interrupted-ko.ipynb", "interrupted", "incomplete", "Interrupted at 136 of 500 steps, before any evaluation.",
             course("ko", "colab", [*trained((), stop=(136, "0.54/2", "00:31 < 01:24, 4.31 it/s")), INTERRUPTED]), ["step 136 of 500"]),
        Case("15-memory-es.ipynb", "out-of-memory", "incomplete", "CUDA ran out of memory in the second epoch; epoch 1 is sound.",
             course("es", "jupyter", [*partial, OUT_OF_MEMORY]),
             ["step 318 of 500", "out of memory"]),
        Case("16-rerun-stopped-pt.ipynb", "interrupted earlier-table", "incomplete",
             "The table is an earlier run's; the last run stopped at step 61.",
             course("pt", "colab", trained(SOUND[16]), after=[again]), ["step 61 of 500"]),
        Case("17-no-last-evaluation-trainer_state.json", "last-evaluation-missing", "incomplete",
             "All 500 steps were trained, but the evaluation after epoch 2 is missing; what there is is sound.",
             state(SOUND[17], (0.8209, 0.2459), (1e-5, 0.0), evaluations=1), ["evaluation"], ["normal"]),
        Case("18-book-zh.ipynb", "book-output", "book-output", "All eight figures are those printed in the book's own notebook.",
             course("zh", "jupyter", trained(BOOK, clock="01:48")[:1]), ["book"]),
        Case("19-warmup-trainer_state.json", "warm-up", "not-comparable",
             "The logged rate rises to 2e-05 at step 100 before it falls.",
             state(WARM, SLOW_START, WARM_UP), ["warm"], ["odd"]),
        Case("20-constant-trainer_state.json", "constant-schedule", "not-comparable",
             "The logged rate is 2e-05 at steps 250 and 500 alike.",
             state(STEADY, (0.8129, 0.2402), (2e-5, 2e-5)), ["constant"], ["odd"]),
        Case("21-cased-tokenizer-ja.ipynb", "cased-tokenizer", "low",
             "The tokenizer is distilbert-base-cased's, the model is the uncased one.",
             course("ja", "vscode", trained(CASED), tokenizer='tokenizer = AutoTokenizer.from_pretrained("distilbert-base-cased")\n'),
             ["cased"], ["not-comparable", "odd"]),
        Case("22-bert-es.ipynb", "other-checkpoint", "not-comparable",
             "model_ckpt is bert-base-uncased; the usual name stands in a comment.",
             course("es", "colab", trained(BERT, clock="05:12", parameters=85649670),
                    ckpt='model_ckpt = "bert-base-uncased"  # antes: "distilbert-base-uncased"\n'),
             ["bert-base-uncased"]),
        Case("23-fast-zh.ipynb", "learning-rate epochs", "not-comparable",
             "lr is 5e-5 and n_epochs 3; 2e-5 stands only in a comment.",
             course("zh", "kaggle", trained(FAST, steps=750, epochs=3), args=variables("5e-5", 64, 3, "  # learning_rate=2e-5")),
             ["learning rate 5e-05", "3 epochs"]),
        Case("24-small-batch-ja.ipynb", "batch-size epochs", "not-comparable",
             "bs is 16 and n_epochs is 1: 1000 steps in one epoch.",
             course("ja", "colab", trained(((0.5412, 0.213742, 0.9260, 0.925804),), steps=1000, epochs=1), args=variables("2e-5", 16, 1)),
             ["batch size 16", "1 epoch"]),
        Case("25-large-batch-card-en.md", "batch-size epochs", "not-comparable",
             "The card states batch 128 and 5 epochs: 125 steps an epoch.",
             card(LARGE_BATCH, batch=128, per_epoch=125), ["batch size 128", "5 epochs"]),
        Case("26-imdb-card-en.md", "other-dataset", "not-comparable",
             "The same recipe and a like F1, but on IMDB: 391 steps an epoch.",
             card(IMDB, data="imdb", config="plain_text", split="test", per_epoch=391), ["imdb"], ["refused"]),
        Case("27-rouge-trainer_state.json", "other-task", "refused", "A summarization run: ROUGE, and neither accuracy nor F1.",
             dump_state(ROUGE, 3684, flos=8.134e15), (), ["not-comparable"]),
        Case("28-slightly-low-en.ipynb", "below-reruns", "low",
             "The recipe is right, but F1 0.9169 is below all 98 reruns: not to be called normal.",
             course("en", "vscode", trained(SLIGHTLY_LOW), last=SLIGHTLY_LOW[-1]), (), ["odd"]),
        Case("29-scored-on-train-ko.ipynb", "scored-on-train", "high", "eval_dataset is the training split, hence F1 0.9605.",
             course("ko", "kaggle", trained(ON_TRAIN), split="train"), ["train"], ["not-comparable"]),
        Case("30-scored-on-test-zh.ipynb", "scored-on-test plain-log", "not-comparable",
             "The script evaluates on the test split; the reruns' figures are of the validation split.",
             shell("zh", ON_TEST, "test"), ["test"], ["normal", "odd"]),
        Case("31-shuffled-pt.ipynb", "labels-shuffled", "low",
             "Texts and labels were shuffled apart: the model answers joy throughout, accuracy 0.352.",
             course("pt", "jupyter", trained(SHUFFLED), prepare=[code(TEXT["SHUFFLE"])]), ["most frequent class"]),
        Case("32-frozen-ja.ipynb", "encoder-frozen head-untrained", "low",
             "The encoder is frozen and the head hardly moves: accuracy about 0.35.",
             course("ja", "colab", trained(FROZEN), before=[code(TEXT["FREEZE"])]), ["frozen"], ["not-comparable"]),
    ]

def main() -> None:
    (HERE / "cases").mkdir(exist_ok=True)
    blocks = []
    for case in (*sound_cases(), *faulty_cases()):
        (HERE / "cases" / case.file).write_text(case.text, encoding="utf-8")
        language = Path(case.file).stem.rpartition("-")[2]
        shown = {"file": case.file, "language": language if language in WORDS else "none", "causes": case.causes.split(),
                 "outcome": case.outcome, "also": list(case.also), "says": list(case.says), "why": case.why}
        blocks.append("[[case]]\n" + "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in shown.items()))
    head = ("# Written by make_cases.py. says: facts that a right answer conveys, in these or like words;\n"
            "# also: other outcomes that are defensible. language: of the file's prose, none for a trainer state.\n\n")
    (HERE / "expected.toml").write_text(head + "\n".join(blocks), encoding="utf-8")

if __name__ == "__main__":
    main()
