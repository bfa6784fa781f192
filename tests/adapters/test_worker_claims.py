"""Given an order, when it is claimed or cannot be, then it is taken off the queue at the right moment, by one executor only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from executor_world import COMMIT, MEND, World, logged, until, world
from patience import WAIT_SECONDS_MAX
from process_watch import seconds_until
from processes import ServiceProcess
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock import subjects as s
from penstock.catalog import LeaseValue
from penstock.commands import Accepted, ClaimJob, NotReady, RefusedReply, Why
from penstock.events import AgentSucceeded, JobStopped, PrepareSucceeded
from penstock.lease import Lease, read
from penstock_agent_exec.folder import MARK

pytestmark = pytest.mark.anyio


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world without an executor."""
    async with world(tmp_path / "w", nats, remote) as found:
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


async def test_a_claim_is_made_under_the_lease_and_the_order_is_taken_off_only_after_it(
    place: World, task: str
) -> None:
    leases: list[int] = []

    def look(claim: ClaimJob) -> Accepted:
        leases.append(claim.epoch)
        return Accepted(task=claim.task, seq=1)

    place.desk.answer = look
    await place.start()
    job = await place.desk.order(place.prepare(task), task=task, host=None)
    report = await place.desk.report(job)
    assert place.desk.stored_at_claim == [True]
    assert leases == [report.epoch]
    assert place.desk.claims[0].host == report.host == "h1"
    await place.desk.taken(job)
    await until(lambda: place.desk.lease_is_gone(job))


async def test_an_orchestrator_that_is_not_ready_is_asked_again_with_the_same_command(place: World, task: str) -> None:
    answers = [None, NotReady(message="no leader yet"), None]

    def third_time(claim: ClaimJob) -> Accepted | NotReady | None:
        return answers.pop() if answers else Accepted(task=claim.task, seq=1)

    place.desk.answer = third_time
    await place.start()
    await place.desk.report(await place.desk.order(place.prepare(task), task=task))
    # At least: an answer that comes too late is none, and is asked for once more.
    assert len(place.desk.claims) >= 4
    assert len({claim.id for claim in place.desk.claims}) == 1


async def test_an_order_that_is_not_yet_to_be_done_comes_back_and_holds_no_slot_meanwhile(
    place: World, task: str
) -> None:
    paused = ids.fresh()
    over = asyncio.Event()

    def host_is_paused(claim: ClaimJob) -> Accepted | NotReady:
        if claim.task == paused and not over.is_set():
            return NotReady(message="the host is paused")
        return Accepted(task=claim.task, seq=1)

    place.desk.answer = host_is_paused
    process = await place.start()
    waiting = await place.desk.order(place.prepare(paused), task=paused)
    await logged(process, "claim.not_ready")
    # The one slot is free for another task, and the order is still there.
    await place.prepared(task)
    assert await place.desk.is_queued(waiting.id)
    assert await place.desk.reports(waiting) == 0
    over.set()
    await place.desk.body(waiting, PrepareSucceeded)
    assert len({claim.id for claim in place.desk.claims if claim.task == paused}) > 1


async def test_an_answer_of_another_kind_is_no_answer(place: World, task: str) -> None:
    answers = [Why(task=task, seq=1, phase="queued", why="it waits", can_move="nobody")]

    def second_time(claim: ClaimJob) -> Accepted | Why:
        return answers.pop() if answers else Accepted(task=claim.task, seq=1)

    place.desk.answer = second_time
    await place.start()
    await place.prepared(task)
    assert len(place.desk.claims) >= 2


async def test_a_refused_claim_gives_the_lease_back_takes_the_order_off_and_reports_nothing(
    place: World, task: str
) -> None:
    place.desk.answer = lambda _: RefusedReply(code="not_possible", message="not asked for any more")
    await place.start()
    job = await place.desk.order(place.prepare(task), task=task)
    await place.desk.taken(job)
    await until(lambda: place.desk.lease_is_gone(job))
    assert await place.desk.reports(job) == 0
    # The slot is free: the next order runs.
    place.desk.answer = lambda claim: Accepted(task=claim.task, seq=1)
    await place.prepared(task)


