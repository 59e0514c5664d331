"""Every fault of a Hub is answered in bounded time, naming asset, cause, folder and what to do.

The cases run with the bounds of conftest, which are those of users divided by thirty; `-m real_deadlines` runs those
whose bounds matter with the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.assets import watch
from repro.assets.checkpoints import locate_checkpoint
from repro.assets.watch import Bounds
from repro.errors import CheckpointError
from tests.assets.conftest import QUICK, SMALL, WEIGHTS
from tests.assets.hub_faults import (
    cut_after,
    cut_from_the_start,
    endless,
    json_body,
    next_page_for_ever,
    other_body,
    portal,
    raw,
    redirect_to_itself,
    stall,
    stall_after,
    status,
    trickle,
    trickle_headers,
)
from tests.assets.hub_server import Answer, HubServer

LISTING, SMALL_FILE, LARGE_FILE = "GET /api/.*tree", "GET .*config.json", "GET /stored"
PORTAL = "a portal, proxy or filter may answer in its name"

# name: what is asked for when it happens, what happens, what the message must hold
LASTING: dict[str, tuple[str, Answer, str]] = {
    "listing-401": (LISTING, status(401), "answers 401, it is not there, or not for you: a token"),
    "listing-403": (LISTING, status(403), "answers 403"),
    "listing-404": (LISTING, status(404), "answers 404"),
    "listing-500": (LISTING, status(500), "answers 500"),
    "listing-503": (LISTING, status(503), "answers 503"),
    "listing-429-without-a-time": (LISTING, status(429), "answers 429"),
    "listing-429-for-an-hour": (LISTING, status(429, Retry_After="3600"), "429 and asks to wait 3,600 seconds"),
    "listing-429-for-ages": (LISTING, status(429, Retry_After="9" * 30), "answers 429"),
    "listing-429-by-window": (LISTING, status(429, RateLimit='"api";r=0;t=290'), "429 and asks to wait 290 seconds"),
    "listing-silent": (LISTING, stall, "no answer within"),
    "listing-header-trickles": (LISTING, trickle_headers(0.05), "given up after"),
    "listing-portal": (LISTING, portal, PORTAL),
    "listing-other-json": (LISTING, json_body('{"error": "none"}'), PORTAL),
    "listing-of-numbers": (LISTING, json_body("[1, 2]"), PORTAL),
    "listing-deep": (LISTING, json_body("[" * 100_000), PORTAL),
    "listing-empty": (LISTING, json_body(""), PORTAL),
    "listing-trickles": (LISTING, trickle(0.05), "given up after"),
    "listing-endless": (LISTING, endless(b" " * 65_536), "more than any listing has"),
    "listing-pages-for-ever": (LISTING, next_page_for_ever, "given up after"),
    "listing-no-http": (LISTING, raw(b"SSH-2.0-OpenSSH_9.6\r\n"), ""),
    "listing-hangs-up": (LISTING, raw(b""), "Server disconnected"),
    "listing-redirects-in-a-circle": (LISTING, redirect_to_itself, "redirects"),
    "file-401": (SMALL_FILE, status(401), "answers 401"),
    "file-404": (SMALL_FILE, status(404, X_Error_Code="EntryNotFound"), "a file that it lists is not there"),
    "file-500": (SMALL_FILE, status(500), "answers 500"),
    "file-silent": (SMALL_FILE, stall, "no answer within"),
    "file-header-trickles": (SMALL_FILE, trickle_headers(0.05), "given up after"),
    "file-portal": (SMALL_FILE, portal, "size"),
    "file-redirects-in-a-circle": (SMALL_FILE, redirect_to_itself, "redirects"),
    "weights-503": (LARGE_FILE, status(503), "answers 503"),
    "weights-408": (LARGE_FILE, status(408), "answers 408"),
    "weights-429-for-an-hour": (LARGE_FILE, status(429, Retry_After="3600"), "asks to wait 3,600 seconds"),
    "weights-429-again-and-again": (LARGE_FILE, status(429, Retry_After="1"), "answers 429"),
    "weights-silent": (LARGE_FILE, stall, "no answer within"),
    "weights-header-trickles": (LARGE_FILE, trickle_headers(0.05), "given up after"),
    "weights-trickle": (LARGE_FILE, trickle(0.01), "given up after"),
    "weights-stall-halfway": (LARGE_FILE, stall_after(6_000_000), ""),
    "weights-cut-again-and-again": (LARGE_FILE, cut_after(1000), "closed connection"),
    "weights-cut-from-the-start": (LARGE_FILE, cut_from_the_start(11_000_000), "given up after"),
    "weights-endless": (LARGE_FILE, endless(b"x" * 65_536), "more than any file has"),
    "weights-other-bytes": (LARGE_FILE, other_body(bytes(len(WEIGHTS))), "other bytes came"),
    "weights-short": (LARGE_FILE, other_body(b"short"), "size"),
    "weights-page": (LARGE_FILE, portal, "size"),
}
# which end by a bound on time: also tried with the real bounds, at the paces that were seen
SLOW: dict[str, tuple[str, Answer]] = {
    "header-a-byte-in-four-seconds": (LISTING, trickle_headers(4.0)),
    "body-100-bytes-a-second": (LARGE_FILE, trickle(0.01)),
    "always-cut": (LARGE_FILE, cut_after(1000)),
    "cut-from-the-start": (LARGE_FILE, cut_from_the_start(11_000_000)),
    "silent": ("", stall),
    "wait-30-again-and-again": (LARGE_FILE, status(429, Retry_After="30")),
}


def refusal(locate: Callable[[], object]) -> tuple[CheckpointError, float]:
    started = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        locate()
    return refused.value, time.monotonic() - started


@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_is_answered_soon_and_explained(
    hub: HubServer, case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    where, answer, cause = LASTING[case]
    small = {**vars(QUICK), "largest_listing": 10**6, "largest_file": 2 * len(WEIGHTS)}
    monkeypatch.setattr(watch, "BOUNDS", Bounds(**small))
    hub.fault(where, answer)
    error, seconds = refusal(lambda: locate_checkpoint(SMALL))
    assert seconds < 2 * QUICK.asset_seconds + 1
    assert "\n" not in error.what
    assert "someone/small is not available" in error.what
    assert cause in error.what
    assert "cache" in error.what
    assert "--checkpoints DIR" in error.remedy
    halves = [file for file in (tmp_path / "cache").rglob("*.incomplete") if file.stat().st_size > 10_000]
    assert halves == []


@pytest.mark.real_deadlines
@pytest.mark.parametrize("case", SLOW)
def test_a_slow_fault_is_answered_within_120_seconds_by_the_real_bounds(
    hub: HubServer, case: str, record_property: Callable[[str, object], None]
) -> None:
    hub.fault(*SLOW[case])
    _, seconds = refusal(lambda: locate_checkpoint(SMALL))
    record_property("seconds", round(seconds, 1))
    assert seconds < 120
