"""The random states of a process: Python's, numpy's, and torch's on the processor and on its GPU.

Dropout of packed batches draws from torch's own generators too, so nothing else needs to be kept.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def process_seed(seed: int, process: int) -> int:
    """Return the seed that a process draws its dropout from: `seed` itself for the main one.

    torch's generator on the CPU begins from a seed's low 32 bits alone; these differ from process to process.
    """
    return int(np.random.SeedSequence([seed, process]).generate_state(1)[0]) if process else seed


def torch_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that a training step draws from."""
    found = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_torch_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Set them again."""
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def all_states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return every random state of this process, as tensors and as numbers of JSON."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    tensors = {
        **torch_states(device),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
    }
    return tensors, {
        "python": [version, gauss],
        "numpy": [str(name), int(position), int(has_gauss), float(cached)],
    }


def set_all_states(tensors: dict[str, Tensor], numbers: dict[str, Any], device: torch.device) -> None:
    """Set every random state of this process."""
    set_torch_states(tensors, device)
    version, gauss = numbers["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, position, has_gauss, cached = numbers["numpy"]
    keys = tensors["numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))
