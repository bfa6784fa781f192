"""Opening what may be there already, over a way on which answers get lost: the same for every forge.

Rule of this room: before every try there is a look, and after a lost answer too. A list may lag behind what was just done, and
a forge that refuses a second one knows better than its list: then it is looked for again, a bounded number of times.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from penstock_agent_exec.forge import ForgeRefused, ForgeUnreachable, PullRequest

TRIES_MAX: Final = 3
LOOKS_MAX: Final = 6
PAUSE_SECONDS: Final = 0.3
PAUSE_SECONDS_MAX: Final = 5.0

Find: TypeAlias = Callable[[], Awaitable[PullRequest | None]]
"""The pull request from the branch: the open one, else the newest that was merged or closed."""


async def opened(
    find: Find,
    make: Callable[[], Awaitable[PullRequest]],
    exists: Callable[[ForgeRefused], bool],
    *,
    task: str,
) -> PullRequest:
    """The pull request, made or found. `exists`: whether a refusal says that there is one. One of this `task` that somebody has
    ended while its answer was lost is found too, and not made again. Raises ForgeFailed."""
    for nth in range(1, TRIES_MAX + 1):
        if nth > 1 and (found := await _ours(find, task)) is not None:
            return found
        try:
            return await make()
        except ForgeRefused as refused:
            if not exists(refused):
                raise
            return await _seen(find, task, refused)
        except ForgeUnreachable:
            if nth == TRIES_MAX:
                raise
        await _pause(nth)
    raise AssertionError


async def _ours(find: Find, task: str) -> PullRequest | None:
    found = await find()
    return found if found is not None and (found.state == "open" or (task and found.task == task)) else None


async def _seen(find: Find, task: str, refused: ForgeRefused) -> PullRequest:
    for nth in range(1, LOOKS_MAX + 1):
        if (found := await _ours(find, task)) is not None:
            return found
        await _pause(nth)
    raise ForgeUnreachable(f"the forge says that there is one, and shows none yet: {refused}")


async def repeated(act: Callable[[], Awaitable[object]]) -> None:
    """Something that may be done twice without harm. Raises ForgeFailed."""
    for nth in range(1, TRIES_MAX + 1):
        try:
            await act()
            return
        except ForgeUnreachable:
            if nth == TRIES_MAX:
                raise
        await _pause(nth)


async def _pause(nth: int) -> None:
    part = random.uniform(0.5, 1.0)  # noqa: S311 - spreads the tries of several hosts, guards nothing
    await asyncio.sleep(min(PAUSE_SECONDS * 2**nth, PAUSE_SECONDS_MAX) * part)
