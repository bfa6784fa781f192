"""Leases in a key-value bucket: who holds a job, a host's name, or the leadership.

Rule of this room: every write is a compare-and-set with a time to live; the revision of the first write of a tenure is its
epoch, and only the epoch fences. Written on raw publishes: `kv.create` fails on a key whose expiry marker still stands, and
`kv.update` would make the lease permanent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError

from penstock import subjects as s
from penstock.codec import encode
from penstock.log import WRITE_IN_FLIGHT, WRONG_LAST_SEQUENCE

LEASE_SECONDS: Final = 30
MARGIN_SHARE: Final = 1 / 6
"""A holder that could not renew stops this share of the lease before its end, to be gone when the next one begins."""


class Held(Exception):
    """Somebody else holds this lease."""


class Lost(Exception):
    """The lease has passed to somebody else, was revoked, or could not be renewed in time."""


class LeaseState(NamedTuple):
    """A key as it stands. `value` is None where the lease has expired or was released."""

    revision: int
    value: bytes | None
    expired: bool


async def read(nc: Client, key: str) -> LeaseState | None:
    """The newest entry of `key`, None where there has never been one (or its marker is gone). From the stream's leader."""
    try:
        message = await nc.jetstream(timeout=2.0).get_last_msg(s.kv_stream(s.LEASES), s.kv(s.LEASES, key))
    except NotFoundError:
        return None
    assert message.seq is not None
    return state_of(message.seq, message.data or b"", message.headers)


def state_of(revision: int, body: bytes, headers: Mapping[str, str] | None) -> LeaseState:
    """A stored message of the bucket as the state of its key."""
    marker = (headers or {}).get(s.MARKER_REASON)
    deleted = (headers or {}).get(s.KV_OPERATION) in ("DEL", "PURGE")
    gone = marker is not None or deleted or not body
    return LeaseState(revision, None if gone else body, marker is not None)


class Lease:
    """A held lease. `epoch` names the tenure; `revision` moves with every renewal."""

    def __init__(self, nc: Client, key: str, revision: int, seconds: int) -> None:
        self.key = key
        self.epoch = revision
        self._revision = revision
        self._nc = nc
        self._seconds = seconds
        self._renewed_at = asyncio.get_running_loop().time()

    @classmethod
    async def acquire(
        cls, nc: Client, key: str, value: Struct, *, seconds: int = LEASE_SECONDS, over: int | None = None
    ) -> Lease:
        """Take a free, expired or released lease. Raises Held.

        `over`: the revision of somebody's live entry that the caller knows to be dead, to be taken over."""
        body = encode(value)
        asked_at = asyncio.get_running_loop().time()
        # Nearly every lease is new. To ask for it as for a new one, and to look only after a no, saves a job a round trip.
        revision = await _write_if(nc, key, body, over or 0, seconds)
        if revision is None and over is None:
            state = await read(nc, key)
            if state is not None and state.value is None:
                revision = await _write_if(nc, key, body, state.revision, seconds)
        if revision is None:
            raise Held(key)
        lease = cls(nc, key, revision, seconds)
        # The lease may have begun as early as it was asked for: a slow answer must not make its holder believe in more.
        lease._renewed_at = asked_at
        return lease

    @property
    def seconds_left(self) -> float:
        """Until the holder must have stopped, by the monotonic clock; negative when that is over."""
        return self._renewed_at + self._seconds * (1 - MARGIN_SHARE) - asyncio.get_running_loop().time()

    async def renew(self, value: Struct) -> None:
        """Extend by the full time. Raises Lost when the lease is somebody else's; other errors mean: try again soon."""
        asked_at = asyncio.get_running_loop().time()
        try:
            self._revision = await _write(self._nc, self.key, encode(value), self._revision, self._seconds)
        except APIError as error:
            if error.err_code in (WRONG_LAST_SEQUENCE, WRITE_IN_FLIGHT):
                await self._recover(value)
                self._renewed_at = asked_at
                return
            raise
        self._renewed_at = asked_at

    async def _recover(self, value: Struct) -> None:
        """After a renewal whose answer was lost, the stored entry may be our own."""
        state = await read(self._nc, self.key)
        if state is None or state.value != encode(value) or state.revision <= self._revision:
            raise Lost(self.key)
        self._revision = state.revision

    async def keep(self, value: Struct) -> None:
        """Renew for ever, three times a lease; raises Lost when it is lost or could not be renewed in time."""
        every = self._seconds / 3
        pause = every
        while True:
            await asyncio.sleep(min(pause, max(self.seconds_left, 0.0)))
            if self.seconds_left <= 0:
                raise Lost(self.key)
            try:
                async with asyncio.timeout(max(self.seconds_left, 0.1)):
                    await self.renew(value)
                pause = every
            except (nats.errors.Error, OSError, TimeoutError):
                pause = every / 6

    async def release(self) -> None:
        """Give the lease up now; a lease that has passed on already stays where it is."""
        headers = {s.KV_OPERATION: "DEL", s.EXPECTED_LAST: str(self._revision)}
        try:
            await self._nc.jetstream(timeout=2.0).publish(s.kv(s.LEASES, self.key), b"", headers=headers, msg_ttl=60)
        except (nats.errors.Error, OSError):
            # Not ours any more, or no answer: it ends by itself.
            return


async def revoke(nc: Client, key: str, revision: int, value: Struct) -> bool:
    """Write `value` over somebody's lease so that its next renewal fails; False when it has moved on meanwhile."""
    return await _write_if(nc, key, encode(value), revision, LEASE_SECONDS) is not None


async def _write_if(nc: Client, key: str, body: bytes, expected: int, seconds: int) -> int | None:
    """The new revision; None where the entry is not at the expected one."""
    try:
        return await _write(nc, key, body, expected, seconds)
    except APIError as error:
        if error.err_code in (WRONG_LAST_SEQUENCE, WRITE_IN_FLIGHT):
            return None
        raise


async def _write(nc: Client, key: str, body: bytes, expected: int, seconds: int) -> int:
    ack = await nc.jetstream(timeout=2.0).publish(
        s.kv(s.LEASES, key), body, headers={s.EXPECTED_LAST: str(expected)}, msg_ttl=seconds
    )
    return ack.seq
