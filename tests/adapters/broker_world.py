"""A model's API that says exactly these bytes, and a client inside that asks as it likes: for tests of the broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

import h11
from patience import WAIT_SECONDS_MAX

from penstock_agent_exec.broker.dialect import Dialect

PATHS: Final = {
    Dialect.ANTHROPIC: "/v1/messages",
    Dialect.RESPONSES: "/v1/responses",
    Dialect.CHAT: "/v1/chat/completions",
    Dialect.GEMINI: "/v1beta/models/some-model:streamGenerateContent?alt=sse",
}
SSE: Final = {"content-type": "text/event-stream"}
JSON: Final = {"content-type": "application/json"}

Parts: TypeAlias = AsyncIterator[bytes]


class Asked(NamedTuple):
    """A request as it came to the API."""

    method: str
    target: str
    headers: dict[str, str]
    body_bytes: int
    number: int


class Says(NamedTuple):
    """An answer. `body`: its parts, as they come; one that raises ConnectionError breaks it off."""

    status: int = 200
    headers: dict[str, str] = SSE
    body: Callable[[], Parts] | bytes = b""


class Api:
    """Serves what `answer` says on a free port of 127.0.0.1. `asked` holds every request, `at_once` the most at one time."""

    def __init__(self, answer: Callable[[Asked], Says]) -> None:
        self.asked: list[Asked] = []
        self.at_once = 0
        self.abandoned = 0
        self.base_url = ""
        self._answer = answer
        self._now = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def until(self, count: int) -> None:
        """Wait until so many requests have come. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_SECONDS_MAX), self._news:
            await self._news.wait_for(lambda: len(self.asked) >= count)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with contextlib.suppress(ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        self._connections.discard(task)
        writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        http = h11.Connection(h11.SERVER)
        asked: Asked | None = None
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(256 * 1024))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                asked = Asked(event.method.decode(), event.target.decode(), headers, 0, len(self.asked))
            elif isinstance(event, h11.Data) and asked is not None:
                asked = asked._replace(body_bytes=asked.body_bytes + len(event.data))
            elif isinstance(event, h11.EndOfMessage) and asked is not None:
                break
            else:
                return False
        asked = asked._replace(number=len(self.asked))
        async with self._news:
            self.asked.append(asked)
            self._news.notify_all()
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        try:
            await self._say(http, writer, self._answer(asked))
        finally:
            self._now -= 1
        return False

    async def _say(self, http: h11.Connection, writer: asyncio.StreamWriter, says: Says) -> None:
        headers = [*says.headers.items(), ("connection", "close")]
        writer.write(http.send(h11.Response(status_code=says.status, headers=headers)) or b"")
        async for part in _parts(says.body):
            writer.write(http.send(h11.Data(data=part)) or b"")
            await writer.drain()
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()


async def _parts(body: Callable[[], Parts] | bytes) -> Parts:
    if isinstance(body, bytes):
        if body:
            yield body
        return
    async for part in body():
        yield part


class Answer(NamedTuple):
    """What a client inside was told. `is_whole`: it came to its proper end."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


async def ask(
    socket_path: Path, dialect: Dialect, body: bytes = b'{"x": 1}', *, target: str = "", headers: tuple[str, ...] = ()
) -> Answer:
    """One request through the gate, on a connection of its own."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    head = [f"POST {target or PATHS[dialect]} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            with contextlib.suppress(ConnectionError):
                writer.write("\r\n".join(head).encode() + body)
                await writer.drain()
            return await read_answer(reader)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Until its end, or until it is broken off."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    status, body = 0, bytearray()
    headers: dict[str, str] = {}
    while True:
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(256 * 1024))
                continue
        except (h11.ProtocolError, ConnectionError):
            return Answer(status, headers, bytes(body), is_whole=False)
        if isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, headers, bytes(body), is_whole=True)
        else:
            return Answer(status, headers, bytes(body), is_whole=False)


def events(*bodies: object) -> bytes:
    """Server-sent events, as all of them frame theirs."""
    return b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)


def answer_of(dialect: Dialect, *, name: str = "a1", words: int = 3, whole: bool = True) -> bytes:
    """A streamed answer that used 100 fresh tokens of input, 40 of output, 1,000 from a cache (Anthropic: 20 into one)."""
    match dialect:
        case Dialect.ANTHROPIC:
            start = {"input_tokens": 100, "cache_read_input_tokens": 1_000, "cache_creation_input_tokens": 20}
            begins = {"type": "message_start", "message": {"id": name, "usage": start | {"output_tokens": 1}}}
            text = [
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'say "usage": {} '}}
            ] * words
            ends = [{"type": "message_delta", "usage": {"output_tokens": 40}}, {"type": "message_stop"}]
            return events(begins, *text, *(ends if whole else ()))
        case Dialect.RESPONSES:
            usage = {
                "input_tokens": 1_100,
                "input_tokens_details": {"cached_tokens": 1_000},
                "output_tokens": 40,
                "output_tokens_details": {"reasoning_tokens": 10},
                "total_tokens": 1_140,
            }
            begins = {"type": "response.created", "response": {"id": name, "usage": None}}
            text = [{"type": "response.output_text.delta", "delta": "word "}] * words
            ends = [{"type": "response.completed", "response": {"id": name, "output": ["x"], "usage": usage}}]
            return events(begins, *text, *(ends if whole else ()))
        case Dialect.CHAT:
            text = [{"id": name, "choices": [{"index": 0, "delta": {"content": "word "}}], "usage": None}] * words
            usage = {
                "prompt_tokens": 1_100,
                "completion_tokens": 40,
                "prompt_tokens_details": {"cached_tokens": 1_000},
            }
            last = events({"id": name, "choices": [], "usage": usage}) + b"data: [DONE]\n\n"
            return events(*text) + (last if whole else b"")
        case Dialect.GEMINI:
            usage = {
                "promptTokenCount": 1_100,
                "cachedContentTokenCount": 1_000,
                "candidatesTokenCount": 30,
                "thoughtsTokenCount": 10,
            }
            text = [{"responseId": name, "candidates": [{"content": {"parts": [{"text": "word "}]}}]}] * words
            return events(*text, *([{"responseId": name, "usageMetadata": usage}] if whole else ()))
