"""Whatever a file holds, it is answered or refused in seconds: no hang, no crash of ours."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from repro.diagnosis.diagnose import diagnose_run, run_from_file
from repro.errors import ReproError
from tests.diagnosis.conftest import HOSTILE

KINDS = ("html", "plain", "files")


def repeated(parts: Sequence[Any]) -> str:
    text = ""
    for part, times in zip(parts, [*parts[1:], 1], strict=True):
        text += part * (times if isinstance(times, int) else 1) if isinstance(part, str) else ""
    return text


def hostile(kind: str, name: str) -> tuple[str, str]:
    case = HOSTILE[kind][name]
    if kind == "files":
        return name, repeated(case)
    output = {"output_type": "display_data", "data": {f"text/{kind}": repeated(case["text"])}}
    cell = {"cell_type": "code", "source": repeated(case.get("source", ["trainer.train()"])), "outputs": [output]}
    return f"{name}.ipynb", json.dumps({"cells": [cell] * case.get("times", 1)})


def answer(path: Path, content: str) -> None:
    """Diagnose a file of this content; refusing it is right too."""
    path.write_text(content, encoding="utf-8")
    try:
        diagnose_run(run_from_file(path))
    except ReproError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("html", "plain", "files") for name in HOSTILE[kind]]
)
def test_a_hostile_file_is_answered_or_refused_in_seconds(kind: str, name: str, tmp_path: Path) -> None:
    file, content = hostile(kind, name)
    started = time.process_time()
    answer(tmp_path / file, content)
    assert time.process_time() - started < 4  # of 3 MB; the promise is 5 s for 10 MB
