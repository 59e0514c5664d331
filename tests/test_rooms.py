"""The house has an order: a file imports only from its own room and from rooms above it."""

from __future__ import annotations

import ast
from pathlib import Path

LIGHT = [
    "errors", "spec", "records", "display", "benchfiles", "stats", "catalogues", "claims", "report", "regression",
    "notebooks", "diagnosis",
]  # fmt: skip
ROOMS = [*LIGHT, "assets", "training", "sections", "commands", "cli", "__main__"]
PACKAGE = Path(__file__).parents[1] / "repro"
HEAVY = {"torch", "transformers", "accelerate", "datasets", "sklearn"}


def imported(source: str, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(source)
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "repro":
                names |= {f"repro.{alias.name}" for alias in node.names}
    return names


def rooms_below(room: str, source: str) -> set[str]:
    used = {name.split(".")[1] for name in imported(source) if name.startswith("repro.")}
    return {other for other in used if ROOMS.index(other) > ROOMS.index(room)}


def files() -> list[tuple[str, Path]]:
    found = [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in PACKAGE.rglob("*.py")]
    return [(room, path) for room, path in found if path != PACKAGE / "__init__.py"]


def test_no_file_imports_from_a_room_below_its_own() -> None:
    wrong = {str(path): rooms_below(room, path.read_text()) for room, path in files()}
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}
    assert len(wrong) > 15  # the rooms were really looked at


def test_an_import_from_below_would_be_found_also_inside_a_function() -> None:
    assert rooms_below("claims", "def f() -> None:\n    from repro.training.loop import fit\n") == {"training"}
    assert rooms_below("claims", "from repro import training") == {"training"}
    assert rooms_below("training", "from repro.assets.recipes import TINY") == set()


def test_what_reads_only_records_never_imports_the_heavy_libraries() -> None:
    light = [
        path
        for room, path in files()
        if room in {"errors", "records", "benchfiles", "stats", "claims", "report", "regression", "diagnosis"}
    ]
    for path in light:
        assert not {name.split(".")[0] for name in imported(path.read_text())} & HEAVY, path


def test_the_front_door_imports_the_heavy_libraries_inside_its_commands_only() -> None:
    for path in (PACKAGE / "cli.py", *(PACKAGE / "commands").glob("*.py"), PACKAGE / "sections" / "registry.py"):
        assert not {name.split(".")[0] for name in imported(path.read_text(), top_level_only=True)} & HEAVY
