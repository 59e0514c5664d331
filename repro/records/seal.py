"""A seal on a record's file: the SHA-256 of all that stands before it, so that no flipped byte reads as a result."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from repro.errors import RecordError

SEAL = re.compile(rb',\r?\n "sha256": "([0-9a-f]{64})"\r?\n\}\s*\Z')


def sealed(text: str) -> str:
    """Return the text of a JSON object, indented by one, with its own SHA-256 as the last field."""
    body = text.rstrip().removesuffix("}").rstrip()
    return f'{body},\n "sha256": "{plain_sha256(body.encode())}"\n}}\n'


def unsealed(content: bytes) -> bytes:
    """Return the object without its seal; RecordError where it has none, or one that does not hold."""
    remedy = "Restore the file, or move it away."
    match = SEAL.search(content)
    if match is None:
        raise RecordError("it has no seal (sha256)", remedy)
    body = content[: match.start()]
    if plain_sha256(body) != match[1].decode():
        problem = "its content is not what its seal (sha256) was made of"
        raise RecordError(f"{problem}: it was changed or damaged after it was written", remedy)
    return body + b"\n}\n"


def plain_sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal; line ends that a checkout changed are no damage, and count as newlines."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; OSError where it cannot be read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
