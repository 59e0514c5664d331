"""Tables and pages: made from the records alone and never stale; strips to scale, commands that run it again."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest

from repro.claims.catalogue import reruns
from repro.claims.claim import Outcome
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.commands.run import run
from repro.display import Table
from repro.errors import RecordError, ResultsError
from repro.records.schema import RunRecord
from repro.records.store import read_records, write_record
from repro.report.pages import BEGIN, END, commands
from repro.report.tables import NOTEBOOKS, seed_scores, source_cells
from repro.report.webpage import Strip, strips
from repro.training.metrics import score
from tests.claims.builders import CATALOGUE, report
from tests.conftest import MakeRecord

ROOT = Path(__file__).parents[2]


@pytest.fixture
def record(make_record: MakeRecord) -> RunRecord:
    scores = {"logistic/validation": score([0, 1, 2, 3, 4, 5, 1], [0, 1, 1, 3, 4, 5, 1], classes=6)}
    return make_record(
        "linear", scores=scores, seconds={"logistic": 1.5}, facts={"most_often_taken_for": {"love": "joy"}}
    )


def test_the_committed_report_and_readme_are_what_the_committed_records_give(tmp_path: Path) -> None:
    results = ROOT / "results"
    for folder in ("runs", "benchmarks"):
        shutil.copytree(results / folder, tmp_path / folder)
    for table in results.glob("*.csv"):  # measured by themselves: the audit, the diagnosis
        shutil.copy(table, tmp_path)
    records = read_records(tmp_path)
    readme = Path(shutil.copy(ROOT / "README.md", tmp_path))
    written = {path.relative_to(tmp_path) for path in report(records, tmp_path, readme)} - {Path(readme.name)}
    pages = [results / "REPORT.md", results / "report.html"]
    folders = [path for name in ("tables", "figures") for path in (results / name).iterdir()]
    committed = {path.relative_to(results) for path in (*pages, *folders)}
    assert written == committed  # no figure or table is missing, none is left over
    for path in written:
        if path.suffix in {".md", ".csv", ".svg"}:
            assert (tmp_path / path).read_text() == (results / path).read_text(), path
    assert readme.read_text() == (ROOT / "README.md").read_text()


def test_seeds_share_a_row_and_every_record_is_in_the_file(make_record: MakeRecord, tmp_path: Path) -> None:
    scores = [score([0, 1, 2, 3], [0, 1, 2, wrong], classes=6) for wrong in (3, 3, 0)]
    records = [make_record("linear", seed=i, scores={"logistic/validation": s}) for i, s in enumerate(scores)]
    (row,) = seed_scores(records).rows
    assert row[:6] == ("linear", records[0].spec.setup.label, "logistic/validation", "4", "3", row[5])
    assert row[5].startswith("0.9167 ± 0.1443 [")
    report(records, tmp_path)
    assert (tmp_path / "tables" / "scores.csv").read_text().count("logistic/validation") == 3


def test_a_verdict_leads_to_its_record_and_its_source_cell(record: RunRecord, tmp_path: Path) -> None:
    path = write_record(record, tmp_path)
    report([record], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f'<a href="{path.relative_to(tmp_path).as_posix()}">{path.name}</a>' in page
    assert source_cells("seed, b-175") == [("seed, ", ""), ("b-175", NOTEBOOKS["b"])]


def test_a_report_made_twice_is_the_same_to_the_byte(record: RunRecord, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        report([record], tmp_path / folder)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*") if path.is_file()]
    assert len(files) == 10
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


@pytest.mark.parametrize("content", [b"", b"caf\xe9,x\n", b"x" * 200_000, None])
def test_a_table_beside_the_records_that_is_none_is_named(
    content: bytes | None, record: RunRecord, tmp_path: Path
) -> None:
    path = tmp_path / "diagnosis.csv"
    path.write_bytes(content) if content is not None else path.mkdir()
    with pytest.raises(RecordError, match=r"diagnosis\.csv is no table: \S"):
        report([record], tmp_path)
    assert list(tmp_path.iterdir()) == [path]  # nothing is written


def test_csv_survives_commas_quotes_and_newlines() -> None:
    table = Table(("a", "b"), (('x, "y"', "line\nbreak"),))
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [["a", "b"], ['x, "y"', "line\nbreak"]]
    assert table.to_markdown().count("\n") == 3


def test_a_readme_without_its_marks_is_refused(record: RunRecord, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks")
    with pytest.raises(ResultsError, match="no place for the verdicts"):
        report([record], tmp_path, readme)
    readme.write_text(f"head\n{BEGIN}\nSTALE\n{END}\ntail\n")
    report([record], tmp_path, readme)
    text = readme.read_text()
    assert text.startswith("head\n") and text.endswith(f"{END}\ntail\n") and "STALE" not in text


def test_a_folder_that_cannot_take_the_report_is_refused(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file where the folder belongs")
    with pytest.raises(ResultsError, match="cannot write the report"):
        report([record], tmp_path)


def strips_of(claim: str, **estimates: Figure) -> tuple[Strip, ...]:
    one = CATALOGUE.claim_named(claim)
    return tuple(strips(CATALOGUE, Verdict(claim=one, outcome=Outcome.REPRODUCED, why="", estimates=estimates)))


def test_a_strip_holds_the_reruns_and_the_margin_about_their_mean() -> None:
    (strip,) = strips_of("finetune.f1", **{"": Figure((0.9241, 0.9246, 0.9251, 0.9256, 0.9261))})
    assert strip.reference == reruns().figure("f1_2").values
    assert strip.allowed == pytest.approx((0.9197, 0.9297), abs=5e-5)  # not about the reported run
    low, high = strip.axis
    assert low < min(strip.reference) and high > max(strip.reference)
    assert all(x == strip.x(float(text)) for x, text in strip.ticks)
    assert strips_of("tokens.string") == ()


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 7.2e14])
def test_a_strip_of_one_lone_value_still_has_an_axis(value: float) -> None:
    strip = Strip(label="x", measured=Figure((value,)))
    assert strip.axis[0] < value < strip.axis[1]
    assert strip.ticks


def test_every_way_of_running_has_a_command_that_names_all_that_differs(make_record: MakeRecord) -> None:
    records = [make_record("finetune", seed=seed) for seed in (0, 1, 2, 7)]
    records += [make_record("linear", settings={"batching": "packed", "limit": 64}, recipe={"epochs": 6})]
    lines = [command for _, command in commands(records)]
    assert lines == [
        "python -m repro run finetune --recipe distilbert --corpus hub --precision fp32 --batching padded --device cpu "
        "--seeds 0-2,7",
        "python -m repro run linear --recipe distilbert --corpus hub --precision fp32 --batching packed --device cpu "
        "--epochs 6 --limit 64 --seeds 0",
    ]
    options = set(re.findall(r"--([a-z-]+)", " ".join(lines)))
    assert {name.replace("-", "_") for name in options} <= set(run.__annotations__)
