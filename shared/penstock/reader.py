"""Follows a stream from a sequence on, in batches, for as long as it is asked to.

Rule of this room: every message exactly once and in order, whatever happens to the server, or an error. A gap in the
consumer's sequence or silence beyond the heartbeat means a new consumer behind the last message that was delivered.
Hand-sent pulls into one subscription: five times the rate of `fetch`, and none of the ordered consumer's traps.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

PULL_MESSAGES: Final = 2_000
PULLS_AHEAD: Final = 2
PULL_EXPIRES_SECONDS: Final = 30.0
INACTIVE_SECONDS: Final = 30.0
RESTART_PAUSE_SECONDS: Final = 0.25


class Stored(NamedTuple):
    """One message as a reader delivers it."""

    seq: int
    subject: str
    body: bytes
    headers: Mapping[str, str] | None


class StreamGone(RuntimeError):
    """The stream to follow does not exist."""


class Reader:
    """Reads `stream` after sequence `after`, only subjects that match `filters` (all where empty).

    `last_per_subject` starts with the newest message of every subject instead, for key-value buckets.
    `caught_up` is set when everything that was stored at the start has been delivered. Not for several tasks at once."""

    def __init__(
        self,
        nc: Client,
        stream: str,
        *,
        filters: Sequence[str] = (),
        after: int = 0,
        last_per_subject: bool = False,
        heartbeat_seconds: float = 2.0,
        name: str = "reader",
    ) -> None:
        self.position = after
        self.caught_up = asyncio.Event()
        self.restarts = 0
        self._nc = nc
        self._stream = stream
        self._filters = list(filters)
        self._last_per_subject = last_per_subject
        self._heartbeat_seconds = heartbeat_seconds
        self._name = name
        self._buffer: list[Stored] = []
        self._arrived = asyncio.Event()
        self._consumer = ""
        self._consumer_seq = 0
        self._broken: str | None = None
        self._asked = 0
        self._wanted = 0
        self._inbox = ""
        self._last_sign_of_life = 0.0

    async def batches(self) -> AsyncGenerator[list[Stored], None]:
        """Batches of at least one message, for ever. Raises StreamGone. Close it (`aclosing`) to give up the consumer."""
        subscription: Subscription | None = None
        try:
            while True:
                if subscription is None:
                    subscription = await self._start()
                    if subscription is None:
                        continue
                if not self._buffer:
                    await self._wait()
                    await self._flush_pulls()
                if batch := self._buffer:
                    # Messages that arrived before a break are in order and counted: they are good.
                    self._buffer = []
                    self._pull()
                    await self._flush_pulls()
                    yield batch
                elif self._broken is not None:
                    await self._stop(subscription)
                    subscription = None
                    self.restarts += 1
                    await asyncio.sleep(RESTART_PAUSE_SECONDS)
        finally:
            if subscription is not None:
                await self._stop(subscription)

    async def _wait(self) -> None:
        """Until something arrives, something breaks, or the server has been silent for too long."""
        self._arrived.clear()
        if self._buffer or self._broken is not None:
            return
        silence_max = self._heartbeat_seconds * 2.5
        try:
            async with asyncio.timeout(silence_max):
                await self._arrived.wait()
        except TimeoutError:
            if asyncio.get_running_loop().time() - self._last_sign_of_life >= silence_max:
                self._broken = "silence"

    async def _start(self) -> Subscription | None:
        self._broken, self._consumer_seq, self._asked, self._wanted = None, 0, 0, 0
        self._consumer = f"{self._name}-{os.urandom(6).hex()}"
        config = ConsumerConfig(
            name=self._consumer,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=INACTIVE_SECONDS,
        )
        if self._last_per_subject and self.position == 0:
            config.deliver_policy = DeliverPolicy.LAST_PER_SUBJECT
            config.filter_subjects = self._filters or [">"]
        else:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = self.position + 1
            if len(self._filters) == 1:
                config.filter_subject = self._filters[0]
            elif self._filters:
                config.filter_subjects = self._filters
        try:
            info = await self._nc.jetstream(timeout=5.0).add_consumer(self._stream, config)
        except NotFoundError as error:
            raise StreamGone(self._stream) from error
        except (APIError, nats.errors.Error, OSError):
            # The server is away or busy starting: this is the wait for it.
            await asyncio.sleep(RESTART_PAUSE_SECONDS)
            return None
        if not info.num_pending:
            self.caught_up.set()
        inbox = self._nc.new_inbox()
        consumer = self._consumer

        async def receive(message: Msg) -> None:
            if consumer == self._consumer:
                self._receive(message)

        subscription = await self._nc.subscribe(inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=0)
        self._inbox = inbox
        self._last_sign_of_life = asyncio.get_running_loop().time()
        self._pull()
        await self._flush_pulls()
        return subscription

    async def _stop(self, subscription: Subscription) -> None:
        consumer, self._consumer = self._consumer, ""
        try:
            await subscription.unsubscribe()
            if self._nc.is_connected:
                await self._nc.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{consumer}", b"")
        except (nats.errors.Error, OSError):
            # The connection is gone, and with it the consumer after its inactive time.
            return

    def _receive(self, message: Msg) -> None:
        """One message or status. Runs in the subscription's own task: short, and never waits."""
        self._last_sign_of_life = asyncio.get_running_loop().time()
        headers = message.headers
        if headers is not None and not message.data and "Status" in headers:
            self._status(headers["Status"], headers)
            return
        seq, consumer_seq, pending = position_of(message)
        if self._broken is not None:
            return
        if consumer_seq != self._consumer_seq + 1:
            self._broken = f"gap: consumer sequence {consumer_seq} after {self._consumer_seq}"
            self._arrived.set()
            return
        self._consumer_seq = consumer_seq
        self.position = seq
        self._asked -= 1
        self._buffer.append(Stored(seq, message.subject, message.data, headers))
        if pending == 0:
            self.caught_up.set()
        self._arrived.set()

    def _status(self, status: str, headers: Mapping[str, str]) -> None:
        if status == "100":
            return
        if status in ("404", "408"):
            # One pull has ended by its time; what it still asked for is not owed any more.
            self._asked -= int(headers.get("Nats-Pending-Messages", PULL_MESSAGES))
            self._pull()
            self._arrived.set()
            return
        self._broken = f"{status} {headers.get('Description', '')}"
        self._arrived.set()

    def _pull(self) -> None:
        """Note how many pulls are missing; they are sent by `_flush_pulls`, which may wait for the socket."""
        while self._asked <= PULL_MESSAGES * (PULLS_AHEAD - 1):
            self._asked += PULL_MESSAGES
            self._wanted += 1

    async def _flush_pulls(self) -> None:
        request = {
            "batch": PULL_MESSAGES,
            "expires": int(PULL_EXPIRES_SECONDS * 1e9),
            "idle_heartbeat": int(self._heartbeat_seconds * 1e9),
        }
        body = json.dumps(request).encode()
        wanted, self._wanted = self._wanted, 0
        for _ in range(wanted):
            await self._nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}", body, reply=self._inbox
            )


def position_of(message: Msg) -> tuple[int, int, int]:
    """(stream sequence, consumer sequence, messages left) from the reply subject, counted from the right, so that the
    longer form of later servers reads the same."""
    _, seq, consumer_seq, _, pending = message.reply.rsplit(".", 4)
    return int(seq), int(consumer_seq), int(pending)
