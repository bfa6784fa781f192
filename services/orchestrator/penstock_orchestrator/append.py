"""One event into the log, with the task's lock held, and read back before anything else is decided.

Rule of this room: whoever appends has looked at the task under its lock, and names the sequence that it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final
from weakref import WeakValueDictionary

from nats.aio.client import Client
from prometheus_client import Counter

from penstock import ids
from penstock.codec import encode_event, type_of
from penstock.events import KnownEvent
from penstock.log import LogConflict, LogWriter
from penstock_orchestrator.fold import Fold

FOLD_SECONDS_MAX: Final = 15.0
CONFLICTS_MAX: Final = 20
"""How often a decision about one task is made anew because somebody else's event came first."""

EVENTS_APPENDED: Final = Counter("penstock_events_appended", "events appended to the log", ["type"])
CONFLICTS: Final = Counter("penstock_append_conflicts", "appends that met another writer's event")


class Appender:
    """Writes as `source`. Lives as long as a leadership."""

    def __init__(self, nc: Client, fold: Fold, *, clock: Callable[[], datetime], source: str) -> None:
        self._fold, self._clock, self._source = fold, clock, source
        self._writer = LogWriter(nc)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, name: str) -> asyncio.Lock:
        """The one lock of a task (by its id): kept for as long as somebody has it in hand."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    async def append(
        self, repo: str, task_id: str, event: KnownEvent, after: int, *, cause: str, at: datetime | None = None
    ) -> int:
        """The sequence of the stored event, already folded; 0 when another event took its place (folded too). `at`: the
        moment for which the event was decided, so that whoever asks again at the recorded time gets the same; None: now.

        Raises what the broker raises, and Unreadable or TooLarge for an event that no reader could take."""
        event_id = ids.fresh()
        type_ = type_of(event)
        at = self._clock() if at is None else at
        body = encode_event(event, id=event_id, repo=repo, task=task_id, at=at, causation_id=cause, source=self._source)
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
