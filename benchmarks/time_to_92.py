"""Time to 92: the shortest fine-tuning of all-MiniLM-L6-v2 whose weighted F1 is what the seminar's recipe gives.

The rules are those of docs/speed.md, the entries stand in entries.toml.

    python -m benchmarks.time_to_92 trial fast-head --corpus DIR --set decay=0.8,0.9   # scored on training tweets
    python -m benchmarks.time_to_92 measure fast-head --corpus DIR --seeds 2000-2019   # scored on validation and test
    python -m benchmarks.time_to_92 table                                              # results/time-to-92.csv

A trial never sees validation or test: hyper-parameters are chosen on 2,000 tweets of the training split, and every
trial is logged with the fingerprint of the rows that it was scored on. The seminar's recipe is timed beside the
entries, in turns: whole trainings by `measure`, some steps of every entry by `pace`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

import torch
import typer
from accelerate import Accelerator
from scipy.stats import ttest_1samp
from sklearn.metrics import f1_score
from torch import nn
from transformers import PreTrainedModel, set_seed
from transformers.trainer_pt_utils import get_parameter_names

from repro.assets.loading import load_classifier
from repro.assets.recipes import MINILM
from repro.claims.catalogue import load_catalogue
from repro.claims.references import Figure
from repro.display import Table
from repro.errors import UsageError, unknown
from repro.records.provenance import collect_provenance, utc_now
from repro.sections.context import Context
from repro.sections.runner import open_context
from repro.spec import Device, Precision, RunSpec, parse_seeds
from repro.training.data import ON_GPU, Batch, Examples, TokenizedTexts, batcher, to_device
from repro.training.device import keep_freed_memory
from repro.training.encoder import enable_packing
from repro.training.graphs import GraphedPass, Pass
from repro.training.loop import row_numbers
from repro.training.predict import predict_rows

TARGET, LEVEL = 0.9244, 0.01  # of mean weighted F1 on validation: what the seminar's recipe gives; one-sided
SEEDS = 20  # of an entry that reaches it
HELD_OUT = 2000  # tweets of the training split that trials are scored on
RECIPE = "packed"  # the entry that is timed beside every other
ENTRIES = Path(__file__).with_name("entries.toml")
RESULTS = Path("results", "time-to-92")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A way of fine-tuning; the defaults are the recipe's. See entries.toml."""

    name: str
    change: str
    batching: str = "packed"
    learning_rate: float = MINILM.learning_rate
    epochs: int = MINILM.epochs
    batch_size: int = MINILM.batch_size
    warmup: float = 0.0
    decay: float = 1.0
    frozen: int = 0
    head: float = 1.0
    dropout: bool = True
    shortest: float = 1.0

    def rows(self, among: int) -> int:
        """Return how many rows among so many it trains on."""
        return round(self.shortest * among)

    def steps(self, rows: int) -> int:
        """Return the optimizer steps of a training on its part of so many rows."""
        return self.epochs * -(-self.rows(rows) // self.batch_size)

    def rate(self, step: int, steps: int) -> float:
        """Return the share of the peak rate at a step, counted from 0, of all steps."""
        rising = self.warmup * steps
        return step / rising if step < rising else (steps - step) / (steps - rising)


def read_entries(path: Path = ENTRIES) -> dict[str, Entry]:
    """Return the entries by name, in their order."""
    return {name: Entry(name=name, **it) for name, it in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def entry_named(name: str) -> Entry:
    """Return an entry; UsageError names the nearest."""
    entries = read_entries()
    if name not in entries:
        raise unknown("entry", name, list(entries))
    return entries[name]


def make_optimizer(model: PreTrainedModel, entry: Entry) -> torch.optim.AdamW:
    """Return AdamW with a rate a layer, without weight decay on biases and LayerNorm; frozen parts get no gradient."""
    base: Any = model.base_model
    layers = (base.encoder if hasattr(base, "encoder") else base.transformer).layer
    stages: list[nn.Module] = [base.embeddings, *layers]
    for stage in stages[: entry.frozen]:
        stage.requires_grad_(False).eval()
    below = {parameter: len(stages) - i for i, stage in enumerate(stages) for parameter in stage.parameters()}
    decayed = set(get_parameter_names(model, [nn.LayerNorm], ["bias"]))
    groups = [
        {
            "params": [parameter],
            "lr": entry.learning_rate * (entry.decay ** below[parameter] if parameter in below else entry.head),
            "weight_decay": MINILM.weight_decay if name in decayed else 0.0,
        }
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    return torch.optim.AdamW(groups, fused=True)


def train(
    model: PreTrainedModel,
    entry: Entry,
    examples: Examples,
    seed: int,
    *,
    accelerator: Accelerator,
    most: int | None = None,
) -> float:
    """Fine-tune in place; return the seconds from tokens and weights in memory to the final weights.

    `most` ends it after so many steps. With one rate for all an epoch is that of `repro.training.loop.fit` bit for bit.
    """
    start = time.perf_counter()
    keep_freed_memory()
    device = accelerator.device
    on_gpu = device.type == "cuda"
    model.to(device)
    if not entry.dropout:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    set_seed(seed)
    model.train()
    if entry.batching == "packed":
        enable_packing(model)
    optimizer, steps = make_optimizer(model, entry), entry.steps(len(examples))
    if entry.shortest < 1:
        by_length = examples.tokens.lengths.argsort(stable=True)
        examples = rows_of(examples, by_length[: entry.rows(len(examples))].sort().values)
    make_batch = batcher(examples.tokens, entry.batching, **(ON_GPU if on_gpu else {}))
    sampler, loader = row_numbers(len(examples), entry.batch_size, seed)
    peaks = [group["lr"] for group in optimizer.param_groups]

    def run(batch: Batch, weight: float) -> torch.Tensor:
        with accelerator.autocast():
            loss: torch.Tensor = model(**batch).loss * weight
        loss.backward()
        return loss.detach()

    learn: Pass = GraphedPass(run, model) if on_gpu and entry.batching == "packed" else run

    def batches() -> Iterator[torch.Tensor]:
        for epoch in range(entry.epochs):
            sampler.set_epoch(epoch)
            yield from loader

    for step, rows in enumerate(itertools.islice(batches(), most)):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * entry.rate(step, steps)
        learn(to_device(make_batch(rows) | {"labels": examples.labels[rows]}, device), 1.0)
        nn.utils.clip_grad_norm_(model.parameters(), MINILM.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def rows_of(examples: Examples, rows: torch.Tensor) -> Examples:
    """Return some rows (n,) of a split."""
    tokens = examples.tokens
    parts = [tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]] for row in rows]
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), tokens.lengths[rows].cumsum(0)])
    chosen = TokenizedTexts(ids=torch.cat(parts), offsets=offsets, pad_id=tokens.pad_id, truncated=0)
    return Examples(tokens=chosen, labels=examples.labels[rows])


