"""Many tasks on one orchestrator: whose turn it is, what is held, and tasks that nobody asked for by hand."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from executor_double import BASE, ExecutorDouble, all_well
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamInfo
from orchestrator_fixtures import (
    add_repo,
    ask,
    ask_on,
    is_end,
    leader_of,
    orchestrator,
    put,
    running,
    submission,
    tags,
    until,
)
from patience import WAIT_SECONDS_MAX
from processes import ServiceProcess
from servers import NatsForTest

from penstock import ids
from penstock import subjects as s
from penstock.catalog import Control, FleetSettings, Schedule, Template
from penstock.codec import decode_event, encode
from penstock.commands import Accepted, CancelTask, RefusedReply, RetryTask, SubmitTask, WakeTask, Why, WhyTask
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    DependencyResolved,
    GateScored,
    JobClaimed,
    JobLost,
    MemoryRecalled,
    PrepareFailed,
    PrepareSucceeded,
    Recorded,
    TaskBlocked,
    TaskParked,
    TaskSubmitted,
)
from penstock.jobs import AgentWork, Job, PrepareWork, StopOrder, VerifyWork
from penstock.lease import LeaseState
from penstock.reader import Reader, Stored
from penstock.reports import ReportBody
from penstock.values import Evidence, Usage
from penstock.wish import Wish
from penstock_orchestrator.append import Appender
from penstock_orchestrator.clock import Clock
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.schedule import submission as fire_of
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.loop import Loop
from penstock_orchestrator.schedules import Schedules
from penstock_orchestrator.tables import Catalogue, Leases
from penstock_orchestrator.watch import Watch

pytestmark = pytest.mark.anyio

FLEET = s.catalog_control("fleet", "all")


@pytest.fixture
async def nc(nats: NatsForTest) -> AsyncIterator[Client]:
    client = await nats.connect()
    await add_repo(client)
    yield client
    await client.close()


Start = Callable[..., Awaitable[ServiceProcess]]


@pytest.fixture
async def start(nats: NatsForTest, postgres: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts an orchestrator, with what the catalogue holds by then."""
    begun: list[ServiceProcess] = []

    async def start_one(**settings: str) -> ServiceProcess:
        process = orchestrator(nats, postgres, tmp_path / f"o{len(begun)}", **settings)
        begun.append(process)
        process.start()
        await process.ready()
        return process

    yield start_one
    for process in begun:
        process.kill()


async def told(nc: Client, task: str, part: str) -> Why:
    """The answer to "why", as soon as it holds these words."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while True:
        reply = await ask(nc, WhyTask(id=ids.fresh(), task=task))
        assert isinstance(reply, Why)
        if part in reply.why:
            return reply
        assert asyncio.get_running_loop().time() < deadline, reply
        await asyncio.sleep(0.02)


async def log_of(nc: Client) -> list[Recorded]:
    """Every event that is stored by now, of all tasks, as they follow each other."""
    found: list[Recorded] = []
    last_seq = (await nc.jetstream().stream_info(s.EVENTS)).state.last_seq

    async def follow() -> None:
        async with aclosing(Reader(nc, s.EVENTS).batches()) as batches:
            async for batch in batches:
                found.extend(decode_event(stored.body, stored.seq) for stored in batch)
                if found[-1].seq >= last_seq:
                    return

    await asyncio.wait_for(follow(), WAIT_SECONDS_MAX)
    return found


async def submitted_in_turn(nc: Client) -> list[str]:
    """Every task there is, the oldest first."""
    return [event.task for event in await log_of(nc) if tags(event) == "task_submitted"]


def named(wanted: str) -> Callable[[Recorded], bool]:
    return lambda event: tags(event) == wanted


def of_kind(events: list[Recorded], kind: type[object]) -> list[Recorded]:
    return [event for event in events if isinstance(event.data, kind)]


async def until_small(nats: NatsForTest) -> None:
    """The broker takes small messages only."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while True:
        client = await nats.connect()
        payload_bytes_max = client.max_payload
        await client.close()
        if payload_bytes_max < 20_000:
            return
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


# Turns


