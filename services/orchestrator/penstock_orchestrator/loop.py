"""The loop of the leader: fold, ask what is due, append it, and hand out the work that the log now asks for.

Rule of this room: the log is the outbox. Nothing is enqueued that was not read back from the log, and everything that was
is enqueued again until a host has claimed it; so a kill between any two lines here loses nothing and doubles nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError
from prometheus_client import Counter, Gauge

from penstock import ids
from penstock import subjects as s
from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock.codec import TooLarge, Undecodable, Unreadable, encode, encode_event, type_of
from penstock.commands import Accepted, CancelTask, ClaimJob, NotReady, RefusedReply, Reply, SubmitTask, UnblockTask
from penstock.events import KnownEvent
from penstock.jobs import Job, StopOrder
from penstock.log import LogConflict, LogWriter, OutcomeUnknown
from penstock.reports import Report
from penstock.values import Policy
from penstock_orchestrator.core.advance import advance, lost
from penstock_orchestrator.core.decide import Refused, accept, decide, submit
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.tables import find_repo

log = structlog.get_logger()

JOB_STORED_ALREADY: Final = 10077
DRIVES_AT_ONCE: Final = 64
RETRY_PAUSE_SECONDS: Final = 0.25
CONFLICTS_MAX: Final = 20
FOLD_SECONDS_MAX: Final = 15.0

EVENTS_APPENDED: Final = Counter("penstock_events_appended", "events appended to the log", ["type"])
CONFLICTS: Final = Counter("penstock_append_conflicts", "appends that met another writer's event")
REPORTS_REFUSED: Final = Counter("penstock_reports_refused", "reports whose job or epoch is not the running one")

TASKS_STUCK: Final = Gauge("penstock_tasks_stuck", "tasks that could not be decided since this leader was elected")

AnyCommand = SubmitTask | CancelTask | UnblockTask | ClaimJob


class Loop:
    """Decides for every task, one step of one task at a time, many tasks at once. Lives as long as a leadership."""

    def __init__(
        self,
        nc: Client,
        fold: Fold,
        *,
        vendors: tuple[str, ...],
        policy: Policy,
        clock: Callable[[], datetime],
        source: str,
    ) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=3.0)
        self._fold = fold
        self._writer = LogWriter(nc)
        self._vendors, self._policy = vendors, policy
        self._clock, self._source = clock, source
        self._locks: dict[str, asyncio.Lock] = {}
        self._due: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._enqueued: set[str] = set()
        self._timers: list[tuple[datetime, str]] = []
        self._timer_set = asyncio.Event()
        self.stuck: dict[str, str] = {}

    # What comes in -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Look at every living task once, and from now on at each that changes."""
        self._fold.on_change = lambda task, _: self._changed(task)
        for task in list(self._fold.tasks.values()):
            if task.outcome is None:
                self._changed(task)

    def end(self) -> None:
        self._fold.on_change = None

    def kick(self, task_id: str) -> None:
        """This task may have something due."""
        if task_id not in self._queued:
            self._queued.add(task_id)
            self._due.put_nowait(task_id)

    def offer_again(self) -> None:
        """Forget what was enqueued, so that every order no host has claimed is offered once more (a stored one is refused
        by the stream, so this cannot double)."""
        self._enqueued.clear()
        stuck, self.stuck = self.stuck, {}
        TASKS_STUCK.set(0)
        for task_id in stuck:
            self.kick(task_id)
        for task in self._fold.tasks.values():
            if task.job is not None and task.job.epoch is None:
                self.kick(task.id)

    async def drive(self) -> None:
        """One of the workers that look at due tasks; runs for ever."""
        while True:
            task_id = await self._due.get()
            self._queued.discard(task_id)
            try:
                async with self._lock(task_id):
                    await self._drive(task_id)
            except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
                # The broker is away. Nothing is lost: the task is asked again.
                log.warning("task.retry", task=task_id, reason=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
                self.kick(task_id)
            except (ValueError, AssertionError, LookupError, TypeError, RecursionError, APIError) as error:
                # One task that cannot be decided must not stop the others. It is looked at again with every reconciliation.
                self.stuck[task_id] = f"{type(error).__name__}: {error}"
                TASKS_STUCK.set(len(self.stuck))
                log.exception("task.cannot_be_decided", task=task_id, reason=type(error).__name__)

    async def timers(self) -> None:
        """Kick parked tasks when their time has come."""
        while True:
            self._timer_set.clear()
            now = self._clock()
            while self._timers and self._timers[0][0] <= now:
                self.kick(heapq.heappop(self._timers)[1])
            pause = 3600.0 if not self._timers else (self._timers[0][0] - now).total_seconds()
            try:
                # Never long: a clock that jumps is noticed.
                async with asyncio.timeout(min(max(pause, 0.001), 5.0)):
                    await self._timer_set.wait()
            except TimeoutError:
                continue

    async def command(self, command: AnyCommand) -> Reply:
        """Answer a command; the same command is answered alike and done once."""
        try:
            async with self._lock(command.task):
                reply = await self._command(command)
        except Refused as refused:
            return RefusedReply(code=refused.code, message=refused.message, field=refused.field)
        except Undecodable as error:
            return RefusedReply(code="invalid", message=clip(str(error), MESSAGE_LENGTH_MAX), field="repo")
        except (TooLarge, Unreadable) as error:
            # Each field within its bounds, and all of them together more than one event may be.
            return RefusedReply(code="invalid", message=clip(str(error), MESSAGE_LENGTH_MAX))
        except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
            return NotReady(message=f"the event log cannot be written: {str(error) or type(error).__name__}")
        self.kick(command.task)
        return reply

    async def report(self, report: Report) -> None:
        """Turn an accepted report into its event; a stale one is counted and forgotten."""
        async with self._lock(report.task):
            for _ in range(CONFLICTS_MAX):
                task = self._fold.tasks.get(report.task)
                events = accept(task, report)
                if not events or task is None:
                    REPORTS_REFUSED.inc()
                    log.info("report.refused", task=report.task, job=report.job, epoch=report.epoch, host=report.host)
                    return
                if await self._append(task.repo, task.id, events[0], task.seq, cause=report.id):
                    return
        raise OutcomeUnknown(f"report {report.id} met {CONFLICTS_MAX} conflicts")

    async def job_lost(self, job_id: str, reason: str, *, host_gone: bool = False) -> None:
        """The holder of this job is gone (the caller has made sure)."""
        task_id = self._fold.task_of_job.get(job_id, "")
        async with self._lock(task_id):
            task = self._fold.tasks.get(task_id)
            if task is None or task.job is None or task.job.id != job_id:
                return
            for event in lost(task, task.job.host or "", reason, host_gone=host_gone):
                log.info("job.lost", task=task_id, job=job_id, reason=reason)
                await self._append(task.repo, task.id, event, task.seq, cause=job_id)

    # What goes out -----------------------------------------------------------------------------------------------------

    def _changed(self, task: Task) -> None:
        if task.parked is not None:
            heapq.heappush(self._timers, (task.parked.wake_at, task.id))
            self._timer_set.set()
        self.kick(task.id)

    async def _drive(self, task_id: str) -> None:
        while True:
            task = self._fold.tasks[task_id]
            job = react(task)
            if job is not None and job.id not in self._enqueued:
                await self._enqueue(job)
                self._enqueued.add(job.id)
            if task.cancel is not None and task.job is not None and task.job.epoch is not None:
                await self.order_stop(task.job.id, "the task was cancelled")
            events = advance(task, self._clock())
            if not events:
                return
            log.info("task.advance", task=task_id, after=task.seq, next=type_of(events[0]))
            await self._append(task.repo, task.id, events[0], task.seq, cause=task.id)

    async def order_stop(self, job_id: str, reason: str) -> None:
        """Tell whoever runs this job to end it. A hint: it may be lost, and is repeated by whoever watches."""
        await self._nc.publish(s.stop_order(job_id), encode(StopOrder(job=job_id, reason=reason)))

    async def _enqueue(self, job: Job) -> None:
        subject = (
            s.job_for_pool(job.pool, job.task, job.id)
            if job.host is None
            else s.job_for_host(job.host, job.task, job.id)
        )
        try:
            await self._js.publish(subject, encode(job), stream=s.JOBS)
        except APIError as error:
            if error.err_code != JOB_STORED_ALREADY:
                raise

    async def _command(self, command: AnyCommand) -> Reply:
        entry = await find_repo(self._nc, command.repo) if isinstance(command, SubmitTask) else None
        for _ in range(CONFLICTS_MAX):
            task = self._fold.tasks.get(command.task)
            if isinstance(command, SubmitTask):
                events = submit(task, command, entry, self._policy, self._vendors)
                repo = command.repo
            else:
                events = decide(task, command)
                repo = "" if task is None else task.repo
            if not events:
                return Accepted(task=command.task, seq=0 if task is None else task.seq)
            after = 0 if task is None else task.seq
            if seq := await self._append(repo, command.task, events[0], after, cause=command.id):
                return Accepted(task=command.task, seq=seq)
        return NotReady(message=f"task {command.task} is changing too fast; ask again")

    async def _append(self, repo: str, task_id: str, event: KnownEvent, after: int, *, cause: str) -> int:
        """The sequence of the stored event, already folded; 0 when another event took its place (folded too)."""
        event_id = ids.fresh()
        type_ = type_of(event)
        body = encode_event(
            event, id=event_id, repo=repo, task=task_id, at=self._clock(), causation_id=cause, source=self._source
        )
        try:
            appended = await self._writer.append(
                repo=repo, task=task_id, type_=type_, id=event_id, body=body, after=after
            )
        except LogConflict:
            CONFLICTS.inc()
            await self._folded_beyond(task_id, after)
            return 0
        EVENTS_APPENDED.labels(type_).inc()
        async with asyncio.timeout(FOLD_SECONDS_MAX):
            await self._fold.reached(appended.seq)
        return appended.seq

    async def _folded_beyond(self, task_id: str, seq: int) -> None:
        """After a conflict the fold must see the other event before anything is decided again."""
        deadline = asyncio.get_running_loop().time() + FOLD_SECONDS_MAX
        while (task := self._fold.tasks.get(task_id)) is None or task.seq <= seq:
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"the log holds an event of task {task_id} after {seq} that was not delivered")
            await asyncio.sleep(0.01)

    def _lock(self, task_id: str) -> asyncio.Lock:
        lock = self._locks.get(task_id)
        if lock is None:
            lock = self._locks[task_id] = asyncio.Lock()
        return lock
