"""Watches what should be moving: leases that end, hosts that stay away, orders that nobody took or nobody heard.

Rule of this room: a job is called lost only after its lease was read from the bucket itself and every report that had been
sent before was taken in. A reconciler that finds everything in order does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError

from penstock import subjects as s
from penstock.catalog import LeaseValue
from penstock.lease import read, revoke
from penstock.log import OutcomeUnknown
from penstock_orchestrator.core.task import CurrentJob, Look, Task
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.loop import Loop
from penstock_orchestrator.tables import Leases, holder_of

log = structlog.get_logger()

REPORTS_SETTLED_TRIES = 100
REPORTS_SETTLED_PAUSE_SECONDS = 0.05


class Held(NamedTuple):
    """A job, or a look, that a host has."""

    task: Task
    job: CurrentJob | Look


class Watch:
    """Runs beside the loop while it leads."""

    def __init__(
        self,
        nc: Client,
        fold: Fold,
        loop: Loop,
        leases: Leases,
        *,
        clock: Callable[[], datetime],
        every_seconds: float,
        stop_patience_seconds: float,
    ) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=3.0)
        self._fold, self._loop, self._leases = fold, loop, leases
        self._clock = clock
        self._every_seconds = every_seconds
        self._stop_patience_seconds = stop_patience_seconds
        self._gone: asyncio.Queue[str] = asyncio.Queue()
        self._stopping: dict[str, float] = {}

    async def run(self) -> None:
        """Follow ended leases at once, and look at everything again every few seconds."""
        self._leases.on_gone = self._gone.put_nowait
        try:
            while True:
                try:
                    await self._reconcile()
                    await self._follow(asyncio.get_running_loop().time() + self._every_seconds)
                except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
                    # Nothing was decided; the same look comes again.
                    log.warning("watch.retry", reason=str(error) or type(error).__name__)
                    await asyncio.sleep(0.5)
        finally:
            self._leases.on_gone = None

    async def _follow(self, until: float) -> None:
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(left):
                    job_id = await self._gone.get()
            except TimeoutError:
                return
            held = self._running(job_id)
            if held is not None:
                await self._check_holder(held)

    def _running(self, job_id: str) -> Held | None:
        """The job or the look of this id, as long as a host has it."""
        task = self._fold.tasks.get(self._fold.task_of_job.get(job_id, ""))
        if task is None:
            return None
        for job in (task.job, task.look):
            if job is not None and job.id == job_id and job.epoch is not None:
                return Held(task=task, job=job)
        return None

    async def _reconcile(self) -> None:
        self._loop.offer_again()
        self._stopping = {job: since for job, since in self._stopping.items() if self._running(job) is not None}
        for task in list(self._fold.fleet.living.values()):
            if task.look is not None and task.look.epoch is not None:
                await self._check_holder(Held(task=task, job=task.look))
            if task.job is None:
                continue
            if task.job.epoch is not None:
                await self._check_holder(Held(task=task, job=task.job))
            elif task.job.host is not None:
                await self._check_host(task, task.job.host)

    async def _check_holder(self, held: Held) -> None:
        """Is the job's lease still with the process that claimed it?"""
        task, job = held.task, held.job
        state = await read(self._nc, s.job_lease(job.id))
        holder = holder_of(state)
        if holder is not None and holder.instance == job.instance:
            if task.stop_wanted and job is task.job:
                await self._insist_on_stop(task, state.revision if state is not None else 0)
            return
        await self._reports_settled()
        if self._running(job.id) is not None:
            reason = "the lease has ended" if holder is None else f"the lease is with {holder.holder}/{holder.instance}"
            await self._loop.job_lost(job.id, reason)

    async def _insist_on_stop(self, task: Task, revision: int) -> None:
        """A job that is to end gets its order again; after a while its lease is taken away, which stops it for good."""
        assert task.job is not None
        job, reason = task.job.id, task.stop_wanted
        await self._loop.order_stop(job, reason)
        now = asyncio.get_running_loop().time()
        waited = now - self._stopping.setdefault(job, now)
        if waited > self._stop_patience_seconds:
            value = LeaseValue(holder="orchestrator", instance="", revoked=reason)
            if await revoke(self._nc, s.job_lease(job), revision, value):
                log.warning("lease.revoked", task=task.id, job=job, waited_seconds=round(waited))

    async def _check_host(self, task: Task, host: str) -> None:
        assert task.job is not None
        away = (self._clock() - task.job.requested_at).total_seconds()
        if not self._leases.host_alive(host) and away > task.spec.policy.host_patience_seconds:
            reason = f"host {host} has been away for {away:.0f} s"
            await self._loop.job_lost(task.job.id, reason, host_gone=True)

    async def _reports_settled(self) -> None:
        """Wait until every report that is stored by now has been taken in: the dead may have reported before they died. What
        comes meanwhile is from the living, and there may be no end of it."""
        last_seq = None
        for _ in range(REPORTS_SETTLED_TRIES):
            try:
                if last_seq is None:
                    last_seq = (await self._js.stream_info(s.REPORTS)).state.last_seq
                info = await self._js.consumer_info(s.REPORTS, s.REPORTS_DURABLE)
            except APIError as error:
                raise TimeoutError(f"the reports' consumer cannot be read: {error}") from error
            if not info.num_pending and not info.num_ack_pending:
                return
            if info.ack_floor is not None and info.ack_floor.stream_seq >= last_seq:
                return
            await asyncio.sleep(REPORTS_SETTLED_PAUSE_SECONDS)
        raise TimeoutError("reports are still being taken in")
