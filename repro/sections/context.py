"""What an experiment is given: recipe, corpus, checkpoint and settings, and what several experiments share."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any

from repro.assets.checkpoints import WEIGHTS, Checkpoint, file_sha256, locate_checkpoint
from repro.assets.corpus import SPLITS, Corpus, check_limit, load_corpus
from repro.assets.loading import behaviour_of
from repro.assets.notebook import read_notebook
from repro.assets.recipes import Recipe, recipe_named
from repro.errors import UsageError, unknown
from repro.records.record import RecipeStamp, Settings
from repro.records.run_key import code_parts
from repro.sections.tracking import check_tracker
from repro.training.progress import Progress

if TYPE_CHECKING:
    from accelerate import Accelerator
    from pydantic import JsonValue
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from repro.training.batches import Examples


LARGEST_SEED = 2**32 - 1  # numpy's
MOST_SEEDS = 1_000
MOST_EPOCHS = 1_000
PROTOCOLS = ("as-published", "seeded")
PRECISIONS = ("fp32", "bf16")
BATCHINGS = ("packed", "dynamic", "padded")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Context:
    """One recipe on one corpus with one way of running it; seeds vary within it.

    `checkpoints` is the folder in which an experiment looks for further ones, `seminar` the notebook being verified.
    Tokens and hidden states are made once and shared; `seconds` of making them go to who asks first. `save` is where
    fine-tuned models are to stay; `track` names a tracker, whose files go into `tracking_folder`.
    """

    recipe: Recipe
    corpus: Corpus
    checkpoint: Checkpoint
    protocol: str = "seeded"
    precision: str = "fp32"
    batching: str = "packed"
    device: str = "cpu"
    micro_batches: int = 1
    limit: int | None = None
    checkpoints: Path | None = None
    seminar: Path | None = None
    save: Path | None = None
    track: str = "none"
    tracking_folder: Path = Path("tracking")
    progress: Progress = field(default_factory=Progress)

    @cached_property
    def models(self) -> Path:
        """Where fine-tuned models are kept: the `save` folder, or one that is removed when the process ends."""
        return self.save or Path(mkdtemp(dir=_scratch().name))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's own tokenizer."""
        from repro.assets.loading import load_tokenizer

        return load_tokenizer(self.checkpoint.folder, self.recipe)

    @cached_property
    def behaviour(self) -> dict[str, str]:
        """What the checkpoint does once it is loaded: hashes of its tokenizer, probe texts and configuration."""
        return behaviour_of(self.checkpoint.folder, self.tokenizer)

    @cached_property
    def examples(self) -> dict[str, Examples]:
        """The three splits, tokenized."""
        import torch

        from repro.training.batches import Examples
        from repro.training.tokens import tokenize

        return {
            split: Examples(
                tokens=tokenize(self.tokenizer, self.corpus.texts(split), max_length=self.recipe.max_length),
                labels=torch.tensor(self.corpus.labels(split)),
            )
            for split in SPLITS
        }

    @cached_property
    def cls_states(self) -> dict[str, Tensor]:
        """[CLS] states of the frozen encoder for train and validation, each (n, H)."""
        from repro.assets.loading import load_encoder
        from repro.training.predict import cls_states

        encoder = load_encoder(self.checkpoint.folder)
        return {
            split: cls_states(
                encoder,
                self.examples[split].tokens,
                accelerator=self.accelerator,
                batching=self.batching,
                batch_size=self.recipe.batch_size,
                progress=self.progress,
            )
            for split in ("train", "validation")
        }

    @cached_property
    def accelerator(self) -> Accelerator:
        """The Accelerator for the device and precision."""
        from repro.training.loop import make_accelerator

        return make_accelerator(device=self.device, precision=self.precision)

    def recipe_stamp(self) -> RecipeStamp:
        """Return the recipe as a record holds it, with the hash of the weights that are used and what they do."""
        of_the_checkpoint = {"weights_sha256": self.checkpoint.weights_sha256, "behaviour": self.behaviour}
        fields: dict[str, Any] = {
            name: getattr(self.recipe, name) for name in RecipeStamp.model_fields if name not in of_the_checkpoint
        }
        return RecipeStamp(**of_the_checkpoint, **fields)

    def decided_by(self, experiment: str, seed: int) -> dict[str, JsonValue]:
        """Return everything that decides the result of a run: what its key is made of."""
        return {
            "experiment": experiment,
            "recipe": self.recipe_stamp().model_dump(mode="json"),
            "corpus": self.corpus.stamp.model_dump(mode="json"),
            "settings": self.settings(seed).model_dump(mode="json"),
            "processes": self.accelerator.num_processes,
            **self._read_by(experiment, seed),
            **code_parts(),
        }

    def _read_by(self, experiment: str, seed: int) -> dict[str, JsonValue]:
        """Return the hash of the file that an experiment reads besides corpus and checkpoint, if it is there."""
        from repro.sections.models import model_folder

        file = self.seminar if experiment == "tour" else None
        if experiment == "inference" and self.save:
            file = model_folder(self, seed) / WEIGHTS
        return {"file_sha256": file_sha256(file) if file and file.is_file() else None}

    def settings(self, seed: int) -> Settings:
        """Return the settings of one run as a record holds them."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Settings.model_fields if name != "seed"}
        return Settings(seed=seed, **fields)


@cache
def _scratch() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="seminar-repro-")  # removed when the process ends


def make_context(
    *,
    recipe: str,
    corpus: str,
    checkpoints: Path | None = None,
    protocol: str = "seeded",
    precision: str = "fp32",
    batching: str = "packed",
    device: str = "auto",
    micro_batches: int = 1,
    epochs: int | None = None,
    limit: int | None = None,
    seminar: Path | None = None,
    save: Path | None = None,
    track: str = "none",
    tracking_folder: Path = Path("tracking"),
    progress: Progress | None = None,
) -> Context:
    """Check every value, cheapest first, then find the checkpoint, load the corpus and take hold of the device.

    Processes that share a batch must divide the recipe's; the environment says how many a launcher started.
    `epochs` overrides the recipe's; the record then says so, and no claim that needs the recipe is comparable.
    """
    chosen = recipe_named(recipe)
    choose("protocol", protocol, PROTOCOLS)
    choose("precision", precision, PRECISIONS)
    choose("batching", batching, BATCHINGS)
    choose("device", device, DEVICES)
    if epochs is not None:
        if not 1 <= epochs <= MOST_EPOCHS:
            raise UsageError(
                f"--epochs {epochs}: expected at least 1, at most {MOST_EPOCHS}",
                "Leave --epochs out for the recipe's own.",
            )
        chosen = replace(chosen, epochs=epochs)
    check_limit(limit)
    if seminar is not None:
        read_notebook(seminar)  # what it lacks is told before anything runs
    check_tracker(track)
    from repro.training.processes import check_processes, wait_time

    check_processes(chosen.batch_size)
    wait_time()
    from repro.training.loop import check_micro_batches, choose_device

    check_micro_batches(micro_batches, chosen.batch_size)
    return Context(
        recipe=chosen,
        device=choose_device(device, precision),
        checkpoint=locate_checkpoint(chosen, checkpoints),
        corpus=load_corpus(corpus, limit=limit),
        protocol=protocol,
        precision=precision,
        batching=batching,
        micro_batches=micro_batches,
        limit=limit,
        checkpoints=checkpoints,
        seminar=seminar,
        save=save,
        track=track,
        tracking_folder=tracking_folder,
        progress=progress or Progress.for_terminal(),
    )


@contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add the time that the block takes to `seconds[phase]`."""
    begun = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - begun


def parse_seeds(text: str) -> list[int]:
    """Read `0`, `0,3,5` or `0-4` (ends included); UsageError for anything else and for a seed that repeats."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part, re.ASCII)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not first <= last <= LARGEST_SEED or last - first >= MOST_SEEDS:
            raise UsageError(
                f"--seeds {text!r}: {part.strip()!r} is no seed from 0 to {LARGEST_SEED} and no range of at most "
                f"{MOST_SEEDS}",
                "Write 0, 0,1,2 or 0-4.",
            )
        seeds += range(first, last + 1)
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise UsageError(f"--seeds {text!r}: seed {repeated[0]} repeats", "Name every seed once: it is one sample.")
    return seeds


def choose(kind: str, value: str, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of `known`; UsageError otherwise."""
    if value not in known:
        raise unknown(kind, value, list(known))
    return value
