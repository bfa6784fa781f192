"""Asking the broker for orders: one for every free slot, this host's own before those of the pools.

Rule of this room: credit is asked for only while a slot is free, and whatever arrives without a free slot goes back at once.
So a pull that was cancelled, doubled or forgotten can at worst hand somebody else's turn on; it can never lose an order.
Hand-sent pulls into one subscription, since a cancelled `fetch` loses what it had received.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError

from penstock import subjects as s
from penstock.streams import host_consumer

log = structlog.get_logger()

PULL_EXPIRES_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 1.0
SILENCE_SECONDS_MAX: Final = 2.5
RESTART_PAUSE_SECONDS: Final = 1.0
API_SECONDS_MAX: Final = 3.0

Take = Callable[[Msg], bool]
"""Begins work on an order; False where no slot is free for it."""


class Orders:
    """Orders for this host: `take` gets each, `free` says how many slots are. Call `wake` when a slot has become free."""

    def __init__(self, nc: Client, host: str, pools: Iterable[str], *, free: Callable[[], int], take: Take) -> None:
        self._free = free
        self._changed = asyncio.Event()
        self._own = _Source(nc, s.host_durable(host), take, self._changed, make=host_consumer(host))
        self._pools = [_Source(nc, s.pool_durable(pool), take, self._changed) for pool in pools]

    def wake(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Ask, until cancelled. After it what was still on its way has been given back."""
        sources = [self._own, *self._pools]
        try:
            while True:
                self._changed.clear()
                for source in sources:
                    await source.mend()
                free = self._free()
                if free > 0 and self._own.asked == 0 and not self._own.broken:
                    # While no pull of our own stands, there may be orders that nobody but this host can take.
                    await self._own.ask(free, now=True)
                    await self._answered(self._own)
                    free = self._free()
                for source in sources:
                    await source.ask(free - source.asked)
                await self._wait(sources)
        finally:
            await asyncio.gather(*(source.stop() for source in sources))

    async def _answered(self, source: _Source) -> None:
        """Until what could be had at once is here."""
        until = asyncio.get_running_loop().time() + SILENCE_SECONDS_MAX
        while source.asked > 0 and not source.broken:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                source.broken = "no answer"
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
            self._changed.clear()

    async def _wait(self, sources: list[_Source]) -> None:
        """Until something changes, or the broker has been silent for too long while it owed a heartbeat."""
        # A look now and then at the heartbeats, which change nothing by themselves.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS_MAX / 2):
                await self._changed.wait()
        for source in sources:
            source.listen()


class _Source:
    """One durable: what was asked of it and is not answered yet."""

    def __init__(
        self, nc: Client, durable: str, take: Take, changed: asyncio.Event, *, make: ConsumerConfig | None = None
    ) -> None:
        self.asked = 0
        self.broken = "new"
        self._nc = nc
        self._durable = durable
        self._take = take
        self._changed = changed
        self._make = make
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._heard_at = 0.0
        self._mend_at = 0.0
        self._said = ""

    async def mend(self) -> None:
        """Begin anew after a break; not more often than every RESTART_PAUSE_SECONDS."""
        now = asyncio.get_running_loop().time()
        if not self.broken or now < self._mend_at:
            return
        if self.broken not in ("new", self._said):
            log.warning("orders.restarted", durable=self._durable, reason=self.broken)
            self._said = self.broken
        self._mend_at = now + RESTART_PAUSE_SECONDS
        try:
            await self.stop()
            if self._make is not None:
                await self._nc.jetstream(timeout=API_SECONDS_MAX).add_consumer(s.JOBS, self._make)
            inbox = self._inbox = self._nc.new_inbox()
            self._subscription = await self._nc.subscribe(inbox, cb=self._receive)
        except (nats.errors.Error, APIError, OSError) as error:
            self.broken = f"cannot begin: {str(error) or type(error).__name__}"
            return
        self.asked, self.broken = 0, ""

    async def ask(self, count: int, *, now: bool = False) -> None:
        """Ask for `count` more: what is there `now`, or whatever comes within PULL_EXPIRES_SECONDS."""
        if count <= 0 or self.broken:
            return
        request: dict[str, object] = {"batch": count}
        if now:
            request["no_wait"] = True
        else:
            request |= {"expires": int(PULL_EXPIRES_SECONDS * 1e9), "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9)}
        if self.asked == 0:
            self._heard_at = asyncio.get_running_loop().time()
        self.asked += count
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{s.JOBS}.{self._durable}"
        try:
            await self._nc.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        except (nats.errors.Error, OSError) as error:
            self.broken = f"cannot pull: {str(error) or type(error).__name__}"

    def listen(self) -> None:
        """Notice a broker that owes a heartbeat."""
        silent_for = asyncio.get_running_loop().time() - self._heard_at
        if self.asked > 0 and silent_for >= SILENCE_SECONDS_MAX:
            self.broken = "silence"

    async def stop(self) -> None:
        """Ask for nothing more; what the broker had sent already is received, and goes back."""
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            # Without a connection there is nobody to send anything.
            drained = subscription.drain()  # type: ignore[no-untyped-call]  # nats-py leaves this one untyped
            async with asyncio.timeout(API_SECONDS_MAX):
                await drained

    async def _receive(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        headers = message.headers
        if headers is None or message.data or "Status" not in headers:
            self.asked = max(self.asked - 1, 0)
            self._said = ""
            if not self._take(message):
                await _give_back(message)
        elif headers["Status"] in ("404", "408"):
            # One pull has ended by its time; what it still asked for is not owed any more.
            self.asked = max(self.asked - int(headers.get("Nats-Pending-Messages", self.asked)), 0)
        elif headers["Status"] != "100":
            self.broken = f"{headers['Status']} {headers.get('Description', '').strip()}"
        else:
            return
        self._changed.set()


async def _give_back(message: Msg) -> None:
    try:
        await message.nak()
    except (nats.errors.Error, OSError):
        # The broker gives it to somebody else when its time is over.
        return
