"""The course's notebook, audited where no Hub is: `python -m benchmarks.seminar_audit NOTEBOOK --corpus DIR`.

A Hub on this machine has MiniLM's files under DistilBERT's name and the real tweets; tiny models of random weights
stand in for the tour's. Writes results/seminar-audit.csv, whose last row names the stand-ins and the seconds, and
with `--outputs results/seminar-outputs.csv` what the repaired cells showed beside what the course reports, as
seminar_outputs.toml says.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import sys
import time
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoModelForSequenceClassification, AutoTokenizer

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.recipes import DISTILBERT, MINILM, TOUR
from repro.assets.tiny import build_tiny_tour
from repro.claims.catalogue import load_catalogue
from repro.display import Table
from repro.notebooks.reading import joined
from tests.assets.hub_server import HubServer, Repository

OWN_MODEL = "bylin/distilbert-base-uncased-finetuned-emotion"  # that the last cells load: here its head is untrained


def main() -> None:
    """Audit the notebook through the command, then add to its table what it ran on."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--corpus", type=Path, required=True, help="A folder of the emotion tweets.")
    parser.add_argument("--output", type=Path, default=Path("results", "seminar-audit.csv"))
    parser.add_argument("--outputs", type=Path, help="Also what cells showed: results/seminar-outputs.csv.")
    parser.add_argument("--executed", type=Path, help="Keep the executed notebook.")
    parser.add_argument("--beside", type=Path, help="One of an audit under older libraries with --no-repair.")
    given, options = parser.parse_known_args()  # those of repro audit, such as --rows 1600 --python PATH
    weights = locate_checkpoint(MINILM).folder
    repositories = {
        ("model", DISTILBERT.checkpoint): Repository(commit="a" * 40, files=_files(weights)),
        ("dataset", "SetFit/emotion"): Repository(commit="b" * 40, files=_files(given.corpus)),
    }
    with TemporaryDirectory() as folder, HubServer(repositories=repositories) as hub:
        trained = Path(folder, "trained")
        AutoModelForSequenceClassification.from_pretrained(weights, num_labels=6).save_pretrained(trained)
        AutoTokenizer.from_pretrained(weights).save_pretrained(trained)
        stand_ins = [f"--use={OWN_MODEL}={trained}"]
        for task, pinned in TOUR.items():
            build_tiny_tour(task, Path(folder, task))
            stand_ins.append(f"--use={pinned.checkpoint}={Path(folder, task)}")
        os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="0", HF_HUB_CACHE=str(Path(folder, "cache")))
        from repro import cli

        executed = given.executed or Path(folder, "executed.ipynb")
        written = [f"--csv={given.output}", f"--executed={executed}"]
        sys.argv = ["repro", "audit", str(given.notebook), *stand_ins, *written, *options]
        started = time.monotonic()
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
        _say_how(given.output, time.monotonic() - started)
        if given.outputs:
            write_outputs(executed, given.beside, given.outputs)
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


def write_outputs(executed: Path, beside: Path | None, output: Path) -> None:
    """Write a row for each cell that showed something: its claim, what is reported, what was shown, how they compare.

    Of the outputs, which hold tweets and the course's text, only the parts are written that seminar_outputs.toml names.
    """
    known = tomllib.loads(Path(__file__).with_name("seminar_outputs.toml").read_text(encoding="utf-8"))
    catalogue, older = load_catalogue("seminar"), _shown(beside) if beside else {}
    rows = []
    for number, text in _shown(executed).items():
        cell = known.get(number, {})
        reported = catalogue.claim_named(cell["claim"]).shown if "claim" in cell else ""
        part = re.search(cell["part"], text) if "part" in cell else None
        if not text and not cell:
            continue
        judged = f"not comparable: {cell['why']}" if "why" in cell else "equal" if part else "differs" if cell else ""
        same = "" if number not in older else "same" if older[number] == text else "other"
        rows.append((number, cell.get("claim", ""), reported, part[0] if part else "", judged, same))
    columns = ("cell", "claim", "reported", "shown after the repair", "judged", "text under the older libraries")
    wanted = len(columns) if beside else -1  # without the other notebook there is nothing to say of it
    output.write_text(Table(columns[:wanted], tuple(row[:wanted] for row in rows)).to_csv(), encoding="utf-8")


def _shown(notebook: Path) -> dict[str, str]:
    """Return what each code cell showed, by its number: without markup and what goes to stderr, bars and warnings."""
    cells = [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    shown = {}
    for number, cell in enumerate(cells, start=1):
        data = [o.get("data", {"text/plain": o.get("text")}) for o in cell["outputs"] if o.get("name") != "stderr"]
        text = " ".join(joined(each.get("text/html", each.get("text/plain"))) for each in data)
        shown[str(number)] = " ".join(re.sub(r"<style.*?</style>|<[^<>]*>", " ", text, flags=re.DOTALL).split())
    return shown


if __name__ == "__main__":
    main()
