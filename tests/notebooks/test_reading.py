"""Notebooks are read within bounds, whatever they hold, and dependencies are traced by names."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.notebooks.reading import Blame, export_parts, names_in, read_notebook
from repro.notebooks.static import UNKNOWN, Built, Interpreter

EXPORT = Path(__file__).with_name("export.txt")


def test_a_text_export_is_split_where_code_ends() -> None:
    cells = read_notebook(EXPORT)
    assert [cell.source for cell in cells] == [
        "! pip install x", "a = '''one\n\ntwo'''\n\n# a comment\n\nb = a", "a",
    ]  # fmt: skip
    assert [kind for kind, _ in export_parts(EXPORT.read_text())] == ["markdown", "code", "code", "markdown", "code"]
    assert cells[0].magics == ("! pip install x",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"cells": 3}', "is no notebook of Jupyter's format"),
        *((f'{{"cells": [{{}}, {cell}]}}', "lists a cell that is none") for cell in ('"x"', "[]", "null", "1")),
        ('{"cells": [', "is no complete JSON"),
        ('{"cells":' + "[" * 1_000_000, "is no complete JSON"),
        ('{"cells": [], "x": ' + "9" * 5000 + "}", "is no complete JSON"),
        ('{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "is a notebook of r"),
    ],
)
def test_what_is_no_notebook_of_pythons_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_notebook(tmp_path / "x.ipynb")


@pytest.mark.parametrize(
    "source",
    ["x = " + "(" * 50_000, "x = 1" + "+1" * 40_000, "x = 'a' * 10 ** 9", "x = 9 ** 9 ** 9", "def f(): return f()\nf()",
     "x = " + "[" * 500 + "]" * 500, "x = 1e308 * 1e308 // 0"],
)  # fmt: skip
def test_a_hostile_cell_is_evaluated_within_bounds(source: str) -> None:
    interpreter = Interpreter()
    started = time.process_time()
    interpreter.run(source)
    assert time.process_time() - started < 2


def test_constants_are_followed_through_variables_dicts_and_functions() -> None:
    interpreter = Interpreter()
    interpreter.run(
        "lr = 2 * 10 ** -5\nkw = dict(a=lr, b=f'{3}-x')\ndef make(n, **k): return Build(n=n, **kw)\nm = make(4).to(d)"
    )
    made = interpreter.names["m"]
    assert isinstance(made, Built)
    assert made.keywords == {"n": 4, "a": pytest.approx(2e-5), "b": "3-x"}
    interpreter.run("if gpu:\n    n = 1\nelse:\n    n = 2\nfor p in m.body():\n    p.requires_grad = False")
    assert interpreter.names["n"] is UNKNOWN
    assert made.keywords["requires_grad"] is False


def test_a_failure_is_traced_to_the_cell_whose_name_is_missing() -> None:
    blame = Blame()
    cells = [  # source, whether it fails, the cell that it fails of
        ("def show(x):\n    return helper(x, table)\nimport pandas as pd", False, None),
        ("table = broken()", True, None),
        ("pd.DataFrame()", False, None),
        ("show(1)", True, 2),  # through the function's own names
        ("old = [each for each in table]", False, 2),  # it ran on an older table
        ("old", False, 2),
        ("table = 1\ntable", False, None),  # written before it is read
        ("show(1)", False, None),
    ]
    for number, (source, failed, cause) in enumerate(cells, start=1):
        assert blame.cause(number, names_in(source), failed=failed) == cause, source
    assert blame.cause(9, names_in("show(1)"), failed=True, kernel_lost=True) is None  # of no other
    assert blame.cause(10, names_in("show")) == 9
