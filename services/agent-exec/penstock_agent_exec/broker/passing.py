"""One request on its way to the model, and its answer on the way back.

The rule of this room: bytes are passed on as they come. What is read from them is read beside, and whatever becomes of the
answer is noted: also where either side has left.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

import h11
import httpx2

from penstock.settings import Secret
from penstock_agent_exec.broker.books import Books
from penstock_agent_exec.broker.client import Client
from penstock_agent_exec.broker.dialect import Dialect, HeaderList, headers_out, own_answer, with_query
from penstock_agent_exec.broker.limits import ERROR_BYTES_MAX
from penstock_agent_exec.broker.metering import AnswerMeter

# What belongs to one connection only.
_HOP: Final = frozenset(b"connection keep-alive te trailer transfer-encoding upgrade proxy-connection".split())


PIECE_BYTES_MAX: Final = 1024 * 1024
"""Of what a compressed part of an answer comes to, so much is read before others have their turn."""

INFLATED_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of a whole answer. A thousandth of that can be sent for it; what is said beyond is not heard."""


class TooMuch(Exception):
    """It comes to more than any answer has."""


class Inflating:
    """The bytes of a compressed answer as they were, in pieces."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=47)
        self._bytes = 0

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """Of the next part. Raises TooMuch, and zlib.error where it is not what it says it is."""
        while part:
            piece = self._inflater.decompress(part, PIECE_BYTES_MAX)
            part = self._inflater.unconsumed_tail
            self._bytes += len(piece)
            if self._bytes > INFLATED_BYTES_MAX:
                raise TooMuch
            yield piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where the model's API is, and what pays for it."""

    dialect: Dialect
    base: str
    key: Secret
    login: bool = False
    query: tuple[tuple[str, str], ...] = ()
    own_header: str = ""

    def request(self, method: str, onward: str, given: HeaderList, body: AsyncIterator[bytes] | None) -> httpx2.Request:
        """A client's request as it goes out: with its harmless headers, our key and its own body."""
        if any(name == b"transfer-encoding" for name, _ in given):
            given = [(name, value) for name, value in given if name != b"content-length"]
        headers = headers_out(self.dialect, given, self.key, login=self.login, own_header=self.own_header)
        return httpx2.Request(method, self.base + with_query(onward, self.query), headers=headers, content=body)


class Passing:
    """One request on its way to the model, and its answer on the way back; with `books` it is one that is paid for."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        upstream: Upstream,
        client: Client,
        request: h11.Request,
        onward: str,
        books: Books | None = None,
    ) -> None:
        self._http = http
        self._upstream = upstream
        self._client = client
        self._request = request
        self._onward = onward
        self._books = books
        self._meter: AnswerMeter | None = None
        self._inflating: Inflating | None = None
        self._unheard = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._error = bytearray()
        self._ended = False

    async def answer(self) -> None:
        """Pass both. Whatever becomes of it is noted, also where it is broken off."""
        try:
            await self._pass()
        finally:
            if self._books is not None:
                self._note(self._books)

    async def _pass(self) -> None:
        client = self._client
        try:
            response = await self._http.send(self._onward_request(), stream=True)
        except httpx2.TransportError as error:
            self._ended = True
            why = f"the model's API cannot be reached: {type(error).__name__}"
            self._status, body, own_headers = own_answer(self._upstream.dialect, "unreachable", why)
            self._error += body
            await client.answer(self._status, body, own_headers)
            return
        try:
            self._look(response)
            headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP]
            await client.send(h11.Response(status_code=response.status_code, headers=headers))
            async for part in response.aiter_raw():
                await self._take(part)
                await client.send(h11.Data(data=part))
            self._ended = True
        except httpx2.TransportError as error:
            # What has been sent cannot be taken back: an answer that ends early is how the client must learn of it.
            raise ConnectionError(f"the model's API broke off: {type(error).__name__}") from error
        finally:
            await response.aclose()
        await client.send(h11.EndOfMessage())

    def _onward_request(self) -> httpx2.Request:
        method = self._request.method.decode()
        body = None if method == "HEAD" else self._client.body()
        return self._upstream.request(method, self._onward, list(self._request.headers), body)

    def _look(self, response: httpx2.Response) -> None:
        """Its head: what is to be made of the bytes that follow."""
        self._status = response.status_code
        self._headers = {name.lower(): value for name, value in response.headers.items()}
        media_type = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._status < 300 and (media_type == "text/event-stream" or media_type.endswith("json")):
            self._meter = AnswerMeter(self._upstream.dialect, streamed=media_type == "text/event-stream")
        if self._headers.get("content-encoding", "identity") in ("gzip", "deflate"):
            self._inflating = Inflating()

    async def _take(self, part: bytes) -> None:
        if self._status >= 400:
            self._error += part[: max(ERROR_BYTES_MAX - len(self._error), 0)]
        elif self._meter is not None and self._inflating is None:
            self._meter.feed(part)
        elif self._meter is not None and self._inflating is not None and not self._unheard:
            try:
                for piece in self._inflating.pieces(part):
                    self._meter.feed(piece)
                    if len(piece) == PIECE_BYTES_MAX:
                        await asyncio.sleep(0)
            except zlib.error:
                self._meter.feed(part)
            except TooMuch:
                # As dear as one that was broken off here.
                self._unheard = True

    def _note(self, books: Books) -> None:
        if self._status >= 400:
            books.failed(self._status, self._headers, bytes(self._error))
            return
        if self._status:
            books.answered()
        elif not self._ended and self._client.has_read_request:
            # Left before the model had said anything: it was made to work all the same.
            self._meter = AnswerMeter(self._upstream.dialect, streamed=True)
        if self._meter is not None:
            books.count(self._meter, body_bytes=self._client.body_bytes, broken_off=self._unheard or not self._ended)
