"""What no output may hold: secrets are taken out of every text, paths out of what is kept in a record."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

LEAST_SECRET = 6  # letters; a shorter value would be found in words
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|KEY|AUTH|(^|_)(PAT|PWD|PASS|PW)(_|$)")
_NO_SECRET = {"PWD", "OLDPWD"}  # folders
_LOGIN = re.compile(r"(?<=://)[^\s/@]*@(?:[^\s/@]*@)*")  # of an address: user, password
_PATH = re.compile(r"(?<![\w/\\:.~…])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:;,'\"()<>|]+[\\/])+")  # up to its last part


def without_secrets(text: str) -> str:
    """Return the text without the logins of addresses, and without each secret that the environment holds."""
    secrets = set()
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name.upper()) and name not in _NO_SECRET:
            secrets.add(value)
        for login in _LOGIN.findall(value):
            secrets |= {login.rstrip("@"), *login.rstrip("@").split(":")}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, "…")
    return _LOGIN.sub("…@", text)


def without_private_parts(text: str) -> str:
    """Return the text without secrets, and with each absolute path, also of a file:// address, cut to its last part."""
    text = re.sub(r"\bfile:/+", "/", without_secrets(text))
    # home, working and temporary folder go as wholes: their names may hold spaces, and their last part the user's
    known: dict[Path, str] = {}
    with suppress(OSError):  # the working folder may be deleted
        known[Path.cwd()] = "…"
    known |= {Path(tempfile.gettempdir()): "…", Path(os.path.expanduser("~")): "~"}  # noqa: PTH111 (Path.home() fails without a home)
    for folder in sorted(known, key=lambda path: -len(str(path))):
        if len(folder.parts) > 1:
            text = text.replace(str(folder), known[folder])
    return _PATH.sub("…/", text)
