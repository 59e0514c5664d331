"""The Hub client's way of asking: every request has a time-out, a bounded number of tries and of seconds to wait.

huggingface_hub resumes a download that was cut and keeps what is whole. What it leaves open is closed here: its
listings wait for an answer for ever, and it sleeps for as long as a Retry-After tells it to.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from huggingface_hub import constants, get_session, set_client_factory
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

if TYPE_CHECKING:
    import httpx2 as httpx
    from huggingface_hub.utils._http import parse_ratelimit_headers
else:  # the name under which every version exports the library that it is built on
    from huggingface_hub.utils import httpx, parse_ratelimit_headers

PASSING = (408, 429, 500, 502, 503, 504)  # what another try may mend; 401 and 404 are answers
BEST_EFFORT = "/api/agent-harnesses"  # who calls, which the client asks on its side and does without
LOG = logging.getLogger(__name__)
TRANSIENT = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


class GaveUpError(Exception):
    """What the Hub did at the last of all tries, in one line; no other layer tries again after it.

    `silent` where it did not answer at all: whatever else is asked of it will not be answered either.
    """

    def __init__(self, told: str, *, silent: bool = False) -> None:
        super().__init__(told)
        self.silent = silent


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long the Hub is waited for; without a Retry-After the waits are 1, 2 and 4 seconds.

    An answer, or the next bytes of one, may take `answer_seconds` (None: the client's own HF_HUB_DOWNLOAD_TIMEOUT,
    10 seconds); a download that stays below `least_bytes_per_second` for `slow_seconds` counts as no answer.
    """

    tries: int = 4
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 300.0  # the Hub counts requests in windows of five minutes
    answer_seconds: float | None = None
    least_bytes_per_second: float = 1024.0
    slow_seconds: float = 60.0


PATIENCE = Patience()


@contextmanager
def patient_hub(patience: Patience | None = None) -> Iterator[None]:
    """Have huggingface_hub ask patiently and over plain HTTP, with its bars on a person's terminal only."""
    hooks = get_session().event_hooks  # the Hub's own: offline mode, request ids
    set_client_factory(lambda: PatientClient(patience or PATIENCE, event_hooks=hooks, follow_redirects=True))
    xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True  # its transfers know none of these bounds
    watched = sys.stderr.isatty() and not os.environ.get("CI")
    silent = not watched and not are_progress_bars_disabled()
    if silent:
        disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        if silent:
            enable_progress_bars()


class PatientClient(httpx.Client):
    """The Hub's HTTP client with bounded time-outs, tries and waits for what it reads; what it sends is untouched."""

    def __init__(self, patience: Patience, **options: Any) -> None:
        super().__init__(**options)
        self.patience = patience

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Send a request and return its answer, also one of 404; GaveUpError where no try brought a final one."""
        if request.method not in ("GET", "HEAD") or request.url.path == BEST_EFFORT:
            return super().send(request, stream=stream, **options)
        seconds = self.patience.answer_seconds or constants.HF_HUB_DOWNLOAD_TIMEOUT
        wait, problem, silent = self.patience.first_wait_seconds, "", False
        for tried in range(1, self.patience.tries + 1):
            request.extensions = {**request.extensions, "timeout": httpx.Timeout(seconds).as_dict()}
            asked: float | None = None
            try:
                response = super().send(request, stream=stream, **options)
            except TRANSIENT as error:
                problem = _told(error, seconds)
                silent = isinstance(error, httpx.TimeoutException | httpx.ConnectError)
            else:
                if response.status_code not in PASSING:
                    if stream and isinstance(response.stream, httpx.SyncByteStream):
                        response.stream = _Watched(response.stream, self.patience)
                    return response
                response.close()
                silent, asked = False, _seconds_asked_for(response.headers)
                problem = f"it answers {response.status_code}"
            if asked is not None and asked > self.patience.longest_wait_seconds:
                raise GaveUpError(f"{problem} and asks to wait {asked:,.0f} seconds")
            if tried < self.patience.tries:
                pause = wait if asked is None else asked
                LOG.warning("The Hub, of %s: %s; asked again in %.0f s", request.url.path, problem, pause)
                time.sleep(pause)
                wait *= 2
        raise GaveUpError(f"{problem}, tried {self.patience.tries} times", silent=silent)


class _Watched(httpx.SyncByteStream):
    """The body of an answer: one that only trickles ends in a time-out, and a reset connection in what is resumed."""

    def __init__(self, stream: httpx.SyncByteStream, patience: Patience) -> None:
        self._stream = stream
        self._patience = patience

    def __iter__(self) -> Iterator[bytes]:
        begun, received = time.monotonic(), 0
        try:
            for part in self._stream:
                yield part
                received += len(part)
                seconds = time.monotonic() - begun
                if seconds < self._patience.slow_seconds:
                    continue
                if received < seconds * self._patience.least_bytes_per_second:
                    raise httpx.ReadTimeout(f"{received:,} bytes in {seconds:.0f} seconds")
                begun, received = time.monotonic(), 0
        except httpx.ReadError as error:  # huggingface_hub resumes after the other kind of cut alone
            raise httpx.RemoteProtocolError(str(error) or "the connection was reset") from error

    def close(self) -> None:
        self._stream.close()


def _told(error: Exception, seconds: float) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {seconds:g} seconds"
    return f"no connection ({error})" if isinstance(error, httpx.ConnectError) else f"the connection was cut ({error})"


def _seconds_asked_for(headers: httpx.Headers) -> float | None:
    """Return how long the Hub asks to wait, by either of the ways in which it says so; None where it does not."""
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    given = headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdecimal():
        return float(given)
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
