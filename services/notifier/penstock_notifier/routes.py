"""The route table: the routes of the catalogue, kept in memory as they change.

Rule of this room: nobody reads the table before everything that was stored at the start is in it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

import msgspec
import structlog
from nats.aio.client import Client

from penstock import subjects as s
from penstock.catalog import Route
from penstock.codec import Codec, Undecodable
from penstock.reader import Reader, Stored

log = structlog.get_logger()

_KEYS: Final = s.kv(s.CATALOG, s.catalog_route(""))
_codec: Final[Codec[Route]] = Codec(msgspec.json.Decoder(Route))


class Routes:
    """`follow` must run for the table to fill and to stay true."""

    def __init__(self, nc: Client) -> None:
        self._reader = Reader(
            nc, s.kv_stream(s.CATALOG), filters=[f"{_KEYS}>"], last_per_subject=True, name="notifier-routes"
        )
        self._routes: dict[str, Route] = {}
        self._applied = 0
        self._moved = asyncio.Event()

    def all(self) -> tuple[Route, ...]:
        return tuple(self._routes.values())

    def get(self, name: str) -> Route | None:
        return self._routes.get(name)

    async def follow(self) -> None:
        """For ever. Raises StreamGone."""
        async with aclosing(self._reader.batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    self._apply(stored)
                self._applied = batch[-1].seq
                self._moved.set()

    async def caught_up(self) -> None:
        """Returns when everything that was stored at the start is in the table."""
        await self._reader.caught_up.wait()
        position = self._reader.position
        while self._applied < position:
            self._moved.clear()
            await self._moved.wait()

    def _apply(self, stored: Stored) -> None:
        name = stored.subject.removeprefix(_KEYS)
        if s.KV_OPERATION in (stored.headers or {}):
            self._routes.pop(name, None)
            return
        try:
            route = _codec.decode(stored.body)
        except Undecodable as error:
            # The entry before it is not used in its place: whoever wrote this one meant to replace it.
            self._routes.pop(name, None)
            log.error("route.undecodable", route=name, revision=stored.seq, reason=str(error))
            return
        if route.name != name:
            self._routes.pop(name, None)
            log.error("route.misnamed", key=name, route=route.name, revision=stored.seq)
            return
        self._routes[name] = route
