"""The way out of a sandbox to the hosts that its repo names: an HTTP proxy on a unix socket, for CONNECT and for plain http.

The rule of this room: closed unless the list says otherwise. What is in a tunnel is not read, and so not judged: whoever opens
a host opens all of it. That is why hosts are named by the repo's operator, bytes and connections are counted, and every
refusal is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

import h11

from penstock.addresses import Resolve, system_resolver
from penstock_agent_exec.broker.addresses import Opened, Refused, checked_addresses, parse_destination
from penstock_agent_exec.broker.client import Client
from penstock_agent_exec.broker.denials import Denials
from penstock_agent_exec.broker.tunnel import Pulse, Streams, Traffic, end, pump, tunnel
from penstock_agent_exec.unix_socket import listening_at

CONNECTIONS_MAX: Final = 64
"""Of one job at one time."""

ADDRESSES_TRIED_MAX: Final = 4
RESOLVE_SECONDS_MAX: Final = 10.0
DIAL_SECONDS_MAX: Final = 10.0
SHOWN_LENGTH_MAX: Final = 200

Dial: TypeAlias = Callable[[str, int], Awaitable[Streams]]
"""A connection to an address. Raises OSError."""

_HOP: Final = frozenset(b"connection keep-alive te trailer transfer-encoding upgrade host".split())


async def dial_tcp(address: str, port: int) -> Streams:
    """A TCP connection to exactly this address."""
    return await asyncio.open_connection(address, port)


class EgressProxy:
    """Serves `socket_path` while it is open, for one job. `open_to`: as in `Repo.egress`."""

    def __init__(
        self,
        socket_path: Path,
        open_to: tuple[str, ...],
        *,
        denials: Denials,
        resolve: Resolve = system_resolver,
        dial: Dial = dial_tcp,
    ) -> None:
        self.socket_path = socket_path
        self.traffic = Traffic()
        self._open_to = Opened(open_to)
        self._denials = denials
        self._resolve = resolve
        self._dial = dial
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, sock=listening_at(self.socket_path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self.socket_path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) < CONNECTIONS_MAX:
            self._connections.add(task)
            try:
                with contextlib.suppress(h11.ProtocolError, OSError, TimeoutError, asyncio.CancelledError):
                    await self._serve(Client(reader, writer))
            finally:
                self._connections.discard(task)
        await end(writer)

    async def _serve(self, client: Client) -> None:
        """One request: a tunnel takes the connection with it, and after a plain one it is closed."""
        request = await client.next_event()
        if not isinstance(request, h11.Request):
            return
        method, target = request.method.decode(), request.target.decode("ascii", errors="replace")
        asked_for = target[:SHOWN_LENGTH_MAX]
        try:
            host, port, path = _destination(method, target)
            asked_for = f"{host}:{port}"
            if (host, port) not in self._open_to:
                raise Refused("it is not open to this repo")
            if self.traffic.is_used_up:
                raise Refused("this job has sent or received as much as it may")
            async with asyncio.timeout(RESOLVE_SECONDS_MAX):
                addresses = await checked_addresses(host, port, self._resolve)
            outside = await self._reach(addresses, port)
        except Refused as refused:
            self._denials.note("egress", asked_for, str(refused))
            await _say(client, 403, f"{asked_for}: {refused}")
            return
        except (OSError, TimeoutError) as error:
            await _say(client, 502, f"{asked_for} cannot be reached: {type(error).__name__}")
            return
        try:
            if method == "CONNECT":
                await self._tunnel(client, outside)
            else:
                await self._plain(client, request, outside, f"{host}:{port}" if port != 80 else host, path)
        finally:
            await end(outside[1])
        if self.traffic.is_used_up:
            self._denials.note("egress", asked_for, "cut off: this job has sent or received as much as it may")

    async def _reach(self, addresses: tuple[str, ...], port: int) -> Streams:
        """A connection to the first address that answers. Raises OSError, TimeoutError."""
        failure: OSError | TimeoutError = OSError("no address")
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                async with asyncio.timeout(DIAL_SECONDS_MAX):
                    return await self._dial(address, port)
            except (OSError, TimeoutError) as error:
                failure = error
        raise failure

    async def _tunnel(self, client: Client, outside: Streams) -> None:
        await client.end_of_request()
        await client.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
        early, reader, writer = client.taken_over()
        await tunnel((reader, writer), outside, self.traffic, early)

    async def _plain(self, client: Client, request: h11.Request, outside: Streams, host: str, path: str) -> None:
        """One request, framed anew: what follows it in the connection never gets out."""
        reader, writer = outside
        up = h11.Connection(h11.CLIENT)
        kept = [(name, value) for name, value in request.headers if name not in _HOP and not name.startswith(b"proxy-")]
        chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
        if chunked:
            kept = [(name, value) for name, value in kept if name != b"content-length"]
            kept.append((b"transfer-encoding", b"chunked"))
        headers = [(b"host", host.encode()), *kept, (b"connection", b"close")]

        async def say(event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
            data = up.send(event) or b""
            self.traffic.sent(len(data))
            writer.write(data)
            await writer.drain()

        async def ask() -> None:
            await say(h11.Request(method=request.method, target=path.encode(), headers=headers))
            async for part in client.body():
                await say(h11.Data(data=part))
            await say(h11.EndOfMessage())

        asking = asyncio.ensure_future(ask())
        try:
            await pump(reader, client.taken_over()[2], self.traffic.received, Pulse())
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


def _destination(method: str, target: str) -> tuple[str, int, str]:
    """Host, port and path that a proxy is asked for. Raises Refused."""
    if method == "CONNECT":
        return (*parse_destination(target), "")
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise Refused(f"it is no URL: {error}") from error
    if parts.scheme != "http" or not parts.netloc:
        raise Refused("a proxy is asked for http://host/... or by CONNECT host:port")
    if "@" in parts.netloc:
        raise Refused("it carries a user or a password")
    path = parts.path or "/"
    return (*parse_destination(parts.netloc, 80), f"{path}?{parts.query}" if parts.query else path)


async def _say(client: Client, status: int, message: str) -> None:
    await client.answer(status, json.dumps({"error": f"penstock: {message}"}).encode())
