"""A notebook run cell by cell on the installed libraries: what each cell does, and of which other it fails.

The reader's cells are executed as they stand; lines for the shell (`!pip …`) are left out and listed, and what sends
something away (a login, a push) isn't run. Names of checkpoints and corpora may stand for folders (`uses`): a link
of that name in the working folder is what the libraries look for first.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Literal

from jinja2 import Environment

from repro.display import Table
from repro.errors import UsageError
from repro.notebooks.kernel import Executed, Kernel, Limits, load_rules
from repro.notebooks.reading import Blame, Cell, names_in, parse
from repro.notebooks.repair import load_fixes, repaired
from repro.records.provenance import processor_name

Status = Literal["runs", "runs, announces removal", "fails", "fails because of another", "not run"]


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What became of a cell and why; `cause` is the cell that a failure comes from, `outputs` are nbformat's."""

    number: int
    status: Status
    detail: str = ""
    cause: int | None = None
    seconds: float = 0.0
    source: str = ""
    outputs: Sequence[Mapping[str, Any]] = ()

    @property
    def ran(self) -> bool:
        """Whether it ran to its end."""
        return self.status.startswith("runs")


def audit(
    cells: Sequence[Cell], limits: Limits, progress: Callable[[str], object] = lambda _: None
) -> tuple[CellResult, ...]:
    """Execute the cells in order and return what became of each; `progress` is given a line about each at once."""
    results: list[CellResult] = []
    blame = Blame()
    with TemporaryDirectory(prefix="audit-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        _link(folder, dict(limits.use or ()))
        with Kernel(folder, limits) as kernel:
            for cell in cells:
                results.append(done := _audited(cell, kernel, blame))
                progress(f"cell {done.number} of {len(cells)}: {done.status} {done.detail}".rstrip())
    return tuple(results)


def _link(folder: Path, uses: Mapping[str, Path]) -> None:
    for name, target in uses.items():
        link = (folder / name).resolve()
        if not target.is_dir() or folder not in link.parents:
            raise UsageError(
                f"--use {name}={target}: {target} is no folder, or {name} no name", "Write --use NAME=DIR."
            )
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.resolve(), target_is_directory=True)


def _audited(cell: Cell, kernel: Kernel, blame: Blame) -> CellResult:
    names = names_in(cell.source)
    source, shell, refused = _for_the_kernel(cell)
    if refused:
        blame.cause(cell.number, names)
        return CellResult(number=cell.number, status="not run", detail=refused, source=cell.source)
    started = monotonic()
    done = kernel.run(source)
    seconds = monotonic() - started
    cause = blame.cause(cell.number, names, failed=bool(done.error), kernel_lost=done.died)
    status, detail = _outcome(done, cause, kernel.limits)
    if shell:
        detail = f"{detail}; left out: {'; '.join(shell)}".removeprefix("; ")
    return CellResult(
        number=cell.number, status=status, detail=detail, cause=cause, seconds=seconds, source=cell.source,
        outputs=done.outputs,
    )  # fmt: skip


def _outcome(done: Executed, cause: int | None, limits: Limits) -> tuple[Status, str]:
    """Tell a cell that runs from one that is broken and one that cannot run here (a GPU, a token, its time)."""
    said = f"{done.error}: {done.message}"
    if not done.error:
        removal = load_rules()["removal"]
        announced = next((line.strip() for line in done.text.splitlines() if re.search(removal, line)), "")
        announced = re.sub(r"^\S+\.py:\d+: ", "", announced)  # where in the kernel's own file
        older = f"; on what was left from before: cell {cause} did not run" if cause else ""
        return "runs, announces removal" if announced else "runs", _brief(announced) + older
    if cause is not None:
        return "fails because of another", f"cell {cause}: {_brief(said)}"
    if done.died and not done.timed_out:
        return "fails", "it ended the kernel; a fresh one goes on without the names of earlier cells"
    if done.timed_out:
        return "not run", f"too long: stopped after {limits.seconds} s" + ("; the kernel with it" if done.died else "")
    if refused := re.search(r"not allowed here: .*", said):
        return "not run", _brief(refused[0])
    needs = next((what for what, sign in load_rules()["needs"].items() if re.search(sign, said)), "")
    return ("not run", f"needs {needs}: {_brief(said)}") if needs else ("fails", _brief(said))


