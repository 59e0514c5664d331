"""A notebook run cell by cell on the installed libraries: what each cell does, and of which other it fails.

The reader's cells are executed as they stand; lines for the shell (`!pip …`) are left out and listed, and what sends
something away (a login, a push) isn't run. Names of checkpoints and corpora may stand for folders (`uses`): a link
of that name in the working folder is what the libraries look for first.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Literal
from xml.etree import ElementTree

from repro.display.table import Table
from repro.errors import UsageError
from repro.notebooks.dependencies import Blame, names_in
from repro.notebooks.kernel import Executed, Kernel, Limits
from repro.notebooks.reading import Cell, parse
from repro.notebooks.repair import repaired

Status = Literal["runs", "runs, announces removal", "fails", "fails because of another", "not run"]
# cells that aren't run, by the function that they call
SENDS = {
    "notebook_login": "a login", "interpreter_login": "a login", "login": "a login", "push_to_hub": "a push to the Hub",
    "upload_file": "a push to the Hub", "upload_folder": "a push to the Hub", "create_repo": "a push to the Hub",
    "exit": "the end of the kernel", "quit": "the end of the kernel",
}  # fmt: skip
HARMLESS = re.compile(
    r"%(?:matplotlib|config|time|timeit|load_ext|autoreload|precision|pylab)\b|%%(?:time|timeit|capture)\b"
)
REMOVAL = re.compile(r"(?:Deprecation|Future)Warning|will be removed|deprecated", re.IGNORECASE)
GPU = re.compile(r"CUDA|NVIDIA|cuDNN|GPU", re.IGNORECASE)
NETWORK = re.compile(
    r"offline mode|couldn't connect|connection error|max retries|name resolution|not the path to a directory|"
    r"is not a local folder|couldn't reach|couldn't find .* on the hub|doesn't exist on the hub|unreachable",
    re.IGNORECASE,
)
TOKEN = re.compile(r"gated repo|\b401\b|invalid (?:user )?token|must be authenticated", re.IGNORECASE)
NEEDS = {
    TOKEN: "a token", NETWORK: "the network, or --use", re.compile("^ModuleNotFoundError"): "a package", GPU: "a GPU",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What became of a cell: its status and why; `cause` is the cell that a failure comes from."""

    number: int
    status: Status
    detail: str = ""
    cause: int | None = None
    seconds: float = 0.0

    @property
    def ran(self) -> bool:
        """Whether it ran to its end."""
        return self.status in ("runs", "runs, announces removal")


def audit(
    cells: Sequence[Cell],
    *,
    limits: Limits,
    uses: Mapping[str, Path],
    python: Path | None = None,
    report: Callable[[CellResult], None] = lambda _: None,
) -> list[CellResult]:
    """Execute the cells in order and return what became of each; `report` hears of each at once."""
    results: list[CellResult] = []
    blame = Blame()
    with TemporaryDirectory(prefix="audit-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _link(folder, uses)
        with Kernel(folder=folder, limits=limits, python=python) as kernel:
            for cell in cells:
                result = _audited(cell, kernel, blame, limits)
                results.append(result)
                report(result)
    return results


def _link(folder: Path, uses: Mapping[str, Path]) -> None:
    for name, target in uses.items():
        link = (folder / name).resolve()
        if not target.is_dir() or not link.is_relative_to(folder.resolve()) or link == folder.resolve():
            raise UsageError(
                f"--use {name}={target}: {target} is no folder, or {name} no name", "Write --use NAME=DIR."
            )
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.resolve(), target_is_directory=True)


def _audited(cell: Cell, kernel: Kernel, blame: Blame, limits: Limits) -> CellResult:
    names = names_in(cell.source)
    if refused := _refused(cell):
        blame.passed(names)
        return CellResult(number=cell.number, status="not run", detail=refused)
    started = monotonic()
    done = kernel.run(_without_shell(cell))
    seconds = monotonic() - started
    left_out = f"; left out: {'; '.join(_shell_lines(cell))}" if _shell_lines(cell) else ""
    if done.died:
        blame.kernel_lost(cell.number)
    cause = blame.cause(names)
    if not (done.error or done.timed_out or done.died):
        if cause is None:
            blame.passed(names)
        else:  # it found an older value under a name that cell `cause` should have given
            blame.failed(names, cause)
            left_out += f"; on what was left from before: cell {cause} did not run"
        announced = next((line.strip() for line in done.text.splitlines() if REMOVAL.search(line)), "")
        status: Status = "runs, announces removal" if announced else "runs"
        detail = (_brief(announced) + left_out).removeprefix("; ")
        return CellResult(number=cell.number, status=status, detail=detail, cause=cause, seconds=seconds)
    blame.failed(names, cause or cell.number)
    if cause is not None:
        status, detail = "fails because of another", f"cell {cause}: {_brief(f'{done.error}: {done.message}')}"
    else:
        status, detail = _own_failure(done, limits)
    return CellResult(number=cell.number, status=status, detail=detail + left_out, cause=cause, seconds=seconds)


def _own_failure(done: Executed, limits: Limits) -> tuple[Status, str]:
    """Tell a cell that cannot run here (a GPU, the network, a token, its time) from one that is broken."""
    said = f"{done.error}: {done.message}"
    if done.timed_out:
        return "not run", f"too long: stopped after {limits.seconds} s" + ("; the kernel with it" if done.died else "")
    if done.died:
        return "fails", "it ended the kernel; a fresh one goes on without the names of earlier cells"
    if done.refused:
        return "not run", f"not allowed here: {done.refused[0]}"
    for pattern, what in NEEDS.items():
        if pattern.search(said):
            return "not run", f"needs {what}: {_brief(said)}"
    return "fails", _brief(said)


