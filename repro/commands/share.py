"""`repro share`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.errors import UsageError


def share(
    model: Annotated[Path, typer.Argument(help="A folder that `run finetune --save` wrote.")],
    push_to_hub: Annotated[str | None, typer.Option(help="USER/NAME on the Hub. Without it nothing is sent.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody read it; private, if left out.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
) -> None:
    """Show what sharing a model would send; send it with --push-to-hub and a token in the environment or the login."""
    from repro.sections.models import read_stamp
    from repro.sections.sharing import check_repository, files_to_share, push_model

    files = files_to_share(model)
    for file in files:
        sys.stdout.write(f"{file.stat().st_size:>12,} bytes  {file.name}\n")
    sys.stdout.write(f"{sum(file.stat().st_size for file in files):>12,} bytes in {len(files)} files\n")
    if warning := read_stamp(model).warning():
        sys.stderr.write(f"note: {warning}\n")
    if push_to_hub is None:
        sys.stdout.write(f"\n{(model / 'README.md').read_text(encoding='utf-8')}\n")
        sys.stdout.write("Nothing was sent. To send these files: --push-to-hub USER/NAME\n")
        return
    check_repository(push_to_hub)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to confirm what is sent", "Say --yes to send it; nothing was sent.")
        if not typer.confirm(f"Send these files to {push_to_hub}, {'public' if public else 'private'}?", err=True):
            raise typer.Exit(1)
    sys.stdout.write(f"sent to {push_model(model, push_to_hub, public=public)}\n")
