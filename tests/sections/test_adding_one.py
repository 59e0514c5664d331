"""A section is one file and one line: a toy one runs, is recorded, printed, drawn and tabled like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from repro import sections
from repro.records.store import read_records
from tests.conftest import CallRepro

TOY = '''
"""The longest tweet: a toy."""

from repro.display import Drawing, Table, panels
from repro.records.schema import Measurements
from repro.sections.context import Section


def run(context, seed):
    return Measurements(facts={"letters": max(map(len, context.corpus.texts("train"))), "seed": seed})


def figures(cohort):
    yield Drawing(name=f"toy-{cohort.setup.slug}", figure=panels(2, 2)[0], title="A toy", description="Nothing")


def tables(runs):
    return {"toy": Table(("letters",), tuple((str(run.facts["letters"]),) for run in runs))}


SECTION = Section.of(globals(), heading="Toys", what="the longest tweet", seeded=True)
'''


def test_a_new_section_needs_one_file_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call_repro: CallRepro
) -> None:
    results = ("--results", tmp_path / "results")
    (tmp_path / "toy.py").write_text(TOY)  # the file
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    with_toy = (*sections.SECTIONS, "toy")  # the line
    for user in ("sections", "report.pages"):
        monkeypatch.setattr(f"repro.{user}.SECTIONS", with_toy)
    tiny = ("--recipe", "tiny", "--corpus", "rehearsal", "--limit", "8", "--seeds", "0,3")
    code, out, _ = call_repro("run", "toy", *tiny, *results)
    assert (code, out.count("letters"), out.count("toy, seed")) == (0, 2, 2)
    records = read_records(tmp_path / "results")
    assert [(r.experiment, r.facts["seed"], r.declared_seeds) for r in records] == [("toy", s, [0, 3]) for s in (0, 3)]
    assert len({r.run_key for r in records}) == 2
    assert records[0].source_sha256 == records[1].source_sha256 is not None
    assert call_repro("run", "toy", *tiny, *results)[1].count("already completed, skipped") == 2
    assert call_repro("report", *results)[0] == 0
    assert "toy" in {path.stem for path in (tmp_path / "results" / "tables").iterdir()}
    assert len(list((tmp_path / "results" / "figures").glob("toy-*.svg"))) == 1
    assert "](figures/toy-" in (tmp_path / "results" / "REPORT.md").read_text()
    sys.modules.pop("repro.sections.toy")
