"""The front door: `repro` or `python -m repro`. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.errors import ReproError, ResultsError, UsageError

if TYPE_CHECKING:
    from repro.claims.verdicts import Verdict
    from repro.experiments.context import Context
    from repro.records.record import RunRecord

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Re-run the seminar's experiments with today's libraries and judge every number it reports.",
)
assets = typer.Typer(no_args_is_help=True, help="Where corpora and checkpoints come from.")
app.add_typer(assets, name="assets")

STYLES = {"reproduced": "green", "deviates": "red", "inconclusive": "yellow"}
Results = Annotated[
    Path, typer.Option("--results", envvar="REPRO_RESULTS", help="Folder of records, tables and figures.")
]
RecipeName = Annotated[str, typer.Option("--recipe", help="distilbert, minilm or tiny.")]
CorpusSource = Annotated[
    str, typer.Option("--corpus", envvar="REPRO_CORPUS", help="A folder, `hub`, or `rehearsal` (built in).")
]
Checkpoints = Annotated[
    Path | None, typer.Option("--checkpoints", envvar="REPRO_CHECKPOINTS", help="A folder of checkpoints.")
]


def main() -> None:
    """Run the front door; the suite's own errors become two lines on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks ± shows a question mark
    try:
        if "" in sys.argv[1:]:
            raise UsageError("an option or a name is empty", "Give it a value, or leave it out.")
        app()
    except ReproError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror or error}: {error.filename or 'the output'}\n")
        sys.stderr.write("Check that path; records already written are untouched.\n")
        sys.exit(ReproError.exit_code)


