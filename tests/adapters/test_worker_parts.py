"""The executor's parts by themselves, on a real broker: its folder, output that cannot leave, reports that cannot be sent."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec import structs
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest

from penstock import codec, ids
from penstock import subjects as s
from penstock.bounds import COUNT_MAX, USD_MAX
from penstock.catalog import LeaseValue
from penstock.events import AgentFailed, PrepareSucceeded
from penstock.jobs import AgentWork, Job, PrepareWork
from penstock.lease import Lost
from penstock.output import OutputBatch, OutputLine
from penstock.reader import Reader
from penstock.values import Kept, RepoSnapshot, Usage
from penstock_agent_exec.folder import FolderTaken, hold
from penstock_agent_exec.report import class_of_os_error, failed, report_of, stopped
from penstock_agent_exec.steps.bench import InHand
from penstock_agent_exec.stream_output import LINES_AT_ONCE_MAX, WAITING_LINES_MAX, OutputStream, output_stream
from penstock_agent_exec.tenure import Stopped
from penstock_agent_exec.tenure import hold as hold_job

pytestmark = pytest.mark.anyio

REPO = RepoSnapshot(name="calc", clone_url="/srv/calc.git")
VALUE = LeaseValue(holder="h1", instance="i1", installation="n1")


@pytest.fixture
async def nc(nats: NatsForTest) -> AsyncIterator[Client]:
    client = await nats.connect("agent-exec")
    yield client
    await client.close()


@pytest.fixture
def job() -> Job:
    return Job(
        id=ids.fresh(),
        task=ids.fresh(),
        repo="calc",
        pool="scripted",
        host=None,
        work=PrepareWork(repo=REPO, branch="agent/x"),
    )


async def batches(nats: NatsForTest, job: Job, last: str) -> list[OutputBatch]:
    """The job's output up to the line `last`."""
    client = await nats.connect()
    found: list[OutputBatch] = []
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX), aclosing(Reader(client, s.OUTPUT).batches()) as stored:
            async for some in stored:
                found += [codec.batches.decode(one.body) for one in some]
                if found[-1].lines[-1].text == last:
                    return found
    finally:
        await client.close()
    raise AssertionError(job.id)


def test_a_folder_keeps_its_id_and_every_holder_is_another_instance(tmp_path: Path) -> None:
    first = hold(tmp_path / "data")
    with pytest.raises(FolderTaken, match="in use by process"):
        hold(tmp_path / "data")
    os.close(first.lock)
    second = hold(tmp_path / "data")
    os.close(second.lock)
    assert second.installation == first.installation
    assert second.instance != first.instance


def test_a_folder_whose_id_was_lost_in_a_power_cut_is_another_installation(tmp_path: Path) -> None:
    first = hold(tmp_path / "data")
    os.close(first.lock)
    (tmp_path / "data" / "installation").write_text("")
    second = hold(tmp_path / "data")
    os.close(second.lock)
    assert second.installation != first.installation


async def test_lines_come_in_order_and_batches_are_numbered(nats: NatsForTest, nc: Client, job: Job) -> None:
    async with output_stream(nc, job, 7) as output:
        for number in range(1_000):
            output.add(OutputLine(kind="text", text=f"line {number}"))
    found = await batches(nats, job, "line 999")
    assert [batch.number for batch in found] == list(range(1, len(found) + 1))
    assert {(batch.job, batch.epoch) for batch in found} == {(job.id, 7)}
    assert [line.text for batch in found for line in batch.lines] == [f"line {number}" for number in range(1_000)]


async def test_while_the_broker_is_away_the_newest_lines_wait_and_the_others_are_counted(
    nats: NatsForTest, nc: Client, job: Job
) -> None:
    stream = OutputStream(nc, job, 1)
    await asyncio.to_thread(nats.kill)
    running = asyncio.create_task(stream.run())
    for number in range(3 * WAITING_LINES_MAX):
        stream.add(OutputLine(kind="text", text=f"line {number}"))
    stream.end()
    await asyncio.to_thread(nats.start)
    await asyncio.wait_for(running, WAIT_SECONDS_MAX)
    lines = [
        line.text for batch in await batches(nats, job, f"line {3 * WAITING_LINES_MAX - 1}") for line in batch.lines
    ]
    assert any("lines left out" in line for line in lines)
    assert len(lines) <= WAITING_LINES_MAX + 1_000