def held_out(examples: Examples) -> tuple[Examples, Examples, str]:
    """Return the training split without HELD_OUT rows drawn once for all, these rows, and their fingerprint."""
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(92))
    scored = rows_of(examples, order[:HELD_OUT].sort().values)
    fingerprint = hashlib.sha256(scored.tokens.ids.numpy().tobytes() + scored.labels.numpy().tobytes()).hexdigest()
    return rows_of(examples, order[HELD_OUT:].sort().values), scored, fingerprint


def run_once(context: Context, entry: Entry, seed: int, examples: Examples, **scored: Examples) -> dict[str, Any]:
    """Fine-tune once and score what is given by name; return a line of the log."""
    started = utc_now()
    set_seed(seed)
    model = load_classifier(context.checkpoint.folder)
    accelerator = context.accelerator
    seconds = train(model, entry, examples, seed, accelerator=accelerator)
    line: dict[str, Any] = {"entry": entry.name, "seed": seed, "seconds": round(seconds, 3)}
    for name, split in scored.items():
        outputs = predict_rows(model, split, batch_size=64, accelerator=accelerator, batching=entry.batching)
        line[name] = round(f1_score(split.labels, outputs.predictions, average="weighted"), 6)
    return line | _noted(context, started)


def _noted(context: Context, started: str) -> dict[str, Any]:
    """Return where and with what code a line was measured."""
    origin = collect_provenance(started=started, threads=torch.get_num_threads())
    noted = {"started", "commit", "dirty", "processor", "threads"}
    machine = torch.cuda.get_device_name() if context.accelerator.device.type == "cuda" else origin.processor
    return origin.model_dump(include=noted) | {
        "torch": origin.versions["torch"], "precision": str(context.spec.precision), "machine": machine,
    }  # fmt: skip


