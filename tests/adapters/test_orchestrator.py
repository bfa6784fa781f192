"""The orchestrator as a real process on real servers, with an executor that only speaks the wire format."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from executor_double import LEASE_SECONDS, ExecutorDouble, Script, all_well
from msgspec.structs import replace
from nats.aio.client import Client
from orchestrator_fixtures import (
    add_repo,
    ask,
    ask_on,
    is_end,
    leader_of,
    orchestrator,
    running,
    submission,
    tags,
    until,
)
from patience import WAIT_SECONDS_MAX
from ports import free_port
from processes import ServiceProcess
from servers import NatsForTest

from penstock import ids
from penstock import subjects as s
from penstock.bounds import COUNT_MAX
from penstock.commands import Accepted, CancelTask, RefusedReply, UnblockTask
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    JobLost,
    PrepareFailed,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.jobs import AgentWork, Job, PrepareWork
from penstock.reports import ReportBody
from penstock.values import Usage, VerifyCommands
from penstock_launcher.servers import PostgresServer
from penstock_orchestrator.migrate import migrate

pytestmark = pytest.mark.anyio

HAPPY = [
    "task_submitted",
    "task_admitted",
    "prepare_requested",
    "job_claimed",
    "prepare_succeeded",
    "memory_recalled",
    "agent_requested",
    "job_claimed",
    "agent_succeeded",
    "verify_requested",
    "job_claimed",
    "verify_succeeded",
    "publish_requested",
    "job_claimed",
    "publish_succeeded",
    "task_succeeded",
]


@pytest.fixture
async def nc(nats: NatsForTest) -> AsyncIterator[Client]:
    client = await nats.connect()
    await add_repo(client)
    yield client
    await client.close()


@pytest.fixture
async def one(nats: NatsForTest, postgres: str, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    process = orchestrator(nats, postgres, tmp_path / "o1")
    process.start()
    await process.ready()
    yield process
    process.kill()


async def rows(dsn: str, table: str, key: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(f"select * from penstock.{table} order by {key}")]
    finally:
        await connection.close()


async def projected(dsn: str, seq: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                try:
                    if (await connection.fetchval("select seq from penstock.projection") or 0) >= seq:
                        return
                except asyncpg.UndefinedTableError:
                    pass
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_a_task_goes_from_submission_to_success(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    async with running(ExecutorDouble(nc)):
        assert isinstance(await ask(nc, command), Accepted)
        events = await until(nc, command.task, is_end)
    assert [tags(event) for event in events] == HAPPY


async def test_a_command_sent_twice_is_answered_twice_and_done_once(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    first, second = await ask(nc, command), await ask(nc, command)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    events = await until(nc, command.task, lambda event: tags(event) == "prepare_requested")
    assert [tags(event) for event in events].count("task_submitted") == 1


async def test_an_unknown_repo_is_refused_with_the_field(one: ServiceProcess, nc: Client) -> None:
    reply = await ask(nc, submission("nowhere"))
    assert isinstance(reply, RefusedReply)
    assert (reply.code, reply.field) == ("unknown_repo", "repo")
    assert "nowhere" in reply.message


@pytest.mark.parametrize(("field", "value"), [("vendor", "nobody"), ("flow", "teleport")])
async def test_an_unknown_word_is_refused_with_what_is_known(
    one: ServiceProcess, nc: Client, field: str, value: str
) -> None:
    reply = await ask(nc, submission(**{field: value}))
    assert isinstance(reply, RefusedReply)
    assert reply.field == field
    assert value in reply.message


async def test_bytes_that_are_no_command_are_refused_and_the_next_command_is_answered(
    one: ServiceProcess, nc: Client
) -> None:
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"kind":"submit_task","id":"x"}'):
        assert isinstance(await ask_on(nc, s.command("task", "submit"), body), RefusedReply)
    assert isinstance(await ask(nc, submission()), Accepted)


async def test_cancelling_an_unclaimed_task_ends_it_at_once(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    await ask(nc, command)
    cancel = CancelTask(id=ids.fresh(), task=command.task, requested_by="ann", reason="changed my mind")
    assert isinstance(await ask(nc, cancel), Accepted)
    assert isinstance(await ask(nc, cancel), Accepted)
    end = (await until(nc, command.task, is_end))[-1].data
    assert isinstance(end, TaskCancelled)
    assert end.cancelled_by == "ann"


async def test_cancelling_at_work_orders_the_host_to_stop_and_ends_with_its_last_word(
    one: ServiceProcess, nc: Client
) -> None:
    command = submission()
    async with running(ExecutorDouble(nc, plan=silent_in(AgentWork))) as double:
        await ask(nc, command)
        await until(nc, command.task, lambda event: tags(event) == "agent_requested")
        while not double.held:
            await asyncio.sleep(0.01)
        job = double.jobs[-1]
        orders = await nc.subscribe(s.stop_order(job.id))
        await nc.flush()
        await ask(nc, CancelTask(id=ids.fresh(), task=command.task, requested_by="ann"))
        await orders.next_msg(timeout=WAIT_SECONDS_MAX)
        await double.stopped(job)
        events = await until(nc, command.task, is_end)
    assert [tags(event) for event in events][-3:] == ["task_cancel_requested", "job_stopped", "task_cancelled"]


async def test_a_holder_that_never_stops_loses_its_lease(
    nats: NatsForTest, nc: Client, postgres: str, tmp_path: Path
) -> None:
    process = orchestrator(nats, postgres, tmp_path / "o", stop_patience_seconds="0.5")
    process.start()
    try:
        command = submission()
        async with running(ExecutorDouble(nc, plan=silent_in(AgentWork))) as double:
            await ask(nc, command)
            while not double.held:
                await asyncio.sleep(0.01)
            await ask(nc, CancelTask(id=ids.fresh(), task=command.task, requested_by="ann"))
            events = await until(nc, command.task, is_end)
        assert [tags(event) for event in events][-2:] == ["job_lost", "task_cancelled"]
    finally:
        process.kill()


async def test_a_lease_that_runs_out_loses_the_job_and_the_work_is_asked_for_again(
    one: ServiceProcess, nc: Client
) -> None:
    command = submission()
    said: list[str] = []

    def dies_once(job: Job, epoch: int) -> ReportBody | None:
        # Of all leases the one of the first agent is short: to prepare may take longer.
        double.lease_seconds = 2 if isinstance(job.work, PrepareWork) else LEASE_SECONDS
        if isinstance(job.work, AgentWork) and not said:
            said.append(job.id)
            return None
        return all_well(job, epoch)

    double = ExecutorDouble(nc, plan=dies_once)
    async with running(double):
        await ask(nc, command)
        events = await until(nc, command.task, is_end)
        lost = [event.data for event in events if isinstance(event.data, JobLost)]
        assert [event.job for event in lost] == said
        assert tags(events[-1]) == "task_succeeded"
        # The zombie wakes and reports: nothing changes.
        zombie = next(job for job in double.jobs if job.id == said[0])
        await double.report(zombie, all_well(zombie, lost[0].epoch))
    agent_jobs = [job for job in double.jobs if isinstance(job.work, AgentWork)]
    assert len(agent_jobs) == 2
    assert isinstance(agent_jobs[1].work, AgentWork)
    assert agent_jobs[1].work.resume


async def test_a_report_under_a_stale_epoch_never_reaches_the_log(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    async with running(ExecutorDouble(nc, plan=silent_in(AgentWork))) as double:
        await ask(nc, command)
        while not double.held:
            await asyncio.sleep(0.01)
        job, lease = double.jobs[-1], double.held[double.jobs[-1].id]
        forged = all_well(job, lease.epoch + 1)
        await double.report(job, forged)
        await double.report(job, all_well(job, lease.epoch))
        events = await until(nc, command.task, lambda event: tags(event) == "agent_succeeded")
    assert [event.data.epoch for event in events if isinstance(event.data, AgentSucceeded)] == [lease.epoch]


async def test_trouble_that_passes_parks_the_task_and_it_goes_on_by_itself(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    tries: list[int] = []

    def unreachable_twice(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, PrepareWork):
            tries.append(epoch)
            if len(tries) < 3:
                return PrepareFailed(
                    job=job.id, epoch=epoch, error_class="git.unreachable", message="no route to host", transient=True
                )
        return all_well(job, epoch)

    async with running(ExecutorDouble(nc, plan=unreachable_twice)):
        await ask(nc, command)
        events = await until(nc, command.task, is_end)
    assert [tags(event) for event in events].count("task_parked") == 2
    assert tags(events[-1]) == "task_succeeded"


async def test_a_bad_login_blocks_until_a_person_has_mended_it(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    mended: list[bool] = []

    def no_login(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, AgentWork) and not mended:
            return AgentFailed(job=job.id, epoch=epoch, error_class="vendor.auth", message="invalid key")
        return all_well(job, epoch)

    async with running(ExecutorDouble(nc, plan=no_login)):
        await ask(nc, command)
        events = await until(nc, command.task, lambda event: tags(event) == "task_blocked")
        assert isinstance(events[-1].data, TaskBlocked)
        assert "key" in events[-1].data.can_do
        mended.append(True)
        unblock = UnblockTask(id=ids.fresh(), task=command.task, requested_by="ann")
        assert isinstance(await ask(nc, unblock), Accepted)
        events = await until(nc, command.task, is_end)
    assert tags(events[-1]) == "task_succeeded"


async def test_no_change_at_all_is_never_a_success(one: ServiceProcess, nc: Client, postgres: str) -> None:
    command = submission(max_attempts=2)

    def idle(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, AgentWork):
            return AgentFailed(job=job.id, epoch=epoch, error_class="agent.no_change", message="nothing was changed")
        return all_well(job, epoch)

    async with running(ExecutorDouble(nc, plan=idle)):
        await ask(nc, command)
        events = await until(nc, command.task, is_end)
    assert isinstance(events[-1].data, TaskFailed)
    assert [tags(event) for event in events].count("agent_requested") == 2
    await projected(postgres, events[-1].seq)
    connection = await asyncpg.connect(postgres)
    assert await connection.fetchval("select outcome from penstock.task") == "no_change"
    await connection.close()


async def test_dropped_tables_come_back_byte_for_byte(
    nats: NatsForTest, nc: Client, postgres: str, tmp_path: Path
) -> None:
    process = orchestrator(nats, postgres, tmp_path / "o")
    process.start()
    try:
        commands = [submission() for _ in range(5)]
        async with running(ExecutorDouble(nc)):
            for command in commands:
                await ask(nc, command)
            last = [(await until(nc, command.task, is_end))[-1].seq for command in commands]
        await projected(postgres, max(last))
        before = [await rows(postgres, table, key) for table, key in TABLES]
        process.kill()
        connection = await asyncpg.connect(postgres)
        await connection.execute("drop table penstock.task, penstock.step, penstock.event, penstock.projection")
        await connection.close()
        process.start()
        await projected(postgres, max(last))
        assert [await rows(postgres, table, key) for table, key in TABLES] == before
        assert len(before[0]) == 5
    finally:
        process.kill()


TABLES = (
    *(("task", "task"), ("step", "job"), ("plan", "job"), ("message", "task, message")),
    *(("decision", "task, decision"), ("event", "seq"), ("projection", "name")),
)


async def test_two_orchestrators_do_everything_once_and_the_second_takes_over(
    nats: NatsForTest, nc: Client, postgres: str, tmp_path: Path
) -> None:
    processes = [orchestrator(nats, postgres, tmp_path / name) for name in ("o1", "o2")]
    for process in processes:
        process.start()
    try:
        for process in processes:
            await process.ready()
        async with running(ExecutorDouble(nc)):
            first = [submission() for _ in range(5)]
            for command in first:
                assert isinstance(await ask(nc, command), Accepted)
            leader = await leader_of(*processes)
            leader.kill()
            second = [submission() for _ in range(5)]
            for command in second:
                assert isinstance(await ask(nc, command), Accepted)
            for command in (*first, *second):
                assert [tags(event) for event in await until(nc, command.task, is_end)] == HAPPY
    finally:
        for process in processes:
            process.kill()


async def test_a_paused_leader_that_wakes_does_no_harm(
    nats: NatsForTest, nc: Client, postgres: str, tmp_path: Path
) -> None:
    processes = [orchestrator(nats, postgres, tmp_path / name) for name in ("o1", "o2")]
    for process in processes:
        process.start()
        await process.ready()
    try:
        leader = await leader_of(*processes)
        async with running(ExecutorDouble(nc)):
            leader.send(signal.SIGSTOP)
            while await leader_of(*processes) is leader:
                await asyncio.sleep(0.05)
            command = submission()
            await ask(nc, command)
            leader.send(signal.SIGCONT)
            assert [tags(event) for event in await until(nc, command.task, is_end)] == HAPPY
            again = submission()
            await ask(nc, again)
            assert [tags(event) for event in await until(nc, again.task, is_end)] == HAPPY
    finally:
        for process in processes:
            process.kill()


async def test_killed_between_every_two_events_it_ends_the_same(
    nats: NatsForTest, nc: Client, postgres: str, tmp_path: Path
) -> None:
    process = orchestrator(nats, postgres, tmp_path / "o")
    process.start()
    command = submission()
    kills = 0
    try:
        async with running(ExecutorDouble(nc)) as double:
            assert isinstance(await ask(nc, command), Accepted)
            for wanted in range(1, len(HAPPY)):
                count = 0

                def enough(event: object, wanted: int = wanted) -> bool:
                    nonlocal count
                    count += 1
                    return count >= wanted

                await until(nc, command.task, enough)
                process.kill()
                kills += 1
                process.start()
            events = await until(nc, command.task, is_end)
    finally:
        process.kill()
    assert [tags(event) for event in events] == HAPPY
    assert len(double.jobs) == 4
    assert kills == len(HAPPY) - 1


async def test_a_database_that_goes_away_stops_nothing_and_is_caught_up_with(
    nats: NatsForTest, nc: Client, tmp_path: Path, postgres_alone: PostgresAlone
) -> None:
    process = orchestrator(nats, postgres_alone.dsn, tmp_path / "o")
    process.start()
    try:
        async with running(ExecutorDouble(nc)):
            postgres_alone.server.kill()
            command = submission()
            await ask(nc, command)
            events = await until(nc, command.task, is_end)
            assert tags(events[-1]) == "task_succeeded"
            await asyncio.to_thread(postgres_alone.server.start)
            await projected(postgres_alone.dsn, events[-1].seq)
    finally:
        process.kill()


class PostgresAlone:
    """A PostgreSQL of one test's own, to be killed."""

    def __init__(self, server: PostgresServer, dsn: str) -> None:
        self.server = server
        self.dsn = dsn


