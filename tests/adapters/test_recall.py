"""A second task is told what came of the first: by a real orchestrator from a real PostgreSQL, which may be away or slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from executor_double import ExecutorDouble, all_well
from nats.aio.client import Client
from orchestrator_fixtures import add_repo, ask, is_end, orchestrator, put, running, submission, until
from patience import WAIT_SECONDS_MAX
from ports import free_port
from processes import ServiceProcess
from servers import NatsForTest

from penstock import ids
from penstock import subjects as s
from penstock.catalog import FleetSettings, MemoryNote, MemorySettings
from penstock.commands import Accepted
from penstock.events import AgentFailed, MemoryRecalled, Recorded, TaskFailed, TaskSucceeded
from penstock.jobs import AgentWork, Job
from penstock.reports import ReportBody
from penstock.values import Usage
from penstock_launcher.servers import PostgresServer
from penstock_orchestrator.migrate import migrate

pytestmark = pytest.mark.anyio

PATIENT = """
from penstock_orchestrator import recall
from penstock_orchestrator.__main__ import main
recall.RECALL_SECONDS_MAX, recall.REST_SECONDS = {recall_seconds_max}, {rest_seconds}
main()
"""
"""The orchestrator as it is, but for how long it waits for what is remembered: two seconds are for tasks that must not be held
up, and a slow machine needs more for an answer; and a rest of five seconds is over there before the next task comes."""


@pytest.fixture
async def nc(nats: NatsForTest) -> AsyncIterator[Client]:
    client = await nats.connect()
    await add_repo(client)
    yield client
    await client.close()


@pytest.fixture
async def one(nats: NatsForTest, postgres: str, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    process = patient(nats, postgres, tmp_path / "o", recall_seconds_max=WAIT_SECONDS_MAX)
    process.start()
    await process.ready()
    yield process
    process.kill()


def patient(nats: NatsForTest, dsn: str, folder: Path, *, recall_seconds_max: float) -> ServiceProcess:
    folder.mkdir()
    (folder / "patient.py").write_text(
        PATIENT.format(recall_seconds_max=recall_seconds_max, rest_seconds=WAIT_SECONDS_MAX)
    )
    return orchestrator(nats, dsn, folder, module="patient")


def fails(job: Job, epoch: int) -> ReportBody:
    if isinstance(job.work, AgentWork):
        message = "AssertionError: rounding differs"
        return AgentFailed(job=job.id, epoch=epoch, error_class="agent.crashed", message=message, usage=Usage(turns=1))
    return all_well(job, epoch)


@pytest.fixture
async def double(nc: Client) -> AsyncIterator[ExecutorDouble]:
    """At work for the whole test; `plan` says how."""
    async with running(ExecutorDouble(nc)) as executor:
        yield executor


async def lives(nc: Client, title: str, *, max_attempts: int = 3) -> list[Recorded]:
    """A task's whole log."""
    command = submission(title=title, max_attempts=max_attempts)
    assert isinstance(await ask(nc, command), Accepted)
    return await until(nc, command.task, is_end)


def told(events: list[Recorded]) -> MemoryRecalled:
    [event] = [one.data for one in events if isinstance(one.data, MemoryRecalled)]
    return event


def prompts(double: ExecutorDouble) -> list[str]:
    return [job.work.prompt for job in double.jobs if isinstance(job.work, AgentWork)]


async def test_the_next_task_like_it_is_told_of_the_failure_as_a_failure(
    one: ServiceProcess, nc: Client, double: ExecutorDouble
) -> None:
    double.plan = fails
    before = await lives(nc, "Round the price half to even", max_attempts=1)
    assert isinstance(before[-1].data, TaskFailed)
    assert told(before) == MemoryRecalled()
    double.plan = all_well
    after = await lives(nc, "Round prices of the basket")
    assert isinstance(after[-1].data, TaskSucceeded)
    [item] = told(after).items
    assert (item.kind, item.task, item.error_class) == ("failure", before[0].task, "agent.crashed")
    assert 0.1 < item.similarity <= 1.0
    prompt = prompts(double)[-1]
    assert "A FAILURE, not an example to follow" in prompt
    assert "AssertionError: rounding differs" in prompt
    unlike = await lives(nc, "Translate manual into French")
    assert told(unlike) == MemoryRecalled()


async def test_what_people_have_written_is_told_and_what_they_have_forgotten_is_not(
    one: ServiceProcess, nc: Client, double: ExecutorDouble, postgres: str
) -> None:
    kept, gone = ids.fresh(), ids.fresh()
    note = MemoryNote(
        memory=kept, repo="shop", kind="decision", title="Prices are cents", text="Floats lost one.", set_at=_now()
    )
    await put(nc, s.catalog_memory(kept), note)
    await put(nc, s.catalog_memory(gone), MemoryNote(memory=gone, repo="shop", forgotten=True, set_at=_now()))
    await noted(postgres, 2)
    [item] = told(await lives(nc, "Add prices in cents")).items
    assert (item.memory, item.kind, item.task) == (kept, "decision", "")
    assert "A decision that people have made" in prompts(double)[0]


async def test_age_and_archive_take_away_and_a_pin_keeps(
    one: ServiceProcess, nc: Client, double: ExecutorDouble, postgres: str
) -> None:
    first = await lives(nc, "Round the price half to even")
    await put(nc, s.CATALOG_SETTINGS, FleetSettings(memory=MemorySettings(archive_after_days=1e-9)))
    assert told(await lives(nc, "Round the price")).items == ()
    pinned = MemoryNote(memory=first[0].task, repo="shop", of_task=True, pinned=True, set_at=_now())
    await put(nc, s.catalog_memory(pinned.memory), pinned)
    await noted(postgres, 1)
    assert [one.memory for one in told(await lives(nc, "Round the price")).items] == [pinned.memory]


async def test_a_database_that_is_away_or_slow_holds_no_task_up(
    nats: NatsForTest, nc: Client, double: ExecutorDouble, tmp_path: Path
) -> None:
    server = PostgresServer(tmp_path / "pg", password="p", port=free_port(), durable=False)
    await asyncio.to_thread(server.start)
    process = patient(nats, server.dsn(), tmp_path / "o", recall_seconds_max=2.0)
    try:
        await migrate(server.dsn())
        process.start()
        await process.ready()
        await lives(nc, "Round the price")
        await noted(server.dsn(), 0, memories=1)
        holder = await asyncpg.connect(server.dsn())
        await holder.execute("begin; lock table penstock.memory_word in access exclusive mode")
        # The lock is held for as long as it takes: both tasks come to their ends without what it guards.
        slow = await lives(nc, "Round the price")
        next_one = await lives(nc, "Round the price")
        assert "no answer within 2 s" in told(slow).degraded
        assert "a moment ago" in told(next_one).degraded
        await holder.close()
        server.kill()
        away = await lives(nc, "Round the price")
        assert told(away).degraded
        assert isinstance(away[-1].data, TaskSucceeded)
    finally:
        process.kill()
        server.kill()


async def noted(dsn: str, notes: int, *, memories: int = 0) -> None:
    """Wait until the read model has so many of them."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while await connection.fetchval("select count(*) from penstock.memory_note") < notes or (
                await connection.fetchval("select count(*) from penstock.memory") < memories
            ):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


def _now() -> datetime:
    return datetime.now(UTC)
