"""What a Hub may do to a download: each is an answer that `HubServer.fault` gives instead of the right one."""

from __future__ import annotations

import re
import socket
import struct
from typing import Literal

from tests.assets.hub_server import Answer, Handler


def status(code: int, **headers: str) -> Answer:
    """Answer with a status; underscores of header names stand for hyphens."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.send(code, headers=given)


def body(content: bytes, kind: str = "application/json") -> Answer:
    """Send other bytes under the file's or the listing's name."""
    return lambda handler, _: handler.send(200, content, headers={"Content-Type": kind})


portal = body(b"<html><body>Accept our terms</body></html>", "text/html")


def stall(handler: Handler, _: bytes) -> None:
    """Take the request and say nothing."""
    handler.hub.closed.wait(60)
    handler.close_connection = True


def in_part(
    stop: int | None = None,
    *,
    piece: int = 10**9,
    seconds: float = 0.0,
    then: Literal["hang up", "reset", "stall"] = "hang up",
    ranges: bool = True,
) -> Answer:
    """Promise what is asked for, send it up to `stop` in pieces with a pause after each, and hang up or say nothing."""

    def send(handler: Handler, content: bytes) -> None:
        start = int(re.sub(r"\D", "", handler.headers.get("Range") or "0")) if ranges else 0
        content = content[start:] or b" " * 10_000  # a long listing
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        slowly(handler, content[:stop], piece, seconds)
        if then == "stall":
            stall(handler, b"")
        if then == "reset":
            handler.hub.closed.wait(1)  # what was sent arrives first; a reset throws away what has not been read
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    return send


def raw(content: bytes, *, seconds: float = 0.0) -> Answer:
    """Send bytes that need not be HTTP, a byte at a time where `seconds` lie between them, and hang up."""
    return lambda handler, _: slowly(handler, content, 1 if seconds else 10**9, seconds)


def trickling_head(seconds: float) -> Answer:
    """Send an answer's head a byte at a time: no read is ever late, and no header ever whole."""
    return raw(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 50_000, seconds=seconds)


def endless(piece: bytes) -> Answer:
    """Send chunk after chunk, as fast as they are taken."""

    def send(handler: Handler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        while slowly(handler, b"%x\r\n%s\r\n" % (len(piece), piece), 10**9, 0):
            pass

    return send


def redirect_to_itself(handler: Handler, _: bytes) -> None:
    """Send the client round in a circle."""
    handler.send(302, headers={"Location": handler.path})


def next_page_for_ever(handler: Handler, _: bytes) -> None:
    """List nothing, and name another page of the listing."""
    link = f'<{handler.hub.endpoint}{handler.path}>; rel="next"'
    handler.send(200, b"[]", headers={"Content-Type": "application/json", "Link": link})


def slowly(handler: Handler, content: bytes, piece: int, seconds: float) -> bool:
    """Send bytes piece by piece, then hang up; tell whether somebody still listened."""
    handler.close_connection = True
    for start in range(0, len(content), piece):
        try:
            handler.wfile.write(content[start : start + piece])
            handler.wfile.flush()
        except OSError:
            return False
        if seconds and handler.hub.closed.wait(seconds):
            return False
    return True
