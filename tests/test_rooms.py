"""The house has an order: who may import whom, no circle, light rooms stay light; its documentation is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.house import import_graph, imported, package_trees, reachable

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "accelerate", "datasets", "sklearn", "huggingface_hub", "matplotlib"}
RECORDS = {"errors", "spec", "records"}
MAY_IMPORT: dict[str, set[str]] = {  # each room, and all that it may import
    "errors": set(),
    "spec": {"errors"},
    "records": {"errors", "spec"},
    "display": set(),
    "benchfiles": RECORDS,
    "stats": set(),
    "catalogues": set(),
    "claims": {*RECORDS, "display", "stats", "catalogues"},
    "regression": {*RECORDS, "display", "benchfiles", "stats", "claims"},
    "notebooks": {*RECORDS, "display"},
    "diagnosis": {*RECORDS, "stats", "claims", "notebooks"},
    "assets": {*RECORDS, "notebooks"},
    "training": {*RECORDS, "assets"},
    "sections": {*RECORDS, "display", "claims", "notebooks", "assets", "training"},
    "report": {*RECORDS, "display", "benchfiles", "stats", "claims", "assets", "sections"},
}
DOORS = {"commands", "cli", "__main__", "__init__"}  # these may import every room
LIGHT = {"errors", "spec", "records", "display", "benchfiles", "stats", "claims", "regression", "diagnosis", "report"}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def forbidden(module: str, names: set[str]) -> set[str]:
    room, used = room_of(module), {room_of(name) for name in names if name.split(".")[0] == "repro"}
    return set() if room in DOORS else used - MAY_IMPORT[room] - {room, "__init__"}


MODULES = package_trees(ROOT)


def test_every_room_imports_only_what_it_may() -> None:
    wrong = {name: forbidden(name, set(imported(tree, MODULES))) for name, tree in MODULES.items()}
    assert {name: rooms for name, rooms in wrong.items() if rooms} == {}
    assert {room_of(name) for name in MODULES} - DOORS <= MAY_IMPORT.keys()


def test_neither_rooms_nor_files_import_in_a_circle() -> None:
    for graph in (MAY_IMPORT, import_graph(MODULES)):
        assert [node for node in graph if node in reachable(graph, node)] == []


def test_a_forbidden_import_is_found_inside_a_function_too() -> None:
    tree = ast.parse("def f() -> None:\n    from repro.report import pages\n")
    assert forbidden("repro.training.loop", set(imported(tree, MODULES))) == {"report"}
    tree = ast.parse("from repro.training import loop")
    assert forbidden("repro.claims.judge", set(imported(tree, MODULES))) == {"training"}
    assert forbidden("repro.sections.linear", set(imported(tree, MODULES))) == set()


def test_a_heavy_library_is_imported_only_where_torch_is() -> None:
    for name, tree in MODULES.items():
        if room_of(name) in LIGHT | DOORS:
            names = imported(tree, MODULES, inside=room_of(name) not in {*DOORS, "report", "display"})
            assert not {library.split(".")[0] for library in names} & HEAVY, name


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) == "sections"])
def test_a_section_loads_without_the_heavy_libraries(module: str) -> None:
    ahead, seen = [module], set[str]()
    while ahead:
        if (name := ahead.pop()) in MODULES and name not in seen:
            seen.add(name)
            ahead += imported(MODULES[name], MODULES, inside=False)
        assert name.split(".")[0] not in HEAVY, f"{module} loads {name}"


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if heading and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


def test_the_diagram_of_the_rooms_is_made_from_the_code() -> None:
    command = [sys.executable, "docs/house.py", "--diagram"]
    diagram = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert diagram in (ROOT / "docs" / "house.md").read_text()


def test_the_walks_name_files_that_exist_each_once_a_walk() -> None:
    for walk in (ROOT / "docs" / "house.md").read_text().split("## From ")[1:]:
        files = re.findall(r"`(repro/[\w/.]+)`", walk)
        assert len(files) == len(set(files)) > 5
        assert all((ROOT / file).exists() for file in files)


def test_the_page_of_answers_holds_every_command_and_its_exit_code() -> None:
    groups = tomllib.loads((ROOT / "tests" / "answers.toml").read_text())
    cases = [case for group in groups.values() for case in group]
    rows = (ROOT / "docs" / "answers.md").read_text()
    assert [f"| `{command}` | {code} |" for command, code, _ in cases if f"| `{command}` | {code} |" not in rows] == []
    for page in ("README.md", "docs/commands.md"):
        assert f"[{len(cases)} commands" in (ROOT / page).read_text()


def test_the_readme_is_at_most_120_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
