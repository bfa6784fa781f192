"""The key-value buckets: what people edit (repos, templates, schedules, controls, routes, settings), and hosts that say
they are there.

Rule of this room: one entry is read from the bucket itself, lists come from tables that readers keep; who has written waits
until the table has it, so that what was written is in the next list.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError

from penstock import subjects as s
from penstock.catalog import Control, FleetSettings, HostState, MemoryNote, Repo, Route, Schedule, Template
from penstock.codec import Codec, Undecodable, encode
from penstock.lease import state_of
from penstock.reader import Reader, Stored
from penstock_api.problems import Problem, broker_errors

log = structlog.get_logger()

CONTROLS: Final = s.catalog_control("", "").removesuffix(".")
WRITE_SECONDS: Final = 3.0
TABLE_SECONDS: Final = 1.0
WRONG_LAST_SEQUENCE: Final = 10071
"""The stream's word for "somebody was faster"."""
E = TypeVar("E", bound=Struct)


class Entry(NamedTuple, Generic[E]):
    """`value` None: there is no such entry. `revision`: of the entry or of its removal, 0 where there never was one."""

    value: E | None
    revision: int


class Bucket(Generic[E]):
    """Entries of one kind in one bucket, by name. `follow` must run for `entries` to fill and to stay true."""

    def __init__(self, nc: Client, bucket: str, prefix: str, kind: type[E], names: str = "*") -> None:
        """`names`: what stands behind the prefix, in the words of a subject; empty for an entry without a name."""
        self.entries: dict[str, E] = {}
        self._nc = nc
        self._bucket = bucket
        self._stream = s.kv_stream(bucket)
        self._prefix = prefix
        self._codec: Codec[E] = Codec(msgspec.json.Decoder(kind))
        self._reader = Reader(
            nc,
            self._stream,
            filters=[self._subject(names)],
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

    async def get(self, name: str) -> Entry[E]:
        """The entry as the bucket has it now. Raises Problem (503)."""
        with broker_errors():
            try:
                message = await self._nc.jetstream(timeout=WRITE_SECONDS).get_last_msg(
                    self._stream, self._subject(name)
                )
            except NotFoundError:
                return Entry(None, 0)
        state = state_of(message.seq or 0, message.data or b"", message.headers)
        return Entry(None if state.value is None else self._decoded(name, state.value), message.seq or 0)

    async def put(self, name: str, entry: E, expected: int | None = None, *, alone: bool = False) -> int:
        """The new revision. `expected`: the revision that is to be replaced, None for whatever stands there. `alone`: the
        entry's earlier revisions are gone with it.

        Raises Problem: 412 where another one stands there, 503 (then the entry may or may not be stored)."""
        return await self._write(name, encode(entry), {s.KV_ROLLUP: "sub"} if alone else {}, expected)

    async def delete(self, name: str, expected: int | None = None) -> None:
        await self._write(name, b"", {s.KV_OPERATION: "DEL"}, expected)

    async def _write(self, name: str, body: bytes, headers: dict[str, str], expected: int | None) -> int:
        if expected is not None:
            headers[s.EXPECTED_LAST] = str(expected)
        with broker_errors():
            try:
                ack = await self._nc.jetstream(timeout=WRITE_SECONDS).publish(
                    self._subject(name), body, stream=self._stream, headers=headers or None
                )
            except APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    raise
                raise changed_meanwhile() from error
        try:
            async with asyncio.timeout(TABLE_SECONDS):
                await self._reached(ack.seq)
        except TimeoutError:
            log.warning("catalog.table_behind", bucket=self._bucket, applied=self._applied, written=ack.seq)
        return ack.seq

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


def changed_meanwhile() -> Problem:
    """The entry is not the one that the client has seen."""
    return Problem(
        412,
        "precondition-failed",
        "the entry is not the one that you have seen",
        field="If-Match",
        hint="read it again, and send its ETag",
    )


class Catalog:
    """What the api knows of the buckets. Controls are named `<scope>.<name>`, the settings have the empty name."""

    def __init__(self, nc: Client) -> None:
        self.repos = Bucket(nc, s.CATALOG, s.catalog_repo(""), Repo)
        self.templates = Bucket(nc, s.CATALOG, s.catalog_template(""), Template)
        self.schedules = Bucket(nc, s.CATALOG, s.catalog_schedule(""), Schedule)
        self.controls = Bucket(nc, s.CATALOG, CONTROLS, Control, names="*.*")
        self.routes = Bucket(nc, s.CATALOG, s.catalog_route(""), Route)
        self.settings = Bucket(nc, s.CATALOG, s.CATALOG_SETTINGS, FleetSettings, names="")
        self.memories = Bucket(nc, s.CATALOG, s.catalog_memory(""), MemoryNote)
        self.hosts = Bucket(nc, s.LEASES, s.host_lease(""), HostState)
        self._buckets = (
            *(self.repos, self.templates, self.schedules, self.controls, self.routes, self.settings),
            *(self.memories, self.hosts),
        )

    async def follow(self) -> None:
        """For ever. Raises StreamGone."""
        async with asyncio.TaskGroup() as group:
            for bucket in self._buckets:
                group.create_task(bucket.follow())

    async def filled(self) -> None:
        """Returns when lists are complete."""
        for bucket in self._buckets:
            await bucket.filled()

    def vendors(self) -> frozenset[str]:
        """What the hosts that are there say they can run."""
        return frozenset(vendor for host in self.hosts.entries.values() for vendor in host.vendors)

    def fleet(self) -> FleetSettings:
        """The limits over all tasks, as last heard."""
        return self.settings.entries.get("", FleetSettings())
