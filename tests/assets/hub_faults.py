"""What a Hub may do to a download: each is an answer that `HubServer.fault` gives instead of the right one."""

from __future__ import annotations

import re
import socket
import struct

from tests.assets.hub_server import Answer, Handler


def status(code: int, **headers: str) -> Answer:
    """Answer with a status; underscores of header names stand for hyphens."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.send(code, headers=given)


def stall(handler: Handler, _: bytes) -> None:
    """Take the request and say nothing."""
    handler.hub.closed.wait(60)
    handler.close_connection = True


def cut_after(count: int, *, reset: bool = False) -> Answer:
    """Promise the whole file, send `count` bytes of it, and hang up; with `reset` the way a broken network does."""

    def cut(handler: Handler, content: bytes) -> None:
        start = int(re.sub(r"\D", "", handler.headers.get("Range") or "0"))
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : start + count])
        handler.wfile.flush()
        if reset:
            handler.hub.closed.wait(1)  # what was sent arrives first; a reset throws away what has not been read
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        handler.close_connection = True

    return cut


def other_body(body: bytes) -> Answer:
    """Send other bytes under the file's name."""
    return lambda handler, _: handler.send(200, body, headers={})


def trickle(seconds: float) -> Answer:
    """Promise the whole file and send a byte of it at a time."""

    def send(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for i in range(len(content)):
            try:
                handler.wfile.write(content[i : i + 1])
            except OSError:
                break
            if handler.hub.closed.wait(seconds):
                break
        handler.close_connection = True

    return send
