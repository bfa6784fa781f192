"""One connection from inside a sandbox: HTTP/1.1 as h11 has it, one request at a time, every wait and every size bounded.

The rule of this room: a stranger writes here. What is not a request ends the connection, and nothing is read whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, TypeAlias

import h11

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
HEADER_BYTES_MAX: Final = 64 * 1024
READ_BYTES: Final = 64 * 1024
IDLE_SECONDS_MAX: Final = 600.0
AHEAD_BYTES_MAX: Final = 1024 * 1024
"""Of requests that are sent before the one in hand is answered."""

RUN_OUT_BYTES_MAX: Final = 16 * 1024 * 1024
RUN_OUT_SECONDS_MAX: Final = 5.0

OwnAnswerHeaders: TypeAlias = tuple[tuple[str, str], ...]


class Client:
    """The server's side of one connection. `body_bytes`: of the request at hand, read so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.body_bytes = 0
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._request_read = asyncio.Event()

    @property
    def has_read_request(self) -> bool:
        """Whether the request at hand was heard to its end."""
        return self._request_read.is_set()

    async def next_event(self) -> object:
        """The next thing the client says, as h11 has it. Raises TimeoutError when it says nothing for long."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                self._http.receive_data(await self._reader.read(READ_BYTES))
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body as it comes. Raises ConnectionError where it is too long or is broken off."""
        while isinstance(event := await self.next_event(), h11.Data):
            self.body_bytes += len(event.data)
            if self.body_bytes > BODY_BYTES_MAX:
                raise ConnectionError(f"a request has at most {BODY_BYTES_MAX} bytes")
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionError("the request broke off")
        self._request_read.set()

    async def end_of_request(self) -> None:
        """The end of a request without a body."""
        async for _ in self.body():
            raise ConnectionError("a request of this kind has no body")

    async def left(self) -> None:
        """Return when the client has closed its end, or sends more than it may ahead; watched only once its request was read,
        for there is one reader."""
        await self._request_read.wait()
        ahead_bytes = 0
        while (data := await self._reader.read(READ_BYTES)) and ahead_bytes < AHEAD_BYTES_MAX:
            ahead_bytes += len(data)
            self._http.receive_data(data)

    def taken_over(self) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection itself, for what is no HTTP any more, and what of that was read already."""
        return bytes(self._http.trailing_data[0]), self._reader, self._writer

    def next_request(self) -> bool:
        """Whether the connection can take another request."""
        self._request_read.clear()
        self.body_bytes = 0
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def answer(self, status: int, body: bytes, headers: OwnAnswerHeaders = ()) -> None:
        """An answer of our own, in JSON; the connection ends with it. What the client still sends is let run out: a connection
        that is closed on unread bytes takes the answer with it."""
        every = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        await self.send(h11.Response(status_code=status, headers=[*every, *headers]))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(RUN_OUT_SECONDS_MAX):
                if not self._request_read.is_set():
                    await self._run_out()

    async def _run_out(self) -> None:
        while self._http.their_state is h11.SEND_BODY and self.body_bytes < RUN_OUT_BYTES_MAX:
            event = await self.next_event()
            self.body_bytes += len(event.data) if isinstance(event, h11.Data) else 0
            if not isinstance(event, h11.Data):
                return

    async def send(self, event: h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        """Write, and wait while the client is slower than its model."""
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()
