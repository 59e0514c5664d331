"""Letter, question and prompt out of a notebook that is parsed and never executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repro.assets import notebook
from repro.assets.notebook import OURS, tour_texts
from repro.errors import MissingAssetError, UsageError
from repro.notebooks.reading import export_parts

EXPORT = '''# A seminar

Some text.

In [None]:
! pip install datasets

In [1]:
text = """Dear Shop, \\
the box was empty."""

## A title

By this you will see that it's no Python.

In [None]:
reader = pipeline("question-answering")
question = "What was empty?"

outputs = reader(question=question, context=text)

In [ ]:
response = "Dear friend,"
prompt = text + "\\n\\nReply:\\n" + response

In [None]:
text = "this is a test"
__import__("os").abort()
'''


def as_ipynb(export: str) -> str:
    cells = [{"cell_type": kind, "source": source.splitlines(keepends=True)} for kind, source in export_parts(export)]
    return json.dumps({"cells": cells, "nbformat": 4})


@pytest.mark.parametrize("make", [str, as_ipynb])
def test_letter_question_and_prompt_are_read_and_nothing_is_executed(make: Any, tmp_path: Path) -> None:
    (tmp_path / "seminar").write_text(make(EXPORT))
    found = tour_texts(tmp_path / "seminar", rehearsal=False)  # the last cell would end the process
    assert found.letter == "Dear Shop, the box was empty."
    assert found.question == "What was empty?"
    assert found.prompt == "Dear Shop, the box was empty.\n\nReply:\nDear friend,"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no letter found"),
        ("no cell at all", "no letter found"),
        ('In [1]:\ntext = "a"\n', "no letter found"),  # no question was asked of it
        ('In [1]:\ntext = "a"\nquestion = "b"\n', "no prompt found"),
        ('In [1]:\ntext = open("x").read()\nquestion = "b"\n', "no letter found"),
        ('{"cells": 3}', "is no notebook of Jupyter's format"),
        ("{" * 5000, "is no complete JSON"),
        ("In [1]:\nx = " + "(" * 3000, "no letter found"),
    ],
)
def test_a_file_that_is_no_such_notebook_is_refused_with_what_it_lacks(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "seminar.txt").write_text(content)
    with pytest.raises(UsageError, match=told):
        tour_texts(tmp_path / "seminar.txt", rehearsal=False)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.ipynb").write_bytes(b"\xff\xfe\x00{")
    for file in (tmp_path / "nowhere.ipynb", tmp_path / "binary.ipynb", tmp_path):
        with pytest.raises(UsageError, match=f"{file} (cannot be read|is no text|is a folder)"):
            tour_texts(file, rehearsal=True)


def test_without_a_notebook_the_rehearsal_has_a_letter_of_its_own_and_the_real_thing_none() -> None:
    assert tour_texts(None, rehearsal=True) == OURS
    with pytest.raises(MissingAssetError, match=r"(?s)HF_HUB_OFFLINE is set.*--seminar FILE"):
        tour_texts(None, rehearsal=False)


def test_a_book_whose_letter_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self, _: int) -> bytes:
            return as_ipynb(EXPORT).encode()

    monkeypatch.setattr("repro.assets.hub.why_unreachable", lambda: None)
    monkeypatch.setattr(notebook, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(MissingAssetError, match="does not hold the letter that the claims are about"):
        tour_texts(None, rehearsal=False)
