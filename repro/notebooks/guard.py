"""What is put before a notebook's first cell in its own kernel: limits, no network but the Hub's, no installing.

The file is sent to the kernel as source, so that it runs in an environment that lacks this package. It keeps honest
notebooks from doing harm; it is no fence against a hostile one, for which there are containers.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
from pathlib import Path
from typing import Any

INSTALLERS = ("pip", "pip3", "conda", "mamba", "uv", "apt", "apt-get", "huggingface-cli", "hf", "git")


def guard(*, hosts: list[str], **limits: float) -> None:
    """Set the limits; what is refused raises PermissionError."""
    if sys.platform != "win32":
        import resource

        most = {resource.RLIMIT_DATA: limits["memory_gib"] * 2**30, resource.RLIMIT_FSIZE: limits["file_bytes"]}
        for kind, limit in most.items():
            resource.setrlimit(kind, (int(limit), resource.getrlimit(kind)[1]))
    _limit_output(int(limits["characters"]))
    if limits["rows"]:
        _shorten_datasets(int(limits["rows"]))
    if limits["steps"]:
        _shorten_training(int(limits["steps"]))
    addresses: set[str] = {"127.0.0.1", "::1", "localhost"}

    def refuse(what: str) -> None:
        raise PermissionError(f"not allowed here: {what}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo" and arguments[0]:
            host = os.fsdecode(arguments[0])
            if host not in addresses:
                if not f".{host}".endswith(tuple(f".{known}" for known in hosts)):
                    refuse(f"network: {host}")
                addresses.add(host)
                addresses.update(str(info[4][0]) for info in socket.getaddrinfo(host, None))
        elif event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in addresses:
            refuse(f"network: {arguments[1][0]}")
        elif event in ("os.fork", "os.forkpty") and "ipykernel_" in sys._getframe(1).f_code.co_filename:
            refuse("process: a cell may not fork")
        elif event == "subprocess.Popen":
            words = arguments[1].split() if isinstance(arguments[1], str) else [str(word) for word in arguments[1]]
            if any(Path(word).name in INSTALLERS for word in words[:3]):
                refuse(f"command: {' '.join(words)[:80]}")

    sys.addaudithook(hook)


def _limit_output(characters: int) -> None:
    """Drop what is printed beyond so many characters in all."""
    left = characters
    for stream in (sys.stdout, sys.stderr):

        def write(text: str, printed: Any = stream.write) -> int:
            nonlocal left
            left -= len(text)
            return int(printed(text)) if left > 0 else len(text)

        stream.write = write  # type: ignore[method-assign]


def _shorten_datasets(rows: int) -> None:
    import datasets

    load = datasets.load_dataset

    @functools.wraps(load)
    def load_dataset(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        if isinstance(loaded, dict):
            return type(loaded)({name: part.select(range(min(rows, len(part)))) for name, part in loaded.items()})
        return loaded.select(range(min(rows, len(loaded))))

    datasets.load_dataset = load_dataset


def _shorten_training(steps: int) -> None:
    from transformers import TrainerCallback, trainer

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.global_step >= steps or control.should_training_stop

    callbacks: list[Any] = trainer.DEFAULT_CALLBACKS
    callbacks.append(Stop)
