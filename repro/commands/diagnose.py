"""`repro diagnose`, which answers "is my F1 normal?"."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.commands.options import AsJson, option_groups, write_json, write_table
from repro.errors import UsageError, printable, unknown

if TYPE_CHECKING:
    from repro.diagnosis.diagnose import Diagnosis

Figure = Annotated[str | None, typer.Option(metavar="X[,X]", help="One number, or one for each epoch.")]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the run reported."""

    f1: Figure = None
    accuracy: Figure = None
    train_loss: Figure = None
    valid_loss: Figure = None


@dataclass(frozen=True, kw_only=True)
class Course:
    """How it was run, and on what it was scored."""

    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None
    epochs: Annotated[int | None, typer.Option(help="Epochs that were run.")] = None
    flos: Annotated[float | None, typer.Option("--total-flos", help="What the Trainer says of its arithmetic.")] = None
    split: Annotated[str | None, typer.Option(help="validation or test.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="If it was not 2e-5.")] = None
    batch_size: Annotated[int | None, typer.Option(help="If it was not 64.")] = None
    checkpoint: Annotated[str | None, typer.Option(help="If it was not distilbert-base-uncased.")] = None


@option_groups
def diagnose(
    file: Annotated[Path | None, typer.Argument(help="trainer_state.json, model card or executed .ipynb.")] = None,
    *,
    figures: Figures,
    course: Course,
    as_json: AsJson = False,
) -> None:
    """Say whether a run of the seminar's fine-tuning is normal, and which known mistake it resembles.

    Exit code 0: normal; 1: low, suspiciously high, odd, not comparable, stopped or not a run of yours; 2: bad input.
    """
    from repro.diagnosis.diagnose import diagnose_run, run_from_file
    from repro.diagnosis.student_run import run_from_figures

    if file is not None and (figures, course) != (Figures(), Course()):
        raise UsageError("a file and figures beside it", "Give one of them: what both state could contradict itself.")
    if course.split not in (None, "validation", "test"):
        raise unknown("split", course.split, ["validation", "test"])
    run = run_from_figures(vars(figures), **vars(course)) if file is None else run_from_file(file)
    diagnosis = diagnose_run(run)
    if as_json:
        write_json(asdict(diagnosis))
    else:
        _write(diagnosis)
    if diagnosis.outcome != "normal":
        raise typer.Exit(1)


def _write(diagnosis: Diagnosis) -> None:
    """Write the sentence first, then what it rests on."""
    lines = [diagnosis.sentence, *(mistake.remedy for mistake in diagnosis.mistakes[:1])]
    lines += [f"Or {m.text}: {m.evidence}. {m.remedy}" for m in diagnosis.mistakes[1:]]
    lines += [f"Note: {note.text}: {note.evidence}. {note.remedy}" for note in diagnosis.notes]
    lines += [f"Note: {remark}." for remark in diagnosis.remarks]
    sys.stdout.write(printable("\n".join(lines)) + "\n")  # they quote the file
    if diagnosis.figures:
        sys.stdout.write("\n")
        rows = []
        for p in diagnosis.figures:
            outside = "[red]outside[/]" if p.p_value * len(diagnosis.figures) < 0.01 else ""  # noqa: PLR2004
            spread, interval = f"{p.mean:.4f} ± {p.sd:.4f}", "{:.4f} to {:.4f}".format(*p.interval)
            rows.append((p.name, f"{p.value:.4f}", spread, interval, f"{p.percentile:.0f}", outside))
        reruns = f"{diagnosis.figures[-1].reruns} reruns"
        write_table(("figure", "yours", reruns, "95 % of runs", "percentile", ""), rows, markup_column=5)
    if joint := diagnosis.joint:
        share = f"{joint.p_value * 100:.2g}" if joint.p_value >= 1e-4 else "fewer than 0.01"  # noqa: PLR2004
        sys.stdout.write(
            f"together: distance {joint.distance:.2f} over {', '.join(joint.figures)}; "
            f"{share} in 100 sound runs lie farther out\n"
        )