async def test_the_queue_goes_by_priority_and_one_at_a_time_where_a_repo_says_so(start: Start, nc: Client) -> None:
    await add_repo(nc, parallel_max=1)
    await put(nc, FLEET, Control(mode="pause", set_by="ann", reason="moving house"))
    process = await start()
    tasks = [submission(priority=priority) for priority in (9, 1, 5)]
    for command in tasks:
        assert isinstance(await ask(nc, command), Accepted)
    nine, one, five = (command.task for command in tasks)
    why = await told(nc, five, "the fleet is paused by ann: moving house")
    assert (why.position, why.phase, why.can_move) == (2, "queued", "a person: resume the fleet")
    async with running(ExecutorDouble(nc)):
        await put(nc, FLEET, None)
        for task in (nine, one, five):
            await until(nc, task, is_end)
    turns = [event for event in await log_of(nc) if tags(event) in ("task_admitted", "task_succeeded")]
    assert [(tags(event), event.task) for event in turns] == [
        (kind, task) for task in (one, five, nine) for kind in ("task_admitted", "task_succeeded")
    ]
    assert "task.cannot_be_decided" not in process.log


async def test_a_full_repo_lets_others_pass_and_the_fleets_limit_is_read_while_it_runs(
    start: Start, nc: Client
) -> None:
    await add_repo(nc, "full", parallel_max=1)
    await put(nc, s.CATALOG_SETTINGS, FleetSettings(tasks_max=2))
    await start()
    async with running(ExecutorDouble(nc, plan=lambda job, epoch: None)):
        first, second, other, last = (submission(name) for name in ("full", "full", "shop", "shop"))
        for command in (first, second, other):
            await ask(nc, command)
        await until(nc, other.task, named("job_claimed"))
        assert (await told(nc, second.task, "all 2 slots of the fleet are taken")).position == 1
        await put(nc, s.CATALOG_SETTINGS, FleetSettings(tasks_max=3))
        await told(nc, second.task, "1 of 1 tasks of repo full are at work")
        await ask(nc, last)
        await until(nc, last.task, named("job_claimed"))


async def test_a_pause_stops_a_task_between_two_steps_and_its_end_lets_it_go_on(start: Start, nc: Client) -> None:
    # One slot: the second task has not begun when the pause comes, whenever the orchestrator hears of it.
    await put(nc, s.CATALOG_SETTINGS, FleetSettings(tasks_max=1))
    await start()
    hold = asyncio.Event()
    command = submission()
    async with running(ExecutorDouble(nc, plan=lambda job, epoch: silent(job, epoch, AgentWork, hold))) as double:
        await ask(nc, command)
        while not double.held:
            await asyncio.sleep(0.01)
        waiting = submission()
        await ask(nc, waiting)
        await put(nc, s.catalog_control("repo", "shop"), Control(mode="pause", set_by="bob"))
        await told(nc, waiting.task, "repo shop is paused by bob")
        job = double.jobs[-1]
        await double.report(job, all_well(job, double.held[job.id].epoch))
        why = await told(nc, command.task, "the next step waits: repo shop is paused by bob")
        assert why.position is None
        hold.set()
        await put(nc, s.catalog_control("repo", "shop"), None)
        for task in (command.task, waiting.task):
            assert tags((await until(nc, task, is_end))[-1]) == "task_succeeded"


def silent(job: Job, epoch: int, kind: type[object], until_set: asyncio.Event) -> ReportBody | None:
    """Everything goes well, but a job of this kind is held without a word, for now."""
    return None if isinstance(job.work, kind) and not until_set.is_set() else all_well(job, epoch)


async def test_a_full_host_gives_the_order_back_and_another_takes_it(start: Start, nc: Client) -> None:
    await put(nc, s.CATALOG_SETTINGS, FleetSettings(hosts={"h1": 1}))
    await start()

    first, second = submission(), submission()
    never = asyncio.Event()
    async with running(ExecutorDouble(nc, plan=lambda job, epoch: silent(job, epoch, AgentWork, never))) as h1:
        await ask(nc, first)
        while not h1.held:
            await asyncio.sleep(0.01)
        await ask(nc, second)
        await until(nc, second.task, named("prepare_requested"))
        async with running(ExecutorDouble(nc, plan=on_h2, host="h2")) as h2:
            events = await until(nc, second.task, is_end)
        assert [job.task for job in h1.jobs] == [first.task] * 2
        assert [job.task for job in h2.jobs] == [second.task] * 4
    assert {event.data.host for event in events if isinstance(event.data, JobClaimed)} == {"h2"}


