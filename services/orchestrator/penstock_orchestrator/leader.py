"""Leading and following: one orchestrator decides, the others fold along and are ready to take over.

Rule of this room: leadership is comfort, not safety. Two leaders at once would only meet conflicts, since every append
names the sequence it follows; at worst, one that has slept gives out a slot too many before it hears of the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError
from prometheus_client import Gauge

from penstock import subjects as s
from penstock.catalog import LeaseValue
from penstock.ending import end
from penstock.events import MemoryRecalled
from penstock.lease import Held, Lease, Lost
from penstock.service import Runtime
from penstock.values import Follow, Policy
from penstock_orchestrator.answers import Answers
from penstock_orchestrator.append import Appender
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.intake import commands, reports
from penstock_orchestrator.intake_tasks import tasks_in
from penstock_orchestrator.loop import DRIVES_AT_ONCE, Loop
from penstock_orchestrator.schedules import Schedules
from penstock_orchestrator.settings import Settings
from penstock_orchestrator.tables import Catalogue, Leases
from penstock_orchestrator.turns import Turns
from penstock_orchestrator.watch import Watch

log = structlog.get_logger()

ELECTION_PAUSE_SECONDS: Final = 0.5
ORDERLY_SECONDS_MAX: Final = 5.0
LEADING: Final = Gauge("penstock_leading", "1 while this orchestrator leads")


class Deposed(Exception):
    """Somebody else leads now, or nobody could be told that we do."""


class Stopped(Exception):
    """The process was asked to end."""


class Candidate:
    """Takes the lead whenever it is free, and does the leader's duties until it is lost."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        fold: Fold,
        leases: Leases,
        catalogue: Catalogue,
        *,
        clock: Callable[[], datetime],
        recall: Callable[[Task], Awaitable[MemoryRecalled]],
        instance: str,
    ) -> None:
        self._runtime, self._settings = runtime, settings
        self._fold, self._leases, self._catalogue = fold, leases, catalogue
        self._clock, self._recall, self._instance = clock, recall, instance
        self._value = LeaseValue(holder="orchestrator", instance=instance)
        self.duties: list[Callable[[], Coroutine[Any, Any, None]]] = []
        """What else the leader does, such as projecting."""

    async def run(self) -> None:
        """Until the process is to stop."""
        await asyncio.gather(self._fold.caught_up.wait(), self._leases.caught_up.wait(), self._catalogue.filled())
        while not self._runtime.stop.is_set():
            lease = await self._elected()
            if lease is None:
                continue
            log.info("leader.elected", epoch=lease.epoch)
            try:
                await self._lead(lease)
            except* Deposed as group:
                log.warning("leader.deposed", reason=str(group.exceptions[0]))
            except* Stopped:
                await lease.release()
            finally:
                LEADING.set(0)
                self._runtime.ready("leader")

    async def _elected(self) -> Lease | None:
        try:
            return await Lease.acquire(
                self._runtime.nc, s.LEADER_LEASE, self._value, seconds=self._settings.leader_lease_seconds
            )
        except Held:
            self._runtime.ready("leader")
        except (nats.errors.Error, APIError, OSError) as error:
            self._runtime.waiting_for["leader"] = f"the lease cannot be asked for: {str(error) or type(error).__name__}"
        await self._runtime.stopped_within(ELECTION_PAUSE_SECONDS)
        return None

    async def _lead(self, lease: Lease) -> None:
        nc = self._runtime.nc
        settings = self._settings
        clock = self._clock
        appender = Appender(nc, self._fold, clock=clock, source=f"/penstock/orchestrator/{self._instance}")
        loop = Loop(nc, self._fold, appender, clock=clock, recall=self._recall)
        turns = Turns(self._fold, loop, appender, clock=clock)
        answers = Answers(
            nc,
            self._fold,
            loop,
            appender,
            vendors=settings.vendors,
            publish_pools=settings.publishing,
            policy=policy_of(settings),
            clock=clock,
        )
        schedules = Schedules(self._catalogue, self._fold.fleet, answers.command, clock=clock)
        watch = Watch(
            nc,
            self._fold,
            loop,
            self._leases,
            clock=clock,
            every_seconds=settings.reconcile_seconds,
            stop_patience_seconds=settings.stop_patience_seconds,
        )
        await self._catch_up(nc)
        loop.begin()

        def catalogue_changed() -> None:
            loop.catalogue_changed()
            schedules.changed.set()

        self._catalogue.on_change = catalogue_changed
        parts = [
            asyncio.create_task(part)
            for part in (
                self._keep(lease),
                self._stopped(),
                *(loop.drive() for _ in range(DRIVES_AT_ONCE)),
                loop.timers(),
                turns.run(),
                schedules.run(),
                watch.run(),
                reports(nc, loop),
                tasks_in(nc, answers),
                self._answer(nc, answers),
                *(duty() for duty in self.duties),
            )
        ]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(parts)
            self._catalogue.on_change = None
            loop.end()
        for part in ended:
            part.result()

    async def _answer(self, nc: Client, answers: Answers) -> None:
        async with asyncio.TaskGroup() as group, commands(nc, answers, group):
            LEADING.set(1)
            self._runtime.ready("leader")
            await asyncio.Event().wait()

    async def _catch_up(self, nc: Client) -> None:
        """Fold what the leader before us has written, so that the first decisions do not only meet conflicts."""
        try:
            info = await nc.jetstream(timeout=3.0).stream_info(s.EVENTS)
            if info.state.last_seq:
                async with asyncio.timeout(30.0):
                    await self._fold.reached(info.state.last_seq)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            log.warning("leader.not_caught_up", reason=str(error) or type(error).__name__)

    async def _keep(self, lease: Lease) -> None:
        try:
            await lease.keep(self._value)
        except Lost as error:
            raise Deposed(f"the lease was lost: {error}") from error

    async def _stopped(self) -> None:
        await self._runtime.stop.wait()
        raise Stopped


