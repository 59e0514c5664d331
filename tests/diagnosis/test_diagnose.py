"""Is a run normal? No rerun is accused, every known mistake is known by its signs, and data and code agree."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from scipy.stats import t

from repro.assets.corpus import EMOTION
from repro.assets.recipes import DISTILBERT
from repro.claims.catalogue import reruns
from repro.diagnosis.diagnose import Diagnosis, diagnose_run
from repro.diagnosis.student_run import NOTEBOOK_FLOS, StudentRun, run_from_figures
from repro.diagnosis.words import load
from repro.errors import UsageError
from tests.conftest import CallRepro
from tests.running import cases

FIGURES = reruns().figures
KINDS = ("train_loss", "valid_loss", "accuracy", "f1")


def diagnosed(*, epochs: int | None = None, steps: int | None = None, **given: str) -> Diagnosis:
    return diagnose_run(run_from_figures(given, epochs=epochs, steps=steps))


def as_run(row: dict[str, float], names: tuple[str, ...], **stated: Any) -> StudentRun:
    return StudentRun("a rerun", {(name[:-2], int(name[-1])): row[name] for name in names}, **stated)


SUBSETS: list[tuple[str, ...]] = [
    FIGURES,
    tuple(name for name in FIGURES if name.endswith("2")),
    tuple(name for name in FIGURES if "loss" in name),
    ("train_loss_1", "train_loss_2", "f1_2"),
    ("accuracy_2", "f1_2"),
    *((name,) for name in FIGURES),
]


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_of_the_94_reruns_at_most_2_are_flagged_whatever_they_tell_of_themselves(names: tuple[str, ...]) -> None:
    flagged = []
    for i, row in enumerate(reruns().runs):
        stated: dict[str, Any] = {"steps": 500, "epochs": 2, "flos": NOTEBOOK_FLOS, "split": "validation"}
        # left out of the population that it is judged by, and as a stranger would be judged
        for without in (i, None):
            found = diagnose_run(as_run(dict(row), names, **stated), without=without)
            if found.outcome != "normal":
                flagged.append((i, found.outcome, found.sentence))
            else:
                assert found.mistakes == found.notes == ()
    assert len({i for i, *_ in flagged}) <= 2, flagged


def test_calibration_on_the_whole_runs_is_1_of_94_and_not_none() -> None:
    found = [diagnose_run(as_run(dict(row), FIGURES), without=i).outcome for i, row in enumerate(reruns().runs)]
    assert sum(outcome != "normal" for outcome in found) == 1


@pytest.mark.parametrize("case", cases("diagnosis/sentences.csv"), ids=lambda case: case["said"])
def test_the_sentence_begins_with_how_the_run_is_out_and_names_what_differs(case: dict[str, str]) -> None:
    try:
        diagnosis = diagnose_run(run_from_figures(json.loads(case["figures"]), **json.loads(case["stated"])))
        said = f"{diagnosis.outcome}; {diagnosis.sentence}"
    except UsageError as error:  # for figures that no run has
        said = f"refused; {error}"
    assert re.search(case["said"], said)


def test_a_figures_p_value_is_scipys_of_one_further_run() -> None:
    figure = reruns().figure("f1_2")
    distance = (0.93 - figure.mean) / (figure.sd * (1 + 1 / figure.n) ** 0.5)
    assert diagnosed(f1="0.9300").figures[0].p_value == pytest.approx(2 * float(t.sf(distance, figure.n - 1)))
    assert diagnosed(f1="0.9226").figures[0].percentile == pytest.approx(27.1, abs=0.1)


EXAMPLES = [(run, mistake) for mistake in load("mistakes")["mistake"] for run in mistake.get("examples", ())]


@pytest.mark.parametrize(("given", "mistake"), EXAMPLES)
def test_each_known_mistake_is_known_by_its_signs(given: dict[str, Any], mistake: dict[str, Any]) -> None:
    found = diagnosed(**given)
    assert found.outcome != "normal"
    assert found.mistakes[0].id == mistake["id"]
    assert found.mistakes[0].text in found.sentence


def test_the_test_split_is_told_by_word_and_guessed_from_its_macro_f1() -> None:
    said = diagnose_run(run_from_figures({"f1": "0.924"}, split="test"))
    assert (said.outcome, said.mistakes[0].id) == ("not comparable", "test-split")
    assert [m.id for m in diagnosed(f1="0.887").mistakes] == ["macro-f1", "test-split"]


def test_the_notebooks_arithmetic_in_other_steps_is_another_batch_and_less_of_it_another_padding() -> None:
    def found(flos: float, steps: int) -> Diagnosis:
        return diagnose_run(StudentRun("x", {("f1", 2): 0.9244}, epochs=2, steps=steps, flos=flos))

    assert found(NOTEBOOK_FLOS, 700).mistakes[0].id == "other-batch"
    assert found(NOTEBOOK_FLOS, 300).mistakes[0].id == "other-batch"
    assert found(NOTEBOOK_FLOS, 500).outcome == "normal"
    packed = found(NOTEBOOK_FLOS * 22.26 / 87, 500)
    assert packed.outcome == "normal"
    assert packed.notes[0].evidence.startswith("total_flos stands for 22 word pieces a tweet")
    assert found(NOTEBOOK_FLOS * 512 / 87, 500).notes[0].id == "other-padding"


def test_a_mistake_is_never_seen_in_figures_that_are_normal() -> None:
    assert diagnosed(f1="0.9179").mistakes == ()  # also the largest F1 after one epoch, nearly
    assert diagnosed(f1="0.9310").mistakes == ()  # also the smallest after a second training


def test_figures_that_are_normal_one_by_one_can_be_odd_together() -> None:
    found = diagnosed(f1="0.9300", valid_loss="0.2310")
    assert found.outcome == "odd together"
    assert found.joint is not None
    assert found.joint.p_value < 0.01


def test_mistakes_name_what_the_assets_and_the_reruns_hold() -> None:
    mistakes = load("mistakes")
    for name in ("checkpoint", "learning_rate", "batch_size", "epochs", "weight_decay", "corpus"):
        value = mistakes["recipe"][name]
        assert (EMOTION.name if name == "corpus" else getattr(DISTILBERT, name)) == value, name
    validation = EMOTION.splits["validation"]
    shares = {round(count / validation.rows, 6) for count in validation.labels}
    signs = [(m["id"], s["holds"]) for m in mistakes["mistake"] for s in m["signs"]]
    collapsed = [holds["accuracy_2"] for name, holds in signs if name == "collapsed" and "accuracy_2" in holds]
    assert {round((low + high) / 2, 6) for low, high in collapsed} == shares
    for name in ("f1_1", "valid_loss_1", "train_loss_1"):
        values = reruns().figure(name).values
        bounds = [holds.get(name[:-1] + "2") for key, holds in signs if key == "one-epoch"]
        assert [min(values), max(values)] in bounds, name
    gaps = [abs(run["accuracy_2"] - run["f1_2"]) for run in reruns().runs]
    assert max(gaps) <= 0.0012 + 1e-9


def test_every_sign_of_a_mistake_is_of_known_facts_and_has_its_words() -> None:
    known = StudentRun("x", {(kind, epoch): 0.5 for kind in (*KINDS, "macro_f1") for epoch in (1, 2)}, 2, 500, 1e14,
                       recipe={"average": "macro", "frozen": "yes"}).facts()  # fmt: skip
    known |= {"split_test": 1, "split_train": 1}
    mistakes = load("mistakes")["mistake"]
    assert len({mistake["id"] for mistake in mistakes}) == len(mistakes)
    for mistake in mistakes:
        assert {"id", "text", "remedy", "signs"} <= mistake.keys() <= {"id", "text", "remedy", "signs", "examples"}
        for sign in mistake["signs"]:
            assert {"holds", "evidence"} <= sign.keys() <= {"about", "holds", "without", "evidence"}
            assert sign.get("about", "figures") in {"run", "figures", "note"}
            assert {*sign["holds"], *sign.get("without", ())} <= known.keys()
            assert all(low <= high for low, high in sign["holds"].values())
            assert sign["evidence"].format_map(known)


TWICE = ("--f1", "0.9345", "--train-loss", "0.17,0.11")


def test_a_run_that_is_not_normal_leaves_with_1_the_mistake_and_its_remedy(call_repro: CallRepro) -> None:
    code, out, _ = call_repro("diagnose", *TWICE)
    assert code == 1
    assert "trained twice" in out.splitlines()[0]
    assert out.splitlines()[1].startswith("Restart the kernel")
    code, out, _ = call_repro("diagnose", *TWICE, "--json")
    answer = json.loads(out)
    assert (code, answer["outcome"], answer["mistakes"][0]["id"]) == (1, "suspiciously high", "trained-twice")
    assert answer["joint"]["figures"] == ["train_loss_1", "train_loss_2", "f1_2"]
    assert [figure["name"] for figure in answer["figures"]] == ["train_loss_1", "train_loss_2", "f1_2"]
