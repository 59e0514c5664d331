"""What the machine itself can do: one matrix multiplication of the feed-forward layer's shape, as a variant."""

from __future__ import annotations

import time

from benchmarks.turns import Turn

PIECES, WIDTH, INNER = 1_440, 768, 3_072  # a batch of 64 tweets through DistilBERT's feed-forward layer
REPEATS = 8
ON_GPU = 100  # multiplications between two looks at a GPU: launch and wait would rule one alone
FLOP = 2 * PIECES * WIDTH * INNER  # of one multiplication


def multiply(turn: Turn, *, precision: str, device: str = "cpu") -> None:
    """Say how many seconds the fastest and the mean multiplication of a round take; on a GPU of runs of ON_GPU."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left = torch.randn(PIECES, WIDTH, dtype=dtype, device=device)
    right = torch.randn(WIDTH, INNER, dtype=dtype, device=device)
    times = ON_GPU if device == "cuda" else 1
    while True:
        seconds = []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            for _ in range(times):
                left @ right
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append((time.perf_counter() - begun) / times)
        turn.done(fastest=min(seconds), mean=sum(seconds) / REPEATS)
