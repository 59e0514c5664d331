"""A catalogue of somebody else's: judged by data alone, and refused in one line where its data are wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import cli
from repro.assets.corpus import read_folder, stamp_of
from repro.claims.catalogue import load_catalogue
from repro.claims.headline import headline
from repro.claims.judge import judge_all
from repro.errors import CatalogueError, UsageError
from repro.records.schema import CorpusStamp, RunRecord, Scores
from repro.records.store import write_record
from tests.claims.course import CATALOGUE, CLAIMS, RUNS, write_course

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def runs(make_record: MakeRecord, corpus_folder: Path) -> list[RunRecord]:
    reviews: CorpusStamp = stamp_of("reviews", read_folder(corpus_folder))
    recipe = {"name": "tiny", "weights_sha256": "0" * 64}
    records = [make_record("corpus-facts", corpus=reviews, recipe=recipe, facts={"rows": [12, 12, 12]})]
    for seed, f1 in enumerate((0.48, 0.51, 0.50, 0.49, 0.52)):
        scores = Scores(
            n=12, accuracy=0.5, accuracy_interval=(0, 1), weighted_f1=f1, weighted_f1_interval=(0, 1), macro_f1=f1,
            class_f1=[f1], confusion=[[6, 6], [0, 0]],
        )  # fmt: skip
        records.append(make_record(seed=seed, corpus=reviews, recipe=recipe, scores={"epoch-2/validation": scores}))
    return records


def test_another_course_is_judged_from_a_folder_of_data(runs: list[RunRecord], tmp_path: Path) -> None:
    catalogue = load_catalogue(str(write_course(tmp_path / "reviews")))
    rows, f1 = judge_all(catalogue, runs, ["finetune"])
    assert (rows.label, f1.label) == ("holds by construction", "reproduced")
    assert f1.corroboration == "5 students' runs: 0.5000 ± 0.0158 (n = 5); reported within their 95 % intervals"
    assert headline(catalogue, [rows, f1]).startswith("about half: 5 students' runs on transformers 4.50 to 4.54 give")


def test_the_commands_take_its_folder(
    runs: list[RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    course, results = write_course(tmp_path / "reviews"), tmp_path / "results"
    for record in runs:
        write_record(record, results)

    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["repro", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code
        return capsys.readouterr().out

    assert "model.f1" in call("claims", "--catalogue", course)
    rows = json.loads(call("verify", "--results", results, "--catalogue", course, "--json"))
    assert [(row["claim"], row["version"], row["verdict"]) for row in rows] == [
        ("data.rows", 1, "holds by construction"),
        ("model.f1", 3, "reproduced"),
    ]
    call("report", "--results", results, "--catalogue", course)
    page = (results / "report.html").read_text()
    assert "Does the course on reviews still hold?" in page and "the seminar" not in page
    assert (results / "figures" / "reruns-by-version.svg").is_file()


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        (
            {"claims": CLAIMS.replace('"exact"', '"equal"')},
            "claims.toml: claim.data.rows.kind: Input should be 'exact'",
        ),
        ({"claims": CLAIMS.replace('needs = ["reviews"]', 'needs = ["gold"]')}, "claims.toml: data.rows: need 'gold'"),
        ({"claims": CLAIMS.replace('section = "Data"', 'section = "D"')}, "claims.toml: data.rows: section 'D'"),
        ({"claims": CLAIMS.replace("version = 3", "versions = 3")}, "claims.toml: claim.model.f1.version"),
        (
            {"claims": CLAIMS.replace('"model.f1"', '"data.rows"')},
            "claims.toml: claim: two claims have the id 'data.rows'",
        ),
        ({"claims": CLAIMS.replace("class:f1", "class:f2")}, "claims.toml: model.f1: figure 'class:f2' is not defined"),
        ({"claims": "[[claim"}, "claims.toml: "),
        ({"claims": ""}, "claims.toml: claim: Field required"),
        (
            {"catalogue": CATALOGUE.replace('"corpus.name"', '"corpse.name"')},
            "catalogue.toml: needs.reviews: no record",
        ),
        ({"catalogue": CATALOGUE.replace("runs.csv", "../runs.csv")}, "'../runs.csv' leads out of the catalogue's"),
        ({"catalogue": CATALOGUE.replace("runs.csv", "/etc/passwd")}, "'/etc/passwd' leads out of the catalogue's"),
        ({"catalogue": CATALOGUE.replace("runs.csv", "gone.csv")}, "gone.csv: cannot be read"),
        ({"catalogue": CATALOGUE.replace('claim = "model.f1"', 'claim = "x"')}, "headline: claim 'x' is not defined"),
        (
            {"catalogue": CATALOGUE.replace('["class"]', '["others"]')},
            "corroboration: reference 'others' is not defined",
        ),
        ({"runs": RUNS.replace("loss", "lost")}, "runs.csv: column 'loss' is missing"),
        ({"runs": RUNS.replace("student,", "student,student,")}, "runs.csv: column 'student'"),
        ({"runs": RUNS.replace("0.52", "NaN")}, "runs.csv: row 3: column 'f1': expected a finite number, got 'NaN'"),
        ({"runs": RUNS.replace("0.52", "half")}, "runs.csv: row 3: column 'f1': expected a finite number, got 'half'"),
        ({"runs": RUNS.replace("0.52", "0.52,1")}, "runs.csv: row 3: expected 4 cells"),
        ({"runs": "".join(RUNS.splitlines(keepends=True)[:2])}, "runs.csv: column 'loss' states fewer than two"),
        ({"runs": ""}, "runs.csv: column 'f1' is missing"),
    ],
)
def test_what_is_wrong_with_a_catalogue_is_one_line_with_file_and_place(
    changed: dict[str, str], place: str, tmp_path: Path
) -> None:
    course = write_course(tmp_path / "reviews", **changed)
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(str(course))
    assert place in refused.value.what
    assert str(course) in refused.value.what
    assert "\n" not in refused.value.what
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", ["claims.toml", "runs.csv"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(name: str, tmp_path: Path) -> None:
    course, outside = write_course(tmp_path / "reviews"), tmp_path / "outside"
    (course / name).rename(outside)
    (course / name).symlink_to(outside)
    with pytest.raises(CatalogueError, match="leads out of the catalogue's folder"):
        load_catalogue(str(course))


def test_a_catalogue_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="Did you mean 'seminar'"):
        load_catalogue("seminer")
