"""The way out of a sandbox without a network: a unix socket behind which stands the model's API and nothing else.

The rule of this room: the key is here and never inside. What comes through the socket is from a stranger, so exactly three
requests are passed on, whatever the client shows as its key is thrown away, and nothing is read whole that can be streamed.
What the answers say about limits is noted: the agent's program does not tell, and it is where metering will grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import h11
import httpx2

from penstock.settings import Secret
from penstock_agent_exec.agents.facts import REQUEST_LIMIT, RateLimited

OPEN: Final = frozenset({("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("HEAD", "/")})

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
HEADER_BYTES_MAX: Final = 64 * 1024
READ_BYTES: Final = 64 * 1024
CONNECTIONS_MAX: Final = 32
REFUSALS_KEPT_MAX: Final = 100
IDLE_SECONDS_MAX: Final = 600.0
SOCKET_PATH_BYTES_MAX: Final = 107  # what the kernel's sockaddr_un holds

# Of the client's headers: whatever could carry a key, and what belongs to one connection only.
_KEYS: Final = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization"})
_HOP: Final = frozenset(
    b"connection keep-alive te trailer transfer-encoding upgrade host proxy-connection expect".split()
)


class ModelGate:
    """Serves `socket_path` while it is open. `upstream` is the API's base URL, http or https.

    `rate_limited` is the last refusal for a limit that no success has followed; `refused` names requests that were not let
    through. Raises ValueError for a path that is too long for a socket.
    """

    def __init__(
        self, socket_path: Path, *, upstream: str, key: Secret, clock: Callable[[], float] = time.time
    ) -> None:
        if len(bytes(socket_path)) > SOCKET_PATH_BYTES_MAX:
            raise ValueError(f"a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes, this has more: {socket_path}")
        self.socket_path = socket_path
        self.rate_limited: RateLimited | None = None
        self.refused: list[str] = []
        self._upstream = upstream.rstrip("/")
        self._key = key
        self._clock = clock
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """As an agent run names it."""
        return f"unix:{self.socket_path}"

    async def __aenter__(self) -> Self:
        timeout = httpx2.Timeout(connect=15.0, write=60.0, read=IDLE_SECONDS_MAX, pool=60.0)
        self._http = httpx2.AsyncClient(timeout=timeout, verify=_certificates())
        self.socket_path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, path=str(self.socket_path))
        self.socket_path.chmod(0o600)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._http.aclose()
        self.socket_path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) < CONNECTIONS_MAX:
            self._connections.add(task)
            with contextlib.suppress(h11.ProtocolError, ConnectionError, TimeoutError, asyncio.CancelledError):
                await self._serve(_Client(reader, writer))
            self._connections.discard(task)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _serve(self, client: _Client) -> None:
        while isinstance(request := await client.next_event(), h11.Request):
            method, target = request.method.decode(), request.target.decode("ascii", errors="replace")
            path = target.partition("?")[0]
            if (method, path) not in OPEN:
                self._refuse(f"{method} {path}"[:200])
                await client.say(403, "permission_error", f"not open to agents: {method} {path}"[:200])
                return
            if method == "HEAD":
                await client.end_of_request()
            await self._until_answered_or_left(client, self._rewritten(client, request, method, target))
            if not client.next_request():
                return

    def _refuse(self, request: str) -> None:
        if len(self.refused) < REFUSALS_KEPT_MAX:
            self.refused.append(request)

    def _rewritten(self, client: _Client, request: h11.Request, method: str, target: str) -> httpx2.Request:
        headers = [(name, value) for name, value in request.headers if name not in _KEYS | _HOP]
        headers.append((b"x-api-key", self._key.reveal().encode()))
        content = None if method == "HEAD" else client.body()
        return httpx2.Request(method, self._upstream + target, headers=headers, content=content)

    async def _until_answered_or_left(self, client: _Client, request: httpx2.Request) -> None:
        """An agent that was killed must not leave a request running that somebody pays for."""
        answering = asyncio.ensure_future(self._answer(client, request))
        leaving = asyncio.ensure_future(client.left())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
            await asyncio.gather(leaving, answering, return_exceptions=True)
        if answering.cancelled():
            raise ConnectionError("the client has left")
        answering.result()

    async def _answer(self, client: _Client, request: httpx2.Request) -> None:
        try:
            response = await self._http.send(request, stream=True)
        except httpx2.TransportError as error:
            await client.say(502, "api_error", f"the model's API cannot be reached: {type(error).__name__}")
            return
        try:
            self._note(response)
            headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP]
            await client.send(h11.Response(status_code=response.status_code, headers=headers))
            async for part in response.aiter_raw():
                await client.send(h11.Data(data=part))
        except httpx2.TransportError as error:
            # What has been sent cannot be taken back: an answer that ends early is how the client must learn of it.
            raise ConnectionError(f"the model's API broke off: {type(error).__name__}") from error
        finally:
            await response.aclose()
        await client.send(h11.EndOfMessage())

    def _note(self, response: httpx2.Response) -> None:
        if response.status_code < 400:
            self.rate_limited = None
        elif response.status_code in (429, 529):
            resets_at = _number(response.headers.get("anthropic-ratelimit-unified-reset"))
            if not resets_at and (wait_seconds := _number(response.headers.get("retry-after"))):
                resets_at = self._clock() + wait_seconds
            self.rate_limited = RateLimited(kind=REQUEST_LIMIT, refused=True, resets_at=resets_at)


class _Client:
    """One connection from inside, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._request_read = asyncio.Event()

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
        size_bytes = 0
        while isinstance(event := await self.next_event(), h11.Data):
            size_bytes += len(event.data)
            if size_bytes > BODY_BYTES_MAX:
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
        """Return when the client has closed its end; watched only once its request was read, for there is one reader."""
        await self._request_read.wait()
        while data := await self._reader.read(READ_BYTES):
            self._http.receive_data(data)

    def next_request(self) -> bool:
        """Whether the connection can take another request."""
        self._request_read.clear()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def say(self, status: int, kind: str, message: str) -> None:
        """An answer of our own, in the shape of the API's errors; the connection ends with it."""
        body = json.dumps({"type": "error", "error": {"type": kind, "message": f"penstock: {message}"}}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        await self.send(h11.Response(status_code=status, headers=headers))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    async def send(self, event: h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        """Write, and wait while the client is slower than its model."""
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust. Read once: it takes some 20 ms, in which nothing else would run."""
    return httpx2.create_ssl_context()


def _number(value: str | None) -> float:
    """The number in a header; 0 where there is none, or a date, or nonsense."""
    try:
        found = float(value or 0)
    except ValueError:
        return 0.0
    return found if 0 < found < 2**32 else 0.0
