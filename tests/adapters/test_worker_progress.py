"""Given a run that goes on, when it has used much or asks for a decision, then that is known before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from executor_world import COMMIT, MEND, World, until, world
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest
from whole import CALC_MENDED, Remote, calc_remote, git

from penstock import ids
from penstock import subjects as s
from penstock.catalog import LeaseValue
from penstock.codec import encode
from penstock.events import AgentFailed, AgentProgressed, AgentSucceeded, DecisionRaised, JobStopped, MessageTold
from penstock.jobs import Job, PrepareWork, SayOrder
from penstock.reports import ReportBody
from penstock.values import RepoSnapshot
from penstock_agent_exec.agents.facts import AnyFact, Usage
from penstock_agent_exec.steps import middle as middle_room
from penstock_agent_exec.steps.bench import InHand
from penstock_agent_exec.steps.middle import Middle
from penstock_agent_exec.stream_output import OutputStream
from penstock_agent_exec.tenure import hold

pytestmark = pytest.mark.anyio

DECISION: dict[str, Any] = {
    "do": "decision",
    "subject": "spend_money",
    "question": "Buy it?",
    "options": ["yes", "no"],
}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world with one running executor, h1."""
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start(job_lease_seconds="600")
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


def spends(cost_usd: float | None, tokens: int = 100) -> dict[str, Any]:
    return {"do": "usage", "input_tokens": tokens, "cost_usd": cost_usd}


def waits(name: str) -> dict[str, Any]:
    return {"do": "wait", "file": name, "seconds": 600}


def let_go(place: World, task: str, name: str) -> None:
    (place.folder / "h1" / "tasks" / task / "home" / name).touch()


async def all_of(place: World, job: Job) -> list[ReportBody]:
    """Every report of a job that has ended, in order."""
    found: list[ReportBody] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX), aclosing(place.desk.told(job)) as told:
        async for report in told:
            found.append(report.body)
            if not isinstance(report.body, AgentProgressed | DecisionRaised | MessageTold):
                return found
    raise AssertionError


