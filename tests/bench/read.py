"""read: the log from its first event to its last by `penstock.reader.Reader`, against nats-py's `fetch(500)`."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from bench.figures import Goal, Table, Took, clock
from bench.ground import broker, load
from bench.lives import Line
from bench.plan import Plan
from penstock import ids
from penstock import subjects as s
from penstock.reader import Reader

SIZES_BYTES: Final = (300, 1_000)
FETCH_MESSAGES: Final = 500
TASKS: Final = 400


async def run(plan: Plan) -> list[Table]:
    count = plan.size(short=15_000, long=60_000)
    tables = []
    for size_bytes in SIZES_BYTES:
        async with broker("sync default") as ground:
            await load(ground.nc, _lines(count, size_bytes))
            table = Table(f"read: {count:,} events of {size_bytes} B without acks ({ground.version})")
            row = table.row(f"Reader / fetch({FETCH_MESSAGES})", "/s", Goal(">=", 3.0))
            for counted in plan.counted_rounds():
                ours, reference = await _follow(ground.nc, count), await _fetch(ground.plain, count)
                if counted:
                    row.add(ours, reference)
            tables.append(table)
    return tables


def _lines(count: int, size_bytes: int) -> list[Line]:
    tasks = [ids.fresh() for _ in range(TASKS)]
    return [Line(tasks[number % TASKS], "job_claimed", b"x" * size_bytes) for number in range(count)]


async def _follow(nc: Client, count: int) -> Took:
    seen = 0
    with clock() as taken:
        async with aclosing(Reader(nc, s.EVENTS, name="bench").batches()) as batches:
            async for batch in batches:
                seen += len(batch)
                if seen >= count:
                    break
    assert seen == count
    return Took(count / taken.wall_seconds, taken.each(count))


async def _fetch(nc: Client, count: int) -> Took:
    seen = 0
    with clock() as taken:
        subscription = await nc.jetstream().pull_subscribe(
            "", stream=s.EVENTS, config=ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
        )
        while seen < count:
            seen += len(await subscription.fetch(FETCH_MESSAGES, timeout=10))
        await subscription.unsubscribe()
    assert seen == count
    return Took(count / taken.wall_seconds, taken.each(count))