def append(line: Mapping[str, Any], file: str) -> None:
    """Append a line to a log of the results and print it."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / file).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    typer.echo(json.dumps(line))


def read(file: str) -> list[dict[str, Any]]:
    """Return the lines of a log."""
    return [json.loads(line) for line in (RESULTS / file).read_text(encoding="utf-8").splitlines()]


def p_value(f1s: Sequence[float]) -> float:
    """Return the one-sided p of the t test that the mean lies above TARGET."""
    return float(ttest_1samp(f1s, TARGET, alternative="greater").pvalue)


def reached(f1s: Sequence[float]) -> str:
    """Return whether an entry reaches TARGET; fewer than SEEDS runs whose mean is not below it can't tell."""
    if mean(f1s) < TARGET:
        return "no"
    if len(f1s) < SEEDS:
        return "inconclusive"
    return "yes" if p_value(f1s) < LEVEL else "no"


def table_of(
    runs: Iterable[Mapping[str, Any]],
    reference: Sequence[Mapping[str, Any]],
    entries: Mapping[str, Entry],
    paces: Sequence[Mapping[str, Any]],
) -> Table:
    """One row an entry, machine by machine; `reference` has the scores of the recipe, `paces` the turns of steps.

    Seconds are those of whole trainings beside the recipe's where an entry has them, else of its steps; both are
    medians. A padded training is taken to score as a packed one.
    """
    rows: list[Sequence[str]] = []
    machines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        machines.setdefault((run["machine"], run["precision"]), []).append(run)
    for on, members in machines.items():
        alike = [run for run in reference if run["precision"] == on[1]]
        beside = [pace["seconds"] for pace in paces if (pace["machine"], pace["precision"]) == on]
        rows += [(*row, ", ".join(on)) for row in _rows(members, alike, entries, beside)]
    head = (
        "entry", "change", "seeds", "F1 on validation", f"p of a mean of {TARGET} or less", "reaches it", "F1 on test",
        "seconds", "timed by", "times as fast as packed", "as padded", "on",
    )  # fmt: skip
    return Table(head, tuple(map(tuple, rows)))


def _rows(
    runs: Sequence[Mapping[str, Any]],
    reference: Sequence[Mapping[str, Any]],
    entries: Mapping[str, Entry],
    paces: Sequence[Mapping[str, float]],
) -> Iterator[Sequence[str]]:
    recipe = [run["beside"] for run in runs if "beside" in run]
    if not (recipe and paces):
        return
    faster, timed = {RECIPE: 1.0}, {RECIPE: "training"}
    for name in entries:
        whole = [run["beside"] / run["seconds"] for run in runs if run["entry"] == name and "beside" in run]
        ratios = whole or [pace[RECIPE] / pace[name] for pace in paces if name in pace]
        if name != RECIPE and ratios:
            faster[name], timed[name] = median(ratios), "training" if whole else "steps"
    for name, entry in entries.items():
        own = reference if name in ("padded", RECIPE) else [run for run in runs if run["entry"] == name]
        if own and name in faster:
            scores, tested = [run["validation"] for run in own], [run["test"] for run in own]
            p = f"{p_value(scores):.2g}" if len(own) > 1 else ""
            yield (
                name, entry.change, str(len(own)), str(Figure(tuple(scores))), p, reached(scores),
                str(Figure(tuple(tested))), f"{median(recipe) / faster[name]:.0f}", timed[name], f"{faster[name]:.2f}",
                f"{faster[name] / faster['padded']:.1f}",
            )  # fmt: skip


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Corpus = Annotated[str, typer.Option(help="Folder of the emotion tweets.")]
On = Annotated[Device, typer.Option("--device", help="cpu or cuda.")]
In = Annotated[Precision, typer.Option("--precision", help="fp32, or what the GPU has.")]


