"""A notebook is run cell by cell, bad cells are told by number, the rest goes on, and nothing is left running."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.recipes import TINY
from repro.errors import UsageError
from repro.notebooks.audit import audit, audit_twice
from repro.notebooks.kernel import Kernel, Limits, load_rules
from repro.notebooks.reading import Cell, export_parts, load_notebook, read_notebook
from tests.assets.hub_server import HubServer, Repository
from tests.conftest import CallRepro
from tests.files import contents

LIMITS = Limits(seconds=5, memory_gib=4)
HOSTILE, MINIATURE = (Path(__file__).with_name(f"{name}.txt") for name in ("hostile", "miniature"))


def expected(file: Path) -> list[tuple[str, str]]:
    """What the heading above each cell says: its status, and what the audit's detail holds."""
    texts = [source for kind, source in export_parts(file.read_text()) if kind == "markdown"]
    said = [text.rpartition("# ")[2].partition(": ") for text in texts]
    return [(status, detail) for status, _, detail in said]


def test_each_bad_cell_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))  # which the kernel and all that its cells start inherit
    monkeypatch.setattr("repro.notebooks.kernel.ANSWER_SECONDS", 5)
    monkeypatch.setitem(load_rules()["limits"], "file_bytes", 2**20)
    results = audit(read_notebook(HOSTILE), LIMITS)
    for result, (status, detail) in zip(results, expected(HOSTILE), strict=True):
        assert result.status == status, result
        assert detail in result.detail, result
    processes = psutil.process_iter(["environ"])
    started = [each for each in processes if (each.info["environ"] or {}).get("HF_HUB_CACHE") == str(tmp_path)]
    assert psutil.wait_procs(started, timeout=10)[1] == []  # what was killed is gone in a moment
    assert "hf_secret" not in str(results)


def test_a_repaired_notebook_runs_over_the_hub_shortened(
    corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repositories = {
        ("model", "distilbert-base-uncased"): Repository("a" * 40, contents(locate_checkpoint(TINY).folder)),
        ("dataset", "SetFit/emotion"): Repository("b" * 40, contents(corpus_folder)),
    }
    with HubServer(repositories=repositories) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        limits = Limits(seconds=200, rows=8, steps=1)
        audited = audit_twice(read_notebook(MINIATURE), limits, repair=True, progress=lambda _: None)
    assert [(result.status, "") for result in audited.as_written] == expected(MINIATURE)
    assert [result.status for result in audited.after_repair] == ["runs"] * 7, audited.after_repair
    assert audited.sentence.startswith("3 of 7 cells run as written, 7 of 7 after the repair, with transformers 5.")
    assert "at most 8 rows a split; at most 1 steps" in audited.sentence
    assert audited.fixes == {3: ("unseeded-head",), 4: ("evaluation-strategy",), 5: ("trainer-tokenizer",)}
    assert audited.to_junit("x").count("<failure") == 4
    executed = audited.executed(load_notebook(MINIATURE))["cells"]
    assert "(8, 1, 'distilbert-base-uncased')" in str(executed[-3]["outputs"])
    assert "processing_class=tokenizer" in executed[-5]["source"]
    for published in (audited.table().to_csv(), json.dumps(audited.as_row())):
        assert "emotions" not in published  # no code of the notebook
        assert "(8, 1" not in published  # nor what it shows


def test_a_folder_takes_the_place_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("here")
    cell = Cell(number=1, source="print(open('an/owner-name/file').read())")
    (result,) = audit([cell], replace(LIMITS, use=[("an/owner-name", tmp_path / "folder")]))
    assert result.status == "runs"
    for name in ("../outside", "/etc/x", "."):
        with pytest.raises(UsageError, match="--use"):
            audit([cell], replace(LIMITS, use=[(name, tmp_path / "folder")]))


def test_an_interpreter_without_a_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-m pip install ipykernel"):
        Kernel(tmp_path, replace(LIMITS, python=Path("/bin/false"))).__enter__()


def test_another_notebook_is_run_only_with_execute(call_repro: CallRepro, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(
        f"In [1]:\nprint(6 * 7)\nopen({str(tmp_path / 'ran')!r}, 'w')\nTrainer(tokenizer=t)\n"
    )
    exit_code, out, err = call_repro("audit", tmp_path / "x.txt")
    assert exit_code == 2
    assert "trainer-tokenizer" in out
    assert "--execute" in err
    assert "container" in err
    assert not (tmp_path / "ran").exists()
    options = ("--execute", "--no-repair", "--memory=4", "--json", "--executed", tmp_path / "executed.ipynb")
    exit_code, out, _ = call_repro("audit", tmp_path / "x.txt", *options)
    assert (exit_code, json.loads(out)["as_written"][0]["status"]) == (1, "fails")
    assert "42" in str(load_notebook(tmp_path / "executed.ipynb")["cells"][0]["outputs"])
