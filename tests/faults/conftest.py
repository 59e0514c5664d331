"""The options of the session that puts faults into runs."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give the session a folder for its tally; without it none is written."""
    parser.addoption("--results", default=None, help="write the tally as RESULTS/faults.csv, of a part faults-part.csv")
    parser.addoption("--share", type=float, default=1.0, help="try each fault so many times as often")
    parser.addoption("--trial", type=int, help="make this one trial of each fault again")
