"""The command as CI calls it."""

from __future__ import annotations

from functools import partial

import pytest

from tests.conftest import CallRepro


@pytest.fixture
def regress(call_repro: CallRepro, monkeypatch: pytest.MonkeyPatch) -> CallRepro:
    """Call `repro regress` and return its exit code and what it wrote."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return partial(call_repro, "regress")
