"""The house in numbers and as a diagram: `python docs/house.py [REPOSITORY]` measures any checkout of the project.

It reads source and runs none of it: files, lines, the longest function, the most parameters, circles of imports, empty
names. `--diagram` prints the rooms and who imports whom as a Mermaid graph, which docs/house.md shows.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

PARTS = ("repro", "tests", "benchmarks", "faults", "page_tests", "noxfile.py", "docs")
EMPTY_NAMES = ("found", "told", "had", "kept", "made", "begun", "held")
Graph = Mapping[str, set[str]]


def sources(folder: Path) -> list[Path]:
    """Return the Python files of a folder, or the file itself."""
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder] if folder.is_file() else []


def lengths(files: Iterable[Path]) -> list[int]:
    """Return the lines of each file."""
    return [len(path.read_text(encoding="utf-8").splitlines()) for path in files]


def imported(tree: ast.AST, modules: Container[str], *, inside: bool = True) -> Iterator[str]:
    """Yield what a file imports, `inside` functions and blocks too, but not for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from {name if name in modules else node.module for name in names}
        if inside:
            yield from imported(node, modules)


def package_trees(root: Path) -> dict[str, ast.Module]:
    """Return the source of `repro`, parsed, by the names of its modules."""
    names = {path: ".".join(path.relative_to(root).with_suffix("").parts) for path in sources(root / "repro")}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text(encoding="utf-8")) for path, name in names.items()}


def import_graph(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Return of every module of `repro` the modules that it imports."""
    return {name: (trees.keys() & set(imported(tree, trees))) - {name} for name, tree in trees.items()}


def circles(graph: Graph) -> int:
    """Return how many sets of nodes there are, of two or more, that all lead to each other."""
    reached = {node: reachable(graph, node) for node in graph}
    return len({frozenset(o for o in reached[n] if n in reached.get(o, ())) for n in graph if n in reached[n]})


def reachable(graph: Graph, start: str) -> set[str]:
    """Return the nodes that a node leads to, over others too."""
    ahead, seen = [start], set[str]()
    while ahead:
        new = graph.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    return seen


def rooms(graph: Graph) -> dict[str, set[str]]:
    """Return of every room the rooms that it imports."""
    by_room: dict[str, set[str]] = defaultdict(set)
    for module, others in graph.items():
        room, *used = ([*name.split("."), ""][1] for name in (module, *others))  # the part behind `repro.`
        if room:
            by_room[room] |= {*used} - {room, ""}
    return dict(by_room)


def diagram(root: Path) -> str:
    """Return the rooms as a Mermaid graph; an import that another one implies is left out."""
    graph = rooms(import_graph(package_trees(root)))
    lines = ["graph TD"]
    for room in sorted(graph):
        implied = set[str]().union(*(reachable(graph, other) for other in graph[room]))
        lines += [f"  {room} --> {other}" for other in sorted(graph[room] - implied)]
    return "\n".join(lines)


def measured(root: Path) -> Iterator[tuple[str, str]]:
    """Yield what is counted, in words and figures."""
    total = 0
    for part in PARTS:
        if files := sources(root / part):
            lines = sum(lengths(files))
            total += lines
            yield part, f"{lines:,} lines in {len(files)} files"
    yield "Python in all", f"{total:,} lines"
    package = sources(root / "repro")
    functions = [
        (
            node.end_lineno - node.lineno + 1,
            len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]),
            f"{path.relative_to(root)}:{node.name}",
        )
        for path in package
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    longest, most = max(functions), max(functions, key=lambda each: each[1])
    yield "longest function", f"{longest[0]} lines ({longest[2]})"
    yield "most parameters", f"{most[1]} ({most[2]})"
    graph = import_graph(package_trees(root))
    yield "circles between files", str(circles(graph))
    yield "circles between rooms", str(circles(rooms(graph)))
    words = Counter(word for path in package for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))
    yield "empty names", ", ".join(f"{name} {words[name]}" for name in EMPTY_NAMES)


def main() -> None:
    """Print the measurements, or the diagram."""
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    root = Path(paths[0]) if paths else Path(__file__).parents[1]
    lines = [diagram(root)] if "--diagram" in sys.argv else [f"{name}: {value}" for name, value in measured(root)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
