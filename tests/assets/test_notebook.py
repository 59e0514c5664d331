"""Letter, question and prompt out of a notebook that is parsed and never executed."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest

from repro.assets import notebook
from repro.assets.notebook import QUESTION, tour_texts
from repro.errors import MissingAssetError, UsageError

CODE = (
    '! pip install datasets\ntext = """Dear Shop, \\\nthe box was empty."""',
    'reader = pipeline("question-answering")\nquestion = "What was empty?"\n\noutputs = reader(question, text)',
    'response = "Dear friend,"\nprompt = text + "\\n\\nReply:\\n" + response',
    'text = "this is a test"\n__import__("os").abort()',
)
PROSE = "\n\n## A title\n\nBy this you will see that it's no Python.\n\n"
EXPORT = "# A seminar\n\n" + PROSE.join(f"In [None]:\n{source}" for source in CODE)
IPYNB = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": source} for source in CODE]})


@pytest.mark.parametrize("content", [EXPORT, IPYNB])
def test_letter_question_and_prompt_are_read_and_nothing_is_executed(content: str, tmp_path: Path) -> None:
    (tmp_path / "seminar").write_text(content)
    texts = tour_texts(tmp_path / "seminar", rehearsal=False)  # the last cell would end the process
    assert texts.letter == "Dear Shop, the box was empty."
    assert texts.question == "What was empty?"
    assert texts.prompt == "Dear Shop, the box was empty.\n\nReply:\nDear friend,"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no cell at all", "no letter found"),
        ('In [1]:\ntext = "a"\n', "no letter found"),  # no question was asked of it
        ('In [1]:\ntext = "a"\nquestion = "b"\n', "no prompt found"),
        ('In [1]:\ntext = open("x").read()\nquestion = "b"\n', "no letter found"),
        ("In [1]:\nx = " + "(" * 3000, "no letter found"),
    ],
)
def test_a_file_that_is_no_such_notebook_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "seminar.txt").write_text(content)
    with pytest.raises(UsageError, match=message):
        tour_texts(tmp_path / "seminar.txt", rehearsal=False)


def test_without_a_notebook_only_the_rehearsal_has_a_letter() -> None:
    assert tour_texts(None, rehearsal=True).question == QUESTION
    with pytest.raises(MissingAssetError, match=r"(?s)HF_HUB_OFFLINE is set.*--seminar FILE"):
        tour_texts(None, rehearsal=False)


def test_a_book_whose_letter_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.assets.notebook.why_unreachable", lambda: None)
    monkeypatch.setattr(notebook, "urlopen", lambda *_, **__: BytesIO(IPYNB.encode()))
    with pytest.raises(MissingAssetError, match="does not hold the letter that the claims are about"):
        tour_texts(None, rehearsal=False)
