"""rebuild: the whole read model from nothing, by the orchestrator's own projector, against fold in memory.

Each rebuild is a process of its own with an empty database, so that its memory is its own. The reference is what no
rebuild can do without: decoding and folding the same bytes, which here are already in memory.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import islice
from typing import Final

import asyncpg
import msgspec

from bench.figures import Goal, Row, Table, Took, clock
from bench.fold import fold_into
from bench.ground import Broker, broker, load, postgres
from bench.lives import LIVING_AT_ONCE, log_of
from bench.plan import Plan
from bench.rebuilding import Rebuilt
from penstock_launcher.servers import PostgresServer
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.migrate import migrate

CHUNK_EVENTS: Final = 20_000
REBUILD_SECONDS_MAX: Final = 1_800.0


async def run(plan: Plan) -> list[Table]:
    events = plan.events or plan.size(short=50_000, long=1_000_000)
    async with broker("sync default") as ground:
        with clock() as loading:
            await load(ground.nc, log_of(events))
        with postgres() as database:
            version = database.sql("show server_version").split()[0]
            table = Table(
                f"rebuild: the read model of {events:,} events, {LIVING_AT_ONCE} tasks taking turns "
                f"({ground.version}, PostgreSQL {version} with fsync)"
            )
            await _rounds(plan, table, ground, database, events)
    table.notes.append(f"the log was loaded at {events / loading.wall_seconds:,.0f} events/s, sync default")
    return [table]


async def _rounds(plan: Plan, table: Table, ground: Broker, database: PostgresServer, events: int) -> None:
    wall = table.row("rebuild / decode + fold, wall time", "s", Goal("<=", 8.0))
    cpu = Row("rebuild / decode + fold, CPU time of the process", "s")
    table.rows.append(cpu)
    found: list[Rebuilt] = []
    for number in range(plan.rounds):
        # No round to warm up: a rebuild is always cold, and at full length a round takes a minute.
        name = f"rebuild_{number}"
        database.sql(f"create database {name}")
        rebuilt = await _rebuild(ground, database.dsn(name), events)
        tasks = await _counted(database.dsn(name), events)
        database.sql(f"drop database {name} with (force)")
        folded = _fold(events, tasks)
        wall.add(Took(rebuilt.wall_seconds, rebuilt.cpu_us(events)), folded)
        cpu.add(Took(rebuilt.cpu_seconds), Took((folded.cpu_us or 0.0) * events / 1e6))
        found.append(rebuilt)
    middle = sorted(found, key=lambda one: one.wall_seconds)[len(found) // 2]
    table.notes += [
        f"{events / middle.wall_seconds:,.0f} events/s into {tasks:,} tasks, their steps and the timeline of every event's bytes",
        f"RSS of the rebuilding process at most {max(one.rss_bytes_max for one in found) / 1e6:.0f} MB "
        f"({middle.rss_bytes_start / 1e6:.0f} MB before the first event)",
        f"each event waited for: {middle.wait_us(events):.1f} us in the transaction, "
        f"{middle.cpu_us(events):.1f} us of the process's CPU",
    ]


async def _rebuild(ground: Broker, dsn: str, events: int) -> Rebuilt:
    await migrate(dsn)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "BENCH_NATS_URL": ground.server.url,
        "BENCH_NATS_PASSWORD": ground.server.password,
        "BENCH_DSN": dsn,
        "BENCH_EVENTS": str(events),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.rebuilding", env=environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), REBUILD_SECONDS_MAX)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"the rebuilding process has ended with {process.returncode}"
    return msgspec.json.decode(out, type=Rebuilt)


async def _counted(dsn: str, events: int) -> int:
    """How many tasks the read model has; every event must be there."""
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("select count(*) from penstock.event") == events
        return int(await connection.fetchval("select count(*) from penstock.task"))
    finally:
        await connection.close()


def _fold(events: int, tasks_wanted: int) -> Took:
    """The same bytes, chunk by chunk: only decoding and folding are on the clock, not the making of the bytes."""
    tasks: dict[str, Task] = {}
    lines = log_of(events)
    wall_seconds = cpu_seconds = 0.0
    while chunk := list(islice(lines, CHUNK_EVENTS)):
        with clock() as taken:
            fold_into(tasks, chunk)
        wall_seconds += taken.wall_seconds
        cpu_seconds += taken.cpu_seconds
    assert len(tasks) == tasks_wanted
    return Took(wall_seconds, cpu_seconds / events * 1e6)
