"""Files of the Hub at a pinned revision: from its local cache, or fetched by huggingface_hub within bounds.

huggingface_hub lists, fetches, retries, resumes and checks sizes. What it leaves open is closed here: how long it may
go without progress, whatever it waits for (`HubWatch`), how large an answer may be, and whether the bytes are those
that the Hub lists. The time without progress is bounded for each asset and for all that one process asks for.
"""

from __future__ import annotations

import logging
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from repro.errors import HubError, ReproError, without_private_parts
from repro.records.durable import digest_of

if TYPE_CHECKING:
    from repro.assets.watch import HubWatch

CACHE = "the Hub's local cache"
REASONS = {
    "GatedRepoError": ", its terms are to be accepted first, on its page and logged in",
    "RevisionNotFoundError": ", the revision is not there, or no longer",
    "RemoteEntryNotFoundError": ", a file that it lists is not there",
}
_seconds_spent = 0.0  # by this process, without progress


def why_unreachable(seconds: float = 10.0) -> str | None:
    """Return why the Hub cannot be reached, or None where only asking it would tell; ends within `seconds`."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    parts = urlsplit(constants.ENDPOINT)
    answer: list[str | None] = [f"the name of {parts.hostname} was not resolved within {seconds:.0f} seconds"]

    def resolve() -> None:
        try:
            socket.getaddrinfo(parts.hostname, parts.port or parts.scheme)
            answer[0] = None
        except (OSError, ValueError):
            answer[0] = f"no network, or {parts.hostname} is not known in it"

    if getproxies():
        return None  # the proxy knows names that this machine does not
    resolver = threading.Thread(target=resolve, daemon=True)  # the system's resolver takes no deadline
    resolver.start()
    resolver.join(seconds)
    return answer[0]


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
    HubError, with cause and folder, where neither has all of them or a file is not the one that the Hub lists.
    """
    from huggingface_hub import constants, errors, snapshot_download

    ask = partial(snapshot_download, repository, repo_type=kind, revision=revision, allow_patterns=files)
    failure = why_unreachable() if use_hub else "the Hub was not asked"
    source = CACHE
    if failure is None:
        try:
            with bounded_hub() as watch:
                folder = Path(ask())
            if not watch.problem:  # at the last request: the client fell back to what it has, and says nothing
                source = "the Hub"
        except HubError as error:
            failure = f"the Hub, asked for revision {revision[:12]}: {error.what}"
    if failure is not None:
        try:
            folder = Path(ask(local_files_only=True))
        except errors.LocalEntryNotFoundError:
            cache = without_private_parts(str(constants.HF_HUB_CACHE))
            raise HubError(
                f"{failure}; its local cache, {cache}, does not hold all of it",
                "Try again when the Hub can be reached.",
            ) from None
    _refuse_damaged(folder)
    return folder, source


@contextmanager
def bounded_hub() -> Iterator[HubWatch]:
    """Have huggingface_hub ask over plain HTTP within bounds, with bars on a terminal only.

    Raises HubError, in one line without address or secret, for whatever the client meets; and at once where this
    process has spent all the time without progress that it may.
    """
    from huggingface_hub import constants, get_session, set_client_factory
    from huggingface_hub.utils._http import default_client_factory
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from repro.assets.watch import BOUNDS, HubWatch

    global _seconds_spent  # noqa: PLW0603 (the deadline of a command is one for all assets that it asks for)
    allowed = min(BOUNDS.asset_seconds, BOUNDS.command_seconds - _seconds_spent)
    if allowed <= 0:
        raise HubError(f"it made no progress for {_seconds_spent:.0f} seconds, and was not asked again", "Try later.")
    watch = HubWatch(BOUNDS, allowed)
    hooks = get_session().event_hooks  # the client's own: offline mode, request ids
    set_client_factory(lambda: watch.client(hooks))
    xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True  # its transfers know none of these bounds
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings hold addresses
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        with watch:
            yield watch
    except ReproError:
        raise
    except Exception as error:  # noqa: BLE001 (the client raises more than it documents; the ways out are the same)
        raise HubError(_why_failed(error, watch.problem), "Try again.") from None
    finally:
        _seconds_spent += allowed - max(0.0, watch.seconds_left)
        constants.HF_HUB_DISABLE_XET = xet
        set_client_factory(default_client_factory)


def _why_failed(error: BaseException, problem: str) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and error.__cause__ is not None:
        return _why_failed(error.__cause__, problem)
    if isinstance(error, HubError):
        return error.what
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        refused = ", it is not there, or not for you: a token (HF_TOKEN, hf auth login) may be missing"
        reason = REASONS.get(type(error).__name__, refused if status in (401, 403, 404) else "")
        return f"it answers {status}{reason}"
    if problem:
        return problem
    if isinstance(error, ValueError | TypeError | KeyError | AttributeError | AssertionError | RecursionError):
        return "it sent a page or text that is not the Hub's: a portal, proxy or filter may answer in its name"
    text = getattr(error, "strerror", None) or str(error)
    return without_private_parts((text.strip() or type(error).__name__).splitlines()[0])


def discard(file: Path) -> None:
    """Remove a file of the Hub's local cache, its content with its name, so that the next fetch asks for it again."""
    content = file.resolve()
    file.unlink(missing_ok=True)
    if content.parent.name == "blobs":
        content.unlink(missing_ok=True)


def _refuse_damaged(folder: Path) -> None:
    """Compare each file's content with the hash that the cache names it by; where names are no hashes there is none."""
    from huggingface_hub.utils.sha import git_hash

    damaged = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):  # no folder, no link without its content
        name = file.resolve().name
        if re.fullmatch("[0-9a-f]{40}", name):  # SHA-1, by which git names a file
            expected = git_hash(file.read_bytes())
        else:
            expected = digest_of(file) if re.fullmatch("[0-9a-f]{64}", name) else name
        if expected != name:
            damaged.append(str(file.relative_to(folder)))
            discard(file)
    if damaged:
        lists = f"than the Hub lists for {', '.join(damaged)}; they were removed"
        raise HubError(f"other bytes came, or lay in the Hub's local cache, {lists}", "Fetch again.")
