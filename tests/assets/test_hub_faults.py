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
from tests.assets import hub_faults as fault
from tests.assets.conftest import QUICK, SMALL, WEIGHTS
from tests.assets.hub_server import Answer, HubServer

PORTAL = "a portal, proxy or filter may answer in its name"
# the request, then by case: what happens to it, and what the message must hold
LASTING: dict[str, dict[str, tuple[Answer, str]]] = {
    "GET /api/.*tree": {
        "401": (fault.status(401), "answers 401, it is not there, or not for you: a token"),
        "403": (fault.status(403), "answers 403"),
        "503": (fault.status(503), "answers 503"),
        "429-without-a-time": (fault.status(429), "answers 429"),
        "429-for-an-hour": (fault.status(429, Retry_After="3600"), "429 and asks to wait 3,600 seconds"),
        "429-for-ages": (fault.status(429, Retry_After="9" * 30), "answers 429"),
        "429-by-window": (fault.status(429, RateLimit='"api";r=0;t=290'), "429 and asks to wait 290 seconds"),
        "silent": (fault.stall, "no answer within"),
        "header-trickles": (fault.trickling_head(0.05), "given up after"),
        "portal": (fault.portal, PORTAL),
        "other-json": (fault.body(b'{"error": "none"}'), PORTAL),
        "of-numbers": (fault.body(b"[1, 2]"), PORTAL),
        "deep": (fault.body(b"[" * 100_000), PORTAL),
        "empty": (fault.body(b""), PORTAL),
        "trickles": (fault.in_part(piece=1, seconds=0.05), "given up after"),
        "endless": (fault.endless(b" " * 65_536), "more than any listing has"),
        "pages-for-ever": (fault.next_page_for_ever, "given up after"),
        "no-http": (fault.raw(b"SSH-2.0-OpenSSH_9.6\r\n"), ""),
        "hangs-up": (fault.raw(b""), "Server disconnected"),
        "redirects-in-a-circle": (fault.redirect_to_itself, "redirects"),
    },
    "GET .*config.json": {
        "404": (fault.status(404, X_Error_Code="EntryNotFound"), "a file that it lists is not there"),
        "silent": (fault.stall, "no answer within"),
        "header-trickles": (fault.trickling_head(0.05), "given up after"),
        "portal": (fault.portal, "size"),
    },
    "GET /stored": {
        "503": (fault.status(503), "answers 503"),
        "408": (fault.status(408), "answers 408"),
        "429-for-an-hour": (fault.status(429, Retry_After="3600"), "asks to wait 3,600 seconds"),
        "429-again-and-again": (fault.status(429, Retry_After="1"), "answers 429"),
        "silent": (fault.stall, "no answer within"),
        "trickles": (fault.in_part(piece=1, seconds=0.01), "given up after"),
        "stalls-halfway": (fault.in_part(6_000_000, then="stall"), ""),
        "cut-again-and-again": (fault.in_part(1000), "closed connection"),
        "cut-from-the-start": (fault.in_part(11_000_000, ranges=False), "given up after"),
        "endless": (fault.endless(b"x" * 65_536), "more than any file has"),
        "other-bytes": (fault.body(bytes(len(WEIGHTS))), "other bytes came"),
        "short": (fault.body(b"short"), "size"),
    },
}
CASES = [pytest.param(where, *case, id=f"{where}-{name}") for where in LASTING for name, case in LASTING[where].items()]
SLOW: dict[str, tuple[str, Answer]] = {  # which end by a bound on time: at the paces that were seen
    "header-a-byte-in-four-seconds": ("GET /api/.*tree", fault.trickling_head(4.0)),
    "body-100-bytes-a-second": ("GET /stored", fault.in_part(piece=1, seconds=0.01)),
    "always-cut": ("GET /stored", fault.in_part(1000)),
    "cut-from-the-start": ("GET /stored", fault.in_part(11_000_000, ranges=False)),
    "silent": ("", fault.stall),
    "wait-30-again-and-again": ("GET /stored", fault.status(429, Retry_After="30")),
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
