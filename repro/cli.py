"""The front door: `repro` or `python -m repro`."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from repro.commands.assets import check, convert, fetch
from repro.commands.claims import claims
from repro.commands.diagnose import diagnose
from repro.commands.predict import predict
from repro.commands.regress import regress
from repro.commands.report import report
from repro.commands.run import run
from repro.commands.share import share
from repro.commands.verify import verify
from repro.errors import InterruptedRunError, ReproError, UsageError
from repro.records.private import without_secrets

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Re-run the seminar's experiments with today's libraries and judge every number it reports.",
)
assets = typer.Typer(no_args_is_help=True, help="Where corpora and checkpoints come from.")
app.command()(claims)
app.command()(run)
app.command()(verify)
app.command()(report)
app.command()(regress)
app.command()(diagnose)
app.command()(predict)
app.command()(share)
assets.command()(check)
assets.command()(fetch)
assets.command()(convert)
app.add_typer(assets, name="assets")


def main() -> None:
    """Run the front door; the suite's own errors become two lines on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks ± shows a question mark
    try:
        if "" in sys.argv[1:]:
            raise UsageError("an option or a name is empty", "Give it a value, or leave it out.")
        app()
    except InterruptedRunError as stopped:  # as it was asked to: no error
        sys.stderr.write(f"{stopped}\n")
        sys.exit(stopped.exit_code)
    except ReproError as error:
        sys.stderr.write(without_secrets(f"error: {error}\n"))
        sys.exit(error.exit_code)
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror or error}: {error.filename or 'the output'}\n")
        sys.stderr.write("Check that path; records already written are untouched.\n")
        sys.exit(ReproError.exit_code)
