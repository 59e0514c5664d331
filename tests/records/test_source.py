"""Which code decides a result: what a section reaches in assets, training and sections, and none of its prose."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.records import provenance
from repro.records.provenance import reached_code, source_sha256
from repro.sections import SECTIONS
from repro.sections.context import module_of

PACKAGE = Path(__file__).parents[2] / "repro"
Hashes = tuple[str, str]


@pytest.fixture
def hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hashes]:
    """Hashes of finetune and corpus-facts where a file of the package was changed."""
    file_of = provenance._file_of

    def of(file: str = "", change: Callable[[str], str] = str) -> Hashes:
        if file:
            before = (PACKAGE / file).read_text()
            (tmp_path / "changed.py").write_text(change(before))
            assert change(before) != before

        def changed_file_of(module: str) -> Path:
            path = file_of(module)
            return tmp_path / "changed.py" if path == PACKAGE / file else path

        monkeypatch.setattr(provenance, "_file_of", changed_file_of)
        source_sha256.cache_clear()
        return source_sha256(module_of("finetune")), source_sha256(module_of("corpus-facts"))

    return of


def test_code_outside_a_sections_reach_changes_no_key(hashes: Callable[..., Hashes]) -> None:
    before = hashes()
    for file in ("report/pages.py", "claims/judge.py", "commands/run.py", "display.py", "sections/__init__.py"):
        assert hashes(file, lambda text: text.replace('"""', '"""Another word. ', 1) + "\nADDED = 1\n") == before, file


def test_prose_and_layout_change_no_key(hashes: Callable[..., Hashes]) -> None:
    before = hashes()
    assert hashes("training/loop.py", lambda text: re.sub('"""(?=[A-Z])', '"""Further: ', text)) == before
    assert hashes("sections/finetune.py", lambda text: "# a comment\n" + text + "\n\n") == before


def test_a_constant_changes_the_keys_of_those_who_reach_it(hashes: Callable[..., Hashes]) -> None:
    before = hashes()
    for file in ("training/loop.py", "training/epochs.py"):
        after = hashes(file, lambda text: text + "\nADDED = 1\n")
        assert (after[0] != before[0], after[1] == before[1]) == (True, True), file
    after = hashes("assets/corpus.py", lambda text: text + "\nADDED = 1\n")
    assert (after[0] != before[0], after[1] != before[1]) == (True, True)


def test_every_version_of_python_gives_the_same_key(hashes: Callable[..., Hashes]) -> None:
    sample = """async def f(a, /, *, d, b: int = 0, **c) -> None:
    class A(list): x = [], {}, -1.5, 'ü', b'', ...
    return [f"{y!r:>{b}} {1}" "z" for y in c if not y] or (lambda: (yield))
"""
    assert (
        hashes("sections/finetune.py", lambda _: sample)[0][:16] == "cfe985c830982ae2"
    )  # measured under 3.11, 3.12 and 3.13: `ast.dump` differs in all three


DIFFERENT = [
    ("def f(*, a): 0", "def f(*, a=None): 0"),
    ("{**x}", "{None: x}"),
    ("f('')", "f()"),
    ("x: None", "x = None"),
    ("x = 1", "x = '1'"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_has_another_key(hashes: Callable[..., Hashes], one: str, other: str) -> None:
    assert hashes("sections/finetune.py", lambda _: one)[0] != hashes("sections/finetune.py", lambda _: other)[0]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_reaches_neither_the_runner_nor_the_list_of_sections(section: str) -> None:
    reached = reached_code(module_of(section))
    assert module_of(section) in reached
    assert not {"repro.sections", "repro.sections.runner"} & reached.keys()
    assert all(name.split(".")[1] in {"assets", "training", "sections"} for name in reached)


def test_the_values_of_a_toml_beside_a_module_count_and_its_comments_do_not(
    hashes: Callable[..., Hashes], tmp_path: Path
) -> None:
    data = (PACKAGE / "assets/recipes.toml").read_text()
    keys = []
    for text in (data, f"# a comment\n{data}", data.replace("learning_rate = 0.001", "learning_rate = 0.002")):
        (tmp_path / "changed.toml").write_text(text)
        keys.append(hashes("assets/recipes.py", lambda code: code + "\n"))
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])
