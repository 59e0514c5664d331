"""The front door: `repro` or `python -m repro`."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from io import TextIOWrapper
from tempfile import NamedTemporaryFile
from typing import Annotated, NoReturn

import typer

from repro.commands.assets import check, convert, fetch
from repro.commands.audit import audit
from repro.commands.claims import claims
from repro.commands.diagnose import diagnose
from repro.commands.predict import predict
from repro.commands.regress import regress
from repro.commands.repair import repair
from repro.commands.report import report
from repro.commands.run import run
from repro.commands.share import share
from repro.commands.verify import verify
from repro.errors import InterruptedRunError, MissingAssetError, ReproError, UsageError, printable

BUG = 70  # EX_SOFTWARE of sysexits.h
MOST_SHOWN = 300
TRAIN = (
    "accelerate", "datasets", "filelock", "huggingface_hub", "psutil", "pyarrow", "safetensors", "scipy", "sklearn",
    "tokenizers", "torch", "transformers",
)  # fmt: skip
EXTRAS = {  # by the module that is missing
    **dict.fromkeys(TRAIN, "train"),
    **dict.fromkeys(("ipykernel", "jupyter_client", "nbclient", "nbformat"), "notebook"),
    **dict.fromkeys(("pytest", "pytest_benchmark"), "bench"),
    "umap": "projection",
    "sentencepiece": "tour",
}
HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    no_args_is_help=True,
    context_settings=HELP,
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
app.command()(audit)
app.command()(repair)
app.command()(predict)
app.command()(share)
assets.command()(check)
assets.command()(fetch)
assets.command()(convert)
app.add_typer(assets, name="assets")


def _show_version(wanted: bool) -> None:
    if wanted:
        from repro import __version__

        typer.echo(f"repro {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Take what comes before a command."""
    del version


def main() -> None:
    """Run the front door and leave with an exit code; errors are two lines on standard error.

    An exception that is not the suite's own is a bug: exit code 70, which no verdict uses, and the trace in a file.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks ± shows a question mark
    try:
        if "" in sys.argv[1:]:
            raise UsageError("an option or a name is empty", "Give it a value, or leave it out.")
        app()
    except InterruptedRunError as stopped:  # as it was asked to: no error
        _leave(f"{stopped}", stopped.exit_code)
    except ReproError as error:
        _leave(f"error: {error}", error.exit_code)
    except BrokenPipeError:  # whoever read the output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ReproError.exit_code)
    except OSError as error:
        where = error.filename or "the output"
        _leave(
            f"error: {error.strerror or error}: {where}\nCheck that path; records already written are untouched.",
            ReproError.exit_code,
        )
    except KeyboardInterrupt:
        _leave("interrupted", InterruptedRunError.exit_code)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            _leave(f"internal error: {_first_line(error)}\n{_keep_trace(error)}", BUG)
        _leave(
            f"error: this needs {error.name}, which is not installed\n"
            f"Install the extra {extra}: python -m pip install 'seminar-repro[{extra}]' (in a clone: '.[{extra}]').",
            MissingAssetError.exit_code,
        )
    except Exception as error:  # noqa: BLE001 (a crash must not look like a verdict)
        _leave(f"internal error: {_first_line(error)}\n{_keep_trace(error)}", BUG)


def _leave(message: str, code: int) -> NoReturn:
    from repro.records.private import without_secrets

    with suppress(OSError, ValueError):  # a closed standard error: the code still says it
        sys.stderr.write(f"{printable(without_secrets(message))}\n")
        sys.stderr.flush()
    sys.exit(code)


def _first_line(error: Exception) -> str:
    from repro.records.private import without_private_parts

    lines = without_private_parts(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:MOST_SHOWN]}" if lines else type(error).__name__


def _keep_trace(error: Exception) -> str:
    try:
        with NamedTemporaryFile("w", prefix="repro-trace-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return "This is a bug in the suite; its trace could not be kept."
    return f"This is a bug in the suite; please report it with {file.name}."
