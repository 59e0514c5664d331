"""The loop against transformers' Trainer, and against itself cut into parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from benchmarks.lengths import random_examples
from benchmarks.sameness import compare_with_trainer
from repro.assets.loading import load_classifier
from repro.assets.recipes import TINY, Recipe
from repro.errors import TrainingDivergedError, UsageError
from repro.sections.context import Context
from repro.training import loop
from repro.training.data import tokenize
from repro.training.device import make_accelerator
from repro.training.epochs import EpochResult, EpochTotals
from repro.training.loop import check_micro_batches, fit
from repro.training.optimizer import make_optimizer
from repro.training.packing import pad_rows
from repro.training.predict import cls_states, predict_rows
from tests.training.trial import plant_fp16

SMALL = replace(TINY, batch_size=16)  # 96 rows are six steps an epoch


def ours(
    context: Context,
    recipe: Recipe = SMALL,
    *,
    seed: int = 7,
    precision: str = "fp32",
    load: Callable[[Path], PreTrainedModel] = load_classifier,
    **options: Any,
) -> tuple[PreTrainedModel, list[EpochResult]]:
    set_seed(seed)
    model = load(context.checkpoint.folder)
    accelerator = options.pop("accelerator", None) or make_accelerator(device="cpu", precision=precision)
    results = fit(
        model,
        recipe=recipe,
        accelerator=accelerator,
        train=context.examples["train"],
        validation=context.examples["validation"],
        seed=seed,
        **{"batching": "padded", **options},
    )
    return model, list(results)


class Rates(TrainerCallback):
    """Keeps the learning rate that each step of the Trainer used."""

    def __init__(self) -> None:
        self.used: list[float] = []

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.used.append(kwargs["optimizer"].param_groups[0]["lr"])


def trainers(context: Context, folder: Path, *, seed: int = 7) -> tuple[PreTrainedModel, Trainer, Rates]:
    """Train as the notebook does: every row padded to the split's longest, evaluation after each epoch."""

    def dataset(split: str) -> Dataset:
        examples = context.examples[split]
        rows = pad_rows(examples.tokens, torch.arange(len(examples)), width=int(examples.tokens.lengths.max()))
        return Dataset.from_dict({**{k: v.tolist() for k, v in rows.items()}, "label": examples.labels.tolist()})

    set_seed(seed)
    model = load_classifier(context.checkpoint.folder)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=SMALL.epochs,
        learning_rate=SMALL.learning_rate,
        per_device_train_batch_size=SMALL.batch_size,
        per_device_eval_batch_size=SMALL.batch_size,
        weight_decay=SMALL.weight_decay,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        seed=seed,
    )
    rates = Rates()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=dataset("train"),
        eval_dataset=dataset("validation"),
        processing_class=context.tokenizer,
        callbacks=[rates],
    )
    trainer.train()
    return model, trainer, rates


def test_two_epochs_with_dropout_end_in_the_trainers_parameters_bit_for_bit(
    tiny_context: Context, tmp_path: Path
) -> None:
    theirs, trainer, rates = trainers(tiny_context, tmp_path)
    mine, results = ours(tiny_context)
    expected = dict(theirs.named_parameters())
    for name, parameter in mine.named_parameters():
        assert torch.equal(parameter, expected[name]), name
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [r.epoch.train_loss for r in results] == pytest.approx(logged, abs=1e-4)  # the Trainer rounds its log
    evaluated = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert [r.validation.mean_loss for r in results] == pytest.approx(evaluated, abs=1e-6)
    first, last = results[0].epoch, results[-1].epoch
    assert [first.first_learning_rate, last.last_learning_rate] == [rates.used[0], rates.used[-1]]
    assert trainer.state.total_flos == 6 * mine.num_parameters(exclude_embeddings=True) * sum(
        r.computed_pieces for r in results
    )


def of_distilberts_width() -> PreTrainedModel:
    """Two of DistilBERT's layers, as wide as its six, on a small vocabulary."""
    set_seed(0)
    config = DistilBertConfig(vocab_size=100, n_layers=2)
    config.num_labels = 6
    return DistilBertForSequenceClassification(config)


