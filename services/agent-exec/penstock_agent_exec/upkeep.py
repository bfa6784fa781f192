"""Upkeep: in the background, what is over is collected and mirrors are kept fast, one thing at a time and at low priority.

Rule of this room: no job waits for it, and nothing hangs on when it happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from penstock_agent_exec.git.collect import Bounds, collect, maintain
from penstock_agent_exec.git.command import Sandboxed
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.steps.bench import Bench

log = structlog.get_logger()

FIRST_AFTER_SECONDS: Final = 60.0
EVERY_SECONDS: Final = 900.0


@asynccontextmanager
async def upkeep(bench: Bench) -> AsyncIterator[None]:
    """While this lasts, the folder is looked after."""
    looking_after = asyncio.create_task(_look_after(bench))
    try:
        yield
    finally:
        looking_after.cancel()
        await asyncio.gather(looking_after, return_exceptions=True)


async def _look_after(bench: Bench) -> None:
    await asyncio.sleep(FIRST_AFTER_SECONDS)
    while True:
        try:
            await once(bench)
        except Exception:
            # It comes round again; no job fails for a folder that could not be looked after.
            log.exception("upkeep.bug")
        await asyncio.sleep(EVERY_SECONDS)


async def once(bench: Bench) -> None:
    """One round."""

    def in_clone(work_tree: Path, mirror: Mirror) -> Sandboxed:
        return bench.git_sandbox(work_tree, mirror)

    bounds = Bounds(keep_days=bench.settings.keep_days, disk_bytes_max=bench.settings.disk_bytes_max)
    # A host that runs no agents has no sandbox. Clones may lie there all the same, from when it did.
    await collect(bench.folder, bounds, in_clone if bench.settings.runs else None)
    await maintain(bench.folder)
