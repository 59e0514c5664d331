"""The checker of histories, which `nox -s faults` relies on, sees bugs that are planted in runs."""

from __future__ import annotations

from tests.running import run_module


def test_bugs_that_are_planted_in_histories_are_caught() -> None:
    assert "3 passed" in run_module("pytest", "tests/faults/test_checker.py", "-q", "-p", "no:cacheprovider")
