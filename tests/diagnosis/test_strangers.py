"""Strangers' files are read right: every cause of a wrong answer that was met, in six languages."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.diagnosis.diagnose import diagnose_run
from repro.diagnosis.files import run_from_file
from repro.errors import UsageError
from tests.diagnosis.blind.make_cases import Case as BlindCase
from tests.diagnosis.blind.make_cases import faulty_cases, sound_cases
from tests.diagnosis.layouts import (
    ARGUMENTS,
    BOOK,
    HEAD,
    METRICS,
    SETUP,
    SOUND,
    TRAINING,
    File,
    bar,
    card,
    failed,
    html,
    logs,
    notebook,
    printed,
    seminar,
    state,
)

RESULTS = Path(__file__).parents[2] / "results"
STEPS = ("Step", *HEAD[1:])
KERAS = "tf_model.compile(optimizer=tf.keras.optimizers.Adam(learning_rate=5e-5), loss=loss)"
BERT = SETUP.replace('"distilbert-base-uncased"', '"bert-base-cased"')
JAPANESE = BERT.replace("model_ckpt", "モデル名").replace("bert-base-cased", "cl-tohoku/bert-base-japanese")
CASED = SETUP.replace("from_pretrained(model_ckpt)", 'from_pretrained("distilbert-base-cased")', 1)
NO_LOG = [(1, 250, "No log", *SOUND[0][3:]), (2, 500, 0.5357, *SOUND[1][3:])]
SHORT = [(1, 250, *SOUND[0][2:])]
METRIC = "{'test_loss': 0.217733, 'test_accuracy': 0.9265, 'test_f1': 0.926312, 'test_runtime': 1.6}"
BOOKS_METRIC = "{'test_loss': 0.22047173976898193, 'test_accuracy': 0.9225, 'test_f1': 0.9225500751072866}"
LOGGED = "\n".join(str({k: v for k, v in entry.items() if k != "step"}) for entry in logs())
PERCENT = [(e, s, t, v, f"{100 * a:.2f}%", f"{100 * f:.2f}%") for e, s, t, v, a, f in SOUND]
COMMAS = [(e, s, *(f"{x:.6f}".replace(".", ",") for x in rest)) for e, s, *rest in SOUND]
SAGEMAKER = "\n".join(f"\x1b[34m{line}\x1b[0m" for line in [
    "***** Running training *****", "  Num examples = 16000", "  Num Epochs = 2", "  Total optimization steps = 500",
    "100%|██████████| 500/500 [01:48<00:00,  4.62it/s]", *LOGGED.splitlines(), "Training seconds: 312"])  # fmt: skip
ESTIMATOR = """hyperparameters = {'epochs': 2, 'train_batch_size': 64, 'model_name': 'distilbert-base-uncased'}
huggingface_estimator = HuggingFace(entry_point='train.py', instance_type='ml.p3.2xlarge',
    hyperparameters=hyperparameters)
huggingface_estimator.fit({'train': training_input_path, 'test': test_input_path})"""
ROUGE = [{"loss": 2.71, "epoch": 1.0, "step": 250}, {"eval_loss": 2.4, "eval_rouge1": 41.2, "epoch": 1.0, "step": 250}]


IN_A_DICT = """kw = dict(learning_rate=1e-4, num_train_epochs=2)
kw["weight_decay"] = 0.01
training_args = TrainingArguments("out", per_device_train_batch_size=64, **kw)"""
IN_A_FUNCTION = """def make(lr=2e-5):
    return TrainingArguments("out", num_train_epochs=2, learning_rate=lr,
        per_device_train_batch_size=64, weight_decay=0.01)
