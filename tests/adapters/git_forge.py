"""A forge for git tests: git's own `http-backend` behind TLS and a password, with a place to look while git waits."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from patience import WAIT_SECONDS_MAX


@dataclass
class Forge:
    """Serves the repositories under `root` to `user` with `password`. `answer` may answer a request (a status, and headers)
    instead; `watch` is called during each; `cut` names a path after whose work the connection breaks without an answer."""

    root: Path
    certificate: Path
    user: str = "x-access-token"
    password: str = ""
    answer: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
    watch: Callable[[], None] = lambda: None
    cut: str = "-"
    url: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    forge: Forge

    def do_GET(self) -> None:
        forge = self.forge
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = self.headers.get("Authorization")
        forge.requests.append((path, given))
        forge.watch()
        wanted = base64.b64encode(f"{forge.user}:{forge.password}".encode()).decode()
        if answered := forge.answer(path):
            self._send(answered[0], answered[1], b"")
        elif given != f"Basic {wanted}":
            self._send(401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"")
        else:
            head, _, content = self._backend(path, query, body).partition(b"\r\n\r\n")
            if path.endswith(forge.cut):
                self.close_connection = True
                return
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self._send(int(headers.pop("Status", "200").split()[0]), headers, content)

    def do_POST(self) -> None:
        self.do_GET()

    def _backend(self, path: str, query: str, body: bytes) -> bytes:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(self.forge.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": self.forge.user,
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


@contextmanager
def serving(forge: Forge) -> Iterator[Forge]:
    """The forge, on a free port of 127.0.0.1, until the end of the block."""
    key = forge.certificate.with_suffix(".key")
    if not key.exists():
        names = ["-subj", "/CN=forge", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-keyout", str(key), "-out", str(forge.certificate)]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subprocess.run(["openssl", "req", "-x509", *curve, "-nodes", *files, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(forge.certificate, key)
    handler = type("Handler", (_Handler,), {"forge": forge})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        forge.url = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield forge
        finally:
            server.shutdown()
            thread.join()
