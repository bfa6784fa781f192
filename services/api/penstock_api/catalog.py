"""The key-value buckets: repos and routes that people edit, hosts that say they are there.

Rule of this room: one entry is read from the bucket itself, lists come from tables that readers keep; who has written waits
until the table has it, so that what was written is in the next list.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final, Generic, TypeVar

import msgspec
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from penstock import subjects as s
from penstock.catalog import HostState, Repo, Route
from penstock.codec import Codec, Undecodable, encode
from penstock.lease import state_of
from penstock.reader import Reader, Stored
from penstock_api.problems import broker_errors

log = structlog.get_logger()

WRITE_SECONDS: Final = 3.0
TABLE_SECONDS: Final = 1.0
E = TypeVar("E", bound=Struct)


class Bucket(Generic[E]):
    """Entries of one kind in one bucket, by name. `follow` must run for `entries` to fill and to stay true."""

    def __init__(self, nc: Client, bucket: str, prefix: str, kind: type[E]) -> None:
        self.entries: dict[str, E] = {}
        self._nc = nc
        self._bucket = bucket
        self._stream = s.kv_stream(bucket)
        self._prefix = prefix
        self._codec: Codec[E] = Codec(msgspec.json.Decoder(kind))
        self._reader = Reader(
            nc,
            self._stream,
            filters=[self._subject("*")],
            last_per_subject=True,
            name=f"api-{prefix.rstrip('.')}",
        )
        self._applied = 0
        self._moved = asyncio.Event()

    async def follow(self) -> None:
        """For ever. Raises StreamGone."""
        async with aclosing(self._reader.batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    self._apply(stored)
                self._applied = batch[-1].seq
                self._moved.set()

    async def filled(self) -> None:
        """Returns when everything that was stored at the start is in the table."""
        await self._reader.caught_up.wait()
        await self._reached(self._reader.position)

    async def get(self, name: str) -> E | None:
        """The entry as the bucket has it now. Raises Problem (503)."""
        with broker_errors():
            try:
                message = await self._nc.jetstream(timeout=WRITE_SECONDS).get_last_msg(
                    self._stream, self._subject(name)
                )
            except NotFoundError:
                return None
        state = state_of(message.seq or 0, message.data or b"", message.headers)
        return None if state.value is None else self._decoded(name, state.value)

    async def put(self, name: str, entry: E) -> None:
        """Raises Problem (503): then the entry may or may not be stored."""
        await self._write(name, encode(entry), {})

    async def delete(self, name: str) -> None:
        await self._write(name, b"", {s.KV_OPERATION: "DEL"})

    async def _write(self, name: str, body: bytes, headers: dict[str, str]) -> None:
        with broker_errors():
            ack = await self._nc.jetstream(timeout=WRITE_SECONDS).publish(
                self._subject(name), body, stream=self._stream, headers=headers or None
            )
        try:
            async with asyncio.timeout(TABLE_SECONDS):
                await self._reached(ack.seq)
        except TimeoutError:
            log.warning("catalog.table_behind", bucket=self._bucket, applied=self._applied, written=ack.seq)

    async def _reached(self, seq: int) -> None:
        while self._applied < seq:
            self._moved.clear()
            await self._moved.wait()

    def _subject(self, name: str) -> str:
        return s.kv(self._bucket, self._prefix + name)

    def _apply(self, stored: Stored) -> None:
        name = stored.subject.removeprefix(self._subject(""))
        state = state_of(stored.seq, stored.body, stored.headers)
        entry = None if state.value is None else self._decoded(name, state.value)
        if entry is None:
            self.entries.pop(name, None)
        else:
            self.entries[name] = entry

    def _decoded(self, name: str, body: bytes) -> E | None:
        try:
            return self._codec.decode(body)
        except Undecodable as error:
            log.warning("catalog.undecodable", bucket=self._bucket, name=name, reason=str(error))
            return None


class Catalog:
    """What the api knows of the buckets."""

    def __init__(self, nc: Client) -> None:
        self.repos = Bucket(nc, s.CATALOG, s.catalog_repo(""), Repo)
        self.routes = Bucket(nc, s.CATALOG, s.catalog_route(""), Route)
        self.hosts = Bucket(nc, s.LEASES, s.host_lease(""), HostState)

    async def follow(self) -> None:
        """For ever. Raises StreamGone."""
        async with asyncio.TaskGroup() as group:
            for bucket in (self.repos, self.routes, self.hosts):
                group.create_task(bucket.follow())

    async def filled(self) -> None:
        """Returns when lists are complete."""
        for bucket in (self.repos, self.routes, self.hosts):
            await bucket.filled()

    def vendors(self) -> frozenset[str]:
        """What the hosts that are there say they can run."""
        return frozenset(vendor for host in self.hosts.entries.values() for vendor in host.vendors)
