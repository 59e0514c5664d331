"""Memory of a large corpus: so much a row and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.load import write_corpus
from benchmarks.processes import ROOT

BYTES_A_ROW = 1_000  # two million rows within 3 GiB leave 1,200 beside the libraries


def test_memory_grows_by_what_a_row_needs_in_arrow_and_pieces(tmp_path: Path) -> None:
    sizes = (20_000, 70_000)  # several chunks each: the first ones also fill what is used again
    folders = [tmp_path / str(size) for size in sizes]
    for size, folder in zip(sizes, folders, strict=True):
        write_corpus("rehearsal", folder, size)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *map(str, folders)],
        capture_output=True, text=True, check=False, timeout=900, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    small, large = json.loads(done.stdout)
    assert (large - small) * 2**20 / (sizes[1] - sizes[0]) < BYTES_A_ROW
