"""A folder of many records, made from those that are there: the same runs again, with other seeds and times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from repro.records.seal import sealed, unsealed


def fill_with_runs(source: Path, results: Path, runs: int) -> int:
    """Copy the records below `source/runs` in turn until there are `runs` below `results`; return the bytes."""
    originals = sorted((source / "runs").rglob("*.json"))
    texts = [unsealed(path.read_bytes()).decode() for path in originals]
    begun, written = datetime(2026, 1, 1, tzinfo=UTC), 0
    for number in range(runs):
        path, text = originals[number % len(originals)], texts[number % len(originals)]
        record: dict[str, Any] = json.loads(text)
        was = record["settings"]["seed"], record["provenance"]["started"]
        seed, started = number // len(originals), (begun + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        changed = text.replace(f'"seed": {was[0]}', f'"seed": {seed}', 1).replace(f'"{was[1]}"', f'"{started}"', 1)
        changed = sealed(changed)
        folder = results / path.relative_to(source).parent
        folder.mkdir(parents=True, exist_ok=True)
        stamp = started.replace("-", "").replace(":", "")
        (folder / f"{stamp}-seed{seed}-{number:08x}.json").write_text(changed, encoding="utf-8")
        written += len(changed)
    return written
