"""An executor's part in a publish, as a process that can be killed at any moment: tasks come in by line, what became of each
goes out by line.

Rule of this room: what it does is what a publish does: look, open, adopt. It holds nothing that a killed one would miss.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from penstock.values import RepoSnapshot
from penstock_agent_exec.forge import ForgeFailed, find_or_open, opening
from penstock_agent_exec.forge.configured import Forges
from penstock_agent_exec.forge.table import ForgeTable, Hosts
from penstock_agent_exec.git.names import check_remote

LABELS = ("penstock",)


class Told(Struct):
    """What an executor reports. `number` is None where it failed for a passing reason."""

    task: str
    number: int | None = None
    state: str = ""
    adopted: bool = False
    failed: str = ""


class Where(Struct):
    """The forge, told as the first line."""

    host: str
    provider: str
    clone_url: str
    token_file: str
    at_once: int


async def main() -> None:
    # A busy test machine is no reason to wait as one does for a forge on the other side of the world.
    opening.PAUSE_SECONDS = 0.02  # type: ignore[misc]  # Final for everybody else
    lines = iter(sys.stdin.buffer.readline, b"")
    where = msgspec.json.decode(next(lines), type=Where)
    table = msgspec.convert({"provider": where.provider, "token_file": where.token_file}, ForgeTable)
    forges = Forges(Hosts(forges={where.host: table}), Path("/nonexistent"))
    slots = asyncio.Semaphore(where.at_once)
    running: set[asyncio.Task[None]] = set()
    while line := await asyncio.to_thread(next, lines, b""):
        await slots.acquire()
        doing = asyncio.create_task(publish(forges, where, line.decode().strip()))
        running.add(doing)
        doing.add_done_callback(running.discard)
        doing.add_done_callback(lambda _: slots.release())
    await asyncio.gather(*running)


async def publish(forges: Forges, where: Where, task: str) -> None:
    repo = RepoSnapshot(name="calc", clone_url=where.clone_url, provider=where.provider)
    forge = forges.of(repo, check_remote(where.clone_url, allow_local=False))
    assert forge is not None
    try:
        pull, adopted = await find_or_open(
            forge, f"agent/{task}", task=task, base="main", title=f"Task {task}", body="What it did.", labels=LABELS
        )
        told = Told(task, pull.number, pull.state, adopted)
    except ForgeFailed as error:
        told = Told(task, failed=f"{error.error_class} {error.transient}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
