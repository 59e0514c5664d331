"""Options that several commands have, options in groups, and how rows and JSON reach the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from repro.spec import choice

Results = Annotated[Path, typer.Option(envvar="REPRO_RESULTS", help="Folder of records, tables and figures.")]
CatalogueName = Annotated[str, typer.Option(help="seminar, minilm or rehearsal, or a folder of your own claims.")]
CorpusSource = Annotated[str, typer.Option(envvar="REPRO_CORPUS", help="A folder, `hub`, or `rehearsal` (built in).")]
Checkpoints = Annotated[Path | None, typer.Option(envvar="REPRO_CHECKPOINTS", help="A folder of checkpoints.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


def choose(kind: type[StrEnum], help: str) -> Any:  # noqa: A002 (typer's name)
    """Return an option that takes one of the values; an unknown one is answered with the nearest."""
    return typer.Option(parser=lambda text: choice(kind, text), metavar="|".join(kind), help=help)


def option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses: each field becomes an option, listed under the class's docstring in the help."""
    parameters = signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {name: p.annotation for name, p in parameters.items() if is_dataclass(p.annotation)}

    @wraps(command)
    def with_groups(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    flat = [q for name, p in parameters.items() for q in (_options(groups[name]) if name in groups else [p])]
    vars(with_groups)["__signature__"] = signature(command).replace(parameters=flat)
    with_groups.__annotations__ = {p.name: p.annotation for p in flat}
    return with_groups


def _options(group: Any) -> Iterator[Parameter]:
    for parameter in signature(group, eval_str=True).parameters.values():
        kind, option = get_args(parameter.annotation)
        option = copy(option)
        option.rich_help_panel = group.__doc__.rstrip(".")
        yield parameter.replace(annotation=Annotated[kind, option])


def write_json(data: Any) -> None:
    """Write rows for a program."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False))


def write_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], markup_column: int | None = None) -> None:
    """Write rows under a head; only `markup_column` may hold rich's markup."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in head), show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(cell if i == markup_column else cell.replace("[", r"\[") for i, cell in enumerate(row)))
    console = Console()
    # piped into a file or CI there is no width to fit: a line a claim is easier to search
    console = console if console.is_terminal else Console(width=240)
    console.print(table)
