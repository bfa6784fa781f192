"""Bytes between two connections, both ways, until both have ended, nothing moves or there were too many.

The rule of this room: an end in one direction is passed on in that direction alone, and whatever else happens ends both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, TypeAlias

CHUNK_BYTES: Final = 64 * 1024
IDLE_SECONDS_MAX: Final = 300.0
TUNNEL_SECONDS_MAX: Final = 3_600.0
SENT_BYTES_MAX: Final = 256 * 1024 * 1024
"""Out of one job's sandbox: what packages are asked for with is small, and what is taken away may not be."""

RECEIVED_BYTES_MAX: Final = 16 * 1024 * 1024 * 1024
END_SECONDS_MAX: Final = 1.0

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Traffic:
    """What one job has sent and received through its proxy."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def is_used_up(self) -> bool:
        return self.sent_bytes > SENT_BYTES_MAX or self.received_bytes > RECEIVED_BYTES_MAX

    def sent(self, size_bytes: int) -> None:
        """Raises ConnectionError where it was too much."""
        self.sent_bytes += size_bytes
        self._check()

    def received(self, size_bytes: int) -> None:
        """Raises ConnectionError where it was too much."""
        self.received_bytes += size_bytes
        self._check()

    def _check(self) -> None:
        if self.is_used_up:
            raise ConnectionError("a job has sent or received as much as it may")


class Pulse:
    """When something last moved on a connection, in either direction."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.beat()

    def beat(self) -> None:
        self._moved_at = self._loop.time()

    @property
    def is_idle(self) -> bool:
        return self._loop.time() - self._moved_at >= IDLE_SECONDS_MAX


async def tunnel(inside: Streams, outside: Streams, traffic: Traffic, early: bytes) -> None:
    """Both directions; `early`: what came from inside already. Raises ConnectionError, TimeoutError."""
    pulse = Pulse()
    ways = [
        asyncio.ensure_future(pump(inside[0], outside[1], traffic.sent, pulse, early)),
        asyncio.ensure_future(pump(outside[0], inside[1], traffic.received, pulse)),
    ]
    try:
        async with asyncio.timeout(TUNNEL_SECONDS_MAX):
            await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    count: Callable[[int], None],
    pulse: Pulse,
    early: bytes = b"",
) -> None:
    """One direction to its end, which is passed on. Raises ConnectionError, TimeoutError."""
    data = early or await _read(source, pulse)
    while data:
        count(len(data))
        sink.write(data)
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            await sink.drain()
        data = await _read(source, pulse)
    if sink.can_write_eof():
        sink.write_eof()


async def _read(source: asyncio.StreamReader, pulse: Pulse) -> bytes:
    """The next bytes, b"" at the end. Raises TimeoutError where nothing moves either way."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                data = await source.read(CHUNK_BYTES)
        except TimeoutError:
            if pulse.is_idle:
                raise
        else:
            pulse.beat()
            return data


async def end(writer: asyncio.StreamWriter) -> None:
    """Close a connection, with what was written to it if that goes fast."""
    writer.close()
    try:
        async with asyncio.timeout(END_SECONDS_MAX):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        with contextlib.suppress(OSError):
            writer.transport.abort()