@pytest.fixture
async def postgres_alone(tmp_path: Path) -> AsyncIterator[PostgresAlone]:
    server = PostgresServer(tmp_path / "pg" / "data", password="of-a-test", port=free_port())
    await asyncio.to_thread(server.start)
    try:
        dsn = server.dsn()
        await migrate(dsn)
        yield PostgresAlone(server, dsn)
    finally:
        server.kill()


def silent_in(kind: type[object]) -> Script:
    """Everything goes well, but a job of this kind is held without a word."""

    def plan(job: Job, epoch: int) -> ReportBody | None:
        return None if isinstance(job.work, kind) else all_well(job, epoch)

    return plan


async def test_a_task_that_is_too_large_for_an_event_is_refused_and_the_next_one_is_answered(
    one: ServiceProcess, nc: Client
) -> None:
    blank = "\x01" * 20_000
    await add_repo(nc, "big", VerifyCommands(test="x" + "\x01" * 3_900, lint="x" + "\x01" * 3_900))
    reply = await ask(nc, submission("big", description=blank, acceptance=blank))
    assert isinstance(reply, RefusedReply)
    assert "bytes" in reply.message
    assert isinstance(await ask(nc, submission()), Accepted)


async def test_a_report_that_no_event_can_hold_fails_its_step_and_stops_nobody(one: ServiceProcess, nc: Client) -> None:
    command = submission(max_attempts=1)

    def flood(job: Job, epoch: int) -> ReportBody | None:
        said = all_well(job, epoch)
        if isinstance(said, AgentSucceeded) and not flooded:
            flooded.append(job.id)
            return replace(said, change=replace(said.change, files=("\x01" * 500,) * 120))
        return said

    flooded: list[str] = []
    async with running(ExecutorDouble(nc, plan=flood)):
        await ask(nc, command)
        events = await until(nc, command.task, is_end)
    failed = next(event.data for event in events if isinstance(event.data, AgentFailed))
    assert failed.error_class == "host.bug"
    assert tags(events[-1]) == "task_succeeded"


