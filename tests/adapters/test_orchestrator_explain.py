"""A task's history, asked of a real orchestrator, and its real log replayed on the command line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from executor_double import ExecutorDouble, Script, all_well
from nats.aio.client import Client
from orchestrator_fixtures import add_repo, ask, is_end, orchestrator, running, submission, tags, until
from patience import WAIT_SECONDS_MAX
from processes import ServiceProcess
from servers import NatsForTest

from penstock import ids
from penstock.commands import Accepted, Explained, ExplainTask, RefusedReply, Transition
from penstock.events import AgentFailed, Recorded
from penstock.jobs import AgentWork, Job
from penstock.log import load_task
from penstock.reports import ReportBody
from penstock_launcher import nats_conf
from penstock_orchestrator.core.replay import replay
from penstock_orchestrator.explained import PAGE_BYTES_MAX, PAGE_EVENTS_MAX, explained, page

pytestmark = pytest.mark.anyio


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


def limited_once() -> Script:
    """The vendor is at its limit the first time it is asked."""
    asked: list[str] = []

    def plan(job: Job, epoch: int) -> ReportBody | None:
        if not isinstance(job.work, AgentWork) or asked:
            return all_well(job, epoch)
        asked.append(job.id)
        return AgentFailed(job=job.id, epoch=epoch, error_class="vendor.rate_limit", message="429", transient=True)

    return plan


async def lived(nc: Client, plan: Script = all_well) -> tuple[str, list[Recorded]]:
    """A task that was done, and its events."""
    command = submission()
    async with running(ExecutorDouble(nc, plan)):
        assert isinstance(await ask(nc, command), Accepted)
        return command.task, await until(nc, command.task, is_end)


async def test_a_task_explains_every_step_and_today_agrees_with_each(one: ServiceProcess, nc: Client) -> None:
    task, events = await lived(nc)
    told = await ask(nc, ExplainTask(id=ids.fresh(), task=task))
    assert isinstance(told, Explained)
    assert [step.event for step in told.transitions] == [tags(event) for event in events]
    assert not told.more
    assert all(step.agrees for step in told.transitions)
    assert told.transitions[-1].rule == "handed_over"
    later = await ask(nc, ExplainTask(id=ids.fresh(), task=task, after=events[2].seq))
    assert isinstance(later, Explained)
    assert later.transitions == told.transitions[3:]


async def test_a_real_log_replays_without_a_difference(one: ServiceProcess, nc: Client, nats: NatsForTest) -> None:
    """Decisions carry the moment for which they were made, a park with its wake time among them."""
    task, events = await lived(nc, limited_once())
    assert "task_parked" in [tags(event) for event in events]
    assert replay(await load_task(nc, "shop", task)) == []
    code, out, err = await command_line(nats, "--task", task, "--explain")
    assert (code, err) == (0, "")
    assert f"{len(events)} events of task {task}: today's rules decide the same" in out
    assert "decision by after_failure: the task is parked until" in out
    code, out, _ = await command_line(nats, "--task", task, "--what-if", "policy.parks_max=0")
    assert (code, "a person would be asked (vendor.rate_limit" in out) == (1, True)


async def test_the_command_line_says_what_is_wrong_with_a_question_to_the_broker(nats: NatsForTest, nc: Client) -> None:
    unknown = ids.fresh()
    code, _, err = await command_line(nats, "--task", unknown)
    assert (code, err.strip()) == (2, f"--task {unknown}: the log has no such task")
    code, _, err = await command_line(nats, "--task", unknown, PENSTOCK_NATS_URL="nats://127.0.0.1:1")
    assert code == 2
    assert err == "PENSTOCK_NATS_URL: no broker answers there within 5 s\n"
    code, _, err = await command_line(nats, "--task", unknown, PENSTOCK_PARKS_MAX="-1")
    assert code == 2
    assert "PENSTOCK_PARKS_MAX" in err
    await nc.jetstream().publish(f"penstock.in.event.shop.{unknown}.task_submitted", b"{}")
    code, _, err = await command_line(nats, "--task", unknown)
    assert code == 2
    assert "holds what is no event" in err


async def test_nobody_explains_a_task_that_does_not_exist(one: ServiceProcess, nc: Client) -> None:
    told = await ask(nc, ExplainTask(id=ids.fresh(), task=ids.fresh()))
    assert isinstance(told, RefusedReply)
    assert (told.code, told.field) == ("unknown_task", "task")


async def test_a_log_that_cannot_be_read_is_refused_and_a_broker_that_is_away_is_waited_for(
    nats: NatsForTest, nc: Client
) -> None:
    await nc.jetstream().publish("penstock.in.event.shop.01broken00000000000000.task_submitted", b"{}")
    command = ExplainTask(id=ids.fresh(), task="01broken00000000000000")
    told = await explained(nc, "shop", command)
    assert isinstance(told, RefusedReply)
    assert "cannot read" in told.message
    nats.kill()
    assert type(await explained(nc, "shop", command)).__name__ == "NotReady"


def transition(seq: int, says: str) -> Transition:
    return Transition(
        seq=seq,
        at=datetime(2026, 3, 2, tzinfo=UTC),
        event="task_parked",
        before="running",
        after="parked",
        kind="decision",
        rule="after_failure",
        facts=(),
        says=says,
    )


def test_a_page_is_bounded_by_its_bytes_and_by_its_steps() -> None:
    long = [transition(seq, "x" * 4_000) for seq in range(1, 301)]
    first = page("t" * 26, long)
    assert first.more
    assert sum(len(one.says) for one in first.transitions) <= PAGE_BYTES_MAX
    assert len(first.transitions) > 90
    short = page("t" * 26, [transition(seq, "x") for seq in range(1, PAGE_EVENTS_MAX + 2)])
    assert (len(short.transitions), short.more) == (PAGE_EVENTS_MAX, True)
    last = page("t" * 26, long[-2:])
    assert (len(last.transitions), last.more) == (2, False)


async def command_line(nats: NatsForTest, *arguments: str, **settings: str) -> tuple[int, str, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PENSTOCK_NATS_URL": nats.url,
        "PENSTOCK_NATS_USER": nats_conf.ORCHESTRATOR,
        "PENSTOCK_NATS_PASSWORD": nats.password,
    } | settings
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "penstock_orchestrator.replay",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS_MAX)
    return process.returncode or 0, out.decode(), err.decode()
