"""What the notebook's calls do on the installed libraries: each is tried, offline (seed, all sections)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from repro.records.record import Measurements
from repro.sections.api_trials import LOGIN, PIPELINES, TRAINER
from repro.sections.context import Context, timed

TRIALS = "repro.sections.api_trials"
SECONDS = 300


def run(context: Context, seed: int) -> Measurements:
    """Try every call in a process of its own; neither recipe, corpus nor `seed` changes anything."""
    del context, seed
    seconds: dict[str, float] = {}
    with timed(seconds, "try"):
        calls = _try_all()
    runs = {found["call"]: bool(found["runs"]) for found in calls}
    instead = {found["call"]: found["instead"] for found in calls if found["instead_runs"]}
    return Measurements(
        facts={
            "calls": list(calls),
            "trainer_accepts_tokenizer": runs[TRAINER],
            "login_command": LOGIN if runs[LOGIN] else instead.get(LOGIN, "none"),
            "pipelines": [task for task in PIPELINES if _exists(task, runs)],
        },
        seconds=seconds,
    )


def _exists(task: str, runs: dict[str, bool]) -> bool:
    return any(runs[call] for call in runs if call.startswith(f'pipeline("{task}"'))


def _try_all() -> list[dict[str, Any]]:
    # not torchrun's variables: the process is one by itself
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    environment = {**alone, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", TRIALS],
        env=environment, capture_output=True, encoding="utf-8", check=False, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the trials ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    calls: list[dict[str, Any]] = json.loads(done.stdout)
    return calls
