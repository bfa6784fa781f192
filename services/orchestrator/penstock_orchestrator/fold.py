"""The log in memory: every task as it stands, kept up to date by one reader.

Rule of this room: the only way a task changes here is an event read back from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog
from msgspec.structs import replace
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from penstock import subjects as s
from penstock.codec import Undecodable, decode_event
from penstock.events import Recorded
from penstock.reader import Reader, Stored
from penstock_orchestrator.core.evolve import evolve, hold
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.task import Task

log = structlog.get_logger()

EVENTS_FOLDED: Final = Counter("penstock_events_folded", "events of the log folded into task state")
EVENTS_UNREADABLE: Final = Counter(
    "penstock_events_unreadable", "events that could not be decoded; each holds its task"
)
TASKS_LIVING: Final = Gauge("penstock_tasks_living", "tasks that have not ended")

OnChange = Callable[[Task, Recorded | None], None]


class Fold:
    """`tasks` by id; `task_of_job`: of the jobs that are asked for or running; `fleet`: what all tasks are together;
    `position` is the last sequence folded; `caught_up` is set once the stored log has been read."""

    def __init__(self, nc: Client, fleet: Fleet) -> None:
        self.fleet = fleet
        self.tasks: dict[str, Task] = {}
        self.task_of_job: dict[str, str] = {}
        self._reader = Reader(nc, s.EVENTS, name="orchestrator-fold")
        self._waiters: dict[int, list[asyncio.Future[None]]] = {}
        self.on_change: OnChange | None = None
        self.position = 0

    @property
    def caught_up(self) -> asyncio.Event:
        return self._reader.caught_up

    async def run(self) -> None:
        """Follow the log for ever."""
        async with aclosing(self._reader.batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    self._take(stored)
                self._wake()
                # One batch may be long: others of this loop get their turn.
                await asyncio.sleep(0)

    async def reached(self, seq: int) -> None:
        """Wait until the event at `seq` has been folded."""
        if self.position >= seq:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(seq, []).append(future)
        await future

    def _take(self, stored: Stored) -> None:
        self.position = stored.seq
        EVENTS_FOLDED.inc()
        recorded: Recorded | None = None
        try:
            recorded = decode_event(stored.body, stored.seq)
        except Undecodable as error:
            task = self._held(stored, str(error))
        if recorded is not None:
            task = evolve(self.tasks.get(recorded.task), recorded)
        if task is None:
            return
        before = self.tasks.get(task.id)
        self.fleet.changed(before, task, recorded)
        self._keep(before, task)
        if self.on_change is not None:
            self.on_change(task, recorded)

    def _keep(self, before: Task | None, task: Task) -> None:
        self.tasks[task.id] = task if task.outcome is None else _at_rest(task)
        now = {job.id for job in (task.job, task.look) if job is not None}
        for old in () if before is None else (before.job, before.look):
            if old is not None and old.id not in now:
                self.task_of_job.pop(old.id, None)
        for job_id in now:
            self.task_of_job[job_id] = task.id
        _count(before, task)

    def _held(self, stored: Stored, why: str) -> Task | None:
        EVENTS_UNREADABLE.inc()
        log.error("event.unreadable", seq=stored.seq, subject=stored.subject, reason=why)
        task = self.tasks.get(s.parse_event(stored.subject).task)
        return None if task is None else hold(task, stored.seq, f"event at {stored.seq} cannot be read: {why}")

    def _wake(self) -> None:
        for seq in [seq for seq in self._waiters if seq <= self.position]:
            for future in self._waiters.pop(seq):
                if not future.done():
                    future.set_result(None)


def _at_rest(task: Task) -> Task:
    """What an ended task is still asked for: how it ended, what was asked, what was handed over, which commands it has seen."""
    if not (task.notes or task.mail or task.agent or task.plan or task.review):
        return task
    return replace(
        task,
        notes=(),
        mail=(),
        heard=(),
        points=(),
        summary="",
        compacted="",
        agent=None,
        plan=None,
        gate=None,
        evidence=None,
        change=None,
        last_failure=None,
        review=None,
    )


def _count(before: Task | None, after: Task | None) -> None:
    lived = before is not None and before.outcome is None
    lives = after is not None and after.outcome is None
    if lives != lived:
        TASKS_LIVING.inc(1 if lives else -1)
