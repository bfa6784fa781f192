"""An executor as a process, a git remote, and somebody who plays the orchestrator's part in its own wire format.

Rule of this room: the executor is the real one; what stands in for the orchestrator answers claims, puts orders into the
queue and reads reports, and decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError
from patience import WAIT_SECONDS_MAX
from processes import ServiceProcess
from servers import NatsForTest
from whole import CALC_MENDED, Remote

from penstock import codec, ids
from penstock import subjects as s
from penstock.catalog import HostState, LeaseValue
from penstock.codec import encode
from penstock.commands import CLAIM_VERB, Accepted, ClaimJob, Reply
from penstock.events import AgentProgressed, DecisionRaised, MessageTold, NetworkDenied, PrepareSucceeded
from penstock.jobs import AgentWork, Job, PrepareWork, PublishWork, StopOrder, VerifyWork, Work
from penstock.lease import read, revoke
from penstock.output import OutputLine
from penstock.reader import Reader
from penstock.reports import Report, ReportBody
from penstock.values import RepoSnapshot, VerifyCommands

MEND: Final[dict[str, Any]] = {"do": "write", "path": "calc.py", "content": CALC_MENDED}
COMMIT: Final[dict[str, Any]] = {"do": "commit", "message": "Add, as the name says"}
Answer = Callable[[ClaimJob], Reply | None]
NEWS: Final = (AgentProgressed, DecisionRaised, MessageTold, NetworkDenied)
T = TypeVar("T")


def accept(claim: ClaimJob) -> Accepted:
    return Accepted(task=claim.task, seq=1)


class Desk:
    """Orders out, claims answered, reports in. `answer` says what becomes of a claim; None: no answer at all."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self._js = nc.jetstream(timeout=WAIT_SECONDS_MAX)
        self.answer: Answer = accept
        self.claims: list[ClaimJob] = []
        self.stored_at_claim: list[bool] = []
        self.orders: dict[str, str] = {}

    async def open(self) -> None:
        await self.nc.subscribe(s.command(*CLAIM_VERB), cb=self._claimed)
        await self.nc.flush()

    async def _claimed(self, message: Msg) -> None:
        claim = codec.commands.decode(message.data)
        assert isinstance(claim, ClaimJob)
        self.claims.append(claim)
        self.stored_at_claim.append(await self.is_queued(claim.job))
        if (answer := self.answer(claim)) is not None:
            await self.nc.publish(message.reply, encode(answer))

    async def order(self, work: Work, *, task: str, host: str | None = "h1", pool: str = "scripted") -> Job:
        """Put a job into the queue: of the host, or of the pool where there is none."""
        job = Job(id=ids.fresh(), task=task, repo=work.repo.name, pool=pool, host=host, work=work)
        subject = s.job_for_host(host, task, job.id) if host else s.job_for_pool(pool, task, job.id)
        # Noted first: the executor may be faster than the acknowledgement.
        self.orders[job.id] = subject
        await self._js.publish(subject, encode(job))
        return job

    async def is_queued(self, job: str) -> bool:
        return await self._stored(s.JOBS, self.orders[job]) is not None

    async def taken(self, job: Job) -> None:
        """Wait until the order is off the queue."""
        await until(lambda: self._is_gone(job))

    async def _is_gone(self, job: Job) -> bool:
        return not await self.is_queued(job.id)

    async def report(self, job: Job, within_seconds: float = WAIT_SECONDS_MAX) -> Report:
        """The report of the job's end, waited for."""
        async with asyncio.timeout(within_seconds), aclosing(self.told(job)) as told:
            async for report in told:
                if not isinstance(report.body, NEWS):
                    return report
        raise AssertionError("the reader ended")

    async def news(
        self, job: Job, kind: type[T], count: int = 1, *, wanted: Callable[[T], bool] = lambda _: True
    ) -> list[T]:
        """The first `count` reports of this kind from the middle of the job that are wanted, waited for."""
        found: list[T] = []
        async with asyncio.timeout(WAIT_SECONDS_MAX), aclosing(self.told(job)) as told:
            async for report in told:
                found += [report.body] if isinstance(report.body, kind) and wanted(report.body) else []
                if len(found) == count:
                    return found
        raise AssertionError("the reader ended")

    async def told(self, job: Job) -> AsyncGenerator[Report, None]:
        """Everything that is reported of the job, as it comes, for ever."""
        filter_ = s.report("*", job.id, "*")
        async with aclosing(Reader(self.nc, s.REPORTS, filters=[filter_]).batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    report = codec.reports.decode(stored.body)
                    assert report.job == report.body.job == job.id
                    assert report.epoch == report.body.epoch
                    yield report

    async def body(self, job: Job, kind: type[T]) -> T:
        body = (await self.report(job)).body
        assert isinstance(body, kind), body
        return body

    async def reports(self, job: Job) -> int:
        """How many of the job's end there are now."""
        info = await self._js.stream_info(s.REPORTS, subjects_filter=s.report("*", job.id, "*"))
        return sum(not subject.endswith((".progress", ".decision")) for subject in info.state.subjects or {})

    async def lease(self, job: Job) -> LeaseValue | None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                # A broker that has much to do may take longer than those who hold a lease would wait for it.
                with contextlib.suppress(nats.errors.TimeoutError):
                    state = await read(self.nc, s.job_lease(job.id))
                    break
        return None if state is None or state.value is None else msgspec.json.decode(state.value, type=LeaseValue)

    async def lease_is_gone(self, job: Job) -> bool:
        return await self.lease(job) is None

    async def revoke(self, job: Job) -> None:
        state = await read(self.nc, s.job_lease(job.id))
        assert state is not None
        value = LeaseValue(holder="orchestrator", instance="", revoked="for a test")
        while not await revoke(self.nc, s.job_lease(job.id), state.revision, value):
            state = await read(self.nc, s.job_lease(job.id))
            assert state is not None

    async def stop(self, job: Job, reason: str = "enough") -> None:
        await self.nc.publish(s.stop_order(job.id), encode(StopOrder(job=job.id, reason=reason)))

    async def host_state(self, host: str = "h1") -> HostState | None:
        state = await read(self.nc, s.host_lease(host))
        return None if state is None or state.value is None else msgspec.json.decode(state.value, type=HostState)

    async def says(self, job: Job, text: str) -> None:
        """Wait for a line with `text` in the job's output."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            async for line in self.lines(job):
                if text in line.text:
                    return

    async def lines(self, job: Job) -> AsyncIterator[OutputLine]:
        subject = s.output("*", "*", job.id)
        async with aclosing(Reader(self.nc, s.OUTPUT, filters=[subject]).batches()) as batches:
            async for batch in batches:
                for stored in batch:
                    for line in codec.batches.decode(stored.body).lines:
                        yield line

    async def _stored(self, stream: str, subject: str) -> bytes | None:
        try:
            return (await self._js.get_last_msg(stream, subject)).data or b""
        except NotFoundError:
            return None


class Executor(ServiceProcess):
    """The real one."""

    def use_path(self, path: str) -> None:
        self._environ["PATH"] = path

    def use_environment(self, more: Mapping[str, str]) -> None:
        """What else stands in its environment, as on a host that is used for other things too."""
        self._environ |= more


class World:
    """One executor on host h1 (others by `executor`), one remote with the repo `calc`, and the desk."""

    def __init__(self, folder: Path, nats: NatsForTest, desk: Desk, remote: Remote) -> None:
        self.folder = folder
        self.nats = nats
        self.desk = desk
        self.remote = remote
        self.repo = RepoSnapshot(name="calc", clone_url=str(remote.path))
        self.started: list[ServiceProcess] = []
        (folder / "scripts").mkdir(parents=True)

    def executor(self, host: str = "h1", *, data: str = "", path: str = "", **settings: str) -> Executor:
        """An executor that is not started yet. `path`: its PATH, where that is to be another one."""
        data = data or host
        given = {
            "host": host,
            "data_dir": str(self.folder / data),
            "vendors": "scripted",
            "scripts_dir": str(self.folder / "scripts"),
            "allow_local_remotes": "true",
            "drain_grace_seconds": "0.2",
        } | settings
        folder = self.folder / f"process-{len(self.started)}"
        process = Executor("penstock_agent_exec", "agent-exec", self.nats, folder, **given)
        if path:
            process.use_path(path)
        self.started.append(process)
        return process

    async def start(self, host: str = "h1", **settings: str) -> ServiceProcess:
        process = self.executor(host, **settings)
        process.start()
        await process.ready()
        return process

    def script(self, name: str, *attempts: list[dict[str, Any]]) -> None:
        (self.folder / "scripts" / f"{name}.json").write_text(json.dumps({"attempts": list(attempts)}))

    def cases(self, name: str, *cases: dict[str, Any]) -> None:
        """A script that chooses its steps by the run."""
        (self.folder / "scripts" / f"{name}.json").write_text(json.dumps({"cases": list(cases)}))

    # -- orders ------------------------------------------------------------------------------------------------------

    async def prepared(self, task: str, host: str | None = "h1") -> PrepareSucceeded:
        return await self.desk.body(await self.desk.order(self.prepare(task), task=task, host=host), PrepareSucceeded)

    def prepare(self, task: str, **more: Any) -> PrepareWork:
        return PrepareWork(repo=self.repo, branch=f"agent/{task}", **more)

    def agent(self, task: str, base: str, script: str, **more: Any) -> AgentWork:
        given: dict[str, Any] = {
            "repo": self.repo,
            "branch": f"agent/{task}",
            "base_commit": base,
            "attempt": 1,
            "vendor": "scripted",
            "model": script,
            "session_id": "1f0c2a52-0000-4000-8000-000000000001",
            "resume": False,
            "prompt": "Mend it.",
            "fresh_prompt": "Mend it, from the beginning.",
            "max_turns": None,
            "max_cost_usd": None,
            "wall_seconds_max": 600.0,
        }
        return AgentWork(**(given | more))

    def verify(self, task: str, commit: str, *, seconds: float = 600.0, **commands: Any) -> VerifyWork:
        return VerifyWork(
            repo=self.repo,
            branch=f"agent/{task}",
            commit=commit,
            commands=VerifyCommands(**commands),
            command_timeout_seconds=seconds,
        )

    def publish(
        self, task: str, base: str, commit: str, *, flow: str = "branch", provider: str = "git", **more: Any
    ) -> PublishWork:
        return PublishWork(
            repo=msgspec.structs.replace(self.repo, provider=provider),
            branch=f"agent/{task}",
            base_commit=base,
            commit=commit,
            flow=flow,
            title="Mend the sum",
            body="It was a difference.",
            verified=True,
            **more,
        )

    async def step(self, task: str, work: Work, kind: type[T], host: str = "h1") -> T:
        """Order it on the host and wait for a report of this kind."""
        return await self.desk.body(await self.desk.order(work, task=task, host=host), kind)

    async def reported(self, task: str, work: Work) -> ReportBody:
        return (await self.desk.report(await self.desk.order(work, task=task))).body

    def slow_git(self, command: str) -> SlowGit:
        """A git that waits before `command`, for executors started with its `settings`."""
        return SlowGit(self.folder / f"git-{command.replace(' ', '-')}", command)


async def logged(process: ServiceProcess, event: str) -> float:
    """Wait until the executor has said this in its log."""

    async def said() -> bool:
        return event in process.log

    return await until(said)


class SlowGit:
    """A `git` on PATH that announces one of its commands and waits to be let go."""

    def __init__(self, folder: Path, command: str) -> None:
        folder.mkdir()
        self._here, self._go = folder / "here", folder / "go"
        real = next(path for part in os.environ["PATH"].split(":") if (path := Path(part) / "git").exists())
        script = (
            f'#!/bin/sh\ncase " $* " in *" {command} "*)\n  touch {self._here}\n'
            f'  while [ ! -e {self._go} ]; do sleep 0.02; done;;\nesac\nexec {real} "$@"\n'
        )
        (folder / "git").write_text(script)
        (folder / "git").chmod(0o755)
        self.path = f"{folder}:{os.environ['PATH']}"

    async def reached(self) -> None:
        await until(self._is_reached)

    async def _is_reached(self) -> bool:
        return self._here.exists()

    def go(self) -> None:
        self._go.touch()


async def until(condition: Callable[[], Awaitable[bool]], within_seconds: float = WAIT_SECONDS_MAX) -> float:
    """How long it took. Raises AssertionError."""
    started = asyncio.get_running_loop().time()
    while not await condition():
        waited = asyncio.get_running_loop().time() - started
        assert waited < within_seconds, f"{condition} did not come true within {within_seconds} s"
        await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - started


@asynccontextmanager
async def world(folder: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """Everything but a running executor; those that are started end with it."""
    nc = await nats.connect()
    desk = Desk(nc)
    await desk.open()
    found = World(folder, nats, desk, remote)
    try:
        yield found
    finally:
        for process in found.started:
            process.end()
        await nc.close()
