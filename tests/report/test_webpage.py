"""What the page is made of: figures by section, strips to scale, commands that run it again."""

from __future__ import annotations

import re

import pytest

from repro.claims.catalogue import load_catalogue, reruns
from repro.claims.claim import Kind, Outcome
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.commands.run import run
from repro.report.pages import commands
from repro.report.tables import RULES, SIGNS
from repro.report.webpage import Strip, strips
from repro.sections import SECTIONS, section_named
from tests.conftest import MakeRecord

CATALOGUE = load_catalogue()


def strips_of(claim: str, **estimates: Figure) -> tuple[Strip, ...]:
    one = CATALOGUE.claim_named(claim)
    return tuple(strips(CATALOGUE, Verdict(claim=one, outcome=Outcome.REPRODUCED, why="", estimates=estimates)))


def test_a_figures_section_is_a_section_of_the_claims() -> None:
    assert {section_named(name).heading for name in SECTIONS} <= {claim.section for claim in CATALOGUE.claim}


def test_every_kind_says_when_it_holds_and_every_outcome_has_a_sign() -> None:
    assert set(RULES) == {str(kind) for kind in Kind}
    assert list(SIGNS) == [str(outcome) for outcome in Outcome]


def test_a_strip_holds_the_reruns_the_margin_and_the_interval_to_scale() -> None:
    (strip,) = strips_of("finetune.f1", **{"": Figure((0.9241, 0.9246, 0.9251, 0.9256, 0.9261))})
    assert strip.reference == reruns().figure("f1_2").values
    assert strip.allowed == pytest.approx((0.9197, 0.9297), abs=5e-5)  # about the reruns' mean, not the reported run
    low, high = strip.axis
    assert low < min(strip.reference) and high > max(strip.reference)
    assert strip.x(low) == 24 and strip.x(high) == 576 and strip.x((low + high) / 2) == 300
    assert 3 <= len(strip.ticks) <= 9
    assert all(x == strip.x(float(text)) for x, text in strip.ticks)


def test_a_claim_of_several_numbers_has_a_strip_each_and_one_of_words_has_none() -> None:
    one = Figure((0.9,))
    assert [s.label for s in strips_of("published.model", accuracy=one, weighted_f1=one)] == ["accuracy", "weighted F1"]
    assert strips_of("tokens.string") == ()
    assert strips_of("linear.matrix", **{"": one}) == ()


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
