"""dispatch: from asking for a task to its agent's job being claimed, as a subscriber sees it; the orchestrator and the
executor's double are processes of their own.

The reference is one round trip to the broker's API. The goal is for three durable writes in a row, as between asking for
the agent and its claim: the event's order, the lease, the claim. How many there are on the whole way is counted, not
assumed: the double says nothing about the agent's job, so that the streams stand still there.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from nats.aio.msg import Msg
from orchestrator_fixtures import add_repo, ask, orchestrator, submission

from bench.figures import Goal, Table, Took, clock, percentile
from bench.ground import GRADES, Broker, Grade, broker, postgres, round_trip
from bench.plan import Plan
from penstock import subjects as s
from penstock.codec import decode_event
from penstock.commands import Accepted
from penstock.events import AgentRequested, JobClaimed, TaskSubmitted
from penstock_orchestrator.migrate import migrate

SEEN_SECONDS_MAX: Final = 30.0
AS_DEPLOYED: Final = {"leader_lease_seconds": "6", "reconcile_seconds": "3"}
"""Tests have their orchestrator look around six times as often, which costs more with every task that is left claimed."""
WRITTEN_ON_THE_WAY: Final = (s.EVENTS, s.JOBS, s.REPORTS, s.kv_stream(s.LEASES))
WRITTEN: Final = b"x" * 700
SETTLE_SECONDS: Final = 0.05
"""Between two tasks, so that the last one's acks and leases do not count for the next."""


async def run(plan: Plan) -> list[Table]:
    return [await _graded(plan, grade) for grade in GRADES]


async def _graded(plan: Plan, grade: Grade) -> Table:
    tasks = plan.size(short=10, long=30)
    with postgres() as database:
        await migrate(database.dsn())
        async with broker(grade) as ground, _orchestrator(ground, database.dsn()):
            with _executor(ground):
                table = Table(f"dispatch: submit to the agent's job claimed, {grade} ({ground.version})")
                await _rounds(plan, table, ground, tasks, Goal("<=", 8.0) if grade == "sync default" else None)
    return table


async def _rounds(plan: Plan, table: Table, ground: Broker, tasks: int, goal: Goal | None) -> None:
    await add_repo(ground.nc)
    claimed = table.row("agent_requested -> its job claimed (3 writes) / $JS.API.INFO, p50", "ms", goal)
    stored = table.row("submit -> task_submitted seen (1 write) / $JS.API.INFO, p50", "ms")
    whole = table.row("submit -> agent's job claimed (all) / $JS.API.INFO, p50", "ms")
    slow = table.row("submit -> agent's job claimed (all) / $JS.API.INFO, p90", "ms")
    in_writes = table.row("submit -> agent's job claimed (all) / one publish of this grade, p50", "ms")
    writes: list[int] = []
    for counted in plan.counted_rounds():
        lives: list[_Sighting] = []
        trips: list[float] = []
        publishes: list[float] = []
        for _ in range(tasks):
            with clock() as trip:
                await round_trip(ground.plain)
            trips.append(trip.wall_seconds * 1e3)
            with clock() as publish:
                await ground.plain.jetstream().publish(s.dead_letter("bench", "any"), WRITTEN)
            publishes.append(publish.wall_seconds * 1e3)
            before = await _written(ground)
            lives.append(await _one(ground))
            await asyncio.sleep(SETTLE_SECONDS)
            writes.append(await _written(ground) - before)
        if counted:
            middle = Took(percentile(trips, 0.5))
            seen = Took(percentile([life.claimed_ms for life in lives], 0.5))
            whole.add(seen, middle)
            in_writes.add(seen, Took(percentile(publishes, 0.5)))
            slow.add(Took(percentile([life.claimed_ms for life in lives], 0.9)), Took(percentile(trips, 0.9)))
            stored.add(Took(percentile([life.submitted_ms for life in lives], 0.5)), middle)
            claimed.add(Took(percentile([life.claimed_ms - life.asked_ms for life in lives], 0.5)), middle)
    # The middle one: a renewed leader's lease is a write too, and falls into a life now and then.
    count = statistics.median_low(writes)
    table.notes.append(
        f"{count} messages are stored on the whole way, nearly all one after the other: 6 events, 2 orders, 1 report, and "
        f"the leases of 2 jobs; {whole.ratio / count:.1f} round trips or {in_writes.ratio / count:.1f} publishes for each"
    )


class _Sighting:
    """When a subscriber saw what, in milliseconds after the command was sent."""

    def __init__(self) -> None:
        self.submitted_ms = self.asked_ms = self.claimed_ms = 0.0
        self.done = asyncio.Event()
        self._begun = time.perf_counter()
        self._agent_job = ""

    async def receive(self, message: Msg) -> None:
        now_ms = (time.perf_counter() - self._begun) * 1e3
        recorded = decode_event(message.data, 0)
        match recorded.data:
            case TaskSubmitted():
                self.submitted_ms = now_ms
            case AgentRequested():
                self._agent_job, self.asked_ms = recorded.id, now_ms
            case JobClaimed(job=job) if job == self._agent_job:
                self.claimed_ms = now_ms
                self.done.set()
            case _:
                return


async def _one(ground: Broker) -> _Sighting:
    """One task, submitted and followed until its agent's job is claimed."""
    command = submission()
    sighting = _Sighting()
    assert isinstance(command.repo, str)
    subscription = await ground.plain.subscribe(s.events_of_task(command.repo, command.task), cb=sighting.receive)
    await ground.plain.flush()
    try:
        asked = asyncio.create_task(ask(ground.nc, command))
        await asyncio.wait_for(sighting.done.wait(), SEEN_SECONDS_MAX)
        assert isinstance(await asked, Accepted)
    finally:
        await subscription.unsubscribe()
    return sighting


async def _written(ground: Broker) -> int:
    """The last sequences of all streams on the way, added up."""
    js = ground.nc.jetstream()
    return sum([(await js.stream_info(stream)).state.last_seq for stream in WRITTEN_ON_THE_WAY])


@asynccontextmanager
async def _orchestrator(ground: Broker, dsn: str) -> AsyncIterator[None]:
    process = orchestrator(ground.server, dsn, ground.folder / "orchestrator", **AS_DEPLOYED)
    process.start()
    try:
        await process.ready()
        yield
    finally:
        process.kill()


@contextmanager
def _executor(ground: Broker) -> Iterator[None]:
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "BENCH_NATS_URL": ground.server.url,
        "BENCH_NATS_PASSWORD": ground.server.password,
    }
    process = subprocess.Popen([sys.executable, "-m", "bench.executing"], env=environ)
    try:
        yield
    finally:
        process.kill()
        process.wait()
