"""The checker of histories, which `nox -s faults` relies on, catches the bugs that are planted in runs."""

from __future__ import annotations

from tests.running import run_module


def test_bugs_that_are_planted_in_histories_are_caught() -> None:
    said = run_module("pytest", "tests/faults/test_promises.py", "-q", "-p", "no:cacheprovider", "-k", "planted")
    assert "3 passed" in said
