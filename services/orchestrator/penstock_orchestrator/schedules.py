"""Submits the tasks of the schedules, at the leader alone.

Rule of this room: what has fired is read off the log, not remembered here; that two leaders, or one that starts anew, make
one task of one fire is in the task's id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, assert_never

import structlog
from prometheus_client import Counter

from penstock.catalog import Schedule
from penstock.commands import Accepted, Explained, NotReady, RefusedReply, Reply, Stirred, SubmitTask, Why
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.schedule import due, next_fire
from penstock_orchestrator.loop import BREAKS, LOOK_SECONDS_MAX
from penstock_orchestrator.tables import Catalogue

log = structlog.get_logger()

RETRY_PAUSE_SECONDS: Final = 1.0
BROKEN_PAUSE_SECONDS: Final = 60.0
"""A schedule that nobody can reckon with is tried again after so long."""

AHEAD_SECONDS_MAX: Final = 60.0
"""A fire further in the future than this was made by a clock that was wrong, and says nothing about those due now."""

FIRES: Final = Counter("penstock_schedule_fires", "fires of schedules that were submitted", ["outcome"])


class Next(NamedTuple):
    """When a schedule is to be looked at again; None: never, as it stands."""

    schedule: Schedule
    at: datetime | None


class Schedules:
    """Runs beside the loop while it leads."""

    def __init__(
        self,
        catalogue: Catalogue,
        fleet: Fleet,
        submit: Callable[[SubmitTask], Awaitable[Reply]],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue, self._fleet = catalogue, fleet
        self._submit, self._clock = submit, clock
        self._next: dict[str, Next] = {}
        self._answered: dict[str, datetime] = {}
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Fire what is due, and wait for the next fire, for ever."""
        while True:
            self.changed.clear()
            now = self._clock()
            pause = LOOK_SECONDS_MAX
            schedules = dict(self._catalogue.schedules)
            for name, schedule in sorted(schedules.items()):
                try:
                    if not await self._look(name, schedule, now):
                        pause = RETRY_PAUSE_SECONDS
                except BREAKS as error:
                    # One schedule that nobody can reckon with must not stop the others, nor the leader.
                    log.exception("schedule.broken", schedule=name, reason=type(error).__name__)
                    self._next[name] = Next(schedule, now + timedelta(seconds=BROKEN_PAUSE_SECONDS))
            self._next = {name: one for name, one in self._next.items() if name in schedules}
            times = [one.at for one in self._next.values() if one.at is not None]
            if times:
                pause = min(pause, max((min(times) - self._clock()).total_seconds(), 0.001))
            try:
                async with asyncio.timeout(pause):
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def _look(self, name: str, schedule: Schedule, now: datetime) -> bool:
        """True when everything that is due has been answered."""
        known = self._next.get(name)
        if known is not None and known.schedule is schedule and (known.at is None or now < known.at):
            return True
        latest = now + timedelta(seconds=AHEAD_SECONDS_MAX)
        lasts = [
            at for at in (self._fleet.fired.get(name), self._answered.get(name)) if at is not None and at <= latest
        ]
        for submission in due(schedule, max(lasts, default=None), now):
            if not await self._fire(name, submission):
                self._next.pop(name, None)
                return False
        self._next[name] = Next(schedule, next_fire(schedule, now) if schedule.enabled else None)
        return True

    async def _fire(self, name: str, submission: SubmitTask) -> bool:
        origin = submission.origin
        assert origin is not None
        assert origin.scheduled_for is not None
        reply = await self._submit(submission)
        match reply:
            case Accepted():
                FIRES.labels("accepted").inc()
                log.info("schedule.fired", schedule=name, task=submission.task, missed=origin.missed)
            case RefusedReply():
                # Another try of the same fire would be refused again; the next one may find it mended.
                FIRES.labels("refused").inc()
                log.error("schedule.refused", schedule=name, code=reply.code, field=reply.field, reason=reply.message)
            case NotReady():
                return False
            case Why() | Explained() | Stirred():
                raise AssertionError("a submission is not answered so")
            case _:
                assert_never(reply)
        self._answered[name] = origin.scheduled_for
        return True
