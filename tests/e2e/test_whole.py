"""The four services as processes, a real broker, a real database, real git: a task goes in over HTTP, a change comes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema
import pytest
from orchestrator_fixtures import tags
from patience import WAIT_SECONDS_MAX
from whole import (
    CALC,
    CALC_MENDED,
    HAPPY,
    ONE_OF_EACH,
    TEST_COMMAND,
    TWO_OF_SOME,
    Remote,
    Whole,
    calc_remote,
    git,
    whole,
)

from penstock import subjects as s
from penstock.events import AgentRequested, TaskParked, TaskSucceeded, VerifyFailed, VerifySucceeded

pytestmark = pytest.mark.anyio
SCHEMAS = Path(__file__).parents[2] / "schemas" / "events"


@pytest.fixture(params=[ONE_OF_EACH, TWO_OF_SOME], ids=["one of each", "two of some"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "w", request.param) as found:
        yield found


@pytest.fixture
async def single(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "w") as found:
        yield found


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


async def test_a_failed_check_gives_its_hint_and_the_second_attempt_lands_on_a_branch(
    house: Whole, remote: Remote
) -> None:
    await house.add_repo("calc", str(remote.path))
    task = await house.submit(model="first-try-wrong")
    events = await house.until(task)
    assert tags(events[-1]) == "task_succeeded"
    failed = next(event.data for event in events if isinstance(event.data, VerifyFailed))
    assert failed.error_class == "test.failed"
    assert "5 != 4" in failed.commands[-1].tail
    second = [event.data for event in events if isinstance(event.data, AgentRequested)][1]
    assert "5 != 4" in second.hint
    passed = next(event.data for event in events if isinstance(event.data, VerifySucceeded))
    assert [(command.stage, command.exit_code) for command in passed.commands] == [("test", 0)]
    assert "bwrap" in passed.sandbox
    assert len(remote.pushes) == 1
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert remote.file("main", "calc.py") == CALC
    shown = await house.task(task, lambda found: found["phase"] == "done")
    assert (shown["outcome"], shown["attempt"]) == ("succeeded", 2)


async def test_two_tasks_on_one_repo_at_once_both_finish(house: Whole, remote: Remote) -> None:
    await house.add_repo("calc", str(remote.path))
    tasks = [await house.submit() for _ in range(2)]
    for events in await asyncio.gather(*(house.until(task) for task in tasks)):
        assert [tags(event) for event in events] == HAPPY
    assert len(remote.pushes) == 2
    assert {f"agent/{task}" for task in tasks} < set(remote.branches())


async def test_a_patch_can_be_downloaded_applies_and_mends_the_test(
    single: Whole, remote: Remote, tmp_path: Path
) -> None:
    await single.add_repo("calc", str(remote.path))
    task = await single.submit(flow="patch")
    await single.until(task)
    await single.task(task, lambda found: found["phase"] == "done")
    answer = await single.call("GET", f"/v1/tasks/{task}/patch")
    assert answer.status_code == 200
    (tmp_path / "change.patch").write_bytes(answer.content)
    git(tmp_path, "clone", "-q", str(remote.path), "fresh")
    git(tmp_path / "fresh", "am", "-q", str(tmp_path / "change.patch"))
    assert (tmp_path / "fresh" / "calc.py").read_text() == CALC_MENDED
    assert remote.pushes == []


async def test_the_stream_shows_the_agent_while_it_works_and_can_be_resumed(single: Whole, remote: Remote) -> None:
    await single.add_repo("calc", str(remote.path))
    task = await single.submit(model="held")
    seen = []
    async for frame in single.frames(task):
        seen.append(frame)
        if says(frame, "working"):
            await single.let_go(task)
    kinds = [event for event, _, _ in seen]
    assert [kind for kind in kinds if kind not in ("output", "end")] == HAPPY
    working = next(number for number, frame in enumerate(seen) if says(frame, "working"))
    assert working < kinds.index("agent_succeeded")
    middle = seen[working][1]
    again = [frame async for frame in single.frames(task, headers={"Last-Event-ID": middle})]
    assert again == seen[working + 1 :]


def says(frame: tuple[str, str, Any], text: str) -> bool:
    event, _, data = frame
    return event == "output" and any(text in line.get("text", "") for line in data["lines"])


async def test_the_same_request_twice_makes_one_task(single: Whole, remote: Remote) -> None:
    await single.add_repo("calc", str(remote.path))
    first, second = await single.submit("the-same-key"), await single.submit("the-same-key")
    assert first == second
    await single.until(first)
    assert len(remote.pushes) == 1


async def test_a_repository_that_is_not_there_yet_is_waited_for(single: Whole, remote: Remote, tmp_path: Path) -> None:
    away = tmp_path / "away.git"
    await single.add_repo("calc", str(away))
    task = await single.submit()
    events = await single.until(task, lambda event: isinstance(event.data, TaskParked))
    assert isinstance(events[-1].data, TaskParked)
    assert events[-1].data.reason == "git.repository_missing"
    shown = await single.task(task, lambda found: found["phase"] == "parked")
    assert shown["wake_at"] is not None
    assert "git.repository_missing" in shown["waiting_for"]
    remote.path.rename(away)
    assert tags((await single.until(task))[-1]) == "task_succeeded"


async def test_a_cancelled_agent_is_stopped_and_its_work_is_kept(single: Whole, remote: Remote) -> None:
    single.script("hangs", {"attempts": [[{"do": "write", "path": "half.py", "content": "half\n"}, {"do": "hang"}]]})
    await single.add_repo("calc", str(remote.path))
    task = await single.submit(model="hangs")
    await single.until(task, lambda event: tags(event) == "agent_requested")
    await single.until(task, lambda event: tags(event) == "job_claimed" and event.seq > 5)
    answer = await single.call("POST", f"/v1/tasks/{task}/cancel", json={"reason": "enough"})
    assert answer.status_code in (200, 202), answer.text
    events = await single.until(task)
    assert [tags(event) for event in events][-1] == "task_cancelled"
    assert remote.pushes == []


async def test_dropped_tables_come_back_byte_for_byte(single: Whole, remote: Remote) -> None:
    await single.add_repo("calc", str(remote.path))
    tasks = [await single.submit(model="first-try-wrong"), await single.submit(flow="patch")]
    for task in tasks:
        await single.until(task)
        await single.task(task, lambda found: found["phase"] == "done")
    # The projection is at the end of the log, and what it has read is all that there is.
    log = await single.nc.jetstream().stream_info(s.EVENTS)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while (before := await dump(single.postgres.dsn()))["projection"][0][1] != log.state.last_seq:
            await asyncio.sleep(0.1)
    await single.kill("orchestrator")
    connection = await asyncpg.connect(single.postgres.dsn())
    await connection.execute("drop table penstock.task, penstock.step, penstock.event, penstock.projection")
    await connection.close()
    await single.start("orchestrator")
    for task in tasks:
        await single.task(task, lambda found: found["phase"] == "done")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await dump(single.postgres.dsn()) != before:
            await asyncio.sleep(0.1)
    assert len(before["task"]) == 2


async def dump(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        keys = {"task": "task", "step": "job", "event": "seq", "projection": "name"}
        return {
            table: [tuple(row) for row in await connection.fetch(f"select * from penstock.{table} order by {key}")]
            for table, key in keys.items()
        }
    finally:
        await connection.close()


async def test_what_nothing_checks_is_handed_over_as_unverified(single: Whole, remote: Remote) -> None:
    await single.add_repo("calc", str(remote.path), test=None)
    task = await single.submit()
    events = await single.until(task)
    assert tags(events[-1]) == "task_unverified"
    shown = await single.task(task, lambda found: found["outcome"] is not None)
    assert shown["outcome"] == "unverified"


async def test_a_delivery_says_where_it_is(single: Whole, remote: Remote) -> None:
    await single.add_repo("calc", str(remote.path), test=TEST_COMMAND)
    task = await single.submit()
    end = (await single.until(task))[-1].data
    assert isinstance(end, TaskSucceeded)
    assert end.delivery.kind == "branch"
    assert remote.branches()[end.delivery.branch] == end.delivery.commit


async def test_a_subscriber_who_comes_after_the_end_reads_every_event_from_the_first(
    single: Whole, remote: Remote
) -> None:
    await single.add_repo("calc", str(remote.path))
    task = await single.submit(model="first-try-wrong")
    events = await single.until(task)
    # From here on nothing but a NATS client and the published files.
    client = await single.nats.connect("admin")
    subscription = await client.jetstream().pull_subscribe(f"task.event.calc.{task}.>", stream="EVENTS")
    messages = await subscription.fetch(len(events), timeout=WAIT_SECONDS_MAX)
    documents = [json.loads(message.data) for message in messages]
    await client.close()
    assert [document["id"] for document in documents] == [event.id for event in events]
    assert documents[0]["type"] == "penstock.task_submitted"
    for message, document in zip(messages, documents, strict=True):
        schema = json.loads((SCHEMAS / f"{message.subject.rsplit('.', 1)[1]}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(document)