async def test_an_order_that_is_none_is_taken_off_and_said_to_the_advisories(place: World, task: str) -> None:
    await place.start()
    js = place.desk.nc.jetstream()
    subject = s.job_for_host("h1", task, ids.fresh())
    await js.publish(subject, b'{"id": "\xff"}')
    place.desk.orders["none"] = subject
    advisory = await place.desk.nc.jetstream().subscribe(
        "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", stream=s.ADVISORY, ordered_consumer=True
    )
    assert b"undecodable" in (await advisory.next_msg(timeout=WAIT_SECONDS_MAX)).data

    async def is_off() -> bool:
        return not await place.desk.is_queued("none")

    await until(is_off)
    await place.prepared(task)


async def test_an_order_whose_lease_is_somebody_elses_is_left_to_them(place: World, task: str) -> None:
    await place.start()
    job = await place.desk.order(place.prepare(task), task=task, host="h2")
    other = await Lease.acquire(
        place.desk.nc, s.job_lease(job.id), LeaseValue(holder="h9", instance="i9", installation="n9"), seconds=60
    )
    second = await place.start("h2")
    await logged(second, "order.held_elsewhere")
    assert place.desk.claims == []
    assert await place.desk.is_queued(job.id)
    await other.release()
    await place.desk.body(job, PrepareSucceeded)


async def test_two_executors_on_one_pool_do_each_job_once(place: World) -> None:
    slow = place.slow_git("fetch")
    for host in ("h1", "h2"):
        process = place.executor(host, path=slow.path, slots="2")
        process.start()
        await process.ready()
    tasks = [ids.fresh() for _ in range(12)]
    jobs = [await place.desk.order(place.prepare(task), task=task, host=None) for task in tasks]

    async def all_slots_are_taken() -> bool:
        return len({claim.job for claim in place.desk.claims}) == 4

    # However quick the one and slow the other: nothing goes on before both have what they can take.
    await until(all_slots_are_taken)
    slow.go()
    reports = await asyncio.gather(*(place.desk.report(job) for job in jobs))
    assert {report.host for report in reports} == {"h1", "h2"}
    assert [await place.desk.reports(job) for job in jobs] == [1] * 12
    assert len({claim.id for claim in place.desk.claims}) == len(jobs)
    assert {claim.job for claim in place.desk.claims} == {job.id for job in jobs}


async def test_orders_of_this_host_come_before_those_of_a_pool(place: World, task: str) -> None:
    await place.start()
    base = (await place.prepared(task)).base_commit
    place.script("hangs", [{"do": "say", "text": "at work"}, {"do": "hang"}])
    busy = await place.desk.order(place.agent(task, base, "hangs"), task=task)
    await place.desk.says(busy, "at work")
    pooled = [
        await place.desk.order(place.prepare(other), task=other, host=None) for other in (ids.fresh(), ids.fresh())
    ]
    own = await place.desk.order(place.prepare(task), task=task)
    await place.desk.stop(busy)
    await asyncio.gather(*(place.desk.report(job) for job in [*pooled, own]))
    assert list(dict.fromkeys(claim.job for claim in place.desk.claims))[2] == own.id


async def test_a_busy_host_keeps_no_order_from_the_others(place: World, task: str) -> None:
    await place.start()
    base = (await place.prepared(task)).base_commit
    place.script("hangs", [{"do": "say", "text": "at work"}, {"do": "hang"}])
    busy = await place.desk.order(place.agent(task, base, "hangs"), task=task)
    await place.desk.says(busy, "at work")
    await place.start("h2")
    tasks = [ids.fresh() for _ in range(4)]
    jobs = [await place.desk.order(place.prepare(other), task=other, host=None) for other in tasks]
    reports = await asyncio.gather(*(place.desk.report(job) for job in jobs))
    assert {report.host for report in reports} == {"h2"}
    await place.desk.stop(busy)
    await place.desk.body(busy, JobStopped)


async def test_an_own_durable_that_was_deleted_is_made_again(place: World, task: str) -> None:
    await place.start()
    await place.prepared(task)
    await place.desk.nc.jetstream().delete_consumer(s.JOBS, s.host_durable("h1"))
    again = await place.prepared(ids.fresh())
    assert again.host == "h1"