# Others


async def test_a_chain_waits_for_its_links_and_a_retry_mends_a_broken_one(start: Start, nc: Client) -> None:
    await start()
    broken = [True]

    def fails(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, PrepareWork) and broken[0]:
            return PrepareFailed(job=job.id, epoch=epoch, error_class="git.bad_url", message="no such place")
        return all_well(job, epoch)

    first = submission()
    second = submission(depends_on=(first.task,))
    third = submission(depends_on=(second.task, first.task))
    for command in (first, second, third):
        assert isinstance(await ask(nc, command), Accepted)
    assert "waits for tasks" in (await told(nc, third.task, second.task)).why
    refused = await ask(nc, submission(depends_on=(ids.fresh(),)))
    assert isinstance(refused, RefusedReply)
    async with running(ExecutorDouble(nc, plan=fails)):
        blocked = (await until(nc, second.task, named("task_blocked")))[-1].data
        assert isinstance(blocked, TaskBlocked)
        assert blocked.reason == "dependency.failed"
        broken[0] = False
        retry = RetryTask(id=ids.fresh(), task=ids.fresh(), of=first.task, requested_by="ann")
        assert isinstance(await ask(nc, retry), Accepted)
        await until(nc, retry.task, is_end)
        events = await until(nc, second.task, is_end)
        last = await until(nc, third.task, is_end)
    outcomes = [event.data.outcome for event in events if isinstance(event.data, DependencyResolved)]
    assert outcomes == ["failed", "succeeded"]
    assert tags(events[-1]) == tags(last[-1]) == "task_succeeded"
    assert events[-1].seq < next(event.seq for event in last if tags(event) == "task_admitted")


async def test_a_limit_of_the_account_holds_the_others_until_one_has_tried(
    start: Start, nc: Client, tmp_path: Path
) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    await start(clock_offset_file=str(offset))
    limited: list[str] = []

    def limit_once(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, AgentWork) and not limited:
            limited.append(job.task)
            again = datetime.now(UTC) + timedelta(hours=1)
            return AgentFailed(
                job=job.id,
                epoch=epoch,
                error_class="vendor.rate_limit",
                message="slow down",
                transient=True,
                retry_at=again,
            )
        return all_well(job, epoch)

    first, second, elsewhere = submission(), submission(), submission(account="another")
    async with running(ExecutorDouble(nc, plan=limit_once)):
        await ask(nc, first)
        await until(nc, first.task, named("task_parked"))
        await ask(nc, second)
        await told(nc, second.task, "is held until")
        await ask(nc, elsewhere)
        free = await until(nc, elsewhere.task, is_end)
        # The hold ends when the test is through with it, however long that took.
        offset.write_text("3601")
        tried = await until(nc, first.task, is_end)
        held = await until(nc, second.task, is_end)
    assert not of_kind(free, TaskParked)
    assert tags(tried[-1]) == tags(held[-1]) == "task_succeeded"
    # Whoever of the two was let through first, the other waited for its success.
    asked = [[event.seq for event in events if tags(event) == "agent_requested"][-1] for events in (tried, held)]
    worked = [next(event.seq for event in events if tags(event) == "agent_succeeded") for events in (tried, held)]
    assert max(asked) > min(worked)
    assert free[-1].seq < min(worked)


async def test_a_person_who_wakes_the_limited_task_need_not_wait_for_the_hold(start: Start, nc: Client) -> None:
    await start()
    limited: list[str] = []

    def limit_once(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, AgentWork) and not limited:
            limited.append(job.task)
            again = datetime.now(UTC) + timedelta(hours=2)
            return AgentFailed(
                job=job.id, epoch=epoch, error_class="vendor.usage_window", message="", transient=True, retry_at=again
            )
        return all_well(job, epoch)

    command = submission()
    async with running(ExecutorDouble(nc, plan=limit_once)):
        await ask(nc, command)
        await until(nc, command.task, named("task_parked"))
        assert isinstance(await ask(nc, WakeTask(id=ids.fresh(), task=command.task, requested_by="ann")), Accepted)
        assert tags((await until(nc, command.task, is_end))[-1]) == "task_succeeded"


