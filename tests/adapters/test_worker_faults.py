"""Given an executor that is killed, paused, cut off or told to stop, then nothing is lost, nothing is done twice, and nobody
who has lost the right to speak speaks."""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from executor_world import COMMIT, MEND, SlowGit, World, accept, logged, until, world
from msgspec.structs import replace
from patience import WAIT_SECONDS_MAX
from process_watch import alive_with, seconds_until
from processes import ServiceProcess
from servers import NatsForTest
from whole import CALC_MENDED, Remote, calc_remote, git

from penstock import ids
from penstock.commands import Accepted, ClaimJob
from penstock.events import AgentSucceeded, JobStopped, PrepareSucceeded, PublishSucceeded, VerifyFailed
from penstock.jobs import Job, VerifyWork
from penstock.streams import JOB_ACK_SECONDS
from penstock.values import VerifyCommands

pytestmark = pytest.mark.anyio

SAY = {"do": "say", "text": "at work"}
HANG = {"do": "hang"}
SHORT_LEASE = "6"
"""Seconds. Long enough for a slow machine to renew it in time, short enough to wait for its end."""


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


async def at_work(place: World, task: str, *steps: dict[str, object]) -> tuple[Job, str]:
    """An agent's job that has begun and goes on (by default for ever), and the task's base commit."""
    base = (await place.prepared(task)).base_commit
    place.script("works", [MEND, SAY, *(steps or (HANG,))])
    job = await place.desk.order(place.agent(task, base, "works"), task=task)
    await place.desk.says(job, "at work")
    return job, base


def children(place: World, host: str = "h1") -> list[int]:
    """Processes whose command line names the agent's program or this host's tasks, as far as they are this test's."""
    mine = str(place.folder / host)
    return [pid for pid in alive_with("scripted_agent.py") if _belongs(pid, mine)] + alive_with(f"{mine}/tasks")


def _belongs(pid: int, folder: str) -> bool:
    try:
        return folder in (Path("/proc") / str(pid) / "mountinfo").read_text()
    except OSError:
        return False


async def mended(place: World, task: str) -> tuple[str, str]:
    """(base, commit) of a task whose agent has done its work."""
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    done = await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)
    return base, done.change.commit


async def test_a_stop_order_ends_the_agent_and_its_work_is_kept(place: World, task: str) -> None:
    await place.start()
    job, _ = await at_work(place, task)
    await place.desk.stop(job, "the task was cancelled")
    stopped = await place.desk.body(job, JobStopped)
    assert stopped.reason == "the task was cancelled"
    assert stopped.usage.wall_seconds > 0
    assert stopped.kept is not None
    assert git(place.folder / "h1/mirrors/calc.git", "show", f"{stopped.kept.commit}:calc.py") + "\n" == CALC_MENDED
    assert children(place) == []
    await until(lambda: place.desk.lease_is_gone(job))


async def test_a_stop_order_ends_a_check(place: World, task: str) -> None:
    await place.start()
    base = (await place.prepared(task)).base_commit
    job = await place.desk.order(place.verify(task, base, test="echo at work; sleep 300"), task=task)
    await place.desk.says(job, "at work")
    await place.desk.stop(job)
    assert (await place.desk.body(job, JobStopped)).usage.cost_usd == 0.0


async def test_a_stop_order_does_not_stop_a_push_that_has_begun(place: World, task: str, remote: Remote) -> None:
    slow = place.slow_git("push")
    process = place.executor(path=slow.path)
    process.start()
    await process.ready()
    base, commit = await mended(place, task)
    job = await place.desk.order(place.publish(task, base, commit), task=task)
    await slow.reached()
    await place.desk.stop(job)
    await logged(process, "job.told_to_stop")
    slow.go()
    await place.desk.body(job, PublishSucceeded)
    assert len(remote.pushes) == 1


async def test_a_revoked_lease_ends_the_agent_at_once_and_nothing_is_said_of_it(place: World, task: str) -> None:
    process = await place.start(job_lease_seconds=SHORT_LEASE)
    job, _ = await at_work(place, task)
    assert children(place)
    await place.desk.revoke(job)
    await seconds_until(lambda: not children(place))
    await logged(process, "job.lease_lost")
    # The slot is free again, and what it does next is reported: the lost job is not.
    await place.prepared(ids.fresh())
    assert await place.desk.reports(job) == 0


async def test_a_paused_executor_finds_itself_fenced_when_it_wakes_and_pushes_nothing(
    place: World, task: str, remote: Remote
) -> None:
    slow = place.slow_git("ls-remote")
    process = place.executor(path=slow.path, job_lease_seconds=SHORT_LEASE)
    process.start()
    await process.ready()
    base, commit = await mended(place, task)
    job = await place.desk.order(place.publish(task, base, commit), task=task)
    # It has been told to publish, holds the lease, and is looking at the remote: the push would be next.
    await slow.reached()
    process.send(signal.SIGSTOP)
    await until(lambda: place.desk.lease_is_gone(job))
    slow.go()
    process.send(signal.SIGCONT)
    await logged(process, "job.lease_lost")
    assert remote.pushes == []
    assert f"agent/{task}" not in remote.branches()
    assert await place.desk.reports(job) == 0
    # The next one in its place may, and does it once.
    again = await place.step(task, place.publish(task, base, commit), PublishSucceeded)
    assert not again.delivery.adopted
    assert len(remote.pushes) == 1


