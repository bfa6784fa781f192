"""hydrate: all events of one task out of a large log by `load_task`, against one round trip to the broker's API.

Twice: in a log of a few tasks at once, where a task's events lie close together, and of many. The broker walks over what
lies between them, so a task that took its turns with four hundred others costs more to find.
"""

from __future__ import annotations

import random
from typing import Final

from bench.figures import Clock, Goal, Table, Took, clock, percentile
from bench.ground import Broker, broker, load, round_trip
from bench.lives import LONG, REPO, Life, taking_turns
from bench.plan import Plan
from penstock.log import load_task

LIVING_AT_ONCE: Final = (20, 400)
PICKS: Final = 60
SEED: Final = 4_711


async def run(plan: Plan) -> list[Table]:
    tasks = plan.size(short=1_000, long=4_000)
    life = Life(LONG)
    names = [life.of(number)[0].task for number in range(tasks)]
    table = Table("")
    for living in LIVING_AT_ONCE:
        async with broker("sync default") as ground:
            stored = await load(ground.nc, taking_turns((life.of(number) for number in range(tasks)), living))
            table.title = (
                f"hydrate: one task of {len(life)} events out of {stored:,} of {tasks:,} tasks ({ground.version})"
            )
            await _rounds(plan, table, ground, names, len(life), f"{living} tasks at once")
    return [table]


async def _rounds(plan: Plan, table: Table, ground: Broker, names: list[str], length: int, layout: str) -> None:
    chance = random.Random(SEED)
    middle = table.row(f"load_task / $JS.API.INFO, p50, {layout}", "ms", Goal("<=", 10.0))
    slow = table.row(f"load_task / $JS.API.INFO, p90, {layout}", "ms")
    for counted in plan.counted_rounds():
        trips: list[Clock] = []
        loads: list[Clock] = []
        for task in chance.sample(names, PICKS):
            with clock() as trip:
                await round_trip(ground.plain)
            with clock() as loaded:
                events = await load_task(ground.nc, REPO, task)
            assert len(events) == length
            trips.append(trip)
            loads.append(loaded)
        if counted:
            middle.add(_at(loads, 0.5), _at(trips, 0.5))
            slow.add(_at(loads, 0.9), _at(trips, 0.9))


def _at(taken: list[Clock], share: float) -> Took:
    """That percentile, in milliseconds; the CPU is the mean of all."""
    cpu_us = sum(one.cpu_seconds for one in taken) / len(taken) * 1e6
    return Took(percentile([one.wall_seconds for one in taken], share) * 1e3, cpu_us)
