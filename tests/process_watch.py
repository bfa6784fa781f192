"""What tests need to see of the process table: who is alive under a mark, and waiting for that to change, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path


def alive_with(mark: str) -> list[int]:
    """The processes of this host, zombies aside, with `mark` somewhere in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


async def seconds_until(condition: Callable[[], bool], within_seconds: float) -> float:
    """How long it took for `condition` to become true. Raises AssertionError after `within_seconds`."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < within_seconds, f"not within {within_seconds} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started
