"""Each fix writes what it says, and nothing else of a notebook changes."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from repro.notebooks.reading import Cell, read_notebook
from repro.notebooks.repair import Fix, load_fixes, repaired
from tests.conftest import CallRepro

# what a fix needs to know of the notebook's other cells
ELSEWHERE = 'tokenizer = AutoTokenizer.from_pretrained(name)\ngenerator = pipeline("text-generation", model=name)\n'
MODEL = "# Helsinki-NLP"


@pytest.mark.parametrize("fix", load_fixes(), ids=lambda fix: fix.id)
def test_a_fix_writes_its_example_under_its_reason_and_once(fix: Fix) -> None:
    kind = "markdown" if fix.before.startswith("$") else "code"
    elsewhere = ("code", ELSEWHERE + MODEL)
    _, cell = repaired([elsewhere, (kind, fix.before)])
    assert [each.id for each in cell.fixes] == [fix.id]
    assert fix.after in cell.source
    if fix.kind != "text":
        assert fix.comment in cell.source
        ast.parse(cell.source)
        assert repaired([elsewhere, (kind, cell.source)])[1].source == cell.source
    assert fix.source.startswith("https://")
    assert fix.since == "any version" or fix.since.split()[1][0].isdigit()
    assert fix.reason


@pytest.mark.parametrize("cell", read_notebook(Path(__file__).with_name("unbroken.txt")), ids=lambda cell: cell.number)
def test_what_is_not_broken_stays_to_the_byte(cell: Cell) -> None:
    assert repaired([("code", ELSEWHERE), ("code", cell.source)])[1].source == cell.source


def test_layout_comments_magics_and_indentation_around_a_replacement_stay() -> None:
    source = (
        "%matplotlib inline\nif ünï:  # yes\n    t = Trainer(a,  # first\n       tokenizer = tokenizer)  # last\n!ls"
    )
    lines = repaired([("code", source)])[0].source.split("\n")
    assert lines[2].startswith("    # repaired (since transformers 5.0)")
    del lines[2]
    assert "\n".join(lines) == source.replace("tokenizer = ", "processing_class = ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("@use(Trainer(tokenizer=t))\ndef f(): pass", "{}@use(Trainer(processing_class=t))\ndef f(): pass"),
        ("if a: b\nelse: Trainer(tokenizer=t)", "{}if a: b\nelse: Trainer(processing_class=t)"),
        ("a = 1; Trainer(tokenizer=t)", "{}a = 1; Trainer(processing_class=t)"),
        ("if a:\n\tTrainer(tokenizer=t)", "if a:\n\t{}\tTrainer(processing_class=t)"),
    ],
)
def test_the_reason_goes_where_a_comment_may_stand(before: str, after: str) -> None:
    (cell,) = repaired([("code", before)])
    assert cell.source == after.format(f"{cell.fixes[0].comment}\n")


@pytest.mark.parametrize("source", ["x = 1\n  !huggingface-cli login", "%%bash\ncd /\nhuggingface-cli login"])
def test_a_command_is_replaced_in_lines_for_the_shell(source: str) -> None:
    assert repaired([("code", source)])[0].source == source.replace("huggingface-cli", "hf auth")


@pytest.mark.parametrize("indent", ["    ", "\t"])
def test_a_function_in_place_of_a_pipeline_is_indented_as_it_was(indent: str) -> None:
    source = f'def f(t):\n{indent}s = pipeline("summarization");  # old\n{indent}return s(t)'
    (outer,) = ast.parse(repaired([("code", source)])[0].source).body
    assert isinstance(outer, ast.FunctionDef)
    assert [type(node).__name__ for node in outer.body] == ["ImportFrom", "FunctionDef", "Return"]


@pytest.mark.parametrize("source", ['if a: s = pipeline("summarization")', 's = pipeline("summarization"); s(text)'])
def test_a_pipeline_among_other_statements_on_its_line_stays(source: str) -> None:
    assert repaired([("code", source)])[0].source == source


def as_notebook(*cells: tuple[str, str]) -> dict[str, Any]:
    outputs: dict[str, dict[str, Any]] = {"code": {"outputs": [], "execution_count": 3}, "markdown": {}}
    written = [
        {"cell_type": kind, "metadata": {"tags": [kind]}, "source": source.splitlines(keepends=True), **outputs[kind]}
        for kind, source in cells
    ]
    about = {"metadata": {"kernelspec": {"language": "python"}, "x": 1}, "nbformat": 4, "nbformat_minor": 4}
    return {"cells": written, **about}


def test_every_other_cell_and_the_metadata_are_equal_in_the_file(call_repro: CallRepro, tmp_path: Path) -> None:
    before = as_notebook(("markdown", "# A title"), ("code", "x = 1\nx"), ("code", "Trainer(tokenizer=t)"))
    (tmp_path / "in.ipynb").write_text(json.dumps(before))
    assert call_repro("repair", tmp_path / "in.ipynb", "-o", tmp_path / "out.ipynb")[0] == 0
    after = json.loads((tmp_path / "out.ipynb").read_text())
    assert after["cells"][:2] == before["cells"][:2]
    assert "".join(after["cells"][2]["source"]).endswith("Trainer(processing_class=t)")
    assert {**after, "cells": []} == {**before, "cells": []}