async def test_numbers_beyond_every_bound_add_up_to_the_bound(one: ServiceProcess, nc: Client) -> None:
    command = submission()
    most = Usage(turns=COUNT_MAX, input_tokens=COUNT_MAX, output_tokens=COUNT_MAX, cost_usd=1e6, wall_seconds=1.0)

    def greedy(job: Job, epoch: int) -> ReportBody | None:
        said = all_well(job, epoch)
        if isinstance(said, VerifySucceeded) and len(seen) < 2:
            seen.append(job.id)
            return VerifyFailed(job=job.id, epoch=epoch, commit=said.commit, error_class="test.failed", message="no")
        return replace(said, usage=most) if isinstance(said, AgentSucceeded) else said

    seen: list[str] = []
    async with running(ExecutorDouble(nc, plan=greedy)):
        await ask(nc, command)
        events = await until(nc, command.task, is_end)
    end = events[-1].data
    assert isinstance(end, TaskSucceeded)
    assert end.usage.input_tokens == COUNT_MAX


async def test_rubbish_in_the_leases_stops_nobody(one: ServiceProcess, nc: Client) -> None:
    for number, rubbish in enumerate((b'{"x":' + b"[" * 100_000, b"\xff", b"{}")):
        await nc.jetstream().publish(s.kv(s.LEASES, f"host.rubbish{number}"), rubbish, msg_ttl=60)
        await nc.jetstream().publish(s.kv(s.LEASES, f"job.rubbish{number}"), rubbish, msg_ttl=60)
    command = submission()
    async with running(ExecutorDouble(nc)):
        await ask(nc, command)
        assert tags((await until(nc, command.task, is_end))[-1]) == "task_succeeded"


