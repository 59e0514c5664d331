"""The faults that benchmarks/planted.py plants: each changes the training, none what its record says of it."""

from __future__ import annotations

from benchmarks.planted import FAULTS, planted, table_of
from repro.sections.context import Context
from tests.running import measure


def test_a_fault_changes_the_training_and_not_what_its_record_says_was_run(tiny_context: Context) -> None:
    honest = measure("finetune", tiny_context)
    for fault in FAULTS:
        with planted(fault):
            record = measure("finetune", tiny_context)
        losses = [epoch.train_loss for epoch in record.epochs]
        assert (losses == [epoch.train_loss for epoch in honest.epochs]) == (fault == "none"), fault
        assert (record.run_key, record.recipe, record.corpus) == (honest.run_key, honest.recipe, honest.corpus)
    assert measure("finetune", tiny_context).rows == honest.rows  # what was planted is out again


def test_the_table_has_clopper_and_pearsons_interval() -> None:
    table = table_of({"seen": [True] * 10, "missed": [False] * 9 + [True]})
    assert table.rows == (  # 0.025 ** (1 / 10) = 0.69
        ("seen", "10", "10", "1.00", "0.69", "1.00"),
        ("missed", "10", "1", "0.10", "0.00", "0.45"),
    )
