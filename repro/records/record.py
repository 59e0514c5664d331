"""A run's record: recipe, corpus, settings, scores, row results, seconds and provenance, as one JSON file.

Records are append-only: a run is written to a temporary file in its own folder, flushed to the disk and renamed
under a name that no other run has.
"""

from __future__ import annotations

import gc
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from repro.errors import RecordError, ResultsError
from repro.records.durable import write_new
from repro.records.provenance import Provenance
from repro.records.seal import sealed, unsealed
from repro.spec import RECIPE_EPOCHS, Batching, Device, Precision, Protocol, RunSpec

SCHEMA_VERSION = 1
LARGEST = 2**63
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")  # what the label ids 0 to 5 of a record mean
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]  # a part of a file's path: it can't leave the folder


def _finite(value: JsonValue) -> JsonValue:
    """Refuse numbers that no experiment measures: infinite ones, and whole ones beyond 64 bits."""
    if isinstance(value, dict):
        for found in value.values():
            _finite(found)
    elif isinstance(value, list):
        numbers: list[Any] = value
        with suppress(TypeError, OverflowError):  # not all of them are numbers
            if sum(map(abs, numbers)) < LARGEST:  # then each is: thousands may stand here
                return value
        for found in value:
            _finite(found)
    elif isinstance(value, int | float) and not abs(value) < LARGEST:
        raise ValueError("a number is not finite, or larger than 64 bits")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RecipeStamp(_Strict):
    """The checkpoint that was really used (`weights_sha256` is of the file read) and every hyper-parameter."""

    name: Name
    checkpoint: str
    revision: str
    weights_sha256: str
    behaviour: dict[str, str] | None = None  # of what was loaded; records from before it was compared have none
    learning_rate: float
    batch_size: int
    epochs: int
    weight_decay: float
    max_grad_norm: float
    warmup_steps: int
    max_length: int


class SplitStamp(_Strict):
    """One split as used: rows, rows a label, SHA-256 of its lines sorted (`content`) and as they come (`ordered`)."""

    rows: Count
    labels: list[Count]
    content: str
    ordered: str


class CorpusStamp(_Strict):
    """The corpus as used, after any `--limit`."""

    name: Name
    splits: dict[str, SplitStamp]


class Settings(_Strict):
    """How the recipe was run, as against what it is."""

    seed: Count
    protocol: Literal["as-published", "seeded"]
    precision: Literal["fp32", "bf16"]
    batching: Literal["padded", "dynamic", "packed"]
    device: Literal["cpu", "cuda"]
    micro_batches: int
    limit: int | None


class Scores(_Strict):
    """Scores of one classifier on one split of `n` rows; intervals are 95 %, the loss is mean cross-entropy (nats)."""

    n: Count
    accuracy: Share
    accuracy_interval: tuple[Share, Share]
    weighted_f1: Share
    weighted_f1_interval: tuple[Share, Share]
    macro_f1: Share
    class_f1: list[Share]
    confusion: list[list[Count]]
    loss: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Scores:
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("the confusion matrix is not square")
        hits = sum(row[i] for i, row in enumerate(self.confusion))
        if sum(map(sum, self.confusion)) != self.n or abs(hits - self.accuracy * self.n) > 0.5:  # noqa: PLR2004 (of a row)
            raise ValueError("n or accuracy is not that of the confusion matrix")
        return self


class Epoch(_Strict):
    """One epoch of training: mean training loss (nats), first and last learning rate, seconds without evaluation."""

    epoch: int
    steps: int
    train_loss: float
    first_learning_rate: float
    last_learning_rate: float
    train_seconds: float
    tweets_per_second: float


class RowResults(_Strict):
    """What was predicted for each row of a split, in its order; losses in nats, to six decimals."""

    labels: list[int]
    predictions: list[int]
    losses: list[float] | None = None


class Measurements(_Strict):
    """What an experiment returns: facts (compared as they are), scores, epochs, row results and seconds by phase."""

    facts: dict[str, Annotated[JsonValue, AfterValidator(_finite)]] = {}
    scores: dict[str, Scores] = {}
    epochs: list[Epoch] = []
    rows: dict[str, RowResults] = {}
    seconds: dict[str, float] = {}


class RunRecord(Measurements):
    """One experiment, recipe, corpus and seed: everything that verdicts, tables and figures are made from.

    `run_key` is the SHA-256 of all that decided the result; records from before there was one have none.
    """

    schema_version: Literal[1] = 1
    run_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    experiment: Name
    recipe: RecipeStamp
    corpus: CorpusStamp
    settings: Settings
    peak_mib: float
    provenance: Provenance

    @property
    def folder(self) -> Path:
        """The record's folder below `results/runs`."""
        return Path(self.corpus.name, self.recipe.name, self.experiment)

    @property
    def spec(self) -> RunSpec:
        """What was run and how."""
        settings = self.settings
        return RunSpec(
            section=self.experiment, recipe=self.recipe.name, corpus=self.corpus.name, seed=settings.seed,
            protocol=Protocol(settings.protocol), precision=Precision(settings.precision),
            batching=Batching(settings.batching), device=Device(settings.device),
            micro_batches=settings.micro_batches, limit=settings.limit,
            epochs=None if self.recipe.epochs == RECIPE_EPOCHS else self.recipe.epochs,
        )  # fmt: skip

    def at(self, path: str) -> Any:
        """Return the value at a dotted path such as `scores.dummy/validation.accuracy`; KeyError where none is."""
        value: Any = self
        for part in path.split("."):
            if isinstance(value, BaseModel):
                if part not in type(value).model_fields:
                    raise KeyError(path)
                value = getattr(value, part)
            elif isinstance(value, list):
                try:
                    value = value[int(part)]
                except (ValueError, IndexError):
                    raise KeyError(path) from None
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                raise KeyError(path)
        return value


def inside(results: Path, path: Path) -> Path:
    """Return the path, which must lie in the results folder; ResultsError where a link leads out of it."""
    if not path.resolve().is_relative_to(results.resolve()):
        raise ResultsError(
            f"{path} leads out of the results folder {results}",
            "Replace the link by a folder; nothing was written there.",
        )
    return path


def prepare_results(results: Path) -> None:
    """Make the results folder and prove that a record can be written there, before anything is measured."""
    try:
        inside(results, results / "runs").mkdir(parents=True, exist_ok=True)
        probe = results / "runs" / f".probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ResultsError(
            f"cannot write to the results folder {results}: {error.strerror or error}",
            "Name a folder you may write to with --results or REPRO_RESULTS; nothing was run.",
        ) from None


def write_record(record: RunRecord, results: Path) -> Path:
    """Write the record below `results/runs` durably and without overwriting; return its path."""
    folder = inside(results, results / "runs" / record.folder)
    stamp = re.sub(r"[-:]", "", record.provenance.started)
    name = f"{stamp}-seed{record.settings.seed}-{secrets.token_hex(4)}.json"
    try:
        write_new(folder / name, sealed(_to_json(record)).encode())
    except OSError as error:
        raise ResultsError(
            f"cannot write the record {folder / name}: {error.strerror or error}",
            "Free space or choose another --results folder; records already written are untouched.",
        ) from None
    return folder / name


def read_record(path: Path) -> RunRecord:
    """Read and validate one record; RecordError names the file and the first thing that is wrong with it."""
    try:
        return RunRecord.model_validate_json(unsealed(path.read_bytes()))
    except OSError as error:
        what = error.strerror or str(error)
    except RecordError as error:
        what = error.what
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
    raise RecordError(
        f"{path} is no valid record (schema {SCHEMA_VERSION}): {what}",
        "Move the file out of the folder, or restore it; no other record was touched.",
    )


def read_records(results: Path) -> list[RunRecord]:
    """Read every record below `results/runs`, oldest first; a results folder without the `runs` folder is an error."""
    runs = results / "runs"
    if not runs.is_dir():
        raise ResultsError(
            f"{results} holds no records (no folder {runs})",
            "Run something first: python -m repro run --results " + str(results),
        )
    paths: list[Path] = []
    for folder, _, names in os.walk(runs, onerror=_refuse_unreadable):
        paths += (Path(folder, name) for name in names if name.endswith(".json"))
    with _no_collection():
        records = [read_record(path) for path in sorted(paths)]
    return sorted(records, key=lambda record: record.provenance.started)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for garbage: none is made here, and of 10,000 records it costs half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _refuse_unreadable(error: OSError) -> None:
    raise ResultsError(
        f"cannot read {error.filename}: {error.strerror}",
        "Make it readable: unread, it would count as not run.",
    ) from None


def _to_json(record: RunRecord) -> str:
    text = record.model_dump_json(indent=1)
    # one line for each list of plain numbers: 2,000 predictions read, diff and pack better that way
    # (no string of JSON holds a raw newline, so none is touched)
    return re.sub(r"\[\n[\s\d.,eE+-]*\]", lambda found: re.sub(r"\s+", "", found.group()), text) + "\n"
