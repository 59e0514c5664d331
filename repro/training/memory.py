"""The error where memory runs out, on the host or the device."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from repro.errors import OutOfMemoryError

OUT_OF_MEMORY = re.compile(r"not enough memory|DefaultCPUAllocator|out of memory|bad_alloc|ALLOC_FAILED", re.IGNORECASE)


@contextmanager
def report_out_of_memory(what: str) -> Iterator[None]:
    """Turn memory that runs out within the block into OutOfMemoryError, which names --micro-batches."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        raise OutOfMemoryError(
            f"{what}: out of memory",
            "Split each batch with --micro-batches 2 (or 4, 8, …; its gradients add up to the same), end other "
            "programs, or start fewer processes.",
        ) from None
