"""Records that are offered: five sound runs of the tiny recipe are admitted, and unsound ones are refused by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from repro.records.durable import sealed, unsealed
from repro.records.schema import LABELS, RunRecord
from repro.records.store import write_record
from repro.sections.runner import open_context
from repro.spec import RunSpec
from repro.training.metrics import score
from tests.conftest import CallRepro
from tests.files import git
from tests.running import cases, measure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A results folder with five declared runs, and the first record: the others are it with one prediction changed.

    The tiny model learns nothing, so that two seeds may well predict the same, which a gate refuses.
    """
    results = tmp_path_factory.mktemp("results")
    context = open_context(RunSpec(recipe="tiny", corpus="rehearsal"), seeds=range(5))
    first = measure("finetune", context)
    for seed in range(5):
        rows, scores = first.rows["validation"], dict(first.scores)
        other = [(p + (i < seed)) % len(LABELS) for i, p in enumerate(rows.predictions)]
        last = "epoch-2/validation"
        scores[last] = score(rows.labels, other, classes=len(LABELS), loss=scores[last].loss)
        changed = {
            "settings": first.settings.model_copy(update={"seed": seed}),
            "facts": {**first.facts, "head_seed": seed},
            "scores": scores,
            "rows": {**first.rows, "validation": rows.model_copy(update={"predictions": other})},
        }
        write_record(first.model_copy(update=changed), results)
    return results, first


@pytest.fixture
def offered(five: tuple[Path, RunRecord], tmp_path: Path) -> list[Path]:
    """The five files in the order of their seeds, beside a catalogue of the tiny recipe."""
    results, record = five
    shutil.copytree(ROOT / "tests" / "claims" / "tiny", tmp_path, dirs_exist_ok=True)
    weights, train = str(record.recipe.weights_sha256), record.corpus.splits["train"].ordered
    head = tmp_path / "catalogue.toml"
    head.write_text(head.read_text().replace("WEIGHTS", weights).replace("TRAIN", train))
    shutil.copytree(results / "runs", tmp_path / "runs")
    return sorted((tmp_path / "runs").rglob("*.json"), key=lambda path: path.name.partition("seed")[2])


def rewrite(record: Path, paths: str, value: str) -> None:
    """Give what stands at each path in a record a value, as JSON, or another class, or remove it; seal it again."""
    fields = json.loads(unsealed(record.read_bytes()))
    for path in paths.split():
        *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
        place: Any = fields
        for step in steps:
            place = place[step]
        if value:
            place[last] = (place[last] + 1) % len(LABELS) if value == "another" else json.loads(value)
        else:
            del place[last]
    record.write_text(sealed(json.dumps(fields, indent=1)))


def admit(call_repro: CallRepro, offered: list[Path]) -> tuple[int, list[str]]:
    folder = offered[0].parents[4]
    code, output, errors = call_repro("admit", folder / "runs", "--catalogue", folder)
    assert bool(output) == (code == 0)
    return code, (output + errors).splitlines()


def test_five_declared_runs_on_the_pinned_files_are_admitted(offered: list[Path], call_repro: CallRepro) -> None:
    assert admit(call_repro, offered) == (0, ["5 records admitted"])


@pytest.mark.parametrize("case", cases("claims/unsound_records.csv"), ids=lambda case: case["what"])
def test_unsound_records_are_refused_in_one_line_that_names_a_file(
    case: dict[str, str], offered: list[Path], call_repro: CallRepro
) -> None:
    for path in offered:
        rewrite(path, case["paths"], case["value"])
    code, lines = admit(call_repro, offered)
    assert code == int(case["code"])
    assert len(lines) in (1, len(offered))  # of each file, or of all together
    for path, line in zip(offered, lines, strict=False):
        assert line.startswith(str(path))
        assert case["message"] in line


def test_one_damaged_file_among_sound_ones_is_the_one_that_is_named(offered: list[Path], call_repro: CallRepro) -> None:
    content = offered[2].read_bytes()
    offered[2].write_bytes(content.replace(b'"seed": 2', b'"seed": 9'))
    code, lines = admit(call_repro, offered)
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(str(offered[2]))
    assert "changed or damaged after it was written" in lines[0]


def test_four_seeds_are_not_five(offered: list[Path], call_repro: CallRepro) -> None:
    offered[4].unlink()
    assert admit(call_repro, offered[:4]) == (1, [f"{offered[0]}: of the declared seeds 4 are missing"])
    for path in offered[:4]:
        rewrite(path, "declared_seeds", "[0, 1, 2, 3]")
    code, lines = admit(call_repro, offered[:4])
    assert (code, len(lines)) == (1, 1)
    assert "4 seeds are declared, expected at least 5" in lines[0]


def test_a_record_in_another_ones_folder_is_refused(offered: list[Path], call_repro: CallRepro) -> None:
    folder = offered[0].parent.with_name("linear")
    shutil.move(offered[0].parent, folder)
    code, lines = admit(call_repro, sorted(folder.iterdir()))
    assert (code, len(lines)) == (2, 5)
    assert all(line.endswith("it belongs into the folder rehearsal/tiny/finetune") for line in lines)


def test_a_folder_without_records_is_said_to_hold_none(tmp_path: Path, call_repro: CallRepro) -> None:
    code, _, errors = call_repro("admit", tmp_path)
    assert code == 2
    assert f"{tmp_path} holds no records" in errors


def test_records_that_a_change_adds_are_judged_and_none_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(**files: str) -> str:
        for name, text in files.items():
            path = tmp_path / "results" / "runs" / "emotion" / name.replace("_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--message=x")
        return git(tmp_path, "rev-parse", "HEAD")

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", ".ci/records"], cwd=tmp_path, check=False, capture_output=True, text=True)

    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "records", tmp_path / ".ci")
    (tmp_path / "repro").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 6\n')  # refuses whatever it is given
    (tmp_path / "repro").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("BASE", commit(distilbert_a="1"))
    commit(minilm_b="1")
    assert check().returncode == 0  # nothing of the seminar's recipe was added
    commit(distilbert_finetune_c="1", **{"published_d e": "1"})
    judged = check()
    assert judged.returncode != 0
    names = ["distilbert/finetune/c", "published/d e"]
    assert judged.stdout.splitlines() == ["admit", "--", *(f"results/runs/emotion/{name}" for name in names)]
    commit(distilbert_a="2")
    assert "never changed or removed:\nresults/runs/emotion/distilbert/a\n" in check().stderr
