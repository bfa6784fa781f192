"""append: one event to one task by `LogWriter`, against nats-py's own `publish` of the same bytes to the same stream.

What `LogWriter` adds: the id by which a repetition is recognised, the expectation that nobody else has appended to this
task, and the answer's meaning. The reference has none of these and may lose, double or overwrite.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig

from bench.figures import Goal, Table, Took, clock, percentile
from bench.ground import GRADES, Broker, Grade, broker
from bench.lives import REPO, T0
from bench.plan import Plan
from penstock import ids
from penstock import subjects as s
from penstock.codec import encode_event, type_of
from penstock.events import AgentRequested
from penstock.log import LogWriter

IN_FLIGHT: Final = 64
EVENTS_OF_A_TASK: Final = 20
TYPE: Final = "agent_requested"
PLAIN_SUBJECT: Final = "plain.events"

Latencies = list[float]
Append = Callable[[], Awaitable[object]]


async def run(plan: Plan) -> list[Table]:
    return [await _graded(plan, grade) for grade in GRADES]


async def _graded(plan: Plan, grade: Grade) -> Table:
    body = _body()
    async with broker(grade) as ground:
        await ground.nc.jetstream().add_stream(
            StreamConfig(name="PLAIN", subjects=[PLAIN_SUBJECT], storage=StorageType.FILE)
        )
        table = Table(f"append: one event of {len(body)} B, {grade} ({ground.version})")
        await _sequential(plan, grade, ground, table, body)
        await _in_flight(plan, grade, ground, table, body)
    return table


def _body() -> bytes:
    event = AgentRequested(
        attempt=1, host="h1", session_id="3b1f0c9e-6d0a-4c55-8a71-0e3c7d2b9f10", hint="mind the receipt"
    )
    assert type_of(event) == TYPE
    return encode_event(
        event,
        id=ids.fresh(),
        repo=REPO,
        task=ids.fresh(),
        at=T0,
        causation_id=ids.fresh(),
        source="penstock-orchestrator/0.1.0",
    )


async def _sequential(plan: Plan, grade: Grade, ground: Broker, table: Table, body: bytes) -> None:
    count = plan.size(short=500, long=2_000) // (4 if grade == "sync always" else 1)
    js = ground.plain.jetstream()
    middle = table.row("append / publish, one after the other, p50", "us", Goal("<=", 1.2))
    slowest = table.row("append / publish, one after the other, p99", "us")
    stream = table.row("publish to our stream / to a plain file stream, p50", "us")
    for counted in plan.counted_rounds():
        ours, ours_cpu = await _one_by_one(_appends(ground.nc, count, body))
        raw, raw_cpu = await _one_by_one(_each(lambda: js.publish(_fresh_subject(), body), count))
        plain, plain_cpu = await _one_by_one(_each(lambda: js.publish(PLAIN_SUBJECT, body), count))
        if not counted:
            continue
        raw_middle = Took(percentile(raw, 0.5), raw_cpu)
        middle.add(Took(percentile(ours, 0.5), ours_cpu), raw_middle)
        slowest.add(Took(percentile(ours, 0.99)), Took(percentile(raw, 0.99)))
        stream.add(raw_middle, Took(percentile(plain, 0.5), plain_cpu))


async def _in_flight(plan: Plan, grade: Grade, ground: Broker, table: Table, body: bytes) -> None:
    count = plan.size(short=2_000, long=6_400) // (4 if grade == "sync always" else 1)
    js = ground.plain.jetstream()
    goal = table.row(f"append / publish, {IN_FLIGHT} coroutines", "/s", Goal(">=", 0.85))
    beside = table.row(f"append / publish_async, {IN_FLIGHT} pending", "/s")
    for counted in plan.counted_rounds():
        ours = await _rate([_appends(ground.nc, count // IN_FLIGHT, body) for _ in range(IN_FLIGHT)])
        raw = await _rate(
            [_each(lambda: js.publish(_fresh_subject(), body), count // IN_FLIGHT) for _ in range(IN_FLIGHT)]
        )
        pipelined = await _pipelined(ground.plain, count, body)
        if counted:
            goal.add(ours, raw)
            beside.add(ours, pipelined)


def _appends(nc: Client, count: int, body: bytes) -> Iterator[Append]:
    """Appends as the orchestrator makes them: each task's events one after the other, each expecting the last."""
    writer, task, last = LogWriter(nc), "", 0

    async def append() -> None:
        nonlocal last
        appended = await writer.append(repo=REPO, task=task, type_=TYPE, id=ids.fresh(), body=body, after=last)
        last = appended.seq

    for number in range(count):
        if number % EVENTS_OF_A_TASK == 0:
            task, last = ids.fresh(), 0
        yield append


def _each(operation: Append, count: int) -> Iterator[Append]:
    for _ in range(count):
        yield operation


def _fresh_subject() -> str:
    return s.event_ingest(REPO, ids.fresh(), TYPE)


async def _one_by_one(operations: Iterator[Append]) -> tuple[Latencies, float]:
    """Microseconds of each, and this process's CPU microseconds per operation."""
    latencies: Latencies = []
    with clock() as taken:
        for operation in operations:
            begun = time.perf_counter()
            await operation()
            latencies.append((time.perf_counter() - begun) * 1e6)
    return latencies, taken.each(len(latencies))


async def _rate(lanes: list[Iterator[Append]]) -> Took:
    """Operations per second of all lanes at once, each lane one after the other."""
    done = 0

    async def go(lane: Iterator[Append]) -> None:
        nonlocal done
        for operation in lane:
            await operation()
            done += 1

    with clock() as taken:
        await asyncio.gather(*(go(lane) for lane in lanes))
    return Took(done / taken.wall_seconds, taken.each(done))


async def _pipelined(nc: Client, count: int, body: bytes) -> Took:
    js = nc.jetstream(publish_async_max_pending=IN_FLIGHT)
    with clock() as taken:
        acks = [await js.publish_async(_fresh_subject(), body) for _ in range(count)]
        await asyncio.gather(*acks)
    return Took(count / taken.wall_seconds, taken.each(count))
