"""What a record holds: recipe, corpus, settings, scores, row results, seconds and provenance of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from repro.records.provenance import Provenance
from repro.spec import RECIPE_EPOCHS, RunSpec

SCHEMA_VERSION: Literal[1, 2] = 2
LARGEST = 2**63
TOLERANCE = 1e-6  # between a score and what its confusion matrix gives
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")  # what the label ids 0 to 5 of a record mean
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=LARGEST)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]  # a part of a file's path: it can't leave the folder
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _finite(value: JsonValue) -> JsonValue:
    """Refuse numbers that no section measures: infinite ones, and integers beyond 64 bits."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(item)
    if isinstance(value, int | float) and not abs(value) < LARGEST:
        raise ValueError("a number is not finite, or larger than 64 bits")
    return value


class Strict(BaseModel):
    """What is read from a file and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class RecipeStamp(Strict):
    """The checkpoint that was used (hashes of its weights and, from schema 2, its behaviour) and hyper-parameters.

    `checkpoint`, `revision` and `weights_sha256` are empty where the section reads none; older records name one there.
    """

    name: Name
    checkpoint: str
    revision: str
    weights_sha256: str
    learning_rate: float
    batch_size: int
    epochs: int
    weight_decay: float
    max_grad_norm: float
    warmup_steps: int
    max_length: int
    behaviour: dict[str, str] | None = None


class SplitStamp(Strict):
    """One split as used: rows, rows a label, SHA-256 of its lines sorted (`content`) and as they come (`ordered`)."""

    rows: Count
    labels: list[Count]
    content: str
    ordered: str


class CorpusStamp(Strict):
    """The corpus as used, after any `--limit`."""

    name: Name
    splits: dict[str, SplitStamp]


class Settings(Strict):
    """How the recipe was run, as opposed to what it is; `auto` is resolved."""

    seed: Count
    protocol: Literal["as-published", "seeded"]
    precision: Literal["fp32", "bf16", "fp16"]
    batching: Literal["padded", "dynamic", "packed"]
    device: Literal["cpu", "cuda"]
    micro_batches: int
    limit: int | None

    @classmethod
    def of(cls, spec: RunSpec) -> Settings:
        """Return the settings of a run."""
        values = spec.as_json()
        return cls.model_validate({name: values[name] for name in cls.model_fields})


class Scores(Strict):
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

    def differing(self) -> list[str]:
        """Return the names of the scores that are not, to 1e-6, what the confusion matrix gives."""
        rows, n = self.confusion, max(self.n, 1)
        sizes = [(row[i], sum(row), sum(other[i] for other in rows)) for i, row in enumerate(rows)]
        f1 = [2 * hits / max(labels + predicted, 1) for hits, labels, predicted in sizes]
        weighted = sum(score * labels for score, (_, labels, _) in zip(f1, sizes, strict=True)) / n
        accuracy, macro = sum(hits for hits, _, _ in sizes) / n, sum(f1) / max(len(f1), 1)
        pairs = [
            ("accuracy", self.accuracy, accuracy), ("weighted_f1", self.weighted_f1, weighted),
            ("macro_f1", self.macro_f1, macro), *(("class_f1", *pair) for pair in zip(self.class_f1, f1, strict=False)),
        ]  # fmt: skip
        differing = [name for name, stated, recomputed in pairs if abs(stated - recomputed) > TOLERANCE]
        return list(dict.fromkeys([*differing, *["class_f1"] * (len(self.class_f1) != len(f1))]))


class Epoch(Strict):
    """One epoch of training: mean training loss (nats), first and last learning rate, seconds without evaluation."""

    epoch: int
    steps: int
    train_loss: float
    first_learning_rate: float
    last_learning_rate: float
    train_seconds: float
    tweets_per_second: float


class RowResults(Strict):
    """What was predicted for each row of a split, in its order; losses in nats, to six decimals."""

    labels: list[int]
    predictions: list[int]
    losses: list[float] | None = None


class Measurements(Strict):
    """What a section returns: facts (compared as they are), scores, epochs and row results."""

    facts: dict[str, Annotated[JsonValue, AfterValidator(_finite)]] = {}
    scores: dict[str, Scores] = {}
    epochs: list[Epoch] = []
    rows: dict[str, RowResults] = {}


class RunRecord(Measurements):
    """One section, recipe, corpus and seed: everything that verdicts, tables and figures are made from.

    `seconds` are those of its phases, `peak_mib` the most memory of its process, `gpu_peak_mib` the most that torch's
    allocator had given out on a GPU. `run_key` is the SHA-256 of all that decided the result, `source_sha256` of the
    code among it; `declared_seeds` were named together with this one. Older records lack these and `precision_reason`.
    """

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    run_key: Sha256 | None = None
    source_sha256: Sha256 | None = None
    declared_seeds: list[Count] | None = None
    precision_reason: str | None = None
    experiment: Name
    recipe: RecipeStamp
    corpus: CorpusStamp
    settings: Settings
    seconds: dict[str, float] = {}
    peak_mib: float
    gpu_peak_mib: float | None = None
    provenance: Provenance

    @property
    def folder(self) -> Path:
        """The record's folder below `results/runs`."""
        return Path(self.corpus.name, self.recipe.name, self.experiment)

    @property
    def spec(self) -> RunSpec:
        """What was run and how."""
        return RunSpec(
            section=self.experiment,
            recipe=self.recipe.name,
            corpus=self.corpus.name,
            epochs=None if self.recipe.epochs == RECIPE_EPOCHS else self.recipe.epochs,
            **self.settings.model_dump(),
        )

    def at(self, path: str) -> Any:
        """Return the value at a dotted path such as `scores.dummy/validation.accuracy`; KeyError where none is."""
        value: Any = self
        for part in path.split("."):
            try:
                whole = vars(value) if isinstance(value, BaseModel) else value
                value = whole[int(part)] if isinstance(whole, list) else whole[part]
            except (KeyError, IndexError, TypeError, ValueError):
                raise KeyError(path) from None
        return value


class ModelStamp(Strict):
    """Identity of a fine-tuned model: the SHA-256 of each of its files, and the run, settings and scores behind it.

    `behaviour` is what the saved tokenizer and configuration do; models of earlier versions have no `files`.
    """

    weights_sha256: str
    files: dict[str, str] = Field(default_factory=dict)
    behaviour: dict[str, str] = Field(default_factory=dict)
    run_key: str | None = None
    recipe: RecipeStamp
    corpus: CorpusStamp
    settings: Settings
    scores: dict[str, Scores]

    def final_scores(self) -> dict[str, Scores]:
        """Return the scores after the last epoch: validation, then test."""
        names = (f"epoch-{self.recipe.epochs}/validation", "test")
        return {name: self.scores[name] for name in names if name in self.scores}

    def warning(self) -> str:
        """Return where the model is no better than always giving the commonest label; empty where it is."""
        for name, scores in self.final_scores().items():
            split = name.rpartition("/")[2]
            label, rows = max(zip(LABELS, self.corpus.splits[split].labels, strict=True), key=lambda pair: pair[1])
            share = rows / self.corpus.splits[split].rows
            if scores.accuracy <= share:
                always = f"always answering {label} ({share:.3f})"
                return f"its accuracy on {split}, {scores.accuracy:.3f}, is no better than {always}"
        return ""
