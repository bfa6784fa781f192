"""The loop of the leader: fold, ask what is due, append it, and hand out the work that the log now asks for.

Rule of this room: the log is the outbox. Nothing is enqueued that was not read back from the log, and everything that was
is enqueued again until a host has claimed it; so a kill between any two lines here loses nothing and doubles nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError
from prometheus_client import Counter, Gauge

from penstock import subjects as s
from penstock.codec import TooLarge, encode, type_of
from penstock.events import KnownEvent, MemoryRecalled
from penstock.jobs import Job, StopOrder
from penstock.log import OutcomeUnknown
from penstock.reports import Report
from penstock_orchestrator.append import CONFLICTS_MAX, Appender
from penstock_orchestrator.core.advance import due, gate_event, look_lost, lost, next_look
from penstock_orchestrator.core.decide import accept
from penstock_orchestrator.core.follow import look_order
from penstock_orchestrator.core.queue import veto
from penstock_orchestrator.core.react import react, to_say
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.fold import Fold

log = structlog.get_logger()

JOB_STORED_ALREADY: Final = 10077
DRIVES_AT_ONCE: Final = 64
RETRY_PAUSE_SECONDS: Final = 0.25
LOOK_SECONDS_MAX: Final = 5.0
"""No wait for a moment is longer, so that a clock that jumps is noticed."""

BREAKS: Final = (
    ValueError,
    AssertionError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
    APIError,
)
"""What one task, schedule or message that nobody can decide may break with: it is fenced there, and the others go on."""

JOB_HEADERS_BYTES_MAX: Final = 4_096
"""The broker counts the headers of a message too."""

REPORTS_REFUSED: Final = Counter("penstock_reports_refused", "reports whose job or epoch is not the running one")

TASKS_STUCK: Final = Gauge("penstock_tasks_stuck", "tasks that could not be decided since this leader was elected")


class Loop:
    """Decides for every task, one step of one task at a time, many tasks at once. Lives as long as a leadership.

    `stirred` is set whenever something has changed that may make it somebody's turn for a slot. `stuck`: tasks that cannot
    be decided, and why."""

    def __init__(
        self,
        nc: Client,
        fold: Fold,
        appender: Appender,
        *,
        clock: Callable[[], datetime],
        recall: Callable[[Task], Awaitable[MemoryRecalled]],
    ) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=3.0)
        self._fold, self._fleet = fold, fold.fleet
        self._appender = appender
        self._clock, self._recall = clock, recall
        self._due: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._enqueued: set[str] = set()
        self._halted: set[str] = set()
        self._timers: list[tuple[datetime, str]] = []
        self._timer_set = asyncio.Event()
        self.stirred = asyncio.Event()
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
        self._fleet.go_on()

    def kick(self, task_id: str) -> None:
        """This task may have something due."""
        if task_id not in self._queued:
            self._queued.add(task_id)
            self._due.put_nowait(task_id)

    def catalogue_changed(self) -> None:
        """Somebody has paused or resumed something, or changed a limit."""
        halted, self._halted = self._halted, set()
        self._fleet.go_on()
        for task_id in halted:
            self.kick(task_id)
        self.stirred.set()

    def offer_again(self) -> None:
        """Forget what was enqueued, so that every order no host has claimed is offered once more (a stored one is refused
        by the stream, so this cannot double)."""
        self._enqueued.clear()
        stuck, self.stuck = self.stuck, {}
        TASKS_STUCK.set(0)
        for task_id in stuck:
            self.kick(task_id)
        for task in self._fleet.living.values():
            waits = (task.job is not None and task.job.epoch is None) or look_order(task) is not None
            if waits:
                self.kick(task.id)

    async def drive(self) -> None:
        """One of the workers that look at due tasks; runs for ever."""
        while True:
            task_id = await self._due.get()
            self._queued.discard(task_id)
            try:
                async with self._appender.lock(task_id):
                    await self._drive(task_id)
                self._unstuck(task_id)
            except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
                # The broker is away. Nothing is lost: the task is asked again.
                log.warning("task.retry", task=task_id, reason=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
                self.kick(task_id)
            except BREAKS as error:
                # One task that cannot be decided must not stop the others. It is looked at again with every reconciliation.
                self.stuck[task_id] = f"{type(error).__name__}: {error}"
                TASKS_STUCK.set(len(self.stuck))
                log.exception("task.cannot_be_decided", task=task_id, reason=type(error).__name__)

    def _unstuck(self, task_id: str) -> None:
        if self.stuck.pop(task_id, None) is not None:
            TASKS_STUCK.set(len(self.stuck))

    async def timers(self) -> None:
        """Kick tasks when the clock alone may make something due."""
        while True:
            self._timer_set.clear()
            now = self._clock()
            while self._timers and self._timers[0][0] <= now:
                self.kick(heapq.heappop(self._timers)[1])
            pause = LOOK_SECONDS_MAX if not self._timers else (self._timers[0][0] - now).total_seconds()
            try:
                async with asyncio.timeout(min(max(pause, 0.001), LOOK_SECONDS_MAX)):
                    await self._timer_set.wait()
            except TimeoutError:
                continue

    async def report(self, report: Report) -> None:
        """Turn an accepted report into its event; a stale one is counted and forgotten."""
        async with self._appender.lock(report.task):
            for _ in range(CONFLICTS_MAX):
                task = self._fold.tasks.get(report.task)
                events = accept(task, report)
                if not events or task is None:
                    REPORTS_REFUSED.inc()
                    log.info("report.refused", task=report.task, job=report.job, epoch=report.epoch, host=report.host)
                    return
                if await self._appender.append(task.repo, task.id, events[0], task.seq, cause=report.id):
                    return
        raise OutcomeUnknown(f"report {report.id} met {CONFLICTS_MAX} conflicts")

    async def job_lost(self, job_id: str, reason: str, *, host_gone: bool = False) -> None:
        """The holder of this job is gone (the caller has made sure)."""
        task_id = self._fold.task_of_job.get(job_id, "")
        async with self._appender.lock(task_id):
            task = self._fold.tasks.get(task_id)
            if task is None:
                return
            events: list[KnownEvent] = []
            if task.look is not None and task.look.id == job_id:
                events = look_lost(task, reason)
            elif task.job is not None and task.job.id == job_id:
                events = lost(task, task.job.host or "", reason, host_gone=host_gone)
            for event in events:
                log.info("job.lost", task=task_id, job=job_id, reason=reason)
                await self._appender.append(task.repo, task.id, event, task.seq, cause=job_id)

    # What goes out -----------------------------------------------------------------------------------------------------

    def _changed(self, task: Task) -> None:
        at = next_look(task)
        if at is not None:
            heapq.heappush(self._timers, (at, task.id))
            self._timer_set.set()
        self.stirred.set()
        self.kick(task.id)

    async def _drive(self, task_id: str) -> None:
        while True:
            task = self._fold.tasks[task_id]
            # Nobody is asked to begin what is cancelled: its end is due.
            jobs = (react(task), look_order(task)) if task.cancel is None else ()
            for job in jobs:
                if job is not None and job.id not in self._enqueued:
                    await self._enqueue(job)
                    self._enqueued.add(job.id)
            if task.stop_wanted and task.job is not None:
                await self.order_stop(task.job.id, task.stop_wanted)
            for order in to_say(task):
                await self._nc.publish(s.say_order(order.job), encode(order))
            now = self._clock()
            event = await self._next(task, now)
            if event is None:
                return
            await self._appender.append(task.repo, task.id, event, task.seq, cause=task.id, at=now)

    async def _next(self, task: Task, now: datetime) -> KnownEvent | None:
        """What is due, as far as the rest of the fleet lets it."""
        found = due(task, now)
        event: KnownEvent | None = found.event
        if event is None:
            if found.rule == "slot":
                self.stirred.set()
            event = await self._asked_for(task, found.rule)
            if event is None:
                return None
        said = veto(self._fleet, task, event, now)
        if said == "wait":
            self._halted.add(task.id)
            self._fleet.halt(task.id)
            # Its slot is somebody else's meanwhile.
            self.stirred.set()
            return None
        log.info("task.advance", task=task.id, after=task.seq, rule=found.rule, next=type_of(said or event))
        return said or event

    async def _asked_for(self, task: Task, rule: str) -> KnownEvent | None:
        """The event for which a rule waits, where it is made of what others know."""
        match rule:
            case "gate_due":
                return gate_event(task, self._fleet.history(task.repo))
            case "recall_due":
                return await self._recall(task)
            case _:
                return None

    async def order_stop(self, job_id: str, reason: str) -> None:
        """Tell whoever runs this job to end it. A hint: it may be lost, and is repeated by whoever watches."""
        await self._nc.publish(s.stop_order(job_id), encode(StopOrder(job=job_id, reason=reason)))

    async def _enqueue(self, job: Job) -> None:
        """Raises TooLarge for a job that the broker would never take: asking again would not make it smaller."""
        body, most = encode(job), self._nc.max_payload - JOB_HEADERS_BYTES_MAX
        if len(body) > most:
            raise TooLarge(f"the order of {job.id} is {len(body)} bytes, and the broker takes {most} at most")
        subject = (
            s.job_for_pool(job.pool, job.task, job.id)
            if job.host is None
            else s.job_for_host(job.host, job.task, job.id)
        )
        try:
            await self._js.publish(subject, body, stream=s.JOBS)
        except APIError as error:
            if error.err_code != JOB_STORED_ALREADY:
                raise
