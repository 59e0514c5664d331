"""The record's own loop is the suite's, but for what an entry changes; trials never see what records are scored on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from transformers import get_linear_schedule_with_warmup, set_seed

from benchmarks import time_to_92
from benchmarks.time_to_92 import (
    RECIPE,
    Entry,
    held_out,
    measured_table,
    p_value,
    reached,
    read_entries,
    table_of,
    train,
)
from repro.assets.loading import load_classifier
from repro.errors import UsageError
from repro.sections.context import Context
from repro.training.device import make_accelerator
from repro.training.loop import fit

ROOT = Path(__file__).parents[1]
PLAIN = Entry(name="plain", change="", learning_rate=1e-3, batch_size=32, epochs=1)


def weights(entry: Entry, context: Context, *, most: int | None = None) -> dict[str, torch.Tensor]:
    set_seed(7)
    model = load_classifier(context.checkpoint.folder)
    train(model, entry, context.examples["train"], 7, accelerator=context.accelerator, most=most)
    return model.state_dict()


def test_the_recipe_as_an_entry_trains_as_the_suite_does(tiny_context: Context) -> None:
    set_seed(7)
    model, splits = load_classifier(tiny_context.checkpoint.folder), tiny_context.examples
    recipe = replace(tiny_context.recipe, learning_rate=1e-3, batch_size=32, epochs=1)  # what follows draws again
    accelerator = make_accelerator(device="cpu", precision="fp32")
    list(fit(model, recipe=recipe, train=splits["train"], validation=splits["test"], seed=7, accelerator=accelerator))
    trained = weights(PLAIN, tiny_context)
    assert all(torch.equal(trained[name], tensor) for name, tensor in model.state_dict().items())


def test_the_rate_rises_and_falls_as_the_librarys_schedule_does() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 3, 30)
    for step in range(30):
        assert replace(PLAIN, warmup=0.1).rate(step, 30) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_frozen_parts_stay_and_lower_layers_learn_slower(tiny_context: Context) -> None:
    before = weights(PLAIN, tiny_context, most=0)
    frozen = weights(replace(PLAIN, frozen=2), tiny_context, most=1)
    moved = {name for name, tensor in frozen.items() if not torch.equal(tensor, before[name])}
    assert not any("embeddings" in name or "layer.0" in name for name in moved)
    assert any("layer.1" in name for name in moved)
    slower = weights(replace(PLAIN, decay=0.5), tiny_context, most=1)
    for name, share in (("distilbert.transformer.layer.1.ffn.lin1.bias", 0.5), ("classifier.bias", 1.0)):
        full = weights(PLAIN, tiny_context, most=1)[name] - before[name]
        torch.testing.assert_close(slower[name] - before[name], share * full, rtol=1e-3, atol=1e-7)


def test_a_pace_is_that_of_a_whole_training(tiny_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(time_to_92, "_open", lambda *_: tiny_context)
    monkeypatch.setattr(time_to_92, "append", lambda line, file: lines.append(line))
    monkeypatch.setattr(
        time_to_92, "read_entries", lambda: {"plain": PLAIN, "twice": replace(PLAIN, name="twice", epochs=2)}
    )
    monkeypatch.setattr(time_to_92, "train", lambda *_, most, **__: 5.0 + 2.0 * most)  # set-up, and two seconds a step
    time_to_92.pace("nowhere", steps=2, rounds=1)
    assert lines[0]["seconds"] == {"plain": 5.0 + 2.0 * 3, "twice": 5.0 + 2.0 * 6}  # 96 rows, 32 a step


def test_a_fast_head_learns_faster_and_without_dropout_nothing_is_drawn(tiny_context: Context) -> None:
    before, full = weights(PLAIN, tiny_context, most=0), weights(PLAIN, tiny_context, most=1)
    fast = weights(replace(PLAIN, head=3.0), tiny_context, most=1)
    for name, share in (("distilbert.transformer.layer.1.ffn.lin1.bias", 1.0), ("classifier.bias", 3.0)):
        moved = full[name] - before[name]
        torch.testing.assert_close(fast[name] - before[name], share * moved, rtol=1e-3, atol=1e-7)
    with patch("repro.training.encoder.drop", side_effect=lambda states, _: states) as drop:
        weights(replace(PLAIN, dropout=False), tiny_context, most=1)
        assert {call.args[1] for call in drop.call_args_list} == {0}
        weights(PLAIN, tiny_context, most=1)
        assert {call.args[1] for call in drop.call_args_list} == {0, 0.1, 0.2}  # of the encoder, and before the head


def test_an_entry_may_train_on_the_shortest_tweets_alone(tiny_context: Context) -> None:
    half = replace(PLAIN, shortest=0.5)
    whole = tiny_context.examples["train"]
    longest_of_half = sorted(whole.tokens.lengths.tolist())[47]
    assert half.steps(len(whole)) == 2  # 48 of 96 rows, 32 a step
    seen: list[int] = []
    with patch("benchmarks.time_to_92.batcher", side_effect=lambda tokens, *_: seen.extend(tokens.lengths.tolist())):
        weights(half, tiny_context, most=0)
    assert len(seen) == 48
    assert max(seen) == longest_of_half
    assert seen != sorted(seen)  # in the corpus' order: what is drawn is the sampler's


@pytest.mark.parametrize("setting", ["dropout=0.1", "epochs=1.5", "head=fast", "decay=", "rate=1"])
def test_a_setting_of_another_kind_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_92, "_open", lambda *_: None)
    with pytest.raises(UsageError, match="expected"):
        time_to_92.trial("fast-head", "nowhere", changed=[setting])


def test_trials_are_scored_on_training_rows_that_they_do_not_train_on(
    tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_to_92, "HELD_OUT", 16)
    whole = tiny_context.examples["train"]
    rest, scored, fingerprint = held_out(whole)
    assert (len(rest), len(scored)) == (80, 16)
    assert rest.labels.sum() + scored.labels.sum() == whole.labels.sum()
    assert len(rest.tokens.ids) + len(scored.tokens.ids) == len(whole.tokens.ids)
    assert held_out(whole)[2] == fingerprint


def test_an_entry_reaches_the_target_by_a_t_test_of_its_seeds() -> None:
    entries, on = read_entries(), {"machine": "two cores", "precision": "fp32"}
    runs = [
        on | {"entry": "one-epoch", "validation": 0.926 + d, "test": 0.92, "seconds": 100.0, "beside": 300.0}
        for d in (-0.001, 0.0, 0.001)
    ]
    runs.append(on | {"entry": "frozen-1", "validation": 0.925, "test": 0.92, "seconds": 90.0})
    on_a_gpu = [run | {"machine": "a GPU", "precision": "bf16", "seconds": 1.0, "beside": 2.0} for run in runs[:3]]
    reference = [
        {"precision": precision, "validation": f1, "test": 0.92}
        for f1 in (0.9244, 0.9250, 0.9240)
        for precision in ("fp32", "bf16")
    ]
    paces = [
        on | {"seconds": {"padded": 4 * packed, "packed": packed, "one-epoch": packed / 2, "frozen-1": packed / 4}}
        for packed in (200.0, 280.0, 320.0)
    ]
    paces.append({"machine": "a GPU", "precision": "bf16", "seconds": {"padded": 20.0, "packed": 2.0}})
    shown = table_of([*runs, *on_a_gpu], reference, entries, paces).rows
    assert [row[0] for row in shown] == ["padded", RECIPE, "one-epoch", "frozen-1", "padded", RECIPE, "one-epoch"]
    assert [row[2] for row in shown] == ["3", "3", "3", "1", "3", "3", "3"]
    assert [row[4] for row in shown if row[0] == "one-epoch"] == ["0.055", "0.055"]
    assert {row[5] for row in shown} == {"inconclusive"}  # three seeds
    assert [row[7:] for row in shown] == [
        ("1200", "steps", "0.25", "1.0", "two cores, fp32"),
        ("300", "training", "1.00", "4.0", "two cores, fp32"),
        ("100", "training", "3.00", "12.0", "two cores, fp32"),
        ("75", "steps", "4.00", "16.0", "two cores, fp32"),
        ("20", "steps", "0.10", "1.0", "a GPU, bf16"),
        ("2", "training", "1.00", "10.0", "a GPU, bf16"),
        ("1", "training", "2.00", "20.0", "a GPU, bf16"),
    ]
    assert not table_of(runs, reference, entries, []).rows  # a padded training was not timed
    assert [reached([0.9244 + d, 0.9246 + d] * 10) for d in (-0.001, -0.00009, 0.001)] == ["no", "no", "yes"]
    assert reached([0.92]) == "no"
    assert p_value([0.926, 0.9262, 0.9258, 0.9261]) < 0.01 < p_value([0.9244, 0.9245])


def test_the_table_is_that_of_the_committed_runs_and_the_page_says_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    made = measured_table()
    assert (ROOT / "results" / "time-to-92.csv").read_text(encoding="utf-8") == made.to_csv()
    rows = [dict(zip(made.columns, row, strict=True)) for row in made.rows]
    enough = [row for row in rows if row["reaches it"] == "yes"]
    fastest = min(enough, key=lambda row: float(row["seconds"]))
    page = " ".join((ROOT / "docs" / "speed.md").read_text(encoding="utf-8").split())
    validation, test = (fastest[f"F1 on {split}"].partition(" [")[0] for split in ("validation", "test"))
    assert f"`{fastest['entry']}`" in page
    assert f"{validation} on validation and {test} on test in {fastest['seconds']} s" in page
    faster = fastest["times as fast as packed"], fastest["as padded"]
    assert "{} times as fast as the packed recipe and {} times as the padded one".format(*faster) in page