async def test_a_paused_executor_ends_its_agent_when_it_wakes(place: World, task: str) -> None:
    process = await place.start(job_lease_seconds=SHORT_LEASE)
    job, _ = await at_work(place, task)
    process.send(signal.SIGSTOP)
    await until(lambda: place.desk.lease_is_gone(job))
    process.send(signal.SIGCONT)
    await seconds_until(lambda: not children(place))
    await logged(process, "job.lease_lost")
    assert await place.desk.reports(job) == 0


async def test_kill_before_the_claim_costs_the_order_a_moment(place: World, task: str) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    place.desk.answer = lambda _: asked.set()
    process = place.executor()
    job = await place.desk.order(place.prepare(task), task=task)
    began = loop.time()
    process.start()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await asked.wait()
    alone_seconds = loop.time() - began
    await asyncio.to_thread(process.kill)
    assert await place.desk.is_queued(job.id)
    asked.clear()

    def accepted(claim: ClaimJob) -> Accepted:
        asked.set()
        return accept(claim)

    place.desk.answer = accepted
    began = loop.time()
    process.start()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await asked.wait()
    # The predecessor's lease does not stand in the way, and the broker does not wait for the dead to acknowledge: it takes as
    # long as it took without a predecessor, and a moment.
    assert loop.time() - began < 2 * alone_seconds + JOB_ACK_SECONDS / 3
    await place.desk.body(job, PrepareSucceeded)


@pytest.mark.parametrize("step", ["prepare", "agent", "verify", "publish"])
async def test_kill_in_the_middle_of(step: str, place: World, task: str, remote: Remote) -> None:
    slow = place.slow_git({"prepare": "fetch", "publish": "ls-remote"}.get(step, "never"))
    process = place.executor(path=slow.path, job_lease_seconds="600")
    process.start()
    await process.ready()
    job = await _in_the_middle(place, task, step, slow)
    await asyncio.to_thread(process.kill)
    slow.go()
    await seconds_until(lambda: not children(place))
    process.start()
    await process.ready()
    # Its own lease is taken from its dead predecessor, and not when its time is over, which would be long after this.
    await until(lambda: place.desk.lease_is_gone(job))
    assert await place.desk.reports(job) == 0
    assert not (place.folder / "h1" / "checks").exists()
    # Asked again, as the orchestrator does when a job is lost, the step is done; what went on for ever ends this time.
    place.script("works", [MEND, SAY, COMMIT])
    work = job.work
    if isinstance(work, VerifyWork):
        work = replace(work, commands=VerifyCommands(test="exit 1"))
    again = await place.desk.order(work, task=task)
    body = (await place.desk.report(again)).body
    expected = {
        "prepare": PrepareSucceeded,
        "agent": AgentSucceeded,
        "verify": VerifyFailed,
        "publish": PublishSucceeded,
    }
    assert isinstance(body, expected[step]), body
    if step == "publish":
        assert len(remote.pushes) == 1


async def _in_the_middle(place: World, task: str, step: str, slow: SlowGit) -> Job:
    """A job of this kind that has begun, and does not end."""
    if step == "prepare":
        job = await place.desk.order(place.prepare(task), task=task)
        await slow.reached()
        return job
    if step == "agent":
        job, _ = await at_work(place, task)
        return job
    base, commit = await mended(place, task)
    if step == "verify":
        work = place.verify(task, commit, test="echo at work; sleep 600; exit 1")
        job = await place.desk.order(work, task=task)
        await place.desk.says(job, "at work")
        return job
    job = await place.desk.order(place.publish(task, base, commit), task=task)
    await slow.reached()
    return job


async def test_an_agent_that_was_killed_is_gone_on_with_where_its_files_are(place: World, task: str) -> None:
    process = await place.start()
    job, base = await at_work(place, task)
    await asyncio.to_thread(process.kill)
    process.start()
    await process.ready()
    place.script("works", [COMMIT])
    again = place.agent(task, base, "works", resume=True)
    done = await place.step(task, again, AgentSucceeded)
    assert done.change.files == ("calc.py",)
    assert await place.desk.reports(job) == 0


