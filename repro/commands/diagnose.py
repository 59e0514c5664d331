"""`repro diagnose`, which answers "is my F1 normal?"."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.commands.options import write_table
from repro.errors import UsageError, printable

if TYPE_CHECKING:
    from repro.diagnosis.diagnose import Diagnosis
    from repro.diagnosis.student_run import StudentRun

Figure = Annotated[str | None, typer.Option(metavar="X[,X]", help="One number, or one for each epoch.")]


def diagnose(
    file: Annotated[
        Path | None, typer.Argument(help="trainer_state.json, model card README.md, executed .ipynb, or a record.")
    ] = None,
    f1: Figure = None,
    accuracy: Figure = None,
    train_loss: Figure = None,
    valid_loss: Figure = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs that were run.")] = None,
    total_flos: Annotated[float | None, typer.Option(help="What the Trainer says of its arithmetic.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="If it was not 2e-5.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="If it was not 64.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="If it was not distilbert-base-uncased.")] = None,
    split: Annotated[str | None, typer.Option(help="validation or test.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Say whether a run of the seminar's fine-tuning is normal, and which known mistake it resembles.

    Exit code 0: normal; 1: low, suspiciously high, odd, not comparable, stopped or not a run of yours; 2: bad input.
    """
    from repro.diagnosis.diagnose import diagnose_run

    figures = {"f1": f1, "accuracy": accuracy, "train_loss": train_loss, "valid_loss": valid_loss}
    recipe = {"learning_rate": learning_rate, "batch_size": batch_size, "checkpoint": checkpoint}
    stated = {"steps": steps, "epochs": epochs, "flos": total_flos, "split": split}
    diagnosis = diagnose_run(_run(file, figures, stated, {k: v for k, v in recipe.items() if v is not None}))
    if as_json:
        sys.stdout.write(json.dumps(asdict(diagnosis), indent=1, ensure_ascii=False) + "\n")
    else:
        _write(diagnosis)
    if diagnosis.outcome != "normal":
        raise typer.Exit(1)


def _run(
    file: Path | None,
    figures: dict[str, str | None],
    stated: dict[str, Any],
    recipe: dict[str, int | float | str],
) -> StudentRun:
    given = recipe or any(value is not None for value in (*figures.values(), *stated.values()))
    if file is not None and given:
        raise UsageError("a file and figures beside it", "Give one of them: what both state could contradict itself.")
    if file is not None:
        from repro.diagnosis.files import run_from_file

        return run_from_file(file)
    from repro.diagnosis.student_run import run_from_figures
    from repro.errors import unknown

    if stated["split"] not in (None, "validation", "test"):
        raise unknown("split", str(stated["split"]), ["validation", "test"])
    return run_from_figures(figures, **stated, recipe=recipe)


def _write(diagnosis: Diagnosis) -> None:
    """Write the sentence first, then what it rests on."""
    lines = [diagnosis.sentence, *(mistake.remedy for mistake in diagnosis.mistakes[:1])]
    lines += [f"Or {m.text}: {m.evidence}. {m.remedy}" for m in diagnosis.mistakes[1:]]
    lines += [f"Note: {note.text}: {note.evidence}. {note.remedy}" for note in diagnosis.notes]
    lines += [f"Note: {remark}." for remark in diagnosis.remarks]
    sys.stdout.write(printable("\n".join(lines)) + "\n")  # they quote the file
    if diagnosis.figures:
        sys.stdout.write("\n")
        rows = [
            (
                p.name,
                f"{p.value:.4f}",
                f"{p.mean:.4f} ± {p.sd:.4f}",
                "{:.4f} to {:.4f}".format(*p.interval),
                f"{p.percentile:.0f}",
                "[red]outside[/]" if p.p_value * len(diagnosis.figures) < 0.01 else "",  # noqa: PLR2004
            )
            for p in diagnosis.figures
        ]
        reruns = f"{diagnosis.figures[-1].reruns} reruns"
        write_table(("figure", "yours", reruns, "95 % of runs", "percentile", ""), rows, markup_column=5)
    if joint := diagnosis.joint:
        share = f"{joint.p_value * 100:.2g}" if joint.p_value >= 1e-4 else "fewer than 0.01"  # noqa: PLR2004
        sys.stdout.write(
            f"together: distance {joint.distance:.2f} over {', '.join(joint.figures)}; "
            f"{share} in 100 sound runs lie farther out\n"
        )
