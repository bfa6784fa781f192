"""Ending a task that goes on by itself, for sure.

Rule of this room: who cancels waits for the end, and does not rely on one cancellation being heard.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

HEARD_SECONDS_MAX: Final = 0.5


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until they are over. What they raised is for the caller to look at. Not for what has something to put
    in order at its end, which the second time would be cut short.

    Again and again, since `asyncio.wait_for` before Python 3.12, which the broker's client is built on, loses a cancellation
    that comes together with the result it waits for; what loops then goes on as if nothing had been said."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=HEARD_SECONDS_MAX)
