"""What tests need to see of the process table: who is alive under a mark, and waiting for that to change, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from patience import WAIT_SECONDS_MAX


def command_lines() -> dict[int, bytes]:
    """The command line of every process of this host that has one; zombies have none."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end while we look
            found[int(path.name)] = (path / "cmdline").read_bytes()
    return found


def alive_with(mark: str) -> list[int]:
    """The processes of this host with `mark` somewhere in their command line."""
    return [pid for pid, line in command_lines().items() if mark.encode() in line]


async def seconds_until(condition: Callable[[], bool], within_seconds: float = WAIT_SECONDS_MAX) -> float:
    """How long it took for `condition` to become true. Raises AssertionError after `within_seconds`."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < within_seconds, f"not within {within_seconds} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started
