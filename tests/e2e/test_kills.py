"""kill -9 of everything, at every step: the same end, exactly one push, and notifications that can be told apart from repeats."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from adapters.webhook_receiver import Receiver
from orchestrator_fixtures import tags
from patience import WAIT_SECONDS_MAX
from process_watch import alive_with, seconds_until
from whole import AT_ONCE, CALC_MENDED, HAPPY, ONE_OF_EACH, Remote, Whole, calc_remote, whole

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3_600)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "w") as found:
        yield found


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


async def test_an_orchestrator_killed_between_every_two_events_ends_the_same(house: Whole, remote: Remote) -> None:
    await house.add_repo("calc", str(remote.path))
    task = await house.submit()
    for count in range(1, len(HAPPY)):
        await house.until_count(task, count)
        await house.kill("orchestrator")
        await house.start("orchestrator")
    events = await house.until(task)
    assert [tags(event) for event in events] == HAPPY
    assert len(remote.pushes) == 1


async def test_an_executor_killed_at_each_step_ends_the_same_with_one_push_for_each_task(
    house: Whole, remote: Remote
) -> None:
    await house.add_repo("calc", str(remote.path))
    for number, count in enumerate(range(2, len(HAPPY)), start=1):
        task = await house.submit()
        await house.until_count(task, count)
        await house.kill("agent-exec")
        await house.start("agent-exec")
        events = await house.until(task)
        # A job that was running when its host died is lost and asked for again; nothing else is different.
        happened = [tags(event) for event in events]
        assert happened[-1] == "task_succeeded", (HAPPY[count - 1], happened, house.logs())
        assert happened.count("agent_succeeded") == 1
        assert happened.count("publish_succeeded") == 1
        assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
        assert len(remote.pushes) == number, (HAPPY[count - 1], happened)


async def test_an_executor_killed_in_the_middle_of_its_agent_leaves_no_process_and_the_work_goes_on(
    house: Whole, remote: Remote
) -> None:
    await house.add_repo("calc", str(remote.path))
    task = await house.submit(model="held")
    await house.until(task, lambda event: tags(event) == "agent_requested")
    async for event, _, data in house.frames(task):
        if event == "output" and any("working" in line.get("text", "") for line in data["lines"]):
            break
    assert running_agents(house.folder)
    await house.kill("agent-exec")
    # It would wait for hours by itself.
    await seconds_until(lambda: not running_agents(house.folder))
    house.script("held", AT_ONCE)
    await house.start("agent-exec")
    happened = [tags(event) for event in await house.until(task)]
    assert happened.count("job_lost") == 1
    assert happened[-1] == "task_succeeded"
    assert len(remote.pushes) == 1


def running_agents(folder: Path) -> list[int]:
    """Processes whose command line, or whose mounts, name this test's data folder as an agent's work."""
    places = [str(folder / host / "tasks").encode() for host in ("h1", "h2")]
    agents = [pid for pid in alive_with("scripted_agent.py") if any(place in mounts(pid) for place in places)]
    return agents + [pid for place in places for pid in alive_with(place.decode())]


def mounts(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/mountinfo").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("victim", [*ONE_OF_EACH, "nats", "postgres"])
async def test_a_run_survives_the_kill_of(victim: str, house: Whole, remote: Remote) -> None:
    key = secrets.token_bytes(24)
    secret = "whsec_" + base64.b64encode(key).decode()
    (house.folder / "secrets" / "hook").write_text(secret)
    async with Receiver().listening() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/hook"
        route = {"channel": "webhook", "url": url, "secret_ref": "file:hook"}
        answer = await house.call("PUT", "/v1/routes/hook", json=route)
        assert answer.status_code in (200, 201), answer.text
        await house.add_repo("calc", str(remote.path))
        task = await house.submit(model="slow")
        for step in ("prepare_succeeded", "agent_requested", "agent_succeeded", "publish_requested"):
            await house.until(task, lambda event, step=step: tags(event) == step)  # type: ignore[misc]
            await house.kill(victim)
            await house.start(victim)
        events = await house.until(task)
        assert tags(events[-1]) == "task_succeeded", house.logs()
        shown = await house.task(task, lambda found: found["phase"] == "done")
        assert shown["outcome"] == "succeeded"
        assert len(remote.pushes) == 1
        calls = await receiver.wait_for("/hook", 1, seconds=WAIT_SECONDS_MAX)
        # At least once, and a repeat says that it is one: by its id.
        assert {call.headers["webhook-id"] for call in calls} == {f"{events[-1].id}.hook"}
