"""A seal on a record's file: the SHA-256 of all that stands before it, so that no flipped byte reads as a result."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from repro.errors import RecordError

SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\s*\Z')


def sealed(text: str) -> str:
    """Return the text of a JSON object, indented by one, with its own SHA-256 as the last field."""
    body = text.rstrip().removesuffix("}").rstrip()
    return f'{body},\n "sha256": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


def unsealed(content: bytes) -> bytes:
    """Return the object without its seal; RecordError where the seal does not hold.

    Records from before there were seals come back as they are. Line ends that a checkout changed are no damage.
    """
    plain = content.replace(b"\r\n", b"\n")
    match = SEAL.search(plain)
    if match is None:
        return content
    body = plain[: match.start()]
    if hashlib.sha256(body).hexdigest() != match[1].decode():
        raise RecordError(
            "its content is not what its seal (sha256) was made of: it was changed or damaged after it was written",
            "Restore the file, or move it away.",
        )
    return body + b"\n}\n"


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; OSError where it cannot be read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