async def _end(parts: list[asyncio.Task[None]]) -> None:
    """Nothing of a leadership may outlive it, though one cancellation may be lost: first in order, then for sure."""
    for part in parts:
        part.cancel()
    await asyncio.wait(parts, timeout=ORDERLY_SECONDS_MAX)
    await end(*parts)
    for part in parts:
        if (
            not part.cancelled()
            and (error := part.exception()) is not None
            and not isinstance(error, Deposed | Stopped)
        ):
            log.error("leader.part_broke", reason=f"{type(error).__name__}: {error}")


def policy_of(settings: Settings) -> Policy:
    """The limits that new tasks get."""
    return Policy(
        park_seconds_min=settings.park_seconds_min,
        park_seconds_max=settings.park_seconds_max,
        parks_max=settings.parks_max,
        lost_max=settings.lost_max,
        pauses_max=settings.pauses_max,
        host_patience_seconds=settings.host_patience_seconds,
        failures_alike_max=settings.failures_alike_max,
        reset_seconds_max=settings.reset_seconds_max,
        compact_after_attempts=settings.compact_after_attempts,
        compaction=settings.compaction,
        abstain_below=settings.abstain_below,
        budget_warning=settings.budget_warning,
        plan_turns_max=settings.plan_turns_max,
        plan_seconds_max=settings.plan_seconds_max,
        plans_max=settings.plans_max,
        rebases_max=settings.rebases_max,
        public_url=settings.public_url,
        follow=Follow(
            look_seconds_min=settings.look_seconds_min,
            look_seconds=settings.look_seconds,
            look_seconds_max=settings.look_seconds_max,
            settle_seconds=settings.settle_seconds,
            fix_runs_max=settings.fix_runs_max,
        ),
        recall_max=settings.recall_max,
    )
