"""The house in numbers and as a diagram: `python docs/house.py [REPOSITORY]` measures any checkout of the project.

It reads source and runs none of it: files, lines, the longest function, the most parameters, circles of imports, empty
names. `--diagram` prints the rooms and who imports whom as a Mermaid graph, which docs/house.md shows.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PARTS = ("repro", "tests", "benchmarks", "faults", "page_tests", "noxfile.py", "docs")
EMPTY_NAMES = ("found", "told", "had", "kept", "made", "begun", "held")
Graph = Mapping[str, set[str]]


def sources(folder: Path) -> list[Path]:
    """Return the Python files of a folder, or the file itself."""
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder] if folder.is_file() else []


def module_name(path: Path, root: Path) -> str:
    """Return a file's dotted module name."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """Yield the project's modules that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in modules:
                    yield full
                elif node.module in modules:
                    yield node.module


def import_graph(root: Path) -> dict[str, set[str]]:
    """Return of every module of `repro` the modules that it imports."""
    files = {module_name(path, root): path for path in sources(root / "repro")}
    return {
        name: {other for other in imported(ast.parse(path.read_text(encoding="utf-8")), set(files)) if other != name}
        for name, path in files.items()
    }


def circles(graph: Graph) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            position = stack.index(node)
            component = stack[position:]
            del stack[position:]
            if len(component) > 1:
                components.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return components


def room_of(module: str) -> str:
    """Return the room of a module: the part behind `repro.`."""
    return [*module.split("."), ""][1]


def rooms(graph: Graph) -> dict[str, set[str]]:
    """Return of every room the rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, others in graph.items():
        if room := room_of(module):
            found[room] |= {room_of(other) for other in others} - {room, ""}
    return dict(found)


def diagram(root: Path) -> str:
    """Return the rooms as a Mermaid graph; an import that another one implies is left out."""
    graph = rooms(import_graph(root))

    def reaches(start: str, end: str) -> bool:
        return any(other == end or reaches(other, end) for other in graph.get(start, ()))

    lines = ["graph TD"]
    for room in sorted(graph):
        direct = {o for o in graph[room] if not any(reaches(p, o) for p in graph[room] - {o})}
        lines += [f"  {room} --> {other}" for other in sorted(direct)]
    return "\n".join(lines)


def functions(root: Path) -> Iterator[tuple[int, int, str]]:
    """Yield lines, parameters and name of every function of `repro`."""
    for path in sources(root / "repro"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = node.args
                count = len(arguments.args) + len(arguments.kwonlyargs) + len(arguments.posonlyargs)
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield lines, count, f"{path.relative_to(root)}:{node.name}"


def measured(root: Path) -> list[tuple[str, str]]:
    """Return what is counted, in words and figures."""
    rows = []
    total = 0
    for part in PARTS:
        files = sources(root / part)
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
        total += lines
        if files:
            rows.append((part, f"{lines:,} lines in {len(files)} files"))
    rows.append(("Python in all", f"{total:,} lines"))
    every = list(functions(root))
    longest, most = max(every), max(every, key=lambda each: each[1])
    rows.append(("longest function", f"{longest[0]} lines ({longest[2]})"))
    rows.append(("most parameters", f"{most[1]} ({most[2]})"))
    small = sum(len(path.read_text(encoding="utf-8").splitlines()) < 50 for path in sources(root / "repro"))  # noqa: PLR2004
    rows.append(("files of repro under 50 lines", str(small)))
    graph = import_graph(root)
    rows.append(("circles between files", str(len(circles(graph)))))
    rows.append(("circles between rooms", str(len(circles(rooms(graph))))))
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources(root / "repro"))
    counts = {name: len(re.findall(rf"\b{name}\b", text)) for name in EMPTY_NAMES}
    rows.append(("empty names", ", ".join(f"{name} {count}" for name, count in counts.items())))
    return rows


def main() -> None:
    """Print the measurements, or the diagram."""
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    root = Path(paths[0]) if paths else Path(__file__).parents[1]
    if "--diagram" in sys.argv:
        sys.stdout.write(diagram(root) + "\n")
        return
    for name, value in measured(root):
        sys.stdout.write(f"{name}: {value}\n")


if __name__ == "__main__":
    main()
