"""Every fault of faults.toml is put into runs: nothing is lost or wrong, and each run is finished bit for bit."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults import damage, stops
from tests.faults.trial import Fault

TABLE = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
DAMAGES = (("flipped byte", False), ("truncated file", True))


def fault_of(row: dict[str, Any], **options: Any) -> Fault:
    trial = vars(stops).get(row["trial"]) or vars(damage)[row["trial"]]
    return Fault(**row | {"trial": partial(trial, **options, **row.pop("options", {}))})


FAULTS = [fault_of(row) for row in TABLE["fault"]] + [
    fault_of(row | {"fault": f"{way} in {row['fault']}"}, truncate=truncate)
    for row in TABLE["damage"]
    for way, truncate in DAMAGES
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_after_a_fault_nothing_is_lost_and_the_run_is_finished(fault: Fault, inject: Callable[[Fault], None]) -> None:
    inject(fault)
