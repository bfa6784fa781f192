"""The time during which a job is ours: its lease held and renewed, its stop order listened for.

Rule of this room: nothing of a job outlives its lease. When that is lost, the work is cancelled and awaited before anybody
hears of it; and who is about to change the world outside asks `must_hold` first, in the same breath.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock import subjects as s
from penstock.bounds import LINE_LENGTH_MAX
from penstock.catalog import LeaseValue
from penstock.codec import Codec, Undecodable
from penstock.ending import end
from penstock.jobs import StopOrder
from penstock.lease import Lease, Lost
from penstock_agent_exec.agents.facts import shown

log = structlog.get_logger()
T = TypeVar("T")

stop_orders: Final[Codec[StopOrder]] = Codec(msgspec.json.Decoder(StopOrder))


class Stopped(Exception):
    """The job was told to end."""


class Stop:
    """Whether the job should end, and why: by order, or because the service ends. The first reason stays."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reason = ""

    def ask(self, reason: str) -> None:
        if not self.asked.is_set():
            self.reason = shown(reason, LINE_LENGTH_MAX) or "no reason given"
            self.asked.set()

    async def unless_asked(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result. Raises Stopped; then the work was cancelled, and is over."""
        waiting = asyncio.ensure_future(self.asked.wait())
        try:
            return await _first(work, waiting)
        except _Outrun:
            raise Stopped(self.reason) from None
        finally:
            waiting.cancel()


class Tenure:
    """A job's lease while it is held. Made by `hold`."""

    def __init__(self, job: str, lease: Lease, value: LeaseValue) -> None:
        self.job = job
        self.epoch = lease.epoch
        self.stop = Stop()
        self._lease = lease
        self._keeping = asyncio.create_task(lease.keep(value))

    async def while_held(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result. Raises Lost; then the work was cancelled, and is over."""
        try:
            return await _first(work, self._keeping)
        except _Outrun:
            error = self._keeping.exception()
            if not isinstance(error, Lost):
                log.error("lease.keeping_failed", job=self.job, exc_info=error)
            raise Lost(self.job) from error

    def must_hold(self) -> None:
        """Raises Lost if the lease is not surely ours at this moment: a paused process may not have noticed yet."""
        if self._keeping.done() or self._lease.seconds_left <= 0:
            raise Lost(self.job)

    async def end(self) -> None:
        """Give the lease up; one that was lost stays where it is."""
        lost = self._keeping.done()
        await end(self._keeping)
        if not lost:
            await self._lease.release()


@contextlib.asynccontextmanager
async def hold(nc: Client, job: str, value: LeaseValue, *, seconds: int) -> AsyncIterator[Tenure]:
    """The job's lease, renewed while inside, with its stop orders heard. Raises Held, and the client's errors."""
    lease = await Lease.acquire(nc, s.job_lease(job), value, seconds=seconds)
    tenure = Tenure(job, lease, value)

    async def told(message: Msg) -> None:
        try:
            order = stop_orders.decode(message.data)
        except Undecodable as error:
            log.warning("stop_order.undecodable", job=job, reason=str(error))
            return
        if order.job == job:
            log.info("job.told_to_stop", job=job, reason=order.reason)
            tenure.stop.ask(order.reason)

    try:
        hearing = await nc.subscribe(s.stop_order(job), cb=told)
        try:
            yield tenure
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):
                # A broker that is away has forgotten the subscription by itself.
                await hearing.unsubscribe()
    finally:
        await tenure.end()


class _Outrun(Exception):
    """The waker came first."""


async def _first(work: Coroutine[Any, Any, T], waker: asyncio.Future[Any]) -> T:
    """The work's result if it ends before `waker` does; else it is cancelled, awaited, and _Outrun raised."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, waker}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise _Outrun
    finally:
        if not task.done():
            # Once: what is being cancelled has something to put in order.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
