"""Every checkpoint that the suite knows, pinned in recipes.toml: the recipes, the tour's six, and the book's own model.

A recipe is a checkpoint at a revision plus every hyper-parameter of the seminar's fine-tuning.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro.errors import unknown


@dataclass(frozen=True, kw_only=True)
class PinnedCheckpoint:
    """A repository of the Hub at a revision, and what its files must be.

    `sha256` maps file names of the checkpoint to the hashes they must have, `config` holds what its config.json must
    say where no hash of that is known, and, where weights are pinned, is all that it may say. `behaviour` holds what
    the loaded checkpoint must do, whichever files it was loaded from (see `loading.behaviour_of`); `megabytes` is what
    there is to fetch.
    """

    name: str
    why: str
    checkpoint: str
    revision: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    behaviour: Mapping[str, str] = field(default_factory=dict)
    package: str | None = None
    megabytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe(PinnedCheckpoint):
    """A checkpoint and hyper-parameters; the defaults are the seminar's own (its TrainingArguments cell).

    The learning rate falls linearly to 0 without warm-up; AdamW decays neither biases nor LayerNorm; `batch_size`
    is global, whatever the number of processes; `max_length` counts word pieces.
    """

    learning_rate: float = 2e-5
    batch_size: int = 64
    epochs: int = 2
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    warmup_steps: int = 0
    max_length: int = 512


PINS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
RECIPES: Mapping[str, Recipe] = {name: Recipe(name=name, **pins) for name, pins in PINS["recipes"].items()}
DISTILBERT, MINILM, TINY = (RECIPES[name] for name in ("distilbert", "minilm", "tiny"))
TOUR: Mapping[str, PinnedCheckpoint] = {
    task: PinnedCheckpoint(name=f"tour-{task}", **pins) for task, pins in PINS["tour"].items()
}
PUBLISHED = Recipe(name="published", **PINS["published"])
CHECKPOINTS: Mapping[str, PinnedCheckpoint] = {p.name: p for p in (*RECIPES.values(), *TOUR.values(), PUBLISHED)}


def recipe_named(name: str) -> Recipe:
    """Return the recipe of that name; UsageError names the nearest."""
    if name not in RECIPES:
        raise unknown("recipe", name, list(RECIPES))
    return RECIPES[name]
