"""A Hub on this machine: enough of its protocol for the real huggingface_hub and datasets clients, and its faults.

Like the real one it lists files with their hashes, answers `resolve` with the commit in its headers, and sends large
files (here: safetensors) from another origin, which must never see a token. It has no Xet storage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from huggingface_hub.utils.sha import git_hash

FILE = re.compile(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/(model|dataset)s/(.+?)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
NONE: Mapping[str, str] = MappingProxyType({})
JSON = {"Content-Type": "application/json"}


class Repository(NamedTuple):
    """Files at one commit, which is also the branch main."""

    commit: str
    files: Mapping[str, bytes]
    private: bool = False


class Asked(NamedTuple):
    """A request as it came in, at the Hub (`hub`) or at its storage (`cdn`)."""

    method: str
    path: str
    range: str | None
    token: str | None
    origin: str


class Fault(NamedTuple):
    """What the Hub sends instead of the right answer: another one, a part of one, or bytes that are no HTTP."""

    status: int = 200
    headers: Mapping[str, str] = NONE  # {url} in a value becomes the address that was asked for
    body: bytes | None = None  # None, where the status is 200: what was asked for, or a long listing
    raw: bytes | None = None  # instead of status, headers and body
    stop: int | None = None  # so many bytes of the body are sent, in pieces with a pause after each
    piece: int = 10**9
    seconds: float = 0.0
    then: Literal["hang up", "reset", "stall"] = "hang up"
    ranges: bool = True
    endless: bool = False  # the body again and again


STALL = Fault(raw=b"", then="stall")


@dataclass
class Planted:
    """A fault for the next `left` requests whose `METHOD path` holds the pattern."""

    pattern: str
    fault: Fault
    left: float


@dataclass(kw_only=True)
class HubServer:
    """Serves `repositories`, by kind and name, while the `with` block lasts; `renamed` maps old names to new ones."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    faults: list[Planted] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)  # large files by their hash, until a commit names them
    closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> HubServer:
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.endpoint, self.storage = (
            f"http://{host}:{self.server.server_port}" for host in ("127.0.0.1", "localhost")
        )
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    def fault(self, pattern: str, fault: Fault, *, times: float = math.inf) -> None:
        """Answer the first `times` requests whose `METHOD path` holds the pattern with the fault."""
        self.faults.append(Planted(pattern, fault, times))

    def fault_for(self, request: str) -> Fault | None:
        with self.lock:
            for planted in self.faults:
                if planted.left and re.search(planted.pattern, request):
                    planted.left -= 1
                    return planted.fault
        return None

    def count(self, pattern: str) -> int:
        """How many requests came whose `METHOD path` holds the pattern."""
        return sum(bool(re.search(pattern, f"{asked.method} {asked.path}")) for asked in self.asked)

    def stored(self, path: str) -> bytes | None:
        """The bytes of a large file by its address in the storage."""
        files = (content for repository in self.repositories.values() for content in repository.files.values())
        return next((content for content in files if path == f"/stored/{hashlib.sha256(content).hexdigest()}"), None)


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, method = unquote(urlsplit(self.path).path), self.command
        if path == "/api/agent-harnesses":  # the client asks it now and then, of itself
            self.send_json({})
            return
        origin = "cdn" if self.headers["Host"].startswith("localhost") else "hub"
        asked = Asked(method, path, self.headers.get("Range"), self.headers.get("Authorization"), origin)
        self.hub.asked.append(asked)
        if fault := self.hub.fault_for(f"{method} {path}"):
            self._fail(fault, path)
        elif method in ("POST", "PUT") and (answer := self._take(path, sent)) is not None:
            self.send_json(answer)
        elif api := API.fullmatch(path):
            self._api(api, sent)
        elif file := FILE.fullmatch(path):
            self._file(file)
        elif (content := self.hub.stored(path)) is not None:
            self.send_content(content, {})
        else:
            self.send(404)

    do_HEAD = do_GET = do_PUT = do_POST = _answer  # noqa: N815 (http.server's names)

    def _fail(self, fault: Fault, path: str) -> None:
        body, status = fault.body or b"", fault.status
        if fault.body is None and status == 200:
            start = int(re.sub(r"\D", "", self.headers.get("Range") or "0")) if fault.ranges else 0
            body, status = (self.hub.stored(path) or b"")[start:] or b" " * 10_000, 206 if start else 200
        if fault.raw is None:
            length = {} if fault.endless else {"Content-Length": str(len(body))}
            url = self.hub.endpoint + self.path
            headers = {name: value.replace("{url}", url) for name, value in fault.headers.items()}
            self.send_head(status, headers | length | {"Connection": "close"})
        content = body[: fault.stop] if fault.raw is None else fault.raw
        while self._send_slowly(content, fault.piece, fault.seconds) and fault.endless:
            pass
        if fault.then == "stall":
            self.hub.closed.wait(60)
        if fault.then == "reset":
            self.hub.closed.wait(1)  # what was sent arrives first; a reset throws away what has not been read
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _send_slowly(self, content: bytes, piece: int, seconds: float) -> bool:
        """Send bytes piece by piece; False as soon as nobody listens."""
        for start in range(0, len(content), piece):
            try:
                self.wfile.write(content[start : start + piece])
            except OSError:
                return False
            if seconds and self.hub.closed.wait(seconds):
                return False
        return True

    def _take(self, path: str, sent: bytes) -> dict[str, Any] | None:
        """Do what belongs to a push: make a repository, take its large files, and commit; None for all else."""
        answer: dict[str, Any] | None = None
        if path == "/api/repos/create":
            given = json.loads(sent)
            name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
            private = given.get("private", given.get("visibility") == "private")  # older clients, newer ones
            empty = Repository("0" * 40, {".gitattributes": b""}, private)
            self.hub.repositories.setdefault(("model", name), empty)
            answer = {"url": f"{self.hub.endpoint}/{name}"}
        elif path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        elif path.startswith("/upload/"):
            self.hub.uploads[path.removeprefix("/upload/")] = sent
            answer = {}
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(sent)["objects"]
            for each in objects:
                each["actions"] = {"upload": {"href": f"{self.hub.storage}/upload/{each['oid']}"}}
            answer = {"transfer": "basic", "objects": objects}
        elif path.endswith("/preupload/main"):
            files = [{"path": each["path"], "shouldIgnore": False} for each in json.loads(sent)["files"]]
            for each in files:
                each["uploadMode"] = "lfs" if each["path"].endswith(".safetensors") else "regular"
            answer = {"files": files}
        elif commit := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            answer = self._commit(commit[1], [json.loads(line) for line in sent.splitlines()])
        return answer

    def _commit(self, name: str, lines: list[Any]) -> dict[str, Any]:
        before = self.hub.repositories["model", name]
        values = [(line["key"], line["value"]) for line in lines]
        files = {value["path"]: base64.b64decode(value["content"]) for key, value in values if key == "file"}
        files |= {value["path"]: self.hub.uploads[value["oid"]] for key, value in values if key == "lfsFile"}
        self.hub.repositories["model", name] = before._replace(commit="c" * 40, files={**before.files, **files})
        return {"success": True, "commitOid": "c" * 40, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{'c' * 40}"}

    def _find(self, kind: str, name: str, revision: str) -> Repository | None:
        """The repository at the revision; None where a redirection or a refusal was sent."""
        repository = self.hub.repositories.get((kind, name))
        if name in self.hub.renamed:
            self.send(307, headers={"Location": self.path.replace(name, self.hub.renamed[name], 1)})
        elif repository is None:
            self.send(404 if self.headers.get("Authorization") else 401, headers={"X-Error-Code": "RepoNotFound"})
        elif revision == "main" or (len(revision) >= 7 and repository.commit.startswith(revision)):
            return repository
        else:
            self.send(404, headers={"X-Error-Code": "RevisionNotFound"})
        return None

    def _api(self, asked: re.Match[str], sent: bytes) -> None:
        kind, name, what, revision, below = asked.groups()
        if not (repository := self._find(kind, name, revision or "main")):
            return
        files = repository.files
        if what == "tree":
            self.send_json([_listed(path, files[path]) for path in files if path.startswith(below or "")])
        elif what == "paths-info":
            given = json.loads(sent)["paths"] if sent.startswith(b"{") else parse_qs(sent.decode())["paths"]
            self.send_json([_listed(path, files[path]) for path in given if path in files])
        else:
            about: dict[str, Any] = {"id": name, "sha": repository.commit, "private": repository.private, "tags": []}
            self.send_json({**about, "siblings": [{"rfilename": path} for path in files]})

    def _file(self, asked: re.Match[str]) -> None:
        kind, name, revision, path = asked.groups()
        if not (repository := self._find("dataset" if kind else "model", name, revision)):
            return
        headers = {"X-Repo-Commit": repository.commit}
        if (content := repository.files.get(path)) is None:
            self.send(404, headers=headers | {"X-Error-Code": "EntryNotFound"})
        elif path.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self.send(302, headers=headers | linked | {"Location": f"{self.hub.storage}/stored/{digest}"})
        else:
            self.send_content(content, headers | {"ETag": f'"{git_hash(content)}"'})

    def send_json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), headers=JSON)

    def send_content(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Send a file, or the part of it that is asked for by Range."""
        if begin := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(begin[1])
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.send(206, content[start:], headers={**headers, **span})
        else:
            self.send(200, content, headers=headers)

    def send(self, status: int, body: bytes = b"", *, headers: Mapping[str, str] = NONE) -> None:
        self.send_head(status, {**headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _listed(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
    if path.endswith(".safetensors"):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
