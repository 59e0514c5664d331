"""A kernel of its own for a notebook: started in a temporary folder, guarded, restarted, and nothing left of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tomllib
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from repro.errors import UsageError

ANSWER_SECONDS = 20  # for a kernel that was interrupted to answer again
MARK = "REPRO_AUDIT"
_SILENT = logging.Logger("audit", logging.CRITICAL)  # what nbclient would say of cells that we report ourselves


def place_of(text: str) -> tuple[str, Path]:
    """Return the name and the folder of NAME=DIR."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise UsageError(f"--use {text}: expected NAME=DIR", "As in --use distilbert-base-uncased=models/minilm.")
    return name, Path(folder)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What runs it, and how much of it."""

    python: Annotated[Path, typer.Option(help="The interpreter of another environment.", show_default="this one")] = (
        Path(sys.executable)
    )
    seconds: Annotated[int, typer.Option("--timeout", min=1, help="Seconds that a cell may take.")] = 600
    memory_gib: Annotated[float, typer.Option("--memory", min=1, help="GiB that the kernel may take.")] = 12
    rows: Annotated[int, typer.Option(min=0, help="Load at most so many rows a split; 0: all.")] = 0
    steps: Annotated[int, typer.Option(min=0, help="Train at most so many steps; 0: all.")] = 0
    use: Annotated[
        list[Any] | None, typer.Option(parser=place_of, metavar="NAME=DIR", help="A folder in place of a Hub's name.")
    ] = None


class Executed(NamedTuple):
    """How a cell ended: its outputs, its error's name and message, whether its kernel is gone."""

    outputs: list[Any]
    error: str
    message: str
    timed_out: bool
    died: bool

    @property
    def text(self) -> str:
        """What it showed as text."""
        texts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in self.outputs)
        return "\n".join(map(str, texts))


@cache
def load_rules() -> dict[str, Any]:
    """Read what the audit goes by."""
    return tomllib.loads(files("repro.notebooks").joinpath("audit.toml").read_text(encoding="utf-8"))


class Kernel:
    """Runs cells one by one; `with Kernel(…) as kernel: kernel.run(source)`; UsageError where none starts."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self._token = uuid.uuid4().hex
        self._client: Any = None

    def __enter__(self) -> Kernel:
        import nbformat
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient

        manager = AsyncKernelManager(connection_file=str(self.folder / f".connection-{uuid.uuid4().hex}.json"))
        manager._kernel_spec = KernelSpec(
            argv=[str(self.limits.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        )
        self._client = NotebookClient(
            nbformat.v4.new_notebook(), km=manager, allow_errors=True, interrupt_on_timeout=True, startup_timeout=120,
            log=_SILENT, error_on_timeout={"status": "error", "ename": "TimeoutError", "evalue": "", "traceback": []},
        )  # fmt: skip
        try:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._client.start_new_kernel(cwd=str(self.folder), env=self._environment(), **quiet)
            self._client.start_new_kernel_client()
            if (done := self.run(self._guard())).error:
                raise RuntimeError(f"{done.error}: {done.message}")
        except (RuntimeError, OSError) as error:
            self.__exit__()
            raise UsageError(
                f"no guarded kernel starts with {self.limits.python}: {str(error).splitlines()[0]}",
                f"Install what it lacks: {self.limits.python} -m pip install ipykernel",
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        """End the kernel and every process that it started, by the mark in their environment."""
        import psutil

        with suppress(Exception):
            self._client._cleanup_kernel()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._token:
                    process.kill()

    def run(self, source: str, seconds: int = 0) -> Executed:
        """Execute a cell and say how it ended; a kernel that is gone or does not answer is replaced by a fresh one."""
        from nbclient.exceptions import DeadKernelError
        from nbformat.v4 import new_code_cell

        self._client.nb.cells = [cell := new_code_cell(source)]
        self._client._display_id_map.clear()  # of displays in earlier cells, which this one may still update
        self._client.timeout = seconds or self.limits.seconds
        started = monotonic()
        died = False
        try:
            self._client.execute_cell(cell, 0)
        except DeadKernelError:
            died = True
        timed_out = not died and monotonic() - started >= self._client.timeout
        error: Any = next((output for output in reversed(cell.outputs) if output.output_type == "error"), {})
        name = "DeadKernelError" if died else "TimeoutError" if timed_out else error.get("ename", "")
        if timed_out and not seconds:  # it was interrupted: does it take a cell again?
            answer = self.run("pass", ANSWER_SECONDS)
            died = answer.timed_out or answer.died
        if died and not seconds:
            self.__exit__()
            self.__enter__()
        return Executed(cell.outputs, name, error.get("evalue", ""), timed_out, died)

    def _guard(self) -> str:
        guard = files("repro.notebooks").joinpath("guard.py").read_text(encoding="utf-8")
        hosts = [*load_rules()["kernel"]["hosts"], urlsplit(os.environ.get("HF_ENDPOINT", "//hf.co")).hostname]
        limits = load_rules()["limits"] | {name: getattr(self.limits, name) for name in ("memory_gib", "rows", "steps")}
        call = f"    exec({guard!r}, scope)\n    scope['guard'](hosts={hosts!r}, **{limits!r})"
        return f"def _audit(scope):\n{call}\n_audit({{}}); del _audit"

    def _environment(self) -> dict[str, str]:
        """Return what the kernel sees: no token, no display, a home of its own; the Hub's cache is shared."""
        rules = load_rules()["kernel"]
        usual = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
        places = {"home": str(self.folder), "cache": os.environ.get("HF_HUB_CACHE") or str(usual)}
        passed_on = {name: os.environ[name] for name in rules["passed_on"] if name in os.environ}
        return passed_on | {name: text.format(**places) for name, text in rules["set"].items()} | {MARK: self._token}
