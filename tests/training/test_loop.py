"""The loop against transformers' Trainer, and against itself cut into parts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from benchmarks.peer import architecture, as_dataset, random_examples, trainer
from benchmarks.planted import FAULTS, planted
from benchmarks.sameness import compare_with_trainer, same_for
from repro.assets.loading import load_classifier
from repro.assets.recipes import TINY, Recipe
from repro.errors import TrainingDivergedError
from repro.sections.context import Context
from repro.training.data import tokenize
from repro.training.epochs import EpochTotals
from repro.training.predict import cls_states, predict_rows
from tests.running import measure
from tests.training.trial import SMALL, accelerator, fp16, without_dropout
from tests.training.trial import train as ours


class Rates(transformers.TrainerCallback):
    """Keeps the learning rate that each step of the Trainer used."""

    def __init__(self) -> None:
        self.used: list[float] = []

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.used.append(kwargs["optimizer"].param_groups[0]["lr"])


def test_two_epochs_with_dropout_end_in_the_trainers_parameters_bit_for_bit(
    tiny_context: Context, tmp_path: Path
) -> None:
    """As the notebook trains: every row padded to the split's longest, evaluation after each epoch."""

    def dataset(split: str) -> Any:
        examples = tiny_context.examples[split]
        return as_dataset(examples, width=int(examples.tokens.lengths.max()))

    transformers.set_seed(7)
    theirs, rates = load_classifier(tiny_context.checkpoint.folder), Rates()
    given = {"processing_class": tiny_context.tokenizer, "callbacks": [rates]}
    given |= {"train_dataset": dataset("train"), "eval_dataset": dataset("validation")}
    peer = trainer(
        theirs, tmp_path, given=given, num_train_epochs=SMALL.epochs, learning_rate=SMALL.learning_rate,
        weight_decay=SMALL.weight_decay, eval_strategy="epoch", logging_strategy="epoch", seed=7,
        per_device_train_batch_size=SMALL.batch_size, per_device_eval_batch_size=SMALL.batch_size,
    )  # fmt: skip
    peer.train()
    mine, results = ours(tiny_context)
    for (name, parameter), expected in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(parameter, expected), name
    logged = [entry["loss"] for entry in peer.state.log_history if "loss" in entry]
    assert [r.epoch.train_loss for r in results] == pytest.approx(logged, abs=1e-4)  # the Trainer rounds its log
    evaluated = [entry["eval_loss"] for entry in peer.state.log_history if "eval_loss" in entry]
    assert [r.validation.mean_loss for r in results] == pytest.approx(evaluated, abs=1e-6)
    first, last = results[0].epoch, results[-1].epoch
    assert [first.first_learning_rate, last.last_learning_rate] == [rates.used[0], rates.used[-1]]
    pieces = sum(r.computed_pieces for r in results)
    assert peer.state.total_flos == 6 * mine.num_parameters(exclude_embeddings=True) * pieces


@pytest.mark.parametrize(("shape", "steps", "batch"), [("tiny", 20, 16), ("distilbert", 4, 8)])
def test_every_step_is_the_trainers_with_its_rows_losses_and_rates(
    shape: str, steps: int, batch: int, tiny_context: Context, tmp_path: Path
) -> None:
    tiny, large = partial(load_classifier, tiny_context.checkpoint.folder), partial(architecture, vocab_size=100)
    examples = random_examples([3 + i * 7 % 29 for i in range(steps * batch)], vocabulary=90)
    recipe = replace(TINY, batch_size=batch)
    make = tiny if shape == "tiny" else large
    assert compare_with_trainer(make, examples, tiny_context.tokenizer, recipe, tmp_path) == same_for(steps)


@pytest.mark.parametrize("options", [{"micro_batches": 2}, {"micro_batches": 4}, {"batching": "packed"}])
def test_parts_of_a_batch_and_packed_batches_train_like_whole_padded_ones(
    tiny_context: Context, options: dict[str, Any]
) -> None:
    recipe = replace(SMALL, batch_size=35)  # batches of 35, 35 and 26: unequal parts
    whole, results = ours(tiny_context, recipe, load=without_dropout)
    other, other_results = ours(tiny_context, recipe, load=without_dropout, **options)
    for (name, a), b in zip(whole.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, atol=5e-5), name
    assert other_results[-1].epoch.train_loss == pytest.approx(results[-1].epoch.train_loss, rel=1e-5)
    pieces = int(tiny_context.examples["train"].tokens.lengths.sum())
    assert (other_results[0].computed_pieces < pieces + 3 * 32) is ("batching" in options)


