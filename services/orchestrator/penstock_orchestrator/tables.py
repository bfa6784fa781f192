"""What the orchestrator knows of the buckets: repos of the catalogue, read when asked for, and who holds which lease.

Rule of this room: the table of leases is news, not truth: before anything is decided from a missing one, the bucket is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import msgspec
import structlog
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from penstock import subjects as s
from penstock.catalog import HostState, LeaseValue, Repo
from penstock.codec import Codec, Undecodable
from penstock.lease import LeaseState, state_of
from penstock.reader import Reader, Stored

log = structlog.get_logger()

_repos: Final = Codec(msgspec.json.Decoder(Repo))
_hosts: Final = Codec(msgspec.json.Decoder(HostState))
_leases: Final = Codec(msgspec.json.Decoder(LeaseValue))


async def find_repo(nc: Client, name: str) -> Repo | None:
    """The catalogue's entry as it is this moment: who has just changed a repo must not get a task with its old settings.

    Raises the broker's errors, and Undecodable for an entry that is not one."""
    try:
        message = await nc.jetstream(timeout=2.0).get_last_msg(
            s.kv_stream(s.CATALOG), s.kv(s.CATALOG, s.catalog_repo(name))
        )
    except NotFoundError:
        return None
    state = state_of(message.seq or 0, message.data or b"", message.headers)
    if state.value is None:
        return None
    try:
        return _repos.decode(state.value)
    except Undecodable as error:
        raise Undecodable(f"repo {name} of the catalogue: {error}") from error


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
