"""Messages of a durable, so many at a time as there are hands for.

Rule of this room: what was asked for and what is in hand are counted together, so that this process never holds more
messages than it can work on before the broker gives them to somebody else. Hand-sent pulls into one subscription: a
cancelled or reconnected `fetch` loses what it had received, these cannot.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

log = structlog.get_logger()

PULL_EXPIRES_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 2.0
SILENCE_SECONDS_MAX: Final = 5.0
RESTART_PAUSE_SECONDS: Final = 1.0


class Pulls:
    """Call `done` once for every message of `messages`, whatever became of it. Not for several loops at once."""

    def __init__(self, nc: Client, stream: str, durable: str, *, hands: int) -> None:
        self._nc = nc
        self._stream = stream
        self._durable = durable
        self._hands = hands
        self._waiting: deque[Msg] = deque()
        self._in_hand = 0
        self._asked = 0
        self._inbox = ""
        self._broken = ""
        self._stopping = False
        self._changed = asyncio.Event()
        self._last_sign_of_life = 0.0

    def done(self) -> None:
        """A hand is free again."""
        self._in_hand -= 1
        self._changed.set()

    def stop(self) -> None:
        """`messages` ends soon; what has arrived and not been handed out goes back."""
        self._stopping = True
        self._changed.set()

    async def messages(self) -> AsyncIterator[Msg]:
        """One message after the other until `stop`."""
        subscription = await self._start()
        while not self._stopping:
            if self._waiting:
                yield self._waiting.popleft()
                continue
            if self._broken:
                await subscription.unsubscribe()
                log.warning("pulls.restarted", stream=self._stream, durable=self._durable, reason=self._broken)
                await asyncio.sleep(RESTART_PAUSE_SECONDS)
                subscription = await self._start()
            await self._ask()
            await self._wait()
        try:
            await subscription.unsubscribe()
            while self._waiting:
                await self._waiting.popleft().nak()
        except (nats.errors.Error, OSError):
            # Without a connection the broker gives them to somebody else after their time.
            return

    async def _start(self) -> Subscription:
        self._broken, self._asked = "", 0
        inbox = self._nc.new_inbox()

        async def receive(message: Msg) -> None:
            if inbox == self._inbox:
                self._receive(message)

        self._inbox = inbox
        self._last_sign_of_life = asyncio.get_running_loop().time()
        return await self._nc.subscribe(inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=0)

    def _receive(self, message: Msg) -> None:
        """One message or status. Runs in the subscription's own task: short, and never waits."""
        self._last_sign_of_life = asyncio.get_running_loop().time()
        headers = message.headers
        if headers is None or message.data or "Status" not in headers:
            self._asked -= 1
            self._in_hand += 1
            self._waiting.append(message)
        elif headers["Status"] in ("404", "408"):
            # One pull has ended by its time; what it still asked for is not owed any more.
            self._asked -= int(headers.get("Nats-Pending-Messages", self._asked))
        elif headers["Status"] != "100":
            self._broken = f"{headers['Status']} {headers.get('Description', '')}"
        self._changed.set()

    async def _ask(self) -> None:
        """Pull for the free hands, not for every single one as long as another pull is open."""
        free = self._hands - self._in_hand - self._asked
        if free <= 0 or (self._asked > 0 and free < self._hands // 2):
            return
        if self._asked == 0:
            self._last_sign_of_life = asyncio.get_running_loop().time()
        self._asked += free
        request = {
            "batch": free,
            "expires": int(PULL_EXPIRES_SECONDS * 1e9),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        try:
            await self._nc.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        except (nats.errors.Error, OSError) as error:
            self._broken = f"cannot pull: {str(error) or type(error).__name__}"

    async def _wait(self) -> None:
        """Until something changes, or the broker has been silent for too long while it owed a heartbeat."""
        try:
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the event.
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                await self._changed.wait()
        except TimeoutError:
            silence = asyncio.get_running_loop().time() - self._last_sign_of_life
            if self._asked > 0 and silence >= SILENCE_SECONDS_MAX:
                self._broken = "silence"
        self._changed.clear()