async def test_most_of_a_budget_is_told_at_once_and_the_whole_of_it_ends_the_run(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script(
        "spends", [MEND, spends(0.5), waits("on"), spends(0.35), waits("further"), spends(0.2), {"do": "hang"}]
    )
    job = await place.desk.order(place.agent(task, base, "spends", max_cost_usd=1.0), task=task)
    await until(lambda: _is_there(place.folder / "h1" / "tasks" / task / "home"))
    let_go(place, task, "on")
    # Where the run began long ago its figures are told as they stand, too.
    (warned,) = await place.desk.news(job, AgentProgressed, wanted=lambda told: (told.usage.cost_usd or 0.0) > 0.5)
    assert warned.usage.cost_usd == pytest.approx(0.85)
    assert (warned.usage.input_tokens, warned.usage.turns) == (200, 2)
    let_go(place, task, "further")
    failed = await place.desk.body(job, AgentFailed)
    assert (failed.error_class, failed.transient) == ("vendor.budget", False)
    assert failed.usage.cost_usd == pytest.approx(1.05)
    assert "1.05" in failed.message
    assert failed.kept is not None
    mirror = place.folder / "h1" / "mirrors" / "calc.git"
    assert git(mirror, "show", f"{failed.kept.commit}:calc.py") + "\n" == CALC_MENDED


async def _is_there(path: Path) -> bool:
    return path.exists()


async def test_a_run_that_ends_within_its_budget_says_nothing_on_the_way(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("spends", [spends(0.5), MEND, COMMIT, spends(0.25)])
    job = await place.desk.order(place.agent(task, base, "spends", max_cost_usd=1.0), task=task)
    assert [type(body) for body in await all_of(place, job)] == [AgentSucceeded]
    assert (await place.desk.body(job, AgentSucceeded)).usage.cost_usd == 0.75


async def test_a_cost_that_nobody_knows_stays_unknown_and_ends_nothing(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("spends", [spends(5.0), spends(None), {"do": "hang"}], [spends(None), MEND, COMMIT, spends(5.0)])
    work = place.agent(task, base, "spends", max_cost_usd=1.0, attempt=2)
    done = await place.step(task, work, AgentSucceeded)
    assert done.usage.cost_usd is None
    assert done.usage.input_tokens == 200


async def test_most_of_the_time_is_told_when_it_is_over(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("hangs", [{"do": "say", "text": "at work"}, {"do": "hang"}])
    job = await place.desk.order(place.agent(task, base, "hangs", wall_seconds_max=10.0), task=task)
    (told,) = await place.desk.news(job, AgentProgressed)
    assert 8.0 <= told.usage.wall_seconds < 10.0
    assert told.usage.cost_usd is None
    assert (await place.desk.body(job, AgentFailed)).error_class == "agent.timeout"


async def test_a_decision_is_known_while_the_agent_waits_and_the_run_ends_when_told(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("asks", [MEND, DECISION, {"do": "hang"}])
    job = await place.desk.order(place.agent(task, base, "asks"), task=task)
    (raised,) = await place.desk.news(job, DecisionRaised)
    assert (raised.subject, raised.question, raised.options) == ("spend_money", "Buy it?", ("yes", "no"))
    await place.desk.says(job, "spend_money: Buy it?")
    await place.desk.stop(job, "a person decides")
    stopped = await place.desk.body(job, JobStopped)
    assert stopped.reason == "a person decides"
    assert stopped.kept is not None


async def test_a_decision_is_known_before_the_end_of_a_run_that_does_not_wait(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("asks", [MEND, COMMIT, DECISION, DECISION | {"subject": "publish"}])
    job = await place.desk.order(place.agent(task, base, "asks"), task=task)
    bodies = await all_of(place, job)
    assert [type(body) for body in bodies] == [DecisionRaised, DecisionRaised, AgentSucceeded]
    raised = [body for body in bodies if isinstance(body, DecisionRaised)]
    assert [body.subject for body in raised] == ["spend_money", "publish"]
    assert len({body.decision for body in raised}) == 2


async def test_a_broker_that_is_away_neither_holds_the_run_up_nor_loses_the_decision(
    place: World, task: str, nats: NatsForTest
) -> None:
    base = (await place.prepared(task)).base_commit
    touch = {"do": "run", "argv": ["sh", "-c", "touch ~/done"]}
    steps = [{"do": "say", "text": "at work"}, waits("on"), spends(0.9), DECISION, MEND, COMMIT, touch]
    place.script("works", steps)
    job = await place.desk.order(place.agent(task, base, "works", max_cost_usd=1.0), task=task)
    await place.desk.says(job, "at work")
    await asyncio.to_thread(nats.kill)
    let_go(place, task, "on")
    await until(lambda: _is_there(place.folder / "h1" / "tasks" / task / "home" / "done"))
    await asyncio.to_thread(nats.start)
    bodies = await all_of(place, job)
    assert [type(body) for body in bodies if not isinstance(body, AgentProgressed)] == [DecisionRaised, AgentSucceeded]


async def test_what_is_said_to_a_running_agent_reaches_it_once_and_is_told(
    place: World, task: str, nats: NatsForTest
) -> None:
    base = (await place.prepared(task)).base_commit
    script: list[dict[str, Any]] = [
        {"do": "say", "text": "at work"},
        {"do": "listen"},
        {"do": "listen", "seconds": 0.5},
        MEND,
        COMMIT,
    ]
    place.script("listens", script)
    job = await place.desk.order(place.agent(task, base, "listens"), task=task)
    await place.desk.says(job, "at work")
    order = SayOrder(job=job.id, message=ids.fresh(), text="use tabs")
    client = await nats.connect("orchestrator")
    for _ in range(3):  # an order comes again until the log has that it was told
        await client.publish(s.say_order(job.id), encode(order))
    await client.publish(s.say_order(job.id), b"{}")
    await client.close()
    bodies = await all_of(place, job)
    said = [body for body in bodies if isinstance(body, MessageTold)]
    assert [(body.job, body.message) for body in said] == [(job.id, order.message)]
    assert isinstance(bodies[-1], AgentSucceeded)
    await place.desk.says(job, "heard: use tabs")


async def test_an_agent_that_takes_nothing_in_the_middle_is_not_said_to_be_told(
    place: World, task: str, nats: NatsForTest
) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("deaf", [{"do": "say", "text": "at work"}, waits("on"), MEND, COMMIT])
    job = await place.desk.order(place.agent(task, base, "deaf"), task=task)
    await place.desk.says(job, "at work")
    client = await nats.connect("orchestrator")
    await client.publish(s.say_order(job.id), encode(SayOrder(job=job.id, message=ids.fresh(), text="use tabs")))
    await client.close()
    let_go(place, task, "on")
    assert [type(body) for body in await all_of(place, job)] == [AgentSucceeded]


TASK = "/workspace/task"


async def test_an_agent_asks_a_person_by_its_own_line(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    argv = [TASK, "ask", "irreversible", "Drop the column?", "--option", "drop", "--option", "keep"]
    place.script("asks", [{"do": "run", "argv": argv}, MEND, {"do": "hang"}])
    job = await place.desk.order(place.agent(task, base, "asks"), task=task)
    (raised,) = await place.desk.news(job, DecisionRaised)
    assert (raised.subject, raised.question, raised.options) == ("irreversible", "Drop the column?", ("drop", "keep"))
    await place.desk.says(job, "A person is asked. End your turn now")
    await place.desk.stop(job, "a person decides")
    await place.desk.body(job, JobStopped)


async def test_what_was_not_taken_in_the_middle_lies_in_the_inbox_and_is_told_when_it_is_read(
    place: World, task: str, nats: NatsForTest
) -> None:
    base = (await place.prepared(task)).base_commit
    # Until it is there: the executor may have been busy when it was said.
    until_read = f'while ! said=$({TASK} inbox) || ! echo "$said" | grep tabs; do sleep 0.1; done'
    looks = [{"do": "run", "argv": ["sh", "-c", until_read]}, {"do": "run", "argv": [TASK, "inbox"]}]
    place.script("reads", [{"do": "say", "text": "at work"}, waits("on"), *looks, MEND, COMMIT])
    job = await place.desk.order(place.agent(task, base, "reads"), task=task)
    await place.desk.says(job, "at work")
    order = SayOrder(job=job.id, message=ids.fresh(), text="use tabs, please")
    client = await nats.connect("orchestrator")
    for _ in range(2):
        await client.publish(s.say_order(job.id), encode(order))
    await client.flush()
    await client.close()
    let_go(place, task, "on")
    bodies = await all_of(place, job)
    assert [body.message for body in bodies if isinstance(body, MessageTold)] == [order.message]
    await place.desk.says(job, "use tabs, please")
    await place.desk.says(job, "Nothing new.")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ('{"do": "approve", "number": 1}', "not understood"),
        ('{"do": "inbox", "task": "another"}', "not understood"),
        ('{"do": "ask", "subject": "x"}', "not understood"),
        ("GET / HTTP/1.1", "not understood"),
        ("", "not understood"),
    ],
)
async def test_the_own_line_can_do_nothing_else(place: World, task: str, said: str, answer: str) -> None:
    base = (await place.prepared(task)).base_commit
    program = (
        "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect('/workspace/control')\n"
        "s.sendall(sys.argv[1].encode() + b'\\n')\nprint(s.recv(4000).decode())"
    )
    place.script("tries", [{"do": "run", "argv": ["python3", "-c", program, said]}, MEND, COMMIT])
    job = await place.desk.order(place.agent(task, base, "tries"), task=task)
    assert [type(body) for body in await all_of(place, job)] == [AgentSucceeded]
    await place.desk.says(job, answer)


# -- the middle by itself ----------------------------------------------------------------------------------------------


@pytest.fixture
async def nc(nats: NatsForTest) -> AsyncIterator[Client]:
    client = await nats.connect("agent-exec")
    yield client
    await client.close()


@pytest.fixture
def job(task: str) -> Job:
    work = PrepareWork(repo=RepoSnapshot(name="calc", clone_url="/srv/calc.git"), branch="agent/x")
    return Job(id=ids.fresh(), task=task, repo="calc", pool="scripted", host=None, work=work)


def used(number: int) -> tuple[AnyFact, ...]:
    return (Usage(message_id=str(number), input_tokens=10),)


async def test_figures_are_told_when_they_changed_and_never_twice(
    place: World, nc: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middle_room, "PROGRESS_SECONDS", 0.3)
    value = LeaseValue(holder="h1", instance="i1", installation="n1")
    async with hold(nc, job.id, value, seconds=30) as tenure:
        hand = InHand(job=job, tenure=tenure, output=OutputStream(nc, job, tenure.epoch))
        middle = Middle(nc, hand, "h1", max_cost_usd=1.0, wall_seconds_max=600.0)
        async with middle.telling():
            for number in range(50):
                middle.hear(used(number))
            (first,) = await place.desk.news(job, AgentProgressed)
            assert (first.usage.turns, first.usage.input_tokens) == (50, 500)
            middle.hear(used(49))  # the same answer again is no news
            middle.hear(used(50))
            both = await place.desk.news(job, AgentProgressed, 2)
        assert [told.usage.turns for told in both] == [50, 51]
        assert await _count(nc, job) == 2


async def _count(nc: Client, job: Job) -> int:
    info = await nc.jetstream().stream_info("REPORTS", subjects_filter=f"penstock.report.{job.task}.{job.id}.progress")
    return sum((info.state.subjects or {}).values())
