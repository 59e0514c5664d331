"""Files and figures that are to be refused or withstood."""

from __future__ import annotations

import tomllib
from pathlib import Path

HOSTILE = tomllib.loads(Path(__file__).with_name("hostile.toml").read_text(encoding="utf-8"))