async def test_when_a_days_money_is_spent_the_next_task_waits_until_tomorrow(
    start: Start, nc: Client, tmp_path: Path
) -> None:
    await add_repo(nc, max_cost_usd_per_day=0.2)
    # For the orchestrator it is noon: no midnight comes between.
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    offset = tmp_path / "offset"
    offset.write_text(str((noon - now).total_seconds()))
    await start(clock_offset_file=str(offset))
    first, second = submission(), submission()
    async with running(ExecutorDouble(nc)):
        await ask(nc, first)
        await until(nc, first.task, is_end)
        await ask(nc, second)
        asked = await told(nc, second.task, "USD today (UTC), of 0.20 a day")
    assert asked.phase == "queued"
    assert asked.wake_at is not None
    assert asked.wake_at == noon + timedelta(hours=12)


async def test_the_score_knows_how_the_repos_earlier_tasks_have_ended(start: Start, nc: Client) -> None:
    await start()

    def with_evidence(job: Job, epoch: int) -> ReportBody | None:
        said = all_well(job, epoch)
        if isinstance(said, PrepareSucceeded):
            return replace(said, evidence=Evidence(words=3, overlap=2, recent_commits=0, recent_commits_all=5))
        return said

    scored: list[GateScored] = []
    async with running(ExecutorDouble(nc, plan=with_evidence)):
        for _ in range(2):
            command = submission()
            await ask(nc, command)
            events = await until(nc, command.task, is_end)
            scored += [event.data for event in events if isinstance(event.data, GateScored)]
    assert [gate.history.succeeded for gate in scored] == [0, 1]
    assert scored[1].history.turns == (2,)


# Being told to stop


async def test_a_run_over_its_budget_is_told_to_stop_and_the_task_waits_for_a_person(start: Start, nc: Client) -> None:
    await start(stop_patience_seconds="60")
    orders: asyncio.Queue[Msg] = asyncio.Queue()
    await nc.subscribe("penstock.control.stop.>", cb=orders.put)
    command = submission(max_cost_usd=1.0)
    never = asyncio.Event()
    async with running(ExecutorDouble(nc, plan=lambda job, epoch: silent(job, epoch, AgentWork, never))) as double:
        await ask(nc, command)
        job = await held_job(double)
        await double.report(job, over(job, double))
        for _ in range(2):
            order = msgspec.json.decode((await orders.get()).data, type=StopOrder)
            assert (order.job, order.reason) == (job.id, "budget.cost")
        await double.stopped(job)
        events = await until(nc, command.task, named("task_blocked"))
    assert isinstance(events[-1].data, TaskBlocked)
    assert events[-1].data.reason == "budget.cost"
    assert [tags(event) for event in events][-4:] == [
        "budget_warned",
        "job_stop_requested",
        "job_stopped",
        "task_blocked",
    ]


async def test_a_run_that_does_not_stop_loses_its_lease(start: Start, nc: Client) -> None:
    await start(stop_patience_seconds="1")
    command = submission(max_cost_usd=1.0)
    never = asyncio.Event()
    async with running(ExecutorDouble(nc, plan=lambda job, epoch: silent(job, epoch, AgentWork, never))) as double:
        await ask(nc, command)
        job = await held_job(double)
        await double.report(job, over(job, double))
        events = await until(nc, command.task, named("task_blocked"))
    assert of_kind(events, JobLost)


async def held_job(double: ExecutorDouble) -> Job:
    while not double.held:
        await asyncio.sleep(0.01)
    return double.jobs[-1]


def over(job: Job, double: ExecutorDouble) -> AgentProgressed:
    usage = Usage(turns=3, cost_usd=1.5, wall_seconds=1.0)
    return AgentProgressed(job=job.id, epoch=double.held[job.id].epoch, usage=usage)


# The catalogue


