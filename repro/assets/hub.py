"""Files of the Hub at a pinned revision: out of its local cache, or asked for with patience that ends.

Every file is checked against the hash that the Hub lists it under, and one that does not fit leaves the cache.
"""

from __future__ import annotations

import hashlib
import math
import re
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from repro.errors import HubError

SILENT_SECONDS = 60.0
_SILENT: dict[str, float] = {}  # since when the Hub does not answer this process
HASH_LETTERS = {40: "sha1", 64: "sha256"}  # of files in git, with git's header before the bytes, and in LFS


def why_unreachable() -> str | None:
    """Return why the Hub cannot be reached, or None where only asking it would tell."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    parts = urlsplit(constants.ENDPOINT)
    if getproxies():
        return None  # the proxy knows names that this machine does not
    try:
        socket.getaddrinfo(parts.hostname, parts.port or parts.scheme)
    except OSError:
        return f"no network, or {parts.hostname} is not known in it"
    return None


def fetch_snapshot(
    repository: str,
    *,
    revision: str,
    files: list[str],
    kind: Literal["model", "dataset"] = "model",
    use_hub: bool = True,
) -> tuple[Path, str]:
    """Return a local folder of those of the repository's `files` (patterns) that it has, and where they are from.

    What is in the Hub's local cache is not asked for again, and stands in where the Hub does not answer. Raises
    HubError, with what was tried, where neither has all of them or a file is not the one that the Hub lists.
    """
    from huggingface_hub import errors, snapshot_download

    from repro.assets.patience import GaveUpError, patient_hub

    ask = partial(snapshot_download, repository, repo_type=kind, revision=revision, allow_patterns=files)
    failed = (why_unreachable() or _silent_lately()) if use_hub else "the Hub was not asked"
    folder, source = "", "the Hub"
    if failed is None:
        try:
            with patient_hub():
                folder = ask()
        except Exception as error:  # noqa: BLE001 (the client raises more than it documents; the ways out are the same)
            failed = f"the Hub, asked for revision {revision[:12]}: {_told(error)}"
            if isinstance(error, GaveUpError) and error.silent:
                _SILENT.update(since=time.monotonic())
    if failed is not None:
        source = "the Hub's local cache"
        try:
            folder = ask(local_files_only=True)
        except Exception as error:  # noqa: BLE001 (the same)
            in_part: Any = getattr(errors, "IncompleteSnapshotError", ())  # newer versions of the client have it
            kept = "holds a part of it only" if isinstance(error, in_part) else "does not hold it"
            raise HubError(f"{failed}; its local cache {kept}", "Try again when the Hub can be reached.") from None
    _refuse_damaged(Path(folder))
    return Path(folder), source


def _silent_lately() -> str | None:
    """Return that the Hub did not answer a moment ago, so that ten assets are not waited for one after the other."""
    if time.monotonic() - _SILENT.get("since", -math.inf) < SILENT_SECONDS:
        return "the Hub did not answer a moment ago, and was not asked again"
    return None


def discard(file: Path) -> None:
    """Remove a file of the Hub's local cache, its content with its name, so that the next fetch asks for it again."""
    content = file.resolve()
    file.unlink(missing_ok=True)
    if content.parent.name == "blobs":
        content.unlink(missing_ok=True)


def _refuse_damaged(folder: Path) -> None:
    damaged = [file for file in sorted(folder.rglob("*")) if file.is_file() and not _as_listed(file)]
    for file in damaged:
        discard(file)
    if damaged:
        names = ", ".join(str(file.relative_to(folder)) for file in damaged)
        raise HubError(
            f"other bytes came, or lay in the Hub's local cache, than the Hub lists for {names}; they were removed",
            "Fetch again.",
        )


def _as_listed(file: Path) -> bool:
    """Tell whether the content has the hash that the cache names it by; where names are no hashes there is none."""
    name = file.resolve().name
    kind = HASH_LETTERS.get(len(name)) if re.fullmatch("[0-9a-f]+", name) else None
    if kind is None:
        return True
    with file.open("rb") as opened:
        if kind == "sha256":
            return hashlib.file_digest(opened, kind).hexdigest() == name
        content = opened.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == name


def _told(error: BaseException) -> str:
    """Return in one line, without an address, what the client met."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        return _told(error.__cause__)
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if isinstance(error, errors.GatedRepoError):
            what = ", its terms are to be accepted first, on its page and logged in"
        elif isinstance(error, errors.RevisionNotFoundError):
            what = ", the revision is not there, or no longer"
        elif isinstance(error, errors.RemoteEntryNotFoundError):
            what = ", a file that it lists is not there"
        elif status in (401, 403, 404):
            what = ", it is not there, or not for you: a token (HF_TOKEN, hf auth login) may be missing or wrong"
        else:
            what = ""
        return f"it answers {status}{what}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0]
