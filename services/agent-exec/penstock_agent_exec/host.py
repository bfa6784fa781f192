"""This host's name on the broker: a lease that says who we are, what we offer and how busy we are.

Rule of this room: a name is taken over only from our own dead predecessor, which the folder's lock proves dead; and with
the name goes whatever it held, so that nobody waits for a lease to run out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client

from penstock import subjects as s
from penstock.catalog import HostState
from penstock.lease import LEASE_SECONDS, Held, Lease, Lost, read, state_of
from penstock.reader import Reader, Stored
from penstock.streams import host_consumer

log = structlog.get_logger()

NAME_PAUSE_SECONDS: Final = 1.0
RETRY_PAUSE_SECONDS: Final = 1.0
SWEEP_SECONDS_MAX: Final = 10.0
API_SECONDS_MAX: Final = 3.0
SHORT_ACK_SECONDS: Final = 0.05
SHORT_ACK_PAUSE_SECONDS: Final = 0.4
"""Longer than the 0.1 s that the broker waits before it looks (measured with 2.15.1)."""

_FIRST: Final = asyncio.FIRST_COMPLETED


class NameTaken(Exception):
    """Another installation has this host's name."""


class _Holder(Struct):
    """What any lease's value says of who holds it."""

    installation: str = ""
    instance: str = ""


async def take_name(nc: Client, state: HostState) -> Lease:
    """Hold `host.<host>`. Raises NameTaken, and the client's errors."""
    key = s.host_lease(state.host)
    found = await read(nc, key)
    over = None
    if found is not None and found.value is not None:
        holder = _holder(found.value)
        if holder is None or holder.installation != state.installation:
            raise NameTaken(f"the name {state.host!r} is held by another installation; PENSTOCK_HOST must be unique")
        over = found.revision
    try:
        return await Lease.acquire(nc, key, state, over=over)
    except Held as error:
        raise NameTaken(f"the name {state.host!r} was taken by somebody else just now") from error


async def keep_name(lease: Lease, state: Callable[[], HostState]) -> None:
    """Renew with the newest state, three times a lease, for ever. Raises Lost."""
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        # The same value until it is stored: a renewal whose answer was lost is recognised by it.
        value = state()
        while True:
            if lease.seconds_left <= 0:
                raise Lost(lease.key)
            try:
                async with asyncio.timeout(max(lease.seconds_left, 0.1)):
                    await lease.renew(value)
                break
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(min(RETRY_PAUSE_SECONDS, max(lease.seconds_left, 0.0)))


async def end_leases_of_predecessors(nc: Client, installation: str, instance: str) -> list[str]:
    """Delete every job lease that an earlier process of this folder held; their keys. Raises TimeoutError."""
    ended: list[str] = []
    async with asyncio.timeout(SWEEP_SECONDS_MAX):
        for stored in await _job_leases(nc):
            state = state_of(stored.seq, stored.body, stored.headers)
            holder = None if state.value is None else _holder(state.value)
            if holder is not None and holder.installation == installation and holder.instance != instance:
                key = stored.subject.removeprefix(s.kv(s.LEASES, ""))
                await Lease(nc, key, stored.seq, LEASE_SECONDS).release()
                ended.append(key)
    return ended


async def ask_orders_back(nc: Client, host: str) -> int:
    """Have the broker give this host's orders out again that a predecessor was handed and did not claim; how many there are.

    Nobody but this host takes from its durable, so whatever is pending there was handed to the dead."""
    js = nc.jetstream(timeout=API_SECONDS_MAX)
    standing = host_consumer(host)
    handed_out = (await js.add_consumer(s.JOBS, standing)).num_ack_pending or 0
    if handed_out:
        # The broker looks through what is pending when the time for it changes.
        await js.add_consumer(s.JOBS, standing.evolve(ack_wait=SHORT_ACK_SECONDS))
        await asyncio.sleep(SHORT_ACK_PAUSE_SECONDS)
        await js.add_consumer(s.JOBS, standing)
    return handed_out


async def _job_leases(nc: Client) -> list[Stored]:
    """The newest entry of every job's lease, as of now."""
    filter_ = s.kv(s.LEASES, "job.*")
    reader = Reader(nc, s.kv_stream(s.LEASES), filters=[filter_], last_per_subject=True, name="exec-leases")
    found: list[Stored] = []
    async with contextlib.aclosing(reader.batches()) as batches:
        following = asyncio.ensure_future(anext(batches))
        caught_up = asyncio.ensure_future(reader.caught_up.wait())
        try:
            # Caught up is said when the last one has arrived, which is before it is handed out.
            while not (caught_up.done() and (found[-1].seq if found else 0) >= reader.position):
                await asyncio.wait({following, caught_up} if not caught_up.done() else {following}, return_when=_FIRST)
                if following.done():
                    found += following.result()
                    following = asyncio.ensure_future(anext(batches))
        finally:
            caught_up.cancel()
            following.cancel()
            await asyncio.gather(following, caught_up, return_exceptions=True)
    return found


def _holder(value: bytes) -> _Holder | None:
    try:
        return msgspec.json.decode(value, type=_Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
