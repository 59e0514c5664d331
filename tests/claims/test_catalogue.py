"""The claims as data: what the suite's own may say, and another course's folder judged or refused by data alone."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from statistics import stdev

import pytest

from repro.assets.corpus import EMOTION, read_folder, stamp_of
from repro.assets.recipes import DISTILBERT, MINILM
from repro.claims.catalogue import PACKAGED, load_catalogue, read_header, reruns
from repro.claims.claim import Kind
from repro.claims.judge import judge_all
from repro.errors import UsageError
from repro.records.schema import CorpusStamp, RunRecord
from repro.records.store import write_record
from repro.report.tables import headline
from tests.claims.builders import CATALOGUE, scored
from tests.conftest import CallRepro, MakeRecord
from tests.running import cases

WRONG = cases("claims/wrong_catalogues.csv")  # what is replaced in which file, and what is said of it


def test_claims_and_assets_name_the_same_corpus_and_checkpoints(make_record: MakeRecord) -> None:
    holds = {path: value for need in CATALOGUE.needs.values() for path, value in need.holds.items()}
    for split, stamp in EMOTION.splits.items():
        assert holds[f"corpus.splits.{split}.content"] == [stamp.content]
        assert holds[f"corpus.splits.{split}.ordered"] == [stamp.ordered]
    record = make_record()
    for path, values in CATALOGUE.needs["distilbert"].holds.items():
        assert record.at(path) in values, path
    assert holds["recipe.weights_sha256"] == [DISTILBERT.sha256["model.safetensors"]]
    assert MINILM.learning_rate == 1e-4
    changed = ("name", "why", "checkpoint", "revision", "megabytes", "sha256", "package", "config", "learning_rate")
    assert replace(MINILM, **{name: getattr(DISTILBERT, name) for name in changed}) == DISTILBERT


def test_what_the_book_reports_of_its_fine_tuning_is_one_run_of_the_reruns_population() -> None:
    for name in ("finetune.epoch-1", "finetune.epoch-2"):
        one = CATALOGUE.claim_named(name)
        for part, figure in one.figures.items():
            low, high = CATALOGUE.figure(figure).prediction_interval()
            assert low < one.reported[part] < high, (name, part)


def test_every_margin_is_half_a_point_of_f1_or_the_same_share_of_the_98_cards_spread() -> None:
    text = Path(str(files("repro.catalogues"))) / "seminar" / "references" / "community_runs.csv"
    cards = list(csv.DictReader(text.read_text().splitlines()))
    spread = {name: stdev(float(card[name]) for card in cards) for name in reruns().figures}
    for one in CATALOGUE.claim:
        if one.kind is Kind.DISTRIBUTION:
            for part, figure in one.figures.items():
                expected = 0.005 / spread["f1_2"] * spread[figure.partition(":")[2]]
                assert one.tolerance_of(part) == pytest.approx(expected, abs=1e-4), (one.id, part)


def test_the_mean_that_stands_in_the_text_is_the_reruns() -> None:
    assert f"{reruns().figure('f1_2').mean:.4f}" in str(CATALOGUE.claim_named("finetune.f1").reason)


def test_ten_hardest_rows_are_shared_as_honest_pairs_of_seeds_share_them() -> None:
    table = Path(str(read_header("minilm").folder)) / "references" / "runs.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = [(a, b) for a, b in combinations(rows, 2) if a["precision"] == b["precision"]]
    shared = [len({*a["hardest_rows"].split()} & {*b["hardest_rows"].split()}) for a, b in pairs]
    least = CATALOGUE.claim_named("finetune.hardest").tolerance_of("")
    assert len(shared) >= 200
    assert sum(n < least for n in shared) / len(shared) <= 0.05


def test_ids_of_the_catalogues_that_come_with_the_suite_are_of_one_catalogue_each() -> None:
    ids = [one.id for name in PACKAGED for one in read_header(name).claim]
    assert len(ids) == len(set(ids)) == 58 + 3 + 3


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
    assert f1.corroboration == "students' runs: 0.5000 ± 0.0158 (n = 5); reported: in their 95 % range"
    said = headline(catalogue, [rows, f1])
    assert said.startswith(
        "Is it half? With transformers 4.50 to 4.54, yes: 5 students' runs, which others published, give"
    )


def test_the_commands_take_its_folder(
    runs: list[RunRecord], course: Path, tmp_path: Path, call_repro: CallRepro
) -> None:
    results, own = tmp_path / "results", ("--catalogue", course)
    for record in runs:
        write_record(record, results)
    assert "model.f1" in call_repro("claims", *own)[1]
    code, out, _ = call_repro("verify", "--results", results, "--json", *own)
    assert code == 0
    assert [(row["claim"], row["version"], row["verdict"]) for row in json.loads(out)] == [
        ("data.rows", 1, "holds by construction"), ("model.f1", 3, "reproduced"),
    ]  # fmt: skip
    assert call_repro("report", "--results", results, *own)[0] == 0
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
    what = refused.value.what
    assert (case["problem"] in what, str(course) in what, "\n" in what) == (True, True, False), what
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", ["claims.toml", "runs.csv"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(name: str, course: Path, tmp_path: Path) -> None:
    (course / name).rename(tmp_path / "outside")
    (course / name).symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="leads out of the catalogue's folder"):
        load_catalogue(str(course))


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(f"x = {'9' * 5000}")
    with pytest.raises(UsageError, match=r"catalogue\.toml: Exceeds the limit"):
        load_catalogue(str(tmp_path))
