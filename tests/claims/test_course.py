"""A catalogue of somebody else's: judged by data alone, and refused in one line where its data are wrong."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import cli
from repro.assets.corpus import read_folder, stamp_of
from repro.claims.catalogue import load_catalogue
from repro.claims.judge import headline, judge_all
from repro.errors import UsageError
from repro.records.schema import CorpusStamp, RunRecord
from repro.records.store import write_record
from tests.claims.builders import scored

MakeRecord = Callable[..., RunRecord]
# what is replaced in which file (the whole text where nothing is named), and what is said of it
LINES = (Path(__file__).parent / "wrong_catalogues.csv").read_text().splitlines()
WRONG = list(csv.DictReader(LINES, delimiter="|", quoting=csv.QUOTE_NONE))


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course on reviews, as a folder."""
    return Path(shutil.copytree(Path(__file__).parent / "reviews", tmp_path / "reviews"))


@pytest.fixture
def runs(make_record: MakeRecord, corpus_folder: Path) -> list[RunRecord]:
    reviews: CorpusStamp = stamp_of("reviews", read_folder(corpus_folder))
    own = {"corpus": reviews, "recipe": {"name": "tiny", "weights_sha256": "0" * 64}}
    trained = []
    for seed, right in enumerate((48, 51, 50, 49, 52)):  # of 100 rows of either label
        matrix = {"confusion": [[right, 100 - right], [100 - right, right]], "class_f1": [right / 100] * 2}
        scores = scored(right / 100, n=200).model_copy(update=matrix)
        trained.append(make_record(seed=seed, scores={"epoch-2/validation": scores}, **own))
    return [make_record("corpus-facts", facts={"rows": [12, 12, 12]}, **own), *trained]


def test_another_course_is_judged_from_a_folder_of_data(runs: list[RunRecord], course: Path) -> None:
    catalogue = load_catalogue(str(course))
    rows, f1 = judge_all(catalogue, runs, ["finetune"])
    assert (rows.label, f1.label) == ("holds by construction", "reproduced")
    assert f1.corroboration == "5 students' runs: 0.5000 ± 0.0158 (n = 5); reported within their 95 % intervals"
    assert headline(catalogue, [rows, f1]).startswith("about half: 5 students' runs on transformers 4.50 to 4.54 give")


def test_the_commands_take_its_folder(
    runs: list[RunRecord],
    course: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = tmp_path / "results"
    for record in runs:
        write_record(record, results)

    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["repro", *map(str, arguments), "--catalogue", str(course)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code
        return capsys.readouterr().out

    assert "model.f1" in call("claims")
    rows = json.loads(call("verify", "--results", results, "--json"))
    assert [(row["claim"], row["version"], row["verdict"]) for row in rows] == [
        ("data.rows", 1, "holds by construction"),
        ("model.f1", 3, "reproduced"),
    ]
    call("report", "--results", results)
    page = (results / "report.html").read_text()
    assert "Does the course on reviews still hold?" in page and "the seminar" not in page
    assert (results / "figures" / "reruns-by-version.svg").is_file()


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case["problem"])
def test_what_is_wrong_with_a_catalogue_is_one_line_with_file_and_place(case: dict[str, str], course: Path) -> None:
    path = course / case["file"]
    old, new = (case[name].replace("\\n", "\n") for name in ("old", "new"))
    path.write_text(path.read_text().replace(old, new) if old else new)
    with pytest.raises(UsageError) as refused:
        load_catalogue(str(course))
    assert case["problem"] in refused.value.what
    assert str(course) in refused.value.what
    assert "\n" not in refused.value.what
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", ["claims.toml", "runs.csv"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(name: str, course: Path, tmp_path: Path) -> None:
    (course / name).rename(tmp_path / "outside")
    (course / name).symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="leads out of the catalogue's folder"):
        load_catalogue(str(course))


def test_a_catalogue_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="Did you mean 'seminar'"):
        load_catalogue("seminer")
