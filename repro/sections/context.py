"""What a section is given: the run's spec, recipe, corpus and checkpoint, and where its files are."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any

from repro.assets.checkpoints import Checkpoint, file_sha256
from repro.assets.corpus import SPLITS, Corpus
from repro.records.provenance import library_versions
from repro.records.schema import RecipeStamp, Settings
from repro.records.source import source_sha256
from repro.sections.section import module_of
from repro.spec import RunSpec
from repro.training.progress import Progress

if TYPE_CHECKING:
    from accelerate import Accelerator
    from pydantic import JsonValue
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from repro.assets.recipes import Recipe
    from repro.training.data import Examples


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where inputs come from: a corpus (`hub`, `rehearsal` or a folder), further checkpoints, the notebook to verify.

    Without a corpus here it is the one that the spec names.
    """

    corpus: str | None = None
    checkpoints: Path | None = None
    seminar: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is left beside records: fine-tuned models in `save`, and the files of a tracker."""

    save: Path | None = None
    track: str = "none"
    tracking_folder: Path = Path("tracking")


@dataclass(frozen=True, kw_only=True)
class Context:
    """One recipe on one corpus, run in one way; `spec` has neither section nor seed, which vary within it.

    `precision_reason` says why `auto` chose the precision, `declared_seeds` are those that the command named,
    `seconds` how long the phases of the run in hand took.
    What it holds beyond its fields is made once, when a section asks for it; a replaced context starts without it.
    """

    spec: RunSpec
    recipe: Recipe
    corpus: Corpus
    checkpoint: Checkpoint
    sources: Sources = Sources()
    outputs: Outputs = Outputs()
    progress: Progress = field(default_factory=Progress)
    precision_reason: str | None = None
    declared_seeds: tuple[int, ...] | None = None
    seconds: dict[str, float] = field(init=False, repr=False, compare=False, default_factory=dict)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time that the block takes to the seconds of that phase of the run."""
        started = time.perf_counter()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started

    def changed(self, **changes: Any) -> Context:
        """Return the context with other values in its spec, such as `batching="padded"`."""
        return replace(self, spec=replace(self.spec, **changes))

    @cached_property
    def models(self) -> Path:
        """Where fine-tuned models are saved: the `save` folder, or one that is removed when the process ends."""
        return self.outputs.save or Path(mkdtemp(dir=_scratch().name))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's own tokenizer."""
        from repro.assets.loading import load_tokenizer

        return load_tokenizer(self.checkpoint.folder, self.recipe)

    @cached_property
    def accelerator(self) -> Accelerator:
        """The Accelerator for the device and precision."""
        from repro.training.device import make_accelerator

        return make_accelerator(device=self.spec.device, precision=self.spec.precision)

    @cached_property
    def behaviour(self) -> dict[str, str]:
        """What the checkpoint does once it is loaded: hashes of its tokenizer, probe texts and configuration."""
        from repro.assets.loading import behaviour_of

        return behaviour_of(self.checkpoint.folder, self.tokenizer)

    @cached_property
    def examples(self) -> dict[str, Examples]:
        """The three splits, tokenized."""
        import torch

        from repro.training.data import Examples, tokenize

        return {
            split: Examples(
                tokens=tokenize(self.tokenizer, self.corpus.texts(split), max_length=self.recipe.max_length),
                labels=torch.tensor(self.corpus.labels(split)),
            )
            for split in SPLITS
        }

    @cached_property
    def cls_states(self) -> dict[str, Tensor]:
        """The [CLS] states of the frozen encoder for train and validation, each (n, H), in fp32."""
        from repro.assets.loading import load_encoder
        from repro.training.predict import cls_states

        encoder, options = load_encoder(self.checkpoint.folder), {"batch_size": self.recipe.batch_size, **self.running}
        return {split: cls_states(encoder, self.examples[split].tokens, **options) for split in ("train", "validation")}

    @property
    def running(self) -> dict[str, Any]:
        """What training and prediction are given alike: `accelerator`, `batching` and `progress`."""
        return {"accelerator": self.accelerator, "batching": self.spec.batching, "progress": self.progress}

    def recipe_stamp(self) -> RecipeStamp:
        """Return the recipe as a record holds it, with the hash of the weights that are used and what they do."""
        used: dict[str, Any] = {"weights_sha256": self.checkpoint.weights_sha256, "behaviour": self.behaviour}
        names = RecipeStamp.model_fields.keys() - used.keys()
        return RecipeStamp(**used, **{name: getattr(self.recipe, name) for name in names})

    def settings(self, seed: int) -> Settings:
        """Return the settings of one seed as a record holds them."""
        return Settings.of(replace(self.spec, seed=seed))

    def decided_by(self, section: str, seed: int, file: Path | None = None) -> dict[str, JsonValue]:
        """Return everything that decides the result of a run: what its key is made of. `file` is one more it reads."""
        spec = replace(self.spec, section=section, seed=seed).as_json()
        del spec["epochs"]  # the recipe's stamp has them
        return {
            **spec,
            "recipe": self.recipe_stamp().model_dump(mode="json"),
            "corpus": self.corpus.stamp.model_dump(mode="json"),
            "processes": self.accelerator.num_processes,
            "file_sha256": file_sha256(file) if file and file.is_file() else None,
            "source": source_sha256(module_of(section)),
            "python": platform.python_version(),
            "versions": {**library_versions()},
        }


@cache
def _scratch() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="seminar-repro-")  # removed when the process ends
