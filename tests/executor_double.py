"""An executor that does no work: it speaks the real wire format, so that the orchestrator can be tried without git or agents.

Rule of this room: what it says about a step comes from its `plan`; how it says it (lease, claim, ack, report) is what the
real one does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from patience import WAIT_SECONDS_MAX

from penstock import codec, ids
from penstock import subjects as s
from penstock.catalog import HostState, LeaseValue
from penstock.codec import encode
from penstock.commands import Accepted, ClaimJob, NotReady, Reply
from penstock.events import (
    AgentSucceeded,
    CompactSucceeded,
    JobStopped,
    PlanProposed,
    PrepareSucceeded,
    PublishSucceeded,
    PullRequestObserved,
    VerifySucceeded,
)
from penstock.jobs import AgentWork, CompactWork, Job, ObserveWork, PlanWork, PrepareWork, PublishWork, VerifyWork
from penstock.lease import Held, Lease
from penstock.reports import Report, ReportBody
from penstock.streams import host_consumer
from penstock.values import Change, CommandResult, Delivery, Plan, Usage

BASE, HEAD = "b" * 40, "c" * 40

GIVE_BACK_SECONDS = 0.2
LEASE_SECONDS = 60
"""Leases are not renewed here: no job of a test takes so long, however slow the machine is."""

Script = Callable[[Job, int], ReportBody | None]
"""What to report for a job under an epoch; None: say nothing, keep the lease, as if it were still at work."""


def all_well(job: Job, epoch: int) -> ReportBody:
    """Every step succeeds."""
    match job.work:
        case PrepareWork():
            return PrepareSucceeded(job=job.id, epoch=epoch, host="h1", base_commit=BASE, branch=job.work.branch)
        case AgentWork():
            change = Change(commit=HEAD, commits=1, files=("a.py",), files_changed=1, lines_added=1, lines_removed=1)
            usage = Usage(turns=2, input_tokens=10, output_tokens=5, cost_usd=0.25, wall_seconds=1.0)
            return AgentSucceeded(job=job.id, epoch=epoch, change=change, usage=usage, session_id=job.work.session_id)
        case PlanWork():
            plan = Plan(summary="mend the sum", files_to_touch=("a.py",), risk="low")
            return PlanProposed(job=job.id, epoch=epoch, plan=plan, session_id=job.work.session_id)
        case CompactWork():
            return CompactSucceeded(job=job.id, epoch=epoch, summary="it was tried", session_id=job.work.session_id)
        case VerifyWork():
            done = CommandResult(stage="test", command="make test", exit_code=0, wall_seconds=0.5, tail="ok")
            return VerifySucceeded(job=job.id, epoch=epoch, commit=job.work.commit, commands=(done,))
        case PublishWork():
            delivery = Delivery(kind="branch", commit=job.work.commit, branch=job.work.branch)
            return PublishSucceeded(job=job.id, epoch=epoch, delivery=delivery)
        case ObserveWork():
            return PullRequestObserved(job=job.id, epoch=epoch, pull_request=job.work.number or 1, state="merged")


@dataclass
class ExecutorDouble:
    """Takes jobs of its vendors' pools and of its own host until it is stopped. `jobs`: what it has been given."""

    nc: Client
    plan: Script = all_well
    host: str = "h1"
    lease_seconds: int = LEASE_SECONDS
    vendors: tuple[str, ...] = ("scripted",)
    jobs: list[Job] = field(default_factory=list)
    held: dict[str, Lease] = field(default_factory=dict)
    instance: str = field(default_factory=ids.fresh)
    stopping: bool = False

    async def run(self) -> None:
        js = self.nc.jetstream(timeout=WAIT_SECONDS_MAX)
        await js.add_consumer(s.JOBS, host_consumer(self.host))
        now = datetime.now(UTC)
        state = HostState(
            host=self.host,
            instance=self.instance,
            installation="i",
            started_at=now,
            slots=9,
            busy=0,
            vendors=self.vendors,
        )
        with contextlib.suppress(nats.errors.Error, Held):
            # It is held where only the answer was lost.
            await Lease.acquire(self.nc, s.host_lease(self.host), state)
        async with asyncio.TaskGroup() as group:
            for durable in (s.host_durable(self.host), *map(s.pool_durable, self.vendors)):
                group.create_task(self._serve(durable))

    async def _serve(self, durable: str) -> None:
        subscription = await self.nc.jetstream(timeout=2.0).pull_subscribe_bind(durable, s.JOBS)
        # A cancellation that comes together with a message is lost in the client's `fetch` (wait_for on 3.11): hence the flag.
        while not self.stopping:
            try:
                for message in await subscription.fetch(1, timeout=2):
                    await self._job(message)
            except (nats.errors.Error, OSError):
                continue

    async def _job(self, message: Msg) -> None:
        job = codec.jobs.decode(message.data)
        value = LeaseValue(holder=self.host, instance=self.instance)
        try:
            lease = await Lease.acquire(self.nc, s.job_lease(job.id), value, seconds=self.lease_seconds)
        except Held:
            await message.nak(delay=1)
            return
        reply = await self._claim(job, lease)
        if not isinstance(reply, Accepted):
            await lease.release()
            if isinstance(reply, NotReady):
                await message.nak(delay=GIVE_BACK_SECONDS)
            else:
                await message.ack()
            return
        with contextlib.suppress(nats.errors.Error):
            # Without the ack it comes again, and is refused then; the work that was claimed is done all the same.
            await message.ack_sync(timeout=5)
        self.jobs.append(job)
        body = self.plan(job, lease.epoch)
        if body is None:
            self.held[job.id] = lease
            return
        await self.report(job, body)
        await lease.release()

    async def _claim(self, job: Job, lease: Lease) -> Reply | None:
        command = ClaimJob(
            id=ids.fresh(), task=job.task, job=job.id, host=self.host, epoch=lease.epoch, instance=self.instance
        )
        while not self.stopping:
            try:
                answer = await self.nc.request(s.command("job", "claim"), encode(command), timeout=5)
            except nats.errors.Error:
                await asyncio.sleep(0.05)
                continue
            return codec.replies.decode(answer.data)
        return None

    async def report(self, job: Job, body: ReportBody) -> None:
        report = Report(
            id=ids.fresh(),
            task=job.task,
            repo=job.repo,
            job=job.id,
            epoch=body.epoch,
            host=self.host,
            at=datetime.now(UTC),
            body=body,
        )
        while not self.stopping:
            try:
                await self.nc.jetstream(timeout=2.0).publish(
                    s.report(job.task, job.id, "end"), encode(report), headers={s.MSG_ID: report.id}, stream=s.REPORTS
                )
                return
            except (nats.errors.Error, OSError):
                await asyncio.sleep(0.05)

    async def stopped(self, job: Job) -> None:
        """Say that a silent job was ended on order."""
        lease = self.held.pop(job.id)
        await self.report(job, JobStopped(job=job.id, epoch=lease.epoch, reason="told to"))
        await lease.release()
