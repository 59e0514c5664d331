"""The front door: `repro` or `python -m repro`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from repro.commands.audit import audit, repair
from repro.commands.diagnose import diagnose
from repro.commands.models import check, convert, fetch, predict, share
from repro.commands.regress import regress
from repro.commands.run import run
from repro.commands.verify import admit, claims, report, verify
from repro.errors import (
    InterruptedRunError,
    MissingAssetError,
    ReproError,
    UsageError,
    printable,
    without_private_parts,
    without_secrets,
)

BUG = 70  # EX_SOFTWARE of sysexits.h
MOST_SHOWN = 300
app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Re-run the seminar's experiments with today's libraries and judge every number it reports.",
)
assets = typer.Typer(no_args_is_help=True, help="Where corpora and checkpoints come from.")
COMMANDS: dict[typer.Typer, tuple[Callable[..., None], ...]] = {
    app: (claims, run, verify, admit, report, regress, diagnose, audit, repair, predict, share),
    assets: (check, fetch, convert),
}
for group, commands in COMMANDS.items():
    for command in commands:
        group.command()(command)
app.add_typer(assets, name="assets")


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False) -> None:
    """Take what comes before a command."""
    if version:
        from repro import __version__

        typer.echo(f"repro {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the front door and leave with an exit code; an error is two lines on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks ± shows a question mark
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # to look for some takes a tenth of a start
    try:
        if "" in sys.argv[1:]:
            raise UsageError("an option or a name is empty", "Give it a value, or leave it out.")
        app()
    except BrokenPipeError:  # whoever read the output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ReproError.exit_code)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (a crash must not look like a verdict)
        message, code = _answer(error)
        with suppress(OSError, ValueError):  # a closed standard error: the code still says it
            sys.stderr.write(f"{printable(without_secrets(message))}\n")
            sys.stderr.flush()
        sys.exit(code)


def _answer(error: BaseException) -> tuple[str, int]:
    """Return what the user reads of an error, and the exit code.

    An exception that is not the suite's own is a bug: exit code 70, which no verdict uses, and the trace in a file.
    """
    match error:
        case InterruptedRunError():  # as it was asked to: no error
            return str(error), error.exit_code
        case ReproError():
            return f"error: {error}", error.exit_code
        case OSError():
            what = f"error: {error.strerror or error}: {error.filename or 'the output'}"
            return f"{what}\nCheck that path; records already written are untouched.", ReproError.exit_code
        case KeyboardInterrupt():
            return "interrupted", InterruptedRunError.exit_code
        case ModuleNotFoundError(name=str(name)) if extra := _extra_of(name.partition(".")[0]):
            how = f"python -m pip install 'seminar-repro[{extra}]' (in a clone: '.[{extra}]')"
            what = f"error: this needs {name}, which is not installed"
            return f"{what}\nInstall the extra {extra}: {how}.", MissingAssetError.exit_code
    line = without_private_parts(f"{type(error).__name__}: {error}".strip(": \n")).splitlines()[0]
    return f"internal error: {line[:MOST_SHOWN]}\nThis is a bug in the suite; {_keep_trace(error)}.", BUG


def _extra_of(module: str) -> str | None:
    import tomllib
    from importlib.resources import files

    extras = tomllib.loads(files("repro").joinpath("extras.toml").read_text(encoding="utf-8"))
    return next((extra for extra, modules in extras.items() if module in modules), None)


def _keep_trace(error: BaseException) -> str:
    try:
        with NamedTemporaryFile("w", prefix="repro-trace-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return "its trace could not be kept"
    return f"please report it with {file.name}"
