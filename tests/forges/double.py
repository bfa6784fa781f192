"""A forge on a port of 127.0.0.1: its API, its git over HTTP, its webhooks, and its bad days.

Rule of this room: what it does it does to its own state, which tests read afterwards; what it says goes through a dialect. A
fault is decided before the answer and after the effect, as on the way.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from forges.wire import Wrong
from patience import WAIT_SECONDS_MAX

Kind: TypeAlias = Literal["broken", "lost", "hang"]
"""An answer of 5xx and nothing done; done, and the connection breaks; done, and no answer until `released`."""


@dataclass
class Pull:
    number: int
    head: str
    base: str
    title: str
    body: str
    draft: bool = False
    state: str = "open"
    merged: bool = False
    sha: str = ""
    labels: list[str] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    fork: bool = False
    listed_after: int = 0


@dataclass
class Project:
    """`git`: its bare repository, None where branches are taken on trust, but for those that are `gone`."""

    name: str
    git: Path | None = None
    private: bool = False
    pulls: list[Pull] = field(default_factory=list)
    checks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    writers: set[str] = field(default_factory=set)
    pipeline: dict[str, Any] | None = None
    gone: set[str] = field(default_factory=set)

    def head(self, branch: str) -> str | None:
        if branch in self.gone:
            return None
        if self.git is None:
            return f"{abs(hash(branch)):040x}"[-40:]
        done = subprocess.run(
            ["git", "-C", str(self.git), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or None

    def pull(self, number: int) -> Pull | None:
        return next((one for one in self.pulls if one.number == number), None)

    def sha(self, pull: Pull) -> str:
        return pull.sha or self.head(pull.head) or "0" * 40


@dataclass
class Asked:
    """One request to the API, its path without the prefix."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass
