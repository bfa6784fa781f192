"""An orchestrator as a process on real servers, and what tests ask of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
from executor_double import ExecutorDouble
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from processes import ServiceProcess
from servers import NatsForTest

from penstock import codec, ids
from penstock import subjects as s
from penstock.catalog import Repo
from penstock.codec import decode_event, encode
from penstock.commands import Command, NotReady, Reply, SubmitTask, verb_of
from penstock.events import Recorded
from penstock.reader import Reader
from penstock.values import VerifyCommands

MAKE_TEST = VerifyCommands(test="make test")


def orchestrator(
    nats: NatsForTest, dsn: str, folder: Path, *, module: str = "penstock_orchestrator", **settings: str
) -> ServiceProcess:
    """Not started yet. `module`: one in `folder` that runs it in its own way."""
    given = {
        "database_url": dsn,
        "nats_monitor_url": nats.monitor_url,
        "allow_volatile": "true",
        "pools": "scripted,claude",
        "leader_lease_seconds": "2",
        "reconcile_seconds": "0.5",
        "park_seconds_min": "0.2",
    } | settings
    return ServiceProcess(module, "orchestrator", nats, folder, **given)


async def add_repo(nc: Client, name: str = "shop", verify: VerifyCommands = MAKE_TEST, **more: Any) -> None:
    given = Repo(name=name, clone_url=f"https://git.example/{name}.git", verify=verify, parallel_max=50)
    await put(nc, s.catalog_repo(name), msgspec.structs.replace(given, **more))


async def put(nc: Client, key: str, entry: msgspec.Struct | None) -> None:
    """Write an entry of the catalogue, or take it away."""
    headers = None if entry is not None else {s.KV_OPERATION: "DEL"}
    body = b"" if entry is None else encode(entry)
    await nc.jetstream().publish(s.kv(s.CATALOG, key), body, headers=headers)


def submission(repo: str = "shop", **more: Any) -> SubmitTask:
    task = ids.fresh()
    given = SubmitTask(id=ids.fresh(), task=task, repo=repo, title="Mend the sum", vendor="scripted")
    return msgspec.structs.replace(given, **more)


async def ask(nc: Client, command: Command) -> Reply:
    """The orchestrator's answer, asked for until there is one (a new leader may still be on its way)."""
    return await ask_on(nc, s.command(*verb_of(command)), encode(command))


async def ask_on(nc: Client, subject: str, body: bytes) -> Reply:
    """The orchestrator's answer to these bytes, whatever they are, asked for until there is one."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while True:
        try:
            answer = await nc.request(subject, body, timeout=3)
            reply = codec.replies.decode(answer.data)
            if not isinstance(reply, NotReady):
                return reply
        except nats.errors.Error:
            pass
        assert asyncio.get_running_loop().time() < deadline, "nobody answers commands"
        await asyncio.sleep(0.05)


async def leader_of(*processes: ServiceProcess) -> ServiceProcess:
    """Whoever was elected last, as soon as somebody was: on a busy machine a leader may lose its lease to the other."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while not any("leader.elected" in process.log for process in processes):
        assert asyncio.get_running_loop().time() < deadline, "nobody leads"
        await asyncio.sleep(0.02)
    return max(processes, key=_elected_at)


def _elected_at(process: ServiceProcess) -> str:
    lines = [line for line in process.log.splitlines() if "leader.elected" in line]
    return str(json.loads(lines[-1])["timestamp"]) if lines else ""


async def until(nc: Client, task: str, wanted: Callable[[Recorded], bool]) -> list[Recorded]:
    """The task's events up to the first one that is wanted."""
    seen: list[Recorded] = []

    async def follow() -> list[Recorded]:
        async with aclosing(Reader(nc, s.EVENTS, filters=[f"task.event.*.{task}.>"]).batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    seen.append(decode_event(stored.body, stored.seq))
                    if wanted(seen[-1]):
                        return seen
        raise AssertionError("the reader has ended")

    try:
        return await asyncio.wait_for(follow(), WAIT_SECONDS_MAX)
    except TimeoutError:
        raise AssertionError(f"task {task} got no further than {[tags(event) for event in seen]}") from None


def tags(event: Recorded) -> str:
    return str(event.data.__struct_config__.tag or "unknown")


def is_end(event: Recorded) -> bool:
    return tags(event) in {"task_succeeded", "task_unverified", "task_failed", "task_cancelled"}


@asynccontextmanager
async def running(double: ExecutorDouble) -> AsyncIterator[ExecutorDouble]:
    task = asyncio.create_task(double.run())
    try:
        yield double
    finally:
        double.stopping = True
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended
