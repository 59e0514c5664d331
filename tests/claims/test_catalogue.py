"""The claims as data: what `claims.toml` may say, and that it names what the assets pin."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from statistics import stdev

import pytest

from repro.assets.corpus import EMOTION
from repro.assets.recipes import DISTILBERT, MINILM
from repro.claims.catalogue import PACKAGED, load_catalogue, read_header
from repro.claims.claim import Kind
from repro.claims.reruns import FIGURES, reference
from repro.errors import UsageError
from repro.records.schema import RunRecord
from repro.records.store import read_record

MakeRecord = Callable[..., RunRecord]
CATALOGUE = load_catalogue()


def test_claims_and_assets_name_the_same_corpus_and_checkpoints(make_record: MakeRecord) -> None:
    holds = {path: value for need in CATALOGUE.needs.values() for path, value in need.holds.items()}
    for split, stamp in EMOTION.splits.items():
        assert holds[f"corpus.splits.{split}.content"] == stamp.content
        assert holds[f"corpus.splits.{split}.ordered"] == stamp.ordered
    record = make_record()
    for path, value in CATALOGUE.needs["distilbert"].holds.items():
        assert record.at(path) == value, path
    assert holds["recipe.weights_sha256"] == DISTILBERT.sha256["model.safetensors"]
    assert MINILM.learning_rate == 1e-4
    changed = {"name", "why", "checkpoint", "revision", "sha256", "package", "config", "learning_rate"}
    assert {k: v for k, v in vars(MINILM).items() if k not in changed} == {
        k: v for k, v in vars(DISTILBERT).items() if k not in changed
    }


def test_an_unknown_claim_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'finetune\.f1'"):
        CATALOGUE.claim_named("finetune.f2")


def test_what_the_book_reports_of_its_fine_tuning_is_one_run_of_the_reruns_population() -> None:
    for name in ("finetune.epoch-1", "finetune.epoch-2"):
        one = CATALOGUE.claim_named(name)
        for part, figure in one.figures.items():
            low, high = CATALOGUE.figure(figure).prediction_interval()
            assert low < one.reported[part] < high, (name, part)


def test_every_margin_is_half_a_point_of_f1_or_the_same_share_of_the_98_cards_spread() -> None:
    text = Path(str(files("repro.catalogues"))) / "seminar" / "references" / "community_runs.csv"
    cards = list(csv.DictReader(text.read_text().splitlines()))
    spread = {name: stdev(float(card[name]) for card in cards) for name in FIGURES}
    for one in CATALOGUE.claim:
        if one.kind is Kind.DISTRIBUTION:
            for part, figure in one.figures.items():
                expected = 0.005 / spread["f1_2"] * spread[figure.partition(":")[2]]
                assert one.tolerance_of(part) == pytest.approx(expected, abs=1e-4), (one.id, part)


def test_the_mean_that_stands_in_the_text_is_the_reruns() -> None:
    assert f"{reference('f1_2').mean:.4f}" in CATALOGUE.claim_named("finetune.f1").shown


def test_ten_hardest_rows_are_shared_as_honest_pairs_of_seeds_share_them() -> None:
    folder = Path(__file__).parents[2] / "results" / "runs" / "emotion" / "minilm" / "finetune"
    runs = [read_record(path) for path in sorted(folder.glob("*.json"))]
    lists = [(run.settings.seed, set(map(str, run.at("facts.hardest_rows")))) for run in runs]
    shared = [len(a & b) for (one, a), (other, b) in combinations(lists, 2) if one != other]
    least = CATALOGUE.claim_named("finetune.hardest").tolerance_of("")
    assert len(shared) >= 45
    assert sum(n < least for n in shared) / len(shared) <= 0.05


def test_ids_of_the_catalogues_that_come_with_the_suite_are_of_one_catalogue_each() -> None:
    ids = [one.id for name in PACKAGED for one in read_header(name)[0].claim]
    assert len(ids) == len(set(ids)) == 51 + 3 + 3
