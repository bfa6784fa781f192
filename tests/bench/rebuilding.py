"""One rebuild as a process of its own: the real projector on an empty read model, until the log's end; says what it took.

`BENCH_PROFILE` names a file for cProfile's figures; the times are of no use then.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import uvloop
from msgspec import Struct
from prometheus_client import REGISTRY

from penstock.service import Runtime, broker, configure_logs
from penstock.settings import Common, Secret
from penstock_launcher.nats_conf import ORCHESTRATOR
from penstock_orchestrator import projector
from penstock_orchestrator.projector import Projector, ReadModel

LOOK_SECONDS: Final = 0.01


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What a rebuild took. `write_seconds`: inside the transactions, waiting included."""

    wall_seconds: float
    cpu_seconds: float
    write_seconds: float
    rss_bytes_start: int
    rss_bytes_max: int

    def cpu_us(self, events: int) -> float:
        return self.cpu_seconds / events * 1e6

    def wait_us(self, events: int) -> float:
        return self.write_seconds / events * 1e6


async def rebuild() -> Rebuilt:
    events = int(os.environ["BENCH_EVENTS"])
    settings = Common(
        nats_url=os.environ["BENCH_NATS_URL"],
        nats_user=ORCHESTRATOR,
        nats_password=Secret(os.environ["BENCH_NATS_PASSWORD"]),
    )
    runtime = Runtime("bench")
    configure_logs("bench", "error")
    written = _Stopwatch()
    async with broker("bench", settings, runtime) as nc:
        runtime._nc = nc
        rss = _rss_bytes()
        wall, cpu = time.perf_counter(), time.process_time()
        task = asyncio.create_task(Projector(runtime, os.environ["BENCH_DSN"]).run())
        while (REGISTRY.get_sample_value("penstock_projection_position") or 0) < events:
            assert not task.done(), task
            await asyncio.sleep(LOOK_SECONDS)
        took = time.perf_counter() - wall, time.process_time() - cpu
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return Rebuilt(
        wall_seconds=took[0],
        cpu_seconds=took[1],
        write_seconds=written.seconds,
        rss_bytes_start=rss,
        rss_bytes_max=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


class _Stopwatch:
    """Times every call of the projector's `write`, which stays what it is."""

    def __init__(self) -> None:
        self.seconds = 0.0
        write = projector.write

        async def timed(connection: asyncpg.Connection, model: ReadModel) -> None:
            begun = time.perf_counter()
            await write(connection, model)
            self.seconds += time.perf_counter() - begun

        projector.write = timed


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    profile = cProfile.Profile() if "BENCH_PROFILE" in os.environ else None
    if profile is not None:
        profile.enable()
    rebuilt = uvloop.run(rebuild())
    if profile is not None:
        profile.disable()
        profile.dump_stats(os.environ["BENCH_PROFILE"])
    sys.stdout.buffer.write(msgspec.json.encode(rebuilt))


if __name__ == "__main__":
    main()
