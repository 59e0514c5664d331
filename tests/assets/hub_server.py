"""A Hub on this machine: enough of its protocol for the real huggingface_hub and datasets clients.

Like the real one it lists files with their hashes, answers `resolve` with the commit in its headers, and sends large
files (here: safetensors) from another origin, which must never see a token. It has no Xet storage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from huggingface_hub.utils.sha import git_hash

FILE = re.compile(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/(model|dataset)s/(.+?)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
Answer = Callable[["Handler", bytes], object]


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Files at one commit; `refs` are further names of it, of which an abbreviated hash needs no entry."""

    commit: str
    files: Mapping[str, bytes]
    refs: tuple[str, ...] = ("main",)
    private: bool = False


class Asked(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    range: str | None
    token: str | None
    origin: str


@dataclass(kw_only=True)
class HubServer:
    """Serves `repositories`, by kind and name, while the `with` block lasts; `renamed` maps old names to new ones."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[str, Answer]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)  # large files by their hash, until a commit names them
    closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> HubServer:
        self.lock = threading.Lock()
        kinds = [type("Handler", (Handler,), {"hub": self, "origin": origin}) for origin in ("hub", "cdn")]
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in kinds]
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def fault(self, pattern: str, answer: Answer, *, times: int = 10**4) -> None:
        """Give this answer instead to the first `times` requests whose `METHOD path` holds the pattern."""
        self.faults += [(pattern, answer)] * times

    def fault_for(self, request: str) -> Answer | None:
        with self.lock:
            fault = next((fault for fault in self.faults if re.search(fault[0], request)), None)
            if fault:
                self.faults.remove(fault)
            return fault[1] if fault else None

    def count(self, pattern: str) -> int:
        """How many requests came whose `METHOD path` holds the pattern."""
        return sum(bool(re.search(pattern, f"{asked.method} {asked.path}")) for asked in self.asked)


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    origin: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, method = unquote(urlsplit(self.path).path), self.command
        if path == "/api/agent-harnesses":  # the client asks it now and then, of itself
            self.send_json({})
            return
        self.hub.asked.append(
            Asked(method, path, self.headers.get("Range"), self.headers.get("Authorization"), self.origin)
        )
        if instead := self.hub.fault_for(f"{method} {path}"):
            instead(self, self._content(path) or b"")
        elif method in ("POST", "PUT") and self._take(path, sent):
            pass
        elif api := API.fullmatch(path):
            self._api(api, sent)
        elif file := FILE.fullmatch(path):
            self._file(file)
        elif (content := self._content(path)) is not None:
            self.send_content(content, {})
        else:
            self.send(404)

    do_HEAD = do_GET = do_PUT = do_POST = _answer  # noqa: N815 (http.server's names)

    def _take(self, path: str, sent: bytes) -> bool:
        """Do what belongs to a push: make a repository, take its large files, and commit; False for all else."""
        if path == "/api/repos/create":
            given = json.loads(sent)
            name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
            private = given.get("private", given.get("visibility") == "private")  # older clients, newer ones
            empty = Repository(commit="0" * 40, files={".gitattributes": b""}, private=private)
            self.hub.repositories.setdefault(("model", name), empty)
            self.send_json({"url": f"{self.hub.endpoint}/{name}"})
        elif path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif path.startswith("/upload/"):
            self.hub.uploads[path.removeprefix("/upload/")] = sent
            self.send(200)
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(sent)["objects"]
            for each in objects:
                each["actions"] = {"upload": {"href": f"{self.hub.storage}/upload/{each['oid']}"}}
            self.send_json({"transfer": "basic", "objects": objects})
        elif path.endswith("/preupload/main"):
            files = [{"path": each["path"], "shouldIgnore": False} for each in json.loads(sent)["files"]]
            for each in files:
                each["uploadMode"] = "lfs" if str(each["path"]).endswith(".safetensors") else "regular"
            self.send_json({"files": files})
        elif commit := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            self._commit(commit[1], sent)
        else:
            return False
        return True

    def _commit(self, name: str, sent: bytes) -> None:
        before = self.hub.repositories["model", name]
        files = dict(before.files)
        for line in map(json.loads, sent.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
        commit = hashlib.sha1(sent, usedforsecurity=False).hexdigest()
        self.hub.repositories["model", name] = replace(before, commit=commit, files=files)
        url = f"{self.hub.endpoint}/{name}/commit/{commit}"
        self.send_json({"success": True, "commitOid": commit, "commitUrl": url})

    def _content(self, path: str) -> bytes | None:
        """The bytes of the file that a path stands for, at whatever commit."""
        if file := FILE.fullmatch(path):
            name = self.hub.renamed.get(file[2], file[2])
            repository = self.hub.repositories.get(("dataset" if file[1] else "model", name))
            return repository.files.get(file[4]) if repository else None
        files = (content for each in self.hub.repositories.values() for content in each.files.values())
        return next((content for content in files if path == f"/stored/{hashlib.sha256(content).hexdigest()}"), None)

    def _find(self, kind: str, name: str, revision: str) -> Repository | None:
        """The repository at the revision; None where a redirection or a refusal was sent."""
        repository = self.hub.repositories.get((kind, name))
        if name in self.hub.renamed:
            self.send(307, headers={"Location": self.path.replace(name, self.hub.renamed[name], 1)})
        elif repository is None:
            self.send(404 if self.headers.get("Authorization") else 401, headers={"X-Error-Code": "RepoNotFound"})
        elif revision in repository.refs or (len(revision) >= 7 and repository.commit.startswith(revision)):
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
        self.send(200, json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    def send_content(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Send a file, or the part of it that is asked for by Range."""
        if begin := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(begin[1])
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.send(206, content[start:], headers={**headers, **span})
        else:
            self.send(200, content, headers=headers)

    def send(self, status: int, body: bytes = b"", *, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listed(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
    if path.endswith(".safetensors"):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
