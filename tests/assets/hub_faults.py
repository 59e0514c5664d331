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
    """Promise the whole file, or a long listing, and send a byte of it at a time."""

    def send(handler: Handler, content: bytes) -> None:
        content = content or b" " * 10_000
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


def trickle_headers(seconds: float) -> Answer:
    """Send an answer's head a byte at a time: no read is ever late, and no header ever whole."""

    def send(handler: Handler, _: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 50_000
        for i in range(len(head)):
            try:
                handler.wfile.write(head[i : i + 1])
                handler.wfile.flush()
            except OSError:
                break
            if handler.hub.closed.wait(seconds):
                break
        handler.close_connection = True

    return send


def portal(handler: Handler, _: bytes) -> None:
    """Send the page of a captive portal, whatever was asked for."""
    handler.send(200, b"<html><body>Accept our terms</body></html>", headers={"Content-Type": "text/html"})


def json_body(text: str, **headers: str) -> Answer:
    """Send this as the listing."""
    return lambda handler, _: handler.send(
        200,
        text.encode(),
        headers={"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}},
    )


def raw(content: bytes) -> Answer:
    """Send bytes that are no HTTP, or none, and hang up."""

    def send(handler: Handler, _: bytes) -> None:
        handler.wfile.write(content)
        handler.close_connection = True

    return send


def endless(piece: bytes) -> Answer:
    """Send chunk after chunk, as fast as they are taken."""

    def send(handler: Handler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        try:
            while not handler.hub.closed.is_set():
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        except OSError:
            pass
        handler.close_connection = True

    return send


def redirect_to_itself(handler: Handler, _: bytes) -> None:
    """Send the client round in a circle."""
    handler.send(302, headers={"Location": handler.path})


def next_page_for_ever(handler: Handler, _: bytes) -> None:
    """List nothing, and name another page of the listing."""
    link = f'<{handler.hub.endpoint}{handler.path}>; rel="next"'
    handler.send(200, b"[]", headers={"Content-Type": "application/json", "Link": link})


def cut_from_the_start(count: int) -> Answer:
    """Ignore what range is asked for, send `count` bytes of the whole file, and hang up."""

    def cut(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:count])
        handler.close_connection = True

    return cut


def stall_after(count: int) -> Answer:
    """Promise the whole file, send `count` bytes of it, and say nothing more."""

    def send(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:count])
        handler.wfile.flush()
        handler.hub.closed.wait(60)
        handler.close_connection = True

    return send


def in_pieces(count: int, seconds: float) -> Answer:
    """Send the whole file in pieces, each after a pause."""

    def send(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        size = -(-len(content) // count)
        for start in range(0, len(content), size):
            handler.wfile.write(content[start : start + size])
            handler.hub.closed.wait(seconds)

    return send
