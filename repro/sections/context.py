"""What a section of the seminar is (Section), and what it is given to run (Context)."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any

from repro.assets.checkpoints import Checkpoint, file_sha256, locate_checkpoint
from repro.assets.corpus import SPLITS, Corpus
from repro.records.provenance import library_versions, source_sha256
from repro.records.schema import Measurements, RecipeStamp, RunRecord, Settings
from repro.spec import RunSpec

if TYPE_CHECKING:
    from accelerate import Accelerator
    from pydantic import JsonValue
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from repro.assets.recipes import Recipe
    from repro.claims.cohorts import Cohort
    from repro.display import Drawing, Table
    from repro.training.data import Examples


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the seminar. `heading` is the part of the claims' list under which its figures stand.

    `run` measures it for one seed; that of a `resumable` section also takes the Checkpointer of its training. Of
    processes that share a batch all work on a section that is `together`, the main one alone on the others. `prepare`
    may give the context another recipe; `reads` names one more file that decides the result. The record of a section
    that is not `pretrained` names no checkpoint: it reads none. What is shown, also without torch: `figures` of one
    cohort, `tables` of its newest runs by file name, those of one run in the terminal after it ran.
    """

    name: str
    heading: str
    what: str
    run: Callable[..., Measurements]
    seeded: bool = False
    together: bool = False
    resumable: bool = False
    pretrained: bool = True
    prepare: Callable[[Context], Context] = lambda context: context
    reads: Callable[[Context, int], Path | None] = lambda context, seed: None
    figures: Callable[[Cohort], Iterable[Drawing]] = lambda cohort: ()
    tables: Callable[[Sequence[RunRecord]], Mapping[str, Table]] = lambda runs: {}

    @classmethod
    def of(cls, file: Mapping[str, Any], **fields: Any) -> Section:
        """Return the section that a file with these globals defines: its parts are its functions of those names."""
        parts = {part: file[part] for part in ("run", "prepare", "figures", "tables") if part in file}
        return cls(name=file["__name__"].rpartition(".")[2].replace("_", "-"), **parts, **fields)

    def seeds(self, asked: Iterable[int]) -> list[int]:
        """Return the seeds that are worth a run: those asked for, or seed 0 where none makes a difference."""
        return list(asked) if self.seeded else [0]


def module_of(name: str) -> str:
    """Return the module that holds the section of that name."""
    return f"repro.sections.{name.replace('-', '_')}"


@dataclass(frozen=True, kw_only=True)
class Context:
    """One recipe on one corpus, run in one way; `spec` has neither section nor seed, which vary within it.

    One that is not `pretrained` is for a section that reads no checkpoint: none stands in its recipe's stamp.
    `checkpoints` is a folder with further ones, `seminar` the notebook to verify; fine-tuned models are left in `save`,
    the files of the tracker `track` in `tracking`. `declared_seeds` are those that the command named, `seconds` those
    of the phases of the run in hand. Its properties are made once; a replaced context starts without them.
    """

    spec: RunSpec
    recipe: Recipe
    corpus: Corpus
    pretrained: bool = True
    checkpoints: Path | None = None
    seminar: Path | None = None
    save: Path | None = None
    track: str = "none"
    tracking: Path = Path("tracking")
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
        return self.save or Path(mkdtemp(dir=_scratch().name))

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The recipe's checkpoint, located and verified."""
        return locate_checkpoint(self.recipe, self.checkpoints)

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
        return {name: cls_states(encoder, self.examples[name].tokens, **options) for name in ("train", "validation")}

    @property
    def running(self) -> dict[str, Any]:
        """What training and prediction are given alike."""
        return {"accelerator": self.accelerator, "batching": self.spec.batching}

    @cached_property
    def recipe_stamp(self) -> RecipeStamp:
        """The recipe as a record holds it, with the hash of the weights that are used and what they do once loaded."""
        from repro.assets.loading import behaviour_of

        recipe: dict[str, Any] = {name: getattr(self.recipe, name, "") for name in RecipeStamp.model_fields}
        if self.pretrained:
            recipe |= {"weights_sha256": self.checkpoint.weights_sha256}
            recipe |= {"behaviour": behaviour_of(self.checkpoint.folder, self.tokenizer)}
        else:
            recipe |= {"checkpoint": "", "revision": "", "behaviour": None}
        return RecipeStamp(**recipe)

    def settings(self, seed: int) -> Settings:
        """Return the settings of one seed as a record holds them."""
        return Settings.of(replace(self.spec, seed=seed))

    def decided_by(self, section: str, seed: int, file: Path | None = None) -> dict[str, JsonValue]:
        """Return everything that decides the result of a run: what its key is made of. `file` is one more it reads."""
        spec = replace(self.spec, section=section, seed=seed).as_json()
        del spec["epochs"]  # the recipe's stamp has them
        return {
            **spec,
            "recipe": self.recipe_stamp.model_dump(mode="json"),
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
