"""The admin port of every service: `/healthz`, `/readyz`, `/metrics`, `/version`.

Rule of this room: it answers while everything else is in trouble; it reads one request line, and nothing a client sends
can make it do more.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import AsyncIterator, Callable
from importlib.metadata import PackageNotFoundError, version

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from penstock import CONTRACT_VERSION

REQUEST_LINE_BYTES_MAX = 4096
REQUEST_SECONDS_MAX = 5.0

Problems = Callable[[], list[str]]
"""Why the service is not ready, one sentence each; empty when it is."""


def version_info(service: str) -> dict[str, object]:
    """What `/version` says."""
    try:
        release = version(f"penstock-{service}")
    except PackageNotFoundError:
        release = "unknown"
    return {
        "service": service,
        "version": release,
        "contract": CONTRACT_VERSION,
        "python": platform.python_version(),
    }


@contextlib.asynccontextmanager
async def admin_port(service: str, host: str, port: int, problems: Problems) -> AsyncIterator[int]:
    """Serve while inside; yields the port that is used."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # One limit over the whole: a client that sends or reads drop by drop is as slow as one that is silent.
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    continue
                status, kind, body = _answer(service, line, problems)
                head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            # A slow, gone or oversized client gets nothing; the service is not to notice.
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, port, limit=REQUEST_LINE_BYTES_MAX)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def _answer(service: str, request_line: bytes, problems: Problems) -> tuple[str, str, bytes]:
    method, _, rest = request_line.partition(b" ")
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
    if method not in (b"GET", b"HEAD"):
        return "405 Method Not Allowed", "text/plain", b"only GET\n"
    if path == b"/healthz":
        return "200 OK", "text/plain", b"ok\n"
    if path == b"/readyz":
        found = problems()
        body = msgspec.json.encode({"ready": not found, "problems": found})
        return ("503 Service Unavailable" if found else "200 OK"), "application/json", body
    if path == b"/metrics":
        return "200 OK", CONTENT_TYPE_LATEST, generate_latest()
    if path == b"/version":
        return "200 OK", "application/json", msgspec.json.encode(version_info(service))
    return "404 Not Found", "text/plain", b"/healthz /readyz /metrics /version\n"