def _open(corpus: str, device: Device = Device.CPU, precision: Precision = Precision.FP32) -> Context:
    if precision is Precision.FP16:
        raise UsageError("--precision fp16: this loop scales no losses", "Take bf16 or fp32.")
    return open_context(RunSpec(recipe="minilm", device=device, precision=precision), corpus=corpus)


def _value(kind: type, text: str) -> Any:
    """Return a value of an entry's field; UsageError where it is of another kind."""
    values = {"true": True, "false": False} if kind is bool else {}
    try:
        return values[text] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise UsageError(f"--set …={text}: expected {kind.__name__}", "Write true or false, 0.9 or 64.") from None


@app.command()
def trial(
    name: str,
    corpus: Corpus,
    seeds: str = "3000",
    changed: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE of the entry, or VALUE,VALUE.")
    ] = None,
    device: On = Device.CPU,
    precision: In = Precision.FP32,
) -> None:
    """Train on the training split without the held-out tweets, and score on these: every combination of the values."""
    entry, context = entry_named(name), _open(corpus, device, precision)
    kinds = {field.name: type(getattr(entry, field.name)) for field in fields(Entry)}
    choices: dict[str, list[Any]] = {}
    for setting in changed or []:
        key, _, values = setting.partition("=")
        if key not in kinds:
            raise UsageError(f"--set {setting}: expected one of {', '.join(kinds)}", "Write --set learning_rate=4e-4.")
        choices[key] = [_value(kinds[key], value) for value in values.split(",")]
    rest, scored, fingerprint = held_out(context.examples["train"])
    for combination in itertools.product(*choices.values()):
        one = replace(entry, **dict(zip(choices, combination, strict=True)))
        for seed in parse_seeds(seeds):
            line = run_once(context, one, seed, rest, held_out=scored)
            append(line | {"scored on": fingerprint, "settings": asdict(one)}, "trials.jsonl")


@app.command()
def measure(
    name: str,
    corpus: Corpus,
    seeds: str = "2000-2004",
    turns: int = 3,
    device: On = Device.CPU,
    precision: In = Precision.FP32,
) -> None:
    """Run an entry on its seeds, and the recipe beside the first of them, in turns, for its seconds alone."""
    entry, context, recipe = entry_named(name), _open(corpus, device, precision), entry_named(RECIPE)
    splits = context.examples
    scored = {split: splits[split] for split in ("validation", "test")}
    for i, seed in enumerate(parse_seeds(seeds)):
        lines = {}
        for one in ((entry, recipe) if i % 2 else (recipe, entry)) if i < turns else (entry,):
            lines[one] = run_once(context, one, seed, splits["train"], **(scored if one is entry else {}))
        beside = {"beside": lines[recipe]["seconds"]} if recipe in lines else {}
        append(lines[entry] | beside, "runs.jsonl")


@app.command()
def pace(
    corpus: Corpus, steps: int = 6, rounds: int = 5, device: On = Device.CPU, precision: In = Precision.FP32
) -> None:
    """Time some steps of every entry, in turns: the seconds that a whole training of each takes at this pace."""
    context = _open(corpus, device, precision)
    train_split, entries = context.examples["train"], list(read_entries().values())
    for i in range(rounds):
        started, seconds = utc_now(), {}
        for entry in entries[:: 1 - 2 * (i % 2)]:
            model, whole = load_classifier(context.checkpoint.folder), entry.steps(len(train_split))
            first, more = (
                train(model, entry, train_split, i, accelerator=context.accelerator, most=most)
                for most in (1, 1 + steps)
            )
            seconds[entry.name] = round(first + (more - first) / steps * (whole - 1), 3)
        append({"steps": steps, "seconds": seconds} | _noted(context, started), "paces.jsonl")


def measured_table() -> Table:
    """Return the table of the committed runs."""
    reference = [
        {"precision": run["precision"], "validation": run["weighted_f1_last"], "test": run["test_f1"]}
        for run in load_catalogue("minilm").populations["runs"].runs
    ]
    return table_of(read("runs.jsonl"), reference, read_entries(), read("paces.jsonl"))


@app.command()
def table() -> None:
    """Write and print the table of all runs."""
    made = measured_table()
    RESULTS.with_suffix(".csv").write_text(made.to_csv(), encoding="utf-8")
    typer.echo(made.to_markdown())


if __name__ == "__main__":
    app()
