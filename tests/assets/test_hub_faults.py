"""Every fault of a Hub is answered in bounded time, naming asset, cause, folder and what to do.

The cases run with the bounds of conftest, which are those of users divided by thirty; `-m real_deadlines` runs those
whose bounds matter with the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.assets import watch
from repro.assets.checkpoints import locate_checkpoint
from repro.errors import CheckpointError
from tests.assets.conftest import QUICK, SMALL, WEIGHTS
from tests.assets.hub_faults import (
    body,
    endless,
    in_part,
    next_page_for_ever,
    portal,
    raw,
    redirect_to_itself,
    stall,
    status,
    trickling_head,
)
from tests.assets.hub_server import Answer, HubServer

PORTAL = "a portal, proxy or filter may answer in its name"
# the request, then by case: what happens to it, and what the message must hold
LASTING: dict[str, dict[str, tuple[Answer, str]]] = {
    "GET /api/.*tree": {
        "401": (status(401), "answers 401, it is not there, or not for you: a token"),
        "403": (status(403), "answers 403"),
        "503": (status(503), "answers 503"),
        "429-without-a-time": (status(429), "answers 429"),
        "429-for-an-hour": (status(429, Retry_After="3600"), "429 and asks to wait 3,600 seconds"),
        "429-for-ages": (status(429, Retry_After="9" * 30), "answers 429"),
        "429-by-window": (status(429, RateLimit='"api";r=0;t=290'), "429 and asks to wait 290 seconds"),
        "silent": (stall, "no answer within"),
        "header-trickles": (trickling_head(0.05), "given up after"),
        "portal": (portal, PORTAL),
        "other-json": (body(b'{"error": "none"}'), PORTAL),
        "of-numbers": (body(b"[1, 2]"), PORTAL),
        "deep": (body(b"[" * 100_000), PORTAL),
        "empty": (body(b""), PORTAL),
        "trickles": (in_part(piece=1, seconds=0.05), "given up after"),
        "endless": (endless(b" " * 65_536), "more than any listing has"),
        "pages-for-ever": (next_page_for_ever, "given up after"),
        "no-http": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), ""),
        "hangs-up": (raw(b""), "Server disconnected"),
        "redirects-in-a-circle": (redirect_to_itself, "redirects"),
    },
    "GET .*config.json": {
        "404": (status(404, X_Error_Code="EntryNotFound"), "a file that it lists is not there"),
        "silent": (stall, "no answer within"),
        "header-trickles": (trickling_head(0.05), "given up after"),
        "portal": (portal, "size"),
    },
    "GET /stored": {
        "503": (status(503), "answers 503"),
        "408": (status(408), "answers 408"),
        "429-for-an-hour": (status(429, Retry_After="3600"), "asks to wait 3,600 seconds"),
        "429-again-and-again": (status(429, Retry_After="1"), "answers 429"),
        "silent": (stall, "no answer within"),
        "trickles": (in_part(piece=1, seconds=0.01), "given up after"),
        "stalls-halfway": (in_part(6_000_000, then="stall"), ""),
        "cut-again-and-again": (in_part(1000), "closed connection"),
        "cut-from-the-start": (in_part(11_000_000, ranges=False), "given up after"),
        "endless": (endless(b"x" * 65_536), "more than any file has"),
        "other-bytes": (body(bytes(len(WEIGHTS))), "other bytes came"),
        "short": (body(b"short"), "size"),
    },
}
CASES = [pytest.param(where, *case, id=f"{where}-{name}") for where in LASTING for name, case in LASTING[where].items()]
SLOW: dict[str, tuple[str, Answer]] = {  # which end by a bound on time: at the paces that were seen
    "header-a-byte-in-four-seconds": ("GET /api/.*tree", trickling_head(4.0)),
    "body-100-bytes-a-second": ("GET /stored", in_part(piece=1, seconds=0.01)),
    "always-cut": ("GET /stored", in_part(1000)),
    "cut-from-the-start": ("GET /stored", in_part(11_000_000, ranges=False)),
    "silent": ("", stall),
    "wait-30-again-and-again": ("GET /stored", status(429, Retry_After="30")),
}


@pytest.mark.parametrize(("where", "answer", "cause"), CASES)
def test_a_lasting_fault_is_answered_soon_and_explained(
    hub: HubServer, where: str, answer: Answer, cause: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "BOUNDS", replace(QUICK, largest_listing=10**6, largest_file=2 * len(WEIGHTS)))
    hub.fault(where, answer)
    started = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        locate_checkpoint(SMALL)
    assert time.monotonic() - started < 2 * QUICK.asset_seconds + 1
    assert "\n" not in refused.value.what
    assert "someone/small is not available" in refused.value.what
    assert cause in refused.value.what
    assert "cache" in refused.value.what
    assert "--checkpoints DIR" in refused.value.remedy
    halves = [file for file in (tmp_path / "cache").rglob("*.incomplete") if file.stat().st_size > 10_000]
    assert halves == []


@pytest.mark.real_deadlines
@pytest.mark.parametrize("case", SLOW)
def test_a_slow_fault_is_answered_within_120_seconds_by_the_real_bounds(
    hub: HubServer, case: str, record_property: Callable[[str, object], None]
) -> None:
    hub.fault(*SLOW[case])
    started = time.monotonic()
    with pytest.raises(CheckpointError):
        locate_checkpoint(SMALL)
    seconds = time.monotonic() - started
    record_property("seconds", round(seconds, 1))
    assert seconds < 120