async def test_a_database_that_refuses_writes_stops_no_decision(
    nats: NatsForTest, nc: Client, tmp_path: Path, postgres_alone: PostgresAlone
) -> None:
    connection = await asyncpg.connect(postgres_alone.dsn)
    await connection.execute("alter system set default_transaction_read_only = on")
    await connection.execute("select pg_reload_conf()")
    process = orchestrator(nats, postgres_alone.dsn, tmp_path / "o")
    process.start()
    try:
        async with running(ExecutorDouble(nc)):
            command = submission()
            await ask(nc, command)
            events = await until(nc, command.task, is_end)
            assert tags(events[-1]) == "task_succeeded"
            await connection.execute("set transaction_read_only = off")
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute("alter system set default_transaction_read_only = off")
            await connection.execute("select pg_reload_conf()")
            await projected(postgres_alone.dsn, events[-1].seq)
    finally:
        await connection.close()
        process.kill()


async def test_a_log_that_has_lost_its_end_is_not_gone_on_with(
    nats: NatsForTest, nc: Client, postgres: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute("insert into penstock.projection (name, seq) values ('read_model', 1000)")
    await connection.close()
    process = orchestrator(nats, postgres, tmp_path / "o")
    process.start()
    assert await asyncio.to_thread(process.ended, WAIT_SECONDS_MAX) == 1
    assert "the log ends at 0, and the read model has seen it up to 1000" in process.log