async def test_a_template_fills_in_what_a_command_leaves_out(start: Start, nc: Client) -> None:
    await start()
    await put(
        nc,
        s.catalog_template("small"),
        Template(name="small", task=Wish(repo="shop", title="From the template", vendor="scripted", priority=2)),
    )
    command = SubmitTask(id=ids.fresh(), task=ids.fresh(), template="small", priority=7)
    assert isinstance(await ask(nc, command), Accepted)
    spec = (await until(nc, command.task, named("task_submitted")))[0].data
    assert isinstance(spec, TaskSubmitted)
    assert (spec.title, spec.priority, spec.repo.name, spec.template) == ("From the template", 7, "shop", "small")
    assert spec.policy.failures_alike_max == 2
    unknown = await ask(nc, submission(template="none"))
    assert isinstance(unknown, RefusedReply)
    assert unknown.code == "unknown_template"


async def test_an_entry_that_cannot_be_read_leaves_the_one_before_in_force(start: Start, nc: Client) -> None:
    await put(nc, FLEET, Control(mode="drain", set_by="ann"))
    process = await start()
    await nc.jetstream().publish(s.kv(s.CATALOG, FLEET), b'{"mode":"nonsense"}')
    await nc.jetstream().publish(s.kv(s.CATALOG, s.CATALOG_SETTINGS), b"[" * 10_000)
    await put(nc, s.catalog_schedule("bad"), Schedule(name="bad", cron="61 * * * *"))
    while process.log.count("catalogue.unreadable") < 3:
        await asyncio.sleep(0.02)
    command = submission()
    await ask(nc, command)
    await told(nc, command.task, "the fleet is drained by ann")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (s.catalog_control("fleet", "all"), "the fleet is paused: cannot be read"),
        (s.CATALOG_SETTINGS, "the settings of the fleet cannot be read"),
    ],
)
async def test_an_entry_that_never_could_be_read_lets_nothing_begin(
    start: Start, nc: Client, key: str, words: str
) -> None:
    shop = s.catalog_control("repo", "shop")
    await put(nc, shop, Control(mode="pause"))
    process = await start()
    command = submission()
    await ask(nc, command)
    await told(nc, command.task, "repo shop is paused")
    await nc.jetstream().publish(s.kv(s.CATALOG, key), b'{"of_tomorrow":1}')
    # Entries are taken in turn: when the pause is over, what cannot be read is in force.
    await put(nc, shop, None)
    await told(nc, command.task, words)
    assert "catalogue.unreadable" in process.log


async def test_who_starts_goes_by_the_last_revision_that_can_be_read(start: Start, nc: Client) -> None:
    await put(nc, FLEET, Control(mode="drain", set_by="ann"))
    await put(nc, s.CATALOG_SETTINGS, FleetSettings(tasks_max=7))
    await nc.jetstream().publish(s.kv(s.CATALOG, FLEET), b'{"mode":"nonsense"}')
    await nc.jetstream().publish(s.kv(s.CATALOG, FLEET), b'{"mode":"worse"}')
    process = await start()
    command = submission()
    await ask(nc, command)
    await told(nc, command.task, "the fleet is drained by ann")
    assert process.log.count("catalogue.older_in_force") == 1


