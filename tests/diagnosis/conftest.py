"""Records that pass the gates, as in tests/claims, and files and figures that are to be refused or withstood."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.claims.conftest import make_record

__all__ = ["HOSTILE", "make_record"]

HOSTILE = tomllib.loads(Path(__file__).with_name("hostile.toml").read_text(encoding="utf-8"))
