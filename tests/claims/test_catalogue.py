"""The claims as data: what `claims.toml` may say, and that it names what the assets pin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repro.assets.corpus import EMOTION
from repro.assets.recipes import DISTILBERT, MINILM
from repro.claims.catalogue import Catalogue, Claim, Kind, load_catalogue
from repro.claims.reruns import reference
from repro.errors import UsageError
from repro.records.record import RunRecord

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


def claim(**parts: Any) -> dict[str, Any]:
    return {
        "id": "x", "section": "s", "text": "t", "reported": 1, "shown": "1", "source": "b-1", "kind": "value",
        "experiment": "linear", "measure": "linear:facts.x", "tolerance": 0.1, "reason": "r", **parts,
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": None},
        {"kind": "exact"},
        {"kind": "ordering"},
        {"kind": "distribution"},
        {"reference": "f1_2"},
        {"kind": "distribution", "reference": {"a": "f1_2"}},
        {"rows": "linear:rows.x"},
        {"tolerance": {"a": 1.0}},
        {"reported": {"a": 1}, "measure": {"b": "linear:facts.x"}},
    ],
)
def test_a_claim_whose_parts_do_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    assert Claim(**claim()).kind is Kind.VALUE
    with pytest.raises(ValueError, match="x:"):
        Claim(**claim(**wrong))


def test_a_need_that_is_not_defined_or_an_id_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="not defined"):
        Catalogue(schema_version=1, needs={}, claim=(Claim(**claim(needs=("gold",))),))
    with pytest.raises(ValueError, match="same id"):
        Catalogue(schema_version=1, needs={}, claim=(Claim(**claim()), Claim(**claim())))


def test_what_the_book_reports_of_its_fine_tuning_is_one_run_of_the_reruns_population() -> None:
    for name in ("finetune.epoch-1", "finetune.epoch-2"):
        claim = CATALOGUE.claim_named(name)
        assert isinstance(claim.reference, dict)
        for part, figure in claim.reference.items():
            low, high = reference(figure).prediction_interval()
            assert low < claim.reported[part] < high, (name, part)


def test_every_margin_is_half_a_point_of_f1_or_the_same_share_of_its_figures_spread() -> None:
    share = 0.005 / reference("f1_2").sd
    for claim in CATALOGUE.claim:
        if claim.kind is not Kind.DISTRIBUTION:
            continue
        figures = claim.reference if isinstance(claim.reference, dict) else {"": claim.reference}
        margins = claim.tolerance if isinstance(claim.tolerance, dict) else {"": claim.tolerance}
        for part, figure in figures.items():
            assert margins[part] == pytest.approx(share * reference(str(figure)).sd, abs=1e-4), (claim.id, part)
