"""The way out of a sandbox without a network: a unix socket behind which stands the model's API and nothing else.

The rule of this room: the key is here and never inside. What comes through the socket is from a stranger, so exactly three
requests are passed on, whatever the client shows as its key is thrown away, and nothing is read whole that can be streamed.
What the answers say about limits is noted: the agent's program does not tell, and it is where metering will grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import h11
import httpx2

from penstock.settings import Secret
from penstock_agent_exec.agents.facts import REQUEST_LIMIT, RateLimited
from penstock_agent_exec.broker.client import IDLE_SECONDS_MAX, Client
from penstock_agent_exec.broker.dialect import (
    Dialect,
    OwnKind,
    headers_out,
    own_body,
    own_status,
    upstream_target,
    with_query,
)

CONNECTIONS_MAX: Final = 32
REFUSALS_KEPT_MAX: Final = 100
SOCKET_PATH_BYTES_MAX: Final = 107  # what the kernel's sockaddr_un holds

# What belongs to one connection only.
_HOP: Final = frozenset(b"connection keep-alive te trailer transfer-encoding upgrade proxy-connection".split())


class ModelGate:
    """Serves `socket_path` while it is open. `upstream` is the API's base URL, http or https; `query` goes with every request,
    and the key into `own_header` where the API wants it elsewhere than its dialect has it.

    `rate_limited` is the last refusal for a limit that no success has followed; `refused` names requests that were not let
    through. Raises ValueError for a path that is too long for a socket.
    """

    def __init__(
        self,
        socket_path: Path,
        *,
        upstream: str,
        key: Secret,
        dialect: Dialect = Dialect.ANTHROPIC,
        login: bool = False,
        query: tuple[tuple[str, str], ...] = (),
        own_header: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len(bytes(socket_path)) > SOCKET_PATH_BYTES_MAX:
            raise ValueError(f"a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes, this has more: {socket_path}")
        self.socket_path = socket_path
        self.rate_limited: RateLimited | None = None
        self.refused: list[str] = []
        self._upstream = upstream.rstrip("/")
        self._key = key
        self._dialect = dialect
        self._login = login
        self._query = query
        self._own_header = own_header
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
                await self._serve(Client(reader, writer))
            self._connections.discard(task)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _serve(self, client: Client) -> None:
        while isinstance(request := await client.next_event(), h11.Request):
            method, target = request.method.decode(), request.target.decode("ascii", errors="replace")
            onward = upstream_target(self._dialect, method, target)
            if onward is None:
                shown = f"{method} {target.partition('?')[0]}"[:200]
                self._refuse(shown)
                await self._say(client, "not_open", f"not open to agents: {shown}")
                return
            if method == "HEAD":
                await client.end_of_request()
            await self._until_answered_or_left(client, self._rewritten(client, request, method, onward))
            if not client.next_request():
                return

    async def _say(self, client: Client, kind: OwnKind, message: str) -> None:
        status = own_status(self._dialect, kind)
        await client.answer(status, own_body(self._dialect, status, message))

    def _refuse(self, request: str) -> None:
        if len(self.refused) < REFUSALS_KEPT_MAX:
            self.refused.append(request)

    def _rewritten(self, client: Client, request: h11.Request, method: str, onward: str) -> httpx2.Request:
        headers = headers_out(
            self._dialect, list(request.headers), self._key, login=self._login, own_header=self._own_header
        )
        content = None if method == "HEAD" else client.body()
        url = self._upstream + with_query(onward, self._query)
        return httpx2.Request(method, url, headers=headers, content=content)

    async def _until_answered_or_left(self, client: Client, request: httpx2.Request) -> None:
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

    async def _answer(self, client: Client, request: httpx2.Request) -> None:
        try:
            response = await self._http.send(request, stream=True)
        except httpx2.TransportError as error:
            await self._say(client, "unreachable", f"the model's API cannot be reached: {type(error).__name__}")
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
