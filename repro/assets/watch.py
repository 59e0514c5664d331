"""The bounds within which huggingface_hub's client asks: on waiting, on what an answer may hold, on making no progress.

A watch gives the client hooks and no retries of its own. Time counts against its allowance, and new bytes of a file
give time back; where nothing is left, the connections are shut, also under a header that comes a byte at a time.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.errors import HubError

if TYPE_CHECKING:
    import httpx2 as httpx
else:  # the name under which every version exports the library that it is built on
    from huggingface_hub.utils import httpx

RETRIED_FOR_FILES = (408, 429)  # by the client itself; for listings it does so for all
PASSING = (*RETRIED_FOR_FILES, 500, 502, 503, 504)  # what another try may change; 401 and 404 are answers


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How long and for how much the Hub is waited for; any failure is answered within 120 seconds.

    The next bytes of an answer may take `answer_seconds`. An asset may go `asset_seconds` without progress and a
    process `command_seconds`; a second in which `least_bytes_per_second` of a file came does not count.
    """

    answer_seconds: float = 10.0
    asset_seconds: float = 45.0
    command_seconds: float = 100.0
    least_bytes_per_second: float = 5_000.0
    largest_listing: int = 10_000_000
    largest_file: int = 8_000_000_000


BOUNDS = Bounds()


class HubWatch:
    """Watches all requests of one fetch or push while its `with` block lasts; HubError in them where the time is up.

    `problem` is what went wrong with the last request, if anything did.
    """

    def __init__(self, bounds: Bounds, allowed_seconds: float) -> None:
        self.bounds = bounds
        self.allowed_seconds = self.seconds_left = allowed_seconds
        self._since = self._started = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._reached: dict[str, int] = defaultdict(int)  # bytes by path: what comes again is no progress
        self.problem = ""

    @property
    def seconds_spent(self) -> float:
        """Seconds without progress so far."""
        return self.allowed_seconds - max(0.0, self.seconds_left)

    def client(self, hooks: Mapping[str, list[Any]]) -> httpx.Client:
        """Return a client for huggingface_hub with its own `hooks` and the watch's."""
        before, after = hooks.get("request", []), hooks.get("response", [])
        return httpx.Client(
            event_hooks={"request": [*before, self._before], "response": [*after, self._after]}, follow_redirects=True
        )

    def __enter__(self) -> HubWatch:
        threading.Thread(target=self._guard, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pass_time()
        self._ended.set()

    def advance(self, path: str, position: int) -> None:
        """Count the bytes of `path` up to `position`; HubError where there are too many, or the time is up."""
        listing = "/api/" in path
        with self._lock:
            new = max(0, position - self._reached[path])
            self._reached[path] += new
        if position > (self.bounds.largest_listing if listing else self.bounds.largest_file):
            raise HubError(f"it sent {position:,} bytes, more than any {'listing' if listing else 'file'} has", "")
        self._pass_time(0 if listing else new)
        self.refuse_if_late()

    def refuse_if_late(self) -> None:
        """Raise HubError, which says what came in which time, where the time is up."""
        if self.seconds_left <= 0:
            received, seconds = sum(self._reached.values()), time.monotonic() - self._started
            problem = f"{self.problem}; " if self.problem else ""
            raise HubError(f"{problem}given up after {seconds:.0f} seconds, in which {received:,} bytes came", "")

    def _pass_time(self, new_bytes: int = 0) -> float:
        with self._lock:
            now = time.monotonic()
            if self.seconds_left > 0:
                left = self.seconds_left - (now - self._since) + new_bytes / self.bounds.least_bytes_per_second
                self.seconds_left = min(self.allowed_seconds, left)
            self._since = now
            return self.seconds_left

    def _guard(self) -> None:
        """Shut the connections where the time is up: some answers hold a thread without ever being late."""
        while not self._ended.wait(min(1.0, max(0.02, self.seconds_left / 4))):
            if self._pass_time() <= 0:
                for connection in self._sockets:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def _before(self, request: httpx.Request) -> None:
        left = self._pass_time()
        self.refuse_if_late()
        timeout = httpx.Timeout(min(left, self.bounds.answer_seconds)).as_dict()
        request.extensions = {**request.extensions, "timeout": timeout, "trace": self._trace}
        request.headers["Accept-Encoding"] = "identity"  # what is sent is what is counted
        if request.method in ("PUT", "POST") and isinstance(request.stream, httpx.SyncByteStream):
            request.stream = _Counted(request.stream, self, f"to {request.url.path}", 0)

    def _after(self, response: httpx.Response) -> None:
        status, path = response.status_code, response.request.url.path
        self.problem = f"it answers {status}" if status in PASSING else ""
        if status in PASSING:
            asked, left = _seconds_asked_for(response.headers), self._pass_time()
            if asked > left:
                raise HubError(f"it answers {status} and asks to wait {asked:,} seconds", "")
            if response.request.method == "GET" and "/api/" not in path and status not in RETRIED_FOR_FILES:
                raise httpx.RemoteProtocolError(f"it answers {status}")  # which the client tries again for a file
        span = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""))
        if isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Counted(response.stream, self, path, int(span[1]) if span else 0)

    def _trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Learn of connections and failures, as httpcore tells them."""
        connection = about.get("return_value")
        if event.endswith(("connect_tcp.complete", "start_tls.complete")) and connection is not None:
            self._sockets.append(connection.get_extra_info("socket"))
        if event.endswith(".failed") and self.seconds_left > 0:
            kind, error = type(about["exception"]).__name__, about["exception"]
            if "Timeout" in kind:
                self.problem = f"no answer within {self.bounds.answer_seconds:g} seconds"
            else:
                self.problem = f"no connection ({error})" if "Connect" in kind else f"the connection was cut ({error})"


class _Counted(httpx.SyncByteStream):
    """The bytes of a request or an answer, each part of which the watch counts."""

    def __init__(self, stream: httpx.SyncByteStream, watch: HubWatch, path: str, start: int) -> None:
        self._stream, self._watch, self._path, self._start = stream, watch, path, start

    def __iter__(self) -> Iterator[bytes]:
        position = self._start
        try:
            for part in self._stream:
                yield part
                position += len(part)
                self._watch.advance(self._path, position)
        except httpx.TransportError as error:
            self._watch.refuse_if_late()  # the guard shut the connection
            if isinstance(error, httpx.ReadError):  # huggingface_hub resumes after the other kind of cut alone
                raise httpx.RemoteProtocolError(str(error) or "the connection was reset") from error
            raise

    def close(self) -> None:
        self._stream.close()


def _seconds_asked_for(headers: httpx.Headers) -> int:
    """Return how long the Hub asks to wait, as huggingface_hub reads it; 0 where it does not."""
    reset = re.search(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d{1,9})", headers.get("RateLimit", ""))
    given = reset[1] if reset else headers.get("Retry-After", "").strip()
    return int(given[:9]) if re.fullmatch(r"[0-9]+", given) else 0  # a longer number is as good as never
