"""One connection of the fake model's server, as h11 has it: a request with its whole body, and what is sent for it."""

from __future__ import annotations

import asyncio
import json
import time

import h11

from fake_model.script import Object
from fake_model.wire import objects

EVENT_STREAM = "text/event-stream"


class Seen:
    """One request as it came. `step` is the index of the script's step that answered it, None where none did.

    `body` is empty where the `raw` one is no JSON object.
    """

    def __init__(self, method: str, target: str, headers: dict[str, str], raw: bytes) -> None:
        self.at_seconds = time.monotonic()
        self.method = method
        self.target = target
        self.path = target.partition("?")[0]
        self.headers = headers
        self.raw = raw
        self.body = _object(raw)
        self.step: int | None = None
        self.abandoned = asyncio.Event()

    @property
    def messages(self) -> list[Object]:
        """The conversation, as its format has it."""
        return objects(self.body.get("messages") or self.body.get("input") or self.body.get("contents"))

    @property
    def text(self) -> str:
        """The whole conversation, for a look whether something is in it."""
        return json.dumps(self.messages, ensure_ascii=False)


class Connection:
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
                return Seen(request.method.decode(), request.target.decode(), headers, body)
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


def _object(raw: bytes) -> Object:
    try:
        found = json.loads(raw)
    except ValueError:  # not UTF-8, not JSON
        return {}
    return found if isinstance(found, dict) else {}
