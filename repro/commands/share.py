"""`repro share`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def share(
    model: Annotated[Path, typer.Argument(help="A folder that `run finetune --save` wrote.")],
    push_to_hub: Annotated[str | None, typer.Option(help="USER/NAME on the Hub. Without it nothing is sent.")] = None,
) -> None:
    """Show what sharing a model would send; send it with --push-to-hub and a token in the environment or the login."""
    from repro.sections.sharing import files_to_share, push_model

    files = files_to_share(model)
    for file in files:
        sys.stdout.write(f"{file.size:>12,} bytes  {file.name}\n")
    if push_to_hub is None:
        sys.stdout.write(f"\n{(model / 'README.md').read_text(encoding='utf-8')}\n")
        sys.stdout.write("Nothing was sent. To send these files: --push-to-hub USER/NAME\n")
        return
    sys.stdout.write(f"sent to {push_model(model, push_to_hub)}\n")