async def test_of_one_read_full_of_lines_the_last_are_shown_and_the_others_counted(
    nats: NatsForTest, nc: Client, job: Job
) -> None:
    async with output_stream(nc, job, 1) as output:
        output.add_printed("verify", [b"line %d" % number for number in range(10_000)], "test")
    found = [line for batch in await batches(nats, job, "line 9999") for line in batch.lines]
    assert len(found) == LINES_AT_ONCE_MAX + 1
    assert found[0].text.startswith(f"{10_000 - LINES_AT_ONCE_MAX} lines left out")
    assert (found[1].kind, found[1].tool, found[1].text) == ("verify", "test", f"line {10_000 - LINES_AT_ONCE_MAX}")


async def test_a_report_that_could_not_be_read_is_sent_as_a_fault_of_this_host(nc: Client, job: Job) -> None:
    async with hold_job(nc, job.id, VALUE, seconds=30) as tenure:
        hand = InHand(job=job, tenure=tenure, output=OutputStream(nc, job, tenure.epoch))
        unfit = PrepareSucceeded(job=job.id, epoch=tenure.epoch, host="h1", base_commit="not an oid", branch="x")
        report = report_of(hand, "h1", unfit)
        assert codec.type_of(report.body) == "prepare_failed"
        assert getattr(report.body, "error_class", "") == "host.bug"
        codec.reports.decode(codec.encode(report))


async def test_the_report_of_a_fault_holds_nothing_that_made_the_first_one_unfit(nc: Client, job: Job) -> None:
    work = AgentWork(
        repo=REPO,
        branch="agent/x",
        attempt=1,
        vendor="scripted",
        model="x",
        session_id="s",
        resume=False,
        base_commit="a" * 40,
        prompt="x",
        fresh_prompt="x",
        max_turns=None,
        max_cost_usd=None,
        wall_seconds_max=60,
    )
    job = structs.replace(job, work=work)
    async with hold_job(nc, job.id, VALUE, seconds=30) as tenure:
        hand = InHand(job=job, tenure=tenure, output=OutputStream(nc, job, tenure.epoch))
        hand.usage = Usage(input_tokens=COUNT_MAX + 1, cost_usd=USD_MAX * 2.0)
        hand.kept = Kept(ref="refs/penstock/wip/x/1", commit="not an oid")
        hand.session_id = hand.vendor_version = "s" * 3_000
        report = codec.reports.decode(codec.encode(report_of(hand, "h1", failed(hand, "agent.error_result", "x"))))
        assert isinstance(report.body, AgentFailed)
        assert (report.body.error_class, report.body.usage) == ("host.bug", Usage())


async def test_a_stopped_job_says_what_it_used_and_kept(nc: Client, job: Job) -> None:
    async with hold_job(nc, job.id, VALUE, seconds=30) as tenure:
        hand = InHand(job=job, tenure=tenure, output=OutputStream(nc, job, tenure.epoch))
        hand.usage = Usage(turns=3, cost_usd=0.5)
        hand.kept = Kept(ref="refs/penstock/wip/x/1", commit="a" * 40)
        body = stopped(hand, "enough\x00 \x1b[31mnow")
        assert (body.usage.turns, body.usage.cost_usd, body.kept) == (3, 0.5, hand.kept)
        assert body.reason == "enough now"


async def test_work_is_over_before_anybody_hears_that_the_lease_is_lost(
    nc: Client, nats: NatsForTest, job: Job
) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    admin = await nats.connect()
    try:
        async with hold_job(nc, job.id, VALUE, seconds=6) as tenure:
            tenure.must_hold()
            await admin.jetstream().publish(s.kv(s.LEASES, s.job_lease(job.id)), b"{}")
            with pytest.raises(Lost):
                await tenure.while_held(work())
            assert ended == ["work"]
            with pytest.raises(Lost):
                tenure.must_hold()
    finally:
        await admin.close()


async def test_work_that_was_told_to_stop_is_over_when_that_is_known(nc: Client, job: Job) -> None:
    async with hold_job(nc, job.id, VALUE, seconds=30) as tenure:
        tenure.stop.ask("first")
        tenure.stop.ask("second")
        with pytest.raises(Stopped, match="first"):
            await tenure.stop.unless_asked(asyncio.Event().wait())
        tenure.must_hold()


@pytest.mark.parametrize(
    ("number", "error_class"),
    [
        (errno.ENOSPC, "host.disk_full"),
        (errno.EDQUOT, "host.disk_full"),
        (errno.EMFILE, "host.open_files"),
        (errno.ENOMEM, "host.resources"),
        (errno.EACCES, "host.permission"),
        (errno.EIO, "host.os_error"),
    ],
)
def test_what_the_kernel_refuses_has_a_class(number: int, error_class: str) -> None:
    assert class_of_os_error(OSError(number, "no")) == error_class
