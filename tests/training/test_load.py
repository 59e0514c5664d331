"""Memory of a large corpus: so much a row and no more."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.load import write_corpus
from tests.running import run_module

BYTES_A_ROW = 1_000  # two million rows within 3 GiB leave 1,200 beside the libraries


def test_memory_grows_by_what_a_row_needs_in_arrow_and_pieces(tmp_path: Path) -> None:
    sizes = (20_000, 70_000)  # several chunks each: the first ones also fill what is used again
    folders = [tmp_path / str(size) for size in sizes]
    for size, folder in zip(sizes, folders, strict=True):
        write_corpus("rehearsal", folder, size)
    small, large = json.loads(run_module("benchmarks.load", *folders))
    assert (large - small) * 2**20 / (sizes[1] - sizes[0]) < BYTES_A_ROW
