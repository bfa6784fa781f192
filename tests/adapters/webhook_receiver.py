"""A webhook's other end, over real HTTP: it records what comes, answers what it is told to, and can misbehave.

Rule of this room: everything it is sent is kept as it came; nothing is checked here, the tests check.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from patience import WAIT_SECONDS_MAX


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answers(status: int, *, headers: str = "", body: bytes = b"") -> Behaviour:
    """Answer at once with this status."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return behave


def waits_for(event: asyncio.Event, then: Behaviour) -> Behaviour:
    """Say nothing until the event is set."""

    async def behave(received: Received, writer: asyncio.StreamWriter) -> None:
        await event.wait()
        await then(received, writer)

    return behave


async def drips(_: Received, writer: asyncio.StreamWriter) -> None:
    """One byte of a header every 50 ms, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not writer.is_closing():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def pours(_: Received, writer: asyncio.StreamWriter) -> None:
    """A failure with an answer that never ends."""
    writer.write(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"\x1b[31mno \r\n" * 10_000)
        await writer.drain()


class Receiver:
    """`behaviours` by path; where there is none, 204."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[Received] = []
        self.behaviours: dict[str, Behaviour] = {}
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()

    def at(self, path: str) -> list[Received]:
        return [received for received in self.received if received.path == path]

    async def wait_for(self, path: str, count: int, *, seconds: float = WAIT_SECONDS_MAX) -> list[Received]:
        """What has come to `path` once it is at least `count`; fails the test after `seconds`."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: len(self.at(path)) >= count), seconds)
            except TimeoutError:
                raise AssertionError(f"{len(self.at(path))} of {count} came to {path} within {seconds} s") from None
        return self.at(path)

    @contextlib.asynccontextmanager
    async def listening(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            received = await _read(reader)
            async with self._changed:
                self.received.append(received)
                self._changed.notify_all()
            await self.behaviours.get(received.path, answers(204))(received, writer)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Received(head[0].split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", "0"))))