def _refused(cell: Cell) -> str:
    """Return why a cell isn't run, nothing where it is."""
    tree = parse(cell.source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SENDS:
                return f"{SENDS[name]}: {name}()"
    shell = _shell_lines(cell)
    left = [line for line in _without_shell(cell).split("\n") if line.strip() not in ("", "pass") and line[0] != "#"]
    return f"for the shell: {_brief(shell[0])}" if shell and not left else ""


def _shell_lines(cell: Cell) -> list[str]:
    return [line for line in cell.magics if not HARMLESS.match(line)]


def _without_shell(cell: Cell) -> str:
    shell = _shell_lines(cell)
    if cell.source.lstrip().startswith("%%"):
        return "pass" if shell else cell.source
    lines = cell.source.split("\n")
    return "\n".join(f"{re.match(r'[ ]*', line)[0]}pass" if line.strip() in shell else line for line in lines)  # type: ignore[index]


def _brief(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m|[^\x20-\x7e -￿]", " ", text)
    return plain if len(plain) <= 160 else f"{plain[:157]}…"  # noqa: PLR2004


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What became of each cell as written and, where it was asked for, after the repair."""

    written: tuple[CellResult, ...]
    repaired: tuple[CellResult, ...]
    fixes: Mapping[int, tuple[str, ...]]
    versions: str
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The counts, what was shortened or swapped, and the versions that they hold for."""
        n = len(self.written)
        parts = [f"{sum(result.ran for result in self.written)} of {n} cells run as written"]
        if self.repaired:
            parts.append(f"{sum(result.ran for result in self.repaired)} of {n} after the repair")
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{', '.join(parts)}, with {self.versions}{notes}."

    def table(self) -> Table:
        """Return a row a cell and one for all: no code of the notebook is in it."""
        after = {result.number: result for result in self.repaired}
        columns = ("cell", "as written", "after the repair", "fixes", "why")
        rows = []
        for result in self.written:
            later = after.get(result.number)
            why = result.detail or (later.detail if later else "")
            fixes = " ".join(self.fixes.get(result.number, ()))
            rows.append((str(result.number), result.status, later.status if later else "", fixes, why))
        counts = [f"{sum(result.ran for result in part)} run" if part else "" for part in (self.written, self.repaired)]
        conditions = "; ".join((self.versions, *self.notes))
        return Table(columns, (*rows, ("all", *counts, "", conditions)), self.sentence)

    def as_row(self) -> dict[str, object]:
        """Return the audit as JSON."""
        return {
            "sentence": self.sentence,
            "versions": self.versions,
            "notes": list(self.notes),
            "as_written": [vars(result) for result in self.written],
            "after_repair": [vars(result) for result in self.repaired],
            "fixes": {str(number): list(fixes) for number, fixes in self.fixes.items()},
        }

    def to_junit(self, name: str) -> str:
        """Return a JUnit file: a test case a cell and pass, failed, skipped where it was not run."""
        suites = ElementTree.Element("testsuites")
        for part, results in (("as written", self.written), ("after the repair", self.repaired)):
            suite = ElementTree.SubElement(suites, "testsuite", name=f"{name}, {part}", tests=str(len(results)))
            for result in results:
                seconds = f"{result.seconds:.1f}"
                case = ElementTree.SubElement(
                    suite, "testcase", classname=part, name=f"cell {result.number}", time=seconds
                )
                if not result.ran:
                    kind = "skipped" if result.status == "not run" else "failure"
                    ElementTree.SubElement(case, kind, message=result.detail)
        return ElementTree.tostring(suites, encoding="unicode")


def audit_twice(
    cells: Sequence[Cell],
    *,
    limits: Limits,
    uses: Mapping[str, Path],
    python: Path | None,
    repair: bool,
    progress: Callable[[str], object],
) -> Audit:
    """Audit the cells as they are written, and again after the repair where it changes any of them."""
    changed = repaired([("code", cell.source) for cell in cells])
    fixes = {
        cell.number: tuple(fix.id for fix in fixed.fixes)
        for cell, fixed in zip(cells, changed, strict=True)
        if fixed.fixes
    }

    def run(part: str, cells: Sequence[Cell]) -> tuple[CellResult, ...]:
        def report(result: CellResult) -> None:
            progress(f"cell {result.number} of {len(cells)}, {part}: {result.status} {result.detail}".rstrip())

        return tuple(audit(cells, limits=limits, uses=uses, python=python, report=report))

    written = run("as written", cells)
    later = [replace(cell, source=fixed.source) for cell, fixed in zip(cells, changed, strict=True)]
    after = run("after the repair", later) if repair and fixes else ()
    notes = [f"at most {n} {what}" for n, what in ((limits.rows, "rows a split"), (limits.steps, "steps")) if n]
    notes += [f"{name} taken from the folder {folder.name}" for name, folder in uses.items()]
    return Audit(
        written=written, repaired=after, fixes=fixes if repair else {}, versions=_versions(python), notes=tuple(notes),
    )  # fmt: skip


def _versions(python: Path | None) -> str:
    """Return the versions of what the notebook imports, in the environment that ran it."""
    packages = ("transformers", "datasets", "torch", "pandas")
    code = f"from importlib.metadata import version\nprint(', '.join(p + ' ' + version(p) for p in {packages!r}))"
    done = subprocess.run([str(python or sys.executable), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "versions that are not known"
