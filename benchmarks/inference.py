"""Hidden states, evaluation, encoding and the linear baseline, the notebook's way and ours, in a worker."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.lengths import random_examples, tweet_lengths
from benchmarks.steps import BATCH, LONGEST, architecture
from benchmarks.turns import Turn

SOLVERS: dict[str, dict[str, Any]] = {
    "logistic": {},  # as the seminar does, by lbfgs in single precision
    "converged": {"solver": "newton-cg", "tol": 1e-6},  # of second order, in double precision
    "stopped": {"max_iter": 100},  # scikit-learn's default
}

if TYPE_CHECKING:
    from repro.training.data import Examples


def extract_notebook(turn: Turn, *, tweets: int, device: str = "cpu") -> None:
    """The notebook's `map` over rows padded to LONGEST, 1,000 at a time; a round is all texts."""
    import torch
    from datasets import disable_progress_bars

    disable_progress_bars()
    examples = random_examples(tweet_lengths()[:tweets])
    encoder: Any = architecture().base_model.eval().to(device)
    dataset = _padded(examples)
    dataset.set_format("torch", columns=["input_ids", "attention_mask", "label"])

    def extract_hidden_states(batch: dict[str, Any]) -> dict[str, Any]:
        inputs = {name: rows.to(device) for name, rows in batch.items() if name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            states = encoder(**inputs).last_hidden_state
        return {"hidden_state": states[:, 0].cpu().numpy()}

    while True:
        dataset.map(extract_hidden_states, batched=True, load_from_cache_file=False, keep_in_memory=True)
        turn.done(**_facts(examples, encoder))


def extract_ours(turn: Turn, *, tweets: int, precision: str, device: str = "cpu") -> None:
    """Our packed encoder over the same texts."""
    from repro.training.device import make_accelerator
    from repro.training.predict import cls_states

    examples = random_examples(tweet_lengths()[:tweets])
    encoder: Any = architecture().base_model
    accelerator = make_accelerator(device=device, precision=precision)
    while True:
        cls_states(encoder, examples.tokens, accelerator=accelerator)
        turn.done(**_facts(examples, encoder))


def evaluate_trainer(turn: Turn, *, tweets: int, precision: str, device: str = "cpu") -> None:
    """The Trainer's `predict` over rows padded to LONGEST, as in the notebook."""
    from transformers import Trainer, TrainingArguments

    examples, model = random_examples(tweet_lengths()[:tweets]), architecture()
    dataset = _padded(examples)
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_eval_batch_size=BATCH, report_to="none", disable_tqdm=True,
            log_level="error", use_cpu=device == "cpu", bf16=precision == "bf16", bf16_full_eval=False,
            dataloader_pin_memory=device == "cuda",
        )  # fmt: skip
        trainer = Trainer(model=model, args=arguments)
        while True:
            trainer.predict(dataset)
            turn.done(**_facts(examples, model))


def evaluate_ours(turn: Turn, *, tweets: int, precision: str, shape: str = "distilbert", device: str = "cpu") -> None:
    """Our prediction of the same rows."""
    from repro.training.device import make_accelerator
    from repro.training.predict import predict_rows

    examples, model = random_examples(tweet_lengths()[:tweets]), architecture(shape)
    accelerator = make_accelerator(device=device, precision=precision)
    prepared = accelerator.prepare_model(model, evaluation_mode=True)
    while True:
        predict_rows(prepared, examples, batch_size=BATCH, accelerator=accelerator)
        turn.done(**_facts(examples, model))


def encode(turn: Turn, *, way: str, recipe: str, corpus: str, checkpoints: str | None) -> None:
    """Tokenize the three splits: the notebook's padded `map`, or ours into one flat array."""
    from datasets import disable_progress_bars

    from repro.training.data import tokenize

    disable_progress_bars()
    context = _context(recipe, corpus, checkpoints, "fp32")
    splits, tokenizer = context.corpus.splits, context.tokenizer
    while True:
        if way == "notebook":
            splits.map(
                lambda batch: tokenizer(batch["text"], padding=True, truncation=True), batched=True, batch_size=None,
                load_from_cache_file=False, keep_in_memory=True,
            )  # fmt: skip
        else:
            for split in splits:
                tokenize(tokenizer, context.corpus.texts(split), max_length=context.recipe.max_length)
        turn.done(tweets=sum(map(len, splits.values())))


def fit_linear(turn: Turn, *, solver: str, recipe: str, corpus: str, checkpoints: str | None) -> None:
    """Fit the logistic regression on the frozen states of the training split; says the objective that it reached."""
    from sklearn.metrics import log_loss

    from repro.sections.linear import fit_logistic

    context = _context(recipe, corpus, checkpoints, "fp32")
    states, labels = context.cls_states["train"].numpy(), context.corpus.labels("train")
    exact = states.astype("float64")
    turn.prepared()
    while True:
        model, _ = fit_logistic(exact if solver == "converged" else states, labels, **SOLVERS[solver])
        shares = log_loss(labels, model.predict_proba(exact), normalize=False, labels=model.classes_)
        turn.done(objective=float(shares + 0.5 * (model.coef_**2).sum()), tweets=len(labels))  # C = 1


def _facts(examples: Examples, model: Any) -> dict[str, int]:
    parameters = int(model.num_parameters(exclude_embeddings=True))
    return {"pieces": len(examples.tokens.ids), "rows": int(examples.tokens.ids.sum()), "parameters": parameters}


def _context(recipe: str, corpus: str, checkpoints: str | None, precision: str, device: str = "cpu") -> Any:
    from dataclasses import replace
    from pathlib import Path

    from repro.sections.runner import open_context
    from repro.spec import Device, Precision, RunSpec
    from repro.training.progress import Progress

    context = open_context(
        RunSpec(recipe=recipe, precision=Precision(precision), device=Device(device)),
        corpus=corpus,
        checkpoints=Path(checkpoints) if checkpoints else None,
    )
    return replace(context, progress=Progress())


def _padded(examples: Examples) -> Any:
    import torch
    from datasets import Dataset

    from repro.training.packing import pad_rows

    rows = pad_rows(examples.tokens, torch.arange(len(examples)), width=LONGEST)
    return Dataset.from_dict({**{k: v.tolist() for k, v in rows.items()}, "label": examples.labels.tolist()})


def encode_and_run(turn: Turn, *, tweets: int, precision: str, device: str = "cpu") -> None:
    """Tokenize that many texts of the rehearsal corpus, repeated, and run the tiny encoder over all of them."""
    from repro.assets.loading import load_encoder
    from repro.training.data import tokenize
    from repro.training.predict import cls_states

    context = _context("tiny", "rehearsal", None, precision, device)
    texts = context.corpus.texts("train")[:]
    repeated = [texts[i % len(texts)] for i in range(tweets)]
    encoder = load_encoder(context.checkpoint.folder)
    while True:
        tokens = tokenize(context.tokenizer, repeated, max_length=context.recipe.max_length)
        cls_states(encoder, tokens, accelerator=context.accelerator)
        turn.done(tweets=tweets)
