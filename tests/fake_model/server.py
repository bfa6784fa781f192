"""The fake model's HTTP server, on a free port of 127.0.0.1. It keeps every request it got, in order.

The path decides the wire format; the script decides what is said in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections import Counter
from dataclasses import replace
from types import TracebackType
from typing import Final, Protocol, Self, assert_never

import h11
import msgspec
from patience import WAIT_SECONDS_MAX

from fake_model.chat import Chat
from fake_model.gemini import Gemini
from fake_model.http import EVENT_STREAM, Connection, Seen
from fake_model.messages import Messages
from fake_model.responses import Responses
from fake_model.script import Break, Call, Calls, Fail, Hang, Object, Say, Step, Tries
from fake_model.wire import Asked, Wire, folder_in

FORMATS: Final[dict[str, Wire]] = {
    "/v1/messages": Messages(),
    "/responses": Responses(),
    "/chat/completions": Chat(),
    ":streamGenerateContent": Gemini(),
    ":generateContent": Gemini(),
}
"""By how the path ends: a base URL may have a path of its own."""

COUNTERS: Final = {"/v1/messages/count_tokens": "input_tokens", ":countTokens": "totalTokens"}
"""Questions how long something is, and under which name the answer stands."""


class Steps(Protocol):
    """Where the steps come from."""

    def due(self, asked: Asked) -> tuple[int, Step]:
        """The step that answers this request, and its number."""
        ...


class FakeModel:
    """Serves `script` while it is open, with `tls` over https. `requests` holds what came; `arrived` can be waited for."""

    def __init__(self, script: Steps, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.tls = tls
        self.requests: list[Seen] = []
        self.base_url = ""
        self._tries: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        scheme = "http" if self.tls is None else "https"
        self.base_url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def model_requests(self) -> list[Seen]:
        """The requests that a step of the script answered."""
        return [seen for seen in self.requests if seen.step is not None]

    async def arrived(self, count: int, within_seconds: float = WAIT_SECONDS_MAX) -> Seen:
        """Wait for the `count`-th request that a step answers. Raises TimeoutError."""
        async with asyncio.timeout(within_seconds), self._news:
            await self._news.wait_for(lambda: len(self.model_requests) >= count)
        return self.model_requests[count - 1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with contextlib.suppress(ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            connection = Connection(reader, writer)
            while await self._one(connection):
                pass
        self._connections.discard(task)
        writer.transport.abort()

    async def _one(self, connection: Connection) -> bool:
        seen = await connection.request()
        if seen is None:
            return False
        self.requests.append(seen)
        wire = next((wire for end, wire in FORMATS.items() if seen.path.endswith(end)), None)
        counter = next((name for end, name in COUNTERS.items() if seen.path.endswith(end)), None)
        if seen.method == "POST" and counter is not None:
            await connection.answer(200, {counter: 1200})
        elif seen.method == "POST" and wire is not None:
            asked = replace(wire.asked(seen.path, seen.headers, seen.body), folder=folder_in(seen.raw))
            await self._play(connection, wire, seen, asked, await self._step_for(seen, asked))
        elif seen.headers.get("upgrade", "").lower() == "websocket":
            await connection.answer(426, {"error": {"message": "no WebSocket here"}})
        else:
            found: Object | None = (
                None if seen.method == "HEAD" else {"error": {"message": f"there is no {seen.path} here"}}
            )
            await connection.answer(200 if seen.method == "HEAD" else 404, found)
        return connection.again()

    async def _step_for(self, seen: Seen, asked: Asked) -> Step:
        if asked.aside is not None:
            return Say(asked.aside)
        seen.step, step = self.script.due(asked)
        place = f"{asked.conversation or hashlib.sha256(asked.first_text.encode()).hexdigest()}/{seen.step}"
        while isinstance(step, Tries):
            step = step.steps[min(self._tries[place], len(step.steps) - 1)]
        self._tries[place] += 1
        async with self._news:
            self._news.notify_all()
        if isinstance(step, Calls) and step.numbered:
            return _numbered(step, asked.turns_done)
        return step

    async def _play(self, connection: Connection, wire: Wire, seen: Seen, asked: Asked, step: Step) -> None:
        match step:
            case Say() | Calls():
                if not asked.streams:
                    await connection.answer(200, wire.whole(step, asked))
                    return
                await connection.begin(200, EVENT_STREAM)
                for part in wire.events(step, asked):
                    await connection.data(part)
                    if isinstance(step, Say) and step.seconds_per_word:
                        await asyncio.sleep(step.seconds_per_word)
                await connection.end()
            case Fail():
                await _fail(connection, wire, asked, step)
            case Hang():
                if step.text and asked.streams:
                    await connection.begin(200, EVENT_STREAM)
                    for part in wire.begun(step.text, asked):
                        await connection.data(part)
                await connection.until_left()
                seen.abandoned.set()
                raise ConnectionError("the client gave up")
            case Break():
                await _break(connection, wire, asked, step)
            case Tries():
                raise AssertionError("tries are unwrapped before they are played")
            case never:
                assert_never(never)


async def _fail(connection: Connection, wire: Wire, asked: Asked, step: Fail) -> None:
    if not (step.in_stream and asked.streams):
        failure = wire.failure(step)
        await connection.answer(failure.status, failure.body, dict(failure.headers))
        return
    await connection.begin(200, EVENT_STREAM)
    for part in wire.begun("half an answer", asked):
        await connection.data(part)
    await connection.data(wire.failing(step))
    await connection.end()


async def _break(connection: Connection, wire: Wire, asked: Asked, step: Break) -> None:
    match step.how:
        case "cut":
            await connection.begin(200, EVENT_STREAM)
            for part in wire.begun(step.text, asked)[:-1]:
                await connection.data(part)
            raise ConnectionError("cut on purpose")
        case "empty":
            await connection.begin(200, EVENT_STREAM)
        case "html":
            await connection.begin(200, "text/html")
            await connection.data(b"<html><body>please log in to the network</body></html>")
        case "nonsense":
            await connection.begin(200, EVENT_STREAM)
            await connection.data(b"event: message_start\ndata: {this is no json\n\n")
        case never:
            assert_never(never)
    await connection.end()


def _numbered(step: Calls, turn: int) -> Calls:
    """The same calls with the number of the turn in them, so that no two are alike."""

    def filled(value: object) -> object:
        return value.replace("{turn}", str(turn)) if isinstance(value, str) else value

    calls = [Call(call.name, {key: filled(value) for key, value in call.input.items()}) for call in step.calls]
    return msgspec.structs.replace(step, calls=tuple(calls))
