"""The fake model's HTTP server, on a free port of 127.0.0.1. It keeps every request it got, in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections import Counter
from types import TracebackType
from typing import Self, assert_never

import h11

from fake_model import wire
from fake_model.script import Break, Calls, Fail, Hang, Object, Say, Script, Step, Tries


class Seen:
    """One request as it came. `step` is the index of the script's step that answered it, None where none did."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: Object) -> None:
        self.at_seconds = time.monotonic()
        self.method = method
        self.path = target.partition("?")[0]
        self.headers = headers
        self.body = body
        self.step: int | None = None
        self.abandoned = asyncio.Event()

    @property
    def messages(self) -> list[Object]:
        found = self.body.get("messages")
        return found if isinstance(found, list) else []

    @property
    def text(self) -> str:
        """The whole conversation, for a look whether something is in it."""
        return json.dumps(self.messages, ensure_ascii=False)


class FakeModel:
    """Serves `script` while it is open, with `tls` over https. `requests` holds what came; `arrived` can be waited for."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
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

    async def arrived(self, count: int, within_seconds: float = 30.0) -> Seen:
        """Wait for the `count`-th request that a step answers. Raises TimeoutError."""
        async with asyncio.timeout(within_seconds), self._news:
            await self._news.wait_for(lambda: len(self.model_requests) >= count)
        return self.model_requests[count - 1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with contextlib.suppress(ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            connection = _Connection(reader, writer)
            while await self._one(connection):
                pass
        self._connections.discard(task)
        writer.transport.abort()

    async def _one(self, connection: _Connection) -> bool:
        seen = await connection.request()
        if seen is None:
            return False
        self.requests.append(seen)
        if (seen.method, seen.path) == ("POST", "/v1/messages/count_tokens"):
            await connection.answer(200, {"input_tokens": 1200})
        elif (seen.method, seen.path) == ("POST", "/v1/messages"):
            await self._play(connection, seen, await self._step_for(seen))
        else:
            await connection.answer(200 if seen.method == "HEAD" else 404, None)
        return connection.again()

    async def _step_for(self, seen: Seen) -> Step:
        if wire.is_auxiliary(seen.body):
            return Say("ok")
        if wire.SUMMARY_MARK in wire.user_text(seen.messages, last=True):
            return Say("<summary>what was done so far</summary>")
        steps = self.script.steps_for(wire.user_text(seen.messages))
        seen.step = min(wire.turns_done(seen.messages), len(steps) - 1)
        step = steps[seen.step]
        place = f"{seen.headers.get('x-claude-code-session-id')}/{seen.step}"
        while isinstance(step, Tries):
            step = step.steps[min(self._tries[place], len(step.steps) - 1)]
        self._tries[place] += 1
        async with self._news:
            self._news.notify_all()
        return step

    async def _play(self, connection: _Connection, seen: Seen, step: Step) -> None:
        model, streams = str(seen.body.get("model")), seen.body.get("stream") is True
        match step:
            case Say() | Calls():
                if not streams:
                    await connection.answer(200, wire.message(step, model))
                    return
                await connection.begin(200, "text/event-stream")
                for part in wire.events(step, model):
                    await connection.data(part)
                    if isinstance(step, Say) and step.seconds_per_word:
                        await asyncio.sleep(step.seconds_per_word)
                await connection.end()
            case Fail():
                await connection.answer(step.status, wire.error(step.type, step.message), step.headers)
            case Hang():
                if step.text and streams:
                    await connection.begin(200, "text/event-stream")
                    for part in list(wire.events(Say(step.text), model))[:-3]:
                        await connection.data(part)
                await connection.until_left()
                seen.abandoned.set()
                raise ConnectionError("the client gave up")
            case Break():
                await self._broken(connection, step, model)
            case Tries():
                raise AssertionError("tries are unwrapped before they are played")
            case never:
                assert_never(never)

    async def _broken(self, connection: _Connection, step: Break, model: str) -> None:
        match step.how:
            case "cut":
                await connection.begin(200, "text/event-stream")
                for part in list(wire.events(Say(step.text), model))[:-4]:
                    await connection.data(part)
                raise ConnectionError("cut on purpose")
            case "empty":
                await connection.begin(200, "text/event-stream")
            case "html":
                await connection.begin(200, "text/html")
                await connection.data(b"<html><body>please log in to the network</body></html>")
            case "nonsense":
                await connection.begin(200, "text/event-stream")
                await connection.data(b"event: message_start\ndata: {this is no json\n\n")
            case never:
                assert_never(never)
        await connection.end()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=1024 * 1024)

    async def request(self) -> Seen | None:
        """The next request, with its whole body; None where the client has nothing more to ask."""
        request: h11.Request | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(256 * 1024))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
                decoded = json.loads(body) if body else {}
                return Seen(request.method.decode(), request.target.decode(), headers, decoded)
            else:
                return None

    async def answer(self, status: int, body: Object | None, headers: dict[str, str] | None = None) -> None:
        payload = json.dumps(body).encode() if body is not None else b""
        await self.begin(status, "application/json", (headers or {}) | {"content-length": str(len(payload))})
        if payload:
            await self.data(payload)
        await self.end()

    async def begin(self, status: int, media_type: str, headers: dict[str, str] | None = None) -> None:
        given = {"content-type": media_type, "request-id": "req_fake"} | (headers or {})
        await self._send(h11.Response(status_code=status, headers=list(given.items())))

    async def data(self, part: bytes) -> None:
        await self._send(h11.Data(data=part))

    async def end(self) -> None:
        await self._send(h11.EndOfMessage())

    async def until_left(self) -> None:
        while await self._reader.read(1024):
            pass

    def again(self) -> bool:
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        if data := self._http.send(event):
            self._writer.write(data)
            await self._writer.drain()
