"""Puts faults into real runs, two at a time, and tallies what came of them.

The workers are forks of one process that has imported everything; each forks the runs that it disturbs. All runs have
one thread, so that a trial has a core and its arithmetic one order.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp

import pytest

from repro.records.faults import FaultTally, write_tally
from repro.records.provenance import code_state, collect_provenance
from tests.faults.launch import ONE_THREAD, RUN, Place, run
from tests.faults.session import DRAWN_FROM, Session

WORKERS = 2
DESELECTED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Give the session a folder for its tally; without it none is written."""
    parser.addoption("--results", default=None, help="write the tally below RESULTS/faults")
    parser.addoption("--share", type=float, default=1.0, help="try each fault only so often; the tally is not written")


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that a part was chosen: a part is no tally."""
    items[0].config.stash[DESELECTED] = True


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The workers and the undisturbed runs; at the end the tally, where the whole session ran and a folder is named."""
    os.environ.update(ONE_THREAD)
    share: float = request.config.getoption("--share")
    folder = Path(mkdtemp(prefix="faults-"))
    folder.chmod(0o755)  # a run without root's rights comes here too
    _warm_up(folder)
    with get_context("fork").Pool(WORKERS) as pool:
        session = Session(folder=folder, pool=pool, share=share)
        yield session
    results = request.config.getoption("--results")
    if results and share == 1 and not request.config.stash.get(DESELECTED, False):
        tally = FaultTally(
            run=" ".join(("repro", *RUN)),
            steps=session.undisturbed.steps,
            drawn_from=DRAWN_FROM,
            seconds=time.monotonic() - session.start,
            rows=session.rows,
            provenance=collect_provenance(started=session.started, threads=1),
        )
        sys.stderr.write(f"\n{write_tally(tally, Path(results) / 'faults')}\n")
    if not request.session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)


def _warm_up(folder: Path) -> None:
    """Import what a run imports, and make what every run would make alike, before the first fork."""
    import torch

    from repro.assets.builtin.tiny import tiny_folder
    from repro.assets.loading import load_classifier

    torch.set_num_threads(1)
    for checkpoint in (tiny_folder().parent, tiny_folder()):
        checkpoint.chmod(0o755)
    for file in tiny_folder().iterdir():
        file.chmod(0o644)
    load_classifier(tiny_folder())
    code_state()
    place = Place(folder=folder / "warm-up")
    place.folder.mkdir()
    imported = place.folder / "imported"

    def note() -> None:
        import repro.cli

        original, known = repro.cli.main, set(sys.modules)

        def main() -> None:
            try:
                original()
            finally:
                imported.write_text("\n".join(sorted(set(sys.modules) - known)), encoding="utf-8")

        repro.cli.main = main

    import_module("repro.cli")
    ended = run(place, place.arguments(), plant=note)
    assert ended.code == 0, ended.err
    for name in imported.read_text(encoding="utf-8").splitlines():
        if name.split(".")[0] in ("torch", "transformers", "accelerate", "datasets", "sklearn", "scipy", "repro"):
            import_module(name)
    gc.collect()
    gc.freeze()  # else every run would go through all that was imported, and copy it