def _for_the_kernel(cell: Cell) -> tuple[str, list[str], str]:
    """Return what is run of a cell, the lines for the shell, left out, and why it isn't run, nothing where it is."""
    sends, tree = load_rules()["sends"], parse(cell.source) or ast.Module([], [])
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(call, "attr", getattr(call, "id", "")) for call in calls]
    refused = next((f"{sends[name]}: {name}()" for name in names if name in sends), "")
    shell = [line for line in cell.magics if not re.match(load_rules()["harmless"], line)]
    lines = ["pass"] if shell and cell.source.lstrip().startswith("%%") else cell.source.split("\n")
    lines = [f"{line[: -len(line.lstrip())]}pass" if line.strip() in shell else line for line in lines]
    if shell and not refused and all(line.strip() in ("", "pass") or line.startswith("#") for line in lines):
        refused = f"for the shell: {_brief(shell[0])}"
    return "\n".join(lines), shell, refused


def _brief(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m|[^\x20-\x7e -￿]", " ", text)
    return plain if len(plain) <= 160 else f"{plain[:157]}…"  # noqa: PLR2004


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What became of each cell as written and, where it was asked for, after the repair."""

    as_written: tuple[CellResult, ...]
    after_repair: tuple[CellResult, ...]
    fixes: Mapping[int, tuple[str, ...]]
    versions: str
    notes: tuple[str, ...]

    @property
    def counts(self) -> list[str]:
        """How many cells run as written and after the repair, nothing where that was not asked for."""
        both = (self.as_written, self.after_repair)
        return [f"{sum(cell.ran for cell in cells)} of {len(cells)}" if cells else "" for cells in both]

    @property
    def sentence(self) -> str:
        """The counts, what was shortened or swapped, and the versions that they hold for."""
        written, later = self.counts
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{written} cells run as written{later and f', {later} after the repair'}, with {self.versions}{notes}."

    def table(self) -> Table:
        """Return a row a cell and one for all: no code of the notebook is in it."""
        columns = ("cell", "as written", "after the repair", "fixes", "why")
        since = {fix.id: f"{fix.id} (since {fix.since})" for fix in load_fixes()}
        rows = []
        for cell, later in zip_longest(self.as_written, self.after_repair):
            fixes = "; ".join(since[name] for name in self.fixes.get(cell.number, ()))
            status, detail = (later.status, later.detail) if later else ("", "")
            rows.append((str(cell.number), cell.status, status, fixes, cell.detail or detail))
        return Table(columns, (*rows, ("all", *self.counts, "", "; ".join((self.versions, *self.notes)))))

    def as_row(self) -> dict[str, Any]:
        """Return the audit as JSON, without the cells' code and what they showed."""
        row = {"sentence": self.sentence, **vars(self)}
        for part in ("as_written", "after_repair"):
            row[part] = [{k: v for k, v in vars(c).items() if k not in ("source", "outputs")} for c in row[part]]
        return row

    def executed(self, notebook: Mapping[str, Any]) -> dict[str, Any]:
        """Return the notebook with the code that ran last, repaired where it was, and what it showed."""
        ran = deepcopy(dict(notebook))
        code = (cell for cell in ran["cells"] if cell.get("cell_type") == "code")
        for cell, result in zip(code, self.after_repair or self.as_written, strict=False):
            cell.update(source=result.source, outputs=list(result.outputs), execution_count=result.number)
        return ran

    def to_junit(self, name: str) -> str:
        """Return a JUnit file: a test case a cell and pass, failed, skipped where it was not run."""
        form = files("repro.notebooks").joinpath("junit.xml").read_text(encoding="utf-8")
        return Environment(autoescape=True).from_string(form).render(name=name, audit=self)


def audit_twice(cells: Sequence[Cell], limits: Limits, *, repair: bool, progress: Callable[[str], object]) -> Audit:
    """Audit the cells as they are written, and again after the repair where it changes any of them."""
    changed = repaired([("code", cell.source) for cell in cells]) if repair else []
    later = [replace(cell, source=fixed.source) for cell, fixed in zip(cells, changed, strict=False)]
    fixes = {number: tuple(fix.id for fix in fixed.fixes) for number, fixed in enumerate(changed, 1) if fixed.fixes}
    notes = [f"at most {n} {what}" for n, what in ((limits.rows, "rows a split"), (limits.steps, "steps")) if n]
    notes += [f"{name} taken from the folder {folder.name}" for name, folder in limits.use or ()]
    return Audit(
        as_written=audit(cells, limits, progress), after_repair=audit(later, limits, progress) if fixes else (),
        fixes=fixes, versions=_versions(limits.python), notes=tuple(notes),
    )  # fmt: skip


def _versions(python: Path) -> str:
    """Return the versions of what the notebook imports, in the environment that ran it, and the processor."""
    code = "import sys\nfrom importlib.metadata import version\nfor p in sys.argv[1:]: print(p, version(p), end=', ')"
    command = [str(python), "-c", code, *load_rules()["packages"]]
    return f"{subprocess.run(command, capture_output=True, text=True, check=False).stdout}on {processor_name()}"
