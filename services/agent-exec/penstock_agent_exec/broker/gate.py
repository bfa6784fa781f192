"""The way out of a sandbox without a network: a unix socket behind which stands the model's API and nothing else.

The rule of this room: the key is here and never inside. What comes through the socket is from a stranger, so exactly the
requests of its dialect are passed on, whatever the client shows as its key is thrown away, and nothing is read whole that can
be streamed. Every answer is metered while it passes, against the run's budget and for everybody who uses the same account.
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
from penstock_agent_exec.agents.facts import RateLimited
from penstock_agent_exec.broker.account import Account
from penstock_agent_exec.broker.books import Books
from penstock_agent_exec.broker.budget import BudgetSpent, RunBudget
from penstock_agent_exec.broker.client import BODY_BYTES_MAX, IDLE_SECONDS_MAX, Client
from penstock_agent_exec.broker.denials import Denials
from penstock_agent_exec.broker.dialect import Dialect, OwnKind, is_metered, own_answer, upstream_target
from penstock_agent_exec.broker.limits import TOO_MANY
from penstock_agent_exec.broker.passing import Passing, Upstream
from penstock_agent_exec.unix_socket import listening_at

CONNECTIONS_MAX: Final = 32
REFUSALS_KEPT_MAX: Final = 100
SHOWN_LENGTH_MAX: Final = 200


class ModelGate:
    """Serves `socket_path` while it is open. `upstream` is the API's base URL, http or https; `query` goes with every request,
    and the key into `own_header` where the API wants it elsewhere than its dialect has it. `account` is shared by all gates
    with this key; `budget` and `denials` are this run's.

    `rate_limited` is the last refusal for a limit that no success has followed; `refused` names requests that were not let
    through.
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
        account: Account | None = None,
        budget: RunBudget | None = None,
        denials: Denials | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.socket_path = socket_path
        self.books = Books(dialect, account or Account(), budget or RunBudget(), clock)
        self.refused: list[str] = []
        self._dialect = dialect
        self._upstream = Upstream(
            dialect=dialect, base=upstream.rstrip("/"), key=key, login=login, query=query, own_header=own_header
        )
        self._denials = denials or Denials()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """As an agent run names it."""
        return f"unix:{self.socket_path}"

    @property
    def rate_limited(self) -> RateLimited | None:
        return self.books.rate_limited

    async def quiet(self) -> None:
        """End what is under way, and return when all of it is told: for when nobody is inside any more."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def __aenter__(self) -> Self:
        timeout = httpx2.Timeout(connect=15.0, write=60.0, read=IDLE_SECONDS_MAX, pool=60.0)
        self._http = httpx2.AsyncClient(timeout=timeout, verify=_certificates())
        self._server = await asyncio.start_unix_server(self._accept, sock=listening_at(self.socket_path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self.quiet()
        await self._http.aclose()
        self.socket_path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) < CONNECTIONS_MAX:
            self._connections.add(task)
            try:
                with contextlib.suppress(h11.ProtocolError, ConnectionError, TimeoutError, asyncio.CancelledError):
                    await self._serve(Client(reader, writer))
            finally:
                # Whatever has gone wrong with this one, its place is the next one's.
                self._connections.discard(task)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _serve(self, client: Client) -> None:
        while isinstance(request := await client.next_event(), h11.Request):
            method, target = request.method.decode(), request.target.decode("ascii", errors="replace")
            onward = upstream_target(self._dialect, method, target)
            if onward is None:
                shown = f"{method} {target.partition('?')[0]}"[:SHOWN_LENGTH_MAX]
                self._refuse(shown)
                await self._say(client, "not_open", f"not open to agents: {shown}")
            elif is_metered(method, target):
                await self._paid(client, request, onward)
            else:
                if method == "HEAD":
                    await client.end_of_request()
                await self._until_answered_or_left(client, Passing(self._http, self._upstream, client, request, onward))
            if not client.next_request():
                return

    async def _paid(self, client: Client, request: h11.Request, onward: str) -> None:
        """A request that costs something, if the account and the budget have room for it."""
        if (held := self.books.held()) is not None:
            await client.answer(TOO_MANY, *held)
            return
        if (words := self.books.given_up) is not None:
            await self._say(client, "given_up", words)
            return
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(IDLE_SECONDS_MAX):
                    await stack.enter_async_context(self.books.budget.request(_body_bytes_max(request)))
            except BudgetSpent:
                await self._say(client, "budget", self.books.budget.words)
                return
            except TimeoutError:
                await self._say(client, "busy", "other requests of this run may use up what is left of its budget")
                return
            await self._until_answered_or_left(
                client, Passing(self._http, self._upstream, client, request, onward, self.books)
            )

    async def _until_answered_or_left(self, client: Client, passing: Passing) -> None:
        """An agent that was killed must not leave a request running that somebody pays for."""
        answering = asyncio.ensure_future(passing.answer())
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

    async def _say(self, client: Client, kind: OwnKind, message: str) -> None:
        await client.answer(*own_answer(self._dialect, kind, message))

    def _refuse(self, request: str) -> None:
        self._denials.note("model", request, "agents may not ask the model's API for this")
        if len(self.refused) < REFUSALS_KEPT_MAX:
            self.refused.append(request)


def _body_bytes_max(request: h11.Request) -> int:
    """How long the request's body may be, at most."""
    lengths = [value for name, value in request.headers if name == b"content-length"]
    return min(int(lengths[0]), BODY_BYTES_MAX) if lengths and lengths[0].isdigit() else BODY_BYTES_MAX


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust. Read once: it takes some 20 ms, in which nothing else would run."""
    return httpx2.create_ssl_context()