class Reply:
    status: int
    content: object = None
    headers: dict[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """How one forge speaks."""

    prefix: str

    def accepts(self, forge: Double, asked: Asked) -> bool: ...
    def reply(self, forge: Double, asked: Asked) -> Reply: ...
    def refused(self, status: int, why: str) -> Reply: ...
    def check(self, wrong: Wrong, asked: Asked, reply: Reply) -> None: ...
    def hook(self, kind: str, content: bytes, delivery: str, secret: str) -> dict[str, str]: ...


@dataclass
class Double:
    """`lost` and `broken`: shares of API requests, drawn from `seed`. `lag`: so many lists do not know what was just opened.
    `planned`: faults or replies for the next requests whose `METHOD path` matches."""

    dialect: Dialect
    certificate: Path
    token: str = "a-token-of-the-double"
    lost: float = 0.0
    broken: float = 0.0
    lag: int = 0
    seed: int = 1
    validate: bool = True
    git_user: str | None = None
    url: str = ""
    projects: dict[str, Project] = field(default_factory=dict)
    planned: list[tuple[str, Kind | Reply]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    pushes: int = 0
    faults: dict[str, int] = field(default_factory=lambda: {"lost": 0, "broken": 0})
    wrong: Wrong = field(default_factory=Wrong)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    @property
    def api(self) -> str:
        return f"{self.url}{self.dialect.prefix}"

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def add(self, name: str, git: Path | None = None) -> Project:
        self.projects[name] = Project(name, git)
        return self.projects[name]

    def take_fault(self, asked: Asked) -> Kind | Reply | None:
        for at, (pattern, kind) in enumerate(self.planned):
            if re.search(pattern, f"{asked.method} {asked.path}"):
                del self.planned[at]
                return kind
        drawn = self.chance.random()
        if drawn < self.lost:
            self.faults["lost"] += 1
            return "lost"
        if drawn < self.lost + self.broken:
            self.faults["broken"] += 1
            return "broken"
        return None

    def answer(self, asked: Asked) -> tuple[Reply, Kind | None]:
        with self.lock:
            self.asked.append(asked)
            fault = self.take_fault(asked)
            if isinstance(fault, Reply):
                return fault, None
            if fault == "broken":
                return Reply(self.chance.choice((500, 502, 503, 504)), "<html>upstream connect error</html>"), None
            if not self.dialect.accepts(self, asked):
                return self.dialect.refused(401, "Bad credentials"), None
            reply = self.dialect.reply(self, asked)
            if self.validate:
                self.dialect.check(self.wrong, asked, reply)
            return reply, fault

    def opened(self, project: Project, branch: str) -> Pull | None:
        return next((one for one in project.pulls if one.head == branch and one.state == "open" and not one.fork), None)

    def shown(self, project: Project) -> list[Pull]:
        """What a list knows, newest first."""
        known = []
        for pull in reversed(project.pulls):
            if pull.listed_after > 0:
                pull.listed_after -= 1
            else:
                known.append(pull)
        return known

    def make(self, project: Project, head: str, base: str, title: str, body: str, *, draft: bool = False) -> Pull:
        pull = Pull(len(project.pulls) + 1, head, base, title, body, draft, listed_after=self.lag)
        project.pulls.append(pull)
        return pull

    def deliver(self, to: str, kind: str, payload: object, delivery: str, secret: str, *, times: int = 1) -> list[int]:
        """Send a webhook, `times` alike; the statuses that came back."""
        content = json.dumps(payload).encode()
        headers = {"content-type": "application/json", **self.dialect.hook(kind, content, delivery, secret)}
        statuses = []
        for _ in range(times):
            request = urllib.request.Request(to, content, headers, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=WAIT_SECONDS_MAX) as response:
                    statuses.append(response.status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)
        return statuses


def page(asked: Asked, items: list[Any], *, size: str, default: int, most: int) -> tuple[list[Any], dict[str, str]]:
    """One page, and the header that says whether there is another."""
    count = min(int(asked.query.get(size, default)), most)
    nth = int(asked.query.get("page", 1))
    shown = items[(nth - 1) * count : nth * count]
    last = -(-len(items) // count)
    if nth >= last:
        return shown, {}
    at = "<https://forge.example/page?per_page=9&page="
    return shown, {"link": f'{at}{nth + 1}>; rel="next", {at}{last}>; rel="last"'}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    forge: Double

    def do_GET(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        prefix = self.forge.dialect.prefix
        if (prefix and not parts.path.startswith(f"{prefix}/")) or (not prefix and ".git/" in parts.path):
            self._git(parts.path, parts.query, body)
        else:
            self._api(parts.path.removeprefix(prefix), parts.query, body)

    do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - the standard library's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _api(self, path: str, query: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, path, dict(parse_qsl(query)), json.loads(body) if body else None, headers)
        reply, fault = self.forge.answer(asked)
        if fault == "hang":
            self.forge.released.wait(WAIT_SECONDS_MAX)
        if fault is not None:
            self.close_connection = True
            return
        content = json.dumps(reply.content).encode() if not isinstance(reply.content, bytes) else reply.content
        self._send(reply.status, {"Content-Type": "application/json", **reply.headers}, content)

    def _git(self, path: str, query: str, body: bytes) -> None:
        given = self.headers.get("Authorization") or ""
        user, _, password = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        project = self.forge.projects.get(unquote(path).strip("/").split(".git/")[0])
        wanted = self.forge.git_user
        if password != self.forge.token or (wanted is not None and user != wanted):
            self._send(401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"")
        elif project is None or project.git is None:
            self._send(404, {}, b"")
        else:
            self.forge.pushes += path.endswith("/git-receive-pack")
            inner = path.split(".git/", 1)[1]
            head, _, content = self._backend(project.git, inner, query, body).partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self._send(int(headers.pop("Status", "200").split()[0]), headers, content)

    def _backend(self, git: Path, inner: str, query: str, body: bytes) -> bytes:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(git.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{git.name}/{inner}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": "penstock",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
        }
        return subprocess.run(
            ["git", "http-backend"], env=env, input=body, capture_output=True, timeout=WAIT_SECONDS_MAX
        ).stdout

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Who is killed in the middle of a request is no news."""


def certificate_in(folder: Path) -> Path:
    """A certificate for 127.0.0.1, its key beside it."""
    found = folder / "forge.pem"
    if not found.exists():
        names = ["-subj", "/CN=forge", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-keyout", str(found.with_suffix(".key")), "-out", str(found)]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subprocess.run(["openssl", "req", "-x509", *curve, "-nodes", *files, *names], check=True, capture_output=True)
    return found


@contextlib.contextmanager
def serving(forge: Double) -> Iterator[Double]:
    """The forge, on a free port of 127.0.0.1, until the end of the block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(forge.certificate, forge.certificate.with_suffix(".key"))
    handler = type("Handler", (_Handler,), {"forge": forge})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        forge.url = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield forge
        finally:
            forge.released.set()
            server.shutdown()
            thread.join()
