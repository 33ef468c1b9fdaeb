"""A hub on loopback: what huggingface_hub asks of huggingface.co, and every way in which it can fail."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"


@dataclass
class Repository:
    """One model. `files` by name; `branches` name → commit. The faults are for a test to set."""

    files: dict[str, bytes]
    branches: dict[str, str]
    gated: bool = False  # listed for all, delivered to TOKEN only
    closed: int = 0  # an HTTP status for every request
    cut: dict[str, int] = field(default_factory=dict)  # file → how many of its deliveries break off half way
    short: set[str] = field(default_factory=set)  # files delivered without their second half, but with a header to match
    listed: dict[str, int | None] = field(default_factory=dict)  # file → a size in the listing other than its own
    absent: set[str] = field(default_factory=set)  # listed files that are not delivered

    def move(self, branch: str = "main") -> str:
        """Push a commit to a branch."""
        self.branches[branch] = hashlib.sha1(f"{branch} {self.branches.get(branch)}".encode()).hexdigest()
        return self.branches[branch]


@dataclass(frozen=True)
class Asked:
    """A request that the hub has seen."""

    method: str
    path: str
    range: str | None
    authorized: bool


class FakeHub:
    """The server. `asked` records every request."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def add(self, name: str, files: dict[str, bytes]) -> Repository:
        repository = self.repositories[name] = Repository(files, {})
        repository.move()
        return repository

    def delivered(self) -> list[str]:
        """Names of the files that were asked for, in order."""
        return [asked.path.rpartition("/")[2] for asked in self.asked if asked.method == "GET" and "/resolve/" in asked.path]

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()


@contextmanager
def running() -> Iterator[FakeHub]:
    hub = FakeHub()
    try:
        yield hub
    finally:
        hub.stop()


class _Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def log_message(self, format: str, *arguments: Any) -> None: ...

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        authorized = self.headers.get("authorization") == f"Bearer {TOKEN}"
        self.hub.asked.append(Asked(self.command, path, self.headers.get("range"), authorized))
        try:
            if path.startswith("api/models/"):
                name, _, revision = path.removeprefix("api/models/").partition("/revision/")
                self.listing(self.repository(name), name, revision or "main")
            else:
                name, _, rest = path.partition("/resolve/")
                revision, _, file = rest.partition("/")
                self.deliver(self.repository(name), revision, file, authorized)
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self.reply(refused.status, {key: value for key, value in headers.items() if value}, b"{}")

    def repository(self, name: str) -> Repository:
        repository = self.hub.repositories.get(name)
        token = self.headers.get("authorization")
        if token not in (None, f"Bearer {TOKEN}"):
            raise _Refused(401, message="Invalid credentials in Authorization header")
        if repository is None:
            raise _Refused(401 if token is None else 404, "RepoNotFound", "Repository not found")
        if repository.closed:
            raise _Refused(repository.closed)
        return repository

    def commit(self, repository: Repository, revision: str) -> str:
        commit = repository.branches.get(revision, revision)
        if commit not in repository.branches.values():
            raise _Refused(404, "RevisionNotFound", "Invalid rev id")
        return commit

    def listing(self, repository: Repository, name: str, revision: str) -> None:
        siblings = [
            {"rfilename": file, "size": repository.listed.get(file, len(content))} for file, content in repository.files.items()
        ]
        answer = {"id": name, "modelId": name, "sha": self.commit(repository, revision), "siblings": siblings}
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def deliver(self, repository: Repository, revision: str, file: str, authorized: bool) -> None:
        commit = self.commit(repository, revision)
        if repository.gated and not authorized:
            raise _Refused(403 if "authorization" in self.headers else 401, "GatedRepo", "Access to this model is restricted")
        if file not in repository.files or file in repository.absent:
            raise _Refused(404, "EntryNotFound", "Entry not found")
        content = repository.files[file]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if file in repository.short and self.command == "GET":
            content = content[: len(content) // 2]
        start, status = 0, 200
        if wanted := self.headers.get("range"):
            start, status = int(wanted.removeprefix("bytes=").split("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = content[start:]
        if self.command == "GET" and repository.cut.get(file, 0) > 0:
            repository.cut[file] -= 1
            self.reply(status, headers, part, send=len(part) // 2)
            self.close_connection = True
        else:
            self.reply(status, headers, part)

    def reply(self, status: int, headers: dict[str, str], body: bytes, send: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:send])
            self.wfile.flush()