async def test_nobody_begins_before_it_is_known_what_an_entry_was(nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(nc, FLEET, Control(mode="drain", set_by="ann"))
    await nc.jetstream().publish(s.kv(s.CATALOG, FLEET), b'{"mode":"nonsense"}')
    fleet = Fleet()
    catalogue = Catalogue(nc, fleet)
    asked, answer, history = asyncio.Event(), asyncio.Event(), catalogue._history

    async def slow_history(stored: Stored) -> list[LeaseState]:
        asked.set()
        await answer.wait()
        return await history(stored)

    monkeypatch.setattr(catalogue, "_history", slow_history)
    runs, filled = asyncio.create_task(catalogue.run()), asyncio.create_task(catalogue.filled())
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await asked.wait()
            await nc.flush()
            assert not filled.done()
            answer.set()
            await filled
        assert fleet.controls["fleet", "all"].mode == "drain"
    finally:
        for task in (runs, filled):
            task.cancel()
        await asyncio.wait([runs, filled])


async def test_a_schedule_of_the_beginning_of_time_is_refused_and_the_leader_goes_on(start: Start, nc: Client) -> None:
    process = await start()
    zero = b'{"name":"zero","cron":"0 2 * * *","since":"0001-01-01T00:00:00Z","task":{"repo":"shop","title":"x"}}'
    await nc.jetstream().publish(s.kv(s.CATALOG, s.catalog_schedule("zero")), zero)
    while "is not between 2000 and 2100" not in process.log:
        await asyncio.sleep(0.02)
    command = submission()
    async with running(ExecutorDouble(nc)):
        await ask(nc, command)
        await until(nc, command.task, is_end)


async def test_an_order_that_the_broker_would_never_take_is_told_and_can_be_cancelled(
    start: Start, nc: Client, nats: NatsForTest
) -> None:
    assert nats.pid is not None
    config = Path(f"/proc/{nats.pid}/cmdline").read_bytes().split(b"\0")[2].decode()
    wide = Path(config).read_text()
    assert "max_payload: 1048576" in wide
    Path(config).write_text(wide.replace("max_payload: 1048576", "max_payload: 16384"))
    os.kill(nats.pid, signal.SIGHUP)
    await until_small(nats)
    await start()
    big, small = submission(description="d" * 9_000), submission()
    await ask(nc, big)
    async with running(ExecutorDouble(nc)):
        asked = await told(nc, big.task, "bytes, and the broker takes")
        assert asked.phase == "blocked"
        assert isinstance(await ask(nc, CancelTask(id=ids.fresh(), task=big.task)), Accepted)
        assert tags((await until(nc, big.task, is_end))[-1]) == "task_cancelled"
        await ask(nc, small)
        assert tags((await until(nc, small.task, is_end))[-1]) == "task_succeeded"


async def test_a_command_is_only_answered_on_its_own_subject(start: Start, nc: Client) -> None:
    await start()
    command = submission()
    await ask(nc, command)
    cancel = CancelTask(id=ids.fresh(), task=command.task)
    reply = await ask_on(nc, s.command("job", "claim"), encode(cancel))
    assert isinstance(reply, RefusedReply)
    assert (reply.code, reply.field) == ("invalid", "kind")


# Tasks that nobody asked for by hand


async def test_a_missed_fire_is_made_up_for_once_by_two_orchestrators(start: Start, nc: Client) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).replace(hour=4, minute=30, second=0, microsecond=0)
    schedule = Schedule(
        name="nightly",
        cron=f"30 4 {yesterday.day} {yesterday.month} *",
        task=Wish(repo="shop", title="Update the packages", vendor="scripted"),
        since=yesterday - timedelta(hours=1),
    )
    await put(nc, s.catalog_schedule("nightly"), schedule)
    processes = [await start(), await start()]
    fired = fire_of(schedule, yesterday)
    async with running(ExecutorDouble(nc)):
        events = await until(nc, fired.task, is_end)
        leader = await leader_of(*processes)
        leader.kill()
        while await leader_of(*processes) is leader:
            await asyncio.sleep(0.02)
        command = submission()
        await ask(nc, command)
        await until(nc, command.task, is_end)
    spec = events[0].data
    assert isinstance(spec, TaskSubmitted)
    assert spec.origin is not None
    assert (spec.origin.kind, spec.origin.name, spec.origin.scheduled_for) == ("schedule", "nightly", yesterday)
    assert spec.submitted_by == "schedule:nightly"
    assert await submitted_in_turn(nc) == [fired.task, command.task]
    assert sum(process.log.count("schedule.fired") for process in processes) == 1


async def test_a_schedule_fires_when_its_time_comes_and_one_that_is_refused_stops_no_other(
    start: Start, nc: Client, tmp_path: Path
) -> None:
    offset = tmp_path / "offset"
    process = await start(clock_offset_file=str(offset))
    wish = Wish(title="Update the packages", vendor="scripted")
    now = datetime.now(UTC)
    for name, repo in (("bad", "nowhere"), ("good", "shop")):
        entry = Schedule(name=name, cron="0 0 1 * *", task=replace(wish, repo=repo), since=now)
        await put(nc, s.catalog_schedule(name), entry)
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    offset.write_text(f"{(first - now).total_seconds() + 1:.0f}")
    fired = fire_of(Schedule(name="good", cron="0 0 1 * *", task=replace(wish, repo="shop"), since=now), first)
    async with running(ExecutorDouble(nc)):
        events = await until(nc, fired.task, is_end)
    assert tags(events[-1]) == "task_succeeded"
    assert process.log.count("schedule.refused") == 1
    assert "clock.no_offset" in process.log


