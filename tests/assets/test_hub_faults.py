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
from tests.assets.hub_server import JSON, STALL, Fault, HubServer

PORTAL = "a portal, proxy or filter may answer in its name"
PORTAL_PAGE = Fault(headers={"Content-Type": "text/html"}, body=b"<html><body>Accept our terms</body></html>")
# no read of it is ever late, and no header ever whole
SLOW_HEAD = Fault(raw=b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 50_000, piece=1, seconds=0.05)
NEXT_PAGE = Fault(headers={**JSON, "Link": '<{url}>; rel="next"'}, body=b"[]")
# the request, then by case: what happens to it, and what the message must hold
LASTING: dict[str, dict[str, tuple[Fault, str]]] = {
    "GET /api/.*tree": {
        "401": (Fault(401), "answers 401, it is not there, or not for you: a token"),
        "403": (Fault(403), "answers 403"),
        "503": (Fault(503), "answers 503"),
        "429-without-a-time": (Fault(429), "answers 429"),
        "429-for-an-hour": (Fault(429, {"Retry-After": "3600"}), "429 and asks to wait 3,600 seconds"),
        "429-for-ages": (Fault(429, {"Retry-After": "9" * 30}), "answers 429"),
        "429-by-window": (Fault(429, {"RateLimit": '"api";r=0;t=290'}), "429 and asks to wait 290 seconds"),
        "silent": (STALL, "no answer within"),
        "header-trickles": (SLOW_HEAD, "given up after"),
        "portal": (PORTAL_PAGE, PORTAL),
        "other-json": (Fault(body=b'{"error": "none"}'), PORTAL),
        "of-numbers": (Fault(body=b"[1, 2]"), PORTAL),
        "deep": (Fault(body=b"[" * 100_000), PORTAL),
        "empty": (Fault(body=b""), PORTAL),
        "trickles": (Fault(piece=1, seconds=0.05), "given up after"),
        "endless": (Fault(body=b" " * 65_536, endless=True), "more than any listing has"),
        "pages-for-ever": (NEXT_PAGE, "given up after"),
        "no-http": (Fault(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), ""),
        "hangs-up": (Fault(raw=b""), "Server disconnected"),
        "redirects-in-a-circle": (Fault(302, {"Location": "{url}"}), "redirects"),
    },
    "GET .*config.json": {
        "404": (Fault(404, {"X-Error-Code": "EntryNotFound"}), "a file that it lists is not there"),
        "silent": (STALL, "no answer within"),
        "header-trickles": (SLOW_HEAD, "given up after"),
        "portal": (PORTAL_PAGE, "size"),
    },
    "GET /stored": {
        "503": (Fault(503), "answers 503"),
        "408": (Fault(408), "answers 408"),
        "429-for-an-hour": (Fault(429, {"Retry-After": "3600"}), "asks to wait 3,600 seconds"),
        "429-again-and-again": (Fault(429, {"Retry-After": "1"}), "answers 429"),
        "silent": (STALL, "no answer within"),
        "trickles": (Fault(piece=1, seconds=0.01), "given up after"),
        "stalls-halfway": (Fault(stop=6_000_000, then="stall"), ""),
        "cut-again-and-again": (Fault(stop=1000), "closed connection"),
        "cut-from-the-start": (Fault(stop=11_000_000, ranges=False), "given up after"),
        "endless": (Fault(body=b"x" * 65_536, endless=True), "more than any file has"),
        "other-bytes": (Fault(body=bytes(len(WEIGHTS))), "other bytes came"),
        "short": (Fault(body=b"short"), "size"),
    },
}
CASES = [pytest.param(where, *case, id=f"{where}-{name}") for where in LASTING for name, case in LASTING[where].items()]
SLOW: dict[str, tuple[str, Fault]] = {  # which end by a bound on time: at the paces that were seen
    "header-a-byte-in-four-seconds": ("GET /api/.*tree", SLOW_HEAD._replace(seconds=4.0)),
    "body-100-bytes-a-second": ("GET /stored", Fault(piece=1, seconds=0.01)),
    "always-cut": ("GET /stored", Fault(stop=1000)),
    "cut-from-the-start": ("GET /stored", Fault(stop=11_000_000, ranges=False)),
    "silent": ("", STALL),
    "wait-30-again-and-again": ("GET /stored", Fault(429, {"Retry-After": "30"})),
}


@pytest.mark.parametrize(("where", "fault", "cause"), CASES)
def test_a_lasting_fault_is_answered_soon_and_explained(
    hub: HubServer, where: str, fault: Fault, cause: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "BOUNDS", replace(QUICK, largest_listing=10**6, largest_file=2 * len(WEIGHTS)))
    hub.fault(where, fault)
    started = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        locate_checkpoint(SMALL)
    assert time.monotonic() - started < 2 * QUICK.asset_seconds + 1
    assert fault.status not in (401, 403) or len(hub.asked) == 1  # a final answer is not asked for again
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
