"""A kernel of its own for a notebook: started in a temporary folder, guarded, restarted, and nothing left of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from repro.errors import UsageError
from repro.notebooks.reading import require

HUB_HOSTS = ("huggingface.co", "hf.co")
PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "HF_ENDPOINT",
    "HF_HUB_OFFLINE", "SYSTEMROOT", "VIRTUAL_ENV",
)  # fmt: skip
ANSWER_SECONDS = 20  # for a kernel that was interrupted to answer again
MARK = "REPRO_AUDIT"
_SILENT = logging.Logger("audit", logging.CRITICAL)  # what nbclient would say of cells that we report ourselves
_TIMED_OUT = {"status": "error", "ename": "TimeoutError", "evalue": "", "traceback": []}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a cell may take: seconds, memory and the size of a file in bytes; what is shortened, 0 for nothing."""

    seconds: int = 600
    memory_bytes: int = 12 * 2**30
    file_bytes: int = 4 * 2**30
    characters: int = 20_000_000
    rows: int = 0
    steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Executed:
    """How a cell ended: its outputs as text, its error's name and message, what was refused, if the kernel is gone."""

    text: str
    error: str
    message: str
    refused: tuple[str, ...]
    timed_out: bool
    died: bool


class Kernel:
    """Runs cells one by one; `with Kernel(…) as kernel: kernel.run(source)`."""

    def __init__(self, *, folder: Path, limits: Limits, python: Path | None) -> None:
        self.folder, self.limits = folder, limits
        self._python = str(python or sys.executable)
        self._token = uuid.uuid4().hex
        self._log = folder / ".refused"
        self._client: Any = None

    def __enter__(self) -> Kernel:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the kernel and put the guard before its first cell; UsageError where there is none to start."""
        require("nbclient")
        import nbformat
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient

        manager = AsyncKernelManager(connection_file=str(self.folder / f".connection-{uuid.uuid4().hex}.json"))
        manager._kernel_spec = KernelSpec(argv=[self._python, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
        self._client = NotebookClient(
            nbformat.v4.new_notebook(), km=manager, timeout=self.limits.seconds, allow_errors=True,
            interrupt_on_timeout=True, startup_timeout=120, log=_SILENT, error_on_timeout=_TIMED_OUT,
        )  # fmt: skip
        try:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._client.start_new_kernel(cwd=str(self.folder), env=self._environment(), **quiet)
            self._client.start_new_kernel_client()
        except (RuntimeError, OSError) as error:
            self.stop()
            raise UsageError(
                f"no kernel starts with {self._python}: {str(error).splitlines()[0]}",
                f"Install one there: {self._python} -m pip install ipykernel",
            ) from None
        guard = files("repro.notebooks").joinpath("guard.py").read_text(encoding="utf-8")
        hosts = [*HUB_HOSTS, *filter(None, [urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname])]
        settings = {"hosts": hosts, "log": str(self._log), **asdict(self.limits)}
        done = self.run(
            f"def _audit(scope):\n    exec({guard!r}, scope)\n    scope['guard'](**{settings!r})\n_audit({{}})"
        )
        if done.error:
            raise UsageError(
                f"the kernel of {self._python} cannot be guarded: {done.error}: {done.message}",
                "Try again, or name another --python.",
            )

    def run(self, source: str) -> Executed:
        """Execute a cell and say how it ended; a kernel that is gone or does not answer is replaced by a fresh one."""
        self._log.unlink(missing_ok=True)
        outputs, timed_out, died = self._execute(source, self.limits.seconds)
        if timed_out and not died:  # it was interrupted: does it take a cell again?
            died = any(self._execute("pass", ANSWER_SECONDS)[1:])
        refused = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        if died:
            self.stop()
            self.start()
        error = next((output for output in reversed(outputs) if output.output_type == "error"), None)
        texts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
        return Executed(
            text="\n".join(map(str, texts))[-200_000:], refused=tuple(refused), timed_out=timed_out, died=died,
            error=error.ename if error else "", message=error.evalue if error else "",
        )  # fmt: skip

    def stop(self) -> None:
        """End the kernel and every process that it started, by the mark in their environment."""
        import psutil

        if self._client is not None:
            with suppress(Exception):
                self._client._cleanup_kernel()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._token:
                    process.kill()

    def _execute(self, source: str, seconds: int) -> tuple[list[Any], bool, bool]:
        """Return a cell's outputs, whether its time ran out, and whether the kernel died of it."""
        from nbclient.exceptions import DeadKernelError
        from nbformat.v4 import new_code_cell

        cell = new_code_cell(source)
        self._client.nb.cells = [cell]
        self._client.timeout = seconds
        started = monotonic()
        try:
            self._client.execute_cell(cell, 0)
        except DeadKernelError:
            return cell.outputs, False, True
        return cell.outputs, monotonic() - started >= seconds, False

    def _environment(self) -> dict[str, str]:
        """Return what the kernel sees: no token, no display, a home of its own; the Hub's cache is shared."""
        home = str(self.folder)
        shared = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "HOME": home, "IPYTHONDIR": f"{home}/.ipython", "MPLCONFIGDIR": f"{home}/.matplotlib",
            "HF_HOME": f"{home}/.huggingface", "HF_HUB_CACHE": os.environ.get("HF_HUB_CACHE") or str(shared),
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "WANDB_MODE": "disabled",
            "PYTHONNOUSERSITE": "1", MARK: self._token,
        }  # fmt: skip
