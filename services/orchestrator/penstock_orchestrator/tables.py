"""What the orchestrator knows of the buckets: the catalogue, followed or read when asked for, and who holds which lease.

Rule of this room: the tables are news, not truth: what a new task copies is read at that moment, and before anything is
decided from a missing lease, the bucket is asked. An entry that cannot be read leaves the one before it in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from penstock import subjects as s
from penstock.catalog import Control, FleetSettings, HostState, LeaseValue, Repo, Schedule, Template
from penstock.codec import Codec, Undecodable
from penstock.lease import LeaseState, state_of
from penstock.reader import Reader, Stored
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.schedule import check

log = structlog.get_logger()

HISTORY_MAX: Final = 64
"""As many revisions of an entry as its bucket keeps."""

K = TypeVar("K")
T = TypeVar("T")

_repos: Final = Codec(msgspec.json.Decoder(Repo))
_templates: Final = Codec(msgspec.json.Decoder(Template))
_controls: Final = Codec(msgspec.json.Decoder(Control))
_schedules: Final = Codec(msgspec.json.Decoder(Schedule))
_settings: Final = Codec(msgspec.json.Decoder(FleetSettings))
_hosts: Final = Codec(msgspec.json.Decoder(HostState))
_leases: Final = Codec(msgspec.json.Decoder(LeaseValue))


async def find_repo(nc: Client, name: str) -> Repo | None:
    """The catalogue's entry as it is this moment: who has just changed a repo must not get a task with its old settings.

    Raises the broker's errors, and Undecodable for an entry that is not one."""
    return await _find(nc, s.catalog_repo(name), _repos)


async def find_template(nc: Client, name: str) -> Template | None:
    """The template as it is this moment. Raises as `find_repo` does."""
    return await _find(nc, s.catalog_template(name), _templates)


async def _find(nc: Client, key: str, codec: Codec[T]) -> T | None:
    try:
        message = await nc.jetstream(timeout=2.0).get_last_msg(s.kv_stream(s.CATALOG), s.kv(s.CATALOG, key))
    except NotFoundError:
        return None
    state = state_of(message.seq or 0, message.data or b"", message.headers)
    if state.value is None:
        return None
    try:
        return codec.decode(state.value)
    except Undecodable as error:
        raise Undecodable(f"{key} of the catalogue: {error}") from error