training_args = make()"""


@dataclass(frozen=True)
class Case:
    """A file, the answer that is right, and words that it must hold."""

    name: str
    file: File
    outcome: str
    words: tuple[str, ...] = ()


def changed(old: str, new: str) -> str:
    assert old in ARGUMENTS
    return ARGUMENTS.replace(old, new)


CASES = [
    # recipes on the syntax tree
    Case("english", seminar(html()), "normal"),
    Case("keras-below", seminar(html(), after=[(KERAS, ())]), "normal"),
    Case("keras-above", seminar(html(), setup=f"{SETUP}\n{KERAS}"), "normal"),
    Case("commented-rate", seminar(html(), arguments=f"{ARGUMENTS}\n# learning_rate=5e-5, batch_size=16"), "normal"),
    Case("rate-in-a-string", seminar(html(), arguments=f'{ARGUMENTS}\nprint("learning_rate=1e-3")'), "normal"),
    Case(
        "another-rate",
        seminar(html(), arguments=changed("2e-5", "5e-5")),
        "not comparable",
        ("learning rate 5e-05",),
    ),
    Case(
        "rate-in-a-variable",
        seminar(html(), arguments="LR = 3 * 10 ** -5\n" + changed("2e-5", "LR")),
        "not comparable",
        ("3e-05",),
    ),
    Case(
        "rate-by-default", seminar(html(), arguments=changed("learning_rate=2e-5,", "")), "not comparable", ("5e-05",)
    ),
    Case("arguments-in-a-dict", seminar(html(), arguments=IN_A_DICT), "not comparable", ("0.0001",)),
    Case("arguments-in-a-function", seminar(html(), arguments=IN_A_FUNCTION), "normal"),
    Case(
        "arguments-changed-later",
        seminar(html(), arguments=f"{ARGUMENTS}\ntraining_args.learning_rate = 1e-3"),
        "not comparable",
        ("0.001",),
    ),
    Case(
        "korean-two-recipes",
        seminar(
            html(),
            after=[(changed("2e-5", "5e-5"), ()), ("trainer2 = Trainer(args=training_args)", ())],
            text="# 감정 분류 모델을 미세 조정합니다",
        ),
        "normal",
    ),
    Case(
        "three-epochs",
        seminar(
            html([*SOUND, (3, 750, 0.16, 0.2, 0.93, 0.93)], progress=bar(750, 750, 3, 3)),
            arguments=changed("epochs=2", "epochs=3"),
        ),
        "not comparable",
        ("3 epochs instead of 2",),
    ),
    Case("checkpoint-in-a-variable", seminar(html(), setup=BERT), "not comparable", ("bert-base-cased",)),
    Case(
        "japanese-checkpoint",
        seminar(html(), setup=JAPANESE, text="## 感情分類器の学習"),
        "not comparable",
        ("japanese",),
    ),
    Case("cased-tokenizer", seminar(html(), setup=CASED), "not comparable", ("tokenizer distilbert-base-cased",)),
    Case(
        "warm-up",
        seminar(html(), arguments=changed("weight_decay=0.01", "weight_decay=0.01, warmup_steps=500")),
        "not comparable",
        ("linear with warm-up",),
    ),
    Case(
        "accumulated",
        seminar(
            html(),
            arguments=changed("batch_size = 64", "batch_size = 16").replace(
                "log_level", "gradient_accumulation_steps=4, log_level"
            ),
        ),
        "normal",
    ),
    Case(
        "tweet-eval",
        seminar(html(progress=bar(102, 102)), setup=SETUP.replace('"emotion"', '"tweet_eval", "emotion"')),
        "not comparable",
        ("tweet_eval",),
    ),
    Case(
        "macro",
        seminar(
            html([(e, s, t, v, a, f - 0.03) for e, s, t, v, a, f in SOUND]),
            metrics=METRICS.replace('"weighted"', '"macro"'),
        ),
        "not comparable",
        ("macro",),
    ),
    Case(
        "test-split-in-training",
        seminar(html(), training=TRAINING.replace('"validation"', '"test"')),
        "not comparable",
        ("test split",),
    ),
    # trainings that did not end
    Case(
        "interrupted",
        seminar(html(SHORT, progress=bar(136, 500, 0.54)), failed()),
        "stopped",
        ("step 136 of 500", "KeyboardInterrupt"),
    ),
    Case(
        "chinese-dead-kernel",
        seminar(html([], progress=bar(136, 500, 0.54)), text="微调 Transformer"),
        "stopped",
        ("136 of 500",),
    ),
    Case(
        "interrupted-under-another-table",
        notebook(
            (SETUP, ()),
            (METRICS, ()),
            (ARGUMENTS, ()),
            (TRAINING, [html()]),
            (changed("2e-5", "3e-5"), ()),
            (TRAINING, [html([], progress=bar(41, 500, 0.16)), failed()]),
        ),
        "stopped",
        ("41 of 500",),
    ),
    Case(
        "interrupted-with-the-books-metrics",
        seminar(
            html([], progress=bar(12, 500, 0.05)), failed(), after=[("preds_output.metrics", [printed(BOOKS_METRIC)])]
        ),
        "stopped",
        ("12 of 500",),
    ),
    Case(
        "failed-at-once",
        seminar(
            failed("TypeError", "unexpected keyword 'tokenizer'"),
            after=[("preds_output.metrics", [printed(BOOKS_METRIC)])],
        ),
        "stopped",
        ("TypeError",),
    ),
    Case(
        "failed-first-then-sound",
        notebook(
            (SETUP, ()), (METRICS, ()), (ARGUMENTS, ()), (TRAINING, [failed("OutOfMemoryError")]), (TRAINING, [html()])
        ),
        "normal",
    ),
    Case(
        "push-failed-after-the-end",
        seminar(html(), failed("HfHubHTTPError"), training=f"{TRAINING}\ntrainer.push_to_hub()"),
        "normal",
    ),
    Case("state-in-the-middle", state(logs()[:2], global_step=250, epoch=1.0), "stopped", ("250 of 500",)),
    Case("card-of-a-stopped-run", card(SHORT), "stopped", ("250 of 500",)),
    # figures
    Case("the-books-own", seminar(html(BOOK)), "the book's own"),
    Case(
        "only-the-books-metrics", seminar(after=[("preds_output.metrics", [printed(BOOKS_METRIC)])]), "the book's own"
    ),
    Case("own-metrics-without-table", seminar(after=[("preds_output.metrics", [printed(METRIC)])]), "normal"),
    Case("no-log", seminar(html(NO_LOG)), "normal", ("mean over more than one epoch",)),
    Case(
        "spanish-card-no-log",
        card(NO_LOG, prose="Este modelo clasifica emociones en tuits."),
        "normal",
        ("no means over single epochs",),
    ),
    Case(
        "logged-every-50",
        seminar(
            html([(e, s, x, *rest) for (e, s, _, *rest), x in zip(SOUND, (0.41, 0.19), strict=True)]),
            arguments=ARGUMENTS.replace('len(emotions_encoded["train"]) // batch_size', "50"),
        ),
        "normal",
        ("last steps",),
    ),
    Case("by-step", seminar(html(SOUND, STEPS), arguments=changed('"epoch"', '"steps"')), "normal"),
    Case("by-200-steps", card([(0.8, 200, 0.99, 0.36, 0.89, 0.888), (1.6, 400, 0.28, 0.22, 0.924, 0.923)]), "normal"),
    Case(
        "f1-score",
        seminar(html(head=("Epoch", "Training Loss", "Validation Loss", "Accuracy", "F1 Score"))),
        "normal",
        ("F1 0.9263",),
    ),
    Case(
        "portuguese-card",
        card(
            head=("Perda de treinamento", "Época", "Etapa", "Perda de validação", "Acurácia", "Pontuação F1"),
            comma=True,
        ),
        "normal",
        ("F1 0.9263",),
    ),
    Case("percent-signs", seminar(html(PERCENT)), "normal", ("F1 0.9263",)),
    Case(
        "decimal-commas",
        seminar(
            html(
                COMMAS,
                head=("Época", "Pérdida de entrenamiento", "Pérdida de validación", "Exactitud", "Puntuación F1"),
            )
        ),
        "normal",
        ("F1 0.9263",),
    ),
    Case(
        "percentages",
        state(logs([(e, s, t, v, 100 * a, 100 * f) for e, s, t, v, a, f in SOUND])),
        "normal",
        ("percentages",),
    ),
    Case("sagemaker", notebook((ESTIMATOR, [printed(SAGEMAKER)])), "normal", ("F1 0.9263",)),
    Case(
        "sagemaker-rate",
        notebook((ESTIMATOR.replace("'epochs': 2", "'epochs': 2, 'learning_rate': '5e-5'"), [printed(SAGEMAKER)])),
        "not comparable",
        ("learning rate",),
    ),
    Case("printed-logs", seminar(printed(LOGGED)), "normal", ("F1 0.9263",)),
    Case(
        "only-just",
        seminar(html([SOUND[0], (2, 500, 0.2466, 0.217733, 0.9170, 0.9169)])),
        "low",
        ("lies below all 94",),
    ),
    # states and cards
    Case("state", state(), "normal"),
    Case("state-constant", state(logs(rates=(2e-5, 2e-5))), "not comparable", ("constant",)),
    Case("state-warm-up", state(logs(rates=(1e-5, 2e-5))), "not comparable", ("warm-up",)),
    Case("state-of-today", state(logs(rates=(1.004e-5, 4e-8))), "normal"),
    Case("state-another-rate", state(logs(rates=(2.5e-5, 0.0))), "not comparable", ("5e-05",)),
    Case("state-without-the-last-evaluation", state(logs()[:3]), "normal", ("no evaluation after epoch 1",)),
    Case(
        "state-of-another-task",
        state(ROUGE, max_steps=250, global_step=250, num_train_epochs=1, epoch=1.0),
        "not comparable",
        ("rouge1",),
    ),
    Case("card", card(), "normal"),
    Case("card-constant", card(lr_scheduler_type="constant"), "not comparable", ("constant",)),
    Case("card-warm-up", card(lr_scheduler_warmup_ratio=0.1), "not comparable", ("warm-up",)),
    Case("card-of-imdb", card(dataset="imdb"), "not comparable", ("imdb",)),
    Case("chinese-card", card(prose="该模型用于推文情感分类。"), "normal"),
    Case(
        "korean-card-of-bert",
        card(base="klue/bert-base", prose="감정 분류 모델"),
        "not comparable",
        ("klue/bert-base",),
    ),
]


def answer(name: str, content: str, folder: Path) -> tuple[str, str]:
    """The outcome and all that is said; `refused` and the error for a file that is refused."""
    (folder / name).write_text(content, encoding="utf-8")
    try:
        found = diagnose_run(run_from_file(folder / name))
    except UsageError as error:
        return "refused", str(error)
    reasons = [f"{mistake.text}: {mistake.evidence}" for mistake in (*found.mistakes, *found.notes)]
    return found.outcome, " ".join([found.sentence, *found.remarks, *reasons])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_strangers_file_gets_the_right_answer(case: Case, tmp_path: Path) -> None:
    outcome, said = answer(case.file.name, case.file.content, tmp_path)
    assert outcome == case.outcome, said
    for word in case.words:
        assert word in said


# what the blind files' author calls the outcomes
WORDS = {"stopped": "incomplete", "the book's own": "book-output", "odd together": "odd", "suspiciously high": "high",
         "not comparable": "not-comparable"}  # fmt: skip


@pytest.mark.parametrize("case", [*sound_cases(), *faulty_cases()], ids=lambda case: case.file)
def test_a_file_written_blind_gets_the_right_answer(case: BlindCase, tmp_path: Path) -> None:
    outcome, said = answer(case.file, case.text, tmp_path)
    assert WORDS.get(outcome, outcome) in (case.outcome, *case.also), said
    for fact in case.says:
        assert re.sub(r"[\s-]", "", fact) in re.sub(r"[\s-]", "", said.lower())


def test_the_published_accuracy_counts_the_files_that_are_tested() -> None:
    rows = list(csv.DictReader((RESULTS / "diagnosis.csv").read_text(encoding="utf-8").splitlines()))
    assert [int(row["files"]) for row in rows] == [len(sound_cases()) + len(faulty_cases()), len(CASES)]
    assert all(row["right now"] == row["files"] and row["sound files accused now"] == "0" for row in rows)
