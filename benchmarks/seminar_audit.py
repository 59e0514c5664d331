"""The course's notebook, audited where no Hub is: `python -m benchmarks.seminar_audit NOTEBOOK --corpus DIR`.

A Hub on this machine has MiniLM's files under DistilBERT's name and the real tweets; tiny models of random weights
stand in for the tour's. Writes results/seminar-audit.csv, whose last row names the stand-ins and the seconds.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from repro.assets.builtin.tiny import build_tiny_tour
from repro.assets.checkpoints import locate_checkpoint
from repro.assets.recipes import DISTILBERT, MINILM, PUBLISHED, TOUR
from tests.assets.hub_server import HubServer, Repository


def main() -> None:
    """Audit the notebook through the command, then add to its table what it ran on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--corpus", type=Path, required=True, help="A folder of the emotion tweets.")
    parser.add_argument("--output", type=Path, default=Path("results", "seminar-audit.csv"))
    given, options = parser.parse_known_args()  # those of repro audit, such as --rows 1600 --python PATH
    weights = locate_checkpoint(MINILM).folder
    repositories = {
        ("model", DISTILBERT.checkpoint): Repository(commit="a" * 40, files=_files(weights)),
        ("dataset", "SetFit/emotion"): Repository(commit="b" * 40, files=_files(given.corpus)),
    }
    with TemporaryDirectory() as folder, HubServer(repositories=repositories) as hub:
        stand_ins = [f"--use={PUBLISHED.checkpoint}={weights}"]
        for task, pinned in TOUR.items():
            build_tiny_tour(task, Path(folder, task))
            stand_ins.append(f"--use={pinned.checkpoint}={Path(folder, task)}")
        os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="0", HF_HUB_CACHE=str(Path(folder, "cache")))
        from repro import cli

        sys.argv = ["repro", "audit", str(given.notebook), *stand_ins, f"--csv={given.output}", *options]
        started = time.monotonic()
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
        _say_how(given.output, time.monotonic() - started)
    sys.exit(code)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _say_how(table: Path, wall_seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    rows[-1][-1] += (
        f"; {DISTILBERT.checkpoint} and SetFit/emotion from a Hub on this machine, with {MINILM.checkpoint}'s files "
        f"and the real tweets; the tour's models are tiny ones of random weights; {threads} threads; "
        f"{wall_seconds:.0f} s in all, {used.ru_utime + used.ru_stime:.0f} s of processor time"
    )
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