async def test_a_second_process_on_the_same_folder_refuses_and_names_the_first(place: World) -> None:
    first = await place.start()
    second = place.executor("h2", data="h1")
    second.start()
    assert await asyncio.to_thread(second.ended) != 0
    assert f"in use by process {first.pid}" in second.log


async def test_a_name_that_another_installation_holds_is_waited_for_and_that_is_said(place: World, task: str) -> None:
    first = await place.start()
    second = place.executor("h1", data="other")
    second.start()
    await until(lambda: _says(second, "held by another installation"))
    await asyncio.to_thread(first.kill, 15)
    await second.ready()
    state = await place.desk.host_state()
    assert state is not None
    assert state.installation == (place.folder / "other" / "installation").read_text().strip()
    await place.prepared(task)


async def _says(process: ServiceProcess, words: str) -> bool:
    _, problems = await asyncio.to_thread(process.readiness)
    return any(words in problem for problem in problems)


async def test_a_missing_agent_is_a_note_of_the_host_and_no_failed_task(place: World, task: str) -> None:
    await place.start(vendors="scripted,claude", claude_path="/nowhere/claude")
    state = await place.desk.host_state()
    assert state is not None
    assert state.vendors == ("scripted",)
    assert any("claude is not offered" in note for note in state.notes)
    await place.prepared(task)


async def test_a_host_without_any_agent_says_so_and_still_does_its_own_jobs(place: World, task: str) -> None:
    process = place.executor(vendors="claude", claude_path="/nowhere/claude")
    process.start()
    await until(lambda: _says(process, "this host can run no agent"))
    assert (await place.prepared(task)).host == "h1"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data_dir": "relative/path"}, "PENSTOCK_DATA_DIR must be an absolute path"),
        ({"vendors": "other"}, "unknown vendor 'other'"),
        ({"host": "Not A Name"}, "PENSTOCK_"),
        ({"author_email": "nobody"}, "PENSTOCK_AUTHOR_EMAIL"),
        ({"slots": "65"}, "PENSTOCK_"),
    ],
)
async def test_a_setting_that_will_not_do_is_refused_by_name(
    place: World, settings: dict[str, str], words: str
) -> None:
    process = place.executor(**{"host": "h1"} | settings)
    process.start()
    assert await asyncio.to_thread(process.ended) != 0
    assert words in process.log


async def test_without_bubblewrap_the_executor_refuses_to_start_and_says_what_to_do(place: World) -> None:
    bare = place.folder / "bare"
    bare.mkdir()
    for name in ("git", "sh"):
        (bare / name).symlink_to(f"/usr/bin/{name}")
    process = place.executor(path=str(bare))
    process.start()
    assert await asyncio.to_thread(process.ended) != 0
    assert "install the package `bubblewrap`" in process.log
    assert "PENSTOCK_SANDBOX=none" in process.log


async def test_without_a_sandbox_by_name_the_work_is_done_and_the_report_says_so(place: World, task: str) -> None:
    await place.start(sandbox="none")
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    done = await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)
    assert done.sandbox.startswith("no sandbox, ")


async def test_what_a_dead_predecessor_left_running_without_a_sandbox_is_ended(place: World, task: str) -> None:
    process = await place.start(sandbox="none")
    base = (await place.prepared(task)).base_commit
    orphan = {"do": "run", "argv": ["sh", "-c", "setsid sleep 4242 >/dev/null 2>&1 &"]}
    place.script("orphans", [orphan, {"do": "say", "text": "at work"}, {"do": "hang"}])
    job = await place.desk.order(place.agent(task, base, "orphans"), task=task)
    await place.desk.says(job, "at work")
    installation = (place.folder / "h1" / "installation").read_text().strip()
    await asyncio.to_thread(process.kill)
    assert _marked(installation)
    process.start()
    await process.ready()
    await seconds_until(lambda: not _marked(installation))
    assert "leftovers_killed" in process.log


def _marked(installation: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={installation}".encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


async def test_the_host_says_that_it_has_gone_when_it_is_told_to_go(place: World) -> None:
    process = await place.start()
    assert await place.desk.host_state() is not None
    assert await asyncio.to_thread(process.kill, 15) == 0
    state = await read(place.desk.nc, s.host_lease("h1"))
    assert state is not None
    assert state.value is None