@app.command()
def claims(
    claim: Annotated[str | None, typer.Argument(help="One claim, in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every claim, its source and what a run must have for it to be comparable."""
    from repro.claims.model import load_catalogue

    catalogue = load_catalogue()
    chosen = [catalogue.claim_named(claim)] if claim else list(catalogue.claim)
    if as_json:
        sys.stdout.write(json.dumps([c.model_dump(mode="json") for c in chosen], indent=1, ensure_ascii=False) + "\n")
        return
    if claim:
        for name, value in chosen[0].model_dump(mode="json", exclude_none=True).items():
            sys.stdout.write(f"{name:>10}  {value}\n")
        return
    _table(
        ("claim", "reported", "source", "needs"),
        [(c.id, c.shown, c.source, ", ".join(c.needs)) for c in chosen],
    )


@app.command()
def run(
    experiments: Annotated[list[str] | None, typer.Argument(help="All of them, where none is named.")] = None,
    recipe: RecipeName = "distilbert",
    corpus: CorpusSource = "hub",
    checkpoints: Checkpoints = None,
    seeds: Annotated[str, typer.Option(help="0, 0,2,5 or 0-4.")] = "0",
    protocol: Annotated[
        str, typer.Option(help="seeded, or as-published (head drawn before the seed is set).")
    ] = "seeded",
    precision: Annotated[str, typer.Option(help="fp32, or bf16 autocast.")] = "fp32",
    batching: Annotated[
        str, typer.Option(help="packed (no padding), dynamic, or padded as in the notebook.")
    ] = "packed",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    micro_batches: Annotated[int, typer.Option(help="Parts of a batch, whose gradients are accumulated.")] = 1,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's; no longer comparable.")] = None,
    limit: Annotated[int | None, typer.Option(help="First N rows of each split; no longer comparable.")] = None,
    results: Results = Path("results"),
) -> None:
    """Run experiments and write a record for each recipe, corpus and seed."""
    from repro.experiments.context import make_context, parse_seeds
    from repro.experiments.registry import EXPERIMENTS, experiments_named, run_and_record
    from repro.records.record import prepare_results

    chosen, parsed = experiments_named(experiments or []), parse_seeds(seeds)
    prepare_results(results)
    context = make_context(
        recipe=recipe, corpus=corpus, checkpoints=checkpoints, protocol=protocol, precision=precision,
        batching=batching, device=device, micro_batches=micro_batches, epochs=epochs, limit=limit,
    )  # fmt: skip
    _say_what_runs(context)
    for record, path in run_and_record(chosen, context, parsed, results):
        seconds = sum(record.seconds.values())
        sys.stdout.write(
            f"{record.experiment}, seed {record.settings.seed}: {EXPERIMENTS[record.experiment].what}; "
            f"{seconds:.1f} s{_headline(record)}\n  {path}\n"
        )


@app.command()
def verify(
    results: Results = Path("results"),
    claim: Annotated[list[str] | None, typer.Option("--claim", help="Only this claim; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Give a verdict a claim. Exit code 0: none deviates; 1: some do; 2: bad input."""
    verdicts = _verdicts(results)[0]
    if claim:
        from repro.claims.model import load_catalogue

        wanted = {load_catalogue().claim_named(name).id for name in claim}
        verdicts = [v for v in verdicts if v.claim.id in wanted]
    if as_json:
        sys.stdout.write(json.dumps([v.as_row() for v in verdicts], indent=1, ensure_ascii=False) + "\n")
    else:
        rows = [
            (
                v.claim.id,
                v.claim.shown,
                v.shown,
                f"[{STYLES.get(v.outcome, 'dim')}]{v.label}[/]",
                _plain(v.why),
            )
            for v in verdicts
        ]
        _table(("claim", "reported", "measured", "verdict", "why"), rows, markup_column=3)
        from repro.report.tables import outcome_counts

        sys.stdout.write(", ".join(f"{n} {name}" for name, n in outcome_counts(verdicts).items() if n) + "\n")
    if any(v.outcome == "deviates" for v in verdicts):
        raise typer.Exit(1)


@app.command()
def report(
    results: Results = Path("results"),
    readme: Annotated[Path | None, typer.Option(help="Also put the verdict table into this README.")] = None,
) -> None:
    """Write REPORT.md, report.html, tables and figures from the records."""
    from repro.report.pages import update_readme, write_report

    verdicts, records = _verdicts(results)
    for path in write_report(verdicts, records, results):
        sys.stdout.write(f"{path}\n")
    if readme:
        update_readme(readme, verdicts, records)
        sys.stdout.write(f"{readme}\n")


@assets.command("check")
def assets_check(corpus: CorpusSource = "rehearsal", checkpoints: Checkpoints = None) -> None:
    """Tell what is here, what is missing (then exit code 2) and how to get it; nothing is downloaded."""
    _report_assets(corpus, checkpoints, use_hub=False)


@assets.command("fetch")
def assets_fetch(corpus: CorpusSource = "hub", checkpoints: Checkpoints = None) -> None:
    """Download what is missing from the Hub at its pinned revisions, and check it."""
    _report_assets(corpus, checkpoints, use_hub=True)


def _report_assets(corpus: str, checkpoints: Path | None, *, use_hub: bool) -> None:
    from repro.assets.checkpoints import locate_checkpoint
    from repro.assets.corpus import load_corpus
    from repro.assets.recipes import RECIPES

    missing: list[ReproError] = []
    for recipe in RECIPES.values():
        try:
            found = locate_checkpoint(recipe, checkpoints, use_hub=use_hub)
            sys.stdout.write(f"recipe {recipe.name}: {recipe.checkpoint} from {found.source}, verified; {recipe.why}\n")
        except ReproError as error:
            missing.append(error)
            sys.stdout.write(f"recipe {recipe.name}: {error}\n")
    if corpus == "hub" and not use_hub:
        sys.stdout.write("corpus hub: not looked at, `assets fetch` downloads it\n")
    else:
        try:
            stamp = load_corpus(corpus).stamp
            sys.stdout.write(f"corpus {stamp.name}: {sum(s.rows for s in stamp.splits.values()):,} rows, verified\n")
        except ReproError as error:
            missing.append(error)
            sys.stdout.write(f"corpus: {error}\n")
    if missing:
        raise typer.Exit(missing[0].exit_code)


def _verdicts(results: Path) -> tuple[list[Verdict], list[RunRecord]]:
    from repro.claims.model import load_catalogue
    from repro.claims.verdicts import judge_all
    from repro.experiments.registry import EXPERIMENTS
    from repro.records.record import read_records

    records = read_records(results)
    if not records:
        raise ResultsError(f"{results / 'runs'} is empty", "Run something first: python -m repro run")
    return judge_all(load_catalogue(), records, list(EXPERIMENTS)), records


def _say_what_runs(context: Context) -> None:
    if context.progress.enabled:
        sys.stderr.write(
            f"{context.recipe.name} ({context.checkpoint.source}) on {context.corpus.stamp.name}, "
            f"{context.device}, {context.precision}, {context.batching} batches\n"
        )


def _headline(record: RunRecord) -> str:
    last = [name for name in record.scores if not name.startswith(("dummy", "test"))]
    if not last:
        return ""
    scores = record.scores[last[-1]]
    return f", {last[-1]} accuracy {scores.accuracy:.4f}, weighted F1 {scores.weighted_f1:.4f} (n = {scores.n:,})"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], markup_column: int | None = None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(cell if i == markup_column else _plain(cell) for i, cell in enumerate(row)))
    console = Console()
    # piped into a file or CI there is no width to fit: a line a claim is easier to search
    console = console if console.is_terminal else Console(width=240)
    console.print(table)