class Catalogue:
    """Follows what the fleet goes by: repos, controls and settings into `fleet`, and `schedules` by name.

    Who has never read an entry, and cannot now, goes by what it last was; where nobody can say, it is the stricter thing that
    counts: a control is a pause, and under settings or a repo that cannot be read nothing begins. `on_change` is called after
    every batch of changes."""

    def __init__(self, nc: Client, fleet: Fleet) -> None:
        self._nc = nc
        self._prefix = s.kv(s.CATALOG, "")
        keys = (s.catalog_repo("*"), s.catalog_control("*", "*"), s.catalog_schedule("*"), s.CATALOG_SETTINGS)
        self._reader = Reader(
            nc,
            s.kv_stream(s.CATALOG),
            filters=[self._prefix + key for key in keys],
            last_per_subject=True,
            name="orchestrator-catalogue",
        )
        self._fleet = fleet
        self._read: set[str] = set()
        self._applied = 0
        self._moved = asyncio.Event()
        self.schedules: dict[str, Schedule] = {}
        self.on_change: Callable[[], None] | None = None

    async def filled(self) -> None:
        """Returns when everything that was stored at the start is in force. To have received it is not enough: where an
        entry cannot be read, the bucket is asked for what it was before, and nobody may begin meanwhile."""
        await self._reader.caught_up.wait()
        wanted = self._reader.position
        while self._applied < wanted:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Follow the bucket for ever."""
        async with aclosing(self._reader.batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    await self._take(stored)
                self._applied = batch[-1].seq
                self._moved.set()
                if self.on_change is not None:
                    self.on_change()

    async def _take(self, stored: Stored) -> None:
        key = stored.subject.removeprefix(self._prefix)
        state = state_of(stored.seq, stored.body, stored.headers)
        if self._try(key, state):
            return
        if key in self._read:
            return
        for before in reversed(await self._history(stored)):
            if before.value is not None and self._try(key, before):
                log.warning("catalogue.older_in_force", key=key, revision=before.revision)
                return
        self._fail_closed(key)

    def _try(self, key: str, state: LeaseState) -> bool:
        try:
            self._set(key, state.value)
        except Undecodable as error:
            log.error("catalogue.unreadable", key=key, revision=state.revision, reason=str(error))
            return False
        kind, _, name = key.partition(".")
        self._fleet.unreadable.discard((kind, name))
        # After its end an entry is as good as never read.
        (self._read.discard if state.value is None else self._read.add)(key)
        return True

    async def _history(self, stored: Stored) -> list[LeaseState]:
        """What the bucket still has of the entry's past, oldest first; nothing where the broker cannot be asked."""
        js = self._nc.jetstream(timeout=2.0)
        found: list[LeaseState] = []
        seq = 1
        try:
            while len(found) < HISTORY_MAX:
                message = await js.get_msg(s.kv_stream(s.CATALOG), seq, subject=stored.subject, next=True)
                if message.seq is None or message.seq >= stored.seq:
                    break
                found.append(state_of(message.seq, message.data or b"", message.headers))
                seq = message.seq + 1
        except (nats.errors.Error, OSError, TimeoutError) as error:
            log.warning("catalogue.no_history", subject=stored.subject, reason=str(error) or type(error).__name__)
        return found

    def _fail_closed(self, key: str) -> None:
        kind, _, name = key.partition(".")
        if kind == "control":
            scope, _, whose = name.partition(".")
            self._fleet.controls[scope, whose] = Control(mode="pause", reason="cannot be read")
        elif kind in ("repo", s.CATALOG_SETTINGS):
            self._fleet.unreadable.add((kind, name))

    def _set(self, key: str, value: bytes | None) -> None:
        kind, _, name = key.partition(".")
        fleet = self._fleet
        match kind:
            case "repo":
                _put(fleet.repos, name, value, _repos)
            case "control":
                scope, _, whose = name.partition(".")
                _put(fleet.controls, (scope, whose), value, _controls)
            case "schedule":
                self._schedule(name, value)
            case s.CATALOG_SETTINGS:
                fleet.settings = FleetSettings() if value is None else _settings.decode(value)
            case _:
                return

    def _schedule(self, name: str, value: bytes | None) -> None:
        schedule = None if value is None else _schedules.decode(value)
        if schedule is None:
            self.schedules.pop(name, None)
            return
        if wrong := check(schedule):
            raise Undecodable(wrong)
        self.schedules[name] = schedule


def _put(table: dict[K, T], key: K, value: bytes | None, codec: Codec[T]) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = codec.decode(value)


class Leases:
    """Job and host leases as last heard. `on_gone` is called with a job's id when its lease ends."""

    def __init__(self, nc: Client) -> None:
        self._prefix = s.kv(s.LEASES, "")
        self._reader = Reader(
            nc, s.kv_stream(s.LEASES), filters=[self._prefix + ">"], last_per_subject=True, name="orchestrator-leases"
        )
        self._hosts: dict[str, HostState] = {}
        self.on_gone: Callable[[str], None] | None = None

    @property
    def caught_up(self) -> asyncio.Event:
        return self._reader.caught_up

    def host_alive(self, host: str) -> bool:
        return host in self._hosts

    async def run(self) -> None:
        async with aclosing(self._reader.batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    self._take(stored)

    def _take(self, stored: Stored) -> None:
        key = stored.subject.removeprefix(self._prefix)
        state = state_of(stored.seq, stored.body, stored.headers)
        kind, _, name = key.partition(".")
        if kind == "host":
            self._host(name, state)
        elif kind == "job" and holder_of(state) is None and self.on_gone is not None:
            self.on_gone(name)

    def _host(self, name: str, state: LeaseState) -> None:
        self._hosts.pop(name, None)
        if state.value is None:
            return
        try:
            self._hosts[name] = _hosts.decode(state.value)
        except Undecodable as error:
            log.error("lease.unreadable", host=name, reason=str(error))


def holder_of(state: LeaseState | None) -> LeaseValue | None:
    """Who holds a job's lease; None where it is free, expired, revoked or unreadable."""
    if state is None or state.value is None:
        return None
    try:
        value = _leases.decode(state.value)
    except Undecodable:
        return None
    return None if value.revoked else value
