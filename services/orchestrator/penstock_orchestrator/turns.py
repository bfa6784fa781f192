"""Gives the queue's answers to the tasks: slots to those whose turn it is, news to those that wait for others.

Rule of this room: an answer was found by looking at everybody, and is appended only if its task, looked at again under its
lock, still wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import nats.errors
import structlog
from nats.js.errors import APIError
from prometheus_client import Gauge

from penstock.codec import type_of
from penstock.events import DependencyResolved, TaskAdmitted
from penstock.log import OutcomeUnknown
from penstock_orchestrator.append import Appender
from penstock_orchestrator.core.advance import wants_slot
from penstock_orchestrator.core.queue import admissions, next_look, resolutions, resolvable
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.loop import BREAKS, LOOK_SECONDS_MAX, RETRY_PAUSE_SECONDS, Loop

log = structlog.get_logger()

SETTLE_SECONDS: Final = 0.02
"""After one look at the fleet, so long for more to change before the next."""

APPENDS_AT_ONCE: Final = 32

TASKS_QUEUED: Final = Gauge("penstock_tasks_queued", "tasks that wait for a slot")
SLOTS_TAKEN: Final = Gauge("penstock_slots_taken", "tasks that hold a slot")

Answer = TaskAdmitted | DependencyResolved


class Turns:
    """Runs beside the loop while it leads."""

    def __init__(self, fold: Fold, loop: Loop, appender: Appender, *, clock: Callable[[], datetime]) -> None:
        self._fold, self._fleet = fold, fold.fleet
        self._loop, self._appender = loop, appender
        self._clock = clock

    async def run(self) -> None:
        """Look whenever something has changed, and when the clock alone lets somebody begin."""
        while True:
            self._loop.stirred.clear()
            try:
                await self._look()
                await asyncio.sleep(SETTLE_SECONDS)
            except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
                # The broker is away. Nobody was passed over: the same look comes again.
                log.warning("turns.retry", reason=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
                continue
            except BREAKS as error:
                # Who holds a slot goes on all the same; somebody must look at this.
                log.exception("turns.cannot_look", reason=type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS_MAX)
                continue
            now = self._clock()
            at = next_look(self._fleet, now)
            pause = LOOK_SECONDS_MAX if at is None else (at - now).total_seconds()
            try:
                async with asyncio.timeout(min(max(pause, 0.001), LOOK_SECONDS_MAX)):
                    await self._loop.stirred.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        await self._append_all(resolvable(self._fleet))
        given = admissions(self._fleet, self._clock())
        passed, self._fleet.passed_over = self._fleet.passed_over, set()
        for task_id in passed:
            self._loop.kick(task_id)
        await self._append_all(given)
        TASKS_QUEUED.set(self._fleet.waiting_count)
        SLOTS_TAKEN.set(self._fleet.slots_taken)

    async def _append_all(self, answers: list[tuple[str, TaskAdmitted]] | list[tuple[str, DependencyResolved]]) -> None:
        for begin in range(0, len(answers), APPENDS_AT_ONCE):
            some = answers[begin : begin + APPENDS_AT_ONCE]
            outcomes = await asyncio.gather(
                *(self._append(task_id, event) for task_id, event in some), return_exceptions=True
            )
            for (task_id, event), outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, APIError | ValueError | ArithmeticError):
                    # It concerns this task alone, and its own next look says so.
                    log.error("turns.cannot_be_told", task=task_id, next=type_of(event), reason=str(outcome))
                elif outcome is not None:
                    raise outcome

    async def _append(self, task_id: str, event: Answer) -> None:
        async with self._appender.lock(task_id):
            task = self._fold.tasks.get(task_id)
            if task is None or not self._still(task, event):
                return
            log.info("task.turn", task=task_id, after=task.seq, next=type_of(event))
            await self._appender.append(task.repo, task_id, event, task.seq, cause=task_id)

    def _still(self, task: Task, event: Answer) -> bool:
        if isinstance(event, TaskAdmitted):
            return event.number == task.admissions + 1 and wants_slot(task, self._clock())
        return task.outcome is None and event in resolutions(self._fleet, task)