async def test_a_broker_that_is_killed_in_the_middle_gets_the_report_when_it_is_back(place: World, task: str) -> None:
    process = await place.start(job_lease_seconds="600")
    waits: dict[str, object] = {"do": "wait", "file": "on", "seconds": 600}
    job, _ = await at_work(place, task, waits, COMMIT, {"do": "say", "text": "last words"})
    await asyncio.to_thread(place.nats.kill)
    await until(lambda: _is_ready(process, ready=False))
    await asyncio.to_thread(place.nats.start)
    # The last words of a job wait for the broker only so long.
    await until(lambda: _is_ready(process, ready=True))
    (place.folder / "h1" / "tasks" / task / "home" / "on").touch()
    assert (await place.desk.body(job, AgentSucceeded)).change.files == ("calc.py",)
    await place.desk.says(job, "last words")
    # And orders are asked for again.
    await place.prepared(ids.fresh())
    assert await place.desk.reports(job) == 1


async def test_a_broker_that_stays_away_longer_than_the_lease_ends_the_job(place: World, task: str) -> None:
    process = await place.start(job_lease_seconds=SHORT_LEASE)
    job, _ = await at_work(place, task)
    await asyncio.to_thread(place.nats.kill)
    await seconds_until(lambda: not children(place))
    await asyncio.to_thread(place.nats.start)
    await logged(process, "job.lease_lost")
    await place.prepared(ids.fresh())
    assert await place.desk.reports(job) == 0


async def test_sigterm_lets_a_job_end_in_its_grace(place: World, task: str) -> None:
    process = await place.start(drain_grace_seconds="600")
    job, _ = await at_work(place, task, {"do": "sleep", "seconds": 1}, COMMIT)
    assert await asyncio.to_thread(process.kill, signal.SIGTERM) == 0
    await place.desk.body(job, AgentSucceeded)


async def test_sigterm_ends_a_job_after_its_grace_with_its_work_kept(place: World, task: str) -> None:
    process = await place.start(drain_grace_seconds="0.2")
    job, _ = await at_work(place, task)
    assert await asyncio.to_thread(process.kill, signal.SIGTERM) == 0
    stopped = await place.desk.body(job, JobStopped)
    assert stopped.reason == "drain"
    assert stopped.kept is not None
    assert await place.desk.lease_is_gone(job)
    assert await place.desk.host_state() is None


async def test_a_second_sigterm_does_not_wait_for_the_grace(place: World, task: str) -> None:
    process = await place.start(drain_grace_seconds="600")
    job, _ = await at_work(place, task)
    process.send(signal.SIGTERM)
    await logged(process, "worker.draining")
    assert await asyncio.to_thread(process.kill, signal.SIGTERM) == 0
    assert (await place.desk.body(job, JobStopped)).reason == "drain"


async def test_a_draining_executor_takes_no_order(place: World, task: str) -> None:
    process = await place.start(slots="2", drain_grace_seconds="600")
    job, _ = await at_work(place, task)
    process.send(signal.SIGTERM)
    await logged(process, "worker.draining")
    other = await place.desk.order(place.prepare(ids.fresh()), task=ids.fresh(), host=None)
    await place.start("h2")
    assert (await place.desk.report(other)).host == "h2"
    await place.desk.stop(job)
    assert await asyncio.to_thread(process.ended) == 0


async def test_a_pause_shorter_than_the_lease_costs_nothing(place: World, task: str) -> None:
    process = await place.start(job_lease_seconds="600")
    job, _ = await at_work(place, task, {"do": "wait", "file": "on", "seconds": 600}, COMMIT)
    process.send(signal.SIGSTOP)
    (place.folder / "h1" / "tasks" / task / "home" / "on").touch()
    # The agent goes on meanwhile; its last word waits in the pipe.
    await seconds_until(lambda: not children(place))
    process.send(signal.SIGCONT)
    assert (await place.desk.body(job, AgentSucceeded)).usage.cost_usd == 0.0
    assert await place.desk.reports(job) == 1


async def test_what_the_host_cannot_do_is_said_to_be_the_hosts_fault(place: World, task: str) -> None:
    await place.start()
    await place.prepared(task)
    (place.folder / "h1" / "checks").write_text("a file where the checkouts should be")
    base = place.remote.branches()["main"]
    failed = await place.step(task, place.verify(task, base, test="true"), VerifyFailed)
    assert failed.error_class == "host.os_error"
    assert failed.commands == ()


async def test_the_admin_port_tells_what_the_executor_does(place: World, task: str) -> None:
    process = await place.start()
    await place.prepared(task)
    ended = 'penstock_jobs_ended_total{kind="prepare",outcome="prepare_succeeded"} 1.0'

    async def counted() -> bool:
        return ended in await asyncio.to_thread(_metrics, process.admin_port)

    await until(counted)
    assert "penstock_leases_lost_total 0.0" in await asyncio.to_thread(_metrics, process.admin_port)


async def _is_ready(process: ServiceProcess, *, ready: bool) -> bool:
    return (await asyncio.to_thread(process.readiness))[0] is ready


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECONDS_MAX) as answer:
        return str(answer.read().decode())
