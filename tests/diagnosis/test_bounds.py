"""Whatever a file holds, it is answered or refused in seconds: no hang, no crash of ours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.diagnosis.diagnose import diagnose_run
from repro.diagnosis.files import run_from_file
from repro.errors import ReproError
from tests.diagnosis.accuracy import STRANGERS

SIZE = 3_000_000  # bytes; the promise is 5 s for 10 MB
HTML = "Training Loss"


def shows(*outputs: str, kind: str = "text/html", source: str = "trainer.train()") -> str:
    data = [{"output_type": "display_data", "data": {kind: text}} for text in outputs]
    return json.dumps({"cells": [{"cell_type": "code", "source": source, "outputs": data}]})


HOSTILE: dict[str, Callable[[], str]] = {
    "tables.ipynb": lambda: shows(HTML + "<table" * (SIZE // 6)),
    "cells.ipynb": lambda: shows(*[HTML + "<table><tr>" + "<td>" * 100_000] * 7),
    "rows.ipynb": lambda: shows(*[HTML + "<table>" + "<tr><td>" * 60_000] * 6),
    "open-tag.ipynb": lambda: shows(HTML + "<td " + " " * SIZE),
    "comments.ipynb": lambda: shows(HTML + "<!--" * (SIZE // 4)),
    "brackets.ipynb": lambda: shows("[ " * (SIZE // 2) + "oss", kind="text/plain"),
    "digits.ipynb": lambda: shows("1" * SIZE + " it/s", kind="text/plain"),
    "dicts.ipynb": lambda: shows(*["{'loss': 1, 'epoch': 1}" * 20_000] * 6, kind="text/plain"),
    "long-number.ipynb": lambda: shows("{'loss': " + "9" * 2900 + ", 'epoch': 1}", kind="text/plain"),
    "deep-dict.ipynb": lambda: shows("{'loss': " + "[" * 2500 + "}", kind="text/plain"),
    "deep-code.ipynb": lambda: shows(HTML, source="x = " + "(" * 90_000),
    "long-sum.ipynb": lambda: shows(HTML, source="x = 1" + "+1" * 45_000),
    "deep.ipynb": lambda: '{"cells":' + "[" * SIZE,
    "many-cells.ipynb": lambda: '{"cells":[' + "{}," * (SIZE // 3) + "{}]}",
    "code.ipynb": lambda: json.dumps(
        {"cells": [{"cell_type": "code", "source": "x=1\n" * 2000, "outputs": [3]}] * 300}
    ),
    "origins.md": lambda: "fine-tuned version of [x] " * (SIZE // 26),
    "spaces.md": lambda: " " * SIZE,
    "bars.md": lambda: "|" * SIZE,
    "rows.md": lambda: "| Training Loss | Epoch |\n" + "| 1 | 1 |\n" * (SIZE // 10),
    "logs.json": lambda: '{"log_history":[' + '{"loss":1,"epoch":1},' * (SIZE // 21) + '{}],"epoch":2}',
    "infinite.json": lambda: '{"log_history":[{"loss":1e999,"epoch":1}],"epoch":1e999,"global_step":1e999}',
    "long-int.json": lambda: '{"log_history":[{"loss":' + "9" * 4000 + ',"epoch":1}],"epoch":2}',
    "longer-int.json": lambda: '{"log_history":[{"loss":' + "9" * 5000 + ',"epoch":1}],"epoch":2}',
    "types.json": lambda: '{"log_history":[{"loss":[1],"eval_f1":"٣","epoch":"²"}],"epoch":[2],"total_flos":{"a":{}}}',
    "no-list.json": lambda: '{"log_history":{"a":1}}',
    "lists.json": lambda: '{"log_history":[[],[]]}',
    "step.ipynb": lambda: shows("{'loss': 1, 'epoch': 1.0, 'step': 1e999}", kind="text/plain"),
    "bar.ipynb": lambda: shows("[9/9 00:01, Epoch 1..2/2]", kind="text/plain"),
    "tiny-epoch.md": lambda: "- num_epochs: 2\n| Training Loss | Epoch | Step |\n| 1 | 0.1e-300 | 5 |",
    "record.json": lambda: '{"schema_version":1,"experiment":"finetune","epochs":[[[]]]}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_answered_or_refused_in_seconds(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(HOSTILE[name](), encoding="utf-8")
    started = time.process_time()
    try:
        diagnose_run(run_from_file(tmp_path / name))
    except ReproError as error:
        assert str(error)
    assert time.process_time() - started < 4


SEEDS = [STRANGERS / "beside" / name for name in ("english.ipynb", "state.json", "card.md")]
TOKENS = [*'{}[]|<"%,0²９', "", "-1", "1e999", "nan", "\\u0000", "null", "[]", "{}", "9" * 400]


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_answered_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(SEEDS))
    content = file.read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(start + 12, len(content))))
        content = content[:start] + data.draw(st.sampled_from(TOKENS)) + content[end:]
    (tmp_path / file.name).write_text(content, encoding="utf-8")
    try:
        diagnose_run(run_from_file(tmp_path / file.name))
    except ReproError as error:
        assert str(error)