async def test_a_schedule_that_breaks_stops_no_other_and_a_fire_of_a_wrong_clock_is_not_believed(nc: Client) -> None:
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    fleet = Fleet()
    catalogue = Catalogue(nc, fleet)
    begin = datetime.min.replace(tzinfo=UTC)
    catalogue.schedules["bad"] = Schedule(name="bad", cron="0 2 * * *", since=begin)
    catalogue.schedules["good"] = Schedule(name="good", cron="0 12 * * *", since=now - timedelta(hours=1))
    fleet.fired["good"] = now + timedelta(days=365)
    submitted: asyncio.Queue[SubmitTask] = asyncio.Queue()

    async def submit(command: SubmitTask) -> Accepted:
        submitted.put_nowait(command)
        return Accepted(task=command.task, seq=1)

    runs = asyncio.create_task(Schedules(catalogue, fleet, submit, clock=lambda: now).run())
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            fire = await submitted.get()
        assert fire == fire_of(catalogue.schedules["good"], now)
        assert not runs.done()
    finally:
        runs.cancel()
        await asyncio.wait([runs])
    assert runs.cancelled()
    assert submitted.empty()


async def test_who_waits_for_the_reports_of_the_dead_does_not_wait_for_those_of_the_living(
    nc: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clock() -> datetime:
        return datetime.now(UTC)

    async def recall(_: Task) -> MemoryRecalled:
        raise AssertionError("no task of this test gets that far")

    fold = Fold(nc, Fleet())
    loop = Loop(nc, fold, Appender(nc, fold, clock=clock, source="/test"), clock=clock, recall=recall)
    watch = Watch(nc, fold, loop, Leases(nc), clock=clock, every_seconds=60.0, stop_patience_seconds=60.0)
    js = nc.jetstream()
    counted = asyncio.Event()

    async def stream_info(name: str) -> StreamInfo:
        info = await js.stream_info(name)
        counted.set()
        return info

    # However slow the machine is: the living speak after the dead were counted, and the wait ends by what it sees.
    monkeypatch.setattr(watch._js, "stream_info", stream_info)
    monkeypatch.setattr("penstock_orchestrator.watch.REPORTS_SETTLED_TRIES", 100_000)
    subject = s.report(ids.fresh(), ids.fresh(), "agent_progressed")
    await js.publish(subject, b"of the dead")
    settled = asyncio.create_task(watch._reports_settled())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await counted.wait()
    reports = await js.pull_subscribe_bind(s.REPORTS_DURABLE, s.REPORTS)
    [of_the_dead] = await reports.fetch(1)
    for _ in range(20):
        await js.publish(subject, b"of the living")
        assert not settled.done()
        await asyncio.sleep(0.02)
    await of_the_dead.ack()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not settled.done():
            await js.publish(subject, b"of the living")
            await asyncio.sleep(0.02)
    await settled


async def test_tasks_come_as_messages_and_what_is_refused_lies_among_the_dead_letters(start: Start, nc: Client) -> None:
    await start()
    js = nc.jetstream()
    good = submission(submitted_by="build server")
    without_ids = b'{"repo": "shop", "title": "By message", "vendor": "scripted"}'
    for body, message_id in (
        (encode(good), ""),
        (encode(good), ""),
        (encode(submission("nowhere")), ""),
        (b"{]", ""),
        (without_ids, ""),
        (without_ids[:-1] + b', "plan_gate": {"silense": "deny"}}', "order-16"),
        (without_ids, "order-17"),
        (encode(replace(submission(), as_agent_of=good.task)), ""),
    ):
        await js.publish(s.INTAKE_SUBJECT, body, headers={s.MSG_ID: message_id} if message_id else None)
    by_message = ids.derived("intake", "task", "order-17")
    async with running(ExecutorDouble(nc)):
        for task in (good.task, by_message):
            events = await until(nc, task, is_end)
            assert tags(events[-1]) == "task_succeeded"
    spec = (await until(nc, good.task, named("task_submitted")))[0].data
    assert isinstance(spec, TaskSubmitted)
    assert spec.submitted_by == "intake:build server"
    assert spec.origin is not None
    assert spec.origin.kind == "intake"
    reasons = sorted([await dead(nc, number) for number in range(1, 6)])
    assert [reason.split(":")[0] for reason in reasons] == [
        "forbidden",
        "not a submission",
        "not a submission",
        "not a submission",
        "unknown_repo",
    ]
    assert sorted(await submitted_in_turn(nc)) == sorted([good.task, by_message])
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while (await js.stream_info(s.INTAKE)).state.messages:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def dead(nc: Client, number: int) -> str:
    """The reason of the dead letter with this number, once it is there."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while (await nc.jetstream().stream_info(s.DEAD)).state.last_seq < number:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)
    message = await nc.jetstream().get_msg(s.DEAD, number)
    return str((message.headers or {})[s.DEAD_REASON])


async def test_a_clock_that_is_set_ahead_wakes_a_parked_task(start: Start, nc: Client, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    await start(clock_offset_file=str(offset), park_seconds_min="3000", park_seconds_max="4000")
    tries: list[str] = []

    def unreachable_once(job: Job, epoch: int) -> ReportBody | None:
        if isinstance(job.work, PrepareWork) and not tries:
            tries.append(job.id)
            return PrepareFailed(
                job=job.id, epoch=epoch, error_class="git.unreachable", message="no route", transient=True
            )
        return all_well(job, epoch)

    command = submission()
    async with running(ExecutorDouble(nc, plan=unreachable_once)) as double:
        await ask(nc, command)
        await until(nc, command.task, named("task_parked"))
        offset.write_text("5000")
        events = await until(nc, command.task, is_end)
    assert tags(events[-1]) == "task_succeeded"
    assert [tags(event) for event in events].count("task_admitted") == 2
    assert sum(isinstance(job.work, VerifyWork) for job in double.jobs) == 1


async def test_an_offset_that_is_none_counts_as_nothing_and_a_good_one_at_once(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    clock = Clock(str(offset))

    def is_ahead_by(seconds: int) -> bool:
        before, said, after = datetime.now(UTC), clock(), datetime.now(UTC)
        return before <= said - timedelta(seconds=seconds) <= after

    assert is_ahead_by(0)
    # No two that follow each other are of one size: where a file system tells time in coarse ticks, that tells them apart.
    for text, wanted in (("60", 60), ("nan", 0), ("1e99", 0), ("-30\n", -30), ("later", 0), ("7200", 7200)):
        offset.write_text(text)
        assert is_ahead_by(wanted)
    offset.unlink()
    assert is_ahead_by(0)


async def test_however_often_leaders_die_no_more_tasks_hold_slots_than_may(start: Start, nc: Client) -> None:
    await put(nc, s.CATALOG_SETTINGS, FleetSettings(tasks_max=5))
    await add_repo(nc, "narrow", parallel_max=2)
    # A leader that was not killed must not lose its lease to a busy machine: who wakes late may give out a slot too many.
    processes = [await start(leader_lease_seconds="4") for _ in range(2)]
    tasks = [submission(("shop", "narrow")[number % 2], priority=1 + number % 9) for number in range(40)]
    async with running(ExecutorDouble(nc)), running(ExecutorDouble(nc, host="h2", plan=on_h2)):
        for number, command in enumerate(tasks):
            assert isinstance(await ask(nc, command), Accepted)
            if number % 8 == 7:
                victim = processes[number // 8 % 2]
                victim.kill()
                victim.start()
        for command in tasks:
            assert tags((await until(nc, command.task, is_end))[-1]) == "task_succeeded"
    most = {"": 0, "narrow": 0}
    holders: dict[str, str] = {}
    for event in await log_of(nc):
        if tags(event) == "task_admitted":
            holders[event.task] = event.repo
        elif is_end(event):
            del holders[event.task]
        most[""] = max(most[""], len(holders))
        most["narrow"] = max(most["narrow"], list(holders.values()).count("narrow"))
    assert holders == {}
    assert most == {"": 5, "narrow": 2}


def on_h2(job: Job, epoch: int) -> ReportBody | None:
    """Everything goes well, on another host."""
    if isinstance(job.work, PrepareWork):
        return PrepareSucceeded(job=job.id, epoch=epoch, host="h2", base_commit=BASE, branch=job.work.branch)
    return all_well(job, epoch)
