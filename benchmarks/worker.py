"""One process that times a round when it is asked to: JSON lines in, JSON lines out (`repro/regression/workers.py`).

It answers the gate of CI (`nox -s regress`), which starts one of BENCHMARKS by name, and the benchmarks that interleave
their variants, which start a function of a module with options. The table is what the gate measures: add a line to add
a benchmark.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TextIO

from benchmarks.turns import Ended, Turn

VOCABULARY = 2_000  # word pieces: the embeddings of all 30,522 would take half of a small batch's step
BATCHES = {"tiny": {"batch": 64, "settle": 1, "repeat": 4}, "minilm": {"batch": 8, "settle": 1, "repeat": 1}}
BENCHMARKS: Mapping[str, dict[str, Any]] = {
    f"step[{shape}-{batching}]": {
        "work": "benchmarks.steps:train_ours",
        "options": {
            "shape": shape,
            "batching": batching,
            "precision": "fp32",
            "batch": of["batch"],
            "vocabulary": VOCABULARY,
        },
        "settle": of["settle"],
        "repeat": of["repeat"],
    }
    for shape, of in BATCHES.items()
    for batching in ("packed", "dynamic")  # padded is dynamic's code on wider rows
}


def main() -> None:
    """Answer until standard input ends; what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _send(answers, {"benchmarks": list(BENCHMARKS)})
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            start = request["start"]
            _serve(BENCHMARKS[start] if isinstance(start, str) else start, answers)


def _serve(benchmark: Mapping[str, Any], answers: TextIO) -> None:
    """Work as `benchmark` says until the driver stops it."""
    module, _, function = benchmark["work"].partition(":")
    import_module("repro.training.loop")  # what takes seconds is loaded before it answers: others load it meanwhile
    work = getattr(import_module(module), function)
    turn = Turn(
        lambda: json.loads(sys.stdin.readline() or '{"stop": true}'), lambda answer: _send(answers, answer),
        settle=benchmark.get("settle", 0), repeat=benchmark.get("repeat", 1),
    )  # fmt: skip
    _send(answers, {"started": True})
    try:
        turn.begin()
        work(turn, **benchmark.get("options", {}))
    except Ended:
        _send(answers, {"stopped": True})


def _send(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
