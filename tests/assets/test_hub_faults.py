"""Every fault of a Hub is answered in bounded time, naming asset, cause, folder and what to do.

The cases run with bounds that are those of users divided by thirty.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repro.assets import watch
from repro.assets.checkpoints import locate_checkpoint
from repro.assets.watch import Bounds
from repro.errors import CheckpointError
from tests.assets.conftest import QUICK, SMALL, WEIGHTS
from tests.assets.hub_server import Fault, HubServer
from tests.running import cases


def fault_of(case: dict[str, str]) -> Fault:
    """The fault of a case; a text stands for its bytes, `times` over or for as many as the Hub lists of the weights."""
    fields = json.loads(case["fault"])
    times = fields.pop("times", 1)
    for name in fields.keys() & {"body", "raw"}:
        fields[name] = fields[name].encode() * (len(WEIGHTS) if times == "as listed" else times)
    return Fault(**fields)


@pytest.mark.parametrize("case", cases("assets/hub_faults.csv"), ids=lambda case: f"{case['request']}-{case['name']}")
def test_a_lasting_fault_is_answered_soon_and_explained(
    case: dict[str, str], hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "BOUNDS", replace(QUICK, largest_listing=10**6, largest_file=2 * len(WEIGHTS)))
    hub.fault(case["request"], fault := fault_of(case))
    started = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        locate_checkpoint(SMALL)
    assert time.monotonic() - started < 2 * QUICK.asset_seconds + 1
    assert fault.status not in (401, 403) or len(hub.asked) == 1  # a final answer is not asked for again
    assert "\n" not in refused.value.what
    assert "someone/small is not available" in refused.value.what
    assert case["cause"] in refused.value.what
    assert "cache" in refused.value.what
    assert "--checkpoints DIR" in refused.value.remedy
    halves = [file for file in (tmp_path / "cache").rglob("*.incomplete") if file.stat().st_size > 10_000]
    assert halves == []


def test_the_bounds_of_users_end_a_command_within_120_seconds() -> None:
    assert Bounds().command_seconds + Bounds().answer_seconds < 120