@pytest.mark.parametrize("batching", ["padded", "dynamic", "packed"])
def test_outputs_are_in_the_corpus_order_and_equal_the_plain_forward(tiny_context: Context, batching: str) -> None:
    models = [load_classifier(tiny_context.checkpoint.folder).eval() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    examples, texts = tiny_context.examples["train"], tiny_context.corpus.texts("train")
    options: dict[str, Any] = {"accelerator": accelerator(), "batching": batching}
    outputs = predict_rows(models[0], examples, batch_size=10, **options)  # 96 rows: the last batch is short
    states = cls_states(models[0].base_model, examples.tokens, batch_size=7, **options)
    with torch.inference_mode():
        for i in range(len(texts)):
            alone = models[1](**tiny_context.tokenizer(texts[i], return_tensors="pt"), output_hidden_states=True)
            assert torch.allclose(outputs.logits[i], alone.logits[0], atol=1e-6)
            assert torch.allclose(states[i], alone.hidden_states[-1][0, 0], atol=1e-5)
    losses = nn.functional.cross_entropy(outputs.logits, examples.labels, reduction="none")
    assert torch.allclose(outputs.losses, losses, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bits_stay_near_fp32_and_keep_fp32_weights(tiny_context: Context, precision: str) -> None:
    _, exact = ours(tiny_context, batching="packed")
    chosen = fp16() if precision == "fp16" else accelerator(precision=precision)
    model, rough = ours(tiny_context, batching="packed", accelerator=chosen)
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
    own = fp16(init_scale=2.0**40)  # no step of twelve is below the overflow
    model, results = ours(tiny_context, accelerator=own)
    transformers.set_seed(7)
    before = load_classifier(tiny_context.checkpoint.folder)
    assert all(map(torch.equal, model.parameters(), before.parameters()))
    assert own.scaler.get_scale() == 2.0**28
    assert results[-1].epoch.last_learning_rate == SMALL.learning_rate


def test_a_loss_scale_that_falls_to_nothing_is_divergence(tiny_context: Context) -> None:
    def spoilt(folder: Path) -> transformers.PreTrainedModel:
        model = load_classifier(folder)
        model.get_parameter("classifier.weight").register_hook(lambda gradient: gradient * torch.inf)
        return model

    with pytest.raises(TrainingDivergedError, match="loss scale of fp16 fell to nothing in epoch 1, step 3:"):
        ours(tiny_context, load=spoilt, accelerator=fp16(init_scale=4e-4))


def test_the_host_asks_for_a_finite_loss_at_an_epochs_end_only(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(EpochTotals, "refuse_divergence", lambda totals, *_: asked.append(totals.steps))
    ours(tiny_context)
    assert asked == [6] * 4  # before the evaluation and after it


def test_a_loss_that_is_not_finite_stops_with_its_epoch_and_step(tiny_context: Context) -> None:
    with pytest.raises(TrainingDivergedError, match="epoch 1, step 2:"):
        ours(tiny_context, replace(SMALL, learning_rate=1e38, max_grad_norm=1e38))


def test_a_text_longer_than_the_positions_is_cut_counted_and_still_ends_in_sep(tiny_context: Context) -> None:
    tokens = tokenize(tiny_context.tokenizer, ["happy " * 600, "", "sad"], max_length=512)
    assert tokens.truncated == 1
    assert tokens.lengths.tolist() == [512, 2, 3]
    assert tokens.ids[511] == tiny_context.tokenizer.sep_token_id


def test_a_fault_changes_the_training_and_not_what_its_record_says_was_run(tiny_context: Context) -> None:
    honest = measure("finetune", tiny_context)
    for fault in FAULTS:
        with planted(fault):
            record = measure("finetune", tiny_context)
        losses = [epoch.train_loss for epoch in record.epochs]
        assert (losses == [epoch.train_loss for epoch in honest.epochs]) == (fault == "none"), fault
        assert (record.run_key, record.recipe, record.corpus) == (honest.run_key, honest.recipe, honest.corpus)
    assert measure("finetune", tiny_context).rows == honest.rows  # what was planted is out again
