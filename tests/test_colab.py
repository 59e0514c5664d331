"""docs/colab.ipynb runs from its first cell to its report, and the project's address stands in one place."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.running import ROOT

NOTEBOOK = ROOT / "docs" / "colab.ipynb"
SMALL = 'SECTION, RECIPE, CORPUS = "finetune", "minilm", "rehearsal"\nOPTIONS = "--limit 64 --epochs 1 --device cpu"'


def outputs(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_colab_notebook_runs_from_a_diagnosis_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # its `!python` is the interpreter of the tests, and imports the working tree
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # jupyter_core announces this default as a change
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", ())]
    for cell in cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = SMALL
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    written = [outputs(cell) for cell in cells if cell.cell_type == "code"]
    assert written[0].startswith("Normal: F1 0.9226")
    assert "1 of 1 would run" in written[3] and "about 0 MB for 0 of 0 missing" in written[3]
    assert "minilm on rehearsal" in written[4] and "finetune, seed 0" in written[4]
    assert "<div><iframe srcdoc=" in str(cells[-1].outputs[-1].data)
    assert (tmp_path / "my-results" / "report.html").is_file()


def test_the_clone_address_is_that_of_the_packages_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository", "CLONE_ADDRESS")  # there is no public address yet
    for page in (NOTEBOOK, ROOT / "docs" / "gpu.md"):
        assert f"git clone {address} seminar-repro" in page.read_text(), page.name
