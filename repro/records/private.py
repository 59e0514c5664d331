"""What a record must not hold: texts of errors are freed of paths and secrets before they are kept."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

LEAST_SECRET = 6  # letters; a shorter value would be found in words
_PATH = re.compile(r"(?<![\w/\\:.~…])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:;,'\"()<>|]+[\\/])+")  # up to its last part


def without_private_parts(text: str) -> str:
    """Return the text with each absolute path cut to its last part, and each secret of the environment taken out.

    The home, working and temporary folders go first, as wholes: their names may hold spaces, and their last part
    the user's.
    """
    for name, value in os.environ.items():
        if re.search("TOKEN|SECRET|PASSWORD|KEY", name.upper()) and len(value) >= LEAST_SECRET:
            text = text.replace(value, "…")
    known = {Path.cwd(): "…", Path(tempfile.gettempdir()): "…", Path(os.path.expanduser("~")): "~"}  # noqa: PTH111 (Path.home() fails without a home)
    for folder in sorted(known, key=lambda path: -len(str(path))):
        if len(folder.parts) > 1:
            text = text.replace(str(folder), known[folder])
    return _PATH.sub("…/", text)