@pytest.mark.parametrize(("width", "steps", "batch"), [("tiny", 20, 16), ("DistilBERT's", 4, 8)])
def test_every_step_is_the_trainers_with_its_rows_losses_and_rates(
    width: str, steps: int, batch: int, tiny_context: Context, tmp_path: Path
) -> None:
    make = partial(load_classifier, tiny_context.checkpoint.folder) if width == "tiny" else of_distilberts_width
    lengths = [3 + i * 7 % 29 for i in range(steps * batch)]
    recipe = replace(TINY, batch_size=batch)
    found = compare_with_trainer(
        make, random_examples(lengths, vocabulary=90), tiny_context.tokenizer, recipe, tmp_path
    )
    assert found.steps == steps
    assert found.equal_parameters, f"largest difference {found.parameters}"
    assert found.same_rows
    assert (found.losses, found.learning_rates) == (0, 0)


def test_dropout_is_on_in_training_and_the_seed_decides_it(tiny_context: Context) -> None:
    first, _ = ours(tiny_context)
    again, _ = ours(tiny_context)
    other, _ = ours(tiny_context, seed=8)
    weights = [model.get_parameter("classifier.weight") for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_of_a_batch_train_like_the_whole_batch(tiny_context: Context, parts: int) -> None:
    without_dropout = no_dropout(tiny_context)
    whole, results = ours(without_dropout, replace(SMALL, batch_size=35))  # batches of 35, 35 and 26: unequal parts
    cut, cut_results = ours(without_dropout, replace(SMALL, batch_size=35), micro_batches=parts)
    for (name, a), b in zip(whole.named_parameters(), cut.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-5), name
    assert cut_results[-1].epoch.train_loss == pytest.approx(results[-1].epoch.train_loss, rel=1e-5)


def no_dropout(context: Context) -> Context:
    from transformers import AutoConfig, DistilBertModel

    config = AutoConfig.from_pretrained(context.checkpoint.folder)
    config.dropout = config.attention_dropout = config.seq_classif_dropout = 0.0
    folder = context.checkpoint.folder.parent / (context.checkpoint.folder.name + "-without-dropout")
    DistilBertModel.from_pretrained(context.checkpoint.folder, config=config).save_pretrained(folder)
    context.tokenizer.save_pretrained(folder)
    return replace(context, checkpoint=replace(context.checkpoint, folder=folder))


def test_dynamic_and_packed_batches_give_the_logits_of_padded_ones(tiny_context: Context) -> None:
    model = load_classifier(tiny_context.checkpoint.folder)
    accelerator = make_accelerator(device="cpu", precision="fp32")
    examples = tiny_context.examples["validation"]
    padded, dynamic, packed = (
        predict_rows(model, examples, batch_size=10, accelerator=accelerator, batching=batching)
        for batching in ("padded", "dynamic", "packed")
    )
    assert len(dynamic.predictions) == len(examples)  # 96 rows in batches of 10: the last one is short
    for other in (dynamic, packed):
        assert torch.allclose(padded.logits, other.logits, atol=1e-6)
        assert torch.allclose(padded.losses, other.losses, atol=1e-5)


def test_packed_training_without_dropout_ends_where_padded_training_does(tiny_context: Context) -> None:
    without_dropout = no_dropout(tiny_context)
    padded, _ = ours(without_dropout)
    packed, results = ours(without_dropout, batching="packed")
    for (name, a), b in zip(padded.named_parameters(), packed.parameters(), strict=True):
        assert torch.allclose(a, b, atol=5e-5), name
    lengths = tiny_context.examples["train"].tokens.lengths
    assert all(int(lengths.sum()) <= result.computed_pieces < int(lengths.sum()) + 6 * 32 for result in results)


@pytest.mark.parametrize("batching", ["padded", "dynamic", "packed"])
def test_cls_states_come_back_in_the_corpus_order_and_equal_the_plain_forward(
    tiny_context: Context, batching: str
) -> None:
    from repro.assets.loading import load_encoder

    encoder = load_encoder(tiny_context.checkpoint.folder)
    tokens = tiny_context.examples["train"].tokens
    accelerator = make_accelerator(device="cpu", precision="fp32")
    states = cls_states(encoder, tokens, accelerator=accelerator, batching=batching, batch_size=7)
    texts = tiny_context.corpus.texts("train")
    with torch.inference_mode():
        for i in (0, 17, 95):
            alone: Tensor = encoder(**tiny_context.tokenizer(texts[i], return_tensors="pt")).last_hidden_state[0, 0]
            assert torch.allclose(states[i], alone, atol=1e-5)


def test_bf16_stays_near_fp32_and_keeps_fp32_weights(tiny_context: Context) -> None:
    from accelerate.state import AcceleratorState

    _, exact = ours(tiny_context)
    AcceleratorState._reset_state(reset_partial_state=True)
    model, rough = ours(tiny_context, precision="bf16")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert rough[-1].epoch.train_loss == pytest.approx(exact[-1].epoch.train_loss, abs=0.05)
    assert rough[-1].epoch.train_loss != exact[-1].epoch.train_loss


def fp16(**scaler: Any) -> Accelerator:
    """An Accelerator on the CPU with a GPU's fp16."""
    accelerator = make_accelerator(device="cpu", precision="fp32")
    plant_fp16(accelerator, **scaler)
    return accelerator


def test_fp16_with_loss_scaling_stays_near_fp32(tiny_context: Context) -> None:
    _, exact = ours(tiny_context, batching="packed")
    model, rough = ours(tiny_context, batching="packed", accelerator=fp16())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert rough[-1].epoch.train_loss == pytest.approx(exact[-1].epoch.train_loss, abs=0.05)
    assert rough[-1].epoch.train_loss != exact[-1].epoch.train_loss


def test_an_overflowing_step_changes_no_weight_and_not_the_rate(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Trainer's rule, where the optimizer lets the host see what it skipped: fused AdamW does not."""

    def unfused(model: Any, recipe: Recipe) -> torch.optim.AdamW:
        return torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)

    monkeypatch.setattr("repro.training.loop.make_optimizer", unfused)
    accelerator = fp16(init_scale=2.0**40)  # no step of twelve is below the overflow
    model, results = ours(tiny_context, accelerator=accelerator)
    set_seed(7)
    before = load_classifier(tiny_context.checkpoint.folder)
    assert all(map(torch.equal, model.parameters(), before.parameters()))
    assert accelerator.scaler.get_scale() == 2.0**28
    assert results[-1].epoch.last_learning_rate == SMALL.learning_rate


def test_a_loss_scale_that_falls_to_nothing_is_divergence(tiny_context: Context) -> None:
    def spoilt(folder: Path) -> PreTrainedModel:
        model = load_classifier(folder)
        model.get_parameter("classifier.weight").register_hook(lambda gradient: gradient * torch.inf)
        return model

    with pytest.raises(TrainingDivergedError, match="loss scale of fp16 fell to nothing in epoch 1, step 3") as caught:
        ours(tiny_context, load=spoilt, accelerator=fp16(init_scale=4e-4))
    assert caught.value.step == 3


def test_the_seconds_are_those_of_the_steps_and_those_of_the_evaluation(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count()  # a clock that goes on by a second each time it is asked
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    _, results = ours(tiny_context)
    assert [(result.epoch.train_seconds, result.evaluate_seconds) for result in results] == [(6, 1), (6, 1)]


def test_the_host_asks_for_a_finite_loss_at_an_epochs_end_only(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(EpochTotals, "refuse_divergence", lambda totals: asked.append(totals.steps))
    ours(tiny_context)
    assert asked == [6, 6]


def test_a_loss_that_is_not_finite_stops_with_its_epoch_and_step(tiny_context: Context) -> None:
    with pytest.raises(TrainingDivergedError, match="epoch 1, step 2") as caught:
        ours(tiny_context, replace(SMALL, learning_rate=1e38, max_grad_norm=1e38))
    assert (caught.value.epoch, caught.value.step) == (1, 2)


def test_biases_and_layer_norms_are_not_decayed(tiny_context: Context) -> None:
    model = load_classifier(tiny_context.checkpoint.folder)
    decayed, spared = make_optimizer(model, SMALL).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert {p.ndim for p in spared["params"]} == {1}
    assert {p.ndim for p in decayed["params"]} == {2}


def test_a_text_longer_than_the_positions_is_cut_counted_and_still_ends_in_sep(tiny_context: Context) -> None:
    tokens = tokenize(tiny_context.tokenizer, ["happy " * 600, "", "sad"], max_length=512)
    assert tokens.truncated == 1
    assert tokens.lengths.tolist() == [512, 2, 3]
    assert tokens.ids[511] == tiny_context.tokenizer.sep_token_id


def test_parts_must_divide_the_batch() -> None:
    assert check_micro_batches(4, 64) == 4
    for wrong in (0, -1, 3, 128):
        with pytest.raises(UsageError):
            check_micro_batches(wrong, 64)
