"""Deliveries of webhooks that were taken, remembered in PostgreSQL for every process of the api.

Rule of this room: a delivery is taken when what it leads to was done, in one transaction; until then it may come again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from penstock_api.database import Database
from penstock_api.problems import Problem

KEPT_DAYS: Final = 30
TIDY_SECONDS: Final = 3_600.0
AT_ONCE_MAX: Final = 4
"""So many webhooks hold a connection at once; people's requests have the others."""

WAITING_MAX: Final = 64
READING_MAX: Final = 64
"""So many bodies are held at once of which nobody knows yet who has sent them."""

PER_MINUTE_MAX: Final = 1_200
BUSY_SECONDS: Final = 2

TAKE: Final = (
    "insert into penstock_api.hook_delivery (provider, repo, delivery, body_sha256, event)"
    " values ($1, $2, $3, $4, $5) on conflict do nothing returning true"
)
TIDY: Final = "delete from penstock_api.hook_delivery where received_at < now() - $1::integer * interval '1 day'"
STATEMENTS: Final = (TAKE, TIDY)


class Deliveries:
    """Those of this installation. `reading` bounds how many webhooks are held, `gate` how many are looked at, `once` remembers
    those that were taken."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0
        self._reading: deque[asyncio.Timeout] = deque()
        self._minute = 0
        self._seen = 0
        self._tidied_at: float | None = None

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """While a body is read that may be a stranger's. Where there are too many, the one that has taken longest goes: it is no
        forge's, and so strangers fill neither the memory nor this. Raises Problem (503) for that one."""
        if len(self._reading) >= READING_MAX:
            self._reading.popleft().reschedule(0)
        timer = asyncio.timeout(None)
        self._reading.append(timer)
        try:
            async with timer:
                yield
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise _busy(503, "unavailable", f"more than {READING_MAX} webhooks at once", BUSY_SECONDS) from error
        finally:
            with contextlib.suppress(ValueError):
                self._reading.remove(timer)

    @contextlib.asynccontextmanager
    async def gate(self) -> AsyncIterator[None]:
        """Raises Problem: 429 where there are too many in a minute, 503 where too many wait."""
        minute = int(asyncio.get_running_loop().time() // 60)
        if minute != self._minute:
            self._minute, self._seen = minute, 0
        self._seen += 1
        if self._seen > PER_MINUTE_MAX:
            raise _busy(429, "too-many-requests", f"more than {PER_MINUTE_MAX} webhooks in a minute", 60)
        if self._waiting >= WAITING_MAX:
            raise _busy(503, "unavailable", f"{WAITING_MAX} webhooks wait already", BUSY_SECONDS)
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1

    @contextlib.asynccontextmanager
    async def once(self, provider: str, repo: str, delivery: str, body: bytes, event: str) -> AsyncIterator[bool]:
        """Inside: True where this delivery, and this body, was not taken before. It is, unless what is done inside raises. One
        that another process has in hand is waited for. Raises Problem (503)."""
        digest = hashlib.sha256(body).digest()
        async with self._database.transaction() as connection:
            fresh = await connection.fetchval(TAKE, provider, repo, delivery, digest, event)
            yield bool(fresh)
            now = asyncio.get_running_loop().time()
            if self._tidied_at is None or now - self._tidied_at > TIDY_SECONDS:
                await connection.execute(TIDY, KEPT_DAYS)
                self._tidied_at = now


def _busy(status: int, kind: str, detail: str, after_seconds: int) -> Problem:
    return Problem(status, kind, detail, headers={"Retry-After": str(after_seconds)})
