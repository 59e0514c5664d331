"""What a worker is to time, and the variant that all are measured beside: the machine's own matrix multiplication."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.turns import Turn

PIECES, WIDTH, INNER = 1_440, 768, 3_072  # a batch of 64 tweets through DistilBERT's feed-forward layer
REPEATS = 8
ON_GPU = 100  # multiplications between two looks at a GPU: launch and wait would rule one alone
FLOP = 2 * PIECES * WIDTH * INNER  # of one multiplication


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A function, `module:name`, its options, the steps before each timed one, and the steps of a round."""

    work: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settle: int = 0
    repeat: int = 1

    @property
    def precision(self) -> str:
        """Its arithmetic; empty where it says none."""
        return str(self.options.get("precision", ""))

    def lacking(self, device: str) -> str | None:
        """Return why the machine can't measure it, or None."""
        if not self.precision:
            return None
        from repro.errors import DeviceError
        from repro.spec import Device, Precision
        from repro.training.device import resolve_device

        try:
            resolve_device(Device(device), Precision(self.precision))
        except DeviceError as error:
            return f"not measured: {error.what}"
        return None


def peak_of(precision: str, device: str) -> Variant:
    """Return the machine's own multiplication as a variant."""
    return Variant(work="benchmarks.peak:multiply", options={"precision": precision, "device": device})


def multiply(turn: Turn, *, precision: str, device: str = "cpu") -> None:
    """Say how many seconds the fastest multiplication of a round takes; on a GPU the mean of the fastest ON_GPU."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left = torch.randn(PIECES, WIDTH, dtype=dtype, device=device)
    right = torch.randn(WIDTH, INNER, dtype=dtype, device=device)
    times = ON_GPU if device == "cuda" else 1
    while True:
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            for _ in range(times):
                left @ right
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append((time.perf_counter() - start) / times)
        turn.done(fastest=min(seconds))
