"""Whether the Hub can be asked at all: an answer at once, where its clients would try again for half a minute."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies


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
