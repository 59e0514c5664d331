"""What is run and how: one RunSpec, built once from the command line or read from a record.

Everything that has to name, compare, hash or repeat a run asks its RunSpec: labels, file-name slugs, the command that
runs it again, and the run key. The values an option may take stand here once.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from repro.errors import UsageError, unknown

if TYPE_CHECKING:
    from pydantic import JsonValue

LARGEST_SEED = 2**32 - 1  # numpy's
MOST_SEEDS = 1_000
NUMBERS: Mapping[str, int] = {"micro_batches": 10**9, "epochs": 1_000, "limit": 10**9}  # and the most of each
RECIPE_EPOCHS = 2  # of every recipe; another number was asked for


class Protocol(StrEnum):
    """When the classification head is drawn: after the seed is set, or before it, as the notebook does."""

    SEEDED = "seeded"
    AS_PUBLISHED = "as-published"


class Precision(StrEnum):
    """Arithmetic of training; `auto` is what the machine computes natively."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Batching(StrEnum):
    """How texts of different lengths share a batch: end to end, padded to its longest, or to the corpus's longest."""

    PACKED = "packed"
    DYNAMIC = "dynamic"
    PADDED = "padded"


class Device(StrEnum):
    """Where training runs; `auto` takes a usable GPU, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Choice = TypeVar("Choice", bound=StrEnum)
ALIASES: Mapping[str, str] = {"gpu": "cuda"}


def choice(kind: type[Choice], text: str) -> Choice:
    """Return the member of `kind` with that value; UsageError names the nearest."""
    try:
        return kind(ALIASES.get(text, text))
    except ValueError:
        raise unknown(kind.__name__.lower(), text, [str(member) for member in kind]) from None


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One section of the seminar, or all of them where it is empty, on one recipe, corpus and seed, run in one way.

    `epochs` is None for the recipe's own, `limit` None for every row; `batch_size` is not part of it: the recipe's is
    global, whatever `micro_batches` and processes share it.
    """

    section: str = ""
    recipe: str = "distilbert"
    corpus: str = "emotion"
    seed: int = 0
    protocol: Protocol = Protocol.SEEDED
    precision: Precision = Precision.FP32
    batching: Batching = Batching.PACKED
    device: Device = Device.CPU
    micro_batches: int = 1
    epochs: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        """Turn plain text into the enumerations' members and refuse numbers that no run can have."""
        for name, kind in CHOICES.items():
            object.__setattr__(self, name, choice(kind, getattr(self, name)))
        for name, most in NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} {value}: expected at least 1, at most {most}", f"Leave {option} out for the default."
                )

    @property
    def setup(self) -> RunSpec:
        """The same without section and seed: what runs share whose seeds are averaged."""
        return replace(self, section="", seed=0)

    @property
    def label(self) -> str:
        """In words: `minilm on emotion, bf16, packed`, and whatever differs from the defaults."""
        return ", ".join((f"{self.recipe} on {self.corpus}", self.precision, self.batching, *self._unusual()))

    @property
    def slug(self) -> str:
        """The same as a part of a file's name: `emotion-minilm-bf16-packed`."""
        unusual = (re.sub(r"[ _]+", "-", part) for part in self._unusual())
        return "-".join((self.corpus, self.recipe, self.precision, self.batching, *unusual))

    def _unusual(self) -> list[str]:
        differing = RunSpec().differing(self)
        return [text.format(getattr(self, name)) for name, text in UNUSUAL.items() if name in differing]

    def command(self, sections: Sequence[str] = (), seeds: Iterable[int] | None = None) -> str:
        """Return the command that runs it again, for several sections and seeds if they are given."""
        words = ["python", "-m", "repro", "run", *(sections or filter(None, [self.section]))]
        said = {"recipe", "corpus", "precision", "batching", "device", *RunSpec().differing(self)} - {"section", "seed"}
        for name in (field.name for field in fields(self) if field.name in said):
            value = "hub" if (name, getattr(self, name)) == ("corpus", "emotion") else getattr(self, name)
            words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join([*words, "--seeds", seed_ranges([self.seed] if seeds is None else seeds)])

    def as_json(self) -> dict[str, JsonValue]:
        """Return the fields as plain JSON values."""
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in asdict(self).items()}

    def differing(self, other: RunSpec) -> list[str]:
        """Return the names of the fields in which two runs differ."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


CHOICES: Mapping[str, type[StrEnum]] = {kind.__name__.lower(): kind for kind in (Protocol, Precision, Batching, Device)}
UNUSUAL: Mapping[str, str] = {
    "protocol": "{}", "device": "{}",
    "micro_batches": "{} micro-batches", "epochs": "{} epochs", "limit": "first {} rows",
}  # fmt: skip


def run_key(decided_by: Mapping[str, Any]) -> str:
    """Return the key of a run: the SHA-256 of canonical JSON of everything that decides its result."""
    import hashlib

    text = json.dumps(decided_by, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted names of what two runs were not decided by alike."""
    names = []
    for name in sorted(key for key in {*one, *other} if one.get(key) != other.get(key)):
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            names += differing(a, b, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def parse_seeds(text: str) -> list[int]:
    """Read `0`, `0,3,5` or `0-4` (ends included); UsageError for anything else and for a seed that repeats."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last <= LARGEST_SEED or last - first >= MOST_SEEDS:
            what = f"is no seed from 0 to {LARGEST_SEED} and no range of at most {MOST_SEEDS}"
            raise UsageError(f"--seeds {text!r}: {part.strip()!r} {what}", "Write 0, 0,1,2 or 0-4.")
        seeds += range(first, last + 1)
    if repeated := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise UsageError(f"--seeds {text!r}: seed {repeated[0]} repeats", "Name every seed once: it is one sample.")
    return seeds


def seed_ranges(seeds: Iterable[int]) -> str:
    """Write seeds as `--seeds` takes them: `0-4,7`."""
    ranges = []
    for _, group in groupby(enumerate(sorted(set(seeds))), key=lambda place: place[1] - place[0]):
        run = [seed for _, seed in group]
        ranges.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ",".join(ranges)
