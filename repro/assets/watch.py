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
from functools import partial
from typing import TYPE_CHECKING, Any

from repro.errors import HubError

if TYPE_CHECKING:
    import httpx2 as httpx
else:  # the name under which every version exports the library that it is built on
    from huggingface_hub.utils import httpx

PASSING = (408, 429, 500, 502, 503, 504)  # what another try may change; 401 and 404 are answers


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
        self.bounds, self.allowed_seconds, self.problem = bounds, allowed_seconds, ""
        self._started = time.monotonic()
        self._deadline = self._started + allowed_seconds
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._reached: dict[str, int] = defaultdict(int)  # bytes by path: what comes again is no progress

    @property
    def seconds_left(self) -> float:
        """Seconds that may still pass without progress."""
        return self._deadline - time.monotonic()

    def client(self, hooks: Mapping[str, list[Any]]) -> httpx.Client:
        """Return a client for huggingface_hub with its own `hooks` and the watch's."""
        ours = {"request": [*hooks.get("request", []), self._ask], "response": [*hooks.get("response", []), self._hear]}
        return httpx.Client(event_hooks=ours, follow_redirects=True)

    def __enter__(self) -> HubWatch:
        threading.Thread(target=self._shut_when_late, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def refuse_if_late(self) -> None:
        """Raise HubError, which says what came in which time, where the time is up."""
        if self.seconds_left <= 0:
            received, seconds = sum(self._reached.values()), time.monotonic() - self._started
            problem = f"{self.problem}; " if self.problem else ""
            raise HubError(f"{problem}given up after {seconds:.0f} seconds, in which {received:,} bytes came", "")

    def counted(self, stream: httpx.SyncByteStream, path: str, position: int) -> Iterator[bytes]:
        """Yield the parts of a request or an answer; HubError where there are too many, or the time is up."""
        listing = "/api/" in path
        largest = self.bounds.largest_listing if listing else self.bounds.largest_file
        try:
            for part in stream:
                yield part
                position += len(part)
                new = max(0, position - self._reached[path])
                self._reached[path] += new
                if position > largest:
                    kind = "listing" if listing else "file"
                    raise HubError(f"it sent {position:,} bytes, more than any {kind} has", "")
                later = self._deadline + (0 if listing else new / self.bounds.least_bytes_per_second)
                self._deadline = min(later, time.monotonic() + self.allowed_seconds)
                self.refuse_if_late()
        except httpx.TransportError as error:
            self.refuse_if_late()  # the connection was shut
            if isinstance(error, httpx.ReadError):  # huggingface_hub resumes after the other kind of cut alone
                raise httpx.RemoteProtocolError(str(error) or "the connection was reset") from error
            raise

    def _shut_when_late(self) -> None:
        while not self._ended.wait(min(1.0, max(0.02, self.seconds_left / 4))):
            if self.seconds_left <= 0:  # some answers hold a thread without ever being late
                for connection in self._sockets:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def _ask(self, request: httpx.Request) -> None:
        self.refuse_if_late()
        timeout = httpx.Timeout(max(0.01, min(self.seconds_left, self.bounds.answer_seconds))).as_dict()
        request.extensions = {**request.extensions, "timeout": timeout, "trace": self._trace}
        request.headers["Accept-Encoding"] = "identity"  # what is sent is what is counted
        if request.method in ("PUT", "POST") and isinstance(request.stream, httpx.SyncByteStream):
            request.stream = _Counted(request.stream, self, f"to {request.url.path}", 0)

    def _hear(self, response: httpx.Response) -> None:
        status, path = response.status_code, response.request.url.path
        self.problem = f"it answers {status}" if status in PASSING else ""
        if status in PASSING:
            if (seconds := _seconds_to_wait(response.headers)) > self.seconds_left:
                raise HubError(f"{self.problem} and asks to wait {seconds:,} seconds", "")
            if response.request.method == "GET" and "/api/" not in path and status not in (408, 429):
                raise httpx.RemoteProtocolError(self.problem)  # which the client tries again for a file
        span = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""))
        if isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Counted(response.stream, self, path, int(span[1]) if span else 0)

    def _trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Learn of connections and failures, as httpcore reports them."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")) and about.get("return_value") is not None:
            self._sockets.append(about["return_value"].get_extra_info("socket"))
        if event.endswith(".failed") and self.seconds_left > 0:
            error, kind = about["exception"], type(about["exception"]).__name__
            cut = f"no connection ({error})" if "Connect" in kind else f"the connection was cut ({error})"
            self.problem = f"no answer within {self.bounds.answer_seconds:g} seconds" if "Timeout" in kind else cut


class _Counted(httpx.SyncByteStream):
    """The bytes of a request or an answer, each part of which the watch counts."""

    def __init__(self, stream: httpx.SyncByteStream, watch: HubWatch, path: str, start: int) -> None:
        self._stream, self._counted = stream, partial(watch.counted, stream, path, start)

    def __iter__(self) -> Iterator[bytes]:
        return self._counted()

    def close(self) -> None:
        self._stream.close()


def _seconds_to_wait(headers: httpx.Headers) -> int:
    """Return how long the Hub asks to wait, as huggingface_hub reads it; 0 where it does not."""
    reset = re.search(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d{1,9})", headers.get("RateLimit", ""))
    given = reset[1] if reset else headers.get("Retry-After", "").strip()
    return int(given[:9]) if re.fullmatch(r"[0-9]+", given) else 0  # a longer number is as good as never
